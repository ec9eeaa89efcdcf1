"""How damage in the store is noticed without reading all of it at every pack.

Wheels are large, so a verified one gets a time of change that only we give: whatever changes its
bytes, changes that too. It survives tar, rsync and the caches of CI. A wheel without it is hashed
again, and sealed again if it is sound. Texts are small, and begin with a hash of the rest.

A disk that forgets bits without being asked is only found by `packager cache verify`.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

FIRST_S: Final = 1_000_000_000
"""The earliest time that seals a wheel, in 2001; the last is in 2010."""


def seal(wheel: Path, sha256: str) -> None:
    with contextlib.suppress(OSError):  # a store that can only be read is hashed every time
        os.utime(wheel, ns=(_sealed_ns(sha256), _sealed_ns(sha256)))


def is_sound(wheel: Path, sha256: str) -> bool:
    """Whether the wheel is what was verified. Raise `OSError` if it is not there."""
    if wheel.stat().st_mtime_ns == _sealed_ns(sha256):
        return True
    with wheel.open("rb") as file:
        sound = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    if sound:
        seal(wheel, sha256)
    return sound


def _sealed_ns(sha256: str) -> int:
    # Whole and even seconds, since some file systems and archives keep no others; and not the same
    # for all, so that no other wheel in its place is taken for it.
    return (FIRST_S + int(sha256[:7], 16) // 2 * 2) * 10**9


def signed(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def unsigned(text: str) -> str:
    """Undo `signed`. Raise `ValueError` for what it has not given."""
    digest, _, rest = text.partition("\n")
    if hashlib.sha256(rest.encode()).hexdigest() != digest:
        raise ValueError("a damaged text")
    return rest
