"""What a pack that would repeat the one before is known by, and what that one made.

Of an archive that lies there nothing is looked at but the state that the file system has of it:
whatever writes to a file changes the time of its last change, which no program can set.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from packager.errors import ConfigError
from packager.findings import Report
from packager.layers import Layer
from packager.ports import CleanRoom, WheelStore
from packager.record import Record, from_text, to_text
from packager.settings import Settings
from packager.target import Target

PACKED: Final = "packed"
"""Where the store remembers what a pack made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What stands in the output folder after a pack for one target."""

    record: Record
    report: Report
    documents: tuple[tuple[str, str], ...]
    """Names and texts of the files that are written beside the archives."""
    said: tuple[str, ...]


def outcome_key(record: Record, layers: Iterable[Layer], target: Target, settings: Settings) -> str:
    """A hash of all that decides the outcome; `record` lacks what is made: archives, report."""
    told = [to_text(record), repr(target)]
    told += [f"{f.name} {getattr(settings, f.name)!r}" for f in fields(settings) if f.compare]
    told += [f"{layer.name} {layer.key}" for layer in layers]
    return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()


def settled(outcome: Outcome, settings: Settings, room: CleanRoom | None) -> bool:
    """Whether the same pack would end so again.

    It might be tried out now where no engine was found before, and must be if that is required;
    what failed there is tried again, for a machine under load may be the cause.
    """
    if settings.clean_room == "off" or room is None:
        return True
    if settings.clean_room == "require":
        return False
    if outcome.record.clean_room is None:
        return not room.possible()
    return outcome.report.passed


def remember_outcome(store: WheelStore, key: str, outcome: Outcome, out: Path) -> None:
    states = {a.file: _state(out / a.file) for a in outcome.record.archives}
    text = {"states": states, "documents": outcome.documents, "said": outcome.said}
    store.remember(PACKED, key, json.dumps(text))


def recall_outcome(store: WheelStore, key: str, out: Path) -> Outcome | None:
    """The outcome of the same pack, if everything in `out` is as it was then."""
    try:
        known = json.loads(store.recall(PACKED, key) or "")
        states: dict[str, str] = known["states"]
        documents = tuple((str(name), str(text)) for name, text in known["documents"])
        name, text = documents[-1]
        record = from_text(text, name)
        report = Report.from_json(record.report)
        if {a.file for a in record.archives} != states.keys():
            return None
    except (ConfigError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None  # of another version, or damaged
    if any(_state(out / file) != state for file, state in states.items()):
        return None
    return Outcome(
        record=record, report=report, documents=documents, said=tuple(map(str, known["said"]))
    )


def _state(path: Path) -> str | None:
    try:
        s = path.stat()
    except OSError:
        return None
    return f"{s.st_dev} {s.st_ino} {s.st_mode} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}"
