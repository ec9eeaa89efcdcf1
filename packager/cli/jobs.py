"""`packager conf`: what was packed, as the configuration of a job."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from packager.cli.access import Glue, GlueWrite, KmsKey, Read, Write, data_of
from packager.cli.access import own_role as statements_of
from packager.cli.options import (
    Arch,
    Conf,
    EntryPoint,
    Presets,
    Release,
    S3Uri,
    records_folder,
    require_one_arch,
    settings_of,
    spark_properties,
)
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.jobs.request import RunOptions
    from packager.recorded import Found
    from packager.settings import Settings
    from packager.sparkconf import Job

CARRIERS: Final = ("archives", "image")
FORMS: Final = (
    *("spark-submit", "json", "yaml", "conf-args", "spark-defaults", "spark-defaults-json", "env"),
    *("github-output", "start-job-run", "shell", "airflow", "step-functions", "scheduler"),
    *("terraform", "cloudformation", "cdk", "emr-eks", "emr-ec2"),
)
"""The emitters' names; they themselves are loaded when they are used."""


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
            help=f"One of {', '.join(FORMS)}.",
        ),
    ] = "spark-submit",
    release: Release = None,
    arch: Arch = None,
    s3_uri: S3Uri = None,
    carrier: Annotated[
        str,
        typer.Option(
            "--carrier",
            metavar="WHICH",
            help="How the environment gets to the workers: archives (default), or the image.",
        ),
    ] = "archives",
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="URI", help="In ECR; else the one that was pushed."),
    ] = None,
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
    own_role: Annotated[
        bool,
        typer.Option("--own-role", help="Make a role for the job, of least privilege."),
    ] = False,
    read: Read = None,
    write: Write = None,
    glue: Glue = None,
    glue_write: GlueWrite = None,
    kms_key: KmsKey = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="TEXT",
            help="When to run, e.g. 'cron(0 6 * * ? *)', 'rate(1 day)'.",
        ),
    ] = None,
) -> None:
    """Print a job's configuration, on packed archives or on an image.

    With --own-role, terraform, cloudformation and cdk make the role that the job runs as. It may
    read what was packed, and reach the data that is named.
    """
    from packager.emitters.forms import ELSEWHERE, JOBS, SCHEDULED, STACKS, emitter
    from packager.emitters.parameters import moved_note
    from packager.jobs.launch import local_note
    from packager.jobs.request import monitoring_of, replaced_properties, run_options
    from packager.jobs.workers import require_properties
    from packager.recorded import find_record, job_of, target_of

    emit = emitter(format_)
    require_one_arch(arch)
    in_image = _in_image(carrier, image)
    data = data_of(read, write, glue, glue_write, kms_key)
    _require_room(format_, data, own_role=own_role, role=role)
    if schedule is not None and format_ not in SCHEDULED:
        raise ConfigError(
            f"--format {format_} holds no schedule", fix=f"use one of {', '.join(SCHEDULED)}"
        )
    project, settings = settings_of(
        None, {"release": release, "arch": arch, "s3_uri": s3_uri}, required=False
    )
    console = Console()
    if list_presets:
        console.data(_presets(settings))
        return
    folder = records_folder(project, settings)
    found = find_record(
        path, folder, release=settings.release, arch=settings.arch[0] if arch else None
    )
    target = target_of(found.record, settings)
    job = job_of(
        found,
        target,
        s3_uri=settings.s3_uri,
        conf=spark_properties(conf),
        arguments=argument or (),
        entry_point=entry_point,
        presets=preset or (),
        in_image=in_image,
    )
    options = run_options(settings.run, {"application": application, "role": role})
    fields = _application_fields(job, settings) if format_ in STACKS else {}
    monitoring = {**fields.get("monitoringConfiguration", {}), **monitoring_of(options)}
    starts = format_ in JOBS and format_ not in ELSEWHERE
    job = replace(
        job,
        run_fields=_run_fields(job, options) if starts else {},
        application=_application_id(options.application, given=application is not None),
        role=options.role,
        schedule=schedule,
        images=_images(found, settings, image) if in_image else None,
        application_fields=fields,
        replaced=replaced_properties(fields, job.release) if fields else None,
        statements=statements_of(found.record, settings, data, monitoring, in_image=in_image)
        if own_role
        else (),
    )
    if format_ not in ELSEWHERE:
        require_properties(dict(job.conf.entries), target.release, job.limits)
    notes = (moved_note(job), local_note(job)) if format_ in JOBS else ()
    for note in (*job.notes, *notes):
        if note:
            console.say(f"note: {note}")
    console.data(emit(job))


