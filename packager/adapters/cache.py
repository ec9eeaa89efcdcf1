"""Keeping the store in order: how much there is, whether it is sound, and what may go.

A wheel's folder carries the time of its last use. Whatever is removed is moved out of the way by a
rename first, so that a pack that begins meanwhile sees all of it or nothing. Times are compared
with those of other files of the store, never with a clock: it may be on another machine's disk.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.errors import CommandError
from packager.leftovers import is_left, mark
from packager.project import LOCKS, Project

COUNT: Final = "size"
"""The file in which additions are counted; see `limit`."""
RUN: Final = "run"
"""How files in `tmp` end that say that a run uses the store, since when, and whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One wheel with what is known of it, or one plan or text."""

    path: Path
    size: int
    """Bytes on disk, as files tell."""
    used: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the store holds, by kind."""

    root: Path
    counts: dict[str, int]
    sizes: dict[str, int]

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


def summary(root: Path) -> Summary:
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for kind in sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else ():
        held = list(_holdings(root / kind))
        counts[kind], sizes[kind] = len(held), sum(h.size for h in held)
    return Summary(root=root, counts=counts, sizes=sizes)


def prune(root: Path, *, limit: int) -> tuple[int, int]:
    """Remove what was used longest ago until the rest is at most `limit` bytes.

    Return how many things and how many bytes went. What killed runs left goes too, but nothing that
    was used since the oldest run began that is still at work.
    """
    removed, freed = sweep(root)
    began = _oldest_run(root)
    held = [h for kind in folders(root) if kind.name != "tmp" for h in _holdings(kind)]
    size = sum(h.size for h in held)
    for holding in sorted(held, key=lambda h: h.used):
        if size <= limit or holding.used >= began:
            break
        remove(holding.path, root)
        size -= holding.size
        removed, freed = removed + 1, freed + holding.size
    forget_count(root)
    return removed, freed


def sweep(root: Path) -> tuple[int, int]:
    """Remove what runs left that were killed; return how many things and bytes went."""
    removed = freed = 0
    tmp = root / "tmp"
    try:
        with tempfile.TemporaryFile(dir=tmp) as file:
            now = os.fstat(file.fileno()).st_mtime
    except OSError:  # there is none, or it can not be written
        return 0, 0
    for left in _holdings(tmp):
        if is_left(left.path.name, now - left.used):
            with contextlib.suppress(OSError):  # another run is at it, or it is another user's
                _delete(left.path)
                removed, freed = removed + 1, freed + left.size
    return removed, freed


def _oldest_run(root: Path) -> float:
    return min((run.stat().st_mtime for run in root.glob(f"tmp/*-{RUN}")), default=float("inf"))


def forget_count(root: Path) -> None:
    with contextlib.suppress(OSError):  # there may be none; who counts looks anew then
        (root / COUNT).unlink(missing_ok=True)


def _holdings(kind: Path) -> Iterator[Holding]:
    if not kind.is_dir():
        return
    for path in kind.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another run has just removed it
            files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files)
            yield Holding(path=path, size=size, used=path.stat().st_mtime)


def folders(parent: Path) -> list[Path]:
    return [p for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []


def remove(path: Path, root: Path) -> None:
    try:
        (root / "tmp").mkdir(exist_ok=True)
        away = Path(tempfile.mkdtemp(prefix=mark(), dir=root / "tmp"))
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            path.rename(away / path.name)
        shutil.rmtree(away)
    except OSError as error:
        raise CommandError(
            f"{path} can not be removed",
            why=error.strerror or str(error),
            fix="mend the permissions of the store",
        ) from error


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def dependencies_digest(project: Project) -> str:
    """A hash of the files that decide what is installed."""
    digest = hashlib.sha256()
    names = {*LOCKS, "pyproject.toml", "setup.py"} | {
        p.name for p in project.root.glob("requirements*.txt")
    }
    for name in sorted(names):
        path = project.root / name
        if path.is_file():
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
