"""Takes away what was published and is not used any more, in an order that never leaves a half.

Records go first: whoever is killed after that leaves files that nothing names, which the next
pruning finds. Before files and images go, it is looked again whether somebody has published
meanwhile what names them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from packager.jobs.applications import describe, listed
from packager.jobs.deploying import active_runs
from packager.jobs.ports import Emr
from packager.publishing.places import ARRIVING, Place
from packager.publishing.store import Meter
from packager.publishing.verification import Objects, published_record
from packager.publishing.versions import (
    Pruning,
    StoredImage,
    StoredObject,
    StoredUpload,
    Version,
    is_ours,
    named_by,
    named_in,
    plan_pruning,
    spared,
)
from packager.record import Record


class Folder(Objects, Protocol):
    """A place in S3 whose objects can be listed and removed."""

    def listed(self, folder: Place) -> Sequence[StoredObject]:
        """What lies in it, not what lies in folders of it."""

    def uploads(self, folder: Place) -> Sequence[StoredUpload]:
        """Those under way or broken off in it, and in folders of it."""

    def remove(self, objects: Sequence[StoredObject]) -> None:
        """Raise `CommandError` where one can not be removed."""

    def abort(self, upload: StoredUpload) -> None:
        """Raise `CommandError` where it can not be given up. One that has ended is no error."""


class Gallery(Protocol):
    """A repository of images. All raise `CommandError` where a call fails or is denied."""

    def listed(self) -> Sequence[StoredImage]: ...

    def made_by_packager(self, image: StoredImage) -> bool: ...

    def remove(self, images: Sequence[StoredImage]) -> None: ...


def users_of(records: Iterable[Record], emr: Emr) -> dict[str, str]:
    """Who uses what: names in S3 and of images, and one who uses each.

    Asked are all applications of the account and Region, and runs of theirs that are under way.
    """
    users = {
        name: f"the record {record.name} here" for record in records for name in named_by(record)
    }
    for one in listed(emr):
        identity = one["id"]
        who = f"the application {one.get('name') or identity}"
        users |= dict.fromkeys(named_in(describe(emr, identity)), who)
        for run in active_runs(emr, identity):
            asked = {"applicationId": identity, "jobRunId": run}
            document = emr.call("GetJobRun", asked)["jobRun"]
            users |= dict.fromkeys(named_in(document), f"the run {run} of {who}")
    return users


def versions_in(
    store: Folder, objects: Sequence[StoredObject], meter: Meter
) -> tuple[Version, ...]:
    """Those whose records lie there. Raise `ConfigError` for a record that can not be read.

    What such a one names is not known, so that nothing may go.
    """
    return tuple(
        Version(stored=one, record=published_record(one.place, store, meter))
        for one in objects
        if one.is_record
    )


def look(
    folder: Place,
    store: Folder,
    gallery: Gallery | None,
    meter: Meter,
    *,
    used: dict[str, str],
    keep: int | None,
    before: float,
) -> Pruning:
    """What there is, and what may go. Nothing is changed."""
    objects = store.listed(folder)
    images = gallery.listed() if gallery else ()
    versions = versions_in(store, objects, meter)
    found = plan_pruning(objects, versions, images, used=used, keep=keep, before=before)
    arrived, uploads = abandoned(folder, store, before)
    found = replace(found, objects=(*found.objects, *arrived), uploads=uploads)
    if gallery is None:
        return found
    named = {name for version in versions for name in version.names}
    ours = (i for i in found.images if i.names & named or gallery.made_by_packager(i))
    return replace(found, images=tuple(ours))


def abandoned(
    folder: Place, store: Folder, before: float
) -> tuple[tuple[StoredObject, ...], tuple[StoredUpload, ...]]:
    """What publications left that were killed: what had arrived, and uploads that did not end."""
    passing = folder / ARRIVING
    uploads = (
        u
        for u in store.uploads(folder)
        if u.place.folder == passing or (u.place.folder == folder and is_ours(u.place))
    )
    return (
        tuple(o for o in store.listed(passing) if o.modified < before),
        tuple(u for u in uploads if u.begun < before),
    )


def clear_abandoned(folder: Place, store: Folder, before: float) -> None:
    """Take that away. Raise `CommandError` where it can not be."""
    arrived, uploads = abandoned(folder, store, before)
    store.remove(arrived)
    for one in uploads:
        store.abort(one)


def prune(
    pruning: Pruning,
    folder: Place,
    store: Folder,
    gallery: Gallery | None,
    *,
    meter: Meter,
    say: Callable[[str], None],
) -> Pruning:
    """Remove it, but for what somebody names since it was looked at; what was removed.

    Raise `CommandError` where something can not be removed; then the same again goes on.
    """
    store.remove(pruning.records)
    for one in pruning.records:
        say(f"removed {one.place.uri}")
    left = versions_in(store, store.listed(folder), meter)
    now = spared(pruning, (name for version in left for name in version.names))
    if gallery is not None and now.images:
        gallery.remove(now.images)
        for image in now.images:
            say(f"removed {image.reference}")
    store.remove(now.objects)
    for one in now.objects:
        say(f"removed {one.place.uri}")
    for upload in now.uploads:
        store.abort(upload)
        say(f"gave the upload of {upload.place.uri} up")
    return now
