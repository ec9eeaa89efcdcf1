"""What a file is known by: its SHA-256, those of its parts, and what S3 makes of them."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
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
    """Read all of it once. Raise `OSError` where that can not be done."""
    if isinstance(source, bytes):
        digest = hashlib.sha256(source)
        part = Part(number=1, start=0, size=len(source), digest=digest.digest())
        return Digests(sha256=digest.hexdigest(), size=len(source), parts=(part,))
    with source.open("rb") as file:
        return _digests(file, source.stat().st_size)


def _digests(file: BinaryIO, expected: int) -> Digests:
    size = part_size(expected)
    several = expected > size
    whole = hashlib.sha256()
    parts: list[Part] = []
    start = 0
    while True:
        part, left = hashlib.sha256(), size
        while left and (data := file.read(min(_CHUNK, left))):
            whole.update(data)
            if several:
                part.update(data)
            left -= len(data)
        if left == size and parts:  # nothing was left, and an empty file has one empty part
            break
        digest = part.digest() if several else whole.digest()
        parts.append(Part(number=len(parts) + 1, start=start, size=size - left, digest=digest))
        start += size - left
        if left:
            break
    return Digests(sha256=whole.hexdigest(), size=start, parts=tuple(parts))


def digest_of_part(read: Callable[[int, int], bytes], part: Part) -> bytes:
    """As it is now; `read` gives so many bytes from an offset on."""
    digest, end = hashlib.sha256(), part.start + part.size
    for start in range(part.start, end, _CHUNK):
        digest.update(read(start, min(_CHUNK, end - start)))
    return digest.digest()
