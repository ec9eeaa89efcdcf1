"""The images that records name, on their way with `packager publish`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from packager.adapters.aws.ecr import cloud_of, logins_of
from packager.adapters.aws.session import Session
from packager.adapters.imageorigins import ImageOrigins
from packager.adapters.registry.client import registry_client
from packager.cli.meter import meter
from packager.console import Console
from packager.publishing.calls import Call
from packager.publishing.recordedimages import (
    Cloud,
    Destination,
    Placed,
    open_repository,
    place_images,
    planned_images,
    require_region,
    require_there,
)
from packager.record import Record, RecordedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From where images are to where they go."""

    records: tuple[Record, ...]
    to: Destination | None
    """None where no repository is named: what was pushed has to be where it is."""
    cloud: Cloud
    origins: ImageOrigins


def _way(
    records: Sequence[Record],
    session: Session,
    to: Destination | None,
    console: Console,
    source: Session | None,
) -> Way:
    if to is not None:
        require_region(to, session.region)
    client = registry_client(os.environ, logins=logins_of(session, os.environ))
    # What is somebody else's is read as whoever may read it.
    other = client
    if source is not None:
        other = registry_client(os.environ, logins=logins_of(source, os.environ))
    return Way(
        records=tuple(records),
        to=to,
        cloud=cloud_of(session, to.address if to else None, client),
        origins=ImageOrigins(client=other, env=os.environ, say=console.say),
    )


def planned_calls(
    records: Sequence[Record],
    session: Session,
    to: Destination | None,
    console: Console,
    *,
    source: Session | None = None,
) -> tuple[tuple[Call, ...], dict[str, tuple[RecordedImage, ...]]]:
    """Of all images that the records name, and what becomes of them; only what reads is asked."""
    way = _way(records, session, to, console, source)
    if way.to is not None:
        return planned_images(way.records, way.to, way.cloud, way.origins)
    found = [image for record in way.records for image in record.images if image.reference]
    return tuple(Call(name="HeadManifest", uri=image.reference) for image in found), {}


def bring(
    records: Sequence[Record],
    session: Session,
    to: Destination | None,
    console: Console,
    *,
    source: Session | None = None,
) -> dict[str, tuple[Placed, ...]]:
    """Send the images, which `source` may read; by the names of their records."""
    way = _way(records, session, to, console, source)
    if way.to is None:
        for record in way.records:
            for image in record.images:
                if image.reference:
                    require_there(image, way.cloud.registry)
                else:
                    console.warn(
                        f"note: the image of {record.name} stays in the engine: name a repository"
                        " with --repository, or in [tool.packager.ecr]"
                    )
        return {
            record.name: tuple(Placed(image=image, pushed=None) for image in record.images)
            for record in way.records
        }
    opened = open_repository(way.cloud, way.to)
    name = opened.repository.name
    if opened.prepared.created:
        console.say(f"{name}: created")
    for note in opened.prepared.notes:
        console.warn(f"note: {note}")
    if opened.change is not None:
        console.say(f"{name}: policy {'written' if opened.change.needed else 'as it should be'}")
    with meter(console) as shown:
        return place_images(
            way.records,
            opened,
            way.cloud,
            way.origins,
            tag=way.to.address.tag,
            meter=shown,
        )
