"""Builds of CPython in the store: `pythons/SHA256/FILENAME`, as they were downloaded and verified.

What of one becomes a layer is kept as installed environments are, compressed once.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from packager.adapters.environments import KeptEnvironments
from packager.adapters.limit import note_added
from packager.adapters.seals import is_sound, seal
from packager.adapters.store import Store, used
from packager.ports import InstalledWheel, StoredWheel, gone
from packager.standalone import read_build

BUILDS: Final = "pythons"
FOUND: Final = "builds"
"""Where the store remembers which archive is the build of a list, or of a recipe."""


def admit(store: Store, obtain: Callable[[Path], Path]) -> StoredWheel:
    """Keep a build, which `obtain` brings into an empty folder, verified."""
    with store.temporary() as folder:
        path = obtain(folder)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        kept = store.root / BUILDS / sha256 / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
        seal(kept, sha256)
        size = kept.stat().st_size
        note_added(store.root, size)
    return StoredWheel(path=kept, filename=path.name, sha256=sha256, size=size)


def stored(store: Store, sha256: str, filename: str) -> StoredWheel | None:
    path = store.root / BUILDS / sha256 / filename
    try:
        if not is_sound(path, sha256):
            return None
        status = path.stat()
    except OSError:
        return None
    used(path.parent)
    return StoredWheel(
        path=path,
        filename=filename,
        sha256=sha256,
        size=status.st_size,
        changed_ns=status.st_mtime_ns,
    )


def installed(store: Store, build: StoredWheel, python: str) -> InstalledWheel:
    """How a build becomes part of a layer. Raise `ConfigError` for what is none of that Python."""
    kept = KeptEnvironments(root=store.root)
    key = f"{build.sha256} {python}"
    known = kept.recall(key)
    if known is not None:
        return known
    try:
        file = build.path.open("rb")
    except OSError as error:
        raise gone(build, error) from error
    with file:
        members = tuple(read_build(file, build.filename, python))
    return kept.keep(key, members, ())
