"""Base images: where they are, what they say of themselves, and their layers when those lack."""

from pathlib import Path
from typing import Final

from packager.adapters.registry.client import RegistryClient
from packager.adapters.registry.pulls import describe
from packager.errors import ConfigError
from packager.imagebuild.foundation import BaseImage, read_config
from packager.imagemaking import Base
from packager.manifests import Descriptor
from packager.oci import Blobs, files_in, image_in
from packager.references import Reference, parse_reference

FIX: Final = "name another with --base-image: one of a registry, of the engine, or a file"


def base_in_registry(client: RegistryClient, name: str, platform: str) -> Base:
    """Raise `ConfigError` where there is none for `platform`, `CommandError` where none is told."""
    image = describe(client, parse_reference(name), platform)

    def fetch(layer: Descriptor, path: Path) -> Path:
        client.download_blob(image.reference, layer, path)
        return path

    return Base(
        image=BaseImage(
            name=name,
            digest=image.manifest.document.digest,
            config=read_config(image.config.content, name),
            layers=image.manifest.layers,
        ),
        fetch=fetch,
        repository=image.reference.name,
        build_from=f"{image.reference.name}@{image.manifest.document.digest}",
    )


def base_in_file(path: Path, platform: str) -> Base:
    """A base in an OCI layout, or in what `docker save` has written since version 25."""
    return base_in(files_in(path), str(path), platform)


def base_in(blobs: Blobs, name: str, platform: str) -> Base:
    image = image_in(blobs, platform)
    if not image.digest:
        raise ConfigError(
            f"the base image {name} can not be used as it is",
            why="what Docker before 25 saves has no manifest",
            fix=FIX,
        )
    files = {layer.digest: layer for layer in image.layers}

    def fetch(layer: Descriptor, path: Path) -> Path:
        with path.open("wb") as out:
            out.writelines(image.chunks(files[layer.digest]))
        return path  # whose digest the registry checks

    return Base(
        image=BaseImage(
            name=name,
            digest=image.digest,
            config=read_config(b"".join(blobs.chunks(image.config_file)), name),
            layers=tuple(
                Descriptor(media_type=layer.type, digest=layer.digest, size=layer.size)
                for layer in image.layers
            ),
        ),
        fetch=fetch,
    )


def repository_of(base: Base) -> Reference | None:
    return parse_reference(base.repository) if base.repository else None
