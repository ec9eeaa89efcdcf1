"""The image that everything is put on: what has to be known of it, and what it has to be. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.errors import ConfigError
from packager.manifests import Descriptor
from packager.releases import limits

USERS: Final = frozenset(("hadoop", "hadoop:hadoop"))
GB: Final = 10**9
NEAR: Final = 0.9
"""Of the limit."""
ZSTD: Final = "zstd"
UNCOMPRESSED: Final = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """The base for one platform."""

    name: str
    """As the user or the release table names it."""
    digest: str
    """Of its manifest for the platform; empty where the engine that has it knows of none."""
    config: Mapping[str, Any]
    """The whole configuration document, which is passed on as it is."""
    layers: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def recorded(self) -> str:
        """Name and digest."""
        return f"{self.name.partition('@')[0]}@{self.digest}" if self.digest else self.name


def read_config(content: bytes, name: str) -> Mapping[str, Any]:
    """Raise `ConfigError` for what is no configuration of an image."""
    try:
        value = json.loads(content)
    except ValueError as error:
        raise _not_usable(name, f"its configuration is not JSON: {error}") from error
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("config") or {}, dict)
        or not isinstance(value.get("rootfs"), dict)
        or not isinstance(value["rootfs"].get("diff_ids"), list)
    ):
        raise _not_usable(name, "its configuration lacks what every image has")
    return value


def require_usable(base: BaseImage, platform: str) -> None:
    """Raise `ConfigError` for a base that can not become an image of EMR Serverless."""
    told = f"{base.config.get('os')}/{base.config.get('architecture')}"
    if told != platform:
        raise ConfigError(
            f"the base image {base.name} is for {told}",
            why=f"the target is {platform}",
            fix="choose another with --base-image, or another --arch",
        )
    diff_ids = base.config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(base.layers):
        raise _not_usable(
            base.name, f"it has {len(base.layers)} layers and the digests of {len(diff_ids)}"
        )
    user = str((base.config.get("config") or {}).get("User") or "")
    if user not in USERS:
        raise ConfigError(
            f"the base image {base.name} does not end as the user hadoop",
            why=f"its user is {user or 'root'!r}; the images of EMR Serverless have hadoop:hadoop",
            fix="end its Dockerfile with USER hadoop:hadoop, or choose another with --base-image",
        )
    for layer in base.layers:
        if layer.media_type.endswith(ZSTD):
            raise ConfigError(
                f"the base image {base.name} has layers that are compressed with zstd",
                why="nobody says that EMR Serverless reads them, and Docker's own manifests have"
                " no name for them",
                fix="push it again with gzip: docker buildx build"
                " --output type=image,compression=gzip,force-compression=true,push=true",
            )


def size_told(size: int) -> str:
    """What is to be said of an image of `size` bytes, compressed; empty where it is far from large.

    Raise `ConfigError` for one that EMR Serverless does not take.
    """
    limit = limits().image_gb
    fix = "see what takes the room: packager inspect; and `slim` in [tool.packager]"
    if size > limit * GB:
        raise ConfigError(
            f"the image has {size / GB:.1f} GB", why=f"images may have {limit} GB", fix=fix
        )
    if size > NEAR * limit * GB:
        return f"The image has {size / GB:.1f} GB, and {limit} GB is the most it may have; {fix}"
    return ""


def _not_usable(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"the base image {name} can not be used", why=why, fix="choose another with --base-image"
    )
