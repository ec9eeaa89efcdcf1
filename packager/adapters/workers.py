"""Other processes, for work that would hold up this one."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Final

THREADS: Final = 2
MOST_PROCESSES: Final = 4


@contextlib.contextmanager
def workers(*, worth: bool) -> Iterator[Executor]:
    """Other processes where they are worth their start, and threads elsewhere.

    Forking is cheap, and safe as long as this process has no other thread: so it is done here and
    now, and not where threads or macOS are about.
    """
    pool: Executor
    if worth and sys.platform == "linux" and threading.active_count() == 1:
        pool = ProcessPoolExecutor(
            min(os.cpu_count() or 1, MOST_PROCESSES),
            mp_context=multiprocessing.get_context("fork"),
            initializer=_stay_with_parent,
        )
        pool.submit(int).result()
    else:
        pool = ThreadPoolExecutor(THREADS)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _stay_with_parent() -> None:
    """Leave interrupts to the parent, which ends its workers, and do not outlive it either."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()  # returns when it is dead, killed too; a worker would wait for work for ever
    os._exit(1)
