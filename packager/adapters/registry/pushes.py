"""Images that are put together in a registry: what is there stays, what lacks is sent.

The tag comes last. Whoever is killed before that leaves blobs that nothing names, which the next
push finds there and the registry's own cleaning takes away; nobody ever sees half an image.
"""

import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packager.adapters.registry.client import Blob, RegistryClient, blob_of_bytes, blob_of_file
from packager.errors import ConfigError
from packager.manifests import Descriptor, Document
from packager.publishing.imagecontent import ImageContent, LayerContent
from packager.references import Reference

AT_A_TIME: Final = 4

Fetch = Callable[[Path], Path]
"""Brings a blob as a file, which may be the given path or lie elsewhere."""


@dataclass(slots=True)
class Traffic:
    """What a push has cost. Bytes are those of blobs."""

    uploaded: int = 0
    mounted: int = 0
    present: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str, size: int) -> None:
        with self.lock:
            setattr(self, kind, getattr(self, kind) + size)


def push(
    client: RegistryClient,
    to: Reference,
    manifest: Document,
    config: Document,
    layers: Mapping[Descriptor, Fetch],
    *,
    mount_from: Reference | None = None,
    sent: Callable[[int], None] = lambda _: None,
) -> tuple[str, Traffic]:
    """Push an image; its digest as the registry tells it, and what had to be sent.

    `mount_from` is the repository that may have the layers already, `sent` is told of pieces that
    go, from several threads. Raise `CommandError` where the
    registry refuses or fails; then the tag stands for what it did before.
    """
    traffic = Traffic()
    there = client.find_manifest(to)  # who may not ask is told before anything is sent
    if there is not None and there.digest == manifest.digest:
        traffic.count("present", sum(layer.size for layer in layers))
        return there.digest, traffic
    near = mount_from.repository if mount_from and mount_from.host == to.host else ""
    near = "" if near == to.repository else near
    with tempfile.TemporaryDirectory(prefix="packager-") as folder:

        def send(item: tuple[Descriptor, Fetch]) -> None:
            layer, fetch = item
            if client.has_blob(to, layer.digest):
                traffic.count("present", layer.size)
            elif near and client.mount_blob(to, layer.digest, near):
                traffic.count("mounted", layer.size)
            else:
                own = Path(folder) / layer.digest.rpartition(":")[2]
                path = fetch(own)
                try:
                    client.put_blob(to, _of(path, layer), sent=sent)
                finally:
                    own.unlink(missing_ok=True)
                traffic.count("uploaded", layer.size)

        with ThreadPoolExecutor(AT_A_TIME) as pool:
            try:
                for _ in pool.map(send, layers.items()):
                    pass
            except BaseException:
                client.stop()  # else the others would run to their ends
                pool.shutdown(cancel_futures=True)
                raise
    if not client.has_blob(to, config.digest):
        client.put_blob(to, blob_of_bytes(config.content))
        traffic.count("uploaded", len(config.content))
    return client.put_manifest(to, manifest), traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Pusher:
    """A registry as `publishing.images` needs it."""

    client: RegistryClient

    def find(self, reference: Reference) -> Descriptor | None:
        return self.client.find_manifest(reference)

    def has_blob(self, reference: Reference, digest: str) -> bool:
        return self.client.has_blob(reference, digest)

    def push(
        self, reference: Reference, content: ImageContent, moved: Callable[[int], None]
    ) -> int:
        """Bytes of blobs that were sent."""
        _, traffic = push(
            self.client,
            reference,
            content.manifest,
            content.config,
            {layer.descriptor: _fetched(layer) for layer in content.layers},
            mount_from=content.near,
            sent=moved,
        )
        return traffic.uploaded


def _fetched(layer: LayerContent) -> Fetch:
    def fetch(path: Path) -> Path:
        if layer.path is not None:
            return layer.path
        if layer.fetch is not None:
            layer.fetch(path)
            return path
        with path.open("wb") as file:
            for chunk in layer.chunks():
                file.write(chunk)
        return path

    return fetch


def _of(path: Path, layer: Descriptor) -> Blob:
    blob = blob_of_file(path, layer.digest)
    if blob.size != layer.size:
        raise ConfigError(
            f"{path} is not the layer {layer.digest[:19]}",
            why=f"it has {blob.size} bytes, and should have {layer.size}",
            fix="run this again",
        )
    return blob
