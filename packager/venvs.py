"""An existing virtual environment, found sound and read through venv-pack. Reads one folder."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.errors import ConfigError
from packager.facts import PyvenvCfg
from packager.project import Project
from packager.releases import Release
from packager.settings import Settings
from packager.target import Target
from packager.trees import Tree, read_tree, some, walk

USUAL_NAMES: Final = frozenset({".env", ".venv", "env", "venv"})
"""Of environments that lie in the folder of what they are for."""

OLDEST_BUNDLED: Final = (3, 8)
"""Of the builds of CPython that uv knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Venv:
    """A virtual environment on this machine."""

    root: Path
    python: str
    """Minor version, e.g. `3.11`."""
    sees_system: bool
    """The packages of the interpreter's own installation too, which lie elsewhere."""


def find_venv(root: Path) -> Venv:
    """Raise `ConfigError` for what is no virtual environment of CPython."""
    if (root / "conda-meta").is_dir():
        raise ConfigError(
            f"{root} is a conda environment",
            why="its packages are relocated in another way, and it brings a Python of its own",
            fix="pack it with conda-pack, then judge the archive: packager validate ARCHIVE",
        )
    try:
        text = (root / "pyvenv.cfg").read_bytes().decode("utf-8", "backslashreplace")
        names = os.listdir(root / "lib")  # noqa: PTH208  # names, not paths
    except OSError as error:
        raise ConfigError(
            f"{root} is not a virtual environment", why=_why_not(root, error), fix=_instead(root)
        ) from error
    pythons = [m[1] for name in sorted(names) if (m := re.fullmatch(r"python(\d+\.\d+)t?", name))]
    if len(pythons) != 1:
        raise ConfigError(
            f"{root} has {'several Pythons' if pythons else 'no Python that EMR could run'}",
            why=f"in lib there is {', '.join(sorted(names)) or 'nothing'}, one pythonX.Y is needed",
            fix="make the environment anew: uv venv --python X.Y",
        )
    system = PyvenvCfg(path="pyvenv.cfg", text=text).value("include-system-site-packages") or ""
    return Venv(root=root, python=pythons[0], sees_system=system.lower() == "true")


def _why_not(root: Path, error: OSError) -> str:
    if not root.exists():
        return "it does not exist"
    if root.is_dir() and isinstance(error, FileNotFoundError):
        return f"it has no {Path(error.filename).relative_to(root)}"
    return f"{error.filename}: {error.strerror}"


def _instead(root: Path) -> str:
    around = root.parent.parent  # of bin/python
    if (around / "pyvenv.cfg").is_file():
        return f"name its folder: --venv {around}"
    inside = next((n for n in sorted(USUAL_NAMES) if (root / n / "pyvenv.cfg").is_file()), None)
    if inside is not None:
        return f"name the environment in it: --venv {root / inside}"
    return "name a folder that `python -m venv`, virtualenv or uv made"


def require_python(venv: Venv, target: Target, releases: Mapping[str, Release]) -> None:
    """Raise `ConfigError` unless the environment is for the Python of the target."""
    if venv.python == target.python:
        return
    series = target.release.label.partition(".")[0]
    fitting = [label for label, r in releases.items() if r.python == venv.python]
    near = [label for label in fitting if label.startswith(series)] or fitting
    if target.release.interpreter(venv.python):
        other = f", or take that of the environment: --python {venv.python}"
    else:
        other = f", or choose a release that runs {venv.python}: {near[-1]}" if near else ""
        if tuple(map(int, venv.python.split("."))) >= OLDEST_BUNDLED:
            other += f", or bundle that of the environment: --python {venv.python}"
    raise ConfigError(
        f"{venv.root} has Python {venv.python}, {target.release.label} runs {target.python}",
        why="packages are installed for one minor version of Python",
        fix=f"make the environment with Python {target.python}: uv venv --python {target.python}"
        f"{other}",
    )


def read_venv(venv: Venv, target: Target, *, without: Collection[str] = ()) -> Tree:
    """The environment's files, without the distributions that are packed elsewhere (`without`).

    Raise `ConfigError` for what would be lost: see `read_tree`.
    """
    return read_tree(venv.root, target, files=_files(venv.root), without=without)


def _files(root: Path) -> Iterable[str]:
    from venv_pack import Env, VenvPackException

    everything = tuple(walk(root))  # tells of a folder that can not be read; venv-pack passes by
    try:
        return tuple(file.target for file in Env(str(root)).files)
    except (VenvPackException, ValueError, OSError):
        # It stops at any link to another folder, the project's own among them, without a name that
        # helps; and it reads neither every `pyvenv.cfg` nor every `.pth`. `read_tree` tells more.
        return everything


def name_of(root: Path) -> str:
    """What an environment is called: as its folder, or as that around it where that says more."""
    return root.parent.name if root.name in USUAL_NAMES else root.name


def venv_trees(
    project: Project, settings: Settings, targets: Sequence[Target], say: Callable[[str], None]
) -> tuple[Tree, ...]:
    """The environment that the settings name, for each target; none where they name none.

    The project itself, which may be installed in it, is left out: it is packed as the app.
    """
    if settings.venv is None:
        return ()
    _refuse_what_only_locks_have(settings)
    venv = find_venv(Path(os.path.normpath(project.root / settings.venv)))
    for target in targets:
        require_python(venv, target, settings.releases)
    if venv.sees_system:
        say(f"{venv.root} sees the packages of the system too, which are not packed")
    without = () if project.app == "none" else (project.name,)
    trees = tuple(read_venv(venv, target, without=without) for target in targets)
    if seeds := sorted({name for tree in trees for name in tree.seeds}):
        say(f"Left out {', '.join(seeds)}: they make environments, and no package requires them")
    if own := sorted({path for tree in trees for path in tree.own}):
        say(f"Packed too, though of no package: {some(own)}")
    if absent := sorted({path for tree in trees for path in tree.absent}):
        say(f"Not there, though its package has it: {some(absent)}")
    return trees


def _refuse_what_only_locks_have(settings: Settings) -> None:
    chosen = [
        option
        for option in ("locked", "extras", "groups", "slim")
        if getattr(settings, option)
        # A project may have them for its other packs; that its dependencies are locked is a rule.
        and (option == "locked" or settings.origins.get(option) == "flag")
    ]
    if chosen:
        raise ConfigError(
            f"`venv` and `{chosen[0]}` exclude each other",
            why="an environment is packed as it is, and no lock pins it",
            fix="leave one of them out",
        )
