"""The steps, as functions over values and ports: from a project to archives, a report, a record."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from packager.entrypoints import EntryPoint, entry_points, require_module
from packager.environment import (
    APP_LAYOUT,
    environment_layout,
)
from packager.errors import ConfigError
from packager.lockfiles import (
    Pin,
    Selection,
    missing_error,
)
from packager.needs import Needs, app_of, way_out_in_docker, with_sources_built
from packager.output import require_writable
from packager.ports import BundledPython, Ports, StoredWheel
from packager.presets import resolved
from packager.project import (
    Project,
)
from packager.selection import require_locked, selection_for
from packager.settings import Settings
from packager.target import Target

if TYPE_CHECKING:  # imported while the resolver is waited for
    from packager.making import Packed
    from packager.trees import Tree

Say = Callable[[str], None]


def pack(project: Project, settings: Settings, ports: Ports, say: Say) -> "tuple[Packed, ...]":
    """Make, check and record the archives of `project` for every target of `settings`.

    The archives are written even if a check fails, for the user to look at; the report says so.
    Nothing appears in the output folder before it is whole.
    """
    targets = settings.targets()
    for target in targets:  # what can not be is said before anything is fetched or built
        _require_python(project, target)
        resolved(settings.presets, target.release, target.arch.emr)
        _ = target.glibc
    if settings.venv and settings.builder == "docker":
        raise ConfigError(
            "a virtual environment is packed as it is, and nothing is built",
            why='`venv` and `builder = "docker"` are both set',
            fix="keep one of them",
        )
    trees: Sequence[Tree] = ()
    if settings.venv:
        from packager.venvs import venv_trees

        trees = venv_trees(project, settings, targets, say)
    for target in targets:
        if settings.byte_code:
            ports.byte_compiler.version(target.python)
        if target.interpreter is None:
            say(f"Python {target.python} is bundled: {_lacking(target)}")
    if settings.locked:
        require_locked(project)
    points = entry_points(project, settings.entry_point)
    out = project.root / settings.out
    require_writable(out)
    with _threads(len(targets) + 3, ports) as pool:
        building = pool.submit(app_of, project, settings, ports)
        commit = pool.submit(ports.commit, project.root)
        pythons = pool.map(partial(_standalone, settings, ports), targets)
        selecting = [
            pool.submit(selection_for, project, target, settings, ports) for target in targets
        ]
        from packager.making import Work, make  # 50 ms, in which the resolver works

        if not all(selected.done() for selected in selecting):
            ports.store.prepare()
        selections = [selected.result() for selected in selecting]
        app = building.result()
    with _threads(len(targets), ports) as pool:
        build = partial(with_sources_built, project, settings, ports, app)
        needs = list(pool.map(build, targets, selections))
    if trees:
        needs = [
            replace(need, selection=replace(need.selection, dropped=tree.dropped), tree=tree)
            for need, tree in zip(needs, trees, strict=True)
        ]
    needs = [
        replace(need, python=python or _python_in_docker(target, need, settings, ports))
        for need, target, python in zip(needs, targets, pythons, strict=True)
    ]
    if missing := [m for need in needs for m in need.selection.missing]:
        refused = next((need.refused for need in needs if need.refused), "")
        raise missing_error(missing, way_out=way_out_in_docker(refused))
    for name in sorted({name for need in needs for name in need.selection.dropped}):
        say(f"Left out {name}: EMR brings its own, which a copy would shadow")
    stored = _fetched([need.selection for need in needs], ports)
    wheels = [(*(stored[_key(pin)] for pin in need.selection.pins), *need.built) for need in needs]
    for own, need, target in zip(wheels, needs, targets, strict=True):
        _require_modules(points, own, need, target, ports)
    work = Work(
        project=project,
        settings=settings,
        ports=ports,
        say=say,
        out=out,
        entry_points=points,
        commit="" if project.app == "none" else commit.result(),
    )
    with _threads(len(targets), ports) as pool:
        return tuple(pool.map(partial(make, work), targets, wheels, needs))


def _standalone(settings: Settings, ports: Ports, target: Target) -> BundledPython | None:
    if target.interpreter is not None or settings.builder == "docker":
        return None
    return ports.pythons.installed(target)


def _python_in_docker(
    target: Target, need: Needs, settings: Settings, ports: Ports
) -> BundledPython | None:
    """All of it is built there, the Python that the release lacks included."""
    if target.interpreter is not None or settings.builder != "docker" or need.recipe is None:
        return None
    return ports.docker.python(need.recipe)


def _require_modules(
    points: Sequence[EntryPoint],
    wheels: Sequence[StoredWheel],
    need: Needs,
    target: Target,
    ports: Ports,
) -> None:
    """Raise `ConfigError` for an entry point that calls a function of what is not packed."""
    app, tree, store = need.app, need.tree, ports.store
    for point in points:
        if point.module is None:
            continue
        brought = [f.path for f in app.files]
        if app.wheel is not None:
            brought += [m.path for m in store.installed(app.wheel, APP_LAYOUT).members]
        prefixes = ("", f"{target.site_packages}/")
        for wheel in wheels:
            brought += [m.path for m in store.installed(wheel, environment_layout(target)).members]
        brought += [f.path for f in tree.files] if tree else []
        require_module(point, brought, prefixes)


@contextlib.contextmanager
def _threads(count: int, ports: Ports) -> Iterator[ThreadPoolExecutor]:
    """Threads that end early when one of them, or the user, ends the whole."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        ports.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _require_python(project: Project, target: Target) -> None:
    wanted = project.requires_python
    # The patch level of a release's Python is not known, so any that the project allows will do.
    if wanted is not None and not any(
        wanted.contains(f"{target.python}.{patch}") for patch in range(100)
    ):
        others = ", ".join(i.python for i in target.release.interpreters)
        raise ConfigError(
            f"{project.name} requires Python {wanted}, {target.release.label} runs {target.python}",
            why=f"requires-python in {project.root / 'pyproject.toml'};"
            f" the release has Python {others or 'unknown'}",
            fix="widen requires-python, set `python`, or choose a release with another Python:"
            " packager releases",
        )


def _fetched(selections: Sequence[Selection], ports: Ports) -> Mapping[str, StoredWheel]:
    pins = {_key(pin): pin for selection in selections for pin in selection.pins}
    wheels = ports.store.fetch(tuple(pins.values()))
    return dict(zip(pins, wheels, strict=True))


def _key(pin: Pin) -> str:
    return pin.sha256 or pin.location


def _lacking(target: Target) -> str:
    has = ", ".join(i.python for i in target.release.interpreters)
    return (
        f"{target.release.label} has {has}" if has else f"none of {target.release.label} is known"
    )
