"""Parts that are made when they are first asked for something: a command needs few of them."""

import threading
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


def late(make: Callable[[], T]) -> T:
    """What stands for the part until then, and passes on what it is asked, in any thread."""
    return cast(T, _Late(make))


class _Late:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: list[object] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> object:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
        return getattr(self._made[0], name)
