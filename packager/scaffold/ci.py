"""Pipelines of CI services, as `packager init --ci` adds them. Pure.

Adding a service is one row here and a template; tests lint it and run its commands.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager import __version__
from packager.errors import ConfigError

TEMPLATES: Final = Path(__file__).parent / "templates" / "ci"
MARK: Final = "# Made by `packager init"
"""How each begins: so one is known again, whatever its owner made of the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A file that a CI service reads."""

    template: str
    path: str
    elsewhere: str = ""
    """Where to, if there is a file of somebody else's at `path`; empty where there is none."""
    how: str = ""
    """What its owner has to do then."""


SERVICES: Final[Mapping[str, tuple[Pipeline, ...]]] = {
    "github": (
        Pipeline(template="github.yml", path=".github/workflows/packager.yml"),
        Pipeline(template="action.yml", path=".github/actions/packager/action.yml"),
    ),
    "gitlab": (
        Pipeline(
            template="gitlab.yml",
            path=".gitlab-ci.yml",
            elsewhere=".gitlab/packager.yml",
            how="add `include: [{local: .gitlab/packager.yml}]` and its stages to .gitlab-ci.yml",
        ),
    ),
    "codebuild": (
        Pipeline(
            template="codebuild.yml",
            path="buildspec.yml",
            elsewhere="buildspec-packager.yml",
            how="name buildspec-packager.yml in the CodeBuild project",
        ),
    ),
}


def pipelines(
    service: str, read: Callable[[str], str | None], *, lock: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """Paths and texts of a service's files, and what is left to do by hand.

    `lock` is the file that says which wheels a cache holds. Raise `ConfigError` for a service that
    packager has no pipeline for.
    """
    if service not in SERVICES:
        near = difflib.get_close_matches(service, SERVICES, n=1)
        raise ConfigError(
            f"--ci {service!r} is not a service that packager has a pipeline for",
            why=f"known: {', '.join(SERVICES)}",
            fix=f"did you mean {near[0]!r}?" if near else "use one of these",
        )
    files, by_hand = [], []
    for pipeline in SERVICES[service]:
        path = pipeline.path
        there = read(path)
        if there is not None and not there.startswith(MARK) and pipeline.elsewhere:
            path = pipeline.elsewhere
            by_hand.append(pipeline.how)
        files.append((path, pipeline_text(pipeline.template, lock=lock)))
    return files, by_hand


def pipeline_text(template: str, *, lock: str) -> str:
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return text.replace("@VERSION@", __version__).replace("@LOCK@", lock)
