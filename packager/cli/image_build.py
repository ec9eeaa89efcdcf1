"""`packager image build`: custom images, put together without running anything in them."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import (
    Arch,
    BaseImage,
    CleanRoom,
    Json,
    Out,
    Python,
    Quiet,
    Release,
    Waive,
    pairs,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError, ExitCode

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.project import Project
    from packager.recorded import Found
    from packager.settings import Settings


def build(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]",
            help="Project, which is packed first; or a record of `packager pack`.",
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="REPOSITORY[:TAG]",
            help="Put it together in the registry itself, without an engine.",
        ),
    ] = None,
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
    from packager.adapters import image_maker
    from packager.imagebuild.options import image_options
    from packager.imagebuild.tags import references
    from packager.imagemaking import Workshop, make_image, record_image
    from packager.recorded import target_of

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
    found, project, settings = _found(path, flags, console)
    options = image_options(settings.image, project.root if project else Path.cwd())
    if options.runs:
        raise ConfigError(
            "`packages` and `commands` of [tool.packager.image] are not supported yet",
            why="they run in the image, for which an engine has to build it",
            fix="put them into a Dockerfile of your own, and name its image with --base-image",
        )
    maker = image_maker(settings.cache_dir, env=os.environ, say=console.say)
    documents = []
    targets = [target_of(one.record, settings) for one in found]
    names = references(push, [one.record for one in found])
    with tempfile.TemporaryDirectory(prefix="packager-") as folder:
        for one, target, reference in zip(found, targets, names, strict=True):
            workshop = Workshop(folder=Path(folder), memory=maker.memory, say=console.say)
            name = base_file or settings.image_for(target)
            with maker.base(name, target.arch.oci_platform, engine=push is None) as base:
                made = make_image(one, target, base, options, workshop)
                put = maker.push(made, reference) if push else maker.load(made, reference)
            recorded = made.recorded(put.reference if push else "")
            record_image(one, (recorded,))
            subject = f"{one.record.release} {one.record.arch}"
            console.say(f"{subject}: {recorded.size / 1e6:.1f} MB, {put.told}")
            if console.json:
                documents.append(
                    {
                        "record": str(one.folder / one.record.name),
                        "release": one.record.release,
                        "arch": one.record.arch,
                        "reference": put.reference,
                        "tag": str(reference),
                        "digest": recorded.digest,
                        "config_digest": recorded.config_digest,
                        "base": recorded.base,
                        "base_digest": recorded.base_digest,
                        "size": recorded.size,
                        "uploaded": put.uploaded,
                    }
                )
            else:
                console.data(put.reference)
    if console.json:
        console.document(documents)


def _found(
    path: Path | None, flags: Mapping[str, object], console: Console
) -> "tuple[tuple[Found, ...], Project | None, Settings]":
    """What is to become images: one record, or a project packed now."""
    from packager.adapters import connect, store_root
    from packager.adapters.limit import in_use
    from packager.pipeline import pack
    from packager.record import SUFFIX
    from packager.recorded import Found, find_record
    from packager.reports import report_text

    if path is not None and path.name.endswith(SUFFIX):
        project, settings = settings_of(None, flags, required=False)
        return (find_record(path, path.parent, release=None, arch=None),), project, settings
    project, settings = settings_of(path, flags)
    assert project is not None  # noqa: S101  # it is required here
    ports = connect(
        root=project.root, cache_dir=settings.cache_dir, env=os.environ, say=console.say
    )
    root = store_root(settings.cache_dir)
    with in_use(root, limit=settings.cache_limit, say=console.say):
        packed = pack(project, settings, ports, console.say)
    failed = [item for item in packed if not item.report.passed]
    for item in failed:
        subject = f"{item.record.release} {item.record.arch}, Python {item.record.python}"
        console.warn(report_text(item.report, subject=subject))
    if failed:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)
    found = tuple(Found(record=item.record, folder=item.path.parent) for item in packed)
    return found, project, settings
