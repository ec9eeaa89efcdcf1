"""Images of registries: what they are before they are fetched, and then as an OCI layout."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.adapters.registry.client import RegistryClient
from packager.errors import ConfigError
from packager.manifests import (
    Descriptor,
    Document,
    Manifest,
    choose,
    images_of,
    parse_manifest,
    parse_object,
)
from packager.references import Reference

AT_A_TIME: Final = 4
"""Layers; Docker takes three."""
LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """The image of one platform in a registry, of which only the documents were read."""

    reference: Reference
    """By the digest of its manifest."""
    manifest: Manifest
    config: Document
    platforms: tuple[str, ...]
    """All that the tag stands for."""
    top: Document
    """What the tag stands for: the manifest, or an index."""


def describe(client: RegistryClient, reference: Reference, platform: str) -> RemoteImage:
    """Read manifest and configuration.

    Raise `ConfigError` where there is none for `platform`, `CommandError` where none can be read.
    """
    name = str(reference)
    top = client.manifest(reference)
    document = top
    platforms: tuple[str, ...] = ()
    if top.is_index:
        platforms = tuple(sorted({one.platform for one in images_of(top, name)} - {""}))
        document = client.manifest(reference.at(choose(top, platform, name).digest))
    manifest = parse_manifest(document, name)
    content = client.read_blob(reference, manifest.config)
    told = parse_object(content, name)
    found = f"{told.get('os')}/{told.get('architecture')}"
    if found != platform:
        raise ConfigError(
            f"{name} has no image for {platform}",
            why=f"it is one for {found}",
            fix=f"choose with --arch, or name one that was built with --platform {platform}",
        )
    return RemoteImage(
        reference=reference.at(document.digest),
        manifest=manifest,
        config=Document(media_type=manifest.config.media_type, content=content),
        platforms=platforms or (platform,),
        top=top,
    )


def fetch_layout(
    client: RegistryClient,
    image: RemoteImage,
    folder: Path,
    *,
    came: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the image to `folder` as an OCI layout, every blob held against its digest.

    What stands there already is kept, and what was half there is gone on with.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for document in (image.top, image.manifest.document, image.config):
        _file(blobs, document.digest).write_bytes(document.content)
    wanted = {layer.digest: layer for layer in image.manifest.layers}

    def fetch(layer: Descriptor) -> None:
        path = _file(blobs, layer.digest)
        if not path.exists():
            part = path.with_suffix(".part")
            client.download_blob(image.reference, layer, part, came=came)
            part.replace(path)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            for _ in pool.map(fetch, wanted.values()):
                pass
        except BaseException:
            client.stop()  # else the others would run to their ends
            pool.shutdown(cancel_futures=True)
            raise
    described = {
        **image.manifest.document.descriptor.document(),
        "platform": dict(zip(("os", "architecture"), _platform(image), strict=True)),
    }
    index = {"schemaVersion": 2, "manifests": [described]}
    (folder / "oci-layout").write_bytes(LAYOUT)
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _platform(image: RemoteImage) -> tuple[str, str]:
    told = parse_object(image.config.content, str(image.reference))
    return str(told.get("os")), str(told.get("architecture"))


def _file(blobs: Path, digest: str) -> Path:
    return blobs / digest.removeprefix("sha256:")
