"""`packager publish`: what was packed, to where jobs find it."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import (
    Arch,
    BucketOwner,
    Json,
    Profile,
    Quiet,
    Region,
    Release,
    Waive,
    pairs,
    records_folder,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from packager.cli.publish_ready import Ready
    from packager.project import Project
    from packager.publishing.calls import Call
    from packager.publishing.publication import Published
    from packager.publishing.recordedimages import Destination, Placed
    from packager.publishing.store import Sent
    from packager.settings import Settings


def publish(
    records: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RECORD]...",
            help="Records; those of dist if none is given. With --pack, the project.",
        ),
    ] = None,
    pack: Annotated[
        bool,
        typer.Option(
            "--pack", help="Pack the project first; archives go up while they are written."
        ),
    ] = False,
    s3_uri: Annotated[
        str | None,
        typer.Option("--s3-uri", metavar="URI", help="Where to, e.g. s3://bucket/jobs."),
    ] = None,
    region: Region = None,
    profile: Profile = None,
    release: Release = None,
    arch: Arch = None,
    bucket_owner: BucketOwner = None,
    encryption: Annotated[
        str | None,
        typer.Option("--encryption", metavar="SORT", help="AES256 or aws:kms [as the bucket]."),
    ] = None,
    kms_key: Annotated[
        str | None, typer.Option("--kms-key", metavar="KEY", help="Id, ARN or alias of a KMS key.")
    ] = None,
    storage_class: Annotated[
        str | None, typer.Option("--storage-class", metavar="CLASS", help="As in STANDARD.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="Tag of objects; may be repeated."),
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(
            "--repository", metavar="NAME[:TAG]", help="Where images go in ECR, if there are any."
        ),
    ] = None,
    application: Annotated[
        list[str] | None,
        typer.Option(
            "--application", metavar="ID", help="Who may pull them: ID, ARN, or `all`; repeatable."
        ),
    ] = None,
    waive: Waive = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every call it would make; change nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Upload what was packed to S3, and its images to ECR.

    Names in S3 are made of the content. Prints the URI of each record on standard output. What is
    there already is not sent again.
    """
    from packager.cli.publish_ready import packed_on_the_way, read
    from packager.publishing.options import object_options
    from packager.publishing.places import parse_place
    from packager.recorded import fitting_records

    console = Console(quiet=quiet, json=json)
    flags = {
        "s3_uri": s3_uri,
        "region": region,
        "profile": profile,
        "release": release,
        "arch": arch,
        "bucket_owner": bucket_owner,
        "encryption": encryption,
        "kms_key": kms_key,
        "storage_class": storage_class,
        "s3_tags": tag,
        "waivers": pairs("--waive", "CODE=REASON", waive),
    }
    project, settings = (
        _to_pack(records, flags) if pack else settings_of(None, flags, required=False)
    )
    if settings.s3_uri is None:
        raise ConfigError(
            "it is not said where to publish",
            fix='add s3-uri = "s3://bucket/jobs" to [tool.packager], or use --s3-uri',
        )
    options, place = object_options(settings), parse_place(settings.s3_uri)
    root = Path.cwd() if project is None else project.root
    folder = records_folder(project, settings)
    to = None
    if repository or application or settings.ecr:
        from packager.cli.ecr import destination

        to = destination(settings, root, repository, application or ())
    started = time.monotonic()
    if pack:
        assert project is not None  # noqa: S101  # it is required here
        way: AbstractContextManager[Ready] = packed_on_the_way(
            project, settings, console, place=place, options=options, dry_run=dry_run
        )
    else:
        arches = settings.arch if arch else ()
        found = fitting_records(records or (), folder, release=settings.release, arches=arches)
        way = nullcontext(read(found, settings, options, place))
    with way as ready:
        if dry_run:
            _tell(ready, to, console)
        else:
            _bring(ready, to, options.encryption, started, console)


