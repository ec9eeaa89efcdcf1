"""What publishing needs of a store of objects, and when an object is the one that is meant."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from packager.publishing.digests import Digests
from packager.publishing.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is to be published under a name of its own."""

    place: Place
    source: Path | bytes = field(repr=False)
    digests: Digests
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object that is there."""

    size: int
    """Bytes."""
    checksum: str | None
    """SHA-256 of the object or of its parts, as S3 has verified and writes it."""
    sha256: str | None
    """Of the whole, in hexadecimal, as whoever stored it says."""
    whole: bool = False
    """Whether the checksum is surely of the whole, not of its parts."""
    encryption: str = ""
    """As in `AES256` or `aws:kms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of an item."""

    item: Item
    present: bool
    """Whether it was there before."""
    sent: int = 0
    """Bytes that went over the network."""
    resumed: int = 0
    """Bytes that an upload that was broken off had brought."""
    encryption: str = ""
    """Of what was there before."""


class Meter(Protocol):
    """Who is told how far things are; from several threads."""

    def expect(self, size: int) -> None:
        """So many bytes more are to go."""

    def moved(self, size: int) -> None:
        """So many more went, or so many fewer where some go again."""


class ObjectStore(Protocol):
    """S3, as far as publishing needs it. All raise `CommandError` where a call fails."""

    def region_of(self, bucket: str) -> str | None:
        """Where the bucket is; None where that is not told."""

    def find(self, place: Place) -> Stored | None:
        """None where nothing is there, or where that may not be known: a write is conditional."""

    def put(self, items: Sequence[Item], meter: Meter) -> Sequence[Sent]:
        """Make them be there, whole and unchanged, or change nothing that can be seen."""


def is_same(stored: Stored, digests: Digests) -> bool:
    """Whether an object has this content.

    By what S3 has computed. Where that was computed of other parts or by another algorithm, by what
    was stored beside it; an object without either is none of ours.
    """
    if stored.size != digests.size:
        return False
    if stored.checksum is not None:
        value, _, parts = stored.checksum.partition("-")
        if value in {digests.checksum.partition("-")[0], digests.whole_checksum}:
            return True
        if not parts or parts == str(len(digests.parts)):
            return False
    return stored.sha256 == digests.sha256
