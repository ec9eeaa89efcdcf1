"""Writing `.tar.gz` files by copying. Pure: members in, bytes out; same members, same bytes.

A zip entry's data is a raw deflate stream whose CRC-32 and size stand in the zip's directory, and a
`.tar.gz` may be many gzip members one after the other (RFC 1952, section 2.2). So a wheel's file is
copied as it is, between ten bytes of gzip header and eight of CRC and size; the tar header before
it, with the padding of the file before that, is a small gzip member of its own.

A `Plan` says all this for some members: literal bytes, and spans of the file they come from.
`write` turns plans into an archive with large copies. Every plan covers whole 512-byte blocks, so
plans can be joined in any order.
"""

import contextlib
import hashlib
import itertools
import os
import queue
import struct
import threading
import zlib
from array import array
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

import deflate

from packager.errors import CommandError
from packager.headers import BLOCK, GZIP_HEADER, header_member, tar_header
from packager.splicing import BATCH, Splicer

END_OF_ARCHIVE: Final = bytes(2 * BLOCK)
"""POSIX: an archive ends with two blocks of zeros."""

AHEAD: Final = 16
"""Plans made in advance, each of a few megabytes at most; they differ a thousandfold in time."""

STORED_BLOCK: Final = 65_535
"""RFC 1951, section 3.2.4: the most that one stored block holds."""

LEVEL: Final = 6
"""libdeflate's level for what is not copied: as small as gzip -9 at ten times its speed."""

QUICK_LEVEL: Final = 4
"""For whole trees of files: what installers unpacked becomes as large as its wheels were, in two
thirds of the time of level 6 (measured 2026-11-20: 522 MB become 172.1 MB; the wheels' 171.9)."""

CHUNK: Final = 1 << 20
"""What is compressed goes in pieces of this size, which bounds memory."""

FILE_MODE: Final = 0o644
EXECUTABLE_MODE: Final = 0o755


class Span(NamedTuple):
    """A file whose deflate stream lies in another file, to be copied as it is."""

    path: str
    mode: int
    size: int
    """Bytes when inflated."""
    crc: int
    offset: int
    """Of the deflate stream in the source file."""
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that lies uncompressed in another file and is copied in deflate's stored blocks."""

    path: str
    mode: int
    size: int
    crc: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file whose bytes are given."""

    path: str
    mode: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Symlink:
    path: str
    link: str


TarMember = Span | Stored | Content | Symlink


def crc_and_size(member: TarMember) -> tuple[int, int]:
    """What tells two files of the same path apart."""
    match member:
        case Symlink():
            return 0, 0
        case Content():
            return zlib.crc32(member.data), len(member.data)
        case Span() | Stored():
            return member.crc, member.size


@dataclass(slots=True)
class Plan:
    """How to write some members: literal bytes and spans of one source file, alternating."""

    literals: bytearray = field(default_factory=bytearray)
    steps: "array[int]" = field(default_factory=lambda: array("Q"))
    """Triples: literal bytes to write, then offset and length of the span to copy."""

    @property
    def size(self) -> int:
        """Bytes in the archive."""
        return len(self.literals) + sum(self.steps[2::3])


def plan(members: Iterable[TarMember], level: int = LEVEL) -> Plan:
    """Plan `members` in the order they come in."""
    result = Plan()
    literals, steps = result.literals, result.steps
    written = 0
    """Literal bytes that a step already writes."""
    pending = bytearray()
    """Tar bytes that wait to become one gzip member."""
    padding = 0
    """Zeros that come after them."""

    def flush() -> None:
        nonlocal padding
        if pending or padding:
            literals.extend(gzip_member(pending + bytes(padding), level))
            pending.clear()
            padding = 0

    def copy(offset: int, length: int) -> None:
        nonlocal written
        steps.extend((len(literals) - written, offset, length))
        written = len(literals)

    for member in members:
        if isinstance(member, Span):  # nearly all, which `match` would take apart one by one
            path, mode, size, crc, offset, length = member
            between = None
            if size and not pending:
                between = header_member(padding, path, size=size, mode=mode)
            if between is not None:
                literals += between
            else:
                pending += bytes(padding) + tar_header(path, size=size, mode=mode)
                padding = 0
                if not size:
                    continue
                flush()
            literals += GZIP_HEADER
            copy(offset, length)
            literals += _CRC_AND_SIZE(crc, size & 0xFFFFFFFF)
            padding = -size % BLOCK
            continue
        match member:
            case Symlink():
                pending += bytes(padding) + tar_header(member.path, link=member.link)
                padding = 0
            case Content():
                size = len(member.data)
                pending += bytes(padding) + tar_header(member.path, size=size, mode=member.mode)
                padding = 0
                for start in range(0, size, CHUNK):
                    pending += member.data[start : start + CHUNK]
                    if len(pending) >= CHUNK:
                        flush()
                padding = -size % BLOCK
            case Stored():
                size = member.size
                pending += bytes(padding) + tar_header(member.path, size=size, mode=member.mode)
                padding = 0
                if not size:
                    continue
                flush()
                literals += GZIP_HEADER
                for start in range(0, size, STORED_BLOCK):
                    part = min(STORED_BLOCK, size - start)
                    last = start + part == size
                    literals += struct.pack("<BHH", last, part, part ^ 0xFFFF)
                    copy(member.offset + start, part)
                literals += _CRC_AND_SIZE(member.crc, size & 0xFFFFFFFF)
                padding = -size % BLOCK
    flush()
    if len(literals) > written:
        copy(0, 0)
    return result


_CRC_AND_SIZE: Final = struct.Struct("<II").pack
"""RFC 1952: how a gzip member ends."""


def plan_bytes(data: bytes, level: int = LEVEL) -> Plan:
    """Plan the bytes of a tar, or of a part of one, filled up to whole blocks."""
    literals = bytearray()
    padded = data + bytes(-len(data) % BLOCK)
    for start in range(0, len(padded), CHUNK):
        literals += gzip_member(padded[start : start + CHUNK], level)
    return Plan(literals=literals, steps=array("Q", (len(literals), 0, 0)))


def end() -> Plan:
    """The end-of-archive blocks."""
    return plan_bytes(END_OF_ARCHIVE)


def gzip_member(data: bytes | bytearray, level: int) -> bytes:
    return b"".join(
        (
            GZIP_HEADER,
            deflate.deflate_compress(data, level),
            _CRC_AND_SIZE(zlib.crc32(data), len(data) & 0xFFFFFFFF),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a finished archive is known by."""

    sha256: str
    size: int


