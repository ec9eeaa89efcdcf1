"""Images of registries: documents first, and layers only when somebody reads one."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packager.adapters.registry.client import RegistryClient, registry_client
from packager.layershelf import Shelf
from packager.manifests import Descriptor, Document, images_of, parse_manifest
from packager.oci import CHUNK_BYTES, Blobs
from packager.references import Reference, parse_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImages:
    """Images of whatever registry their names begin with, with what `docker login` left."""

    env: Mapping[str, str]
    say: Callable[[str], None]

    @contextlib.contextmanager
    def opened(self, reference: str, platform: str, shelf: Shelf) -> Iterator[Blobs]:
        """Read an image's documents, and its layers as they are asked for.

        Raise `ConfigError` for what is no image, `CommandError` where the registry refuses.
        """
        del shelf  # what is on it is not asked for
        named = parse_reference(reference)
        client = registry_client(self.env)
        self.say(f"Reading {named} from its registry")
        documents, layers = _documents(client, named, platform)
        with tempfile.TemporaryDirectory(prefix="packager-") as folder:
            yield Remote(
                client=client,
                reference=named,
                documents=documents,
                layers=layers,
                folder=Path(folder),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """The files of a layout that is in a registry."""

    client: RegistryClient
    reference: Reference
    documents: Mapping[str, bytes]
    layers: Mapping[str, Descriptor]
    folder: Path
    holds: bool = True

    @property
    def where(self) -> str:
        return str(self.reference)

    @property
    def mend(self) -> str:
        return f"build {self.reference.name} again, and push it"

    def size(self, name: str) -> int | None:
        if name in self.documents:
            return len(self.documents[name])
        return self.layers[name].size if name in self.layers else None

    def chunks(self, name: str) -> Iterator[bytes]:
        if name in self.documents:
            yield self.documents[name]
            return
        # A file, so that what breaks off is gone on with.
        path = self.folder / name.rpartition("/")[2]
        try:
            self.client.download_blob(self.reference, self.layers[name], path)
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        finally:
            path.unlink(missing_ok=True)

    def stop(self) -> None:
        self.client.stop()


def _documents(
    client: RegistryClient, reference: Reference, platform: str
) -> tuple[Mapping[str, bytes], Mapping[str, Descriptor]]:
    """The documents of the image for `platform`, or of the only one, and its layers, by name."""
    name = str(reference)
    top = client.manifest(reference)
    manifests = [top]
    if top.is_index:
        images = images_of(top, name)
        manifests = [
            client.manifest(reference.at(image.digest))
            for image in images
            if image.platform in {platform, ""} or len(images) == 1
        ]
    parsed = [parse_manifest(manifest, name) for manifest in manifests]
    configs = [
        Document(media_type=one.config.media_type, content=client.read_blob(reference, one.config))
        for one in parsed
    ]
    documents = {_file(one.digest): one.content for one in (top, *manifests, *configs)}
    index = {"schemaVersion": 2, "manifests": [top.descriptor.document()]}
    documents["index.json"] = json.dumps(index).encode()
    return documents, {_file(layer.digest): layer for one in parsed for layer in one.layers}


def _file(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
