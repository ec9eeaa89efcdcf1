"""`packager status`, `logs`, `cancel` and `runs`: what became of jobs that were started."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import Json, Profile, Quiet, Region, settings_of
from packager.cli.run import Application, Logs
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.adapters.aws.emr import EmrServerless
    from packager.adapters.aws.session import Session

RunId = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="ID of a run; the newest if not given.")
]


def status(
    run: RunId = None,
    application: Application = None,
    region: Region = None,
    profile: Profile = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Print the address of Spark's pages, too.")
    ] = False,
    json: Json = False,
) -> None:
    """Show how a run stands, or how it ended and why."""
    from packager.cli.watching import finish
    from packager.jobs.follow import ask

    session, emr, live = _application(application, region, profile)
    with _named(run, live):
        found = ask(emr, live["applicationId"], run or _newest(emr, live))
    console = Console()
    if not json:
        console.data(f"{found.id} {found.state} {found.name}")
    finish(session, emr, live, found, None, console=console, json=json, url=dashboard)


def logs(
    run: RunId = None,
    application: Application = None,
    region: Region = None,
    profile: Profile = None,
    logs: Logs = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Show the logs of a run, of all its attempts."""
    from packager.adapters.aws.joblogs import log_source
    from packager.cli.display import Display
    from packager.cli.watching import wanted_logs, watch
    from packager.jobs.follow import ask
    from packager.jobs.logs import places

    wanted = wanted_logs(logs)
    session, emr, live = _application(application, region, profile)
    identity = run or _newest(emr, live)
    console = Console(quiet=quiet)
    with _named(run, live):
        found = ask(emr, live["applicationId"], identity)
    if follow:
        watch(session, emr, live, identity, console=console, wanted=wanted, cancels=False)
        return
    where = places(found, live.get("monitoringConfiguration", {}))
    source = log_source(session, where)
    if source is None:
        raise ConfigError(
            f"the logs of {identity} can not be read",
            why="the run writes none to S3 or CloudWatch; AWS alone may have some",
            fix=f"look at its dashboard: packager status {identity} --dashboard",
        )
    display = Display(console=console, live=False)
    count = 0
    for attempt in range(1, found.attempt + 1):
        for line in source.read(found, attempt, wanted):
            display.show(line)
            count += 1
    for line in source.rest():
        display.show(line)
        count += 1
    if not count:
        which = f"{logs or 'stdout of the driver'}: nothing{'' if found.is_ended else ' yet'}"
        console.say(
            f"{which} of {identity}, {found.state}; all that there is: --logs all, or in"
            f" {where.folder(found) or where.group}"
        )


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="ID of a run.")],
    application: Application = None,
    region: Region = None,
    profile: Profile = None,
    grace: Annotated[
        int | None,
        typer.Option("--grace", metavar="SECONDS", help="That the job has to end by itself."),
    ] = None,
    json: Json = False,
) -> None:
    """End a run."""
    from packager.jobs.follow import cancel as cancel_run

    _, emr, live = _application(application, region, profile)
    with _named(run, live):
        found = cancel_run(emr, live["applicationId"], run, grace_s=grace)
    if json:
        Console().document(found.document())
    else:
        Console().data(f"{found.id} {found.state} {found.name}")


def runs(
    application: Application = None,
    region: Region = None,
    profile: Profile = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="As in RUNNING.")
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, metavar="N", help="How many at most.")
    ] = 20,
    json: Json = False,
) -> None:
    """List the runs of an application, the newest first."""
    import itertools
    from datetime import UTC

    from packager.jobs.applications import pages
    from packager.jobs.states import MEANINGS, run_of

    states = [s.upper() for s in state or ()]
    for name in states:
        if name not in MEANINGS:
            raise ConfigError(f"--state {name}: there is no such state", fix=", ".join(MEANINGS))
    _, emr, live = _application(application, region, profile)
    request: dict[str, Any] = {"applicationId": live["applicationId"]}
    listed = pages(emr, "ListJobRuns", request | ({"states": states} if states else {}), "jobRuns")
    found = [run_of(summary) for summary in itertools.islice(listed, number)]
    console = Console()
    if json:
        console.document([run.document() for run in found])
        return
    for run in found:
        created = run.created.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        console.data(f"{run.id}  {created}  {run.state:<10} {run.name}")
    if not found:
        console.say("there are none")


def _application(
    name: str | None, region: str | None, profile: str | None
) -> "tuple[Session, EmrServerless, Mapping[str, Any]]":
    from packager.adapters.aws.emr import EmrServerless
    from packager.adapters.aws.session import open_session
    from packager.jobs.applications import find

    _, settings = settings_of(None, {"region": region, "profile": profile}, required=False)
    wanted = name or settings.run.get("application") or settings.application.get("name")
    if not wanted:
        raise ConfigError(
            "no application is named",
            why="runs are found by their application",
            fix='add application = "name" to [tool.packager.run], or use --application',
        )
    session = open_session(settings, os.environ)
    emr = EmrServerless(session)
    return session, emr, find(emr, str(wanted))


@contextlib.contextmanager
def _named(run: str | None, application: Mapping[str, Any]) -> Iterator[None]:
    """Raise `ConfigError` where the run that is named is not there."""
    from packager.jobs.ports import GoneError

    try:
        yield
    except GoneError as error:
        if run is None:
            raise
        name = application.get("name", application["applicationId"])
        raise ConfigError(
            f"the application {name} has no run {run}", why=error.why, fix="see packager runs"
        ) from error


def _newest(emr: "EmrServerless", application: Mapping[str, Any]) -> str:
    request = {"applicationId": application["applicationId"], "maxResults": 1}
    found = emr.call("ListJobRuns", request)["jobRuns"]
    if not found:
        raise ConfigError(
            f"the application {application.get('name', request['applicationId'])} has no runs",
            fix="start one: packager run",
        )
    return str(found[0]["id"])
