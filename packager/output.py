"""Files that are whole or not there: written under another name beside their own, then renamed."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from packager.errors import CommandError, ConfigError
from packager.leftovers import is_left, mark
from packager.tarball import FILE_MODE

UNFINISHED: Final = ".packager-"
"""How files begin that are not whole yet; the mark of the process that writes them follows."""


@contextlib.contextmanager
def new_file(
    folder: Path, *, option: str = "--out"
) -> Iterator[tuple[BinaryIO, Callable[[Path], None]]]:
    """A file under a temporary name, which `settle` gives its own; without that, it vanishes."""
    number, name = tempfile.mkstemp(prefix=f"{UNFINISHED}{mark()}", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(number, "w+b") as file:

            def settle(path: Path) -> None:
                file.flush()
                temporary.chmod(FILE_MODE)  # mkstemp's 0600 would shut out the job's user
                temporary.replace(path)

            yield file, settle
    except OSError as error:
        raise CommandError(
            f"{folder} can not be written",
            why=error.strerror or str(error),
            fix=f"free some space, or choose another folder: {option}",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, unless it stands there with this content already."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    with new_file(path.parent) as (file, settle):
        file.write(data)
        settle(path)


def write_text(path: Path, text: str, *, option: str) -> None:
    """Write a file that the user named with `option`, whole or not at all."""
    write_data(path, text.encode("utf-8", "backslashreplace"), option=option)


def write_data(path: Path, data: bytes, *, option: str) -> None:
    """As `write_text`."""
    require_writable(path.parent, option=option)
    with new_file(path.parent, option=option) as (file, settle):
        file.write(data)
        settle(path)


def require_writable(folder: Path, *, option: str = "--out") -> None:
    """Make `folder`, and raise `ConfigError` if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            now = os.fstat(file.fileno()).st_mtime
        _sweep(folder, now)
    except OSError as error:
        raise ConfigError(
            f"nothing can be written to {folder}",
            why=error.strerror or str(error),
            fix=f"choose another folder: {option}",
        ) from error


def _sweep(folder: Path, now: float) -> None:
    """Remove what processes left that were killed before they could. `now` is the folder's time."""
    for left in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):  # it has just been given its own name
            if is_left(left.name.removeprefix(UNFINISHED), now - left.stat().st_mtime):
                left.unlink()
