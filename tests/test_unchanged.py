"""A pack that repeats the one before does nothing, and any other does everything."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packager.cleanroom import JobOutcome, RoomFacts
from packager.errors import ToolError
from packager.making import Packed
from packager.record import to_text
from packager.unchanged import PACKED
from tests.fakes import FakeRoom, World, lock_text, world
from tests.index import make_wheel
from tests.test_pipeline import archive, built_project, packed


@pytest.fixture
def outside(tmp_path: Path) -> World:
    return world(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path, outside: World) -> Path:
    """A project with two wheels that bring the same file with other contents."""
    root = built_project(tmp_path / "shop", outside, requires=["fruit", "nut"])
    wheels = [
        make_wheel(tmp_path / "wheels", name, files={f"{name}.py": "", "both.py": f"# {name}"})
        for name in ("fruit", "nut")
    ]
    outside.resolver.text = lock_text(*wheels)
    return root


def states(item: Packed) -> dict[str, tuple[int, int]]:
    paths = [path for path in item.path.parent.iterdir() if not path.name.startswith("main-")]
    return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in paths}


def test_the_same_pack_again_touches_nothing_and_tells_the_same(root: Path, outside: World) -> None:
    (first,) = packed(root, outside, entry_point=("main.py",))
    before, told = states(first), outside.said[-1:]
    assert "both.py: kept that of fruit-1.0" in told[0]
    outside.said.clear()
    (again,) = packed(root, outside, entry_point=("main.py",))
    assert again == first
    assert states(again) == before
    assert outside.said == told


def flip(path: Path) -> None:
    """Same size, same times: only the time of the last change tells."""
    old = path.stat()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))


@pytest.mark.parametrize("spoil", [flip, Path.unlink, lambda p: p.write_bytes(b"")])
def test_an_archive_that_something_changed_is_made_again(
    root: Path, outside: World, spoil: Callable[[Path], None]
) -> None:
    (first,) = packed(root, outside)
    path = archive(first, "environment")
    data = path.read_bytes()
    spoil(path)
    (again,) = packed(root, outside)
    assert again == first
    assert path.read_bytes() == data


@pytest.mark.parametrize("suffix", [".packager.json", ".cdx.json"])
def test_a_document_that_something_changed_is_written_again(
    root: Path, outside: World, suffix: str
) -> None:
    (first,) = packed(root, outside)
    (path,) = first.path.parent.glob(f"*{suffix}")
    text = path.read_text(encoding="utf-8")
    path.write_text("{}", encoding="utf-8")
    packed(root, outside)
    assert path.read_text(encoding="utf-8") == text
    path.unlink()
    packed(root, outside)
    assert path.read_text(encoding="utf-8") == text


def test_other_settings_are_another_pack(root: Path, outside: World) -> None:
    (first,) = packed(root, outside)
    (waived,) = packed(root, outside, waivers={"ARC014": "there is room"})
    assert waived.report.unneeded == ("ARC014",)
    (other,) = packed(root, outside, conf={"spark.x": "1"})
    assert other.record == replace(first.record, conf={"spark.x": "1"})
    assert other.path.read_text(encoding="utf-8") == to_text(other.record)


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"states": {}, "documents": [["a", "b"]]}'])
def test_a_damaged_memory_is_none(root: Path, outside: World, damage: str) -> None:
    (first,) = packed(root, outside)
    (memory,) = (outside.store.root / PACKED).iterdir()
    memory.write_text(damage, encoding="utf-8")
    (again,) = packed(root, outside)
    assert again == first


SEEN = RoomFacts(
    image="base",
    digest="sha256:1",
    platform="linux/amd64",
    emulated=False,
    archive="environment.tar.gz",
)


def test_what_was_tried_out_is_not_tried_out_again_unless_that_is_required(
    root: Path, outside: World
) -> None:
    room = FakeRoom(facts=SEEN)
    outside.room = room
    (first,) = packed(root, outside)
    (again,) = packed(root, outside)
    assert (len(room.asked), again) == (1, first)
    packed(root, outside, clean_room="require")
    packed(root, outside, clean_room="require")
    assert len(room.asked) == 3


def test_what_failed_when_it_was_tried_out_is_tried_out_again(root: Path, outside: World) -> None:
    outside.room = room = FakeRoom(facts=replace(SEEN, job=JobOutcome(problem="it did not end")))
    (item,) = packed(root, outside)
    assert not item.report.passed
    room.facts = SEEN
    (item,) = packed(root, outside)
    assert item.report.passed


def test_what_was_not_tried_out_is_as_soon_as_there_may_be_an_engine(
    root: Path, outside: World
) -> None:
    none = FakeRoom(error=ToolError("no engine", fix="start one"), there=False)
    outside.room = none
    packed(root, outside)
    packed(root, outside)
    assert len(none.asked) == 1
    outside.room = room = FakeRoom(facts=SEEN)
    (item,) = packed(root, outside)
    assert len(room.asked) == 1
    assert item.record.clean_room is not None
