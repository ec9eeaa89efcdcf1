"""Which files of a project's folder are its own, and a hash of all that a build may read.

Hidden files, what tools make and links that lead outside are not its own. What this user may not
read is never passed over without a word: a job would miss it.
"""

# ruff: noqa: PTH110, PTH114  # where this user may not look, `os.path` says no and `Path` fails

import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from packager.errors import ConfigError
from packager.project import LOCKS, Project

MADE_BY_TOOLS: Final = frozenset(
    {".git", "__pycache__", "metastore_db", "node_modules", "spark-warehouse"}
)
"""Directories that are never a project's own, wherever they are."""

MADE_AT_TOP: Final = frozenset({"build", "dist", "env", "venv"})
"""Directories that tools make beside the project's own; deeper in, a package may be called so."""

NOT_APP: Final = frozenset(
    {"pyproject.toml", *LOCKS, "Pipfile", "requirements*.txt", "setup.cfg", "tox.ini"}
)
"""Files at the top of a folder that describe it and are no part of what runs."""

LARGE: Final = 8 << 20
"""Files beyond this are told apart by size and time: reading data sets again costs too much."""


def app_files(project: Project, exclude: tuple[str, ...] = ()) -> tuple[PurePosixPath, ...]:
    """The files of a project that is packed as a folder, relative to it, sorted.

    Hidden files and what tools make stay out; so do links that lead outside, and patterns given.
    Raise `ConfigError` for what else can not be read.
    """
    if project.file is not None:
        return (PurePosixPath(project.file.name),)
    found = tuple(
        sorted(
            path
            for path in visible_files(project.root, exclude)
            if not (
                len(path.parts) == 1 and any(fnmatch.fnmatchcase(path.name, p) for p in NOT_APP)
            )
            and not _fits(path, exclude)
        )
    )
    for path in found:
        shown = str(path).encode("utf-8", "surrogateescape").decode(errors="backslashreplace")
        if shown != str(path):
            raise ConfigError(
                f"the name of {shown} is not UTF-8",
                why="names in archives are, and the job would not find the file by another",
                fix="rename it, or leave it out: --exclude",
            )
        if not os.access(project.root / path, os.R_OK):  # now, not when half of it is written
            raise _unreadable(project.root, path, os.strerror(errno.EACCES))
    return found


def visible_files(root: Path, may_lack: tuple[str, ...] = ()) -> Iterator[PurePosixPath]:
    """The files of a tree, relative to it, without hidden ones and what tools made.

    Raise `ConfigError` for a folder that can not be read, unless it fits a pattern of `may_lack`.
    """

    def failed(path: PurePosixPath, error: OSError) -> None:
        if not _fits(path, may_lack):
            raise _unreadable(root, path, error.strerror or str(error)) from error

    return _walk(root, failed)


def _unreadable(root: Path, path: PurePosixPath, why: str) -> ConfigError:
    return ConfigError(
        f"{root / path} can not be read",
        why=why,
        fix=f"mend its permissions, or leave it out: --exclude {path}",
    )


def _fits(path: PurePosixPath, patterns: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatchcase(str(path), p) or path.is_relative_to(p.rstrip("/")) for p in patterns
    )


def source_digest(root: Path, leave_out: Path | None = None) -> str:
    """A hash of every file of a source tree that a build may read, names and modes included.

    `leave_out` is the folder of the archives, wherever it is. What this user can not read, a build
    can not either: whether it minds, its backend tells.
    """
    digest = hashlib.sha256()
    unread: list[PurePosixPath] = []
    for path in sorted(_walk(root, lambda path, _: unread.append(path), hidden=True)):
        file = root / path
        if leave_out is not None and file.is_relative_to(leave_out):
            continue
        try:
            known = _known(file)
        except PermissionError:
            unread.append(path)
            continue
        digest.update(f"{path}\0".encode(errors="surrogateescape") + known)
    for path in sorted(unread):
        digest.update(f"{path}\0unread\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _known(file: Path) -> bytes:
    """What tells a file from another: whether it can be run, and what it has in it."""
    status = file.stat()
    mode = f"{status.st_mode & 0o111}\0".encode()
    if status.st_size > LARGE:
        return mode + f"{status.st_size} {status.st_mtime_ns}\0".encode()
    return mode + hashlib.sha256(file.read_bytes()).digest()


def _walk(
    root: Path, failed: Callable[[PurePosixPath, OSError], None], *, hidden: bool = False
) -> Iterator[PurePosixPath]:
    """The files of a tree without what tools made; with `hidden`, all that a build may read.

    `failed` is told of folders and files that this user may not look at.
    """
    real = root.resolve()

    def told(error: OSError) -> None:
        failed(PurePosixPath(os.path.relpath(error.filename, root)), error)

    for folder, directories, files in os.walk(root, onerror=told, followlinks=True):
        here = Path(folder)
        directories[:] = [
            d
            for d in directories
            if d not in MADE_BY_TOOLS
            and not (here == root and d in MADE_AT_TOP)
            and not (d.startswith(".") and (here == root or not hidden))
            and not d.endswith(".egg-info")
            and not os.path.exists(here / d / "pyvenv.cfg")
            and not (os.path.islink(here / d) and _leads_away(here / d, real))
        ]
        for name in files:
            path = here / name
            if name.endswith(".pyc") or (name.startswith(".") and not hidden):
                continue
            inside = hidden or not os.path.islink(path) or _resolved(path).is_relative_to(real)
            if not inside:
                continue
            try:
                regular = stat.S_ISREG(path.stat().st_mode)
            except PermissionError as error:
                told(error)
                continue
            except OSError:  # a link that leads nowhere
                continue
            if regular:
                yield PurePosixPath(path.relative_to(root).as_posix())


def _resolved(link: Path) -> Path:
    return Path(os.path.realpath(link))  # `Path.resolve` fails for one that leads to itself


def _leads_away(link: Path, real: Path) -> bool:
    """Whether a link to a directory leads out of the tree, or round in it."""
    to = _resolved(link)
    return not to.is_relative_to(real) or link.parent.resolve().is_relative_to(to)
