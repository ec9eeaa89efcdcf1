"""Transfers as they are shown: one line, written anew, on a terminal; now and then one in CI."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from packager.console import Console
from packager.publishing.progress import progress_line

ANEW_S = 0.2
NOW_AND_THEN_S = 10.0


class TransferMeter:
    """Implements `Meter`. What it writes goes to stderr."""

    def __init__(self, console: Console, *, terminal: bool) -> None:
        self.moved_bytes = 0
        self._total = 0
        self._console = console
        self._terminal = terminal
        self._lock = threading.Lock()
        self._started = self._shown = time.monotonic()

    def expect(self, size: int) -> None:
        with self._lock:
            self._total += size
            self._started = self._shown = time.monotonic()

    def moved(self, size: int) -> None:
        with self._lock:
            self.moved_bytes += size
            now = time.monotonic()
            if now - self._shown < (ANEW_S if self._terminal else NOW_AND_THEN_S):
                return
            self._shown = now
            self._show(progress_line(self.moved_bytes, self._total, now - self._started))

    def _show(self, line: str) -> None:
        (self._console.overwrite if self._terminal else self._console.say)(line)

    def clear(self) -> None:
        if self._terminal:
            self._console.overwrite("")


@contextmanager
def meter(console: Console) -> Iterator[TransferMeter]:
    made = TransferMeter(console, terminal=sys.stderr.isatty())
    try:
        yield made
    finally:
        made.clear()
