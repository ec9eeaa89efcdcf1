"""A file put together of pieces, for any pieces and however the system writes them."""

import os
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import CommandError
from packager.splicing import BATCH, IOV_MAX, Splicer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "x.whl"
    path.write_bytes(os.urandom(2 * BATCH + 77))
    return path


def spliced(
    source: Path,
    pieces: list[bytes | tuple[int, int]],
    told: Callable[[int], None] = lambda _: None,
) -> bytes:
    with tempfile.TemporaryFile() as out, source.open("rb") as file:
        splicer = Splicer(out, told)
        with splicer.reading(file) as copy:
            for piece in pieces:
                if isinstance(piece, bytes):
                    splicer.add(memoryview(piece))
                else:
                    copy(*piece)
        out.seek(0)
        data = out.read()
    assert splicer.size == len(data)
    return data


def test_pieces_come_out_in_order_whatever_their_size_and_number(source: Path) -> None:
    data = source.read_bytes()
    small = [part for i in range(IOV_MAX) for part in (b"%d" % i, (i, 3))]
    told: list[int] = []
    assert spliced(source, [*small, (1, 2 * BATCH), b"", (5, 0), b"end"], told.append) == (
        b"".join(b"%d" % i + data[i : i + 3] for i in range(IOV_MAX))
        + data[1:][: 2 * BATCH]
        + b"end"
    )
    assert told == sorted(set(told))  # it grows, and nobody hears of nothing
    assert max(b - a for a, b in zip([0, *told], told, strict=False)) < 2 * BATCH


@given(
    pieces=st.lists(
        st.binary(max_size=40) | st.tuples(st.integers(0, 100), st.integers(0, 60)), max_size=30
    ),
    limits=st.lists(st.integers(1, 50), min_size=1),
)
def test_short_writes_are_continued(
    pieces: list[bytes | tuple[int, int]], limits: list[int]
) -> None:
    """The system may write less than it was asked to, and nothing of what it was not."""
    real, limit = os.writev, cycle(limits)

    def some(out: int, waiting: list[memoryview]) -> int:
        left, allowed = next(limit), []
        for piece in waiting:
            allowed.append(piece[:left])
            left -= len(allowed[-1])
        return real(out, allowed)

    data = bytes(range(200))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        source = Path(folder) / "x.whl"
        source.write_bytes(data)
        patch.setattr(os, "writev", some)
        assert spliced(source, pieces) == b"".join(
            piece if isinstance(piece, bytes) else data[piece[0] : piece[0] + piece[1]]
            for piece in pieces
        )


def test_a_file_that_becomes_shorter_while_it_is_copied_is_named(source: Path) -> None:
    def cut(_: int) -> None:
        os.truncate(source, 10)

    with pytest.raises(CommandError) as caught:
        spliced(source, [(0, 2 * BATCH)], cut)
    assert caught.value.what == f"{source} is shorter than it was when verified"


@pytest.mark.parametrize("size", [0, 99])
def test_nothing_is_copied_from_behind_the_end_of_a_file(tmp_path: Path, size: int) -> None:
    source = tmp_path / "x.whl"
    source.write_bytes(bytes(size))
    with pytest.raises(CommandError, match="is shorter than it was"):
        spliced(source, [(90, 10)])


def test_other_errors_of_writing_are_passed_on(source: Path, tmp_path: Path) -> None:
    read_only: BinaryIO
    with (
        source.open("rb") as file,
        source.open("rb") as read_only,
        pytest.raises(OSError, match="descriptor"),
        Splicer(read_only, lambda _: None).reading(file) as copy,
    ):
        copy(0, 10)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux alone")
def test_what_is_copied_is_not_held_in_memory(source: Path) -> None:
    source.write_bytes(bytes(16 * BATCH))
    before, mapped = held_of_files(), list[int]()
    spliced(source, [(0, 16 * BATCH)], lambda _: mapped.append(held_of_files() - before))
    assert len(mapped) == 16
    assert max(mapped) < 3 * BATCH


def held_of_files() -> int:
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("RssFile:")
    )
    return int(line.split()[1]) * 1024
