"""From an archive to a layer of an image: other paths, the same compressed files.

An archive of ours is a row of gzip members, and most of them hold nothing but the data of one file.
Those are copied as they are. Members with tar headers in them are written anew, with the path that
the file has in the image, and with the directories above it: some engines make a directory that no
layer names, and let only root look into it.

A layer is known by two digests: of the file, and of the tar in it (OCI image-spec 1.1, layer.md and
config.md). Both are taken while it is written.
"""

import contextlib
import hashlib
import queue
import tarfile
import threading
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from isal import isal_zlib

from packager.errors import ConfigError
from packager.headers import BLOCK, directory_header, header_member, tar_header
from packager.tarball import END_OF_ARCHIVE, LEVEL, Plan, gzip_member, write

FEED: Final = 1 << 12
"""Compressed bytes at first; members with headers are smaller."""
LARGEST_FEED: Final = 1 << 18
LARGEST_MIXED: Final = 8 << 20
"""Bytes of a member that has headers in it; ours have a mebibyte and a bit."""
AT_ONCE: Final = 1 << 20
STEPS_AT_ONCE: Final = 3 * 256
ALWAYS_THERE: Final = frozenset(
    (
        *("etc", "home", "home/hadoop", "tmp", "usr", "usr/bin", "usr/lib", "usr/lib/jvm"),
        *("usr/lib/spark", "usr/lib/spark/conf", "usr/lib/spark/jars", "usr/lib64"),
        *("usr/local", "usr/local/bin", "usr/share", "var", "var/lib"),
    )
)
"""Directories of every base image, whose owners and permissions are theirs to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """A layer that was written, or that is known to become the same again."""

    name: str
    """What is in it, for the image's history."""
    digest: str
    diff_id: str
    """Of the tar in it."""
    size: int


def write_layer(archive: Path, prefix: str, out: BinaryIO, *, name: str) -> ImageLayer:
    """Write the files of an archive of ours as a layer, each below `prefix`.

    Raise `ConfigError` for an archive that can not be read.
    """
    digest = _Digest()
    try:
        with archive.open("rb") as file:
            plans = _joined(_plans(file, prefix, digest))
            written = write(((plan, lambda: contextlib.nullcontext(file)) for plan in plans), out)
    except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub names an instance
        raise _unreadable(archive, error) from error
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise _unreadable(archive, error) from error
    finally:
        diff_id = digest.end()
    return ImageLayer(
        name=name,
        digest=f"sha256:{written.sha256}",
        diff_id=f"sha256:{diff_id}",
        size=written.size,
    )


def _unreadable(archive: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{archive} can not be read",
        why=str(error) or type(error).__name__,
        fix="make it again: packager pack",
    )


def _joined(plans: Iterator[Plan]) -> Iterator[Plan]:
    """The same as fewer plans, since the archive is mapped and written anew for each."""
    joined = Plan()
    for plan in plans:
        joined.literals += plan.literals
        joined.steps += plan.steps
        if len(joined.steps) >= STEPS_AT_ONCE or len(joined.literals) >= AT_ONCE:
            yield joined
            joined = Plan()
    yield joined


def _plans(file: BinaryIO, prefix: str, digest: "_Digest") -> Iterator[Plan]:
    rewriter = _Rewriter(prefix=prefix)
    for member in _members(file):
        kept: list[bytes] | None = []
        size = 0
        for piece in member.pieces:
            size += len(piece)
            if kept is None:
                digest.update(piece)
                continue
            kept.append(piece)
            if size > LARGEST_MIXED:
                for one in kept:
                    digest.update(one)
                kept = None
        if rewriter.passes(size):
            for one in kept or ():
                digest.update(one)
            yield Plan(steps=array("Q", (0, member.start, member.end - member.start)))
        elif kept is None:
            raise ValueError("it was not written by packager")
        else:
            new = rewriter.rewritten(b"".join(kept))
            digest.update(new.data)
            yield Plan(
                literals=bytearray(new.compressed), steps=array("Q", (len(new.compressed), 0, 0))
            )
        if rewriter.over:
            digest.update(END_OF_ARCHIVE)
            return
    raise EOFError("it ends too soon")


@dataclass(slots=True)
class _GzipMember:
    """Compressed bytes from `start` to `end`, which is known once the pieces have been taken."""

    start: int
    end: int
    pieces: Iterator[bytes]


def _members(file: BinaryIO) -> Iterator[_GzipMember]:
    start = 0
    size = file.seek(0, 2)
    while start < size:
        member = _GzipMember(start, start, iter(()))
        member.pieces = _inflated(file, member)
        yield member
        start = member.end


