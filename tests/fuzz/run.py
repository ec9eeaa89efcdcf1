"""One subject, many inputs: what becomes of each."""

import contextlib
import random
import shutil
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from packager.errors import PackagerError
from packager.output import UNFINISHED
from tests.fuzz.subjects import Subject, World

SLOW_S = 20.0
"""No small input may take so long, on any machine."""


@dataclass(slots=True)
class Count:
    taken: int = 0
    """Made archives, or were judged."""
    refused: int = 0
    """With an error of ours."""
    failed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """A traceback for each place that failed."""

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.taken + other.taken,
            self.refused + other.refused,
            self.failed + other.failed,
            {**other.failures, **self.failures},
        )

    def row(self, name: str) -> str:
        inputs = self.taken + self.refused + self.failed
        return f"{name:<28}{inputs:>9}{self.taken:>9}{self.refused:>9}{self.failed:>8}"


def fuzz(
    subject: Subject,
    folder: Path,
    *,
    seed: int,
    seconds: float = float("inf"),
    inputs: int | None = None,
    keep: Path | None = None,
) -> Count:
    """Spoil a subject's file until the time or the number of inputs is up."""
    world = World(folder=folder).prepared()
    path = subject.prepare(world)
    sound = path.read_bytes()
    with contextlib.suppress(*([] if subject.sound else [PackagerError])):
        subject.read(world, path)  # or nothing that follows means anything
    count = Count()
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until and (inputs is None or number < inputs):
        # Each number gives the same input every time, whatever came before it.
        data = subject.spoil(random.Random(f"{subject.name} {seed} {number}"), sound)
        number += 1
        if number % 200 == 0:
            shutil.rmtree(folder / "store", ignore_errors=True)
        if path.parent != world.root / "dist":
            shutil.rmtree(world.root / "dist", ignore_errors=True)
        path.write_bytes(data)
        began = time.monotonic()
        try:
            texts = subject.read(world, path)
        except PackagerError as error:
            count.refused += 1
            wrong = _told_badly(error, world)
        except Exception:  # noqa: BLE001  # that is what is looked for
            wrong = traceback.format_exc()
        else:
            count.taken += 1
            wrong = _unprintable(texts)
        if not wrong and time.monotonic() - began > SLOW_S:
            wrong = f"it took {time.monotonic() - began:.0f} s"
        if wrong:
            count.failed += 1
            place = "".join(line for line in wrong.splitlines() if line.startswith("  File"))
            count.failures.setdefault(
                place or wrong, f"{subject.name}, input {number - 1}: {wrong}"
            )
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number - 1}-{path.name}").write_bytes(data)
    return count


def _told_badly(error: PackagerError, world: World) -> str:
    if not error.what or error.exit_code not in {1, 2, 3, 4}:
        return f"an error without words or code: {error!r}"
    left = list((world.root / "dist").glob(f"{UNFINISHED}*"))
    left += (world.folder / "store" / "tmp").glob("*")
    return f"left behind: {left}" if left else ""


def _unprintable(texts: Iterable[str]) -> str:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        return f"a text that can not be printed: {error}"
    return ""
