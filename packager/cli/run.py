"""`packager run`: archives as a job, here or on EMR Serverless."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from packager.cli.options import (
    Arch,
    Conf,
    EntryPoint,
    Json,
    OneRecord,
    Presets,
    Profile,
    Quiet,
    Region,
    Release,
    S3Uri,
    host_arch,
    pairs,
    records_folder,
    require_one_arch,
    settings_of,
    spark_properties,
)
from packager.console import Console
from packager.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from packager.jobs.launch import Carried
    from packager.recorded import Found
    from packager.settings import Settings
    from packager.sparkconf import Job

Application = Annotated[
    str | None,
    typer.Option("--application", metavar="NAME|ID", help="Of EMR Serverless."),
]
Logs = Annotated[
    str | None,
    typer.Option(
        "--logs",
        metavar="WHICH",
        help="stdout (of the driver; default), stderr, executors, all, none; or several: a,b.",
    ),
]

WORKERS: Final = 2


def run(
    record: OneRecord = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Arguments of the job.")
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Run on a Spark cluster that lives on this machine.")
    ] = False,
    application: Application = None,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ARN", help="Role that the job runs as.")
    ] = None,
    release: Release = None,
    arch: Arch = None,
    region: Region = None,
    profile: Profile = None,
    s3_uri: S3Uri = None,
    conf: Conf = None,
    preset: Presets = None,
    entry_point: EntryPoint = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Of the run; else the project's.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="MODE", help="batch (default) or streaming.")
    ] = None,
    timeout_minutes: Annotated[
        int | None,
        typer.Option("--timeout-minutes", metavar="N", help="EMR cancels it then [720]."),
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option("--max-attempts", metavar="N", help="Of a batch job [1].")
    ] = None,
    max_failures_per_hour: Annotated[
        int | None,
        typer.Option("--max-failures-per-hour", metavar="N", help="Of a streaming job [5]."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    log_uri: Annotated[
        str | None, typer.Option("--log-uri", metavar="URI", help="Where S3 gets the logs.")
    ] = None,
    log_group: Annotated[
        str | None, typer.Option("--log-group", metavar="NAME", help="Where CloudWatch gets them.")
    ] = None,
    client_token: Annotated[
        str | None,
        typer.Option("--client-token", metavar="TEXT", help="The same one starts one run only."),
    ] = None,
    logs: Logs = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the run's ID and do not wait for its end.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look and print what would be asked; start nothing.")
    ] = False,
    preflight: Annotated[
        bool, typer.Option("--preflight/--no-preflight", help="Look at the application before.")
    ] = True,
    spark_home: Annotated[
        Path | None, typer.Option("--spark-home", metavar="DIR", help="Local: Spark to run on.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, max=8, metavar="N", help=f"Local: how many workers [{WORKERS}]."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Local: show Spark's log.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run what was packed as a job: on EMR Serverless, or --local.

    Waits for its end and shows its output. Ctrl-C cancels it; a second one leaves it.
    """
    console = Console(quiet=quiet)
    chosen = {"release": release, "arch": arch}
    elsewhere = {
        "--application": application,
        "--role": role,
        "--region": region,
        "--profile": profile,
        "--s3-uri": s3_uri,
        "--name": name,
        "--mode": mode,
        "--timeout-minutes": timeout_minutes,
        "--max-attempts": max_attempts,
        "--max-failures-per-hour": max_failures_per_hour,
        "--tag": tag,
        "--log-uri": log_uri,
        "--log-group": log_group,
        "--client-token": client_token,
        "--logs": logs,
        "--detach": detach or None,
        "--dry-run": dry_run or None,
        "--no-preflight": None if preflight else False,
        "--json": json or None,
    }
    here = {
        "--spark-home": spark_home,
        "--workers": workers,
        "--verbose": verbose or None,
    }
    _refuse(elsewhere if local else here, local=local)
    require_one_arch(arch)
    if local:
        _run_local(
            console,
            _found(record, chosen, entry_point, conf, arguments, preset, local=True),
            entry_point,
            spark_home=spark_home,
            workers=WORKERS if workers is None else workers,
            verbose=verbose,
        )
        return
    flags = {
        "application": application,
        "role": role,
        "name": name,
        "mode": mode,
        "timeout_minutes": timeout_minutes,
        "max_attempts": max_attempts,
        "max_failures_per_hour": max_failures_per_hour,
        "tags": dict(pairs("--tag", "KEY=VALUE", tag)) or None,
        "log_uri": log_uri,
        "log_group": log_group,
        "client_token": client_token,
    }
    chosen |= {"s3_uri": s3_uri, "region": region, "profile": profile}
    _run_on_aws(
        console,
        _found(record, chosen, entry_point, conf, arguments, preset),
        flags,
        which=logs,
        detach=detach,
        dry_run=dry_run,
        look=preflight,
        json=json,
    )


