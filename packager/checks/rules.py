"""Every check there is, of archives, of the clean room and of images: what it asks for. Pure."""

import difflib
from collections.abc import Mapping
from typing import Final

from packager.checks import CHECKS
from packager.checks.image import IMAGE_CHECKS
from packager.checks.room import ROOM_CHECKS
from packager.errors import ConfigError

RULES: Final[Mapping[str, str]] = {
    code: " ".join((judge.__doc__ or "").partition("\n\n")[0].split())
    for code, judge in (*CHECKS.items(), *ROOM_CHECKS.items(), *IMAGE_CHECKS.items())
}
"""What must hold, in a sentence each."""

NEVER_WAIVED: Final = ("ARC001", "ARC002")
"""Without these an archive is unsafe to unpack, or nothing in it is where the others look."""


def require_waivable(code: str, reason: object, where: str) -> str:
    """The reason. Raise `ConfigError` for what, written at `where`, can not be a waiver."""
    if code not in RULES:
        near = difflib.get_close_matches(code.upper(), RULES, n=1)
        raise ConfigError(
            f"{where}: there is no check {code}",
            fix=f"did you mean {near[0]}?" if near else f"known: {', '.join(RULES)}",
        )
    if code in NEVER_WAIVED:
        raise ConfigError(
            f"{where}: {code} can not be waived",
            why="without it an archive is unsafe to unpack, or can not start a job",
            fix="remove the waiver, and mend what the check finds",
        )
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError(
            f"{where}: the waiver of {code} has no reason",
            why="it stays in the record, for those who wonder later",
            fix=f'write one: {code} = "why this is fine here"',
        )
    return reason.strip()
