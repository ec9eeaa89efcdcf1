"""The project's files that tests may read: all but what is hidden, made by tools, or packed."""

import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from packager.errors import ConfigError
from packager.project import Project
from packager.sourcetree import visible_files
from packager.tarball import FILE_MODE

HIDDEN_BUT_READ: Final = (".coveragerc", ".pytest.ini", ".pytest.toml")
"""Of hidden files, those that pytest and coverage read; others, `.env` say, stay where they are."""


def files_for_tests(
    project: Project, out: Path, exclude: tuple[str, ...] = ()
) -> tuple[PurePosixPath, ...]:
    """Relative to the project, sorted, without the folder of its archives.

    Raise `ConfigError` for a folder that can not be read, unless it is one to `exclude`.
    """
    root = project.root
    found = [p for p in visible_files(root, exclude) if not (root / p).is_relative_to(out)]
    found += [PurePosixPath(name) for name in HIDDEN_BUT_READ if (root / name).is_file()]
    return tuple(sorted(found))


def write_tree(root: Path, paths: Iterable[PurePosixPath], file: BinaryIO) -> None:
    """Write files as a `.tar.gz`. Raise `ConfigError` for one that can not be read."""
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        for path in paths:
            try:
                with (root / path).open("rb") as source:
                    info = tar.gettarinfo(arcname=str(path), fileobj=source)
                    info.mode = FILE_MODE | (info.mode & 0o111)
                    info.uid = info.gid = 0
                    info.uname = info.gname = ""
                    tar.addfile(info, source)
            except OSError as error:
                raise ConfigError(
                    f"{root / path} can not be read", why=error.strerror or str(error)
                ) from error
