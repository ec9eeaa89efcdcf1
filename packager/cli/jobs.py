"""`packager conf` and `packager run`: archives as jobs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import (
    Arch,
    Conf,
    EntryPoint,
    Presets,
    Release,
    S3Uri,
    settings_of,
    spark_properties,
)
from packager.console import Console

if TYPE_CHECKING:
    from packager.settings import Settings


def conf(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[RECORD]", help="Record; the one in dist if not given."),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="spark-submit, start-job-run, airflow, terraform …; README.md has them all.",
        ),
    ] = "spark-submit",
    release: Release = None,
    arch: Arch = None,
    s3_uri: S3Uri = None,
    conf: Conf = None,
    preset: Presets = None,
    list_presets: Annotated[
        bool, typer.Option("--list-presets", help="Print the presets and what a release has.")
    ] = False,
    entry_point: EntryPoint = None,
    argument: Annotated[
        list[str] | None,
        typer.Option("--argument", metavar="TEXT", help="Argument of the job; may be repeated."),
    ] = None,
    application: Annotated[
        str | None, typer.Option("--application", metavar="ID", help="ID of the application.")
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ARN", help="Role that the job runs as.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="TEXT",
            help="When to run, e.g. 'cron(0 6 * * ? *)', 'rate(1 day)'.",
        ),
    ] = None,
) -> None:
    """Print the Spark configuration of packed archives."""
    from packager.emitters import JOBS, emitter
    from packager.emitters.parameters import moved_note
    from packager.recorded import find_record, job_of, target_of

    emit = emitter(format_)
    project, settings = settings_of(
        None, {"release": release, "arch": arch, "s3_uri": s3_uri}, required=False
    )
    console = Console()
    if list_presets:
        console.data(_presets(settings))
        return
    folder = Path.cwd() if project is None else project.root / settings.out
    found = find_record(
        path, folder, release=settings.release, arch=settings.arch[0] if arch else None
    )
    job = job_of(
        found,
        target_of(found.record, settings),
        s3_uri=settings.s3_uri,
        conf=spark_properties(conf),
        arguments=argument or (),
        entry_point=entry_point,
        presets=preset or (),
    )
    job = replace(
        job,
        application=application or _application_id(settings.run.get("application")),
        role=role or settings.run.get("role"),
        schedule=schedule,
    )
    for note in (*job.notes, moved_note(job) if format_ in JOBS else ""):
        if note:
            console.say(f"note: {note}")
    console.data(emit(job))


def _presets(settings: "Settings") -> str:
    from packager.presets import presets_table
    from packager.releases import find_release
    from packager.target import parse_arch

    release = (
        None if settings.release is None else find_release(settings.release, settings.releases)
    )
    arch = parse_arch(settings.arch[0] if settings.arch[0] != "all" else "amd64")
    return presets_table(release, arch.emr)


def _application_id(text: object) -> str | None:
    """An application may be named by its name, too, which only the API can look up."""
    return text if isinstance(text, str) and re.fullmatch(r"00[0-9a-z]{8,62}", text) else None