def _refuse(options: Mapping[str, object], *, local: bool) -> None:
    """Raise `ConfigError` for options that mean nothing where the job is to run."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(
            f"{', '.join(given)} {'means' if len(given) == 1 else 'mean'} nothing"
            f" {'with' if local else 'without'} --local",
            why="the job runs on this machine then"
            if local
            else "the job runs on EMR Serverless then",
            fix="leave that out" if local else "add --local, or leave that out",
        )


def _found(
    path: Path | None,
    flags: Mapping[str, Any],
    entry_point: str | None,
    conf: list[str] | None,
    arguments: list[str] | None,
    presets: list[str] | None,
    *,
    local: bool = False,
) -> "tuple[Found, Carried, Settings]":
    from packager.jobs.launch import Carried
    from packager.jobs.wanted import recorded_images
    from packager.recorded import find_record, job_of, target_of
    from packager.sparkconf import require_entry_point

    project, settings = settings_of(None, flags, required=False)
    folder = records_folder(project, settings)
    arch = settings.arch[0] if flags["arch"] else host_arch() if local and path is None else None
    found = find_record(path, folder, release=settings.release, arch=arch)

    def job(*, in_image: bool) -> "Job":
        return job_of(
            found,
            target_of(found.record, settings),
            s3_uri=None if local else settings.s3_uri,
            conf=spark_properties(conf),
            arguments=arguments or (),
            entry_point=entry_point,
            presets=presets or (),
            local=local,
            in_image=in_image,
        )

    images = None if local else recorded_images(found.record)
    carried = Carried(
        archives=job(in_image=False),
        in_image=None if images is None else job(in_image=True),
        images=images,
    )
    require_entry_point(carried.archives)
    return found, carried, settings


def _run_on_aws(
    console: Console,
    packed: "tuple[Found, Carried, Settings]",
    flags: Mapping[str, Any],
    *,
    which: str | None,
    detach: bool,
    dry_run: bool,
    look: bool,
    json: bool,
) -> None:
    import uuid

    from packager.adapters.aws.emr import EmrServerless
    from packager.adapters.aws.jobfacts import job_facts
    from packager.adapters.aws.session import open_session
    from packager.cli.watching import finish, wanted_logs, watch
    from packager.jobs.follow import start
    from packager.jobs.launch import prepare, require_clear, require_published, warning
    from packager.jobs.preflight import preflight
    from packager.jobs.request import run_options
    from packager.jobs.workers import require_properties
    from packager.recorded import target_of

    found, carried, settings = packed
    wanted = wanted_logs(which)
    options = run_options(settings.run, flags)
    if options.application is None and (name := settings.application.get("name")):
        options = replace(options, application=str(name))
    if options.client_token is None:
        options = replace(options, client_token=uuid.uuid4().hex)
    if carried.in_image is None:
        require_published(carried.archives)
    release = target_of(found.record, settings).release
    require_properties(dict(carried.archives.conf.entries), release, carried.archives.limits)
    session = open_session(settings, os.environ)
    emr = EmrServerless(session)
    launch = prepare(emr, carried, options)
    emr.check("StartJobRun", launch.request)
    for note in launch.job.notes:
        console.say(f"note: {note}")
    if look:
        facts = job_facts(
            session,
            role=launch.request["executionRoleArn"],
            files=launch.files(),
            logs=launch.log_uri,
        )
        report = preflight(launch.flight(facts))
        for finding in report.warnings:
            console.warn(warning(finding))
        require_clear(report)
    if dry_run:
        console.document({"operation": "StartJobRun", "request": launch.request})
        return
    run_id = start(emr, launch.request)
    console.say(f"run {run_id} of application {launch.application_id}")
    if detach:
        if json:
            console.document({"applicationId": launch.application_id, "jobRunId": run_id})
        else:
            console.data(run_id)
        return
    ended = watch(
        session,
        emr,
        launch.application,
        run_id,
        console=console,
        wanted=wanted,
        cancels=True,
        data=not json,
    )
    finish(session, emr, launch.application, ended, found.record, console=console, json=json)


def _run_local(
    console: Console,
    packed: "tuple[Found, Carried, Settings]",
    entry_point: str | None,
    *,
    spark_home: Path | None,
    workers: int,
    verbose: bool,
) -> None:
    from packager.adapters.spark import find_java, find_spark, run_local
    from packager.entrypoints import chosen
    from packager.recorded import target_of

    found, carried, settings = packed
    target = target_of(found.record, settings)
    script = chosen(found.record, entry_point)
    assert script is not None  # noqa: S101  # it is required above
    status = run_local(
        {a.kind: found.path(a) for a in found.record.archives},
        found.path(script),
        carried.archives.arguments,
        conf=carried.archives.conf.entries,
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


command = typer.Typer(add_completion=False, rich_markup_mode=None)
command.command("run", context_settings={"ignore_unknown_options": True})(run)
