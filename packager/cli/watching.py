"""What commands do with a run: watch it, tell how it ended, find it again."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from packager.cli.display import Display
from packager.cli.options import settings_of
from packager.console import Console
from packager.errors import CommandError, ConfigError, PackagerError

if TYPE_CHECKING:
    from packager.adapters.aws.session import Session
    from packager.jobs.logs import Wanted
    from packager.jobs.ports import Emr
    from packager.jobs.states import Run
    from packager.record import Record


def wanted_logs(which: str | None) -> "Wanted":
    """Raise `ConfigError` for logs that there are not."""
    from packager.jobs.logs import CHOICES

    names = (which or "stdout").split(",")
    for name in names:
        if name not in CHOICES:
            raise ConfigError(f"--logs {name}: there are no such logs", fix=", ".join(CHOICES))
    chosen = [CHOICES[name] for name in names]
    return lambda worker, stream: any(choice(worker, stream) for choice in chosen)


def watch(
    session: "Session",
    emr: "Emr",
    application: Mapping[str, Any],
    run_id: str,
    *,
    console: Console,
    wanted: "Wanted",
    cancels: bool,
    data: bool = True,
) -> "Run":
    """Wait for the end of a run and show its logs; an interrupt cancels it, or only leaves it."""
    from packager.adapters.aws.joblogs import log_source
    from packager.adapters.clock import SteadyClock
    from packager.jobs.follow import Logs, Watcher, ask, follow, follow_or_cancel
    from packager.jobs.logs import places

    identity = application["applicationId"]
    where = places(ask(emr, identity, run_id), application.get("monitoringConfiguration", {}))
    source = log_source(session, where)
    display = Display(console=console, data=data)
    if source is None:
        console.say(
            "its logs go neither to S3 nor to CloudWatch, so none can be shown here: use --log-uri"
            f" or --log-group{'; AWS keeps them for the dashboard' if where.managed else ''}"
        )
    try:
        return (follow_or_cancel if cancels else follow)(
            emr,
            identity,
            run_id,
            clock=SteadyClock(),
            watcher=Watcher(
                say=display.say, warn=display.warn, show=display.show, status=display.status
            ),
            # Who only follows a run came for its logs.
            logs=Logs(source=source, wanted=wanted, required=not cancels) if source else None,
        )
    finally:
        display.end()


def finish(
    session: "Session",
    emr: "Emr",
    application: Mapping[str, Any],
    run: "Run",
    record: "Record | None",
    *,
    console: Console,
    json: bool,
    url: bool = False,
) -> None:
    """Tell how a run ended or stands, and exit with what that means."""
    from packager.adapters.aws.joblogs import log_source
    from packager.jobs.failures import facts_of
    from packager.jobs.logs import places
    from packager.jobs.outcome import document, ended_badly, reasons, summary, why_failed
    from packager.jobs.states import exit_code
    from packager.releases import known_releases

    where = places(run, application.get("monitoringConfiguration", {}))
    found = None
    if run.state == "FAILED":
        facts = facts_of(record, known_releases().get(run.release), run.conf)
        try:
            found = reasons(run, log_source(session, where), facts)
        except CommandError as error:
            console.warn(f"the logs can not be read: {error.why}")
            found = reasons(run, None, facts)
    for line in summary(run):
        console.say(line)
    price, said = _cost(run, application, session.region)
    if said:
        console.say(said)
    if where.bucket:
        console.say(f"logs: {where.folder(run)}")
    # Whoever has this address can look for an hour: it belongs into no log of CI.
    address = None
    if url or (sys.stderr.isatty() and not json):
        try:
            address = dashboard(emr, run)
        except PackagerError as error:  # one may watch a job without that permission
            if url:
                console.warn(f"warning: {error.what}: {error.why}")
    if address:
        console.say(f"dashboard, for an hour: {address}")
    if json:
        more = {
            "cost": price,
            "logs": where.folder(run) if where.bucket else None,
            "dashboard": address,
        }
        console.document({**document(run, found), **more})
    if found is not None:
        for line in why_failed(run, found):
            console.warn(line)
    elif run.state == "CANCELLED":
        console.warn(ended_badly(run))
    if run.is_ended and (code := exit_code(run)):
        raise typer.Exit(code)


def _cost(
    run: "Run", application: Mapping[str, Any], region: str
) -> "tuple[dict[str, Any] | None, str]":
    """Of what was billed, for JSON and in words; nothing where that is not known yet."""
    from packager.jobs.costs import Usage, cost, known_prices, price_of, read_prices
    from packager.project import read_text

    if run.billed is None:
        return None, ""
    project, settings = settings_of(None, {}, required=False)
    prices = known_prices()
    if settings.prices is not None:
        path = (Path.cwd() if project is None else project.root) / settings.prices
        prices = read_prices(read_text(path), str(path))
    used = Usage(vcpu=run.billed.vcpu, memory=run.billed.memory, storage=run.billed.storage)
    try:
        price = price_of(prices, region, application.get("architecture", "X86_64"))
    except ConfigError as error:
        return None, f"cost: {error.what}"
    amount = cost(used, price)
    as_of = f" of {price.date}" if price.date else ""
    return (
        {"amount": round(amount, 6), "currency": prices.currency, "date": price.date or None},
        f"cost: {amount:.4f} {prices.currency} at the prices{as_of} for {region}",
    )


def dashboard(emr: "Emr", run: "Run") -> str | None:
    """Raise `PackagerError` where AWS does not tell it."""
    request = {"applicationId": run.application, "jobRunId": run.id}
    return str(emr.call("GetDashboardForJobRun", request).get("url", "")) or None
