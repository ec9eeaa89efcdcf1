"""Several calls at once; the first that fails, or an interrupt, ends all."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

THREADS = 10
"""As many as AWS's own command line takes."""


class StoppedError(Exception):
    """Another call has failed, so this one is of no use."""


def in_parallel(
    tasks: Sequence[Callable[[], T]], stopped: threading.Event | None = None
) -> list[T]:
    """The results of all, in order. Raise what the first that fails has raised.

    `stopped` is set then, and on an interrupt, for those under way to look at. Nobody waits for
    them: a thread may sit in a call that does not end, so they are such as end with the process.
    """
    stopped = stopped or threading.Event()
    results: dict[int, T] = {}
    failures: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    waiting = iter(enumerate(tasks))
    lock = threading.Lock()

    def work() -> None:
        try:
            while not stopped.is_set():
                with lock:
                    number, task = next(waiting, (-1, None))
                if task is None:
                    break
                results[number] = task()
            failures.put(None)
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            failures.put(error)

    count = min(THREADS, len(tasks))
    for _ in range(count):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in range(count):
            error = failures.get()
            if error is not None:
                raise error
    except BaseException:
        stopped.set()
        raise
    return [results[number] for number in range(len(tasks))]
