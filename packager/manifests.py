"""Manifests and indexes of images, as registries give them and take them.

What stands in files, `oci` reads. Specification: OCI image-spec 1.1, manifest.md, image-index.md,
descriptor.md; Docker's schema 2 has the same fields under other media types.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from packager.documents import parse_json
from packager.errors import ConfigError
from packager.oci import (
    ATTESTATION,
    CONFIG_TYPES,
    DIGEST,
    INDEX_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    UNKNOWN_PLATFORM,
)

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_BUILD_AGAIN: Final = "build and push the image again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Content by digest."""

    media_type: str
    digest: str
    size: int
    platform: str = ""
    """As in `linux/arm64`; empty where it is not told."""
    attestation: bool = False
    """Whether it tells of another manifest and runs nowhere."""

    def document(self) -> dict[str, str | int]:
        return {"mediaType": self.media_type, "size": self.size, "digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Bytes that a registry knows by their digest."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{sha256(self.content).hexdigest()}"

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.content))

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The image of one platform."""

    document: Document
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """Bytes of all layers, as they are transferred."""
        return sum(layer.size for layer in self.layers)


def parse_manifest(document: Document, name: str) -> Manifest:
    """Raise `ConfigError` for what is no manifest of an image; `name` is told."""
    if document.media_type not in MANIFEST_TYPES:
        raise _wrong(name, f"its manifest is of the type {document.media_type!r}")
    value = parse_object(document.content, name)
    config = _descriptor(value.get("config"), name)
    layers = tuple(_descriptor(layer, name) for layer in _list(value.get("layers"), name))
    if config.media_type not in CONFIG_TYPES:
        raise _wrong(name, f"its configuration is of the type {config.media_type!r}")
    for layer in layers:
        if layer.media_type not in LAYER_TYPES:
            raise _wrong(name, f"a layer of it is of the type {layer.media_type!r}")
    return Manifest(document=document, config=config, layers=layers)


def choose(index: Document, platform: str, name: str) -> Descriptor:
    """The manifest of an index for `platform`. Raise `ConfigError` where it has none."""
    images = images_of(index, name)
    for image in images:
        if image.platform == platform:
            return image
    if len(images) == 1 and not images[0].platform:
        return images[0]
    known = ", ".join(image.platform or "a platform that is not told" for image in images)
    raise ConfigError(
        f"{name} has no image for {platform}",
        why=f"it has one for {known}" if known else "it has none at all",
        fix=f"choose with --arch, or push one that was built with --platform {platform}",
    )


def images_of(index: Document, name: str) -> tuple[Descriptor, ...]:
    """What an index stands for, without attestations."""
    items = _list(parse_object(index.content, name).get("manifests"), name)
    found = (_descriptor(item, name) for item in items)
    return tuple(one for one in found if not one.attestation and one.platform != UNKNOWN_PLATFORM)


def parse_object(content: bytes, name: str) -> dict[str, Any]:
    try:
        value = parse_json(content.decode())
    except (json.JSONDecodeError, ValueError) as error:
        raise _wrong(name, f"a document of it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _wrong(name, f"a document of it is {str(value)[:40]!r}")
    return value


def _descriptor(value: object, name: str) -> Descriptor:
    item: Mapping[str, Any] = value if isinstance(value, dict) else {}
    digest, size = str(item.get("digest")), item.get("size")
    if not DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
        raise _wrong(name, f"{digest!r} with size {size!r} is no way to name content")
    platform = item.get("platform")
    platform = platform if isinstance(platform, dict) else {}
    notes = item.get("annotations")
    return Descriptor(
        media_type=str(item.get("mediaType")),
        digest=digest,
        size=size,
        platform=f"{platform.get('os')}/{platform.get('architecture')}" if platform else "",
        attestation=isinstance(notes, dict) and ATTESTATION in notes,
    )


def _list(value: object, name: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise _wrong(name, f"where a list should be stands {str(value)[:40]!r}")
    return value


def _wrong(name: str, why: str) -> ConfigError:
    return ConfigError(f"{name} is not an image that can be used", why=why, fix=_BUILD_AGAIN)
