"""What a target needs besides wheels that exist: the app, and what is built of sources.

Pure but for the ports, which build here or in Docker.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from packager.compiling import compile_app, compile_missing, own_sources, recipe_for
from packager.errors import CommandError, ConfigError, PackagerError
from packager.layers import File
from packager.lockfiles import Missing, Selection, Source
from packager.ports import BundledPython, Ports, StoredWheel
from packager.project import Project
from packager.settings import Settings
from packager.sourcetree import app_files, source_digest
from packager.target import Target

if TYPE_CHECKING:
    from packager.dockerbuild import Recipe
    from packager.trees import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The project's own part: a wheel, or files as they are."""

    wheel: StoredWheel | None
    files: tuple[File, ...]
    key: str | None = None
    """Of the sources of the wheel, as far as they can be told."""
    refused: PackagerError | None = None
    """Why there is no wheel for all targets: then Docker compiles one for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one target needs, and the wheels that were made of sources."""

    selection: Selection
    built: tuple[StoredWheel, ...]
    app: App
    tree: "Tree | None" = None
    """Of the environment that is packed as it is, instead of wheels."""
    python: BundledPython | None = None
    """None where the release has the target's Python."""
    recipe: "Recipe | None" = None
    """Where Docker has a part."""
    refused: str = ""
    """Why it has none, though it could have helped."""


def app_of(project: Project, settings: Settings, ports: Ports) -> App:
    if project.app == "wheel":
        key = None if project.dynamic else _source_key(project, settings)
        try:
            wheel = ports.builder.project_wheel(project.root, key=key)
        except CommandError as error:  # perhaps only this machine lacks what it takes
            if settings.builder == "wheels":
                raise
            return App(wheel=None, files=(), key=key, refused=error)
        if why := impure(wheel):
            compiled = ConfigError(
                f"the wheel of {project.name} is compiled: {wheel.filename}",
                why=f"{why}; the wheels builder makes archives for any target on any machine",
                fix="publish its compiled part as a package with wheels for the target",
            )
            if settings.builder == "wheels":
                raise compiled
            return App(wheel=None, files=(), key=key, refused=compiled)
        return App(wheel=wheel, files=())
    if project.app in {"file", "none"}:
        return App(wheel=None, files=())
    out = os.path.relpath(project.root / settings.out, project.root)
    if out == ".":
        raise ConfigError(
            f"the archives of a folder can not lie in it: {project.root}",
            why="the next pack would take them for files of the project",
            fix="choose another folder: --out",
        )
    exclude = (*settings.exclude, out) if not out.startswith("..") else settings.exclude
    files = app_files(project, exclude)
    return App(
        wheel=None,
        files=tuple(File(path=str(path), source=project.root / path) for path in files),
    )


def _source_key(project: Project, settings: Settings) -> str:
    digest = source_digest(project.root, project.root / settings.out)
    return hashlib.sha256(f"{project.root}\0{digest}".encode()).hexdigest()


def impure(wheel: StoredWheel) -> str | None:
    platforms = {tag.platform for tag in parse_wheel_filename(wheel.filename)[3]}
    return None if platforms == {"any"} else f"it was built for {', '.join(sorted(platforms))}"


def with_sources_built(  # noqa: PLR0917  # in the order in which a pack comes to know them
    project: Project,
    settings: Settings,
    ports: Ports,
    app: App,
    target: Target,
    selection: Selection,
) -> Needs:
    """Build what has no wheel: here, where that gives a pure one, or else in Docker."""
    missing = list(selection.missing)
    built: list[StoredWheel] = []
    if settings.builder != "docker":
        for source in own_sources(selection, project):
            wheel, absent = _built(source, target, project, ports)
            if absent is not None:
                missing.append(absent)
            elif wheel is not None:
                built.append(wheel)
    compiled = compile_missing(
        replace(selection, missing=tuple(missing)), target, project, settings, ports
    )
    recipe = compiled.recipe
    if app.refused is not None:
        recipe = recipe or _recipe_for_app(app.refused, target, project, settings, ports)
        app = App(wheel=compile_app(project, app.key, recipe, ports), files=())
    return Needs(
        selection=compiled.selection,
        built=(*built, *compiled.wheels),
        app=app,
        recipe=recipe,
        refused=compiled.refused,
    )


def _recipe_for_app(
    refused: PackagerError, target: Target, project: Project, settings: Settings, ports: Ports
) -> "Recipe":
    try:
        return recipe_for(target, project, settings, ports)
    except PackagerError as error:
        if settings.builder == "docker":
            raise
        way_out = way_out_in_docker(error.what)
        if way_out not in refused.fix:  # it is the same error for every target
            refused.fix += way_out
        raise refused from error


def way_out_in_docker(refused: str) -> str:
    return f"; or let Docker compile it, for which {refused}" if refused else ""


def _built(
    source: Source, target: Target, project: Project, ports: Ports
) -> tuple[StoredWheel | None, Missing | None]:
    absent = Missing(
        name=source.name,
        version=source.version or "",
        target=f"{target.release.label} {target.arch.name} Python {target.python}",
        available=(),
    )
    if source.version is not None and "://" in source.location:
        wheels = ports.resolver.available(
            source.name, source.version, root=project.root, target=target
        )
        if any(not name.endswith("-any.whl") for name in wheels):
            # It is compiled on other platforms, so its source would be compiled here.
            return None, replace(absent, available=wheels, source=source)
    try:
        wheel = ports.builder.source_wheel(source)
    except CommandError as error:
        if source.commit is not None:
            raise  # its repository can not be reached, or it is built nowhere
        note = f"it has no wheel, and its source can not be built here: {error.why or error.what}"
        return None, replace(absent, note=note, source=source)
    if why := impure(wheel):
        note = f"it has no wheel, and its source is compiled: {why}"
        return None, replace(absent, note=note, source=source)
    return wheel, None