def _in_image(carrier: str, image: str | None) -> bool:
    if carrier not in CARRIERS:
        raise ConfigError(
            f"--carrier {carrier!r} is not known", fix=f"use one of {', '.join(CARRIERS)}"
        )
    if image is not None and carrier != "image":
        raise ConfigError(
            "--image names what archives do not need",
            why="without --carrier image the environment comes in archives",
            fix="add --carrier image, or leave --image out",
        )
    return carrier == "image"


def _require_room(form: str, data: Mapping[str, Any], *, own_role: bool, role: str | None) -> None:
    """Raise `ConfigError` for a role where there is none to be made, or for another one."""
    from packager.emitters.forms import STACKS

    if own_role and form not in STACKS:
        raise ConfigError(
            f"--format {form} makes no role",
            why="--own-role asks for one",
            fix=f"use one of {', '.join(STACKS)}; or make one: packager policy runtime-role",
        )
    if own_role and role is not None:
        raise ConfigError("--role and --own-role exclude each other", fix="keep one of them")
    if any(data.values()) and not own_role:
        raise ConfigError(
            "the job's data is named, and nothing grants it",
            why="--read, --write, --glue, --glue-write and --kms-key are for --own-role",
            fix="add --own-role, or leave them out",
        )


def _images(found: "Found", settings: "Settings", given: str | None) -> "str | Mapping[str, str]":
    from packager.jobs.wanted import images_named

    images = images_named(settings.application, found.record, given)
    if not images:
        raise ConfigError(
            f"{found.record.name} knows of no image that was pushed",
            why="with --carrier image, the application's image has the environment",
            fix="push one: packager image build --push REPOSITORY; or name it: --image URI",
        )
    return images


def _application_fields(job: "Job", settings: "Settings") -> "Mapping[str, Any]":
    """What [tool.packager.application] names, but for images: they come with the job."""
    from packager.adapters.aws.emr import EmrServerless
    from packager.emitters.text import slug
    from packager.jobs.wanted import wanted_application

    table = {key: value for key, value in settings.application.items() if key != "image"}
    fields = wanted_application(
        table,
        name=slug(job.name),
        release=job.release,
        architecture=job.architecture,
        images=None,
        sizes=job.limits.worker_sizes,
    )
    if fields["type"] != "SPARK":
        raise ConfigError(
            "the application is to be of the type hive, and runs no Spark jobs",
            why="[tool.packager.application] says so",
            fix="use `--format start-job-run`, with the application that jobs run on",
        )
    EmrServerless.check("CreateApplication", fields)
    return fields


def _run_fields(job: "Job", options: "RunOptions") -> "Mapping[str, Any]":
    """What [tool.packager.run] says of every run. Raise `ConfigError` for what EMR would refuse."""
    from packager.adapters.aws.emr import EmrServerless
    from packager.jobs.request import run_fields

    fields = run_fields(options, job.release)
    if fields:
        somewhere = {"applicationId": "0", "clientToken": "0"}
        role = {"executionRoleArn": "arn:aws:iam::123456789012:role/job"}
        EmrServerless.check("StartJobRun", {**fields, **somewhere, **role})
    return fields


def _presets(settings: "Settings") -> str:
    from packager.presets import presets_table
    from packager.releases import find_release
    from packager.target import parse_arch

    release = (
        None if settings.release is None else find_release(settings.release, settings.releases)
    )
    arch = parse_arch(settings.arch[0] if settings.arch[0] != "all" else "amd64")
    return presets_table(release, arch.emr)


def _application_id(text: str | None, *, given: bool) -> str | None:
    """What may be an ID. A name, which [tool.packager.run] may have, only the API can look up.

    Raise `ConfigError` for another text that was `given` for an ID.
    """
    if text is None or re.fullmatch(r"[0-9a-z]{1,64}", text):  # BOTO ApplicationId
        return text if given or (text or "").startswith("00") else None
    if given:
        raise ConfigError(
            f"--application {text!r} is not the ID of an application",
            why="IDs have digits and small letters, and a name is not looked up here",
            fix="write it as in --application 00f1abcdefgh2345",
        )
    return None
