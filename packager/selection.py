"""What a project's lock, or its requirements, select for a target. Pure but for the ports."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from packager.errors import ConfigError
from packager.lockfiles import (
    Selection,
    provided_among,
    requirement_hashes,
    requirement_lines,
    select,
)
from packager.ports import Ports
from packager.project import LOCK_COMMANDS, ForeignKind, Project, read_text, read_toml
from packager.settings import Settings
from packager.target import PROVIDED, Target

RESOLVED: Final = "resolved"
"""Where the store remembers resolutions that can not change: of requirements with hashes."""


def is_locked(project: Project) -> bool:
    """Whether the same project gives the same dependencies at every pack.

    Requirements do if they have hashes; where there are no dependencies, nothing can change.
    """
    if project.lock is not None and project.lock_kind == "requirements.txt":
        lines = [line for _, line in requirement_lines(project.lock)]
        return not lines or requirement_hashes(project.lock) is not None
    return project.lock_kind not in LOCK_COMMANDS


def require_locked(project: Project) -> None:
    if not is_locked(project):
        raise ConfigError(
            f"{project.lock} is not locked, and --locked asks for it",
            why="its dependencies would be resolved anew at every pack",
            fix=LOCK_COMMANDS[project.lock_kind],
        )


def selection_for(project: Project, target: Target, settings: Settings, ports: Ports) -> Selection:
    if settings.venv is not None:
        return Selection(pins=(), sources=(), missing=(), dropped=())
    lock, root = project.lock, project.root
    if lock is None or project.lock_kind in {"requirements.txt", "setup.py"}:
        _refuse_extras(settings, lock)
    if lock is None:
        return Selection(pins=(), sources=(), missing=(), dropped=())
    extras, groups = settings.extras, settings.groups
    match project.lock_kind:
        case "pylock.toml":
            read_toml(lock)  # told with file and line, which the lock's own reader does not know
            text = read_text(lock)
            return select(
                text, target, origin=lock, base=root, extras=extras, groups=groups or None
            )
        case "uv.lock":
            read_toml(lock)  # told with file and line, before uv sees it
            text = ports.resolver.export(lock, extras=extras, groups=groups)
            return select(text, target, origin=lock, base=root)
        case "poetry.lock" | "pdm.lock" | "Pipfile.lock":
            return _from_foreign(lock, project.lock_kind, target, settings, ports)
        case "requirements.txt":
            named = provided_among(line for _, line in requirement_lines(lock))
            selection = _from_requirements(lock, target, ports)
        case _:
            text = ports.resolver.compile(
                [lock.name], root=root, target=target, extras=extras, groups=groups
            )
            named = provided_among(project.requirements)
            selection = select(text, target, origin=lock, base=root)
    # uv was told not to look at these, so its answer does not name them.
    return replace(selection, dropped=tuple(sorted({*named, *selection.dropped})))


def _refuse_extras(settings: Settings, lock: Path | None) -> None:
    if settings.extras or settings.groups:
        raise ConfigError(
            "extras and groups can not be chosen here",
            why=f"{lock.name if lock else 'the project'} has none",
            fix="remove `extras` and `groups`, or describe the project in a pyproject.toml",
        )


def _from_requirements(lock: Path, target: Target, ports: Ports) -> Selection:
    lines = [line for _, line in requirement_lines(lock)]
    hashes = requirement_hashes(lock)
    about = (target.python, target.arch.name, str(target.glibc), str(lock.parent), *lines)
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()
    # With a hash for every file the answer is settled, so it is asked for once.
    known = None if hashes is None else ports.store.recall(RESOLVED, key)
    text = known or ports.resolver.compile([lock.name], root=lock.parent, target=target)
    selection = select(text, target, origin=lock, base=lock.parent, hashes=hashes)
    if hashes is not None and known is None:
        ports.store.remember(RESOLVED, key, text)
    return selection


def _from_foreign(
    lock: Path, kind: ForeignKind, target: Target, settings: Settings, ports: Ports
) -> Selection:
    from packager.foreignlocks import read_foreign

    manifest = lock.parent / ("Pipfile" if kind == "Pipfile.lock" else "pyproject.toml")
    if kind == "Pipfile.lock" and manifest.is_file():
        read_toml(manifest)  # told with file and line, as a lock that is TOML is
    elif kind != "Pipfile.lock":
        read_toml(lock)
    foreign = read_foreign(
        lock,
        read_text(lock),
        read_text(manifest) if manifest.is_file() else None,
        target,
        extras=settings.extras,
        groups=settings.groups,
    )
    pins = [pin for pin in foreign.pins if pin.name not in PROVIDED]
    hashes = {pin.name: pin.hashes for pin in pins}
    lines = [f"{pin.name}=={pin.version}" for pin in pins]
    allowed = [",".join(sorted(pin.hashes)) for pin in pins]
    about = (target.python, str(lock.parent), *foreign.indexes, *lines, *allowed)
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()
    known = ports.store.recall(RESOLVED, key)
    text = known or ports.resolver.find(
        lines, indexes=foreign.indexes, root=lock.parent, target=target
    )
    selection = select(
        text, target, origin=lock, base=lock.parent, hashes=hashes, also=foreign.packages
    )
    if known is None:
        ports.store.remember(RESOLVED, key, text)
    named = {pin.name for pin in foreign.pins} | {package.name for package in foreign.packages}
    return replace(selection, dropped=tuple(sorted(named & PROVIDED)))
