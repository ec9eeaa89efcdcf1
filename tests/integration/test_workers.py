"""Things done in other processes: only real ones show whether they end when they should.

Each test runs a program of its own, since a process that has threads, as pytest's may, forks none.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.trials import none_left_of
from tests.integration.test_faults import namespace
from tests.waiting import until

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads do the work"),
]

PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
from packager.adapters.workers import each
from packager.interrupts import interrupt_by

stopped, folder = threading.Event(), Path(sys.argv[1])
fork, forks = os.fork, iter(range(FORKS))

def forked():
    number = next(forks, None)
    if number is None:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    process = fork()
    if number == INTERRUPTED and process:
        os.killpg(0, signal.SIGINT)
    return process

os.fork = forked
interrupt_by(signal.SIGINT)

def ask(number):
    (folder / f"{number}-{os.getpid()}").touch()
    if number == FAILS:
        while len(list(folder.iterdir())) < 4:
            time.sleep(0.01)
        raise LookupError(f"number {number}")
    if number < WAITS and not stopped.wait(60):
        os._exit(9)
    if number == DIES:
        os._exit(3)
    return number * number

try:
    print(*each(ask, range(20), most=4, stop=stopped.set))
except BaseException as error:
    print(type(error).__name__, error)
"""


@contextmanager
def program(
    folder: Path,
    *,
    waits: int = 0,
    fails: int = -1,
    dies: int = -1,
    forks: int = 9,
    interrupted: int = -1,
    under: Sequence[str] = (),
) -> Iterator[subprocess.Popen[str]]:
    """The program above, running; nothing of it is left behind."""
    text = (
        f"WAITS, FAILS, DIES, FORKS = {waits}, {fails}, {dies}, {forks}\n"
        f"INTERRUPTED = {interrupted}\n{PROGRAM}"
    )
    with subprocess.Popen(
        [*under, sys.executable, "-c", text, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def begun(folder: Path) -> dict[int, int]:
    """Number to process of all that were begun."""
    pairs = (path.name.split("-") for path in folder.iterdir())
    return {int(number): int(process) for number, process in pairs}


def all_four_work(folder: Path) -> set[int]:
    until(lambda: len(set(begun(folder).values())) == 4, within_s=30)
    return set(begun(folder).values())


def gone(process: int) -> bool:
    """Whether it has ended, though whoever inherited it may not have noticed yet."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] == "Z"


def test_all_is_done_in_other_processes_and_comes_in_order(tmp_path: Path) -> None:
    with program(tmp_path) as running:
        out, _ = running.communicate(timeout=60)
    assert out.split() == [str(number * number) for number in range(20)]
    done = begun(tmp_path)
    assert set(done) == set(range(20))
    assert running.pid not in done.values()
    assert len(set(done.values())) <= 4


def test_an_error_ends_what_the_others_wait_for(tmp_path: Path) -> None:
    with program(tmp_path, waits=20, fails=2) as running:
        out, _ = running.communicate(timeout=30)
    assert out == "LookupError number 2\n"
    assert len(begun(tmp_path)) < 20


def test_an_interrupt_ends_them(tmp_path: Path) -> None:
    with program(tmp_path, waits=3) as running:  # the fourth has soon done the rest
        workers = all_four_work(tmp_path)
        while len(begun(tmp_path)) < 20:
            assert running.poll() is None
        os.killpg(running.pid, signal.SIGINT)  # as a terminal sends it: to all of them
        out, _ = running.communicate(timeout=30)
    assert out == "KeyboardInterrupt \n"
    assert all(map(gone, workers))


@pytest.mark.parametrize("fork", range(4))
def test_an_interrupt_while_they_are_started_ends_them(tmp_path: Path, fork: int) -> None:
    with program(tmp_path, waits=20, interrupted=fork) as running:
        out, _ = running.communicate(timeout=30)
    assert (out, running.returncode) == ("KeyboardInterrupt \n", 0)
    assert none_left_of(running.pid)


def test_they_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with program(tmp_path, waits=20) as running:
        workers = all_four_work(tmp_path)
        os.kill(running.pid, signal.SIGKILL)
        until(lambda: all(map(gone, workers)), within_s=30)


def test_one_that_is_killed_is_told(tmp_path: Path) -> None:
    with program(tmp_path, dies=5) as running:
        out, _ = running.communicate(timeout=60)
    assert out.startswith("BrokenProcessPool ")


@pytest.mark.parametrize("forks", [0, 2])
def test_where_no_more_processes_may_be_started_all_is_done_here(
    tmp_path: Path, forks: int
) -> None:
    with program(tmp_path, forks=forks) as running:
        out, _ = running.communicate(timeout=30)
    assert out.split() == [str(number * number) for number in range(20)]
    assert set(begun(tmp_path).values()) == {running.pid}


def test_without_shared_memory_all_is_done_here(tmp_path: Path) -> None:
    """As in AWS Lambda, where semaphores can not be had."""
    hidden = namespace('mount -t tmpfs -o ro none /dev/shm; exec "$@"', tmp_path)
    with program(tmp_path, under=hidden) as running:
        out, _ = running.communicate(timeout=30)
    assert out.split() == [str(number * number) for number in range(20)]
    assert len(set(begun(tmp_path).values())) == 1
