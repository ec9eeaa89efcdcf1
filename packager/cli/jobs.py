"""`packager conf` and `packager run`: archives as jobs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from packager.cli.options import (
    Arch,
    Conf,
    EntryPoint,
    Release,
    S3Uri,
    settings_of,
    spark_properties,
)
from packager.console import Console


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
    )
    job = replace(job, application=application, role=role, schedule=schedule)
    console = Console()
    if format_ in JOBS and (note := moved_note(job)):
        console.say(note)
    console.data(emit(job))
