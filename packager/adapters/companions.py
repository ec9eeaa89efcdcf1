"""What is made once of a wheel's files and packed beside it or in their place, kept in the store.

    KIND/KEY/files.deflate  the files, compressed, one after the other
    KIND/KEY/index.json     which they are, and what else is to be known of them

Both carry what shows damage, as wheels and texts of the store do.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packager.adapters.limit import note_added
from packager.adapters.seals import is_sound, seal, signed, unsigned
from packager.adapters.store import Store, used
from packager.ports import InstalledWheel, StoredWheel, gone
from packager.tarball import Span

FILES: Final = "files.deflate"
INDEX: Final = "index.json"


def finish(folder: Path, rows: Sequence[Span], **known: object) -> None:
    """Write the index of the files that lie in `folder` as `FILES`, each where its row says."""
    with (folder / FILES).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    seal(folder / FILES, sha256)
    text = json.dumps({"sha256": sha256, "files": rows, **known})
    (folder / INDEX).write_text(signed(text), encoding="utf-8")


def keep(
    store: Store, kind: str, key: str, folder: Path
) -> tuple[InstalledWheel, Mapping[str, Any]]:
    """Move what `finish` finished into the store. Raise `CommandError` where it does not stay."""
    kept = store.root / kind / key
    kept.mkdir(parents=True, exist_ok=True)
    size = (folder / FILES).stat().st_size
    for name in (FILES, INDEX):  # the index last: who reads it finds the files
        (folder / name).replace(kept / name)
    note_added(store.root, size)
    found = recall(store, kind, key)
    if found is None:
        raise gone(_stored(kept, kind, key, size), FileNotFoundError(2, "it was removed"))
    return found


def recall(store: Store, kind: str, key: str) -> tuple[InstalledWheel, Mapping[str, Any]] | None:
    """The files and the index, if they are there and whole."""
    folder = store.root / kind / key
    try:
        index = json.loads(unsigned((folder / INDEX).read_text(encoding="utf-8")))
        if not is_sound(folder / FILES, index["sha256"]):
            return None
        members = tuple(Span(*row) for row in index["files"])
        status = (folder / FILES).stat()
        stored = _stored(folder, kind, key, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        return None
    used(folder)
    return InstalledWheel(wheel=stored, members=members, observations=()), index


def _stored(
    folder: Path, kind: str, key: str, size: int, changed_ns: int | None = None
) -> StoredWheel:
    return StoredWheel(
        path=folder / FILES,
        filename=f"{kind} {key[:12]}",
        sha256=key,
        size=size,
        changed_ns=changed_ns,
    )
