"""Waiting for what another process or thread is about to do."""

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], *, within_s: float = 60) -> None:
    """Return as soon as it holds, and fail if it never does."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
