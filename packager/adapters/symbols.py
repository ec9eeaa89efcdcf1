"""ELF files of wheels without their symbols: those that became smaller, made once per wheel."""

import base64
import hashlib
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import deflate

from packager.adapters.companions import FILES, finish, keep, recall
from packager.adapters.store import Store
from packager.elfstrip import FORMAT, without_symbols
from packager.layers import contents
from packager.ports import InstalledWheel, Stripped
from packager.tarball import LEVEL, Span, Symlink, crc_and_size

KIND: Final = "symbols"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStripper:
    store: Store
    lock: threading.Lock = field(default_factory=threading.Lock)
    """One wheel at a time, which bounds memory; and what two targets share is made once."""

    def stripped(self, part: InstalledWheel) -> Stripped:
        key = _key(part)
        with self.lock:
            kept = recall(self.store, KIND, key)
            return self._made(part, key) if kept is None else _stripped(*kept)

    def _made(self, part: InstalledWheel, key: str) -> Stripped:
        with self.store.temporary() as folder:
            _write(part, folder)
            return _stripped(*keep(self.store, KIND, key, folder))


def _key(part: InstalledWheel) -> str:
    about = (FORMAT, part.wheel.sha256, part.wheel.filename)
    paths = (member.path for member in part.members)
    return hashlib.sha256("\0".join((*about, *paths)).encode()).hexdigest()


def _write(part: InstalledWheel, folder: Path) -> None:
    rows: list[Span] = []
    hashes: dict[str, str] = {}
    with (folder / FILES).open("wb") as out:
        for member, data in zip(part.members, contents(part), strict=True):
            less = without_symbols(bytes(data))
            if less is None or isinstance(member, Symlink):
                continue
            packed = deflate.deflate_compress(less, LEVEL)
            rows.append(
                Span(member.path, member.mode, len(less), zlib.crc32(less), out.tell(), len(packed))
            )
            hashes[member.path] = _digest(less)
            out.write(packed)
    finish(folder, rows, hashes=hashes)


def _digest(data: bytes | bytearray) -> str:
    """As `RECORD` writes it."""
    text = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return f"sha256={text.rstrip('=')}"


def _stripped(part: InstalledWheel, index: Mapping[str, Any]) -> Stripped:
    hashes: Mapping[str, str] = index["hashes"]
    sizes = {member.path: crc_and_size(member)[1] for member in part.members}
    return Stripped(part=part, rows={path: (hashes[path], size) for path, size in sizes.items()})
