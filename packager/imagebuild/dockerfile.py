"""Dockerfiles of what has to run in a base, and of a whole image for who wants to own it. Pure."""

import json
from collections.abc import Sequence
from typing import Final

from packager.imagebuild.assembly import PYTHON, PYTHON_VARIABLES, ROOT, USER
from packager.imagebuild.installing import install_step
from packager.imagebuild.options import JARS, ImageOptions
from packager.record import Record

CONTEXT: Final = "environment"
"""The build context that has the project's files, at their places in the image."""
BASE: Final = "BASE_IMAGE"
"""The build argument that names the base."""
KINDS: Final = ("python", "environment", "app")
"""What changes most comes last."""


def stage_text(options: ImageOptions) -> str:
    """What has to run in the base before packager's layers come on top of it."""
    return "\n".join((f"ARG {BASE}", f"FROM ${{{BASE}}}", *_steps(options), f"USER {USER}", ""))


def ejected_text(record: Record, options: ImageOptions, base: str) -> str:
    """The whole image as a Dockerfile, to be built by `packager image build -f`."""
    places = [f"/{file.path}" for file in options.files]
    places += [f"{JARS}/{jar.filename}" for jar in options.maven]
    places += [
        f"{ROOT}/{kind}"
        for kind in KINDS
        if any(archive.kind == kind for archive in record.archives)
    ]
    variables = {**options.env, **dict.fromkeys(PYTHON_VARIABLES, PYTHON)}
    return "\n".join(
        (
            "# Build it with: packager image build --file Dockerfile",
            f"# The context `{CONTEXT}` has the project's files, at their places in the image.",
            f"ARG {BASE}={base}",
            f"FROM ${{{BASE}}}",
            *_steps(options),
            *(_copy(place) for place in places),
            *(f"ENV {name}={_quoted(value)}" for name, value in variables.items()),
            *(f"LABEL {_quoted(name)}={_quoted(text)}" for name, text in options.labels.items()),
            f"USER {USER}",
            "",
        )
    )


def _steps(options: ImageOptions) -> Sequence[str]:
    return (
        "USER root",
        *((install_step(options.packages),) if options.packages else ()),
        *(f"RUN {command.strip()}" for command in options.commands),
    )


def _copy(place: str) -> str:
    if any(sign in place for sign in " \t\"'"):
        return f"COPY --from={CONTEXT} {json.dumps([place, place], ensure_ascii=False)}"
    return f"COPY --from={CONTEXT} {place} {place}"


def _quoted(text: str) -> str:
    """For ENV and LABEL, where the shell's `$` and quotes count; a line break has no form there."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