def _inflated(file: BinaryIO, member: _GzipMember) -> Iterator[bytes]:
    inflating = isal_zlib.decompressobj(31)
    file.seek(member.start)
    feed, fed = FEED, 0
    while not inflating.eof:
        data = file.read(feed)
        if not data:
            raise EOFError("it ends too soon")
        fed += len(data)
        feed = min(2 * feed, LARGEST_FEED)
        if piece := inflating.decompress(data):
            yield piece
    member.end = member.start + fed - len(inflating.unused_data)


@dataclass(frozen=True, slots=True)
class _New:
    """What a gzip member becomes."""

    data: bytes
    compressed: bytes


@dataclass(slots=True)
class _Rewriter:
    """Reads a tar in pieces, and gives its headers other paths."""

    prefix: str
    over: bool = False
    left: int = 0
    """Bytes of a file and of the padding behind it that are still to come."""
    head: bytearray = field(default_factory=bytearray)
    """What has come of a header; with the records before it, if it has some."""
    folders: set[str] = field(default_factory=set)
    """Directories that have been named."""

    def passes(self, size: int) -> bool:
        """Whether the next `size` bytes are a file's and stay as they are."""
        if self.head or size > self.left or not size:
            return False
        self.left -= size
        return True

    def rewritten(self, data: bytes) -> _New:
        """The member with these bytes, which has headers in it."""
        new = bytearray()
        single: bytes | None = None
        position = min(self.left, len(data))
        new += data[:position]
        self.left -= position
        while position < len(data) and not self.over:
            wanted = self._lacking()
            self.head += data[position : position + wanted]
            position += wanted
            if len(self.head) >= BLOCK and not any(self.head[:BLOCK]):
                self.over = True
                break
            if self._lacking():
                continue
            info = _info(bytes(self.head))
            self.head.clear()
            path = f"{self.prefix}{info.name}"
            folders = self._folders_of(path)
            new += folders
            if info.issym():
                new += tar_header(path, link=info.linkname)
            elif info.isreg():
                quick = not folders and len(new) < BLOCK and not any(new)
                if quick:
                    single = header_member(len(new), path, size=info.size, mode=info.mode)
                new += tar_header(path, size=info.size, mode=info.mode)
                if quick and single is not None and position == len(data):
                    self.left = info.size + -info.size % BLOCK
                    return _New(bytes(new), single)
                self.left = info.size + -info.size % BLOCK
            else:
                raise ValueError(f"{info.name} is neither a file nor a link")
            piece = min(self.left, len(data) - position)
            new += data[position : position + piece]
            position += piece
            self.left -= piece
        whole = bytes(new)
        members = (
            gzip_member(whole[start : start + AT_ONCE], LEVEL)
            for start in range(0, len(whole), AT_ONCE)
        )
        return _New(whole, b"".join(members))

    def _lacking(self) -> int:
        """Bytes until a header is whole; records of pax come before the one that they belong to."""
        have = len(self.head)
        if have < BLOCK:
            return BLOCK - have
        if self.head[156:157] != tarfile.XHDTYPE:
            return 0
        records = int(self.head[124:135], 8)
        return max(0, BLOCK + records + -records % BLOCK + BLOCK - have)

    def _folders_of(self, path: str) -> bytes:
        named = bytearray()
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder not in self.folders:
                self.folders.add(folder)
                if folder not in ALWAYS_THERE:
                    named += directory_header(folder)
        return bytes(named)


def _info(head: bytes) -> tarfile.TarInfo:
    """Of a header, and of the records before it."""
    info = tarfile.TarInfo.frombuf(head[-BLOCK:], "utf-8", "surrogateescape")
    if len(head) > BLOCK:
        records = head[BLOCK : BLOCK + int(head[124:135], 8)]
        while records:
            length = int(records[: records.index(b" ")])
            key, _, value = records[:length].partition(b" ")[2].rstrip(b"\n").partition(b"=")
            match key:
                case b"path":
                    info.name = value.decode()
                case b"linkpath":
                    info.linkname = value.decode()
                case b"size":
                    info.size = int(value)
                case _:
                    raise ValueError(f"a record {key!r} is not one of packager's")
            records = records[length:]
    return info


class _Digest:
    """SHA-256 on a thread of its own, in large pieces."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._waiting: list[bytes] = []
        self._size = 0
        self._thread = threading.Thread(target=self._run, name="diff-id", daemon=True)
        self._thread.start()

    def update(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._size += len(piece)
        if self._size >= AT_ONCE:
            self._flush()

    def end(self) -> str:
        """The digest; the thread ends, whatever has happened."""
        self._flush()
        self._pieces.put(None)
        self._thread.join()
        return self._sha256.hexdigest()

    def _flush(self) -> None:
        self._pieces.put(b"".join(self._waiting))
        self._waiting, self._size = [], 0

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._sha256.update(piece)
