"""From a record to a custom image: its layers, its documents, and what the record says of it.

Nothing runs in the image, so it may be for any architecture; what a project wants to run has run
in the base. A layer that was made before is known
by its digests, and is only made again where somebody lacks it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from packager import __version__
from packager.errors import ConfigError
from packager.imagebuild.assembly import ROOT, Assembled, assemble, variables
from packager.imagebuild.foundation import BaseImage, require_usable
from packager.imagebuild.layering import ImageLayer, write_layer
from packager.imagebuild.options import Extra, ImageOptions, extra_members
from packager.layers import file_parts
from packager.manifests import Descriptor
from packager.output import write_whole
from packager.record import Artifact, ImageRole, Record, RecordedImage, to_text
from packager.recorded import Found, recorded_file, sha256_of
from packager.tarball import plan, write
from packager.target import Target

MADE: Final = "image-layers"
"""Where the store remembers which layer came of which archive."""
ORDER: Final = ("python", "environment", "", "app")
"""What changes most comes last; the empty text is what is no archive."""

Fetch = Callable[[Path], Path]
"""Brings a layer as a file: at the given path, or one that lies elsewhere."""


class Memory(Protocol):
    """What the store remembers."""

    def recall(self, kind: str, key: str) -> str | None: ...

    def remember(self, kind: str, key: str, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base image and how to get at its layers."""

    image: BaseImage
    fetch: Callable[[Descriptor, Path], Path]
    repository: str = ""
    """Where a registry may mount its layers from; empty where it is in none."""
    build_from: str = ""
    """What a Dockerfile calls it; empty where nothing can be built on it."""
    build_digest: str = ""
    """Of what an engine has by that name: builders that are not its own may have another."""
    brought: tuple[Descriptor, ...] = ()
    """Layers among the last that lie nowhere but here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An image that can be put somewhere."""

    found: Found
    image: Assembled
    layers: Mapping[Descriptor, Fetch]
    """All, the base's first."""
    repository: str
    platform: str
    brought: tuple[Descriptor, ...]
    """Layers of which neither the base's engine nor its registry knows."""
    role: ImageRole
    java: str

    def recorded(self, reference: str) -> RecordedImage:
        base = self.image.base
        return RecordedImage(
            role=self.role,
            java=self.java,
            base=base.name,
            base_digest=base.digest,
            digest=self.image.manifest.digest,
            config_digest=self.image.config.digest,
            size=self.image.size,
            reference=reference,
        )


@dataclass(slots=True)
class Workshop:
    """Layers of one run, in a folder of its own that goes with it."""

    folder: Path
    memory: Memory
    say: Callable[[str], None]
    written: dict[str, Path] = field(default_factory=dict)

    def layer(
        self, name: str, key: str, write_to: Callable[[Path], ImageLayer]
    ) -> tuple[ImageLayer, Fetch]:
        """The layer of that key, made now if nothing is known of it."""
        full = hashlib.sha256(f"{__version__}\0{name}\0{key}".encode()).hexdigest()
        known = (self.memory.recall(MADE, full) or "").split(" ")
        path = self.folder / full[:16]

        def make() -> ImageLayer:
            made = write_to(path)
            self.memory.remember(MADE, full, f"{made.digest} {made.diff_id} {made.size}")
            return made

        if len(known) == 3 and known[2].isdecimal():
            layer = ImageLayer(name=name, digest=known[0], diff_id=known[1], size=int(known[2]))
        else:
            layer = make()

        def fetch(_: Path) -> Path:
            if not path.exists() and make() != layer:
                raise ConfigError(
                    f"the layer of {name} has become another one",
                    why="its archive has changed meanwhile",
                    fix="run this again",
                )
            return path

        return layer, fetch


def own_layers(
    found: Found, options: ImageOptions, workshop: Workshop
) -> list[tuple[ImageLayer, Fetch]]:
    """What comes on top of a base. Raise `ConfigError` for archives that are not the record's."""
    own: list[tuple[ImageLayer, Fetch]] = []
    for kind in ORDER:
        if not kind:
            own.append(_extras(found.record, options, workshop))
        elif artifact := next((a for a in found.record.archives if a.kind == kind), None):
            own.append(_of_archive(found, artifact, workshop))
    return own


def make_image(
    found: Found,
    target: Target,
    base: Base,
    options: ImageOptions,
    own: Sequence[tuple[ImageLayer, Fetch]],
    *,
    role: ImageRole = "",
    env: Mapping[str, str] | None = None,
) -> Made:
    """Put an image together of a base and the layers on top of it.

    `env` stands for the variables of `options` and packager where the base has its own. Raise
    `ConfigError` for a base or options that can not be.
    """
    require_usable(base.image, target.arch.oci_platform)
    image = assemble(
        base.image,
        [layer for layer, _ in own],
        found.record,
        env=variables(options.env) if env is None else env,
        labels=options.labels if env is None else {},
    )

    def from_base(layer: Descriptor) -> Fetch:
        return lambda path: base.fetch(layer, path)

    layers: dict[Descriptor, Fetch] = {layer: from_base(layer) for layer in base.image.layers}
    fetches = (fetch for _, fetch in own)
    layers |= dict(zip(image.own_descriptors, fetches, strict=True))
    return Made(
        found=found,
        image=image,
        layers=layers,
        repository=base.repository,
        platform=target.arch.oci_platform,
        brought=base.brought,
        role=role,
        java=options.java,
    )


def _of_archive(found: Found, artifact: Artifact, workshop: Workshop) -> tuple[ImageLayer, Fetch]:
    archive = recorded_file(found, artifact)
    prefix = f"{ROOT.lstrip('/')}/{artifact.kind}/"

    def write_to(path: Path) -> ImageLayer:
        workshop.say(f"Making the layer of {archive.name}")
        with path.open("w+b") as out:
            return write_layer(archive, prefix, out, name=artifact.kind)

    return workshop.layer(artifact.kind, f"{artifact.sha256}\0{prefix}", write_to)


def _extras(record: Record, options: ImageOptions, workshop: Workshop) -> tuple[ImageLayer, Fetch]:
    """What is no archive: the line that leads to EMR's PySpark, and the user's own files."""
    extra: Extra = extra_members(record, options)
    name = "settings"

    def write_to(path: Path) -> ImageLayer:
        archive = path.with_suffix(".tar.gz")
        with archive.open("w+b") as out:
            write(
                [
                    (plan(extra.members), None),
                    *((part.plan, None) for part in file_parts(extra.files)),
                ],
                out,
            )
        with path.open("w+b") as out:
            return write_layer(archive, "", out, name=name)

    contents = [f"{file.path} {sha256_of(file.source)}" for file in extra.files]
    return workshop.layer(name, "\0".join((repr(extra.members), *contents)), write_to)


def record_image(found: Found, images: tuple[RecordedImage, ...]) -> Record:
    """Write into the record what was made of it."""
    record = replace(found.record, images=images)
    write_whole(found.folder / record.name, to_text(record).encode())
    return record
