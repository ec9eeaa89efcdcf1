"""What goes wrong while jobs are started, waited for and looked at; `tests/FAULTS.md` lists it.

Throttling is in `test_throttling.py`, the main way in `test_run.py`.
"""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from packager.adapters.aws.emr import EmrServerless
from packager.jobs.failures import known_failures
from tests.command import Command
from tests.emrclock import RigClock
from tests.integration.test_run import Run, clock, project, run, states  # noqa: F401  # fixtures
from tests.rig.emrserverless.plans import Line, Plan
from tests.rig.emrserverless.service import Service

pytestmark = pytest.mark.tools

APP = "00app00000000"
RUN_ID = "00run00000000"


def expire(emr: Service, operation: str = "*") -> None:
    emr.refuse(operation, 10**6, "ExpiredTokenException", "The security token expired", 403)


def test_every_known_message_is_explained_by_the_command(
    emr: Service,
    run: Run,  # noqa: F811
) -> None:
    rules = known_failures()
    emr.plans = [
        Plan(
            outcome="FAILED",
            running=1,
            lines=(Line(at=0.5, text=f"INFO\n{rule.example}\n", stream="stderr"),),
        )
        for rule in rules
    ]
    told = [run("--json", "--no-preflight", "--logs", "none") for _ in rules]
    assert [done.code for done in told] == [1] * len(rules)
    found = [json.loads(done.out)["explanations"][0]["rule"] for done in told]
    assert found == [rule.id for rule in rules]


def test_a_job_that_fails_at_every_attempt_has_failed_and_its_last_log_says_why(
    emr: Service,
    run: Run,  # noqa: F811
) -> None:
    line = Line(at=1, text="ModuleNotFoundError: No module named 'nope'\n", stream="stderr")
    emr.plans = [Plan(failed_attempts=9, outcome="FAILED", lines=(line,))]
    done = run("--max-attempts", "3")
    assert done.code == 1
    assert states(done).count("attempt") == 2
    assert "Python does not find nope" in done.err


WAITING = {
    "SUBMITTED": Plan(submitted=1500),
    "QUEUED": Plan(queued=1500),
    "PENDING": Plan(pending=1500),
    "SCHEDULED": Plan(scheduled=1500),
}


@pytest.mark.parametrize("state", WAITING)
def test_a_job_that_waits_for_long_is_waited_for_with_a_hint(
    emr: Service,
    run: Run,  # noqa: F811
    state: str,
) -> None:
    emr.plans = [WAITING[state]]
    done = run()
    assert done.code == 0, done.err
    assert done.err.count(f"{state} for 10 min") == 1


@pytest.mark.parametrize("at", [1, 7, 60])
def test_a_job_that_is_cancelled_elsewhere_at_any_state_has_failed(
    emr: Service,
    run: Run,  # noqa: F811
    at: float,
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    emr.at(at, lambda: emr.cancel(emr.runs[RUN_ID]))
    done = run()
    assert done.code == 1
    assert states(done)[-1] == "CANCELLED"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(late=18, lines=(Line(at=1, text="hello\n"),)), "hello\n"),
        (Plan(logs=False), ""),
        (Plan(lines=()), ""),
    ],
    ids=["late", "never", "empty"],
)
def test_logs_in_cloudwatch_that_are_late_or_never_come_hold_nobody_up(
    emr: Service,
    run: Run,  # noqa: F811
    plan: Plan,
    said: str,
) -> None:
    emr.applications[APP].facts["monitoringConfiguration"] = {}
    if said:
        boto3.client("logs").create_log_group(logGroupName="/jobs")
    emr.plans = [plan]
    done = run("--log-group", "/jobs")
    assert (done.code, done.out) == (0, said)
    assert emr.now < 5 + 85 + 60


def test_a_log_that_is_no_log_is_no_traceback(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
) -> None:
    assert run("--detach").code == 0
    emr.advance(200)
    key = f"here/applications/{APP}/jobs/{RUN_ID}/SPARK_DRIVER/stdout.gz"
    boto3.client("s3").put_object(Bucket="logs", Key=key, Body=b"no gzip at all")
    done = packager("logs", RUN_ID, cwd=project)
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize(
    "command",
    [("run",), ("status",), ("runs",), ("logs",), ("cancel", RUN_ID), ("deploy",)],
    ids=lambda words: words[0],
)
def test_credentials_that_have_expired_before_are_told(
    emr: Service,
    packager: Command,
    project: Path,  # noqa: F811
    command: tuple[str, ...],
) -> None:
    expire(emr)
    done = packager(*command, cwd=project)
    assert done.code == 4
    assert done.error[1] == "the credentials have expired"
    assert "log in again" in done.error[2]


