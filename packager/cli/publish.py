"""`packager publish`: what was packed, to where jobs find it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import (
    Arch,
    Json,
    Profile,
    Quiet,
    Records,
    Region,
    Release,
    Waive,
    pairs,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packager.publishing.calls import Call
    from packager.publishing.publication import Published
    from packager.publishing.store import Sent


def publish(
    records: Records = None,
    s3_uri: Annotated[
        str | None,
        typer.Option("--s3-uri", metavar="URI", help="Where to, e.g. s3://bucket/jobs."),
    ] = None,
    region: Region = None,
    profile: Profile = None,
    release: Release = None,
    arch: Arch = None,
    bucket_owner: Annotated[
        str | None,
        typer.Option("--bucket-owner", metavar="ACCOUNT", help="Account the bucket must be of."),
    ] = None,
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
    waive: Waive = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every call it would make; change nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Upload what was packed to S3, under names made of its content.

    Prints the URI of each record on standard output. What is there already is not sent again.
    """
    from packager.cli.meter import meter
    from packager.publishing.options import object_options
    from packager.publishing.places import parse_place
    from packager.publishing.publication import planned, prepare
    from packager.publishing.publication import publish as run_publish
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
    project, settings = settings_of(None, flags, required=False)
    if settings.s3_uri is None:
        raise ConfigError(
            "it is not said where to publish",
            fix='add s3-uri = "s3://bucket/jobs" to [tool.packager], or use --s3-uri',
        )
    options, place = object_options(settings), parse_place(settings.s3_uri)
    folder = Path.cwd() if project is None else project.root / settings.out
    arches = settings.arch if arch else ()
    found = fitting_records(records or (), folder, release=settings.release, arches=arches)
    started = time.monotonic()
    with ThreadPoolExecutor(1) as beside:  # the SDK takes as long to load as files to be read
        prepared = beside.submit(prepare, found, place, settings)
        from packager.adapters.aws.s3 import open_s3
        from packager.adapters.aws.session import open_session

        session = open_session(settings, os.environ)
        store = open_s3(session, options)
        ready = prepared.result()
    if dry_run:
        _show_calls(planned(ready, store, session.region), console)
        return
    with meter(console) as shown:
        published = run_publish(
            ready,
            store,
            region=session.region,
            meter=shown,
            encryption=options.encryption,
            warn=console.warn,
        )
    _show(published, time.monotonic() - started, console)


def _show_calls(calls: "Sequence[Call]", console: Console) -> None:
    sent = sum(call.size for call in calls)
    console.say(f"{len(calls)} calls would be made, which send {sent:,} bytes of content:")
    if console.json:
        document = [{"call": c.name, "uri": c.uri, "part": c.part, "size": c.size} for c in calls]
        console.document(document)
        return
    for call in calls:
        console.data(str(call))


def _show(published: "tuple[Published, ...]", elapsed_s: float, console: Console) -> None:
    unique = {sent.item.place: sent for one in published for sent in one.sent}
    for sent in unique.values():
        state = "there already" if sent.present else _told(sent)
        console.say(f"{sent.item.digests.size / 1e6:9.2f} MB  {sent.item.place.uri}  {state}")
    new = [sent for sent in unique.values() if not sent.present]
    size = sum(sent.sent for sent in new)
    if new:
        told = f"Published {len(new)} of {len(unique)} files"
        console.say(f"{told}, {size / 1e6:.2f} MB sent, in {elapsed_s:.1f} s")
    else:
        console.say(f"Nothing to send: all {len(unique)} files are there already")
    if console.json:
        console.document([_document(one) for one in published])
        return
    for one in published:
        console.data(one.prepared.document.place.uri)


def _told(sent: "Sent") -> str:
    return f"resumed after {sent.resumed / 1e6:.2f} MB" if sent.resumed else "sent"


def _document(published: "Published") -> dict[str, Any]:
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
    }
