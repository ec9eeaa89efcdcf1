"""Where images that a record names are: in the registry they were pushed to, else in the engine."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packager.adapters.imagesources.engine import EngineImages
from packager.adapters.registry.client import RegistryClient
from packager.adapters.registry.pulls import describe
from packager.imagebuild.tags import LOCAL, reference
from packager.layershelf import Shelf
from packager.manifests import Descriptor
from packager.oci import image_in
from packager.publishing.imagecontent import ImageContent, LayerContent, content_of
from packager.record import Record, RecordedImage
from packager.references import Reference, parse_reference
from packager.target import parse_arch


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrigins:
    """Implements `publishing.recordedimages.Origins`."""

    client: RegistryClient
    env: Mapping[str, str]
    say: Callable[[str], None]

    @contextmanager
    def opened(self, record: Record, image: RecordedImage) -> Iterator[ImageContent]:
        """Raise `ToolError` where neither has it, `CommandError` where one fails."""
        platform = parse_arch(record.arch).oci_platform
        if image.reference:
            pushed = parse_reference(image.reference)
            if self.client.find_manifest(pushed) is not None:
                yield content_in_registry(self.client, pushed, platform)
                return
        name = reference(None, record, image.digest, alone=True)
        with tempfile.TemporaryDirectory(prefix="packager-") as folder:
            shelf = Shelf(recall=lambda *_: None, remember=lambda *_: None)
            engine = EngineImages(
                env=self.env,
                say=self.say,
                recall=shelf.recall,
                remember=shelf.remember,
                whole=True,  # no layer is known, so that all of them are given to us
            )
            with engine.opened(str(name).removeprefix(LOCAL), platform, shelf) as files:
                yield content_of(image_in(files, platform), Path(folder))


def content_in_registry(
    client: RegistryClient, reference: Reference, platform: str
) -> ImageContent:
    """An image as a registry has it; layers are fetched when somebody else lacks them.

    Raise `ConfigError` for one of another platform, `CommandError` where it can not be read.
    """
    image = describe(client, reference, platform)

    def layer(one: Descriptor) -> LayerContent:
        return LayerContent(
            descriptor=one,
            chunks=partial(_chunks, client, image.reference, one),
            fetch=partial(client.download_blob, image.reference, one),
        )

    return ImageContent(
        manifest=image.manifest.document,
        platform=platform,
        config=image.config,
        layers=tuple(layer(one) for one in image.manifest.layers),
        near=image.reference,
    )


def _chunks(client: RegistryClient, reference: Reference, blob: Descriptor) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="packager-") as folder:
        path = Path(folder) / "blob"
        client.download_blob(reference, blob, path)
        with path.open("rb") as file:
            while piece := file.read(1 << 18):
                yield piece
