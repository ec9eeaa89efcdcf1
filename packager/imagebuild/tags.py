"""What images are called. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from packager.errors import ConfigError
from packager.record import Record, made_of
from packager.references import LATEST, Reference, parse_reference

LOCAL: Final = "docker.io/library/"
DIGITS: Final = 12


def references(named: str | None, records: Sequence[Record]) -> list[Reference]:
    """A name for the image of each record.

    `named` may have a tag; of several images each gets its architecture behind it, for every tag
    stands for one platform. Without a tag it is of what is in the image, so that nobody overwrites
    anything. Raise `ConfigError` for what can be no name.
    """
    if named is None:
        return [parse_reference(f"{record.project}:{_tag(record)}") for record in records]
    reference = parse_reference(named)
    if reference.digest:
        raise ConfigError(
            f"{named} names an image by its digest, which is known after the push",
            fix="name a repository, and a tag if you like",
        )
    if reference.tag == LATEST:
        raise ConfigError(
            f"{named}: the tag `latest` stands for another image soon",
            why="EMR Serverless keeps the digest that a tag had when the application started",
            fix="leave the tag out, or choose one that stays",
        )
    if not reference.tag:
        return [reference.tagged(_tag(record)) for record in records]
    if len(records) == 1:
        return [replace(reference)]
    return [reference.tagged(f"{reference.tag}-{record.arch}") for record in records]


def _tag(record: Record) -> str:
    return f"{record.release}-{record.arch}-{made_of(record)[:DIGITS]}"
