"""What was published over time, what of it is still used, and what may go. Pure.

A version is a record in S3, with all that it names. What a version that stays, a record on this
machine or an application names is never removed, nor is what is younger than a while: it may be
part of a publication under way, whose record comes last. Nor is anything that packager has not
made.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packager.publishing.places import Place
from packager.record import SUFFIX, Record

_OURS: Final = re.compile(
    r".+-[0-9a-f]{12}(?:\.tar\.gz|\.py|\.cdx\.json|" + re.escape(SUFFIX) + ")"
)
_S3_URI: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]+/[^\s,#\"']+")
_IMAGE: Final = re.compile(r"\d{12}\.dkr\.ecr[a-z0-9.-]*/[^\s,\"']+")
DAY_S: Final = 86_400


def is_ours(place: Place) -> bool:
    """Whether the name is made as packager makes them."""
    return _OURS.fullmatch(place.name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object below the place of publication."""

    place: Place
    size: int
    """Bytes."""
    modified: float
    """Seconds since 1970, by AWS's clock."""

    @property
    def ours(self) -> bool:
        """Whether its name is made as packager makes them."""
        return is_ours(self.place)

    @property
    def is_record(self) -> bool:
        return self.ours and self.place.name.endswith(SUFFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """An upload in parts that has not ended. S3 bills what has arrived of it, and shows nothing."""

    place: Place
    number: str
    begun: float
    """Seconds since 1970, by AWS's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of the repository."""

    repository: str
    """Address, without a tag."""
    digest: str
    tags: tuple[str, ...]
    size: int
    """Bytes."""
    pushed: float
    """Seconds since 1970."""

    @property
    def reference(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def names(self) -> frozenset[str]:
        """By which it may be known."""
        return frozenset({self.reference, *(f"{self.repository}:{tag}" for tag in self.tags)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A published record."""

    stored: StoredObject
    record: Record

    @property
    def names(self) -> frozenset[str]:
        """URIs and references of all that it is made of, its own included."""
        return named_by(self.record) | {self.stored.place.uri}

    @property
    def line(self) -> tuple[str, str, str]:
        """Versions of one line follow each other."""
        return self.record.project, self.record.release, self.record.arch


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A version, and why it stays; an empty reason lets it go."""

    version: Version
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What goes. Records are removed first, so that none ever names what is not there."""

    versions: tuple[Judged, ...]
    """All, newest first in their lines."""
    records: tuple[StoredObject, ...]
    images: tuple[StoredImage, ...]
    objects: tuple[StoredObject, ...]
    uploads: tuple[StoredUpload, ...] = ()
    """What was broken off, and nobody goes on with."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(o.size for o in (*self.records, *self.objects)) + sum(
            i.size for i in self.images
        )

    @property
    def nothing(self) -> bool:
        return not (self.records or self.images or self.objects or self.uploads)


def named_by(record: Record) -> frozenset[str]:
    """URIs of what a record says was published, and references of its images."""
    return frozenset(
        {*record.locations.values(), *(image.reference for image in record.images)} - {""}
    )


def named_in(document: Any) -> Iterator[str]:
    """URIs in S3 and images that stand anywhere in what AWS tells of an application or a run."""
    match document:
        case str():
            yield from _S3_URI.findall(document)
            yield from _IMAGE.findall(document)
        case Mapping():
            for value in document.values():
                yield from named_in(value)
            image, digest = document.get("imageUri"), document.get("resolvedImageDigest")
            if image and digest:
                yield f"{repository_of(str(image))}@{digest}"
        case Sequence():
            for value in document:
                yield from named_in(value)
        case _:
            pass


def repository_of(image: str) -> str:
    """The address without tag and digest."""
    host, _, rest = image.partition("@")[0].partition("/")
    return f"{host}/{rest.partition(':')[0]}"


def plan_pruning(
    objects: Sequence[StoredObject],
    versions: Sequence[Version],
    images: Sequence[StoredImage],
    *,
    used: Mapping[str, str],
    keep: int | None,
    before: float,
) -> Pruning:
    """`used` has who uses a name, by that; `keep` is how many of a line stay, None for all.

    `before` is since when things stay whoever names them. `images` are those that packager made.
    """
    judged = tuple(_judged(versions, used, keep, before))
    named = {name for one in judged if one.why for name in one.version.names} | set(used)
    going = [one.version.stored for one in judged if not one.why]
    return Pruning(
        versions=judged,
        records=tuple(going),
        images=tuple(i for i in images if not i.names & named and i.pushed < before),
        objects=tuple(
            o
            for o in objects
            if o.ours and not o.is_record and o.place.uri not in named and o.modified < before
        ),
    )


def _judged(
    versions: Iterable[Version], used: Mapping[str, str], keep: int | None, before: float
) -> Iterator[Judged]:
    lines: dict[tuple[str, str, str], list[Version]] = defaultdict(list)
    for version in versions:
        lines[version.line].append(version)
    for _, line in sorted(lines.items()):
        newest_first = sorted(line, key=lambda v: (-v.stored.modified, v.stored.place.key))
        times = [version.stored.modified for version in newest_first]
        for version in newest_first:
            newer = times.index(version.stored.modified)  # S3 tells seconds: of equals none goes
            yield Judged(version=version, why=_why(version, newer, used, keep, before))


def _why(
    version: Version, newer: int, used: Mapping[str, str], keep: int | None, before: float
) -> str:
    own = {version.stored.place.uri, *(image.reference for image in version.record.images)}
    if user := next((used[name] for name in sorted(own & used.keys())), ""):
        return f"used by {user}"
    if keep is None:
        return "a published version"
    if newer < keep:
        return f"one of the newest {keep}" if keep > 1 else "the newest"
    if version.stored.modified >= before:
        return "too young"
    return ""


def spared(pruning: Pruning, names: Iterable[str]) -> Pruning:
    """Without what somebody has begun to use meanwhile."""
    known = frozenset(names)
    return Pruning(
        versions=pruning.versions,
        records=pruning.records,
        uploads=pruning.uploads,
        images=tuple(i for i in pruning.images if not i.names & known),
        objects=tuple(o for o in pruning.objects if o.place.uri not in known),
    )
