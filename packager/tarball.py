"""Writing `.tar.gz` files by copying. Pure: members in, bytes out; same members, same bytes.

A zip entry's data is a raw deflate stream whose CRC-32 and size stand in the zip's directory, and a
`.tar.gz` may be many gzip members one after the other (RFC 1952, section 2.2). So a wheel's file is
copied as it is, between ten bytes of gzip header and eight of CRC and size; the tar header before
it, with the padding of the file before that, is a small gzip member of its own.

A `Plan` says all this for some members: literal bytes, and spans of the file they come from. It is
made once for a wheel, can be kept, and `write` turns plans into an archive with large copies. Every
plan covers whole 512-byte blocks, so plans can be joined in any order.
"""

import contextlib
import hashlib
import itertools
import os
import queue
import struct
import tarfile
import threading
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

import deflate

from packager.errors import CommandError

BLOCK: Final = 512
END_OF_ARCHIVE: Final = bytes(2 * BLOCK)
"""POSIX: an archive ends with two blocks of zeros."""

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no flags, no time, no extra flags, unknown operating system."""

STORED_BLOCK: Final = 65_535
"""RFC 1951, section 3.2.4: the most that one stored block holds."""

LEVEL: Final = 6
"""libdeflate's level for what is not copied: as small as gzip -9 at ten times its speed."""

CHUNK: Final = 1 << 20
"""What is compressed goes in pieces of this size, which bounds memory."""

BATCH: Final = 4 << 20
"""Bytes read, written and digested at once."""

IOV_MAX: Final = 1024
"""The least that Linux and macOS take in one `writev`."""

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

    def to_bytes(self) -> bytes:
        return struct.pack("<Q", len(self.steps)) + self.steps.tobytes() + self.literals

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "Plan":
        """Undo `to_bytes` on the same kind of machine."""
        (count,) = struct.unpack_from("<Q", data)
        end_of_steps = 8 + 8 * count
        steps = array("Q")
        steps.frombytes(data[8:end_of_steps])
        return cls(literals=bytearray(data[end_of_steps:]), steps=steps)


def plan(members: Iterable[TarMember]) -> Plan:
    """Plan `members` in the order they come in."""
    result = Plan()
    written = 0
    """Literal bytes that a step already writes."""
    pending = bytearray()
    """Tar bytes that wait to become one gzip member."""

    def flush() -> None:
        if pending:
            result.literals += _gzip_member(pending)
            pending.clear()

    def copy(offset: int, length: int) -> None:
        nonlocal written
        result.steps.extend((len(result.literals) - written, offset, length))
        written = len(result.literals)

    for member in members:
        match member:
            case Symlink():
                pending += tar_header(member.path, link=member.link)
            case Content():
                pending += tar_header(member.path, size=len(member.data), mode=member.mode)
                for start in range(0, len(member.data), CHUNK):
                    pending += member.data[start : start + CHUNK]
                    if len(pending) >= CHUNK:
                        flush()
                pending += bytes(-len(member.data) % BLOCK)
            case Span() | Stored():
                pending += tar_header(member.path, size=member.size, mode=member.mode)
                if not member.size:
                    continue
                flush()
                result.literals += GZIP_HEADER
                if isinstance(member, Span):
                    copy(member.offset, member.length)
                else:
                    for start in range(0, member.size, STORED_BLOCK):
                        size = min(STORED_BLOCK, member.size - start)
                        last = start + size == member.size
                        result.literals += struct.pack("<BHH", last, size, size ^ 0xFFFF)
                        copy(member.offset + start, size)
                result.literals += struct.pack("<II", member.crc, member.size & 0xFFFFFFFF)
                pending += bytes(-member.size % BLOCK)
    flush()
    if len(result.literals) > written:
        copy(0, 0)
    return result


def end() -> Plan:
    """The end-of-archive blocks."""
    literals = bytearray(_gzip_member(END_OF_ARCHIVE))
    return Plan(literals=literals, steps=array("Q", (len(literals), 0, 0)))


def _gzip_member(data: bytes | bytearray) -> bytes:
    return b"".join(
        (
            GZIP_HEADER,
            deflate.deflate_compress(data, LEVEL),
            struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF),
        )
    )


_AFTER_CHECKSUM: Final = b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
_AFTER_CHECKSUM_SUM: Final = sum(_AFTER_CHECKSUM)
_USTAR_SIZE: Final = 8 << 30


