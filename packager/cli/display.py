"""How a run that goes on looks: one living line on a terminal, plain lines elsewhere."""

import sys
from dataclasses import dataclass, field

from packager.console import Console
from packager.jobs.logs import Line
from packager.jobs.states import Run, duration


@dataclass(slots=True, kw_only=True)
class Display:
    """Log lines of the driver's stdout are data; all else is for people."""

    console: Console
    live: bool = field(default_factory=lambda: sys.stderr.isatty())  # noqa: PLW0108  # today's stderr
    data: bool = True
    """Whether the driver's stdout goes to ours."""
    _shown: int = 0
    """Characters of the living line."""

    def say(self, line: str) -> None:
        self._clear()
        self.console.say(line)

    def warn(self, line: str) -> None:
        self._clear()
        self.console.warn(line)

    def show(self, line: Line) -> None:
        self._clear()
        if self.data and (line.worker, line.stream) == ("driver", "stdout"):
            self.console.data(line.text)
        else:
            self.console.warn(f"{line.worker} {line.stream} | {line.text}")

    def status(self, run: Run, seconds: float) -> None:
        if not self.live or self.console.quiet:
            return
        attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
        text = f"{run.state}{attempt}, {duration(seconds)}"
        sys.stderr.write(f"\r{text:<{self._shown}}")
        sys.stderr.flush()
        self._shown = len(text)

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write(f"\r{'':<{self._shown}}\r")
            self._shown = 0

    def end(self) -> None:
        self._clear()
