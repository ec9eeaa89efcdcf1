"""Command line. Commands translate words to settings, call the pipeline, print; nothing more."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager import __version__
from packager.cli_image import image
from packager.cli_options import (
    Arch,
    BaseImage,
    CleanRoom,
    Conf,
    EntryPoint,
    Format,
    Json,
    Out,
    Output,
    ProjectPath,
    Python,
    Quiet,
    Release,
    S3Uri,
    Waive,
    form_of,
    pairs,
    settings_of,
    show_reports,
)
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
app.add_typer(image, name="image")


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
    # CI cancels with the one, a closed terminal with the other: clean up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)


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
    from packager.adapters import connect, store_root
    from packager.adapters.limit import in_use
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
        "conf": _conf(conf),
        "waivers": pairs("--waive", "CODE=REASON", waive),
        "cache_dir": cache_dir,
        "cache_size": cache_size,
    }
    project, settings = _project_or_environment(path, flags)
    if explain:
        from packager.explain import explanation

        console.data(explanation(project, settings))
        return
    if settings.offline:
        os.environ["UV_OFFLINE"] = "1"  # uv is started by build backends too
    ports = connect(
        root=project.root, cache_dir=settings.cache_dir, env=os.environ, say=console.say
    )
    root = store_root(settings.cache_dir)
    with in_use(root, limit=settings.cache_limit, say=console.say):
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
    base_image: BaseImage = None,
    clean_room: CleanRoom = None,
    waive: Waive = None,
    format_: Format = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check archives, ours or anyone's, for a release."""
    from packager.adapters import clean_room_of
    from packager.recorded import reports_on

    form = form_of(format_, json=json)
    console = Console(quiet=quiet)
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "base_image": base_image,
        "clean_room": clean_room,
        "waivers": pairs("--waive", "CODE=REASON", waive),
    }
    project, settings = settings_of(None, flags, required=False)
    folder = Path.cwd() if project is None else project.root / settings.out
    reports = reports_on(
        tuple(paths or ()),
        folder,
        settings,
        chosen=flags,
        room=clean_room_of(settings.cache_dir, env=os.environ, say=console.say),
        say=console.say,
    )
    show_reports(reports, form, output, console)


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
    entry_point: EntryPoint = None,
    argument: Annotated[
        list[str] | None,
        typer.Option("--argument", metavar="TEXT", help="Argument of the job; may be repeated."),
    ] = None,
) -> None:
    """Print the Spark configuration of packed archives."""
    from packager.recorded import find_record, job_of, target_of
    from packager.sparkconf import emitter

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
        conf=_conf(conf),
        arguments=argument or (),
        entry_point=entry_point,
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
        chosen = _host_arch()
    found = find_record(record, folder, release=settings.release, arch=chosen)
    target = target_of(found.record, settings)
    job = job_of(
        found,
        target,
        s3_uri=None,
        conf=_conf(conf),
        arguments=arguments or (),
        entry_point=entry_point,
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
    project, settings = settings_of(None, {"release": release, "arch": arch}, required=False)
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
    project, settings = settings_of(None, {}, required=False)
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

    _, settings = settings_of(path, {})
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

    _, settings = settings_of(None, {}, required=False)
    found = summary(store_root(settings.cache_dir))
    if json:
        Console().document(
            {
                "path": str(found.root),
                "counts": found.counts,
                "bytes": found.sizes,
                "limit": settings.cache_limit,
            }
        )
        return
    Console().data(f"{found.root}")
    for kind, count in found.counts.items():
        Console().data(f"{kind:<10} {count:>7}  {found.sizes[kind] / 1e6:>10.1f} MB")
    Console().data(f"{'all':<10} {sum(found.counts.values()):>7}  {found.size / 1e6:>10.1f} MB")
    limit = settings.cache_limit
    Console().data(f"{'limit':<18}  " + (f"{limit / 1e6:>10.1f} MB" if limit else f"{'none':>13}"))


@cache.command("verify")
def cache_verify() -> None:
    """Hash every wheel of the store again and remove those that changed."""
    from packager.adapters import store_root
    from packager.adapters.cache import verify

    _, settings = settings_of(None, {}, required=False)
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

    _, settings = settings_of(None, {}, required=False)
    removed, freed = prune(store_root(settings.cache_dir), limit=parse_size(limit))
    Console().say(f"removed {removed}, {freed / 1e6:.1f} MB")


@cache.command("key")
def cache_key(path: ProjectPath = None) -> None:
    """Print a key for CI's cache: it changes when the project's dependencies may have."""
    from packager.adapters.cache import dependencies_digest

    project, settings = settings_of(path, {})
    assert project is not None  # noqa: S101  # it is required here
    Console().data(f"packager-{dependencies_digest(project)[:20]}-{settings.release or 'any'}")


def _project_or_environment(
    path: Path | None, flags: Mapping[str, Any]
) -> "tuple[Project, Settings]":
    """A project, or an environment alone where nothing here says that it is one of a project."""
    from packager.project import environment_alone
    from packager.venvs import name_of

    project, settings = settings_of(path, flags, required=path is not None)
    if settings.venv is not None and path is None and not (project and project.described):
        return environment_alone(name_of(Path(settings.venv)), Path.cwd()), settings
    if project is None:
        project, settings = settings_of(path, flags)
    assert project is not None  # noqa: S101  # it is required here
    return project, settings


def _conf(values: list[str] | None) -> Mapping[str, str]:
    return pairs("--conf", "KEY=VALUE", values)


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
