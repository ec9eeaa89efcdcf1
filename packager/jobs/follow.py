"""Waiting for a run: states, logs, patience with AWS, and what an interrupt does.

All waiting is the clock's; nothing here knows what time of day it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from packager.errors import CommandError, PackagerError
from packager.jobs.logs import Line, LogSource, Wanted
from packager.jobs.ports import BusyError, Clock, Emr, GoneError
from packager.jobs.rules import rules
from packager.jobs.states import ENDED, MEANINGS, Run, duration, run_of

T = TypeVar("T")

PATIENCE_S: Final = 600
"""That AWS may be out of order at a stretch before waiting ends: the run does not need us."""
PATIENCE_TRIES: Final = 5
"""At least: a clock that jumps, as of a machine that slept, ends no patience."""
LATE_S: Final = 45
"""That logs may come after the end of a run."""
LOOK_S: Final = 5
"""Between two looks at the logs."""
SLOW_S: Final = 600
"""In a state before RUNNING, after which a hint is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """What is told of a run, to whom it may concern."""

    say: Callable[[str], None]
    """A sentence for people."""
    warn: Callable[[str], None]
    """What they have to know."""
    show: Callable[[Line], None]
    """A line of a log."""
    status: Callable[[Run, float], None] = lambda _run, _seconds: None
    """After every look: the run, and how long it is waited for."""


@dataclass(slots=True, kw_only=True)
class Logs:
    """The logs of a run that is waited for, as far as they were shown."""

    source: LogSource
    wanted: Wanted
    required: bool = False
    """Whether waiting is of no use without them."""
    attempt: int = 1
    """The first whose logs may have more."""
    failure: CommandError | None = None
    """Why the last look failed."""
    given_up: bool = False


def ask(emr: Emr, application: str, run: str) -> Run:
    answer = emr.call("GetJobRun", {"applicationId": application, "jobRunId": run})
    return run_of(answer["jobRun"])


def start(emr: Emr, request: Mapping[str, Any]) -> str:
    """The run's ID. An interrupt leaves no run that nobody knows of."""
    try:
        return str(emr.call("StartJobRun", request)["jobRunId"])
    except KeyboardInterrupt:
        # It may have been started: the same token gives its ID, or a run that ends at once.
        application = request["applicationId"]
        try:
            run = emr.call("StartJobRun", request)["jobRunId"]
            emr.call("CancelJobRun", {"applicationId": application, "jobRunId": run})
        except CommandError as error:
            raise CommandError(
                "the job was interrupted while it was started, and it may run",
                why=f"{error.what}: {error.why}",
                fix="look for it: packager runs; and end it: packager cancel RUN",
            ) from error
        raise


def follow(
    emr: Emr, application: str, run_id: str, *, clock: Clock, watcher: Watcher, logs: Logs | None
) -> Run:
    """Wait until a run has ended, and tell what happens meanwhile.

    Raise `CommandError` where AWS can not be asked any longer; the run goes on then.
    """
    began = since = clock.monotonic()
    looked = began - LOOK_S
    last: Run | None = None
    hinted = False
    while True:
        run = _patiently(lambda: ask(emr, application, run_id), run_id, clock, watcher)
        now = clock.monotonic()
        if last is None or (run.state, run.attempt) != (last.state, last.attempt):
            watcher.say(_told(run, last))
            since, hinted = now, False
        elif now - since >= SLOW_S and not hinted and run.state in SLOW:
            watcher.say(f"{run.state} for {duration(now - since)}: {SLOW[run.state]}")
            hinted = True
        watcher.status(run, now - began)
        if logs is not None and (now - looked >= LOOK_S or run.is_ended):
            looked = now
            _read(logs, run, watcher)
        last = run
        if run.is_ended:
            if logs is not None:
                _drain(logs, run, clock, watcher)
            return run
        clock.sleep(_interval(now - began))


SLOW: Final[Mapping[str, str]] = {
    "SUBMITTED": "the application may still be starting",
    "QUEUED": "other runs of the application have to end first; see `packager runs`",
    "PENDING": "the application may have no capacity left",
    "SCHEDULED": "workers are hard to get: the application's maximum capacity, the account's quota"
    " of vCPUs, or addresses of its subnets may be used up",
}
"""Hints, by state."""


def _told(run: Run, last: Run | None) -> str:
    if last is not None and run.attempt > last.attempt:
        return f"attempt {run.attempt}: {run.state}"
    return f"{run.state}: the job {MEANINGS.get(run.state, 'goes on')}"


