"""What was found and what will be done with it, as a text. Pure; nothing is built."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from packager.entrypoints import entry_points
from packager.environment import bundled_program
from packager.errors import ConfigError
from packager.project import LOCK_COMMANDS, LOCKS, Project, other_locks
from packager.selection import is_locked
from packager.settings import OPTIONS, Settings
from packager.target import Target
from packager.venvs import find_venv


def explanation(project: Project, settings: Settings) -> str:
    """The answer to `packager pack --explain`.

    What would stop the pack is told in its place rather than raised: it is what the user asks for.
    """
    rows = [
        ("project", str(project.root)),
        ("name", f"{project.name} {project.version or ''}".rstrip()),
        ("app", _app(project)),
        *_dependencies(project, settings),
        *_targets(settings),
        *_entry_points(project, settings),
        ("layout", _layout(settings)),
        ("output", str(project.root / settings.out)),
    ]
    lines = [f"{name:<13} {text}".rstrip() for name, text in rows]
    options = [
        f"  {option.name.replace('_', '-'):<13} {_shown(getattr(settings, option.name)):<28}"
        f" {settings.origins.get(option.name, 'default')}"
        for option in OPTIONS
    ]
    return "\n".join([*lines, "settings", *options])


def _app(project: Project) -> str:
    match project.app:
        case "wheel":
            return "the wheel of its build backend, for it has [build-system] or a setup.py"
        case "folder":
            return "the files of the folder, for it has no [build-system] and no setup.py"
        case "file":
            return "none beside the entry point, for it is one file"
        case "none":
            return "none, for there is no project here"
        case _ as never:
            assert_never(never)


def _dependencies(project: Project, settings: Settings) -> Iterator[tuple[str, str]]:
    lock = project.lock
    if settings.venv is not None:
        yield "dependencies", _environment(project.root / settings.venv)
        return
    if lock is None:
        yield "dependencies", "none: there is no lock, no [project] and no setup.py"
    elif not is_locked(project):
        locked = " (--locked refuses that)" if settings.locked else ""
        yield "dependencies", f"{lock.name}, resolved for the target{locked}"
        yield "", f"to lock them: {LOCK_COMMANDS.get(project.lock_kind, '')}"
    else:
        yield "dependencies", f"{lock.name}, as it pins them"
    if project.app != "file":
        yield "ignored", ", ".join(other_locks(project)) or "-"
        yield "looked for", ", ".join(LOCKS)
    yield "extras", ", ".join(settings.extras) or "-"
    yield "groups", ", ".join(settings.groups) or "-"


def _environment(root: Path) -> str:
    try:
        venv = find_venv(root)
    except ConfigError as error:
        return f"none: {error.what}"
    return f"those installed in {venv.root}, Python {venv.python}"


def _targets(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        targets = settings.targets()
    except ConfigError as error:
        yield "target", f"none: {error.what}"
        return
    for target in targets:
        yield "target", _target(target)


def _target(target: Target) -> str:
    try:
        glibc = ".".join(map(str, target.glibc))
        own = target.interpreter
    except ConfigError as error:
        return f"{target.release.label} {target.arch.name}, Python {target.python}: {error.what}"
    return (
        f"{target.release.label} {target.arch.name}, Python {target.python}, glibc {glibc},"
        f" bin/python -> {own.path if own else bundled_program(target)}"
        f"{'' if own else ', which is bundled'}"
    )


def _entry_points(project: Project, settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        points = entry_points(project, settings.entry_point)
    except ConfigError as error:
        yield "entry point", f"none: {error.what}"
        return
    for point in points:
        script = f"{point.name}, called by a script that packager writes"
        yield "entry point", script if point.file is None else str(point.file)
    if not points:
        yield "entry point", "-"


def _layout(settings: Settings) -> str:
    match settings.layout:
        case "layers":
            return "layers: the environment and the app in archives of their own"
        case "single":
            return "single: the environment and the app in one archive"
        case _ as never:
            assert_never(never)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (", ".join(value) if isinstance(value, tuple) else str(value or "")) or "-"
