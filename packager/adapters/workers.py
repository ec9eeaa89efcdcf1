"""Many things of one kind at once: in other processes where they are worth it, or in threads."""

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Any, Final, TypeVar

from packager.interrupts import held_back, ignore_all

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
    if len(things) > FEW and sys.platform == "linux" and threading.active_count() == 1:
        # Without shared memory, and where no more processes may be started, threads will do.
        with contextlib.suppress(_NoProcessesError), _processes(work, most, stop) as pool:
            return _all(pool, _do, things)
    with _threads(most, stop) as pool:
        return _all(pool, work, things)


def _all(pool: Executor, do: Callable[[T], R], things: Sequence[T]) -> list[R]:
    doing = [pool.submit(do, thing) for thing in things]
    for done in as_completed(doing):
        done.result()
    return [done.result() for done in doing]


@contextlib.contextmanager
def _threads(count: int, stop: Callable[[], None]) -> Iterator[Executor]:
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _NoProcessesError(Exception):
    """None can be started here."""


@contextlib.contextmanager
def _processes(
    work: Callable[[Any], Any], count: int, stop: Callable[[], None]
) -> Iterator[Executor]:
    with contextlib.ExitStack() as ends:
        reader, writer = os.pipe()
        ends.callback(os.close, reader)
        parents = ends.enter_context(os.fdopen(writer, "wb"))  # closed, it is the sign to stop
        try:
            with held_back():  # half of a pool would be waited for, and never end
                pool = _forked(count, (work, stop, reader, writer))
                ends.callback(_end, pool)
            yield pool
        except BaseException:
            parents.close()
            raise


def _forked(count: int, for_each: tuple[Any, ...]) -> Executor:
    try:
        pool = ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("fork"),
            initializer=_begin,
            initargs=for_each,
        )
        pool.submit(int)  # now all are forked
    except (OSError, ImportError) as error:
        for child in multiprocessing.active_children():  # else their end would be waited for
            child.kill()
        raise _NoProcessesError from error
    return pool


def _end(pool: Executor) -> None:
    with held_back():  # as would one that was left while it ends
        pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any] = repr
"""Of this process, where it is a worker: forks have it without a copy through a pipe."""


def _begin(work: Callable[[Any], Any], stop: Callable[[], None], reader: int, writer: int) -> None:
    """Leave interrupts to the parent, and do not outlive it."""
    ignore_all()
    global _work  # noqa: PLW0603  # what a process is there for does not change
    _work = work
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
