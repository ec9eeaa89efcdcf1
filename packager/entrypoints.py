"""What starts a job: scripts of the project, and functions that a script of ours calls.

EMR takes a `.py` file, so `module:function`, as `[project.scripts]` has it, gets one made for it.
"""

import difflib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.errors import ConfigError
from packager.project import Project, plain_name
from packager.record import Artifact, Record

_PART: Final = r"[^\W\d]\w*"
_REFERENCE: Final = re.compile(rf"({_PART}(?:\.{_PART})*)\s*:\s*({_PART}(?:\.{_PART})*)")

LAUNCHER: Final = """\
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({function}())
"""
"""As the scripts that installers make for the same words; the executors never import it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """One way to start a job of the project."""

    name: str
    """As one chooses it: a path in the project, `module:function`, or a command's name."""
    file: Path | None = None
    """None for a function."""
    module: str | None = None
    function: str = ""

    def script(self) -> bytes:
        """The text that EMR starts."""
        if self.file is None:
            return LAUNCHER.format(
                module=self.module, first=self.function.partition(".")[0], function=self.function
            ).encode()
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"the entry point {self.name} can not be read",
                why=error.strerror or str(error),
                fix="mend its permissions",
            ) from error

    @property
    def stem(self) -> str:
        """What its copy's name begins with."""
        return plain_name(self.name if self.file is None else self.file.stem)


def entry_points(project: Project, settings: Sequence[str]) -> tuple[EntryPoint, ...]:
    """Those that the settings name, each once; or the `.py` file that the project is.

    Raise `ConfigError` for one that does not exist or lies outside the project.
    """
    if not settings and project.file is not None:
        return (EntryPoint(name=project.file.name, file=project.file),)
    found = [_entry_point(project, setting) for setting in settings]
    return tuple({point.name: point for point in found}.values())


def _entry_point(project: Project, setting: str) -> EntryPoint:
    path = Path(os.path.normpath(project.root / setting))
    command = project.scripts.get(setting)
    reference = _REFERENCE.fullmatch((command or setting).strip())
    if reference is not None and not path.is_file():
        if project.app == "file":
            raise ConfigError(
                f"the entry point {setting} is a function, and the project is one file",
                why="a file that is the project is the entry point itself",
                fix="leave `entry-point` out, or pack the folder",
            )
        return EntryPoint(
            name=setting if command else f"{reference[1]}:{reference[2]}",
            module=reference[1],
            function=reference[2],
        )
    if not path.resolve().is_relative_to(project.root.resolve()):
        raise ConfigError(
            f"the entry point {setting} lies outside the project",
            why=f"the project is {project.root}",
            fix="name a file of the project",
        )
    if not path.is_file():
        scripts = ", ".join(sorted(p.name for p in project.root.glob("*.py"))) or "none"
        commands = ", ".join(sorted(project.scripts))
        raise ConfigError(
            f"the entry point {setting} does not exist",
            why=f"looked for {path}; scripts at the top of the project: {scripts}"
            + (f"; commands in [project.scripts]: {commands}" if commands else ""),
            fix="correct `entry-point` in [tool.packager], or --entry-point",
        )
    return EntryPoint(name=path.relative_to(project.root).as_posix(), file=path)


def require_module(point: EntryPoint, paths: Collection[str], prefixes: Sequence[str]) -> None:
    """Raise `ConfigError` unless one of `paths`, below one of `prefixes`, is the module."""
    if point.module is None:
        return
    parts = point.module.replace(".", "/")
    for prefix in prefixes:
        start = f"{prefix}{parts}"
        if any(p.startswith((f"{start}.", f"{start}/")) for p in paths):
            return
    raise ConfigError(
        f"the entry point {point.name} has no module {point.module}",
        why="neither the project nor a package that it needs brings it",
        fix="correct `entry-point`, or let the build backend include the module",
    )


def chosen(record: Record, name: str | None) -> Artifact | None:
    """The entry point to start: the one there is, or the one that `name` means.

    `name` may leave out folders and extension. None where there is none, or several and no name.
    Raise `ConfigError` where the name means none or several of them.
    """
    points = record.entry_points
    if name is None:
        return points[0] if len(points) == 1 else None
    exact = [p for p in points if name in {p.name, p.file}]
    found = exact or [p for p in points if name in _short(p)]
    if len(found) == 1:
        return found[0]
    names = entry_point_names(record)
    near = difflib.get_close_matches(name, [*names, *(s for p in points for s in _short(p))], n=1)
    raise ConfigError(
        f"{record.name} has {'several entry points' if found else 'no entry point'} {name!r}",
        why=f"it has {', '.join(names) or 'none'}",
        fix="write its name in full"
        if found
        else f"did you mean {near[0]!r}?"
        if near
        else "choose one of them, or pack again with it",
    )


def entry_point_names(record: Record) -> tuple[str, ...]:
    """What `chosen` takes."""
    return tuple(p.name or p.file for p in record.entry_points)


def _short(point: Artifact) -> Iterator[str]:
    base = point.name.rpartition("/")[2]
    yield base
    yield base.removesuffix(".py")
    if ":" in point.name:
        module, _, function = point.name.partition(":")
        yield module
        yield function