def tar_header(path: str, *, size: int = 0, mode: int = FILE_MODE, link: str = "") -> bytes:
    """The header of one member: no owner, no time; pax records only where ustar has no room."""
    name = path.encode()
    if link or len(name) > 100 or size >= _USTAR_SIZE or not path.isascii():
        info = tarfile.TarInfo(path)
        info.size, info.mode, info.linkname = size, mode, link
        if link:
            info.type, info.mode = tarfile.SYMTYPE, 0o777
        return info.tobuf(tarfile.PAX_FORMAT)
    # The common case, written out: tarfile's own way costs more than all else in a pack.
    fields = b"%07o\x000000000\x000000000\x00%011o\x0000000000000\x00" % (mode, size)
    # Adler-32's lower half is one more than the sum of so few bytes, and takes no loop in Python.
    total = (zlib.adler32(name) & 0xFFFF) + (zlib.adler32(fields) & 0xFFFF) - 2
    checksum = total + 8 * 32 + _AFTER_CHECKSUM_SUM
    return b"%b%b%06o\x00 %b" % (name.ljust(100, b"\0"), fields, checksum, _AFTER_CHECKSUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a finished archive is known by."""

    sha256: str
    size: int


def write(parts: Iterable[tuple[Plan, BinaryIO | None]], out: BinaryIO) -> Written:
    """Write the plans, each with the file its spans are in, and the end of the archive.

    `out` must be a real file. Memory stays at a few `BATCH` whatever the size. Three threads keep
    the disk, the digest and the making of the next plan (`parts` may be lazy) from waiting for
    each other: all of them leave the interpreter for their large pieces.
    """
    batches: queue.Queue[list[bytes] | BaseException | None] = queue.Queue(maxsize=4)
    digests: queue.Queue[list[bytes] | None] = queue.Queue(maxsize=4)
    digest = hashlib.sha256()
    stopped = threading.Event()

    def read() -> None:
        try:
            for batch in _batches(parts):
                batches.put(batch)
                if stopped.is_set():
                    return
            batches.put(None)
        except BaseException as error:  # noqa: BLE001  # raised again where the writer waits
            batches.put(error)

    def digest_all() -> None:
        while (batch := digests.get()) is not None:
            for piece in batch:
                digest.update(piece)

    reader = threading.Thread(target=read, name="reader", daemon=True)
    hasher = threading.Thread(target=digest_all, name="sha256", daemon=True)
    reader.start()
    hasher.start()
    size = 0
    try:
        while (batch := batches.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            digests.put(batch)
            size += _write_all(out.fileno(), batch)
    finally:
        stopped.set()
        while reader.is_alive():
            _drain(batches)
            reader.join(0.01)
        digests.put(None)
        hasher.join()
    return Written(sha256=digest.hexdigest(), size=size)


def _drain(batches: "queue.Queue[list[bytes] | BaseException | None]") -> None:
    with contextlib.suppress(queue.Empty):  # only there so that a waiting reader can end
        while True:
            batches.get_nowait()


def _write_all(out: int, batch: list[bytes]) -> int:
    size = sum(map(len, batch))
    for start in range(0, len(batch), IOV_MAX):
        pieces = batch[start : start + IOV_MAX]
        left = sum(map(len, pieces)) - os.writev(out, pieces)
        if left:  # a short write: a signal, or a file system that takes less at once
            rest = memoryview(b"".join(pieces))[-left:]
            while rest:
                rest = rest[os.write(out, rest) :]
    return size


def _batches(parts: Iterable[tuple[Plan, BinaryIO | None]]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    waiting = 0
    for piece in _pieces(parts):
        batch.append(piece)
        waiting += len(piece)
        if waiting >= BATCH:
            yield batch
            batch, waiting = [], 0
    yield batch


def _pieces(parts: Iterable[tuple[Plan, BinaryIO | None]]) -> Iterator[bytes]:
    for plan_, source in itertools.chain(parts, [(end(), None)]):
        file = -1 if source is None else source.fileno()
        position = 0
        steps = iter(plan_.steps)
        for literal, offset, length in zip(steps, steps, steps, strict=True):
            yield bytes(plan_.literals[position : position + literal])
            position += literal
            for start in range(0, length, BATCH):
                size = min(BATCH, length - start)
                piece = os.pread(file, size, offset + start)
                if len(piece) != size:
                    raise CommandError(
                        f"{getattr(source, 'name', source)} is shorter than it was when verified",
                        why="something else changed it",
                        fix="delete it and run this again",
                    )
                yield piece
