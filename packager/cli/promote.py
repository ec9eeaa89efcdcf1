"""`packager promote`: what was published, as it is, to where others use it."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import Arch, Json, Profile, Quiet, Region, Release, settings_of
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packager.adapters.aws.s3 import S3
    from packager.adapters.aws.session import Session
    from packager.publishing.promotion import Copied, Way
    from packager.publishing.recordedimages import Destination, Placed
    from packager.record import Record, RecordedImage
    from packager.settings import Settings


def promote(
    to: Annotated[str, typer.Option("--to", metavar="URI", help="Where to, in S3.")],
    records: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECORD]...", help="Files, folders, or URIs in S3; else dist."),
    ] = None,
    to_repository: Annotated[
        str | None,
        typer.Option(
            "--to-repository", metavar="NAME[:TAG]", help="Where images go; else they stay."
        ),
    ] = None,
    to_region: Annotated[
        str | None, typer.Option("--to-region", metavar="REGION", help="Where jobs run then.")
    ] = None,
    to_profile: Annotated[
        str | None, typer.Option("--to-profile", metavar="NAME", help="Of the other account.")
    ] = None,
    to_bucket_owner: Annotated[
        str | None,
        typer.Option("--to-bucket-owner", metavar="ACCOUNT", help="Account the bucket must be of."),
    ] = None,
    kms_key: Annotated[
        str | None, typer.Option("--kms-key", metavar="KEY", help="KMS key of the copies.")
    ] = None,
    application: Annotated[
        list[str] | None,
        typer.Option("--application", metavar="ID", help="Who may pull images: ID, ARN, or `all`."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write the records with their new places."),
    ] = None,
    region: Region = None,
    profile: Profile = None,
    release: Release = None,
    arch: Arch = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be copied; change nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy what was published to another bucket, account or Region.

    Nothing is built again: S3 copies, and every copy is held against the record. Prints the URI of
    each record at its new place.
    """
    from packager.adapters.aws.s3 import open_s3
    from packager.adapters.aws.session import open_session
    from packager.cli.ecr import destination
    from packager.cli.meter import meter
    from packager.output import require_writable, write_whole
    from packager.publishing.options import ObjectOptions, object_options
    from packager.publishing.places import parse_place
    from packager.publishing.promotion import Way, promote_files, promote_record
    from packager.publishing.publication import passed, require_bucket
    from packager.record import to_text

    console = Console(quiet=quiet, json=json)
    flags = {"region": region, "profile": profile, "release": release, "arch": arch}
    project, settings = settings_of(None, flags, required=False)
    root = project.root if project else Path.cwd()
    place = parse_place(to)
    if application and to_repository is None:
        raise ConfigError(
            "--application is for the repository that images go to, and none is named",
            fix="name it: --to-repository NAME",
        )
    # Who may pull from the one repository says nothing of the other.
    repository = (
        destination(
            replace(settings, ecr={**settings.ecr, "applications": []}),
            root,
            to_repository,
            application or (),
        )
        if to_repository
        else None
    )
    if out is not None and not dry_run:
        require_writable(out)
    session = open_session(settings, os.environ)
    there = replace(settings, region=to_region or session.region, profile=to_profile or profile)
    to_session = open_session(there, os.environ)
    source = open_s3(session, object_options(settings))
    encryption = "aws:kms" if kms_key else None
    options = ObjectOptions(owner=to_bucket_owner, kms_key=kms_key, encryption=encryption)
    store = open_s3(to_session, options)
    with meter(console) as shown:
        way = Way(source=source, to=place, store=store, meter=shown, dry_run=dry_run)
        found = _records(records or [], root, settings, source, way, arch)
        for record in found:
            passed(record, settings)
        require_bucket(store, place.bucket, to_session.region)
        placed = _images(found, repository, (session, to_session), console, dry_run=dry_run)
        documents = []
        for record in found:
            moved, copied = promote_files(record, way)
            images = placed.get(record.name, moved.images)
            kept, last = promote_record(replace(moved, images=tuple(images)), way)
            _tell((*copied, last), console)
            if out is not None and not dry_run:
                write_whole(out / record.name, to_text(kept).encode())
            if json:
                files = [asdict(one) for one in (*copied, last)]
                told = [image.reference for image in images]
                documents.append({"uri": last.uri, "files": files, "images": told})
            else:
                console.data(last.uri)
    if json:
        console.document(documents)


def _records(
    named: "Sequence[str]",
    root: Path,
    settings: "Settings",
    source: "S3",
    way: "Way",
    arch: "Sequence[str] | None",
) -> "tuple[Record, ...]":
    """Raise `ConfigError` for those that were not published."""
    from packager.publishing.places import parse_place
    from packager.publishing.promotion import require_published
    from packager.publishing.verification import published_record
    from packager.recorded import fitting_records

    uris = [text for text in named if text.startswith("s3:")]
    paths = [Path(text) for text in named if not text.startswith("s3:")]
    found = [published_record(parse_place(uri), source, way.meter) for uri in uris]
    if paths or not uris:
        folder = root / settings.out if (root / settings.out).is_dir() else root
        arches = settings.arch if arch else ()
        fitting = fitting_records(paths, folder, release=settings.release, arches=arches)
        found += [one.record for one in fitting]
    for record in found:
        require_published(record)
    return tuple(found)


def _images(
    records: "Sequence[Record]",
    to: "Destination | None",
    sessions: "tuple[Session, Session]",
    console: Console,
    *,
    dry_run: bool,
) -> "Mapping[str, Sequence[RecordedImage]]":
    """The images of the records, where they are then; of both accounts, ours first."""
    pushed = [record for record in records if any(image.reference for image in record.images)]
    if not pushed:
        return {}
    if to is None:
        for record in pushed:
            console.warn(
                f"note: the image of {record.name} stays at {record.images[0].reference}: an"
                " application takes images of its own Region; copy it with --to-repository"
            )
        return {}
    from packager.cli.publish_images import bring, planned_calls

    own, other = sessions
    if dry_run:
        calls, planned = planned_calls(pushed, other, to, console, source=own)
        for call in calls:
            console.say(str(call))
        return planned
    placed: Mapping[str, Sequence[Placed]] = bring(pushed, other, to, console, source=own)
    for one in (one for of in placed.values() for one in of):
        console.say(one.line())
    return {name: [one.image for one in of] for name, of in placed.items()}


def _tell(copied: "Sequence[Copied]", console: Console) -> None:
    for one in copied:
        console.say(f"{one.size / 1e6:9.2f} MB  {one.uri}  {one.how}")
