"""`packager image inspect`: what takes how much room in an image."""

import os
from typing import Annotated

import typer

from packager.cli.options import Arch, Json, Quiet, Release, settings_of
from packager.console import Console


def inspect(
    named: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="Tar of docker save, OCI layout, or an image of an engine or registry.",
        ),
    ],
    release: Release = None,
    arch: Arch = None,
    base_image: Annotated[
        str | None,
        typer.Option(
            "--base-image",
            metavar="IMAGE",
            help="What it was made from; else the release's own, if the engine has that.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what its layers, packages and files add to its size."""
    from packager.adapters import image_sources
    from packager.imagesizes import sizes_json, sizes_of, sizes_text
    from packager.imagevalidation import observed

    console = Console(quiet=quiet, json=json)
    flags = {"release": release, "arch": arch, "base_image": base_image}
    _, settings = settings_of(None, flags, required=False)
    source, shelf = image_sources(settings.cache_dir, env=os.environ, say=console.say)
    found = [
        sizes_of(observed(named, target, base=settings.base_image, source=source, shelf=shelf))
        for target in settings.targets()
    ]
    if console.json:
        console.document([sizes_json(one) for one in found])
    else:
        console.data("\n\n".join(map(sizes_text, found)))
