"""`packager init`: what a project needs to be packed, added to a folder."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import Arch, Json, Quiet, Release
from packager.console import Console
from packager.errors import ConfigError, PackagerError

if TYPE_CHECKING:
    from packager import scaffold
    from packager.settings import Settings


def init(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="Folder; this one if not given.")
    ] = None,
    release: Release = None,
    entry_point: Annotated[
        str | None,
        typer.Option(
            "--entry-point", "-e", metavar="FILE", help="Script that starts a job, made if missing."
        ),
    ] = None,
    arch: Arch = None,
    ci: Annotated[
        str | None,
        typer.Option("--ci", metavar="SERVICE", help="Add a pipeline: github, gitlab, codebuild."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, as in CI.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add settings, an entry point and a test; overwrite nothing."""
    from packager.scaffold import Choices, plan, suggested_entry_point
    from packager.settings import resolve

    console = Console(quiet=quiet or json, json=json)
    root = Path.cwd() / (path or ".")
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is not a folder", fix="give the folder of a project")
    folder = _folder(root)
    flags = {"release": release, "arch": arch, "entry_point": entry_point and [entry_point]}
    _refuse_what_is_set(folder.settings, flags)
    settings = resolve(flags, os.environ, folder.settings, root / "pyproject.toml")
    if settings.release:
        settings.targets()  # which do not fit together, perhaps
    asks = not (yes or json or quiet or os.environ.get("CI")) and _on_terminal()
    chosen = _release(settings, asks=asks)
    point = (settings.entry_point or (suggested_entry_point(folder),))[0]
    if asks and not settings.entry_point:
        point = _ask("Entry point", point, lambda text: _entry_point(text, root))
    planned = plan(
        folder,
        Choices(
            release=settings.releases[chosen],
            entry_point=_entry_point(point, root),
            arch=settings.arch if settings.origins["arch"] == "flag" else (),
            ci=ci,
        ),
    )
    files = planned.files
    _write(root, files)
    if json:
        console.document([{"path": file.path, "state": file.state} for file in files])
        return
    if not quiet:
        console.data("\n".join(f"{file.state:<8} {file.path}" for file in files))
    for line in planned.by_hand:
        console.warn(f"left to you: {line}")
    console.say(f"next: {_next(path)}")


def _folder(root: Path) -> "scaffold.Folder":
    from packager.project import LOCKS, find_project, plain_name, read_text, read_toml
    from packager.scaffold import Folder

    scripts = tuple(sorted(p.name for p in root.glob("*.py")))
    described = (root / "pyproject.toml").is_file()
    found = scripts or any((root / name).is_file() for name in ("setup.py", *LOCKS))
    # A `pyproject.toml` with nothing in it makes no project yet.
    if found or (described and read_toml(root / "pyproject.toml")):
        project = find_project(root, Path.cwd())
    else:
        project = None

    def read(name: str) -> str | None:
        place = root / name
        if place.is_dir():
            raise ConfigError(f"{place} is a folder", fix="rename it, or name another file")
        return read_text(place) if place.exists() else None

    return Folder(
        name=project.name if project else plain_name(root.resolve().name),
        is_project=described or project is not None,
        packs_itself=project is None or project.app == "folder",
        scripts=scripts,
        lock=project.lock.name if project and project.lock else None,
        settings=project.settings if project else {},
        read=read,
    )


def _refuse_what_is_set(table: Mapping[str, object], flags: Mapping[str, object]) -> None:
    for name, value in flags.items():
        key = name.replace("_", "-")
        if value and key in table:
            raise ConfigError(
                f"`{key}` of [tool.packager] is set already: {table[key]!r}",
                why="init overwrites nothing",
                fix="change it in pyproject.toml",
            )


def _release(settings: "Settings", *, asks: bool) -> str:
    from packager.releases import find_release, newest_labels

    if settings.release:
        return find_release(settings.release, settings.releases).label
    newest = newest_labels(settings.releases)[0]
    if not asks:
        return newest
    return _ask("EMR release", newest, lambda text: find_release(text, settings.releases).label)


def _entry_point(name: str, root: Path) -> str:
    from packager.scaffold import require_entry_point

    text = require_entry_point(name)
    if ":" not in text and not (root / text).resolve().is_relative_to(root.resolve()):
        raise ConfigError(f"the entry point {name} leads out of {root}", fix="name a file in it")
    return text


def _ask(question: str, suggested: str, parse: Callable[[str], str]) -> str:
    """The answer of who sits at the terminal, asked until it is one."""

    def parsed(text: str) -> str:
        try:
            return parse(text)
        except PackagerError as error:
            raise typer.BadParameter(f"{error.what} ({error.fix})") from error

    answer: str = typer.prompt(question, default=suggested, value_proc=parsed, err=True)
    return answer


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _write(root: Path, files: "tuple[scaffold.Written, ...]") -> None:
    from packager.output import new_file, require_writable

    for file in files:
        if file.state == "kept":
            continue
        place = (root / file.path).resolve()  # through a link, to what it leads to
        require_writable(place.parent, option="packager init PATH")
        with new_file(place.parent, option="packager init PATH") as (out, settle):
            out.write(file.text.encode())
            if file.state == "new" and place.exists():
                raise ConfigError(f"{place} has come into being meanwhile", fix="run it again")
            settle(place)


def _next(path: Path | None) -> str:
    return "packager pack" if path is None else f"packager pack {path}"