def _to_pack(
    paths: list[Path] | None, flags: "Mapping[str, Any]"
) -> "tuple[Project | None, Settings]":
    from packager.cli.pack import project_or_environment

    if paths and len(paths) > 1:
        raise ConfigError(
            f"{len(paths)} projects are to be packed", why="--pack takes one", fix="name one"
        )
    return project_or_environment(paths[0] if paths else None, flags)


def _tell(ready: "Ready", to: "Destination | None", console: Console) -> None:
    """The calls that would be made."""
    from packager.publishing.publication import planned, with_images

    prepared, session = ready.prepared, ready.session
    with_image = [one.record for one in prepared if one.record.images]
    calls: tuple[Call, ...] = ()
    if with_image:
        from packager.cli.publish_images import planned_calls

        calls, images = planned_calls(with_image, session, to, console)
        prepared = with_images(prepared, images)
    _show_calls((*planned(prepared, ready.store, session.region), *calls), console)


def _bring(
    ready: "Ready",
    to: "Destination | None",
    encryption: str | None,
    started: float,
    console: Console,
) -> None:
    from packager.cli.meter import meter
    from packager.publishing.publication import publish, require_regions, with_images

    prepared, session = ready.prepared, ready.session
    with_image = [one.record for one in prepared if one.record.images]
    require_regions(prepared, ready.store, session.region)
    placed: dict[str, tuple[Placed, ...]] = {}
    if with_image:  # before the records, which say where they are
        from packager.cli.publish_images import bring

        placed = bring(with_image, session, to, console)
        images = {name: [p.image for p in of] for name, of in placed.items()}
        prepared = with_images(prepared, images)
    with meter(console) as shown:
        published = publish(
            prepared, ready.store, meter=shown, encryption=encryption, warn=console.warn
        )
    for one in (one for of in placed.values() for one in of):
        console.say(one.line())
    _show(published, placed, time.monotonic() - started, console)


def _show_calls(calls: "Sequence[Call]", console: Console) -> None:
    sent = sum(call.size for call in calls)
    console.say(f"{len(calls)} calls would be made, which send {sent:,} bytes of content:")
    if console.json:
        document = [{"call": c.name, "uri": c.uri, "part": c.part, "size": c.size} for c in calls]
        console.document(document)
        return
    for call in calls:
        console.data(str(call))


def _show(
    published: "tuple[Published, ...]",
    placed: "Mapping[str, Sequence[Placed]]",
    elapsed_s: float,
    console: Console,
) -> None:
    unique = {sent.item.place: sent for one in published for sent in one.sent}
    for sent in unique.values():
        state = "there already" if sent.present else _told(sent)
        console.say(f"{sent.item.digests.size / 1e6:9.2f} MB  {sent.item.place.uri}  {state}")
    new = [sent for sent in unique.values() if not sent.present]
    pushed = [one for of in placed.values() for one in of if one.new]
    size = sum(sent.sent for sent in new) + sum(one.sent for one in pushed)
    if new or pushed:
        told = f"Published {len(new)} of {len(unique)} files"
        told += f" and {len(pushed)} image{'s' if len(pushed) > 1 else ''}" if pushed else ""
        console.say(f"{told}, {size / 1e6:.2f} MB sent, in {elapsed_s:.1f} s")
    else:
        console.say(f"Nothing to send: all {len(unique)} files are there already")
    if console.json:
        console.document([_document(one, placed) for one in published])
        return
    for one in published:
        console.data(one.prepared.document.place.uri)


def _told(sent: "Sent") -> str:
    return f"resumed after {sent.resumed / 1e6:.2f} MB" if sent.resumed else "sent"


def _document(published: "Published", placed: "Mapping[str, Sequence[Placed]]") -> dict[str, Any]:
    prepared = published.prepared
    return {
        "record": str(prepared.found.folder / prepared.record.name),
        "uri": prepared.document.place.uri,
        "files": [
            {
                "uri": sent.item.place.uri,
                "sha256": sent.item.digests.sha256,
                "size": sent.item.digests.size,
                "present": sent.present,
                "sent": sent.sent,
                "resumed": sent.resumed,
            }
            for sent in published.sent
        ],
        "images": [one.told() for one in placed.get(prepared.record.name, ())],
    }
