"""`packager conf` and `packager run`: archives as jobs."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from packager.cli.options import (
    Arch,
    Conf,
    EntryPoint,
    Quiet,
    Release,
    S3Uri,
    host_arch,
    settings_of,
    spark_properties,
)
from packager.console import Console
from packager.errors import ConfigError, ExitCode


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


def run(
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Record; else the one in dist.")
    ] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Arguments of the job.")
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Run on a Spark cluster that lives on this machine.")
    ] = False,
    release: Release = None,
    arch: Arch = None,
    conf: Conf = None,
    entry_point: EntryPoint = None,
    spark_home: Annotated[
        Path | None, typer.Option("--spark-home", metavar="DIR", help="Spark to run on.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=8, help="Local workers.")] = 2,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Spark's log.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run packed archives as a job."""
    from packager.adapters.spark import find_java, find_spark, run_local
    from packager.entrypoints import chosen as chosen_entry_point
    from packager.recorded import find_record, job_of, target_of
    from packager.sparkconf import require_entry_point

    if not local:
        raise ConfigError(
            "say where to run",
            why="jobs run on this machine so far",
            fix="packager run --local",
        )
    console = Console(quiet=quiet)
    project, settings = settings_of(None, {"release": release, "arch": arch}, required=False)
    folder = Path.cwd() if project is None else project.root / settings.out
    chosen = settings.arch[0] if arch else None
    if record is None and chosen is None:
        chosen = host_arch()
    found = find_record(record, folder, release=settings.release, arch=chosen)
    target = target_of(found.record, settings)
    job = job_of(
        found,
        target,
        s3_uri=None,
        conf=spark_properties(conf),
        arguments=arguments or (),
        entry_point=entry_point,
        local=True,
    )
    require_entry_point(job)
    script = chosen_entry_point(found.record, entry_point)
    assert script is not None  # noqa: S101  # it is required above
    status = run_local(
        {a.kind: found.path(a) for a in found.record.archives},
        found.path(script),
        job.arguments,
        conf=job.conf.entries,
        spark=find_spark(os.environ, spark_home, wanted=target.release.spark, say=console.say),
        java=find_java(os.environ),
        python=target.python,
        env=os.environ,
        say=console.say,
        out=console.data,
        workers=workers,
        verbose=verbose,
    )
    if status:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)
