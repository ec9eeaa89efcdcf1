"""A file put together of many pieces, of bytes and of parts of other files, in large writes."""

import contextlib
import errno
import mmap
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from packager.errors import CommandError

BATCH: Final = 4 << 20
"""Bytes that wait until they are written at once."""

IOV_MAX: Final = 1024
"""The least that Linux and macOS take in one `writev`."""


class Splicer:
    """Writes to the end of `out`, in order; `told` hears how many bytes are there, now and then.

    The files that parts come from are mapped, and only the kernel looks at them, when it writes.
    So nothing is copied twice and the interpreter waits for no reading; and a file that is made
    shorter meanwhile makes the writing fail, where looking at it would end the process.
    """

    def __init__(self, out: BinaryIO, told: Callable[[int], None]) -> None:
        self._out = out.fileno()
        self._told = told
        self.size = 0
        self._waiting: list[memoryview] = []
        self._waiting_bytes = 0
        self._mapped: mmap.mmap | None = None

    def add(self, data: memoryview) -> None:
        """Write bytes, which may not change before `flush`."""
        for start in range(0, len(data), BATCH):
            piece = data[start : start + BATCH]
            self._waiting.append(piece)
            self._waiting_bytes += len(piece)
            if self._waiting_bytes >= BATCH or len(self._waiting) == IOV_MAX:
                self.flush()

    @contextlib.contextmanager
    def reading(self, file: BinaryIO) -> Iterator[Callable[[int, int], None]]:
        """What writes a part of a file, from an offset on so many bytes.

        Raise `CommandError` if the file is too short for that, or becomes so.
        """

        def copy(offset: int, size: int) -> None:
            if offset + size > len(mapped):
                raise _too_short(file)
            self.add(mapped[offset : offset + size])

        if os.fstat(file.fileno()).st_size:  # nothing can be mapped of an empty one
            # A shared mapping is not to be had of every file system.
            self._mapped = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        mapped = memoryview(self._mapped or b"")
        try:
            yield copy
            self.flush()
        except OSError as error:
            if error.errno == errno.EFAULT:
                raise _too_short(file) from error
            raise
        finally:
            self._mapped = None

    def flush(self) -> None:
        """Write all that was added."""
        waiting = self._waiting
        self._waiting, self._waiting_bytes = [], 0
        while waiting:
            written = os.writev(self._out, waiting)
            self.size += written
            self._told(self.size)
            waiting = _after(waiting, written)
        if self._mapped is not None:
            self._mapped.madvise(mmap.MADV_DONTNEED)  # else it counts as this process's memory


def _after(pieces: list[memoryview], written: int) -> list[memoryview]:
    """What is left: mostly nothing, but a signal or a full disk can make a write a short one."""
    for at, piece in enumerate(pieces):
        if written < len(piece):
            return [piece[written:], *pieces[at + 1 :]]
        written -= len(piece)
    return []


def _too_short(file: BinaryIO) -> CommandError:
    return CommandError(
        f"{file.name} is shorter than it was when verified",
        why="something else changed it",
        fix="delete it and run this again",
    )
