"""What a project is and what it asks for: found in one place, by one set of rules. Reads files.

The rules, in order. A path that is given is the project; without one, the nearest folder with a
`pyproject.toml` from here upwards is, or this folder. Nothing deeper in the tree decides anything.

What is packed as the app:
  a `.py` file                    that file
  `[build-system]` or `setup.py`  the wheel that its build backend makes
  anything else                   the folder's files
With `--venv` and without a path or a `pyproject.toml`, there is no project, and no app.

Where dependencies come from: `LOCKS`, then `[project]` or `setup.py` without a lock.
"""

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from packager.documents import parse_toml
from packager.errors import ConfigError

ForeignKind = Literal["poetry.lock", "pdm.lock", "Pipfile.lock"]
LockKind = Literal[
    "uv.lock", "pylock.toml", ForeignKind, "requirements.txt", "pyproject.toml", "setup.py"
]

LOCKS: Final[tuple[LockKind, ...]] = (
    "uv.lock",
    "pylock.toml",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "requirements.txt",
)
"""Files that pin dependencies, in the order in which they are looked for."""

LOCK_COMMANDS: Final[Mapping[LockKind | None, str]] = {
    "pyproject.toml": "uv lock",
    "requirements.txt": "uv pip compile requirements.txt --universal --generate-hashes"
    " --format pylock.toml -o pylock.toml",
    "setup.py": "uv pip compile setup.py --universal --format pylock.toml -o pylock.toml",
}
"""What locks a project whose dependencies are resolved anew at every pack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as found on disk; nothing is built yet."""

    root: Path
    name: str
    """Normalised (PEP 503) and ASCII, since it becomes part of file names and S3 keys."""
    version: str | None
    requires_python: SpecifierSet | None
    app: Literal["wheel", "folder", "file", "none"]
    file: Path | None
    """The `.py` file of a project that is one."""
    lock: Path | None
    lock_kind: LockKind | None
    dynamic: bool
    """The backend decides the version, perhaps from what is not in the tree (a git tag)."""
    requirements: tuple[str, ...]
    """`[project] dependencies`, as written."""
    settings: Mapping[str, Any]
    """`[tool.packager]`."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """`[project.scripts]`: names of commands and their `module:function`."""

    @property
    def described(self) -> bool:
        """Whether it has a `pyproject.toml`, and is not a project for its files alone."""
        return self.file is None and (self.root / "pyproject.toml").is_file()


def find_project(path: Path | None, cwd: Path) -> Project:
    """Find the project at `path`, or around `cwd`. Raise `ConfigError` if there is none."""
    if path is None:
        root = next((p for p in (cwd, *cwd.parents) if (p / "pyproject.toml").is_file()), cwd)
    else:
        root = Path(os.path.normpath(cwd / path))
    if root.is_file() and root.suffix == ".py":
        return Project(
            root=root.parent,
            name=plain_name(root.stem),
            version=None,
            requires_python=None,
            app="file",
            file=root,
            lock=None,
            lock_kind=None,
            dynamic=False,
            requirements=(),
            settings={},
        )
    if not root.is_dir():
        what = (
            f"{root} is not a folder or a .py file" if root.exists() else f"{root} does not exist"
        )
        raise ConfigError(what, fix="give the folder of a project")
    return _folder(root)


def environment_alone(name: str, cwd: Path) -> Project:
    """What takes a project's place where an environment is packed without one."""
    return Project(
        root=cwd,
        name=plain_name(name),
        version=None,
        requires_python=None,
        app="none",
        file=None,
        lock=None,
        lock_kind=None,
        dynamic=False,
        requirements=(),
        settings={},
    )


