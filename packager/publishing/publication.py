"""From records on disk to what lies in S3: what is refused, what goes first, what is recorded.

Records go last, so who finds one finds all that it names. Nothing that is there is overwritten.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packager.errors import CommandError, ConfigError, ValidationFailedError
from packager.findings import Report, waive
from packager.output import write_whole
from packager.publishing.calls import Call, calls_to_look, calls_to_put
from packager.publishing.digests import Digests, digests_if_known, digests_of
from packager.publishing.places import Place, named_by_content
from packager.publishing.store import Item, Meter, ObjectStore, Sent
from packager.record import Artifact, Record, RecordedImage, to_text
from packager.recorded import Found, require_recorded
from packager.sbom import sbom_name
from packager.settings import Settings

CONTENT_TYPES: Final = {
    ".gz": "application/gzip",
    ".py": "text/x-python",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A record and all that is to be published of it, checked."""

    found: Found
    record: Record
    """As it will be written, with locations."""
    artifacts: tuple[Item, ...]
    """Bill of materials included."""
    document: Item
    """The record, for those who have not got this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    prepared: Prepared
    sent: tuple[Sent, ...]
    """The record's is the last."""


def prepare(
    found: Sequence[Found],
    place: Place,
    settings: Settings,
    known: Mapping[Path, Digests] | None = None,
) -> tuple[Prepared, ...]:
    """Read what the records name, once for all of them, unless its digests are `known`.

    Raise `ValidationFailedError` for what must not be used, `ConfigError` for what is not there or
    is not what the record describes. Nothing is asked of AWS.
    """
    records = [replace(f.record, report=passed(f.record, settings).to_json()) for f in found]
    read = dict(known or {})
    return tuple(
        _prepared(replace(one, record=record), place, read)
        for one, record in zip(found, records, strict=True)
    )


def with_images(
    prepared: Sequence[Prepared], images: Mapping[str, Sequence[RecordedImage]]
) -> tuple[Prepared, ...]:
    """The same, with where images are, by the records' names: another document for each."""
    return tuple(
        replace(one, record=record, document=document)
        for one in prepared
        for record, document in [
            documented(
                replace(one.record, images=tuple(images.get(one.record.name, one.record.images))),
                one.document.place.folder,
            )
        ]
    )


def require_regions(prepared: Sequence[Prepared], store: ObjectStore, region: str) -> None:
    """Raise `CommandError` for a bucket elsewhere than the jobs, before anything is sent."""
    for bucket in _by_bucket(prepared):
        require_bucket(store, bucket, region)


def planned(prepared: Sequence[Prepared], store: ObjectStore, region: str) -> tuple[Call, ...]:
    """The calls of `publish`, for which it is only asked what is there."""
    calls: list[Call] = []
    for bucket, items in _by_bucket(prepared).items():
        require_bucket(store, bucket, region)
        calls += calls_to_look(bucket, items)
        calls += [c for i in items if store.find(i.place) is None for c in calls_to_put(i)]
    return tuple(calls)


def publish(
    prepared: Sequence[Prepared],
    store: ObjectStore,
    *,
    meter: Meter,
    encryption: str | None,
    warn: Callable[[str], None],
) -> tuple[Published, ...]:
    """Put what is not there, and write the records with where it is.

    `encryption` is what is asked for. Raise `CommandError` where it ends before all is there; the
    next run goes on from there.
    """
    done = _put({i.place: i for p in prepared for i in p.artifacts}, store, meter)
    done |= _put({p.document.place: p.document for p in prepared}, store, meter)
    for sent in done.values():
        _warn_of_encryption(sent, encryption, warn)
    for one in prepared:
        write_whole(one.found.folder / one.record.name, to_text(one.record).encode())
    return tuple(
        Published(prepared=p, sent=tuple(done[i.place] for i in (*p.artifacts, p.document)))
        for p in prepared
    )


def passed(record: Record, settings: Settings) -> Report:
    """What the checks said, with the waivers of now.

    Raise `ValidationFailedError` where it did not pass, or was never judged.
    """
    if not record.report:
        raise ValidationFailedError(
            f"{record.name} says of no check that it was made",
            why="what was not validated is not published",
            fix="make it again: packager pack",
        )
    report = Report.from_json(record.report)
    if not report.passed:  # what was waived when it was packed is known to the report
        report = replace(waive(report, settings.waivers), unneeded=report.unneeded)
    if not report.passed:
        failed = sorted({finding.check for finding in report.errors})
        raise ValidationFailedError(
            f"{record.name} did not pass: {', '.join(failed) or 'nothing was checked'}",
            why="; ".join(finding.what for finding in report.errors),
            fix="correct it and pack again; or take it upon you: --waive "
            + (f"{failed[0]}=REASON" if failed else "CODE=REASON"),
        )
    return report


