"""`packager validate` and `packager inspect`: archives that are there."""

import os
from pathlib import Path
from typing import Annotated

import typer

from packager.cli.options import (
    Arch,
    BaseImage,
    CleanRoom,
    Format,
    Json,
    Output,
    Python,
    Quiet,
    Release,
    Waive,
    form_of,
    pairs,
    records_folder,
    settings_of,
    show_reports,
)
from packager.console import Console
from packager.errors import ConfigError


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", help="Records or archives; the records in dist if not given."
        ),
    ] = None,
    release: Release = None,
    arch: Arch = None,
    python: Python = None,
    base_image: BaseImage = None,
    clean_room: CleanRoom = None,
    waive: Waive = None,
    format_: Format = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check archives, ours or anyone's, for a release."""
    from packager.adapters import clean_room_of
    from packager.revalidation import reports_on

    form = form_of(format_, json=json)
    console = Console(quiet=quiet)
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "base_image": base_image,
        "clean_room": clean_room,
        "waivers": pairs("--waive", "CODE=REASON", waive),
    }
    project, settings = settings_of(None, flags, required=False)
    folder = records_folder(project, settings)
    reports = reports_on(
        tuple(paths or ()),
        folder,
        settings,
        chosen=flags,
        room=clean_room_of(settings.cache_dir, env=os.environ, say=console.say),
        say=console.say,
    )
    show_reports(reports, form, output, console)


def inspect(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH] [OTHER]",
            help="Record or archive; the record in dist if not given. With OTHER, what differs.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with a map of sizes instead."),
    ] = None,
    release: Release = None,
    arch: Arch = None,
    json: Json = False,
) -> None:
    """Show what takes how much room, or what differs.

    One record or archive, or two to compare.
    """
    from packager.inspection import (
        compare,
        comparison_json,
        comparison_text,
        inspection_json,
        inspection_text,
    )
    from packager.inspection import inspect as look_into

    console = Console(json=json)
    if paths is not None and len(paths) > 2:
        raise ConfigError(
            f"{len(paths)} paths are given", why="one is shown, two are compared", fix="name two"
        )
    if html is not None and paths is not None and len(paths) > 1:
        raise ConfigError(
            "a page shows one record or archive",
            why=f"{len(paths)} paths are given",
            fix="name one, or leave --html out to compare",
        )
    project, settings = settings_of(None, {"release": release, "arch": arch}, required=False)
    folder = records_folder(project, settings)
    chosen: list[Path | None] = [*paths] if paths else [None]
    found = [
        look_into(path, folder, release=settings.release, arch=settings.arch[0] if arch else None)
        for path in chosen
    ]
    if html is not None:
        from packager.treemap import write_page

        write_page(found[0], html)
        console.say(f"Wrote {html}")
    if len(found) == 2:
        compared = compare(*found)
        if json:
            console.document(comparison_json(compared))
        else:
            console.data(comparison_text(compared))
    elif json:
        console.document(inspection_json(found[0]))
    elif html is None:
        console.data(inspection_text(found[0]))
