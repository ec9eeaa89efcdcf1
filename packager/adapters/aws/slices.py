"""Parts of files as bodies of requests: read while they are sent, so that memory stays small."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packager.adapters.aws.parallel import StoppedError
from packager.publishing.digests import Part

Read = Callable[[int, int], bytes]
"""So many bytes from an offset on; the offset first."""
Moved = Callable[[int], None]
"""Hears of bytes that went, and of less than none where they go again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is sent, open for several threads."""

    read: Read
    moved: Moved
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set where the rest is of no use any more."""

    def slice(self, part: Part) -> "Slice":
        return Slice(self, part)


class Slice:
    """A file-like object, as AWS's SDK wants it. It is read anew when a call is tried again."""

    def __init__(self, source: Source, part: Part) -> None:
        self._source = source
        self._part = part
        self._position = 0

    def __len__(self) -> int:
        return self._part.size

    def read(self, size: int | None = -1) -> bytes:
        if self._source.stopped.is_set():
            raise StoppedError
        left = self._part.size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._source.read(self._part.start + self._position, wanted)
        if wanted and not data:
            raise EOFError("the file has become shorter while it was sent")
        self._move(self._position + len(data))
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._part.size}
        self._move(origin[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def _move(self, position: int) -> None:
        self._source.moved(position - self._position)
        self._position = position


@contextmanager
def opened(source: Path | bytes, moved: Moved) -> Iterator[Source]:
    """Raise `OSError` where the file is not there."""
    if isinstance(source, bytes):
        yield Source(read=lambda start, size: source[start : start + size], moved=moved)
        return
    with source.open("rb") as file:
        number = file.fileno()
        yield Source(read=lambda start, size: os.pread(number, size, start), moved=moved)
