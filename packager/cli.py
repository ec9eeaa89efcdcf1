"""Command line. Commands translate words to settings, call the pipeline, print; nothing more."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager import __version__
from packager.console import Console
from packager.errors import ConfigError, ExitCode

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.pipeline import Packed
    from packager.project import Project
    from packager.settings import Settings

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cache = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(cache, name="cache")

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
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and data only.")]


def _version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it so
    if wanted:
        typer.echo(f"packager {__version__}")
        raise typer.Exit


@app.callback()
def packager(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Package PySpark projects for Amazon EMR Serverless.

    Start with `packager pack` in a project's folder.
    """
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.CONFIG)
    if debug:
        os.environ["PACKAGER_DEBUG"] = "1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # CI cancels with it; clean up too


@app.command()
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
        str | None,
        typer.Option("--entry-point", "-e", metavar="FILE", help="Script that starts the job."),
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
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Files a folder's app leaves out."),
    ] = None,
    out: Out = None,
    s3_uri: S3Uri = None,
    conf: Conf = None,
    waive: Waive = None,
    cache_dir: Annotated[
        str | None, typer.Option("--cache-dir", metavar="DIR", help="Folder of the wheel store.")
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
    from packager.adapters import connect
    from packager.pipeline import pack as run_pack

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
        "exclude": exclude,
        "out": out,
        "s3_uri": s3_uri,
        "conf": _conf(conf),
        "waivers": _pairs("--waive", "CODE=REASON", waive),
        "cache_dir": cache_dir,
    }
    project, settings = _settings(path, flags)
    assert project is not None  # noqa: S101  # it is required here
    if explain:
        from packager.explain import explanation

        console.data(explanation(project, settings))
        return
    ports = connect(
        root=project.root, cache_dir=settings.cache_dir, env=os.environ, say=console.say
    )
    packed = run_pack(project, settings, ports, console.say)
    _show_packed(packed, settings, console)
    if not all(p.report.passed for p in packed):
        raise typer.Exit(ExitCode.VALIDATION_FAILED)


@app.command()
def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", help="Records or archives; the records in dist if not given."
        ),
    ] = None,
    release: Release = None,
    arch: Arch = None,
    python: Python = None,
    waive: Waive = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="FORMAT", help="text [default], json, junit, sarif"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the report to a file.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check archives, ours or anyone's, for a release."""
    from packager.checks import RULES
    from packager.output import write_text
    from packager.recorded import reports_on
    from packager.reports import formatter

    if json and format_ not in {None, "json"}:
        raise ConfigError(f"--json and --format {format_} exclude each other", fix="keep one")
    form = format_ or ("json" if json else "text")
    write = formatter(form)
    console = Console(quiet=quiet)
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "waivers": _pairs("--waive", "CODE=REASON", waive),
    }
    project, settings = _settings(None, flags, required=False)
    folder = Path.cwd() if project is None else project.root / settings.out
    reports = reports_on(tuple(paths or ()), folder, settings, chosen=flags)
    failed = [(subject, report) for subject, report in reports if not report.passed]
    if output is not None:
        write_text(output, write(reports, RULES), option="--output")
        (console.warn if failed else console.say)(formatter("text")(reports, RULES))
    elif form != "text" or not quiet:
        console.data(write(reports, RULES))
    elif failed:
        console.data(write(failed, RULES))
    if failed:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)


@app.command()
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
            help="spark-submit, json, spark-defaults, spark-defaults-json, start-job-run.",
        ),
    ] = "spark-submit",
    release: Release = None,
    arch: Arch = None,
    s3_uri: S3Uri = None,
    conf: Conf = None,
    argument: Annotated[
        list[str] | None,
        typer.Option("--argument", metavar="TEXT", help="Argument of the job; may be repeated."),
    ] = None,
) -> None:
    """Print the Spark configuration of packed archives."""
    from packager.recorded import find_record, job_of, target_of
    from packager.sparkconf import emitter

    emit = emitter(format_)
    project, settings = _settings(
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
        conf=_conf(conf),
        arguments=argument or (),
    )
    Console().data(emit(job))


