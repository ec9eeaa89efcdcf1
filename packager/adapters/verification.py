"""`packager cache verify`: whether all that the store has is what its hashes say."""

import hashlib
import json
import os
from pathlib import Path

from packager.adapters import companions, environments
from packager.adapters.cache import folders, forget_count, remove
from packager.adapters.plans import PLANS, read_plan
from packager.adapters.seals import unsigned


def verify(root: Path) -> tuple[str, ...]:
    """Hash all that the store has again, remove what changed, and return its names."""
    wrong: list[str] = []
    for kind in folders(root):
        for path in sorted(kind.iterdir()) if kind.name != "tmp" else ():
            try:
                _require_sound(path)
            except (OSError, ValueError, KeyError, TypeError):
                if not os.path.lexists(path):  # another run has just removed it
                    continue
                wheels = sorted(file.name for file in path.glob("*.whl"))
                wrong.append(wheels[0] if wheels else f"{kind.name}/{path.name[:12]}")
                remove(path, root)
                forget_count(root)
    return tuple(wrong)


def _require_sound(path: Path) -> None:
    """Raise `ValueError` or `OSError` where it is not what its hash says."""
    if path.parent.name == PLANS:
        read_plan(path.read_bytes())
    elif path.is_file():
        unsigned(path.read_text(encoding="utf-8"))
    elif (path / companions.INDEX).is_file():
        index = json.loads(unsigned((path / companions.INDEX).read_text(encoding="utf-8")))
        _require_digest(path / companions.FILES, index["sha256"])
    elif (path / environments.FACTS).is_file():
        facts = json.loads(unsigned((path / environments.FACTS).read_text(encoding="utf-8")))
        _require_digest(path / environments.FILES, facts["sha256"])
    else:
        for file in path.iterdir():
            if file.name.endswith(".facts.json"):
                unsigned(file.read_text(encoding="utf-8"))
            else:
                _require_digest(file, path.name)


def _require_digest(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError("a damaged file")
