"""What a file is known by: its SHA-256, those of its parts, and what S3 makes of them."""

import base64
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

MIB: Final = 1 << 20
SMALLEST_PART: Final = 8 * MIB
"""A file up to this size is sent in one piece. S3 takes parts from 5 MiB on."""
MOST_PARTS: Final = 10_000
"""S3 User Guide: "Amazon S3 multipart upload limits"."""
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    number: int
    """From 1 on, as S3 counts."""
    start: int
    size: int
    """Bytes."""
    digest: bytes
    """SHA-256; empty where it is not known."""

    @property
    def checksum(self) -> str:
        """As S3 writes it."""
        return base64.b64encode(self.digest).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    sha256: str
    """Of the whole, in hexadecimal."""
    size: int
    """Bytes."""
    parts: tuple[Part, ...]
    """One for what is sent in one piece."""

    @property
    def whole_checksum(self) -> str:
        """As S3 writes it."""
        return base64_of(self.sha256)

    @property
    def checksum(self) -> str:
        """What S3 says of the object: its SHA-256, or that of its parts' SHA-256, and their number.

        S3 User Guide, "Checking object integrity": full object and composite checksums.
        """
        if len(self.parts) == 1:
            return self.parts[0].checksum
        both = hashlib.sha256(b"".join(part.digest for part in self.parts)).digest()
        return f"{base64.b64encode(both).decode('ascii')}-{len(self.parts)}"


def base64_of(sha256: str) -> str:
    """As S3 writes a hash."""
    return base64.b64encode(bytes.fromhex(sha256)).decode("ascii")


def part_size(size: int) -> int:
    """Bytes of each part but the last, for a file of `size` bytes; whole MiB."""
    return max(SMALLEST_PART, -(-size // MOST_PARTS // MIB) * MIB)


def planned_parts(size: int) -> tuple[Part, ...]:
    """As a file of `size` bytes is sent, but nothing is known of what is in it."""
    step = part_size(size)
    return tuple(
        Part(number=number, start=start, size=min(step, size - start), digest=b"")
        for number, start in enumerate(range(0, size, step), 1)
    )


def digests_of(source: Path | bytes) -> Digests:
    """Read all of it. Raise `OSError` where that can not be done."""
    if isinstance(source, bytes):
        return _in_one_piece(hashlib.sha256(source), len(source))
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= part_size(size):
            whole = hashlib.file_digest(file, "sha256")
            return _in_one_piece(whole, file.tell())
        with ThreadPoolExecutor(1) as beside:  # each takes as long as all of its parts do
            digest = beside.submit(hashlib.file_digest, file, "sha256")
            parts = _digested(file, size)
            return Digests(sha256=digest.result().hexdigest(), size=size, parts=parts)


def digests_if_known(source: Path, sha256: str, checksum: str) -> Digests | None:
    """As `digests_of`, in half the time, if this is what was known by both; None if not.

    They were made of the same bytes, so whose `checksum` is the same has that `sha256`.
    """
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not checksum.endswith(f"-{len(planned_parts(size))}"):
            return None
        found = Digests(sha256=sha256, size=size, parts=_digested(file, size))
    return found if found.checksum == checksum else None


def _in_one_piece(digest: "hashlib._Hash", size: int) -> Digests:
    part = Part(number=1, start=0, size=size, digest=digest.digest())
    return Digests(sha256=digest.hexdigest(), size=size, parts=(part,))


def _digested(file: BinaryIO, size: int) -> tuple[Part, ...]:
    def read(start: int, length: int) -> bytes:
        return os.pread(file.fileno(), length, start)

    parts = planned_parts(size)
    return tuple(replace(part, digest=digest_of_part(read, part)) for part in parts)


def digest_of_part(read: Callable[[int, int], bytes], part: Part) -> bytes:
    """As it is now; `read` gives so many bytes from an offset on."""
    digest, end = hashlib.sha256(), part.start + part.size
    for start in range(part.start, end, _CHUNK):
        digest.update(read(start, min(_CHUNK, end - start)))
    return digest.digest()