def test_credentials_that_expire_before_a_run_is_cancelled_say_how_to_do_it_later(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
    clock: RigClock,  # noqa: F811
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    clock.interrupts = [emr.now + 60]
    emr.at(59.5, lambda: expire(emr))
    done = run()
    assert done.code == 4
    assert "the credentials have expired; the run goes on" in done.error[1]
    assert done.error[2].endswith(f"packager cancel {RUN_ID}")
    emr.faults.clear()
    assert packager("cancel", RUN_ID, cwd=project).code == 0


def test_credentials_that_expire_while_an_application_starts_leave_what_goes_on(
    emr: Service,
    packager: Command,
    project: Path,  # noqa: F811
) -> None:
    emr.at(3, lambda: expire(emr))
    told = packager("deploy", "--name", "other", "--start", cwd=project)
    assert (told.code, told.error[1]) == (4, "the credentials have expired")
    emr.faults.clear()
    assert packager("deploy", "--name", "other", "--start", cwd=project).code == 0
    assert [a.facts["name"] for a in emr.applications.values()] == ["app", "other"]


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_application_that_vanishes_before_the_start_is_told(
    emr: Service,
    run: Run,  # noqa: F811
    call: int,
) -> None:
    emr.each_call = 1
    emr.at(call, lambda: emr.vanish(APP))
    done = run()
    assert done.code == (2 if call == 1 else 4)
    assert "there is no application app" in done.err or "it is not there" in done.error[1]
    assert emr.runs == {}


def test_an_application_that_vanishes_under_an_interrupt_is_told(
    emr: Service,
    run: Run,  # noqa: F811
    clock: RigClock,  # noqa: F811
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    clock.interrupts = [emr.now + 60]
    emr.at(59.5, lambda: emr.vanish(APP))
    done = run()
    assert done.code == 4
    assert done.error[0] == f"the run {RUN_ID} can not be watched any longer"


@pytest.mark.parametrize("command", [("status", RUN_ID), ("logs", RUN_ID), ("cancel", RUN_ID)])
def test_runs_of_an_application_that_is_gone_are_told(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
    command: tuple[str, ...],
) -> None:
    assert run("--detach").code == 0
    emr.vanish(APP)
    done = packager(*command, cwd=project)
    assert (done.code, done.error[0]) == (2, "there is no application app")


def test_an_interrupt_while_the_last_logs_come_leaves_the_run_as_it_ended(
    emr: Service,
    run: Run,  # noqa: F811
    clock: RigClock,  # noqa: F811
) -> None:
    emr.plans = [Plan(late=40)]
    clock.interrupts = [emr.now + 95]
    done = run()
    assert done.code == 130
    assert [r.state for r in emr.runs.values()] == ["SUCCESS"]
    assert done.out in {"", "hello\n"}


def test_an_interrupt_before_the_start_leaves_nothing(
    emr: Service,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_words: object, **_more: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("packager.adapters.aws.jobfacts.job_facts", interrupted)
    assert run().code == 130
    assert emr.runs == {}


def test_a_clock_that_jumps_ends_no_wait_for_an_application(
    emr: Service,
    packager: Command,
    project: Path,  # noqa: F811
    clock: RigClock,  # noqa: F811
) -> None:
    clock.jump = 4000
    done = packager("deploy", "--name", "other", "--start", cwd=project)
    assert done.code == 0, done.err
    assert [a.facts["state"] for a in emr.applications.values()][1] == "STARTED"


def test_a_clock_that_is_wrong_is_told(
    emr: Service,
    run: Run,  # noqa: F811
) -> None:
    emr.refuse("*", 99, "RequestTimeTooSkewed", "The difference is too large", 403)
    done = run()
    assert (done.code, done.error[2]) == (4, "set the clock")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", *["a"] * 1_025), "1025 arguments"),
        (("--client-token", "t" * 65), "clientToken"),
        (("--client-token", "a b"), "clientToken"),
        (("--tag", f"{'k' * 129}=v"), "tags"),
        (("--log-group", "g" * 513), "logGroupName"),
        (("--log-uri", f"s3://b/{'k' * 10_281}"), "logUri"),
        (("--conf", "spark.a b=1"), "not a Spark property"),
        (("--conf", "spark.a"), "spark.a"),
        (("--conf", ""), "--conf"),
    ],
    ids=lambda value: f"{value[0]} {value[-1][:5]}" if isinstance(value, tuple) else value,
)
def test_what_is_too_long_or_no_word_is_refused_before_the_start(
    emr: Service,
    run: Run,  # noqa: F811
    words: tuple[str, ...],
    said: str,
) -> None:
    done = run(*words)
    assert done.code == 2, done.err
    assert said in f"{done.error[0]} {done.error[1]}"
    assert emr.asked("StartJobRun") == []


@pytest.mark.parametrize("odd", ["a b", "'", '"', "\\", ",", "a=b", "#", "a\nb", "ü€😀", "", " "])
def test_arguments_arrive_as_they_were_meant(
    emr: Service,
    run: Run,  # noqa: F811
    odd: str,
) -> None:
    assert run("--detach", "--no-preflight", "--", odd, "--x", odd).code == 0
    (request,) = emr.asked("StartJobRun")
    assert request["jobDriver"]["sparkSubmit"]["entryPointArguments"] == [odd, "--x", odd]


@pytest.mark.parametrize("operation", ["StartJobRun", "CancelJobRun"])
def test_a_start_that_was_interrupted_and_can_not_be_undone_is_told(
    emr: Service,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
) -> None:
    call = EmrServerless.call

    def interrupted(self: EmrServerless, name: str, request: Any) -> Any:
        answer = call(self, name, request)
        if name == "StartJobRun" and len(emr.asked(name)) == 1:
            emr.refuse(operation, 99, "ThrottlingException", "Rate exceeded", 429)
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(EmrServerless, "call", interrupted)
    done = run()
    assert done.code == 4
    assert done.error[0] == "the job was interrupted while it was started, and it may run"
    assert "packager runs" in done.error[2]
    assert len(emr.runs) == 1
