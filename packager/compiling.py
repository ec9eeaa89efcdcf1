"""When Docker is asked: for everything, or for what has no wheel. Pure but for the ports."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packager.errors import ConfigError, PackagerError
from packager.lockfiles import Selection, Source
from packager.ports import Ports, StoredWheel, ToCompile
from packager.project import Project
from packager.settings import Settings
from packager.target import Target

if TYPE_CHECKING:
    from packager.dockerbuild import Recipe

SYSTEMS: Final = {
    "AL2": "public.ecr.aws/amazonlinux/amazonlinux:2",
    "AL2023": "public.ecr.aws/amazonlinux/amazonlinux:2023",
}
"""The operating systems of releases whose own image is not public, by `Release.os`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What Docker's part in the needs of one target is."""

    selection: Selection
    """Without what is no longer missing."""
    wheels: tuple[StoredWheel, ...] = ()
    recipe: "Recipe | None" = None
    """None where Docker had no part."""
    refused: str = ""
    """Why it could not have one."""


def default_base_image(target: Target) -> str:
    """The release's own Spark image, or that of its operating system."""
    release = target.release
    if release.base_image:
        return f"{release.base_image}:latest"
    if release.os in SYSTEMS:
        return SYSTEMS[release.os]
    raise ConfigError(
        f"no base image is known for {release.label}",
        why="neither its image nor its operating system is published",
        fix="name one: --base-image",
    )


def recipe_for(target: Target, project: Project, settings: Settings, ports: Ports) -> "Recipe":
    """How Docker builds for the target. Raise as `EnvironmentBuilder.recipe` does."""
    dockerfile = None if settings.dockerfile is None else project.root / settings.dockerfile
    return ports.docker.recipe(
        target,
        base_image=settings.base_image or default_base_image(target),
        dockerfile=dockerfile,
        build_packages=settings.build_packages,
        fresh=settings.no_cache,
    )


def compile_missing(
    selection: Selection, target: Target, project: Project, settings: Settings, ports: Ports
) -> Compiled:
    """Let Docker compile what has no wheel for the target, if all of it has a source.

    With `builder = "docker"` that is every source, and what goes wrong is raised; with `auto`,
    that no engine can be used is no more than a reason to remain without.
    """
    in_docker = settings.builder == "docker"
    sources = [missing.source for missing in selection.missing]
    if settings.builder == "wheels" or (not in_docker and not sources) or None in sources:
        return Compiled(selection=selection)
    try:
        recipe = recipe_for(target, project, settings, ports)
    except PackagerError as error:
        if in_docker:
            raise
        return Compiled(selection=selection, refused=error.what)
    wanted = [source for source in sources if source is not None]
    if in_docker:
        wanted += own_sources(selection, project)
    wheels = ports.docker.compiled([ToCompile(source=source) for source in wanted], recipe)
    return Compiled(selection=replace(selection, missing=()), wheels=wheels, recipe=recipe)


def compile_app(project: Project, key: str | None, recipe: "Recipe", ports: Ports) -> StoredWheel:
    """The project's own wheel, where it is one for each target."""
    source = Source(name=project.name, version=None, location=str(project.root), sha256=None)
    (wheel,) = ports.docker.compiled([ToCompile(source=source, key=key)], recipe)
    return wheel


def own_sources(selection: Selection, project: Project) -> Sequence[Source]:
    """The sources to build, without the project itself, which is the app."""
    return [source for source in selection.sources if not _is_app(source, project)]


def _is_app(source: Source, project: Project) -> bool:
    # Locks name the project itself, too.
    return project.app == "wheel" and Path(os.path.normpath(source.location)) == project.root
