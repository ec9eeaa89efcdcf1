"""Whether what lies in S3 or in a registry is what a record describes. Nothing is changed.

What S3 has verified and the record knows decides without a download. Only an object that was stored
in another way, or in other parts, is read, and hashed on its way.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, Protocol

from packager.errors import CommandError, ConfigError
from packager.manifests import Descriptor
from packager.publishing.digests import base64_of
from packager.publishing.places import Place, parse_place
from packager.publishing.store import Meter, Stored
from packager.record import SUFFIX, Artifact, Record, from_text
from packager.references import Reference

LARGEST_RECORD = 100_000_000
"""Bytes; records take some thousands."""

How = Literal["checksum", "content", "digest", "missing"]
"""By S3's checksum, by its bytes, by its manifest's digest; or it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    uri: str
    name: str
    """As the record has it."""
    same: bool
    how: How
    why: str = ""
    """How it differs."""


class Objects(Protocol):
    """S3, as far as it is read."""

    def look(self, place: Place) -> Stored | None:
        """None where nothing is there. Raise `CommandError` where that may not be known."""

    def pieces(self, place: Place, meter: Meter) -> Iterator[bytes]: ...


def verify_object(
    place: Place, artifact: Artifact, record: Record, store: Objects, meter: Meter
) -> Verdict:
    def verdict(how: How, why: str = "") -> Verdict:
        return Verdict(uri=place.uri, name=artifact.file, same=not why, how=how, why=why)

    stored = store.look(place)
    if stored is None:
        return verdict("missing", "nothing is there")
    if stored.size != artifact.size:
        return verdict("checksum", f"it has {stored.size:,} bytes, not {artifact.size:,}")
    match _by_checksum(stored, artifact, record.checksums.get(artifact.file)):
        case True:
            return verdict("checksum")
        case False:
            return verdict("checksum", f"S3 computes {stored.checksum} of it")
        case None:
            digest = hashlib.sha256()
            for piece in store.pieces(place, meter):
                digest.update(piece)
            found = digest.hexdigest()
            told = "" if found == artifact.sha256 else f"its SHA-256 is {found}"
            return verdict("content", told)


def _by_checksum(stored: Stored, artifact: Artifact, recorded: str | None) -> bool | None:
    """None where it does not tell: it may be of other parts than ours."""
    whole = base64_of(artifact.sha256)
    if stored.checksum is None:
        return None
    if stored.checksum in {whole, recorded}:
        return True
    if stored.whole:
        return False
    parts = stored.checksum.partition("-")[2]
    return False if recorded and parts and parts == recorded.partition("-")[2] else None


def published_record(place: Place, store: Objects, meter: Meter) -> Record:
    """A record that lies in S3, under a name made of its content. Raise `ConfigError` if not."""
    stored = store.look(place)
    if stored is None:
        raise CommandError(f"{place.uri} is not there", fix="look at its name")
    if stored.size > LARGEST_RECORD:
        raise ConfigError(f"{place.uri} is no record", why=f"it has {stored.size:,} bytes")
    data = b"".join(store.pieces(place, meter))
    name = PurePosixPath(place.key).name.removesuffix(SUFFIX)
    if not name.endswith(f"-{hashlib.sha256(data).hexdigest()[:12]}"):
        raise ConfigError(
            f"{place.uri} is not what was published under that name",
            why=f"its SHA-256 begins with {hashlib.sha256(data).hexdigest()[:12]}",
            fix="somebody has changed it: publish again, elsewhere or after removing it",
        )
    return from_text(data.decode("utf-8", "replace"), place.uri)


def verify_record(record: Record, store: Objects, meter: Meter) -> tuple[Verdict, ...]:
    """All that was published of it. Raise `ConfigError` where nothing was."""
    if not record.published:
        raise ConfigError(f"{record.name} was not published", fix="do it: packager publish")
    return tuple(
        verify_object(parse_place(record.locations[a.file]), a, record, store, meter)
        for a in record.artifacts
    )


def described(uri: str, records: Sequence[Record]) -> tuple[Artifact, Record]:
    """What is published at `uri`, as the first of the records describes it.

    Raise `ConfigError` where none does.
    """
    name = PurePosixPath(parse_place(uri).key).name
    for record in records:
        for artifact in record.artifacts:
            if artifact.file == name or record.locations.get(artifact.file) == uri:
                return artifact, record
    raise ConfigError(
        f"no record describes {uri}",
        why=f"looked at were {', '.join(r.name for r in records) or 'none'}",
        fix="name one with --record",
    )


def verify_image(
    reference: Reference,
    records: Sequence[Record],
    find: Callable[[Reference], Descriptor | None],
) -> Verdict:
    """Whether a reference stands for an image that one of the records describes."""
    images = {image.digest: record for record in records for image in record.images}
    if not images:
        raise ConfigError(
            f"no record describes the image {reference}",
            why=f"looked at were {', '.join(r.name for r in records) or 'none'}",
            fix="name one with --record",
        )
    found = find(reference)
    told = ""
    if found is None:
        told = "nothing is there"
    elif found.digest not in images:
        told = f"it is {found.digest}, not {' or '.join(sorted(images))}"
    name = images[found.digest].name if found and not told else ""
    how: How = "digest" if found else "missing"
    return Verdict(uri=str(reference), name=name, same=not told, how=how, why=told)