@app.command(context_settings={"ignore_unknown_options": True})
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
    spark_home: Annotated[
        Path | None, typer.Option("--spark-home", metavar="DIR", help="Spark to run on.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=8, help="Local workers.")] = 2,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Spark's log.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run packed archives as a job."""
    from packager.adapters.spark import find_java, find_spark, run_local
    from packager.recorded import find_record, job_of, target_of

    if not local:
        raise ConfigError(
            "say where to run",
            why="jobs run on this machine so far",
            fix="packager run --local",
        )
    console = Console(quiet=quiet)
    project, settings = _settings(None, {"release": release, "arch": arch}, required=False)
    folder = Path.cwd() if project is None else project.root / settings.out
    chosen = settings.arch[0] if arch else None
    if record is None and chosen is None:
        chosen = _host_arch()
    found = find_record(record, folder, release=settings.release, arch=chosen)
    target = target_of(found.record, settings)
    job = job_of(found, target, s3_uri=None, conf=_conf(conf), arguments=arguments or ())
    script = found.record.artifact("entry-point")
    if script is None:
        raise ConfigError(
            "the record has no entry point",
            why="a job starts with a script",
            fix="set `entry-point` in [tool.packager], or --entry-point, and pack again",
        )
    status = run_local(
        {a.kind: found.path(a) for a in found.record.artifacts if a is not script},
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


@app.command()
def inspect(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH] [OTHER]",
            help="Record or archive; the record in dist if not given. With OTHER, what differs.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with a map of sizes instead."),
    ] = None,
    release: Release = None,
    arch: Arch = None,
    json: Json = False,
) -> None:
    """Show what takes how much room, or what differs.

    One record or archive, or two to compare.
    """
    from packager.inspection import (
        compare,
        comparison_json,
        comparison_text,
        inspection_json,
        inspection_text,
    )
    from packager.inspection import inspect as look_into

    console = Console(json=json)
    if paths is not None and len(paths) > 2:
        raise ConfigError(
            f"{len(paths)} paths are given", why="one is shown, two are compared", fix="name two"
        )
    if html is not None and paths is not None and len(paths) > 1:
        raise ConfigError(
            "a page shows one record or archive",
            why=f"{len(paths)} paths are given",
            fix="name one, or leave --html out to compare",
        )
    project, settings = _settings(None, {"release": release, "arch": arch}, required=False)
    folder = Path.cwd() if project is None else project.root / settings.out
    chosen: list[Path | None] = [*paths] if paths else [None]
    found = [
        look_into(path, folder, release=settings.release, arch=settings.arch[0] if arch else None)
        for path in chosen
    ]
    if html is not None:
        from packager.treemap import write_page

        write_page(found[0], html)
        console.say(f"Wrote {html}")
    if len(found) == 2:
        compared = compare(*found)
        if json:
            console.document(comparison_json(compared))
        else:
            console.data(comparison_text(compared))
    elif json:
        console.document(inspection_json(found[0]))
    elif html is None:
        console.data(inspection_text(found[0]))