def _interval(waited: float) -> float:
    """Seconds until the next look: often while much happens. The API takes ten a second."""
    if waited < 30:
        return 1
    return 2 if waited < 120 else 5 if waited < 1800 else 10


def _read(logs: Logs, run: Run, watcher: Watcher) -> int:
    """How many lines there were. What fails is tried again with the next look, where that may help.

    Raise `CommandError` where it does not and logs are required: else the run is what counts.
    """
    if logs.given_up:
        return 0
    count = 0
    try:
        for attempt in range(logs.attempt, run.attempt + 1):
            for line in logs.source.read(run, attempt, logs.wanted):
                watcher.show(line)
                count += 1
    except BusyError as error:
        if logs.failure is None:
            watcher.say(f"{error.what}: {error.why}; it is asked again")
        logs.failure = error
    except CommandError as error:
        if logs.required:
            raise _left(error, run.id) from error
        watcher.warn(f"warning: the run is watched without its logs: {error.what}: {error.why}")
        logs.failure, logs.given_up = error, True
    else:
        logs.attempt, logs.failure = run.attempt, None
    return count


def _drain(logs: Logs, run: Run, clock: Clock, watcher: Watcher) -> None:
    """Logs are written every 15 seconds: what was written last comes after the end."""
    end = clock.monotonic() + LATE_S
    quiet = 0.0
    while not logs.given_up and (logs.failure or not logs.source.is_complete(run)):
        now = clock.monotonic()
        if now >= end or quiet > rules().log_refresh_s + LOOK_S:
            break
        clock.sleep(LOOK_S)
        quiet += LOOK_S
        if _read(logs, run, watcher) or logs.failure:
            quiet = 0.0
    for line in logs.source.rest():
        watcher.show(line)
    if logs.failure is not None and not logs.given_up:
        error = logs.failure
        if logs.required:
            raise CommandError(error.what, why=error.why, fix=f"later: packager logs {run.id}")
        watcher.warn(
            f"warning: the logs are not complete: {error.what}: {error.why}; later, packager logs"
            f" {run.id} shows them"
        )


def _patiently(
    look: Callable[[], T], run_id: str, clock: Clock, watcher: Watcher, *, later: str = ""
) -> T:
    first: float | None = None
    tries = 0
    while True:
        try:
            return look()
        except BusyError as error:
            now = clock.monotonic()
            first = now if first is None else first
            tries += 1
            if tries >= PATIENCE_TRIES and now - first >= PATIENCE_S:
                raise _left(error, run_id, later) from error
            if tries == 1:
                watcher.say(f"{error.what}: {error.why}; it is asked again")
            clock.sleep(min(30, 2**tries))
        except GoneError as error:
            raise CommandError(
                f"the run {run_id} can not be watched any longer",
                why=f"its application or the run was deleted: {error.why}",
                fix="how it ended is in its logs, if they went to S3 or CloudWatch",
            ) from error
        except CommandError as error:
            raise _left(error, run_id, later) from error


def _left(error: PackagerError, run_id: str, later: str = "") -> CommandError:
    fix = f"{error.fix}; then " if error.fix else ""
    return CommandError(
        error.what,
        why=f"{error.why}; the run goes on without being watched",
        fix=fix + (f"{later} {run_id}" if later else f"packager logs {run_id} --follow"),
    )


def cancel(emr: Emr, application: str, run_id: str, *, grace_s: int | None = None) -> Run:
    """Ask for a run's end; what has ended stays so."""
    request: dict[str, Any] = {"applicationId": application, "jobRunId": run_id}
    if grace_s is not None:
        request["shutdownGracePeriodInSeconds"] = grace_s
    try:
        emr.call("CancelJobRun", request)
    except CommandError:
        run = ask(emr, application, run_id)
        if run.state not in ENDED:
            raise
        return run
    return ask(emr, application, run_id)


def follow_or_cancel(
    emr: Emr, application: str, run_id: str, *, clock: Clock, watcher: Watcher, logs: Logs | None
) -> Run:
    """`follow`; an interrupt cancels the run and waits for that, another one leaves at once."""
    try:
        return follow(emr, application, run_id, clock=clock, watcher=watcher, logs=logs)
    except KeyboardInterrupt:
        watcher.say(f"cancelling the run {run_id}; another Ctrl-C leaves it to itself")
        _patiently(
            lambda: cancel(emr, application, run_id),
            run_id,
            clock,
            watcher,
            later="packager cancel",
        )
        follow(emr, application, run_id, clock=clock, watcher=watcher, logs=logs)
        raise
