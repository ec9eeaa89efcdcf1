"""Kept plans: they come back as they were, or not at all."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.adapters.plans import plan_data, read_plan
from packager.facts import Observation, observe
from packager.ports import InstalledWheel, Planned, StoredWheel
from packager.tarball import (
    EXECUTABLE_MODE,
    FILE_MODE,
    Content,
    Plan,
    Span,
    Stored,
    Symlink,
    TarMember,
    plan,
)

paths = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40)
modes = st.sampled_from([FILE_MODE, EXECUTABLE_MODE])
numbers = st.integers(0, 2**40)
crcs = st.integers(0, 2**32 - 1)
members = st.lists(
    st.one_of(
        st.builds(Span, paths, modes, numbers, crcs, numbers, numbers),
        st.builds(Stored, path=paths, mode=modes, size=numbers, crc=crcs, offset=numbers),
        st.builds(Content, path=paths, mode=modes, data=st.binary(max_size=200)),
    ),
    max_size=20,
)
SEEN = observe("bin/x", b"#!/usr/bin/python3", lambda: pytest.fail("all of it is there"))


@given(members, st.binary(max_size=300), st.lists(numbers, max_size=20))
def test_what_is_kept_comes_back(
    given_: list[TarMember], literals: bytes, steps: list[int]
) -> None:
    planned = Plan(literals=bytearray(literals), steps=array("Q", steps))
    observations: tuple[Observation, ...] = SEEN
    assert read_plan(plan_data(given_, observations, planned)) == (
        tuple(given_),
        observations,
        planned,
    )


DATA = plan_data(
    [Content(path="a", mode=FILE_MODE, data=b"a" * 99)],
    SEEN,
    plan([Content(path="a", mode=FILE_MODE, data=b"")]),
)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_plan_with_a_changed_byte_is_refused(at: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= change
    with pytest.raises(ValueError, match="damaged"):
        read_plan(bytes(damaged))


@given(st.integers(0, len(DATA) - 1))
def test_a_plan_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="damaged"):
        read_plan(DATA[:length])


def test_links_are_not_kept() -> None:
    with pytest.raises(ValueError, match="no links"):
        plan_data([Symlink(path="a", link="b")], (), Plan())


def test_a_part_of_fewer_members_is_planned_anew(tmp_path_factory: pytest.TempPathFactory) -> None:
    wheel = StoredWheel(
        path=tmp_path_factory.getbasetemp(), filename="x-1-py3-none-any.whl", sha256="0", size=0
    )
    both = (
        Content(path="a", mode=FILE_MODE, data=b"a"),
        Content(path="b", mode=FILE_MODE, data=b"b"),
    )
    known = Planned(members=both, plan=Plan(literals=bytearray(b"as it was kept")))
    whole = InstalledWheel(wheel=wheel, members=both, observations=(), planned=known)
    fewer = InstalledWheel(wheel=wheel, members=both[:1], observations=(), planned=known)
    assert whole.plan is known.plan
    assert fewer.plan == plan(both[:1])
