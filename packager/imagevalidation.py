"""An image that somebody named is read, compared with its base, and judged."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from packager.checks.image import check_image
from packager.checks.image.subject import Subject
from packager.contents import ImageType
from packager.errors import ConfigError
from packager.findings import Report, waive
from packager.images import ImageFacts, observe, observe_documents
from packager.layershelf import Shelf
from packager.oci import Blobs, files_in, image_in
from packager.releases import limits
from packager.settings import Settings
from packager.target import Target

GB: Final = 10**9


class ImageOpener(Protocol):
    """Where images are that are no files."""

    def opened(
        self, reference: str, platform: str, shelf: Shelf
    ) -> contextlib.AbstractContextManager[Blobs]:
        """The image's files, for as long as the context lasts; layers on the shelf may lack."""


class ImageSource(ImageOpener, Protocol):
    def has(self, reference: str) -> bool:
        """Whether an engine has it, so that nothing needs to be fetched."""


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

    Without a `base` it is compared with the release's own image if an engine has it, and if it is
    made from it. Raise `ConfigError` for what is no image, or not a whole one.
    """
    facts = _observed(named, target, base=base, source=source, shelf=shelf)
    return waive(check_image(Subject(facts=facts, target=target, kind=kind)), settings.waivers)


def _observed(
    named: str, target: Target, *, base: str | None, source: ImageSource, shelf: Shelf
) -> ImageFacts:
    platform = target.arch.oci_platform
    own = f"{target.release.base_image}:latest" if target.release.base_image else None
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(opened(named, platform, source, shelf))
        image = image_in(files, platform)
        foreign = files.holds and image.config.platform != platform
        if foreign or image.size > limits().image_gb * GB:
            return observe_documents(image, name=named)  # else gigabytes for nothing
        if base is None and own and own != named and source.has(own):
            beside = (stack.enter_context(opened(own, platform, source, shelf)), own)
            facts = observe(files, platform, name=named, base=beside, shelf=shelf)
            if facts.base is not None and facts.base.is_below:
                return facts
        below = None
        if base is not None:
            below = (stack.enter_context(opened(base, platform, source, shelf)), base)
        return observe(files, platform, name=named, base=below, shelf=shelf)


@contextlib.contextmanager
def opened(named: str, platform: str, source: ImageOpener, shelf: Shelf) -> Iterator[Blobs]:
    path = Path(named)
    if path.exists():
        yield files_in(path)
        return
    if named.startswith((".", "/", "~")) or path.suffix == ".tar":
        raise ConfigError(
            f"{named} is not there",
            fix="name a tar of `docker save`, an OCI layout, or an image of an engine or registry",
        )
    with source.opened(named, platform, shelf) as files:
        yield files
