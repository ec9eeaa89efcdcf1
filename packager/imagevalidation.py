"""An image that somebody named is read, compared with its base, and judged."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from packager.checks.image import check_image
from packager.checks.image.subject import Subject
from packager.contents import ImageType
from packager.errors import ConfigError
from packager.findings import Report, waive
from packager.images import observe
from packager.layershelf import Shelf
from packager.oci import Blobs, files_in
from packager.settings import Settings
from packager.target import Target


class ImageSource(Protocol):
    """Where images are that are no files."""

    def opened(
        self, reference: str, platform: str, shelf: Shelf
    ) -> contextlib.AbstractContextManager[Blobs]:
        """The image's files, for as long as the context lasts; layers on the shelf may lack."""


def validate_image(
    named: str,
    target: Target,
    kind: ImageType,
    settings: Settings,
    *,
    base: str | None,
    source: ImageSource,
    shelf: Shelf,
) -> Report:
    """Judge the image `named`, a path or a reference, with the waivers of `settings`.

    Raise `ConfigError` for what is no image, or not a whole one.
    """
    platform = target.arch.oci_platform
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(_files(named, platform, source, shelf))
        below = None
        if base is not None:
            below = (stack.enter_context(_files(base, platform, source, shelf)), base)
        facts = observe(files, platform, name=named, base=below, shelf=shelf)
    report = check_image(Subject(facts=facts, target=target, kind=kind))
    return waive(report, settings.waivers)


@contextlib.contextmanager
def _files(named: str, platform: str, source: ImageSource, shelf: Shelf) -> Iterator[Blobs]:
    path = Path(named)
    if path.exists():
        yield files_in(path)
        return
    if named.startswith((".", "/", "~")) or path.suffix == ".tar":
        raise ConfigError(
            f"{named} is not there",
            fix="name a tar of `docker save`, an OCI layout, or an image of the engine",
        )
    with source.opened(named, platform, shelf) as files:
        yield files
