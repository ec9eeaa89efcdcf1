"""A project packed now, by the command `pack` and by those that go on from there."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from packager.console import Console
from packager.errors import ExitCode

if TYPE_CHECKING:
    from packager.making import Packed
    from packager.ports import Witnessing
    from packager.project import Project
    from packager.recorded import Found
    from packager.settings import Settings


def packed_now(
    project: "Project",
    settings: "Settings",
    console: Console,
    *,
    witness: "Witnessing | None" = None,
) -> "tuple[Packed, ...]":
    """`witness` is as in `Ports`."""
    from packager.adapters import connect, store_root
    from packager.adapters.limit import in_use
    from packager.pipeline import pack

    if settings.offline:
        os.environ["UV_OFFLINE"] = "1"  # uv is started by build backends too
    ports = connect(
        root=project.root, cache_dir=settings.cache_dir, env=os.environ, say=console.say
    )
    root = store_root(settings.cache_dir)
    with in_use(root, limit=settings.cache_limit, say=console.say):
        return pack(project, settings, replace(ports, witness=witness), console.say)


def passed_now(
    project: "Project",
    settings: "Settings",
    console: Console,
    *,
    witness: "Witnessing | None" = None,
) -> "tuple[Found, ...]":
    """What `packed_now` makes, if it passes; else the reports are shown, and it ends."""
    from packager.recorded import Found
    from packager.reports import report_text

    packed = packed_now(project, settings, console, witness=witness)
    failed = [item for item in packed if not item.report.passed]
    for item in failed:
        subject = f"{item.record.release} {item.record.arch}, Python {item.record.python}"
        console.warn(report_text(item.report, subject=subject))
    if failed:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)
    return tuple(Found(record=item.record, folder=item.path.parent) for item in packed)
