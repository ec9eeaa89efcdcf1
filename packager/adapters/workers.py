"""Many things of one kind at once: in other processes where they are worth it, or in threads."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Any, Final, TypeVar

FEW: Final = 3
"""Things that are done sooner than another process has started."""

T = TypeVar("T")
R = TypeVar("R")


def each(
    work: Callable[[T], R], things: Sequence[T], *, most: int, stop: Callable[[], None]
) -> list[R]:
    """What `work` makes of each, begun in this order, no more than `most` at once.

    The first error ends the others too: `stop`, called where they run, makes that soon. Raise it,
    or `BrokenExecutor` where a process was killed.

    Forking is cheap, and safe as long as this process has no other thread: so it is done here and
    now, and not where threads or macOS are about.
    """
    most = max(min(most, len(things)), 1)
    forks = len(things) > FEW and sys.platform == "linux" and threading.active_count() == 1
    with _processes(work, most, stop) if forks else _threads(work, most, stop) as (pool, do):
        doing = [pool.submit(do, thing) for thing in things]
        for done in as_completed(doing):
            done.result()
        return [done.result() for done in doing]


_Workers = Iterator[tuple[Executor, Callable[[T], R]]]


@contextlib.contextmanager
def _threads(work: Callable[[T], R], count: int, stop: Callable[[], None]) -> _Workers[T, R]:
    pool = ThreadPoolExecutor(count)
    try:
        yield pool, work
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _processes(work: Callable[[T], R], count: int, stop: Callable[[], None]) -> _Workers[T, R]:
    reader, writer = os.pipe()
    pool = ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_begin,
        initargs=(work, stop, reader, writer),
    )
    try:
        yield pool, _do
    except BaseException:
        os.close(writer)
        writer = -1
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for end in {reader, writer} - {-1}:
            os.close(end)


_work: Callable[[Any], Any] = repr
"""Of this process, where it is a worker: forks have it without a copy through a pipe."""


def _begin(work: Callable[[Any], Any], stop: Callable[[], None], reader: int, writer: int) -> None:
    """Leave interrupts to the parent, and do not outlive it."""
    global _work  # noqa: PLW0603  # what a process is there for does not change
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(writer)
    threading.Thread(target=_end_with_parent, args=(stop, reader), daemon=True).start()


def _end_with_parent(stop: Callable[[], None], reader: int) -> None:
    os.read(reader, 1)  # nothing is written: it returns when the parent has closed it or is dead
    stop()
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # a worker would wait for more work for ever
        os._exit(1)


def _do(thing: Any) -> Any:
    return _work(thing)
