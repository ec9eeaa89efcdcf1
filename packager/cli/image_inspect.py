"""`packager image inspect`: what takes how much room in an image."""

import os

from packager.cli.options import Arch, Image, Json, MadeFrom, Quiet, Release, settings_of
from packager.console import Console


def inspect(
    named: Image,
    release: Release = None,
    arch: Arch = None,
    base_image: MadeFrom = None,
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
