"""Interrupts end a command wherever it is, but never where they would stop it for ever.

Python raises `KeyboardInterrupt` between any two instructions of the main thread. Between the two
that take a lock and see to its release, the lock stays taken. One of thirty that met an import left
the lock of all imports so: a thread that imports then never ends, nor does who waits for it.
"""

import contextlib
import signal
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType
from typing import Final

AGAIN_S: Final = 0.001

_IMPORTS: Final = frozenset({"importlib._bootstrap", "importlib._bootstrap_external"})
_BETWEEN: Final = frozenset({"__enter__", "__exit__", "__del__", "__set_name__"})
"""Methods in which a lock may have been taken, or what is raised is lost or told as another."""

_held_back = ContextVar("_held_back", default=False)


def interrupt(_signal: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`: now, or soon if what runs now must not be left in the middle."""
    if not (_held_back.get() or (frame and _must_end(frame))):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)


def _must_end(frame: FrameType) -> bool:
    # Only this very frame: what an import or a context runs may be left as everything else.
    return frame.f_code.co_name in _BETWEEN or frame.f_globals.get("__name__") in _IMPORTS


def interrupt_by(*signals: signal.Signals) -> None:
    """Let these interrupt from now on, but for those that are ignored, as under nohup."""
    for number in signals:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let interrupts wait until this ends.

    Blocked signals would not do: a thread that has just been joined may still be there for the
    kernel, which then gives it the signal, and Python tells the main thread.
    """
    before = _held_back.set(True)
    try:
        yield
    finally:
        _held_back.reset(before)


def ignore_all() -> None:
    """Leave all interrupts to another process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
