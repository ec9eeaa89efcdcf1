"""The archive writer against Python's own tarfile, gzip and zipfile."""

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import CommandError
from packager.headers import BLOCK, GZIP_HEADER, header_member, tar_header
from packager.splicing import IOV_MAX
from packager.tarball import (
    CHUNK,
    EXECUTABLE_MODE,
    FILE_MODE,
    STORED_BLOCK,
    Content,
    Part,
    Plan,
    Span,
    Stored,
    Symlink,
    TarMember,
    Written,
    plan,
    write,
)
from tests.archives import held

Parts = Sequence[Part]


def spliced(entries: dict[str, tuple[bytes, int]], archive: BinaryIO) -> list[TarMember]:
    """Write a zip of files with their modes; its entries as members that lie in it."""
    with zipfile.ZipFile(archive, "w") as out:
        for name, (data, _) in entries.items():
            stored = name.startswith("stored")
            method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            out.writestr(zipfile.ZipInfo(name), data, compress_type=method)
        infos = out.infolist()
    archive.flush()
    members: list[TarMember] = []
    for info in infos:
        mode = entries[info.filename][1]
        at = info.header_offset + 30 + len(info.filename.encode())
        member = Stored(path=info.filename, mode=mode, size=info.file_size, crc=info.CRC, offset=at)
        if info.compress_type == zipfile.ZIP_STORED:
            members.append(member)
        else:
            members.append(
                Span(
                    path=info.filename,
                    mode=mode,
                    size=info.file_size,
                    crc=info.CRC,
                    offset=at,
                    length=info.compress_size,
                )
            )
    return members


def archive_of(parts: Parts) -> bytes:
    with tempfile.TemporaryFile() as file:
        written = write(parts, file)
        file.seek(0)
        data = file.read()
    assert written == Written(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    return data


def read(archive: bytes) -> dict[str, tuple[int, bytes | str]]:
    """Mode and content of every member, or where its link leads."""
    found: dict[str, tuple[int, bytes | str]] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for info in tar:
            assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 0)
            assert info.name not in found
            content = tar.extractfile(info) if info.isreg() else None
            found[info.name] = (info.mode, content.read() if content else info.linkname)
    return found


NAMES = st.one_of(
    st.text("ab/.-_ ", min_size=1, max_size=120),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=110),
).map(lambda name: name.strip("/") or "x")
SIZES = st.one_of(
    st.integers(0, 3000),
    st.sampled_from([2**33 - 1, 2**33, 2**40]),
    st.sampled_from([0, BLOCK - 1, BLOCK, BLOCK + 1]),
)


