"""What images are called. Pure."""

from typing import Final

from packager.errors import ConfigError
from packager.record import ImageRole, Record
from packager.references import LATEST, Reference, parse_reference

LOCAL: Final = "docker.io/library/"
DIGITS: Final = 12


def require_name(named: str) -> None:
    """Raise `ConfigError` for what can be no name of images that are still to be made."""
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


def reference(
    named: str | None, record: Record, digest: str, *, alone: bool, role: ImageRole = ""
) -> Reference:
    """A name for an image of a record.

    `named` may have a tag; of several images each gets its architecture behind it, and its role,
    for every tag stands for one platform. Without a tag it is of what is in the image, so that
    nobody overwrites anything.
    """
    own = f"{record.release}-{record.arch}-{digest.rpartition(':')[2][:DIGITS]}"
    if named is None:
        return parse_reference(f"{record.project}:{own}")
    found = parse_reference(named)
    if not found.tag:
        return found.tagged(own)
    more = ("" if alone else record.arch, role)
    return found.tagged("-".join((found.tag, *filter(None, more))))