@app.command()
def releases(
    label: Annotated[str | None, typer.Argument(metavar="[LABEL]", help="One release.")] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="Another: what changes to it.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is known of EMR Serverless releases.

    Without a label the table, with one all its facts, with two what changes.
    """
    from packager.releases import find_release, release_json, release_sheet, releases_table

    console = Console(json=json)
    project, settings = _settings(None, {}, required=False)
    if label is not None and other is not None:
        _show_changes(label, other, project, settings, console)
    elif label is not None:
        release = find_release(label, settings.releases)
        if json:
            console.document(release_json(release))
        else:
            console.data(release_sheet(release))
    elif json:
        console.document([release_json(release) for release in settings.releases.values()])
    else:
        console.data(releases_table(settings.releases))


def _show_changes(
    label: str, other: str, project: "Project | None", settings: "Settings", console: Console
) -> None:
    from packager.changes import changes, changes_text, unfit
    from packager.recorded import records_in
    from packager.releases import find_release

    old, new = (find_release(name, settings.releases) for name in (label, other))
    folder = Path.cwd() if project is None else project.root / settings.out
    packed = [found.record for found in records_in(folder) if found.record.release == old.label]
    records = [(record, unfit(record, new)) for record in packed]
    if not console.json:
        console.data(changes_text(old, new, records))
        return
    console.document(
        {
            "changes": {c.fact: {"old": c.old, "new": c.new} for c in changes(old, new)},
            "unfit": {record.name: [w.filename for w in wheels] for record, wheels in records},
        }
    )


@app.command()
def config(path: ProjectPath = None, json: Json = False) -> None:
    """Show settings and where they come from."""
    from packager.settings import OPTIONS

    _, settings = _settings(path, {})
    rows = [
        (o.name.replace("_", "-"), getattr(settings, o.name), settings.origins[o.name])
        for o in OPTIONS
    ]
    if json:
        Console().document({name: {"value": value, "from": origin} for name, value, origin in rows})
        return
    for name, value, origin in rows:
        text = ", ".join(value) if isinstance(value, tuple) else str(value or "")
        Console().data(f"{name:<12} {text or '-':<28} {origin}")


@cache.callback()
def cache_(context: typer.Context) -> None:
    """Look after the wheel store."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.CONFIG)


@cache.command("info")
def cache_info(json: Json = False) -> None:
    """Show where the wheel store is and what it holds."""
    from packager.adapters import store_root
    from packager.adapters.cache import summary

    _, settings = _settings(None, {}, required=False)
    found = summary(store_root(settings.cache_dir))
    if json:
        Console().document({"path": str(found.root), "counts": found.counts, "bytes": found.sizes})
        return
    Console().data(f"{found.root}")
    for kind, count in found.counts.items():
        Console().data(f"{kind:<10} {count:>7}  {found.sizes[kind] / 1e6:>10.1f} MB")
    Console().data(f"{'all':<10} {sum(found.counts.values()):>7}  {found.size / 1e6:>10.1f} MB")


@cache.command("verify")
def cache_verify() -> None:
    """Hash every wheel of the store again and remove those that changed."""
    from packager.adapters import store_root
    from packager.adapters.cache import verify

    _, settings = _settings(None, {}, required=False)
    wrong = verify(store_root(settings.cache_dir))
    for name in wrong:
        Console().data(f"removed {name}: it was not what its hash says")
    if wrong:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)
    Console().say("every wheel is sound")


@cache.command("prune")
def cache_prune(
    limit: Annotated[
        str, typer.Option("--limit", metavar="SIZE", help="Bytes to keep, as in 5GB.")
    ] = "5GB",
) -> None:
    """Remove what was used longest ago until the store is small enough."""
    from packager.adapters import store_root
    from packager.adapters.cache import prune
    from packager.settings import parse_size

    _, settings = _settings(None, {}, required=False)
    removed, freed = prune(store_root(settings.cache_dir), limit=parse_size(limit))
    Console().say(f"removed {removed}, {freed / 1e6:.1f} MB")


@cache.command("key")
def cache_key(path: ProjectPath = None) -> None:
    """Print a key for CI's cache: it changes when the project's dependencies may have."""
    from packager.adapters.cache import dependencies_digest

    project, settings = _settings(path, {})
    assert project is not None  # noqa: S101  # it is required here
    Console().data(f"packager-{dependencies_digest(project)[:20]}-{settings.release or 'any'}")


def _settings(
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


def _conf(values: list[str] | None) -> Mapping[str, str]:
    return _pairs("--conf", "KEY=VALUE", values)


def _pairs(option: str, form: str, values: list[str] | None) -> Mapping[str, str]:
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


def _host_arch() -> str | None:
    """Our name of this machine's architecture, for the choice between two records."""
    import platform

    from packager.target import ARCHES

    machine = platform.machine().lower()
    return next((a.name for a in ARCHES.values() if machine in {a.machine, a.name}), None)


def _show_packed(packed: "tuple[Packed, ...]", settings: "Settings", console: Console) -> None:
    from packager.recorded import Found, job_of, target_of
    from packager.reports import report_text
    from packager.sparkconf import emitter

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
            console.data(emitter("spark-submit")(job))
    if console.json:
        console.document(documents)
