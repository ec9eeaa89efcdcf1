"""Jars of Maven repositories in the store: `jars/SHA256/FILENAME`, as they were downloaded."""

import hashlib
from pathlib import Path
from typing import Final

from packager.adapters.limit import note_added
from packager.adapters.seals import is_sound, seal
from packager.adapters.store import Store, used
from packager.errors import CommandError
from packager.imagebuild.options import MavenJar

JARS: Final = "jars"


def stored_jar(store: Store, jar: MavenJar) -> Path:
    """Where a jar is, downloaded if the store lacks it.

    Raise `CommandError` where it can not be had, or is another one; `ConfigError` where no
    connection may be opened.
    """
    kept = store.root / JARS / jar.sha256 / jar.filename
    if kept.exists() and is_sound(kept, jar.sha256):
        used(kept.parent)
        return kept
    store.say(f"Downloading {jar.filename}")
    with store.temporary() as folder:
        path = folder / jar.filename
        store.fetcher.download(jar.url, path)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != jar.sha256:
            raise CommandError(
                f"{jar.coordinates} is not the jar that the project pins",
                why=f"its SHA-256 is {found}, and `jars` says {jar.sha256}",
                fix="find out which of them is right before you change the project",
            )
        size = path.stat().st_size
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
        seal(kept, jar.sha256)
        note_added(store.root, size)
    return kept
