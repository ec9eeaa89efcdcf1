"""Keeping the store in order: how much there is, whether it is sound, and what may go.

A wheel's folder carries the time of its last use. Whatever is removed is moved out of the way by a
rename first, so that a pack that runs meanwhile sees all of it or nothing, and fetches it again.
"""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.errors import CommandError
from packager.project import LOCKS, Project

STALE_S: Final = 24 * 3600
"""What lies in `tmp` for longer was left by a run that was killed."""


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


def verify(root: Path) -> tuple[str, ...]:
    """Hash every wheel again, remove those that changed, and return their names."""
    wrong: list[str] = []
    for folder in _folders(root / "wheels"):
        for wheel in folder.glob("*.whl"):
            with wheel.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != folder.name:
                    wrong.append(wheel.name)
                    _remove(folder, root)
                    break
    return tuple(sorted(wrong))


def prune(root: Path, *, limit: int) -> tuple[int, int]:
    """Remove what was used longest ago until the rest is at most `limit` bytes.

    Return how many things and how many bytes went. What a killed run left in `tmp` goes too, but
    nothing that may be in use.
    """
    removed = freed = 0
    now = time.time()  # noqa: TID251  # compared with the times of files
    for left in _holdings(root / "tmp"):
        if now - left.used > STALE_S:
            _remove(left.path, root)
            removed, freed = removed + 1, freed + left.size
    held = [h for kind in _folders(root) if kind.name != "tmp" for h in _holdings(kind)]
    size = sum(h.size for h in held)
    for holding in sorted(held, key=lambda h: h.used):
        if size <= limit:
            break
        _remove(holding.path, root)
        size -= holding.size
        removed, freed = removed + 1, freed + holding.size
    return removed, freed


def _holdings(kind: Path) -> Iterator[Holding]:
    if not kind.is_dir():
        return
    for path in kind.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another run has just removed it
            files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files)
            yield Holding(path=path, size=size, used=path.stat().st_mtime)


def _folders(parent: Path) -> list[Path]:
    return [p for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []


def _remove(path: Path, root: Path) -> None:
    try:
        away = root / "tmp" / f"removed-{path.name}"
        away.parent.mkdir(exist_ok=True)
        path.rename(away)
        if away.is_dir():
            shutil.rmtree(away)
        else:
            away.unlink()
    except FileNotFoundError:
        pass  # another run was faster
    except OSError as error:
        raise CommandError(
            f"{path} can not be removed",
            why=error.strerror or str(error),
            fix="mend the permissions of the store",
        ) from error


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
