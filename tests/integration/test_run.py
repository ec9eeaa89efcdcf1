"""`packager run` on AWS: against the rig's EMR Serverless, S3, IAM and CloudWatch."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from packager.jobs.states import MEANINGS
from packager.record import RecordedImage, to_text
from tests.command import Command, Outcome
from tests.conftest import Golden
from tests.emrclock import RigClock
from tests.rig.aws import Cloud
from tests.rig.emrserverless.plans import Line, Plan
from tests.rig.emrserverless.service import Service
from tests.test_record import RECORD

pytestmark = pytest.mark.tools

ROLE = "arn:aws:iam::123456789012:role/job"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "emr-serverless.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
MONITORING = {"s3MonitoringConfiguration": {"logUri": "s3://logs/here/"}}


@pytest.fixture
def clock(emr: Service, monkeypatch: pytest.MonkeyPatch) -> RigClock:
    clock = RigClock(service=emr)
    monkeypatch.setattr("packager.adapters.clock.SteadyClock", lambda: clock)
    # The SDK's own patience sleeps, which is not the rig's time.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return clock


@pytest.fixture
def project(tmp_path: Path, cloud: Cloud, emr: Service, clock: RigClock) -> Path:
    """A project whose archives are published, and an application and a role for them."""
    (tmp_path / "pyproject.toml").write_text(
        f"""
        [project]
        name = "{RECORD.project}"
        version = "1"
        [tool.packager]
        release = "{RECORD.release}"
        arch = "{RECORD.arch}"
        s3-uri = "s3://code/jobs"
        [tool.packager.run]
        application = "app"
        role = "{ROLE}"
        """,
        encoding="utf-8",
    )
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / RECORD.name).write_text(to_text(RECORD), encoding="utf-8")
    s3 = boto3.client("s3")
    for bucket in ("code", "logs"):
        s3.create_bucket(Bucket=bucket)
    for artifact in RECORD.artifacts:
        s3.put_object(Bucket="code", Key=f"jobs/{artifact.file}", Body=b"")
    boto3.client("iam").create_role(RoleName="job", AssumeRolePolicyDocument=json.dumps(TRUST))
    make_application(emr)
    return tmp_path


def make_application(emr: Service, name: str = "app", **more: Any) -> str:
    facts = {
        "name": name,
        "releaseLabel": RECORD.release,
        "architecture": {"amd64": "X86_64", "arm64": "ARM64"}[RECORD.arch],
        "type": "SPARK",
        "monitoringConfiguration": MONITORING,
        "clientToken": name,
        **more,
    }
    made = emr.call("CreateApplication", facts)
    emr.advance(5)
    return str(made["applicationId"])


Run = Callable[..., Outcome]


@pytest.fixture
def run(packager: Command, project: Path) -> Run:
    def run(*arguments: str) -> Outcome:
        return packager("run", *arguments, cwd=project)

    return run


def states(outcome: Outcome) -> list[str]:
    known = (*MEANINGS, "attempt")
    return [
        w[0]
        for line in outcome.err.splitlines()
        if (w := line.replace(" ", ":").split(":"))[0] in known
    ]


def sent(emr: Service) -> dict[str, Any]:
    (request,) = emr.asked("StartJobRun")
    return request


def test_a_job_runs_and_its_output_is_ours(emr: Service, run: Run) -> None:
    emr.plans = [
        Plan(
            lines=(
                Line(at=1, text="one\ntw"),
                Line(at=40, text="o\nthree"),
                Line(at=2, text="INFO\n", stream="stderr"),
            )
        )
    ]
    done = run()
    assert done.code == 0, done.err
    assert done.out == "one\ntwo\nthree\n"
    assert states(done) == ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]
    assert "it ran for 1 min 0 s" in done.err
    assert "billed: 0.500 vCPU-hours" in done.err
    assert "logs: s3://logs/here/applications/00app00000000/jobs/00run00000000/" in done.err
    assert "dashboard" not in done.err  # its address lets in whoever reads a log of CI


def test_what_is_asked_for_is_what_was_packed(emr: Service, run: Run) -> None:
    assert run("--", "a b", "--flag", "ü", "", '"#\n').code == 0
    request = sent(emr)
    submit = request["jobDriver"]["sparkSubmit"]
    script = RECORD.entry_points[0].file
    assert submit["entryPoint"] == f"s3://code/jobs/{script}"
    assert submit["entryPointArguments"] == ["a b", "--flag", "ü", "", '"#\n']
    assert "#environment" in submit["sparkSubmitParameters"]
    assert request["executionRoleArn"] == ROLE
    assert request["name"] == RECORD.project
    assert len(request["clientToken"]) == 32 or request["clientToken"]


def test_all_that_the_api_has_can_be_asked_for(emr: Service, run: Run) -> None:
    done = run(
        *("--name", "über #1", "--timeout-minutes", "30", "--max-attempts", "3"),
        *("--tag", "team=data", "--log-uri", "s3://logs/other", "--log-group", "/g"),
    )
    assert done.code == 0, done.err
    request = sent(emr)
    assert request["name"] == "über #1"
    assert request["executionTimeoutMinutes"] == 30
    assert request["retryPolicy"] == {"maxAttempts": 3}
    assert request["tags"] == {"team": "data"}
    assert request["configurationOverrides"]["monitoringConfiguration"] == {
        "s3MonitoringConfiguration": {"logUri": "s3://logs/other"},
        "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": "/g"},
    }


@pytest.mark.parametrize("value", ["a b", "'", '"', "\\", " #=,ü ", "a\nb"])
def test_a_conf_that_is_no_word_arrives_as_it_was_meant(emr: Service, run: Run, value: str) -> None:
    emr.applications["00app00000000"].facts["runtimeConfiguration"] = [
        {"classification": "spark-defaults", "properties": {"spark.a": "of the application"}}
    ]
    assert run("--conf", f"spark.x={value}").code == 0
    (configuration,) = sent(emr)["configurationOverrides"]["applicationConfiguration"]
    # Before emr-spark-8.1.0 it takes the place of the application's own, which it has to repeat.
    assert configuration["properties"] == {"spark.a": "of the application", "spark.x": value}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--conf", "spark.x=" + "a " * 600), "1200 characters long"),
        (("--conf", "spark.x=" + "a" * 103_000), "sparkSubmitParameters are"),
        (("--name", "n" * 257), "257 characters long"),
        (("--conf", "spark.x=1", "--conf", "spark.x=2"), "given twice"),
        (("--tag", "ü=1"), "the job can not be started"),
        (("--mode", "streaming", "--timeout-minutes", "5"), "a streaming job has no timeout"),
        (("--max-attempts", "11"), "max-attempts is 11"),
        (("--role", "arn:aws:sts::123456789012:assumed-role/a/b"), "--role: "),
        (("--application", "other"), "there is no application other"),
        (("--logs", "nothing"), "--logs nothing"),
    ],
)
def test_what_can_not_be_is_told_before_anything_is_started(
    emr: Service, run: Run, arguments: tuple[str, ...], what: str
) -> None:
    done = run(*arguments)
    assert done.code == 2, done.err
    assert what in done.error[0]
    assert emr.asked("StartJobRun") == []


def test_a_dry_run_prints_the_call_and_makes_none(emr: Service, run: Run) -> None:
    done = run("--dry-run", "--client-token", "t")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["operation"] == "StartJobRun"
    assert told["request"]["clientToken"] == "t"
    assert emr.asked("StartJobRun") == []


def test_the_same_token_starts_one_run(emr: Service, run: Run) -> None:
    first = run("--detach", "--client-token", "build-7")
    again = run("--detach", "--client-token", "build-7")
    assert first.out == again.out == "00run00000000\n"
    assert len(emr.runs) == 1


FAILING = {
    "no capacity": Plan(
        outcome="FAILED",
        ends_in="SCHEDULED",
        details="Worker could not be allocated as the application has exceeded maximumCapacity.",
    ),
    "role": Plan(
        outcome="FAILED",
        ends_in="SUBMITTED",
        details="Could not assume execution role job because it does not exist or is not set up"
        " with the required trust relationship.",
    ),
    "module": Plan(
        outcome="FAILED",
        details="Job failed, please check complete logs in configured logging destination.",
        lines=(
            Line(at=2, text="Traceback\n", stream="stderr"),
            Line(at=3, text="ModuleNotFoundError: No module named 'nope'\n", stream="stderr"),
        ),
    ),
}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no capacity", "maximum capacity is used up"),
        ("role", "does not trust emr-serverless.amazonaws.com"),
        ("module", "Python does not find nope. No wheel of that name was packed."),
    ],
)
def test_a_failure_is_explained(emr: Service, run: Run, name: str, why: str) -> None:
    emr.plans = [FAILING[name]]
    done = run()
    assert done.code == 1
    assert why in done.err
    assert FAILING[name].details in done.err


def test_a_failure_that_nobody_knows_shows_the_end_of_the_log(emr: Service, run: Run) -> None:
    lines = tuple(Line(at=1, text=f"line {n}\n", stream="stderr") for n in range(50))
    emr.plans = [Plan(outcome="FAILED", lines=lines)]
    done = run()
    assert done.code == 1
    assert "the driver's stderr ends with:\n  line 30\n" in done.err
    assert "line 49\n" in done.err
    assert "line 29" not in done.err


def test_json_is_the_only_output(emr: Service, run: Run) -> None:
    emr.plans = [FAILING["module"]]
    done = run("--json")
    told = json.loads(done.out)
    assert (done.code, told["state"], told["explanations"][0]["rule"]) == (1, "FAILED", "module")
    assert told["billed"]["vCPUHours"] == 0.5


def test_attempts_are_told_apart(emr: Service, run: Run) -> None:
    emr.plans = [Plan(failed_attempts=2)]
    done = run("--max-attempts", "3")
    assert done.code == 0, done.err
    assert done.out == "hello\n" * 3
    assert states(done).count("attempt") == 2
    assert "took 3 attempts" in done.err


def test_executors_are_shown_if_they_are_asked_for(emr: Service, run: Run) -> None:
    emr.plans = [
        Plan(lines=(Line(at=1, text="d\n"), Line(at=1, text="x\n", worker="SPARK_EXECUTOR/2")))
    ]
    assert "executor" not in run().err
    assert "executor 2 stdout | x\n" in run("--logs", "stdout,executors").err


def test_logs_that_rotate_are_shown_once(emr: Service, run: Run) -> None:
    lines = tuple(Line(at=n / 2, text=f"{n:04}\n") for n in range(100))
    emr.plans = [Plan(lines=lines, rotation=64)]
    done = run()
    assert done.out == "".join(line.text for line in lines)


def test_logs_that_come_late_are_waited_for(emr: Service, run: Run) -> None:
    emr.plans = [Plan(late=18)]
    assert run().out == "hello\n"


def test_logs_that_never_come_are_not_waited_for_long(
    emr: Service, run: Run, clock: RigClock
) -> None:
    emr.plans = [Plan(logs=False)]
    done = run()
    assert (done.code, done.out) == (0, "")
    assert emr.now < 5 + 85 + 60


def test_logs_are_read_from_cloudwatch(emr: Service, run: Run, project: Path) -> None:
    boto3.client("logs").create_log_group(logGroupName="/jobs")
    emr.applications["00app00000000"].facts["monitoringConfiguration"] = {}
    emr.plans = [Plan(lines=(Line(at=1, text="one\ntwo\n"), Line(at=40, text="three\n")))]
    done = run("--log-group", "/jobs")
    assert done.code == 0, done.err
    assert done.out == "one\ntwo\nthree\n"


def test_without_logs_that_can_be_read_it_is_told(emr: Service, run: Run) -> None:
    emr.applications["00app00000000"].facts["monitoringConfiguration"] = {}
    done = run()
    assert done.code == 0
    assert "its logs go neither to S3 nor to CloudWatch" in done.err


INTERRUPTED = {"SUBMITTED": 1.0, "QUEUED": 3.0, "PENDING": 8.0, "SCHEDULED": 15.0, "RUNNING": 50.0}


@pytest.mark.parametrize("state", INTERRUPTED)
def test_an_interrupt_cancels_the_run(emr: Service, run: Run, clock: RigClock, state: str) -> None:
    emr.plans = [Plan(queued=5, hangs_in="RUNNING")]
    clock.interrupts = [emr.now + INTERRUPTED[state]]
    done = run()
    assert done.code == 130
    assert [r.state for r in emr.runs.values()] == ["CANCELLED"]
    assert states(done)[-1] == "CANCELLED"
    assert state in states(done)


def test_another_interrupt_leaves_at_once(emr: Service, run: Run, clock: RigClock) -> None:
    emr.plans = [Plan(hangs_in="RUNNING", cancelling=600)]
    clock.interrupts = [emr.now + 40, emr.now + 50]
    done = run()
    assert done.code == 130
    assert [r.state for r in emr.runs.values()] == ["CANCELLING"]


def test_a_run_that_was_cancelled_elsewhere_has_failed(emr: Service, run: Run) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    emr.at(60, lambda: emr.cancel(emr.runs["00run00000000"]))
    done = run()
    assert done.code == 1
    assert "CANCELLED" in done.err


def test_an_application_that_vanishes_is_told(emr: Service, run: Run) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    emr.at(60, lambda: emr.vanish("00app00000000"))
    done = run()
    assert done.code == 4
    assert done.error[0] == "the run 00run00000000 can not be watched any longer"


@pytest.mark.parametrize(("operation", "times"), [("GetJobRun", 3), ("*", 2)])
def test_a_busy_service_is_asked_again(emr: Service, run: Run, operation: str, times: int) -> None:
    emr.at(30, lambda: emr.refuse(operation, times, "ThrottlingException", "Rate exceeded", 429))
    done = run()
    assert done.code == 0, done.err
    assert "AWS asks to slow down" in done.err


def test_a_service_that_stays_busy_leaves_the_run_alone(emr: Service, run: Run) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    emr.at(30, lambda: emr.refuse("GetJobRun", 999, "InternalServerException", "no", 500))
    done = run()
    assert done.code == 4
    assert "packager logs 00run00000000 --follow" in done.error[2]


def test_what_a_run_tells(emr: Service, run: Run, golden: Golden) -> None:
    emr.plans = [
        Plan(queued=5, lines=(Line(at=1, text="42 rows\n"),)),
        replace(FAILING["module"], failed_attempts=1),
        FAILING["no capacity"],
    ]
    told = [run(), run("--max-attempts", "2"), run()]
    texts = [f"$ exit code {done.code}\n{done.err}--- stdout\n{done.out}" for done in told]
    golden.check("run.txt", "\n".join(texts))


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        *((("status",), o) for o in ("ListApplications", "GetApplication", "ListJobRuns")),
        (("status",), "GetJobRun"),
        (("runs",), "ListJobRuns"),
        (("logs",), "GetJobRun"),
        (("cancel", "00run00000000"), "CancelJobRun"),
    ],
)
def test_throttling_afterwards_is_told(
    emr: Service,
    run: Run,
    packager: Command,
    project: Path,
    command: tuple[str, ...],
    operation: str,
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    assert run("--detach").code == 0
    emr.advance(60)
    emr.refuse(operation, 1, "ThrottlingException", "Rate exceeded", 429)
    done = packager(*command, cwd=project)
    assert (done.code, "slow down" in done.error[1]) == (4, True)
    assert packager(*command, cwd=project).code == 0


@pytest.mark.parametrize("operation", ["ListApplications", "GetApplication", "StartJobRun"])
def test_throttling_before_the_start_is_told(emr: Service, run: Run, operation: str) -> None:
    emr.refuse(operation, 99, "ThrottlingException", "Rate exceeded", 429)
    done = run()
    assert done.code == 4
    assert "slow down" in done.error[1]
    assert not emr.runs


def test_credentials_that_expire_while_waiting_are_told(emr: Service, run: Run) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    emr.at(60, lambda: emr.refuse("GetJobRun", 9, "ExpiredTokenException", "expired", 403))
    done = run()
    assert done.code == 4
    assert "the credentials have expired; the run goes on" in done.error[1]
    assert "packager logs 00run00000000 --follow" in done.error[2]
    assert [r.state for r in emr.runs.values()] == ["RUNNING"]


def test_a_clock_that_jumps_ends_no_patience(emr: Service, run: Run, clock: RigClock) -> None:
    clock.jump = 4000
    emr.at(40, lambda: emr.refuse("GetJobRun", 2, "ThrottlingException", "Rate exceeded", 429))
    done = run()
    assert done.code == 0, done.err


def test_a_run_that_waits_for_long_is_given_a_hint(emr: Service, run: Run) -> None:
    emr.plans = [Plan(scheduled=1500)]
    done = run()
    assert done.code == 0
    assert done.err.count("workers are hard to get") == 1


def test_a_timeout_ends_what_hangs(emr: Service, run: Run) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    done = run("--timeout-minutes", "5")
    assert done.code == 1
    assert states(done)[-3:] == ["RUNNING", "CANCELLING", "CANCELLED"]


IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@sha256:" + "a" * 64


def with_image(project: Path) -> None:
    image = RecordedImage(
        base="base",
        base_digest="",
        digest="sha256:" + "a" * 64,
        config_digest="",
        size=1,
        reference=IMAGE,
    )
    record = replace(RECORD, images=(image,))
    (project / "dist" / RECORD.name).write_text(to_text(record), encoding="utf-8")


def test_the_environment_of_the_applications_image_is_used(
    emr: Service, run: Run, project: Path
) -> None:
    with_image(project)
    emr.applications["00app00000000"].facts["imageConfiguration"] = {"imageUri": IMAGE}
    done = run()
    assert done.code == 0, done.err
    text = sent(emr)["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    assert "spark.archives" not in text
    assert "PYSPARK_PYTHON=/opt/packager/environment/bin/python" in text


def test_archives_are_used_where_the_application_has_another_image(
    emr: Service, run: Run, project: Path
) -> None:
    with_image(project)
    other = IMAGE.replace("a" * 64, "b" * 64)
    emr.applications["00app00000000"].facts["imageConfiguration"] = {"imageUri": other}
    done = run()
    assert done.code == 0, done.err
    assert "spark.archives" in sent(emr)["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    assert f"warning: application app has the image {other}" in done.err


def test_what_is_on_this_machine_alone_is_not_started(
    emr: Service, run: Run, project: Path
) -> None:
    text = (project / "pyproject.toml").read_text().replace('s3-uri = "s3://code/jobs"', "")
    (project / "pyproject.toml").write_text(text)
    done = run()
    assert (done.code, emr.calls[1:]) == (2, [])
    assert done.error[2].startswith("publish them: packager publish")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (
            lambda: boto3.client("iam").update_assume_role_policy(
                RoleName="job",
                PolicyDocument=json.dumps(TRUST).replace("emr-serverless", "lambda"),
            ),
            f"emr-serverless.amazonaws.com may not be the role {ROLE}",
        ),
        (lambda: boto3.client("iam").delete_role(RoleName="job"), f"there is no role {ROLE}"),
        (
            lambda: boto3.client("s3").delete_object(
                Bucket="code", Key=f"jobs/{RECORD.artifacts[0].file}"
            ),
            f"s3://code/jobs/{RECORD.artifacts[0].file} is not there",
        ),
    ],
    ids=["trust", "role", "file"],
)
def test_what_would_fail_is_told_before(
    emr: Service, run: Run, spoil: Callable[[], object], what: str
) -> None:
    spoil()
    done = run()
    assert done.code == 2
    assert done.error[0] == what
    assert emr.runs == {}
    assert run("--no-preflight").code == 0


# What became of runs.


@pytest.fixture
def ended(emr: Service, run: Run) -> Service:
    """A run that has succeeded, and one that has failed."""
    emr.plans = [
        Plan(lines=(Line(at=1, text="fine\n"), Line(at=2, text="INFO\n", stream="stderr"))),
        FAILING["module"],
    ]
    assert run().code == 0
    assert run().code == 1
    return emr


def test_runs_are_listed_newest_first(ended: Service, packager: Command, project: Path) -> None:
    done = packager("runs", cwd=project)
    assert [line.split()[0] for line in done.out.splitlines()] == ["00run00000001", "00run00000000"]
    failed = packager("runs", "--state", "failed", "--json", cwd=project)
    assert [run["jobRunId"] for run in json.loads(failed.out)] == ["00run00000001"]
    assert packager("runs", "--state", "odd", cwd=project).code == 2


def test_more_runs_than_a_page_holds_are_listed(
    emr: Service, run: Run, packager: Command, project: Path
) -> None:
    assert run("--detach").code == 0
    for number in range(60):
        facts = {**emr.runs["00run00000000"].facts, "jobRunId": f"00more{number}"}
        emr.runs[facts["jobRunId"]] = replace(emr.runs["00run00000000"], facts=facts)
    done = packager("runs", "-n", "55", cwd=project)
    assert len(done.out.splitlines()) == 55


def test_a_status_tells_why_the_newest_failed(
    ended: Service, packager: Command, project: Path
) -> None:
    done = packager("status", cwd=project)
    assert done.code == 1
    assert done.out.startswith("00run00000001 FAILED")
    assert "Python does not find nope" in done.err
    other = packager("status", "00run00000000", "--dashboard", "--json", cwd=project)
    told = json.loads(other.out)
    assert (other.code, told["state"]) == (0, "SUCCESS")
    assert told["dashboard"].startswith("https://dashboard.invalid/")


def test_logs_of_a_run_can_be_read_again(ended: Service, packager: Command, project: Path) -> None:
    assert packager("logs", "00run00000000", cwd=project).out == "fine\n"
    both = packager("logs", "00run00000000", "--logs", "all", cwd=project)
    assert both.err == "driver stderr | INFO\n"


def test_logs_can_be_followed_by_somebody_else(
    emr: Service, run: Run, packager: Command, project: Path
) -> None:
    emr.plans = [Plan(lines=(Line(at=1, text="a\n"), Line(at=50, text="b\n")))]
    assert run("--detach").code == 0
    assert packager("logs", "--follow", cwd=project).out == "a\nb\n"


def test_who_only_follows_cancels_nothing(
    emr: Service, run: Run, packager: Command, project: Path, clock: RigClock
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    assert run("--detach").code == 0
    clock.interrupts = [emr.now + 60]
    assert packager("logs", "--follow", cwd=project).code == 130
    assert [r.state for r in emr.runs.values()] == ["RUNNING"]


def test_a_run_can_be_cancelled_and_that_twice(
    emr: Service, run: Run, packager: Command, project: Path
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    assert run("--detach").code == 0
    first = packager("cancel", "00run00000000", cwd=project)
    assert first.out.startswith("00run00000000 CANCELLING")
    emr.advance(10)
    again = packager("cancel", "00run00000000", cwd=project)
    assert (again.code, again.out.split()[1]) == (0, "CANCELLED")
    for command in ("cancel", "status", "logs"):
        nope = packager(command, "00nope", cwd=project)
        assert (nope.code, nope.error[0]) == (2, "the application app has no run 00nope")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--local", "--dry-run"), "--dry-run means nothing with --local"),
        (
            ("--local", "--detach", "--no-preflight", "--tag", "a=b"),
            "--tag, --detach, --no-preflight mean nothing with --local",
        ),
        (("--workers", "3"), "--workers means nothing without --local"),
        (("--verbose",), "--verbose means nothing without --local"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_mean_nothing_are_not_passed_over(
    emr: Service, run: Run, words: tuple[str, ...], what: str
) -> None:
    done = run(*words)
    assert (done.code, done.error[0]) == (2, what)
    assert emr.calls[2:] == []  # but for making the application


def test_logs_that_have_nothing_say_where_to_look(
    ended: Service, packager: Command, project: Path
) -> None:
    done = packager("logs", "00run00000001", cwd=project)
    assert (done.code, done.out) == (0, "")
    assert "stdout of the driver: nothing of 00run00000001, FAILED" in done.err
    assert "--logs all" in done.err


def test_an_interrupt_while_it_is_started_leaves_no_run_that_nobody_knows_of(
    emr: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from packager.adapters.aws.emr import EmrServerless

    call = EmrServerless.call

    def interrupted(self: EmrServerless, operation: str, request: Any) -> Any:
        answer = call(self, operation, request)
        if operation == "StartJobRun" and len(emr.asked(operation)) == 1:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(EmrServerless, "call", interrupted)
    assert run().code == 130
    emr.advance(10)
    assert [r.state for r in emr.runs.values()] == ["CANCELLED"]


def test_what_a_run_cost_is_told_with_the_users_own_prices(
    emr: Service, run: Run, project: Path
) -> None:
    (project / "prices.toml").write_text(
        """
        currency = "EUR"
        minimum_seconds = 60
        free_storage_gb = 20
        [region.us-east-1.ARM64]
        vcpu = 1.0
        memory = 0.1
        storage = 0.01
        date = 2026-11-01
        """
    )
    text = (project / "pyproject.toml").read_text()
    path = project / "pyproject.toml"
    path.write_text(
        text.replace("[tool.packager]", '[tool.packager]\n        prices = "prices.toml"')
    )
    assert "cost: 0.7025 EUR at the prices of 2026-11-01 for us-east-1" in run().err
    assert json.loads(run("--json").out)["cost"]["amount"] == 0.7025


def test_a_cost_that_is_not_known_is_not_made_up(
    emr: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-1")
    assert "no price" in run("--no-preflight").err
