"""What several commands share: options, how words become settings, how reports are shown."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.console import Console
from packager.errors import ConfigError, ExitCode

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.findings import Report
    from packager.project import Project
    from packager.settings import Settings

ProjectPath = Annotated[
    Path | None,
    typer.Argument(metavar="[PATH]", help="Project folder or .py file; else found from here."),
]
Release = Annotated[
    str | None,
    typer.Option("--release", "-r", metavar="LABEL", help="As in emr-7.13.0."),
]
Arch = Annotated[
    list[str] | None,
    typer.Option("--arch", "-a", metavar="ARCH", help="amd64 (default), arm64, or all."),
]
Python = Annotated[
    str | None,
    typer.Option("--python", metavar="X.Y", help="Python, if not the release's own."),
]
BaseImage = Annotated[
    str | None,
    typer.Option("--base-image", metavar="IMAGE", help="Image, if not the release's own."),
]
CleanRoom = Annotated[
    str | None,
    typer.Option(
        "--clean-room",
        metavar="MODE",
        help="Try archives out in the base image: auto (default; if it is here), require, off.",
    ),
]
Out = Annotated[
    str | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the archives [dist].")
]
S3Uri = Annotated[
    str | None,
    typer.Option("--s3-uri", metavar="URI", help="Where the artifacts are, e.g. s3://bucket/jobs."),
]
Conf = Annotated[
    list[str] | None,
    typer.Option("--conf", "-c", metavar="KEY=VALUE", help="A Spark property; may be repeated."),
]
Waive = Annotated[
    list[str] | None,
    typer.Option("--waive", metavar="CODE=REASON", help="Errors of a check to take as they are."),
]
Presets = Annotated[
    list[str] | None,
    typer.Option("--preset", metavar="NAME", help="Ready-made properties; may be repeated."),
]
EntryPoint = Annotated[
    str | None,
    typer.Option("--entry-point", metavar="NAME", help="Which of several entry points."),
]
RecordsAt = Annotated[
    Path | None,
    typer.Option("--record", metavar="FILE", help="Record, or a folder of them; else dist."),
]
OneRecord = Annotated[
    Path | None, typer.Option("--record", metavar="FILE", help="Record; else the one in dist.")
]
ProjectOrRecord = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PATH]",
        help="Project, which is packed first; or a record of `packager pack`.",
    ),
]
Image = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE",
        help="Tar of docker save, OCI layout, or an image of an engine or registry.",
    ),
]
MadeFrom = Annotated[
    str | None,
    typer.Option(
        "--base-image",
        metavar="IMAGE",
        help="What it was made from; else the release's own, if the engine has that.",
    ),
]
BucketOwner = Annotated[
    str | None,
    typer.Option("--bucket-owner", metavar="ACCOUNT", help="Account the bucket must be of."),
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="REGION", help="AWS Region, if the profile's is another."),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Profile of the AWS command line."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and data only.")]
Format = Annotated[
    str | None,
    typer.Option("--format", "-f", metavar="FORMAT", help="text [default], json, junit, sarif"),
]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write the report to a file.")
]


def settings_of(
    path: Path | None, flags: Mapping[str, Any], *, required: bool = True
) -> "tuple[Project | None, Settings]":
    from packager.project import find_project
    from packager.settings import resolve

    cwd = Path.cwd()
    try:
        project = find_project(path, cwd)
    except ConfigError:
        if required or (cwd / "pyproject.toml").is_file():
            raise
        return None, resolve(flags, os.environ, {}, None)
    settings = resolve(flags, os.environ, project.settings, project.root / "pyproject.toml")
    return project, settings


def records_folder(project: "Project | None", settings: "Settings") -> Path:
    """Where `packager pack` leaves records; here, where there is no project."""
    return Path.cwd() if project is None else project.root / settings.out


def require_one_arch(chosen: list[str] | None) -> None:
    """Raise `ConfigError` where several are chosen and one is to be used."""
    if chosen and len(set(chosen)) > 1:
        raise ConfigError(
            f"{' '.join(f'--arch {name}' for name in chosen)}: one job runs on one of them",
            fix="keep one",
        )


def pairs(option: str, form: str, values: list[str] | None) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for value in values or ():
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option} {value!r} is not {form}", fix="write it so")
        if pairs.get(key, text) != text:
            raise ConfigError(
                f"{option} {key} is given twice: {pairs[key]!r} and {text!r}",
                fix="keep one of them",
            )
        pairs[key] = text
    return pairs


def spark_properties(values: list[str] | None) -> Mapping[str, str]:
    """Of `--conf`."""
    return pairs("--conf", "KEY=VALUE", values)


def form_of(format_: str | None, *, json: bool) -> str:
    """The form of a report. Raise `ConfigError` for one that is not there."""
    from packager.reports import formatter

    if json and format_ not in {None, "json"}:
        raise ConfigError(f"--json and --format {format_} exclude each other", fix="keep one")
    form = format_ or ("json" if json else "text")
    formatter(form)
    return form


def show_reports(
    reports: "list[tuple[str, Report]]", form: str, output: Path | None, console: Console
) -> None:
    """Print or write what was judged, and exit with 1 if any of it failed."""
    from packager.checks.rules import RULES
    from packager.output import write_text
    from packager.reports import formatter

    write = formatter(form)
    failed = [(subject, report) for subject, report in reports if not report.passed]
    if output is not None:
        write_text(output, write(reports, RULES), option="--output")
        (console.warn if failed else console.say)(formatter("text")(reports, RULES))
    elif form != "text" or not console.quiet:
        console.data(write(reports, RULES))
    elif failed:
        console.data(write(failed, RULES))
    if failed:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)


def host_arch() -> str | None:
    """Our name of this machine's architecture; None where we have none."""
    import platform

    from packager.target import ARCHES

    machine = platform.machine().lower()
    return next((a.name for a in ARCHES.values() if machine in {a.machine, a.name}), None)
