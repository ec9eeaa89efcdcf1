"""What a registry gets of an image: one manifest for one platform, with layers in gzip. Pure.

A manifest that is such already stays as it is, byte for byte, and so does its digest. EMR
Serverless does not document whether it takes indexes, attestations or layers in zstd: none is sent.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from packager.documents import parse_json
from packager.errors import ConfigError
from packager.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Descriptor,
    Document,
    parse_manifest,
)
from packager.oci import Layer, OciImage
from packager.references import Reference

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
LEVEL: Final = 6
CHUNK: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContent:
    """A layer as it is sent."""

    descriptor: Descriptor
    chunks: Callable[[], Iterator[bytes]]
    path: Path | None = None
    """Where it is as a file, if it is one."""
    fetch: Callable[[Path], None] | None = None
    """Writes it to a path, where that is better than in chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContent:
    manifest: Document
    platform: str
    """As in `linux/arm64`."""
    config: Document
    layers: tuple[LayerContent, ...]
    near: Reference | None = None
    """A repository that has the layers: its registry may share them."""

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Bytes of all layers, as they are sent."""
        return sum(layer.descriptor.size for layer in self.layers)


def content_of(image: OciImage, folder: Path) -> ImageContent:
    """The image as a registry gets it; layers that are not compressed are, into `folder`.

    Raise `ConfigError` for layers that EMR Serverless may not take, and for damaged ones.
    """
    name = image.blobs.where
    if image.digest:
        raw = _whole(image, f"blobs/sha256/{image.digest.removeprefix('sha256:')}")
        type_ = parse_json(raw.decode()).get("mediaType") or OCI_MANIFEST
        manifest = parse_manifest(Document(media_type=type_, content=raw), name)
        types = [layer.media_type for layer in manifest.layers]
        if any(type_.endswith("zstd") for type_ in types):
            raise ConfigError(
                f"{name} has layers in zstd",
                why="EMR Serverless does not document that it takes them",
                fix="build it with --output type=image,compression=gzip,force-compression=true",
            )
        config = _whole(image, f"blobs/sha256/{manifest.config.digest.removeprefix('sha256:')}")
        if all(type_.endswith("gzip") for type_ in types):
            return ImageContent(
                manifest=manifest.document,
                platform=image.config.platform,
                config=Document(media_type=manifest.config.media_type, content=config),
                layers=tuple(
                    LayerContent(descriptor=descriptor, chunks=partial(image.chunks, layer))
                    for descriptor, layer in zip(manifest.layers, image.layers, strict=True)
                ),
            )
        return _made(image, config, types, folder)
    config = _whole(image, _config_of_saved(image))
    return _made(image, config, [""] * len(image.layers), folder)


def _config_of_saved(image: OciImage) -> str:
    (one,) = parse_json(_whole(image, "manifest.json").decode())
    return str(one["Config"])


def _made(image: OciImage, config: bytes, types: Sequence[str], folder: Path) -> ImageContent:
    """A manifest of Docker's, since layers are not as they are to be sent."""
    layers = tuple(
        LayerContent(
            descriptor=Descriptor(media_type=DOCKER_LAYER, digest=layer.digest, size=layer.size),
            chunks=partial(image.chunks, layer),
        )
        if type_.endswith("gzip")
        else _compressed(image, layer, folder / f"{number}.tar.gz")
        for number, (layer, type_) in enumerate(zip(image.layers, types, strict=True))
    )
    described = Document(media_type=DOCKER_CONFIG, content=config)
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": described.descriptor.document(),
        "layers": [layer.descriptor.document() for layer in layers],
    }
    return ImageContent(
        manifest=Document(
            media_type=DOCKER_MANIFEST,
            content=json.dumps(document, separators=(",", ":")).encode(),
        ),
        platform=image.config.platform,
        config=described,
        layers=layers,
    )


def _compressed(image: OciImage, layer: Layer, path: Path) -> LayerContent:
    """Without a time in it: same layer, same bytes."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    tar, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    with path.open("wb") as file:

        def put(data: bytes) -> None:
            packed.update(data)
            file.write(data)

        for chunk in image.chunks(layer):
            tar.update(chunk)
            size += len(chunk)
            put(packer.compress(chunk))
        put(packer.flush())
    image.hold(layer, f"sha256:{tar.hexdigest()}", size)
    if f"sha256:{tar.hexdigest()}" != layer.diff_id:
        raise ConfigError(
            f"a layer of {image.blobs.where} is damaged",
            why=f"its tar has the digest sha256:{tar.hexdigest()[:12]}, and should have"
            f" {layer.diff_id[:19]}",
            fix=image.blobs.mend,
        )

    return LayerContent(
        descriptor=Descriptor(
            media_type=DOCKER_LAYER,
            digest=f"sha256:{packed.hexdigest()}",
            size=path.stat().st_size,
        ),
        chunks=lambda: _chunks(path),
        path=path,
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _whole(image: OciImage, name: str) -> bytes:
    """A document, which was read and held against its digest before."""
    return b"".join(image.blobs.chunks(name))
