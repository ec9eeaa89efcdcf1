"""What every check works on and speaks in."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from packager.facts import ArchiveFacts, shown
from packager.findings import Finding
from packager.target import Target

Bundle = tuple[ArchiveFacts, ...]
Check = Callable[[Bundle, Target], Iterator[Finding]]
"""Its docstring is the rule, in one sentence."""

_CANNOT_RUN: Final = 'Cannot run program "./environment/bin/python": error='
NOT_FOUND: Final = f"`{_CANNOT_RUN}2, No such file or directory`"
FORBIDDEN: Final = f"`{_CANNOT_RUN}13, Permission denied`"
FOREIGN: Final = f"`{_CANNOT_RUN}8, Exec format error`"
LOOP: Final = "`Too many levels of symbolic links`"

LISTED: Final = 3
"""How many of many a finding names."""


def listed(items: Iterable[str]) -> str:
    """The first three in backticks, and how many others there are."""
    unique = tuple(dict.fromkeys(items))
    others = len(unique) - LISTED
    named = ", ".join(shown(item) for item in unique[:LISTED])
    return f"{named} and {others} other{'s' * (others > 1)}" if others > 0 else named


def environments(bundle: Bundle) -> Iterator[ArchiveFacts]:
    return (facts for facts in bundle if facts.kind == "environment")


def is_interpreter(facts: ArchiveFacts, path: str) -> bool:
    return re.fullmatch(r"bin/python[0-9.]*", path.removeprefix(facts.root)) is not None


def has_bin(facts: ArchiveFacts) -> bool:
    return any(m.path == "bin" or m.path.startswith("bin/") for m in facts.members)


EXECUTABLE: Final = 0o111