def _prepared(found: Found, place: Place, known: dict[Path, Digests]) -> Prepared:
    record = found.record
    items = [_item(found, artifact, place, known) for artifact in record.artifacts]
    locations = {a.file: i.place.uri for a, i in zip(record.artifacts, items, strict=True)}
    checksums = {a.file: i.digests.checksum for a, i in zip(record.artifacts, items, strict=True)}
    bill = found.folder / sbom_name(record)
    data = _read(bill, record)
    item = _document(sbom_name(record), data, place)
    items.append(item)
    record = replace(
        record, locations={**locations, bill.name: item.place.uri}, checksums=checksums
    )
    record, document = documented(record, place)
    return Prepared(found=found, record=record, artifacts=tuple(items), document=document)


def documented(record: Record, place: Place) -> tuple[Record, Item]:
    """The record as it is kept here, and as it is published: that lacks its own location.

    For that is made of its content.
    """
    known = {name: uri for name, uri in record.locations.items() if name != record.name}
    record = replace(record, locations=known)
    document = _document(record.name, to_text(record).encode(), place)
    return replace(record, locations={**known, record.name: document.place.uri}), document


def _item(found: Found, artifact: Artifact, place: Place, known: dict[Path, Digests]) -> Item:
    path = found.path(artifact)
    if artifact.sha256[:12] not in artifact.file:
        raise ConfigError(
            f"{artifact.file} is not named by its content",
            why="what it holds might change under a job that runs",
            fix="make it again: packager pack",
        )
    if path not in known:
        try:
            known[path] = _digests_of(path, artifact, found.record)
        except OSError as error:
            raise _unreadable(path, error, found.record) from error
    digests = known[path]
    require_recorded(found, artifact, digests.sha256)
    return Item(
        place=place / artifact.file,
        source=path,
        digests=digests,
        content_type=CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
    )


def _digests_of(path: Path, artifact: Artifact, record: Record) -> Digests:
    checksum = record.checksums.get(artifact.file)
    known = digests_if_known(path, artifact.sha256, checksum) if checksum else None
    return known or digests_of(path)


def _document(name: str, data: bytes, place: Place) -> Item:
    digests = digests_of(data)
    return Item(
        place=place / named_by_content(name, digests.sha256),
        source=data,
        digests=digests,
        content_type=CONTENT_TYPES[".json"],
    )


def _read(path: Path, record: Record) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error, record) from error


def _unreadable(path: Path, error: OSError, record: Record) -> ConfigError:
    return ConfigError(
        f"{path} can not be read",
        why=f"{error.strerror or error}; the record {record.name} goes with it",
        fix="make it again: packager pack",
    )


def _by_bucket(prepared: Sequence[Prepared]) -> dict[str, tuple[Item, ...]]:
    """Each item once, records last."""
    items = [i for p in prepared for i in p.artifacts] + [p.document for p in prepared]
    unique = {item.place: item for item in items}.values()
    buckets = dict.fromkeys(item.place.bucket for item in unique)
    return {b: tuple(item for item in unique if item.place.bucket == b) for b in buckets}


def _put(items: dict[Place, Item], store: ObjectStore, meter: Meter) -> dict[Place, Sent]:
    sent = store.put(tuple(items.values()), meter)
    return dict(zip(items, sent, strict=True))


def require_bucket(store: ObjectStore, bucket: str, region: str) -> None:
    """Raise `CommandError` for one that is elsewhere than the jobs, or can not be used."""
    # User Guide, "Configuring VPC access": without a VPC, jobs reach S3 of their own Region only.
    found = store.region_of(bucket)
    if found not in {None, region}:
        raise CommandError(
            f"the bucket {bucket} is in {found}, and the jobs are in {region}",
            why="EMR Serverless reads from buckets of its own Region alone, unless it has a VPC",
            fix=f"take a bucket in {region}, or --region {found} if the jobs run there",
        )


def _warn_of_encryption(sent: Sent, encryption: str | None, warn: Callable[[str], None]) -> None:
    if sent.present and encryption and sent.encryption != encryption:
        warn(
            f"warning: {sent.item.place.uri} was there before, and is kept as it is: encrypted by"
            f" {sent.encryption or 'nothing'}, not by {encryption}"
        )