Opening = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens the file that a plan's spans are in; what it raises at the end stops the writing."""

Part = tuple[Plan, Opening | None]


def write(
    parts: Iterable[Part], out: BinaryIO, grown: Callable[[int], None] | None = None
) -> Written:
    """Write the plans, each with the file its spans are in, and the end of the archive.

    `grown` hears now and then how many bytes are written; the writing waits while it listens.

    `out` must be a real file, open for reading too. Memory stays at a few `BATCH` whatever the
    size. Three threads keep the disk, the digest and the making of the next plan (`parts` may be
    lazy) from waiting for each other. The digest reads the file again: the pieces are many and
    small, and for each of them it would have to wait for its turn in the interpreter.
    """
    planned: queue.Queue[Part | BaseException | None] = queue.Queue(maxsize=AHEAD)
    sizes: queue.Queue[int] = queue.Queue()
    digest = hashlib.sha256()
    digested: list[int | BaseException] = []
    stopped = threading.Event()

    def plan_all() -> None:
        try:
            for part in itertools.chain(parts, [(end(), None)]):
                planned.put(part)
                if stopped.is_set():
                    return
            planned.put(None)
        except BaseException as error:  # noqa: BLE001  # raised again where the writer waits
            planned.put(error)

    def digest_all() -> None:
        position = 0
        buffer = memoryview(bytearray(BATCH))
        try:
            while end_ := sizes.get():
                while position < end_:
                    size = os.preadv(out.fileno(), [buffer[: end_ - position]], position)
                    if not size:
                        return  # somebody cut it off
                    digest.update(buffer[:size])
                    position += size
            digested.append(position)
        except BaseException as error:  # noqa: BLE001  # raised again when all is written
            digested.append(error)

    def told(size: int) -> None:
        sizes.put(size)
        if grown is not None:
            grown(size)

    planner = threading.Thread(target=plan_all, name="planner", daemon=True)
    hasher = threading.Thread(target=digest_all, name="sha256", daemon=True)
    planner.start()
    hasher.start()
    splicer = Splicer(out, told)
    try:
        while (part := planned.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            _write_part(*part, splicer)
    finally:
        stopped.set()
        while planner.is_alive():
            _drain(planned)
            planner.join(0.01)
        sizes.put(0)
        hasher.join()
    if digested and isinstance(digested[0], BaseException):
        raise digested[0]
    if digested != [splicer.size]:
        raise CommandError(
            "the archive became shorter while it was written",
            why="something else changed it",
            fix="find out what, and run this again",
        )
    return Written(sha256=digest.hexdigest(), size=splicer.size)


def _drain(planned: "queue.Queue[Part | BaseException | None]") -> None:
    with contextlib.suppress(queue.Empty):  # only there so that a waiting planner can end
        while True:
            planned.get_nowait()


def _write_part(plan_: Plan, opening: Opening | None, splicer: Splicer) -> None:
    literals = memoryview(plan_.literals)
    if opening is None:
        splicer.add(literals)
        splicer.flush()
        return
    position = 0
    with opening() as file, splicer.reading(file) as copy:
        numbers = iter(plan_.steps)
        for length, offset, size in zip(numbers, numbers, numbers, strict=True):
            splicer.add(literals[position : position + length])
            copy(offset, size)
            position += length
