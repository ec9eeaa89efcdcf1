"""What is run in the container, and what its ending means. Pure; the program is `data/suite.py`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from packager.cleanroom import ALONE, FOLDER, HOME, TIMED_OUT
from packager.errors import CommandError, ConfigError, PackagerError, ValidationFailedError
from packager.ports import RoomArchive

PROGRAM: Final = "suite.py"
PLACE: Final = PurePosixPath("/tmp/packager-tests")  # noqa: S108  # of a container
"""Beside the folders of a job: what only the tests have."""
TREE: Final = PLACE / "project"
JUNIT: Final = PLACE / "junit.xml"
COVERAGE: Final = PLACE / "coverage.xml"
PYTHON: Final = f"{HOME}/environment/bin/python"
LIMIT_S: Final = 1800
EMULATED_LIMIT_S: Final = 3 * LIMIT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tests for one container."""

    archives: tuple[RoomArchive, ...]
    """Unpacked as a job's; none where the image has the environment."""
    site: Path
    """Archive of pytest and what else only tests need."""
    tree: Path
    """`.tar.gz` of the project's files."""
    python: str
    """Of the environment, in the container."""
    arguments: tuple[str, ...]
    """Of pytest."""
    variables: tuple[tuple[str, str], ...] = ()
    """That the user wants the tests to have; nothing else of the user's environment gets in."""
    junit: bool = False
    coverage: bool = False
    limit_s: int = LIMIT_S

    @property
    def environment(self) -> dict[str, str]:
        own = {"PYSPARK_PYTHON": self.python, "PYSPARK_DRIVER_PYTHON": self.python}
        return {**ALONE, **own, **dict(self.variables)}

    @property
    def command(self) -> tuple[str, ...]:
        told = {
            "site": str(PLACE / "site"),
            "tree": str(TREE),
            "junit": str(JUNIT) if self.junit else None,
            "coverage": str(COVERAGE) if self.coverage else None,
            "arguments": self.arguments,
        }
        return (
            *("timeout", "--kill-after=10", str(self.limit_s)),
            # What it says is to be seen while it runs.
            *(self.python, "-u", "-B", str(FOLDER / PROGRAM), json.dumps(told)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the tests went."""

    status: int
    """pytest's own, or that of `timeout`."""
    said: str = ""
    """What it said as an error, in a line."""
    junit: bytes | None = None
    """None where it was not asked for, or not written."""
    coverage: bytes | None = None


def verdict(ended: Ended, suite: Suite) -> PackagerError | None:
    """What an ending means for who asked; None where all tests passed."""
    match ended.status:
        case 0:
            return None
        case 1:
            return ValidationFailedError("tests failed", why="pytest ended with 1")
        case 2:
            return ValidationFailedError(
                "pytest did not come to run the tests",
                why="it ended with 2: it was interrupted, or a module could not be imported",
            )
        case 4:
            return ConfigError(
                "pytest was started wrongly",
                why=ended.said or "it ended with 4",
                fix="correct its arguments, after `--`, or its configuration",
            )
        case 5:
            return ValidationFailedError(
                "there was no test to run",
                why="pytest ended with 5; tests that lie in a packed package are found by its name",
                fix="name what to run: packager test -- --pyargs PACKAGE",
            )
        case status if status in TIMED_OUT:
            return ValidationFailedError(
                f"the tests did not end within {suite.limit_s} s",
                why="or were killed, for want of memory perhaps" if status == TIMED_OUT[1] else "",
                fix="give them more: --timeout SECONDS",
            )
        case status:
            return CommandError(
                "pytest broke",
                why=f"it ended with {status}" + (f": {ended.said}" if ended.said else ""),
            )


def complaint(stderr: str) -> str:
    """The line that says the most of why pytest did not even begin."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1]


def numbered(file: Path, arch: str, arches: Sequence[str]) -> Path:
    """Where a report goes: with several architectures, each has a file of its own."""
    return file if len(arches) < 2 else file.with_name(f"{file.stem}-{arch}{file.suffix}")
