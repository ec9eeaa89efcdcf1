"""The same content somewhere else: another bucket, repository, account or Region. Nothing is built.

What is copied is held against the record before and after, by what S3 has computed of it; where S3
may not copy from the one place to the other itself, content goes through this machine. The record
comes last, with the new places in it.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from packager.errors import CommandError, ConfigError
from packager.publishing.digests import Digests, digests_of
from packager.publishing.places import Place, parse_place
from packager.publishing.publication import CONTENT_TYPES, documented
from packager.publishing.store import Item, Meter, ObjectStore
from packager.publishing.verification import Objects, Verdict, verify_object
from packager.record import Artifact, Record

How = Literal["there already", "copied by S3", "sent from here", "would be copied"]


class Copier(Objects, ObjectStore, Protocol):
    """S3 where things go to."""

    def copy(self, source: Place, item: Item) -> bool:
        """Have S3 copy it, if nothing is there.

        False where S3 does not do that, as where it is denied the source.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    name: str
    uri: str
    size: int
    """Bytes."""
    how: How


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From where to where."""

    source: Objects
    to: Place
    store: Copier
    meter: Meter
    dry_run: bool
    """Whether it is only looked what would be done."""


def require_published(record: Record) -> None:
    """Raise `ConfigError` for a record whose files are on one machine only."""
    if not record.published:
        raise ConfigError(f"{record.name} was not published", fix="do it: packager publish")


def promote_files(record: Record, way: Way) -> tuple[Record, tuple[Copied, ...]]:
    """Copy what a record names; the record with the new places, but not published itself yet.

    Raise `CommandError` for what is not what the record describes, where something else is in the
    way, and where it fails.
    """
    copied: list[Copied] = []
    locations: dict[str, str] = {}
    checksums: dict[str, str] = {}
    for artifact in record.artifacts:
        place = way.to / parse_place(record.locations[artifact.file]).name
        how = _artifact(artifact, record, place, way)
        copied.append(Copied(name=artifact.file, uri=place.uri, size=artifact.size, how=how))
        locations[artifact.file] = place.uri
        stored = None if way.dry_run else way.store.look(place)
        if stored is not None and stored.checksum:
            checksums[artifact.file] = stored.checksum
    known = {record.name, *(artifact.file for artifact in record.artifacts)}
    for name, uri in record.locations.items():
        if name not in known:  # the bill of materials
            at = parse_place(uri)
            data = b"".join(way.source.pieces(at, way.meter))
            copied.append(_put(data, name, way.to / at.name, way))
            locations[name] = (way.to / at.name).uri
    return replace(record, locations=locations, checksums=checksums), tuple(copied)


def promote_record(record: Record, way: Way) -> tuple[Record, Copied]:
    """Publish the record at its new place; the record as it is kept, with its own place."""
    kept, item = documented(record, way.to)
    assert isinstance(item.source, bytes)  # noqa: S101  # records are made in memory
    return kept, _put(item.source, record.name, item.place, way)


def _artifact(artifact: Artifact, record: Record, place: Place, way: Way) -> How:
    at = parse_place(record.locations[artifact.file])
    store, meter = way.store, way.meter
    if store.look(place) is not None:
        there = verify_object(place, artifact, record, store, meter)
        _require_same(there, "is there and holds something else")
        return "there already"
    before = verify_object(at, artifact, record, way.source, meter)
    _require_same(before, "is not what was published")
    if way.dry_run:
        return "would be copied"
    item = Item(
        place=place,
        source=b"",  # S3 has it
        digests=Digests(sha256=artifact.sha256, size=artifact.size, parts=()),
        content_type=_type_of(artifact.file),
    )
    how: How = "copied by S3"
    if not store.copy(at, item):
        how = "sent from here"
        _send(at, item, way)
    after = verify_object(place, artifact, record, store, meter)
    _require_same(after, "is not what was copied")
    return how


def _send(at: Place, item: Item, way: Way) -> None:
    with tempfile.TemporaryDirectory(prefix="packager-") as folder:
        path = Path(folder) / "content"
        with path.open("wb") as out:
            out.writelines(way.source.pieces(at, way.meter))
        digests = digests_of(path)
        if digests.sha256 != item.digests.sha256:
            raise CommandError(
                f"{at.uri} arrived as something else",
                why=f"its SHA-256 is {digests.sha256}, the record's {item.digests.sha256}",
                fix="repeat the command; or publish again: packager publish",
            )
        way.store.put([replace(item, source=path, digests=digests)], way.meter)


def _require_same(verdict: Verdict, what: str) -> None:
    if not verdict.same:
        raise CommandError(
            f"{verdict.uri} {what}",
            why=verdict.why,
            fix="publish it again: packager publish; or look who has changed it",
        )


def _put(data: bytes, name: str, place: Place, way: Way) -> Copied:
    item = Item(
        place=place, source=data, digests=digests_of(data), content_type=CONTENT_TYPES[".json"]
    )
    how: How
    if way.dry_run:
        how = "there already" if way.store.find(place) else "would be copied"
    else:
        (sent,) = way.store.put([item], way.meter)
        how = "there already" if sent.present else "sent from here"
    return Copied(name=name, uri=place.uri, size=len(data), how=how)


def _type_of(file: str) -> str:
    return CONTENT_TYPES.get(PurePosixPath(file).suffix, "application/octet-stream")
