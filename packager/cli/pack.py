"""`packager pack`: from a project to archives."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import (
    Arch,
    BaseImage,
    CleanRoom,
    Conf,
    Json,
    Out,
    ProjectPath,
    Python,
    Quiet,
    Release,
    S3Uri,
    Waive,
    pairs,
    settings_of,
    spark_properties,
)
from packager.console import Console
from packager.errors import ExitCode

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.making import Packed
    from packager.project import Project
    from packager.settings import Settings


def pack(
    path: ProjectPath = None,
    release: Release = None,
    arch: Arch = None,
    python: Python = None,
    layout: Annotated[
        str | None,
        typer.Option("--layout", help="layers (default): dependencies and app apart; or single."),
    ] = None,
    entry_point: Annotated[
        list[str] | None,
        typer.Option(
            "--entry-point",
            "-e",
            metavar="FILE",
            help="Script that starts a job, or module:function; may be repeated.",
        ),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--extra", metavar="NAME", help="Extra to install.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME", help="Dependency group to install."),
    ] = None,
    locked: Annotated[
        bool | None, typer.Option("--locked", help="Refuse dependencies that no lock pins.")
    ] = None,
    venv: Annotated[
        str | None,
        typer.Option("--venv", metavar="DIR", help="Pack a virtual environment as it is."),
    ] = None,
    builder: Annotated[
        str | None,
        typer.Option("--builder", help="wheels, docker, or auto (default): docker where needed."),
    ] = None,
    build_package: Annotated[
        list[str] | None,
        typer.Option("--build-package", metavar="NAME", help="System package to compile with."),
    ] = None,
    dockerfile: Annotated[
        str | None, typer.Option("--dockerfile", metavar="FILE", help="Dockerfile of your own.")
    ] = None,
    no_cache: Annotated[
        bool | None, typer.Option("--no-cache", help="Take nothing from earlier Docker builds.")
    ] = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Open no connection: use the store alone.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Files a folder's app leaves out."),
    ] = None,
    slim: Annotated[
        list[str] | None,
        typer.Option("--slim", metavar="NAMES", help="Leave out tests, headers, stubs, symbols."),
    ] = None,
    byte_code: Annotated[
        bool | None, typer.Option("--byte-code", help="Pack byte code, for sooner imports.")
    ] = None,
    base_image: BaseImage = None,
    clean_room: CleanRoom = None,
    out: Out = None,
    s3_uri: S3Uri = None,
    conf: Conf = None,
    waive: Waive = None,
    cache_dir: Annotated[
        str | None, typer.Option("--cache-dir", metavar="DIR", help="Folder of the wheel store.")
    ] = None,
    cache_size: Annotated[
        str | None,
        typer.Option("--cache-size", metavar="SIZE", help="What it may take [10GB]; or none."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what was found and why; build nothing.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build and check the archives of a project.

    Prints sparkSubmitParameters on standard output, a line for each architecture.
    """
    from packager.cli.packing import packed_now

    console = Console(quiet=quiet, json=json)
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "layout": layout,
        "entry_point": entry_point,
        "extras": extra,
        "groups": group,
        "locked": locked,
        "offline": offline,
        "venv": venv and str(Path.cwd() / venv),
        "builder": builder,
        "build_packages": build_package,
        "dockerfile": dockerfile,
        "no_cache": no_cache,
        "exclude": exclude,
        "slim": slim and ",".join(slim),
        "byte_code": byte_code,
        "base_image": base_image,
        "clean_room": clean_room,
        "out": out,
        "s3_uri": s3_uri,
        "conf": spark_properties(conf),
        "waivers": pairs("--waive", "CODE=REASON", waive),
        "cache_dir": cache_dir,
        "cache_size": cache_size,
    }
    project, settings = project_or_environment(path, flags)
    if explain:
        from packager.explain import explanation

        console.data(explanation(project, settings))
        return
    packed = packed_now(project, settings, console)
    _show_packed(packed, settings, console)
    if not all(p.report.passed for p in packed):
        raise typer.Exit(ExitCode.VALIDATION_FAILED)


def project_or_environment(
    path: Path | None, flags: Mapping[str, Any]
) -> "tuple[Project, Settings]":
    """A project, or an environment alone where nothing here says that it is one of a project."""
    project, settings = settings_of(path, flags, required=path is not None)
    if settings.venv is not None and path is None and not (project and project.described):
        from packager.project import environment_alone
        from packager.venvs import name_of

        return environment_alone(name_of(Path(settings.venv)), Path.cwd()), settings
    if project is None:
        project, settings = settings_of(path, flags)
    assert project is not None  # noqa: S101  # it is required here
    return project, settings


def _show_packed(packed: "tuple[Packed, ...]", settings: "Settings", console: Console) -> None:
    from packager.emitters.parameters import spark_submit
    from packager.recorded import Found, job_of, target_of
    from packager.reports import report_text

    documents = []
    for item in packed:
        record, folder = item.record, item.path.parent
        found = Found(record=record, folder=folder)
        job = job_of(
            found, target_of(record, settings), s3_uri=settings.s3_uri, conf={}, arguments=()
        )
        subject = f"{record.release} {record.arch}, Python {record.python}"
        for artifact in record.artifacts:
            console.say(f"{artifact.size / 1e6:9.2f} MB  {folder / artifact.file}")
        report = report_text(item.report, subject=subject)
        (console.say if item.report.passed else console.warn)(report)
        if console.json:
            documents.append(
                {
                    "record": str(item.path),
                    "release": record.release,
                    "arch": record.arch,
                    "passed": item.report.passed,
                    "conf": dict(job.conf.entries),
                }
            )
        elif item.report.passed:
            console.say(f"sparkSubmitParameters for {subject}:")
            console.data(spark_submit(job))
    if console.json:
        console.document(documents)
