"""What `packager init` adds to a folder: settings, an entry point, a test. Pure.

Nothing that is there is overwritten: a file is new, or gets lines, or is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from packager.errors import ConfigError
from packager.releases import Release
from packager.scaffold.ci import pipelines
from packager.scaffold.configuration import with_settings

State = Literal["new", "changed", "kept"]
PYPROJECT: Final = "pyproject.toml"
ENTRY_POINT: Final = "main.py"
TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a folder holds, as far as it matters here."""

    name: str
    """Of the project."""
    is_project: bool
    """Whether it has a project already, be it only a script."""
    packs_itself: bool
    """Whether its files are the app, rather than a wheel that is built of them."""
    scripts: tuple[str, ...]
    """`.py` files at its top."""
    lock: str | None
    """Name of the file that pins its dependencies."""
    settings: Mapping[str, object]
    """`[tool.packager]`."""
    read: Callable[[str], str | None]
    """The text of a file; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    release: Release
    entry_point: str
    arch: tuple[str, ...] = ()
    ci: str | None = None
    """The service to write a pipeline for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to write, in order, and what is left to do by hand."""

    files: "tuple[Written, ...]"
    by_hand: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file as it is to be."""

    path: str
    """Relative to the folder."""
    text: str
    state: State


def suggested_entry_point(folder: Folder) -> str:
    """The script that is likely meant: the only one, or `main.py`, be it there or not."""
    scripts = [name for name in folder.scripts if name not in {"setup.py", "conftest.py"}]
    return scripts[0] if len(scripts) == 1 else ENTRY_POINT


def require_entry_point(name: str) -> str:
    """Raise `ConfigError` for what can not be a script of the project or a function."""
    path = PurePosixPath(name)
    fits = ":" in name or (
        path.suffix == ".py" and not path.is_absolute() and ".." not in path.parts
    )
    if not fits or set(name) & set('\\"\0\n'):
        raise ConfigError(
            f"the entry point {name!r} is no script of the project",
            fix="write a path in it, as in main.py or jobs/daily.py, or module:function",
        )
    return name if ":" in name else path.as_posix()


def plan(folder: Folder, choices: Choices) -> Plan:
    """`pyproject.toml` is last: before it is there, a run that was killed begins anew.

    Raise `ConfigError` for a `pyproject.toml` that is none, and a CI that packager does not know.
    """
    files: list[Written] = []
    entry_point = choices.entry_point
    if "entry-point" not in folder.settings and ":" not in entry_point:
        script = template("main.py")
        files.append(_added(folder, entry_point, script))
        # A script of somebody's own has tests of its own, or none that we could write.
        if files[0].text == script:
            name = f"tests/test_{PurePosixPath(entry_point).stem.replace('-', '_')}.py"
            module = ".".join(PurePosixPath(entry_point).with_suffix("").parts)
            test = template("test.py").replace("@MODULE@", module)
            files.append(_added(folder, name, test))
    if not folder.is_project:
        files.append(_added(folder, ".gitignore", template("gitignore")))
    by_hand: list[str] = []
    if choices.ci is not None:
        made, by_hand = pipelines(choices.ci, folder.read, lock=folder.lock or PYPROJECT)
        files += [_added(folder, path, text) for path, text in made]
    # Tests are no part of what runs; where the folder is the app, they would be packed.
    tests = folder.packs_itself and any(file.path.startswith("tests/") for file in files)
    pyproject = _pyproject(folder, choices, exclude=["tests"] if tests else [])
    return Plan(files=(*files, pyproject), by_hand=tuple(by_hand))


def _pyproject(folder: Folder, choices: Choices, *, exclude: list[str]) -> Written:
    release = choices.release
    settings: dict[str, str | list[str]] = {"release": release.label}
    if choices.arch:
        settings["arch"] = list(choices.arch)
    settings["entry-point"] = choices.entry_point
    if exclude:
        settings["exclude"] = exclude
    before = folder.read(PYPROJECT)
    text = before or ""
    if not folder.is_project:
        text = (
            template("pyproject.toml")
            .replace("@NAME@", folder.name)
            .replace("@PYTHON@", release.python)
            .replace("@SPARK@", ".".join(release.spark.split(".")[:2]))
        )
    after = with_settings(text, settings, PYPROJECT)
    if before is None:
        return Written(path=PYPROJECT, text=after, state="new")
    return Written(path=PYPROJECT, text=after, state="kept" if after == before else "changed")


def _added(folder: Folder, path: str, text: str) -> Written:
    there = folder.read(path)
    if there is None:
        return Written(path=path, text=text, state="new")
    return Written(path=path, text=there, state="kept")


def template(name: str) -> str:
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")
