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
from packager.settings import Settings
from packager.target import Target


class ImageSource(Protocol):
    """Where images are that are no files."""

    def saved(self, reference: str, platform: str) -> contextlib.AbstractContextManager[Path]:
        """The image as a file, for as long as the context lasts."""


def validate_image(
    named: str,
    target: Target,
    kind: ImageType,
    settings: Settings,
    *,
    base: str | None,
    source: ImageSource,
) -> Report:
    """Judge the image `named`, a path or a reference, with the waivers of `settings`.

    Raise `ConfigError` for what is no image, or not a whole one.
    """
    platform = target.arch.oci_platform
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_file(named, platform, source))
        below = None
        if base is not None:
            below = (stack.enter_context(_file(base, platform, source)), base)
        facts = observe(path, platform, name=named, base=below)
    report = check_image(Subject(facts=facts, target=target, kind=kind))
    return waive(report, settings.waivers)


@contextlib.contextmanager
def _file(named: str, platform: str, source: ImageSource) -> Iterator[Path]:
    path = Path(named)
    if path.exists():
        yield path
        return
    if named.startswith((".", "/", "~")) or path.suffix == ".tar":
        raise ConfigError(
            f"{named} is not there",
            fix="name a tar of `docker save`, an OCI layout, or an image of the engine",
        )
    with source.saved(named, platform) as saved:
        yield saved
