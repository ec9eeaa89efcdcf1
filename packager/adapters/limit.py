"""The store's size: counted as it grows, and brought back under its limit at the end of a run.

    size            what the last look found, and a line for all that came since
    tmp/MARKrun     a run that uses the store: nothing goes that was used since it began

As long as the sum of the lines is below the limit, nobody looks through the store.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from packager.adapters.cache import COUNT, RUN, prune, summary, sweep
from packager.errors import CommandError
from packager.leftovers import mark

SPARE: Final = 0.9
"""How much of the limit is kept once it was passed, so that the next run does not pass it again."""


@contextlib.contextmanager
def in_use(root: Path, *, limit: int | None, say: Callable[[str], None]) -> Iterator[None]:
    """Keep what this run uses; before it sweep, and after it make room if the limit is passed.

    A store that can not be written is left as it is.
    """
    run = root / "tmp" / f"{mark()}{RUN}"
    with contextlib.suppress(OSError):
        run.parent.mkdir(parents=True, exist_ok=True)
        run.touch()
        sweep(root)
    try:
        yield
        if limit is not None:
            with contextlib.suppress(OSError, CommandError):  # the run itself was a success
                keep_within(root, limit, say)
    finally:
        with contextlib.suppress(OSError):
            run.unlink(missing_ok=True)


def keep_within(root: Path, limit: int, say: Callable[[str], None]) -> None:
    """Remove what was used longest ago if more has come in than `limit` allows."""
    counted = _counted(root)
    if counted and (sum(counted) <= limit or len(counted) == 1):
        return  # where nothing came in since the last look, another one finds nothing new
    size = _size(root)
    if size > limit:
        _, freed = prune(root, limit=int(limit * SPARE))
        if freed:
            say(f"Removed {freed / 1e6:.1f} MB from the store: what was not used for longest")
        size = _size(root)
    with tempfile.NamedTemporaryFile(dir=root / "tmp", prefix=mark(), delete=False) as file:
        file.write(b"%d\n" % size)
    Path(file.name).replace(root / COUNT)


def note_added(root: Path, size: int) -> None:
    """Count what has come into the store, in whichever process that was."""
    with contextlib.suppress(OSError):  # a later run finds no count, and looks
        file = os.open(root / COUNT, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, b"%d\n" % size)
        finally:
            os.close(file)


def _size(root: Path) -> int:
    found = summary(root)
    return found.size - found.sizes.get("tmp", 0)


def _counted(root: Path) -> list[int]:
    """The count's lines; none where there is no such count."""
    try:
        lines = (root / COUNT).read_bytes().splitlines()
    except OSError:
        return []
    return [int(line) for line in lines] if all(map(bytes.isdigit, lines)) else []
