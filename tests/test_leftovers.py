"""Whose something is that is not whole yet, and when it may go."""

import os
from pathlib import Path

import pytest

from packager.leftovers import STALE_S, is_left, mark
from packager.output import UNFINISHED, new_file, require_writable


def test_what_a_living_process_makes_stays_however_old_it_is() -> None:
    assert not is_left(f"{mark()}x", 10 * STALE_S)


def test_a_number_that_was_given_again_is_told_by_its_start() -> None:
    here, number, started, _ = mark().split("-")
    assert is_left(f"{here}-{number}-{int(started) + 1}-x", 0)


def test_a_child_has_a_mark_of_its_own_and_a_dead_one_is_left_even_as_a_zombie() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, mark().encode())
        os._exit(0)
    os.close(write)
    theirs = b"".join(iter(lambda: os.read(read, 100), b"")).decode()
    os.close(read)
    assert theirs.split("-")[1] == str(child) != mark().split("-")[1]
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_left(f"{theirs}x", 0)
    os.waitpid(child, 0)
    assert is_left(f"{theirs}x", 0)


@pytest.mark.parametrize("name", ["another1machine-1-2-x", "12-x", "tmpabc", ""])
def test_what_can_not_be_seen_from_here_goes_by_age(name: str) -> None:
    assert not is_left(name, STALE_S - 1)
    assert is_left(name, STALE_S + 1)


def test_the_next_run_sweeps_the_folder_of_archives(tmp_path: Path) -> None:
    here, number, started, _ = mark().split("-")
    (tmp_path / f"{UNFINISHED}{here}-{number}-{int(started) - 1}-x").touch()
    with new_file(tmp_path) as (file, _):
        assert file.name
        own = {p.name for p in tmp_path.iterdir() if p.name.startswith(f"{UNFINISHED}{mark()}")}
        require_writable(tmp_path)
        assert {p.name for p in tmp_path.iterdir()} == own
    assert list(tmp_path.iterdir()) == []
