"""Where images are put: a registry, or an engine; and where their bases come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packager.adapters.imagebases import base_in_file, base_in_registry, repository_of
from packager.adapters.registry.client import RegistryClient
from packager.adapters.registry.pushes import push
from packager.imagemaking import Base, Made, Memory
from packager.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """An image that is where it should be."""

    reference: str
    """By which it is used."""
    uploaded: int
    """Bytes."""
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMaker:
    """The outside world of `packager image build`."""

    client: RegistryClient
    memory: Memory
    env: Mapping[str, str]
    say: Callable[[str], None]

    def base(self, name: str, platform: str) -> Base:
        """The base image for a platform: a file, or one of a registry.

        Raise `ConfigError` for one that can not be, `CommandError` where a registry fails.
        """
        path = Path(name)
        if path.exists():
            return base_in_file(path, platform)
        return base_in_registry(self.client, name, platform)

    def push(self, made: Made, to: Reference) -> Put:
        """Raise `CommandError` where the registry refuses or fails."""
        image = made.image
        base = Base(image=image.base, fetch=lambda _, path: path, repository=made.repository)
        digest, traffic = push(
            self.client,
            to,
            image.manifest,
            image.config,
            made.layers,
            mount_from=repository_of(base),
        )
        return Put(
            reference=str(to.at(digest)),
            uploaded=traffic.uploaded,
            told=f"{traffic.uploaded / 1e6:.2f} MB sent to {to}"
            + (f", {traffic.mounted / 1e6:.1f} MB mounted" if traffic.mounted else ""),
        )