@settings(deadline=None)
@given(name=NAMES, size=SIZES, mode=st.sampled_from([FILE_MODE, EXECUTABLE_MODE, 0o600, 0o7777]))
def test_a_header_is_what_tarfile_writes(name: str, size: int, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    assert tar_header(name, size=size, mode=mode) == info.tobuf(tarfile.PAX_FORMAT)


@settings(deadline=None)
@given(
    padding=st.integers(0, BLOCK - 1),
    name=st.one_of(NAMES, st.text("a/b_~", min_size=99, max_size=101)),
    size=SIZES,
    mode=st.sampled_from([FILE_MODE, EXECUTABLE_MODE, 0o600, 0o7777]),
)
def test_a_member_between_two_files_holds_padding_and_header(
    padding: int, name: str, size: int, mode: int
) -> None:
    member = header_member(padding, name, size=size, mode=mode)
    header = tar_header(name, size=size, mode=mode)
    if member is None:
        assert len(header) > BLOCK or not name.isascii()
    else:
        assert gzip.decompress(member) == bytes(padding) + header


def test_a_member_between_two_files_is_hardly_longer_than_a_compressor_makes_it() -> None:
    name = "lib/python3.11/site-packages/package/module/_file.py"
    for padding in range(BLOCK):
        member = header_member(padding, name, size=4321 + padding, mode=FILE_MODE)
        data = bytes(padding) + tar_header(name, size=4321 + padding, mode=FILE_MODE)
        assert member is not None
        assert len(member) <= len(gzip.compress(data, 9)) + 20


@pytest.mark.parametrize(
    ("path", "size"),
    [("a" * 100, 2**33 - 1), ("a" * 101, 0), ("d/" * 300 + "x", 1), ("ü", 5), ("x", 2**33)],
)
def test_what_ustar_has_no_room_for_is_read_back(path: str, size: int) -> None:
    header = tar_header(path, size=size, mode=EXECUTABLE_MODE)
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as tar:
        info = tar.next()
    assert info is not None
    assert (info.name, info.size, info.mode) == (path, size, EXECUTABLE_MODE)
    plain = len(path) <= 100 and path.isascii() and size < 2**33
    assert len(header) == (BLOCK if plain else 3 * BLOCK if len(path) < 500 else 4 * BLOCK)


DATA = st.builds(
    lambda seed, size: (seed * (size // len(seed) + 1))[:size],
    st.binary(min_size=1, max_size=40),
    st.sampled_from([0, 1, 511, 512, 513, 1024, 65_535, 65_536, 70_000]),
)
FILES = st.dictionaries(
    NAMES.map(os.path.normpath).filter(lambda name: not name.startswith((".", "stored"))),
    st.tuples(DATA, st.sampled_from([FILE_MODE, EXECUTABLE_MODE])),
    max_size=4,
)
LINKS = st.dictionaries(st.text("lm", min_size=1), NAMES, max_size=2)


@settings(max_examples=40, deadline=None)
@given(copied=FILES, stored=FILES, given_=FILES, links=LINKS)
def test_what_is_written_is_read_back(
    copied: dict[str, tuple[bytes, int]],
    stored: dict[str, tuple[bytes, int]],
    given_: dict[str, tuple[bytes, int]],
    links: dict[str, str],
) -> None:
    in_zip = {f"copied/{name}": file for name, file in copied.items()}
    in_zip |= {f"stored/{name}": file for name, file in stored.items()}
    own = {f"given/{name}": file for name, file in given_.items()}
    with tempfile.TemporaryFile() as source:
        members = spliced(in_zip, source)
        # Mixed, so that every kind follows every other.
        members += [Content(path=p, mode=mode, data=data) for p, (data, mode) in own.items()]
        members += [Symlink(path=f"links/{p}", link=link) for p, link in links.items()]
        members.sort(key=lambda m: zlib.crc32(m.path.encode()))
        archive = archive_of([(plan(members), held(source))])
    expected = {p: (mode, data) for p, (data, mode) in (in_zip | own).items()}
    assert read(archive) == expected | {f"links/{p}": (0o777, to) for p, to in links.items()}


def test_deflated_bytes_are_copied_as_they_are(tmp_path: Path) -> None:
    texts = {f"{i}.py": (os.urandom(300).hex().encode() * 3, FILE_MODE) for i in range(5)}
    with (tmp_path / "x.whl").open("w+b") as source:
        members = spliced(texts, source)
        archive = archive_of([(plan(members), held(source))])
    wheel = (tmp_path / "x.whl").read_bytes()
    streams = [wheel[m.offset : m.offset + m.length] for m in members if isinstance(m, Span)]
    assert len(streams) == 5
    at = -1
    for stream, (text, _) in zip(streams, texts.values(), strict=True):
        assert zlib.decompress(stream, -15) == text
        at = archive.index(GZIP_HEADER + stream, at + 1)


def test_a_file_at_the_limit_of_a_stored_block_and_beyond() -> None:
    for size in (STORED_BLOCK - 1, STORED_BLOCK, STORED_BLOCK + 1, 3 * STORED_BLOCK + 7):
        data = os.urandom(size)
        with tempfile.TemporaryFile() as source:
            source.write(b"before" + data + b"after")
            source.flush()
            member = Stored(path="x", mode=FILE_MODE, size=size, crc=zlib.crc32(data), offset=6)
            archive = archive_of([(plan([member]), held(source))])
        assert read(archive) == {"x": (FILE_MODE, data)}
        assert len(archive) < size + 5 * (size // STORED_BLOCK + 1) + 300


def test_plans_can_be_joined_in_any_order() -> None:
    plans = [
        plan([Content(path="a", mode=FILE_MODE, data=b"x" * 700)]),
        plan([Symlink(path="b", link="a")]),
        plan([Content(path="c", mode=FILE_MODE, data=b"")]),
        plan([]),
    ]
    for order in permutations(range(4)):
        archive = archive_of([(plans[i], None) for i in order])
        assert list(read(archive)) == ["abc"[i] for i in order if i < 3]
        assert gzip.decompress(archive)[-2 * BLOCK :] == bytes(2 * BLOCK)
        assert len(gzip.decompress(archive)) % BLOCK == 0


def test_each_plan_copies_from_its_own_file() -> None:
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two:
        first = plan(spliced({"one": (b"1" * 600, FILE_MODE)}, one))
        second = plan(spliced({"two": (b"2" * 600, FILE_MODE)}, two))
        archive = archive_of([(second, held(two)), (first, held(one))])
    assert read(archive) == {"two": (FILE_MODE, b"2" * 600), "one": (FILE_MODE, b"1" * 600)}


def test_a_plan_knows_its_size() -> None:
    with tempfile.TemporaryFile() as source:
        files = {"a": (b"a" * 5000, FILE_MODE), "stored": (b"s" * 70_000, FILE_MODE)}
        made = plan([*spliced(files, source), Content(path="c", mode=FILE_MODE, data=b"c")])
        archive = archive_of([(made, held(source))])
    assert made.size == len(archive) - len(archive_of([]))


def test_many_pieces_and_large_contents_arrive_in_order() -> None:
    count = 3 * IOV_MAX
    with tempfile.TemporaryFile() as source:
        files = {f"{i:05}": (b"%d" % i, FILE_MODE) for i in range(count)}
        small = plan(spliced(files, source))
        large = os.urandom(CHUNK) * 2 + b"end"
        made = plan([Content(path="large", mode=FILE_MODE, data=memoryview(large))])
        archive = archive_of([(made, None), (small, held(source))])
    assert made.literals.count(GZIP_HEADER) == 3  # never all of it at once
    expected = {name: (mode, data) for name, (data, mode) in files.items()}
    assert read(archive) == {"large": (FILE_MODE, large)} | expected


def writer_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in {"planner", "sha256"}]


def many_parts() -> Iterator[tuple[Plan, None]]:
    big = plan([Content(path="x", mode=FILE_MODE, data=os.urandom(CHUNK))])
    while True:
        yield big, None


def failing_part(error: BaseException) -> Iterator[tuple[Plan, None]]:
    yield plan([Content(path="x", mode=FILE_MODE, data=b"x")]), None
    raise error


@pytest.mark.parametrize("error", [ValueError("made late"), KeyboardInterrupt(), OSError(5, "io")])
def test_an_error_while_a_part_is_made_comes_out(tmp_path: Path, error: BaseException) -> None:
    with (tmp_path / "out").open("w+b") as out, pytest.raises(type(error)) as caught:
        write(failing_part(error), out)
    assert caught.value is error
    assert writer_threads() == []


def test_a_full_disk_ends_writing_and_the_making_of_parts(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with (tmp_path / "out").open("rb") as read_only, pytest.raises(OSError, match="descriptor"):
        write(many_parts(), read_only)
    assert writer_threads() == []


@pytest.mark.parametrize("left", [0, 8999])
def test_a_source_that_became_shorter_is_named(tmp_path: Path, left: int) -> None:
    path = tmp_path / "x.whl"
    path.write_bytes(bytes(left))
    parts = plan([Stored(path="x", mode=FILE_MODE, size=9000, crc=0, offset=0)])
    with (
        path.open("rb") as source,
        (tmp_path / "out").open("w+b") as out,
        pytest.raises(CommandError) as caught,
    ):
        write([(parts, held(source))], out)
    assert caught.value.what == f"{path} is shorter than it was when verified"
    assert writer_threads() == []


def test_an_archive_that_is_cut_off_while_it_is_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(out: int, pieces: list[memoryview]) -> int:
        size = writev(out, pieces)
        os.ftruncate(out, 0)
        return size

    writev = os.writev
    monkeypatch.setattr(os, "writev", cut_off)
    parts = plan([Content(path="x", mode=FILE_MODE, data=b"x")])
    with (
        (tmp_path / "out").open("w+b") as out,
        pytest.raises(CommandError, match="the archive became shorter"),
    ):
        write([(parts, None)], out)
    assert writer_threads() == []


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 9000)), max_size=30))
def test_files_come_out_as_they_lie_in_the_source_in_whatever_order(
    gaps_and_sizes: list[tuple[int, int]],
) -> None:
    source, members = bytearray(), []
    for number, (gap, size) in enumerate(gaps_and_sizes):
        source += os.urandom(gap)
        data = os.urandom(size)
        members.append(
            Stored(
                path=str(number),
                mode=FILE_MODE,
                size=size,
                crc=zlib.crc32(data),
                offset=len(source),
            )
        )
        source += data
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as out:
        file.write(source)
        file.flush()
        write([(plan(reversed(members)), held(file)), (plan(members), held(file))], out)
        out.seek(0)
        with tarfile.open(fileobj=out, mode="r:gz") as archive:
            for info, member in zip(archive, [*reversed(members), *members], strict=True):
                read = archive.extractfile(info)
                assert read is not None
                assert read.read() == source[member.offset : member.offset + member.size]