def _folder(root: Path) -> Project:
    document = read_toml(root / "pyproject.toml") if (root / "pyproject.toml").is_file() else {}
    setup = (root / "setup.py").is_file()
    lock, kind = _lock(root, document, setup=setup)
    if not document and not setup and lock is None and not list(root.glob("*.py")):
        raise ConfigError(
            f"{root} is not a Python project",
            why="it has no pyproject.toml, setup.py, requirements.txt or .py file",
            fix="go to the project's folder, or name it: packager pack PATH",
        )
    table = _table(document, "project", root)
    tool = _table(document, "tool", root)
    poetry = _table(tool, "poetry", root, "tool.")
    name = table.get("name", poetry.get("name", root.name))
    if not isinstance(name, str):
        raise ConfigError(f"{root / 'pyproject.toml'}: project.name is not a text")
    # Poetry builds nothing of a project that it only manages the dependencies of.
    wheel = setup or ("build-system" in document and poetry.get("package-mode") is not False)
    return Project(
        root=root,
        name=plain_name(name),
        version=str(table["version"]) if "version" in table else None,
        requires_python=_requires_python(table, root),
        app="wheel" if wheel else "folder",
        file=None,
        lock=lock,
        lock_kind=kind,
        dynamic=setup or "project" not in document or bool(table.get("dynamic")),
        requirements=_texts(table.get("dependencies", [])),
        scripts=_scripts(table.get("scripts", poetry.get("scripts"))),
        settings=_table(tool, "packager", root, "tool."),
    )


def _lock(
    root: Path, document: Mapping[str, Any], *, setup: bool
) -> tuple[Path | None, LockKind | None]:
    for name in LOCKS:
        if (root / name).is_file():
            return root / name, name
    if "project" in document:
        return root / "pyproject.toml", "pyproject.toml"
    return (root / "setup.py", "setup.py") if setup else (None, None)


def other_locks(project: Project) -> tuple[str, ...]:
    """Locks that lie beside the one that is taken, and that nothing reads."""
    found = (name for name in LOCKS if (project.root / name).is_file())
    return tuple(n for n in found if project.lock is None or n != project.lock.name)


def read_toml(path: Path) -> Mapping[str, Any]:
    """Raise `ConfigError` with file, line and column where it is not TOML."""
    text = read_text(path)
    try:
        return parse_toml(text)
    except ValueError as error:
        last = f"line {len(text.splitlines())}, the end of the file"
        raise ConfigError(
            f"{path} is not valid TOML",
            why=str(error).replace("end of document", last),
            fix="mend the line it names" if " line " in str(error) else "mend it",
        ) from error


def read_text(path: Path) -> str:
    """Raise `ConfigError` where it can not be read as UTF-8."""
    try:
        return path.read_bytes().decode()
    except PermissionError as error:
        raise ConfigError(
            f"{path} can not be read", why=error.strerror or "", fix="mend its permissions"
        ) from error
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}", fix="correct its name") from error
    except OSError as error:
        raise ConfigError(f"{path} can not be read", why=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} can not be read", why=str(error)) from error


def _table(
    document: Mapping[str, Any], key: str, root: Path, prefix: str = ""
) -> Mapping[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{root / 'pyproject.toml'}: `{prefix}{key}` is not a table",
            fix=f"write [{prefix}{key}]",
        )
    return value


def _texts(value: object) -> tuple[str, ...]:
    """The texts of a list; what else it may hold, the resolver tells of better."""
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _scripts(value: object) -> Mapping[str, str]:
    """Those that are texts; of others the build backend tells better."""
    if not isinstance(value, Mapping):
        return {}
    return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, str)}


def _requires_python(table: Mapping[str, Any], root: Path) -> SpecifierSet | None:
    value = table.get("requires-python")
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise InvalidSpecifier(f"{value!r} is not a text")
        return SpecifierSet(value)
    except InvalidSpecifier as error:
        raise ConfigError(
            f"{root / 'pyproject.toml'}: project.requires-python is not a version specifier",
            why=str(error),
            fix='write it as in requires-python = ">=3.9"',
        ) from error


def plain_name(name: str) -> str:
    """`name` as a part of file names and S3 keys: ASCII letters, digits and dashes."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "-", canonicalize_name(ascii_only)).strip("-")
    return plain or "app"
