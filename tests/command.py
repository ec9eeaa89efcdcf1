"""The command line as a user sees it: exit code, stdout, stderr."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from packager.__main__ import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def error(self) -> tuple[str, str, str]:
        """The three parts of the message, without their labels."""
        lines = self.err[self.err.index("error: ") :].splitlines()
        parts: dict[str, list[str]] = {"error:": [], "why:": [], "fix:": []}
        part = parts["error:"]
        for line in lines:
            label, _, rest = line.strip().partition(" ")
            if label in parts:
                part = parts[label]
                part.append(rest)
            else:
                part.append(line.strip())
        return "\n".join(parts["error:"]), "\n".join(parts["why:"]), "\n".join(parts["fix:"])


class Command:
    """Runs packager in this process, in a folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capfd = capfd

    def __call__(self, *arguments: str | Path, cwd: Path) -> Outcome:
        self.monkeypatch.chdir(cwd)
        self.monkeypatch.setattr(sys, "argv", ["packager", *map(str, arguments)])
        self.capfd.readouterr()
        code = 0
        before = dict(os.environ)
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        finally:  # what a command sets would be set for all that follow
            os.environ.clear()
            os.environ.update(before)
        out, err = self.capfd.readouterr()
        return Outcome(code=code, out=out, err=err)
