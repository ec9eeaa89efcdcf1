"""`packager prune`: what was published and is not used any more."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import BucketOwner, Json, Profile, Quiet, RecordsAt, Region, settings_of
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.publishing.versions import Pruning


def prune(
    s3_uri: Annotated[
        str | None,
        typer.Option("--s3-uri", metavar="URI", help="Where it was published."),
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(
            "--repository", metavar="NAME", help="Whose images; else [tool.packager.ecr]."
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            metavar="N",
            min=1,
            help="Versions to keep for each project, release and architecture [all].",
        ),
    ] = None,
    older_than: Annotated[
        int,
        typer.Option("--older-than", metavar="DAYS", min=1, help="Keep what is younger."),
    ] = 7,
    record: RecordsAt = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only shown.")] = False,
    region: Region = None,
    profile: Profile = None,
    bucket_owner: BucketOwner = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List published versions; remove what is not used.

    What a record that stays, a record in dist, an application or a run under way names is kept, and
    all that packager has not made. Prints what goes, a line for each.
    """
    from packager.adapters.aws.ecr import ecr_of, logins_of
    from packager.adapters.aws.emr import EmrServerless
    from packager.adapters.aws.removals import EcrGallery, S3Folder
    from packager.adapters.aws.s3 import open_s3
    from packager.adapters.aws.session import open_session
    from packager.adapters.clock import now
    from packager.adapters.registry.client import registry_client
    from packager.cli.ecr import wanted_repository
    from packager.cli.meter import meter
    from packager.publishing.addresses import parse_repository
    from packager.publishing.options import object_options
    from packager.publishing.places import parse_place
    from packager.publishing.pruning import look, users_of
    from packager.publishing.pruning import prune as run_prune
    from packager.publishing.versions import DAY_S
    from packager.recorded import records_at, records_in

    console = Console(quiet=quiet, json=json)
    flags = {"s3_uri": s3_uri, "region": region, "profile": profile, "bucket_owner": bucket_owner}
    project, settings = settings_of(None, flags, required=False)
    root = project.root if project else Path.cwd()
    if settings.s3_uri is None:
        raise ConfigError(
            "it is not said where it was published",
            fix='add s3-uri = "s3://bucket/jobs" to [tool.packager], or use --s3-uri',
        )
    place = parse_place(settings.s3_uri)
    named = repository or wanted_repository(settings, root)[0].repository
    folder = root / settings.out if (root / settings.out).is_dir() else root
    found = records_at(record) if record else records_in(folder)
    session = open_session(settings, os.environ)
    store = S3Folder(s3=open_s3(session, object_options(settings)))
    gallery = None
    if named is not None:
        address = parse_repository(named)
        ecr = ecr_of(session, address)
        client = registry_client(os.environ, logins=logins_of(session, os.environ))
        gallery = EcrGallery(ecr=ecr, repository=ecr.require(address), client=client)
    used = users_of((one.record for one in found), EmrServerless(session))
    before = now() - older_than * DAY_S
    with meter(console) as shown:
        pruning = look(place, store, gallery, shown, used=used, keep=keep, before=before)
        _show(pruning, console)
        if yes and not pruning.nothing:
            pruning = run_prune(pruning, place, store, gallery, meter=shown, say=console.say)
    if pruning.nothing:
        console.say("Nothing to remove")
    elif yes:
        console.say(f"Removed {_count(pruning)}")
    else:
        console.say(f"{_count(pruning)} would be removed: add --yes to do it")
    if console.json:
        console.document(_document(pruning, removed=yes))


def _show(pruning: "Pruning", console: Console) -> None:
    for judged in pruning.versions:
        version = judged.version
        day = time.strftime("%Y-%m-%d", time.gmtime(version.stored.modified))
        what = f"{version.record.release} {version.record.arch}  {version.stored.place.name}"
        console.say(f"{day}  {what}  {f'stays: {judged.why}' if judged.why else 'goes'}")
    if console.json:
        return
    for one in (*pruning.records, *pruning.objects):
        console.data(one.place.uri)
    for image in pruning.images:
        console.data(image.reference)
    for upload in pruning.uploads:
        console.data(f"{upload.place.uri} (an upload that was broken off)")


def _count(pruning: "Pruning") -> str:
    counts = (
        (len(pruning.records), "record"),
        (len(pruning.objects), "file"),
        (len(pruning.images), "image"),
        (len(pruning.uploads), "broken upload"),
    )
    parts = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count]
    return f"{', '.join(parts)}, {pruning.size / 1e6:.2f} MB"


def _document(pruning: "Pruning", *, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "versions": [
            {
                "uri": judged.version.stored.place.uri,
                "release": judged.version.record.release,
                "arch": judged.version.record.arch,
                "modified": judged.version.stored.modified,
                "stays": judged.why or None,
            }
            for judged in pruning.versions
        ],
        "objects": [one.place.uri for one in (*pruning.records, *pruning.objects)],
        "images": [asdict(image) for image in pruning.images],
        "uploads": [
            {"uri": one.place.uri, "id": one.number, "begun": one.begun} for one in pruning.uploads
        ],
        "size": pruning.size,
    }
