"""`packager verify`: whether what is published is what a record describes."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import (
    BucketOwner,
    Json,
    Profile,
    Quiet,
    RecordsAt,
    Region,
    records_folder,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packager.publishing.verification import Verdict
    from packager.record import Record
    from packager.settings import Settings


def verify(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Of an object or a record in S3, or an image.")
    ],
    record: RecordsAt = None,
    region: Region = None,
    profile: Profile = None,
    bucket_owner: BucketOwner = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether what is published is what a record describes.

    Of a record in S3, all that it names is looked at. Downloaded is only what has no checksum that
    tells.
    """
    from packager.recorded import records_at

    console = Console(quiet=quiet, json=json)
    flags = {"region": region, "profile": profile, "bucket_owner": bucket_owner}
    project, settings = settings_of(None, flags, required=False)
    folder = record or records_folder(project, settings)

    def records() -> "list[Record]":
        return [found.record for found in records_at(folder)]

    if Path(uri).is_file():
        raise ConfigError(
            f"{uri} is a file of this machine",
            why="what is published is looked at here: an object in S3, or an image",
            fix="write its URI; or judge the file itself: packager validate",
        )
    if uri.startswith("s3:"):
        verdicts = _objects(uri, records, settings, console)
    else:
        verdicts = [_image(uri, records(), settings)]
    for one in verdicts:
        how = {"content": "its bytes say so", "digest": "its digest says so"}
        told = f"as recorded: {how.get(one.how, 'its checksum says so')}" if one.same else one.why
        (console.say if one.same else console.warn)(f"{one.uri}  {told}")
    if json:
        console.document([asdict(one) for one in verdicts])
    if not all(one.same for one in verdicts):
        raise typer.Exit(ExitCode.VALIDATION_FAILED)


def _objects(
    uri: str, records: "Callable[[], list[Record]]", settings: "Settings", console: Console
) -> "Sequence[Verdict]":
    from packager.adapters.aws.s3 import open_s3
    from packager.adapters.aws.session import open_session
    from packager.cli.meter import meter
    from packager.publishing.options import object_options
    from packager.publishing.places import parse_place
    from packager.publishing.verification import (
        described,
        published_record,
        verify_object,
        verify_record,
    )
    from packager.record import SUFFIX

    place = parse_place(uri)
    known = None if place.key.endswith(SUFFIX) else described(uri, records())
    store = open_s3(open_session(settings, os.environ), object_options(settings))
    with meter(console) as shown:
        if known is None:
            return verify_record(published_record(place, store, shown), store, shown)
        return [verify_object(place, *known, store, shown)]


def _image(uri: str, records: "list[Record]", settings: "Settings") -> "Verdict":
    from packager.adapters.aws.ecr import logins_to
    from packager.adapters.aws.session import open_session
    from packager.adapters.registry.client import registry_client
    from packager.publishing.verification import verify_image
    from packager.references import parse_reference

    logins = logins_to(lambda: open_session(settings, os.environ), os.environ)
    client = registry_client(os.environ, logins=logins)
    return verify_image(parse_reference(uri), records, client.find_manifest)
