"""Whose something is that is not whole yet: told by its name, so that it can go when they are dead.

A name begins with a mark: where its process runs, its number, and when it started, since numbers
are given again. Who runs elsewhere, on another machine or in a container with numbers of its own,
can not be seen from here; what they made is judged by its age alone.
"""

import contextlib
import functools
import hashlib
import os
import platform
from pathlib import Path
from typing import Final

STALE_S: Final = 24 * 3600
"""No run takes longer, so what is older was left by one."""

ZOMBIE: Final = "Z"


def mark() -> str:
    """What the names begin with that this process gives."""
    return _mark(os.getpid())


def is_left(name: str, age_s: float) -> bool:
    """Whether whoever made `name` is gone."""
    parts = name.split("-", 3)
    if len(parts) < 4 or parts[0] != _here() or not parts[1].isdecimal():
        return age_s > STALE_S
    return _started(int(parts[1])) != parts[2]


@functools.cache  # for each process number, since a fork has another
def _mark(process: int) -> str:
    return f"{_here()}-{process}-{_started(process)}-"


@functools.cache
def _here() -> str:
    """The kernel and the space of process numbers: the same for all that see each other."""
    known = [platform.node()]
    with contextlib.suppress(OSError):  # not Linux
        known = [
            Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return hashlib.sha256("\0".join(known).encode()).hexdigest()[:12]


def _started(process: int) -> str | None:
    """When a process started, as its machine counts; None if it is dead."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "0" if not Path("/proc/self/stat").exists() and _answers(process) else None
    fields = status.rpartition(")")[2].split()  # its name stands before that, and may be anything
    return None if fields[0] == ZOMBIE else fields[19]


def _answers(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is someone else's
    return True
