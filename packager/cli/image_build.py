"""`packager image build`: custom images, put together on the release's own."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import (
    Arch,
    BaseImage,
    CleanRoom,
    Json,
    Out,
    ProjectOrRecord,
    Python,
    Quiet,
    Release,
    Waive,
    pairs,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.adapters.imagemaker import Put
    from packager.imagemaking import Made
    from packager.project import Project
    from packager.record import RecordedImage
    from packager.recorded import Found
    from packager.references import Reference
    from packager.settings import Settings


def build(
    path: ProjectOrRecord = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="REPOSITORY[:TAG]",
            help="Put it together in the registry itself, without an engine.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="DOCKERFILE",
            help="Build by a Dockerfile of your own; `eject` writes one to begin with.",
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run packages, commands and Dockerfiles anew.")
    ] = False,
    release: Release = None,
    arch: Arch = None,
    python: Python = None,
    base_image: BaseImage = None,
    clean_room: CleanRoom = None,
    out: Out = None,
    waive: Waive = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put a project's archives on the image of the release.

    Without --push the engine gets them. Prints their references, a line for each.
    """
    from packager.imagebuild.tags import require_name

    if push:
        require_name(push)
    console = Console(quiet=quiet, json=json)
    base_file = base_image if base_image and Path(base_image).exists() else None
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "base_image": None if base_file else base_image,
        "clean_room": clean_room,
        "out": out,
        "waivers": pairs("--waive", "CODE=REASON", waive),
    }
    if file is not None and not file.is_file():
        raise ConfigError(
            f"there is no Dockerfile {file}", fix="write one to begin with: packager image eject"
        )
    found, project, settings = found_for_images(path, flags, console)
    root = project.root if project else Path.cwd()
    order = Order(push=push, file=file, fresh=no_cache, base_file=base_file, alone=len(found) == 1)
    documents: list[dict[str, object]] = []
    for one in found:
        for made, put, tag in _made(one, order, settings, root, console):
            documents.append(_document(one, made, put, tag))
            if not console.json:
                console.data(put.reference)
    if console.json:
        console.document(documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command line asks for."""

    push: str | None
    file: Path | None
    fresh: bool
    base_file: str | None
    alone: bool
    """Whether it is the image of one platform only."""


def _made(
    found: "Found", order: Order, settings: "Settings", root: Path, console: Console
) -> "Iterator[tuple[Made, Put, Reference]]":
    """The images of one record, put where they belong and written into it."""
    from packager.adapters import image_maker
    from packager.imagebuild.assembly import python_unless_set
    from packager.imagebuild.foundation import size_told
    from packager.imagebuild.options import image_options, image_roles
    from packager.imagebuild.tags import reference
    from packager.imagemaking import Workshop, make_image, own_layers, record_image
    from packager.recorded import target_of

    target = target_of(found.record, settings)
    platform = target.arch.oci_platform
    name = order.base_file or settings.image_for(target)
    maker = image_maker(settings, root=root, env=os.environ, say=console.say)
    recorded: tuple[RecordedImage, ...] = ()
    with (
        tempfile.TemporaryDirectory(prefix="packager-") as folder,
        maker.base(name, platform, engine=order.push is None) as base,
    ):
        workshop = Workshop(folder=Path(folder), memory=maker.store, say=console.say)
        for role in image_roles(settings.image):
            options = maker.with_jars(
                image_options(settings.image, root, role=role, machine=target.arch.machine)
            )
            own = own_layers(found, options, workshop)
            if order.file is None:
                below = maker.prepared(base, platform, options, fresh=order.fresh)
                made = make_image(found, target, below, options, own, role=role)
            else:
                place = Path(folder) / f"built-{role}"
                below = maker.built(
                    base,
                    order.file,
                    own,
                    platform=platform,
                    context=root,
                    folder=place,
                    fresh=order.fresh,
                )
                env = python_unless_set(below.image.config)
                made = make_image(found, target, below, options, (), role=role, env=env)
            if near := size_told(made.image.size):
                console.warn(near)
            digest = made.image.manifest.digest
            tag = reference(order.push, found.record, digest, alone=order.alone, role=role)
            put = maker.push(made, tag) if order.push else maker.load(made, tag)
            recorded = (*recorded, made.recorded(put.reference if order.push else ""))
            record_image(found, recorded)
            subject = " ".join(filter(None, (found.record.release, found.record.arch, role)))
            console.say(f"{subject}: {made.image.size / 1e6:.1f} MB, {put.told}")
            yield made, put, tag


def _document(found: "Found", made: "Made", put: "Put", tag: "Reference") -> dict[str, object]:
    recorded = made.recorded("")
    return {
        "record": str(found.folder / found.record.name),
        "release": found.record.release,
        "arch": found.record.arch,
        "role": recorded.role,
        "reference": put.reference,
        "tag": str(tag),
        "digest": recorded.digest,
        "config_digest": recorded.config_digest,
        "base": recorded.base,
        "base_digest": recorded.base_digest,
        "size": recorded.size,
        "uploaded": put.uploaded,
    }


def found_for_images(
    path: Path | None, flags: Mapping[str, object], console: Console
) -> "tuple[tuple[Found, ...], Project | None, Settings]":
    """What is to become images: one record, or a project packed now."""
    from packager.cli.packing import passed_now
    from packager.record import SUFFIX
    from packager.recorded import find_record

    if path is not None and path.name.endswith(SUFFIX):
        project, settings = settings_of(None, flags, required=False)
        return (find_record(path, path.parent, release=None, arch=None),), project, settings
    project, settings = settings_of(path, flags)
    assert project is not None  # noqa: S101  # it is required here
    return passed_now(project, settings, console), project, settings
