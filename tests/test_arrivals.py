"""Archives cut into parts while they are written, and digested as they will be sent."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.adapters.aws.arrivals import LARGEST, Arrival
from packager.errors import CommandError
from packager.policies import people
from packager.publishing import places
from packager.publishing.digests import (
    SMALLEST_PART,
    Digests,
    digests_of,
    part_size,
    planned_parts,
)
from packager.publishing.places import Place
from packager.publishing.store import Item
from packager.tarball import Written

UNKNOWN = Digests(sha256="", size=0, parts=())


def arrival(file: int, begin: Callable[[Arrival, int], None]) -> Arrival:
    place = Place(bucket="jobs", key="a/.arriving/1")
    item = Item(place=place, source=b"", digests=UNKNOWN, content_type="application/gzip")
    return Arrival(item=item, file=file, begin=begin, look=lambda _: None)


@pytest.mark.parametrize("rest", [1, SMALLEST_PART - 1, SMALLEST_PART])
def test_parts_are_those_of_a_file_that_is_sent_when_it_is_whole(tmp_path: Path, rest: int) -> None:
    path = tmp_path / "archive"
    data = random.Random(rest).randbytes(SMALLEST_PART + rest)
    path.write_bytes(data)
    wanted = digests_of(path)
    starts: list[int] = []
    with path.open("rb") as file:
        it = arrival(file.fileno(), lambda one, start: starts.append(one.part(start).start))
        for size in (SMALLEST_PART // 2, SMALLEST_PART, SMALLEST_PART + 1, len(data)):
            it.grown(min(size, len(data)))
        it.whole(path, Written(sha256=wanted.sha256, size=len(data)))
    assert starts == [0, SMALLEST_PART]
    assert it.digests.result(0) == wanted


@given(st.lists(st.integers(1, 3 * SMALLEST_PART), min_size=1, max_size=9))
def test_however_it_grows_no_part_is_begun_before_all_of_it_is_written(steps: list[int]) -> None:
    begun: list[tuple[int, int]] = []
    it = arrival(-1, lambda one, start: begun.append((start, one.seen)))
    size = 0
    for step in steps:
        size += step
        it.grown(size)
        assert all(end < size for _, end in begun)
        assert len(begun) == (size - 1) // SMALLEST_PART
    assert [start for start, _ in begun] == [n * SMALLEST_PART for n in range(len(begun))]


def test_what_is_sent_in_one_piece_has_no_parts(tmp_path: Path) -> None:
    begun: list[int] = []
    it = arrival(-1, lambda _, start: begun.append(start))
    it.grown(SMALLEST_PART)
    it.whole(tmp_path / "archive", Written(sha256="00" * 32, size=SMALLEST_PART))
    assert (begun, it.name) == ([], None)


def test_what_needs_larger_parts_is_left_for_later(tmp_path: Path) -> None:
    begun: list[int] = []
    it = arrival(-1, lambda _, start: begun.append(start))
    it.seen = LARGEST - 1
    it.grown(LARGEST + 1)
    assert it.source.stopped.is_set()
    it.whole(tmp_path / "archive", Written(sha256="00" * 32, size=LARGEST + 1))
    assert it.name is None
    assert begun == []


def test_what_was_changed_meanwhile_is_not_taken_for_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(bytes(SMALLEST_PART + 1))
    begun: list[int] = []
    with path.open("rb") as file:
        it = arrival(file.fileno(), lambda _, start: begun.append(start))
        it.grown(SMALLEST_PART + 1)
        it.whole(path, Written(sha256="00" * 32, size=SMALLEST_PART + 1))
        os.utime(path, (1, 1))
        it.part(begun[0])
        with pytest.raises(CommandError, match="was changed while it was sent"):
            it.part(begun[1])


@given(st.integers(1, 6 << 40))
def test_planned_parts_cover_all_of_it_as_it_would_be_sent(size: int) -> None:
    parts = planned_parts(size)
    assert sum(part.size for part in parts) == size
    assert [part.start for part in parts] == [n * part_size(size) for n in range(len(parts))]
    assert len(parts) <= 10_000


def test_policies_name_the_folder_as_publishing_does() -> None:
    assert people.ARRIVING == places.ARRIVING
