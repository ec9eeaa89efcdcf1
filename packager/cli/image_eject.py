"""`packager image eject`: the Dockerfile of an image, for who wants to own it."""

from pathlib import Path
from typing import Annotated

import typer

from packager.cli.image_build import found_for_images
from packager.cli.options import BaseImage, CleanRoom, ProjectOrRecord, Python, Quiet, Release
from packager.console import Console
from packager.errors import ConfigError


def eject(
    path: ProjectOrRecord = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File to write; else it is printed."),
    ] = None,
    release: Release = None,
    python: Python = None,
    base_image: BaseImage = None,
    clean_room: CleanRoom = None,
    quiet: Quiet = False,
) -> None:
    """Write a Dockerfile that does what `build` does."""
    from packager.imagebuild.assembly import variables
    from packager.imagebuild.dockerfile import ejected_text
    from packager.imagebuild.options import image_options, image_roles
    from packager.output import write_whole
    from packager.recorded import target_of

    console = Console(quiet=quiet)
    if output is not None and output.exists():
        raise ConfigError(
            f"{output} is there already",
            why="it may be yours by now, and would be lost",
            fix="name another file, or remove it first",
        )
    flags = {
        "release": release,
        "python": python,
        "base_image": base_image,
        "clean_room": clean_room,
    }
    (found, *_), project, settings = found_for_images(path, flags, console)
    roles = image_roles(settings.image)
    if roles != ("",):
        raise ConfigError(
            "there are two images, and a Dockerfile makes one",
            why="[tool.packager.image] has tables for driver and executor",
            fix="move what they have to [tool.packager.image], eject, and part them by hand",
        )
    target = target_of(found.record, settings)
    root = project.root if project else Path.cwd()
    options = image_options(settings.image, root, machine=target.arch.machine)
    variables(options.env)
    text = ejected_text(found.record, options, settings.image_for(target))
    if output is None:
        console.data(text.rstrip("\n"))
        return
    write_whole(output, text.encode())
    console.say(f"Wrote {output}; build it with: packager image build --file {output}")
