"""Installed environments and interpreters as parts of a layer, kept by what they were made of.

    environments/KEY/files      its files as an archive has them, compressed once
    environments/KEY/facts      what they are and show

Both carry what shows damage, as wheels and texts of the store do.
"""

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import deflate

from packager import __version__
from packager.adapters.limit import note_added
from packager.adapters.seals import is_sound, seal, signed, unsigned
from packager.environment import observe_content
from packager.errors import CommandError, ConfigError
from packager.facts import HEAD_BYTES, Observation, from_json, observe, to_json
from packager.layers import File
from packager.leftovers import mark
from packager.ports import InstalledWheel, StoredWheel
from packager.tarball import (
    EXECUTABLE_MODE,
    FILE_MODE,
    LEVEL,
    Content,
    Span,
    Symlink,
    TarMember,
    crc_and_size,
)

KIND: Final = "environments"
FILES: Final = "files"
FACTS: Final = "facts"
MAPPED: Final = 4 << 20
"""Larger files are not read but mapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEnvironments:
    root: Path
    """Of the store."""

    def recall(self, key: str) -> InstalledWheel | None:
        folder = self._folder(key)
        try:
            facts = json.loads(unsigned((folder / FACTS).read_text(encoding="utf-8")))
            if not is_sound(folder / FILES, facts["sha256"]):
                return None
            part = _part(folder / FILES, facts)
            os.utime(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return part

    def keep(self, key: str, members: Sequence[TarMember], files: Sequence[File]) -> InstalledWheel:
        """Compress what is written anew and what lies in files, and remember it under `key`.

        Raise `CommandError` where the store can not be written.
        """
        folder = self._folder(key)
        try:
            with self.temporary() as name:
                (name / "whole").mkdir()
                with (name / "whole" / FILES).open("wb") as out:
                    facts = _write(members, files, out)
                seal(name / "whole" / FILES, facts["sha256"])
                text = signed(json.dumps(facts))
                (name / "whole" / FACTS).write_text(text, encoding="utf-8")
                size = sum(path.stat().st_size for path in (name / "whole").iterdir())
                folder.parent.mkdir(parents=True, exist_ok=True)
                if folder.exists():  # of a damaged one, or of another run that made it meanwhile
                    folder.rename(name / "before")
                (name / "whole").rename(folder)
                note_added(self.root, size)
        except OSError as error:
            raise CommandError(
                f"the store {self.root} can not be written",
                why=error.strerror or str(error),
                fix="free some space, or name another place: PACKAGER_CACHE_DIR",
            ) from error
        return _part(folder / FILES, facts)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """A folder of the store's file system, so that what is stored can be linked into it."""
        parent = self.root / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=mark(), dir=parent)
        try:
            yield Path(name)
        finally:
            shutil.rmtree(name, ignore_errors=True)

    def _folder(self, key: str) -> Path:
        # Another version may compress and observe in another way.
        name = hashlib.sha256(f"{__version__}\0{key}".encode()).hexdigest()
        return self.root / KIND / name


def _write(members: Sequence[TarMember], files: Sequence[File], out: BinaryIO) -> Mapping[str, Any]:
    rows: list[object] = []
    observations: list[object] = []
    digest = hashlib.sha256()
    for member, seen in _in_order(members, files):
        observations += [to_json(o) for o in seen]
        if isinstance(member, Symlink):
            rows.append([member.path, member.link])
            continue
        offset, data = out.tell(), deflate.deflate_compress(member.data, LEVEL)
        out.write(data)
        digest.update(data)
        crc, size = crc_and_size(member)
        rows.append([member.path, member.mode, size, crc, offset, len(data)])
    return {"members": rows, "observations": observations, "sha256": digest.hexdigest()}


def _in_order(
    members: Sequence[TarMember], files: Sequence[File]
) -> Iterator[tuple[Content | Symlink, tuple[Observation, ...]]]:
    """All of them by path, each with what it shows."""
    both: list[TarMember | File] = sorted([*members, *files], key=lambda m: m.path)
    for item in both:
        match item:
            case Content():
                yield item, observe_content(item)
            case Symlink():
                yield item, ()
            case File():
                yield _read(item)
            case _:
                raise TypeError(item)  # what lies in a wheel; an installed tree has none


def _read(item: File) -> tuple[Content, tuple[Observation, ...]]:
    try:
        with item.source.open("rb") as file:
            status = os.fstat(file.fileno())
            # Mapped, a large file does not count as memory of ours.
            mapped = status.st_size > MAPPED
            data = (
                memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                if mapped
                else file.read()
            )
        seen = observe(item.path, bytes(data[:HEAD_BYTES]), lambda: item.source.open("rb"))
    except OSError as error:
        raise ConfigError(
            f"{item.source} can not be read", why=error.strerror or str(error)
        ) from error
    mode = EXECUTABLE_MODE if status.st_mode & 0o111 else FILE_MODE
    return Content(path=item.path, mode=mode, data=data), seen


def _part(files: Path, facts: Mapping[str, Any]) -> InstalledWheel:
    """Raise `ValueError`, `KeyError` or `TypeError` for facts that another version wrote."""
    status = files.stat()
    return InstalledWheel(
        wheel=StoredWheel(
            path=files,
            filename="the environment",
            sha256=str(facts["sha256"]),
            size=status.st_size,
            changed_ns=status.st_mtime_ns,
        ),
        members=tuple(
            Symlink(path=row[0], link=row[1]) if len(row) == 2 else Span(*row)
            for row in facts["members"]
        ),
        observations=tuple(from_json(value) for value in facts["observations"]),
    )
