"""AWS asks to slow down, at S3, CloudWatch, IAM, STS and ECR: twice, or without an end.

What EMR Serverless itself does so is in `test_run.py` and `test_deploy.py`.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.retries.standard import ExponentialBackoff

from packager.adapters.aws.session import TRIES
from tests import awsfront
from tests.awsfront import Front
from tests.command import Command
from tests.emrclock import RigClock
from tests.integration.test_run import (  # noqa: F401  # fixtures
    FAILING,
    ROLE,
    Run,
    clock,
    project,
    run,
    states,
)
from tests.rig.aws import ACCOUNT, REGION, Cloud
from tests.rig.emrserverless.plans import Line, Plan
from tests.rig.emrserverless.service import Service

pytestmark = pytest.mark.tools

RUN_ID = "00run00000000"
LINES = (Line(at=1, text="one\ntwo\n"), Line(at=40, text="three\n"))
HEADS = "HEAD *"
LOGS_IN_S3 = "GET /logs*"
POLICY = ("--region", REGION, "--s3-uri", "s3://code/jobs")


@pytest.fixture
def slept(clock: RigClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:  # noqa: F811
    """What the SDK would sleep between its tries, with the patience that packager gives it."""
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    waits: list[float] = []
    delay = ExponentialBackoff.delay_amount

    def recorded(self: Any, context: Any) -> float:
        waits.append(delay(self, context))
        return 0

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", recorded)
    return waits


@pytest.fixture
def front(
    project: Path,  # noqa: F811
    cloud: Cloud,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Front]:
    """Before all of AWS but EMR Serverless."""
    with awsfront.serve(cloud.endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.endpoint)
        yield front


def to_cloudwatch(emr: Service) -> None:
    boto3.client("logs").create_log_group(logGroupName="/jobs")
    emr.applications["00app00000000"].facts["monitoringConfiguration"] = {
        "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": "/jobs"}
    }


def to_s3(emr: Service) -> None:
    del emr


def without_role(project: Path) -> None:  # noqa: F811
    """Nothing says what the account is, then."""
    path = project / "pyproject.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if "role = " not in line), encoding="utf-8")


COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "logs": ("logs", RUN_ID, "--logs", "all"),
    "follow": ("logs", RUN_ID, "--follow"),
    "status": ("status", RUN_ID),
    "policy": ("policy", "runtime-role", *POLICY),
    "create": ("policy", "runtime-role", *POLICY, "--create", "Reads", "--attach", "job"),
    "trust": ("policy", "trust", *POLICY, "--application", "00a", "--create", "job"),
}
ASKED: dict[tuple[str, Callable[[Service], None]], set[str]] = {
    ("run", to_s3): {"HEAD /code", "HEAD /logs", "GetRole", "GET /logs"},
    ("run", to_cloudwatch): {"HEAD /code", "GetRole", "DescribeLogStreams", "GetLogEvents"},
    ("logs", to_s3): {"GET /logs"},
    ("logs", to_cloudwatch): {"DescribeLogStreams", "GetLogEvents"},
    ("follow", to_s3): {"GET /logs"},
    ("follow", to_cloudwatch): {"DescribeLogStreams", "GetLogEvents"},
    ("status", to_s3): {"GET /logs"},
    ("status", to_cloudwatch): {"DescribeLogStreams", "GetLogEvents"},
    ("policy", to_s3): {"GetCallerIdentity"},
    ("create", to_s3): {"GetCallerIdentity", "GetPolicy", "CreatePolicy", "AttachRolePolicy"},
    ("trust", to_s3): {"GetCallerIdentity", "GetRole", "UpdateAssumeRolePolicy"},
}
"""Some of the calls that each makes, so that a test is known to have met them."""


@pytest.mark.parametrize(
    ("name", "logs"), ASKED, ids=lambda value: getattr(value, "__name__", value)
)
def test_whatever_is_throttled_twice_is_asked_again(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
    front: Front,
    slept: list[float],
    name: str,
    logs: Callable[[Service], None],
) -> None:
    logs(emr)
    if name == "policy":
        without_role(project)
    failing = Plan(outcome="FAILED", lines=(*LINES, *FAILING["module"].lines))
    emr.plans = [failing if name == "status" else Plan(lines=LINES)]
    if name in {"logs", "follow", "status"}:
        run("--detach", "--no-preflight")
        emr.advance(200)
    reads = name in {"logs", "follow", "status", "policy"}  # which tells the same twice
    calm = packager(*COMMANDS[name], cwd=project) if reads else None
    front.asked.clear()
    front.throttled = {"*": 2}
    done = packager(*COMMANDS[name], cwd=project)
    assert done.code == (1 if name == "status" else 0), done.err
    assert ASKED[name, logs] <= set(front.asked)
    assert all(front.tries(operation) >= 3 for operation in ASKED[name, logs])
    assert len(slept) == 2 * len(set(front.asked))
    if calm is not None:
        assert (done.out, done.err) == (calm.out, calm.err)
    if name == "run":
        assert done.out == "one\ntwo\nthree\n"
        assert "warning" not in done.err


ENDLESS = {
    ("policy", "GetCallerIdentity"): "the account is not known",
    ("create", "GetCallerIdentity"): "AWS does not tell who you are",
    ("create", "GetPolicy"): "the policy Reads can not be made",
    ("create", "CreatePolicy"): "the policy Reads can not be made",
    ("create", "AttachRolePolicy"): "the policy can not be attached to job",
    ("trust", "GetRole"): "the role job can not be made",
    ("trust", "UpdateAssumeRolePolicy"): "who may be the role job can not be changed",
    ("run", "GetRole"): f"the role {ROLE} can not be looked at",
    ("run", "HEAD /code"): "the bucket code can not be looked at",
    ("run", "HEAD /code/*"): "can not be looked at",
    ("run", "HEAD /logs"): "the bucket logs can not be looked at",
    ("logs", "GET /logs"): "can not be listed",
    ("logs", "GET /logs/*"): "can not be read",
    ("follow", "GET /logs"): "can not be listed",
    ("follow", "GET /logs/*"): "can not be read",
}


@pytest.mark.parametrize(("name", "operation"), ENDLESS)
def test_throttling_without_an_end_is_told(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
    front: Front,
    slept: list[float],
    name: str,
    operation: str,
) -> None:
    if name == "policy":
        without_role(project)
    if name in {"logs", "follow"}:
        assert run("--detach", "--no-preflight").code == 0
        emr.advance(200)
    front.throttled = {operation: 10**6}
    done = packager(*COMMANDS[name], cwd=project)
    assert done.code == 4, done.err
    assert ENDLESS[name, operation] in done.error[0]
    assert "AWS asks to slow down, and did so at every try" in done.error[1]
    assert "later" in done.error[2]
    looks = 10 if name == "follow" else 1
    assert TRIES <= front.tries(operation) <= TRIES * looks
    assert len(slept) * TRIES == front.tries(operation) * (TRIES - 1)
    if name == "run":
        assert emr.runs == {}
        assert "--no-preflight" in done.error[2]


@pytest.mark.parametrize(
    ("logs", "operation"),
    [
        (to_s3, LOGS_IN_S3),
        (to_cloudwatch, "DescribeLogStreams"),
        (to_cloudwatch, "GetLogEvents"),
    ],
)
@pytest.mark.parametrize("outcome", ["SUCCESS", "FAILED"])
def test_a_run_whose_logs_can_not_be_had_is_watched_to_its_end(
    emr: Service,
    run: Run,  # noqa: F811
    front: Front,
    logs: Callable[[Service], None],
    operation: str,
    outcome: str,
) -> None:
    logs(emr)
    emr.plans = [Plan(outcome=outcome)]
    front.throttled = {operation: 10**6}
    done = run("--quiet")
    assert (done.code, done.out) == ({"SUCCESS": 0, "FAILED": 1}[outcome], "")
    assert done.err.startswith("warning: the logs are not complete: ")
    assert f"later, packager logs {RUN_ID} shows them" in done.err
    assert ("the logs can not be read: AWS asks to slow down" in done.err) == (outcome == "FAILED")
    assert emr.now < 5 + 85 + 120


def test_logs_that_were_throttled_for_long_come_whole(
    emr: Service,
    run: Run,  # noqa: F811
    front: Front,
) -> None:
    emr.plans = [Plan(failed_attempts=1, lines=LINES)]
    front.throttled = {LOGS_IN_S3: 10**6}
    emr.at(120, front.throttled.clear)  # the second attempt runs by now
    done = run("--max-attempts", "2")
    assert done.code == 0, done.err
    assert done.out == "one\ntwo\nthree\n" * 2
    assert done.err.count("it is asked again") == 1
    assert "warning" not in done.err


def test_who_may_not_read_the_logs_still_learns_how_it_ended(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
    front: Front,
) -> None:
    front.denied = {"GET /logs"}
    done = run()
    assert (done.code, done.out) == (0, "")
    assert states(done)[-1] == "SUCCESS"
    assert done.err.count("warning: the run is watched without its logs") == 1
    followed = packager("logs", RUN_ID, "--follow", cwd=project)
    assert (followed.code, "AWS denies it" in followed.error[1]) == (4, True)


def test_a_log_that_ends_in_the_middle_is_read_again(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
    front: Front,
) -> None:
    text = "".join(f"{n:05}\n" for n in range(9000))
    emr.plans = [Plan(lines=(Line(at=1, text=text),))]
    front.cut = {"GET /logs/*": 2}
    done = run()
    assert done.code == 0, done.err
    assert done.out == text
    front.cut = {"GET /logs/*": 10**6}
    broken = packager("logs", RUN_ID, cwd=project)
    assert broken.code == 4
    assert broken.error[0].endswith("can not be read")


def test_a_log_that_is_rotated_away_while_it_is_read_is_found_again(
    emr: Service,
    run: Run,  # noqa: F811
    front: Front,
    cloud: Cloud,
) -> None:
    emr.plans = [Plan(lines=tuple(Line(at=n, text=f"{n:04}\n") for n in range(50)))]
    s3 = boto3.client("s3", endpoint_url=cloud.endpoint)
    gone: list[str] = []

    def rotate() -> None:
        """Between the list and the read: the next refresh writes it anew."""
        for entry in s3.list_objects_v2(Bucket="logs").get("Contents", ()):
            s3.delete_object(Bucket="logs", Key=entry["Key"])
            gone.append(entry["Key"])

    # The first looks find nothing yet.
    front.after = {"GET /logs": [*[lambda: None] * 8, rotate]}
    done = run()
    assert done.code == 0, done.err
    assert gone
    assert done.out == "".join(f"{n:04}\n" for n in range(50))


def test_throttling_while_a_run_is_cancelled_leaves_none_that_costs(
    emr: Service,
    run: Run,  # noqa: F811
    clock: RigClock,  # noqa: F811
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    clock.interrupts = [emr.now + 60]
    emr.at(55, lambda: emr.refuse("CancelJobRun", 3, "ThrottlingException", "Rate exceeded", 429))
    done = run()
    assert done.code == 130
    assert [r.state for r in emr.runs.values()] == ["CANCELLED"]


def test_a_run_that_can_not_be_cancelled_is_told(
    emr: Service,
    run: Run,  # noqa: F811
    clock: RigClock,  # noqa: F811
) -> None:
    emr.plans = [Plan(hangs_in="RUNNING")]
    clock.interrupts = [emr.now + 60]
    emr.at(55, lambda: emr.refuse("CancelJobRun", 10**6, "ThrottlingException", "Rate", 429))
    done = run()
    assert done.code == 4
    assert done.error[0] == "the run can not be cancelled"
    assert done.error[2].endswith(f"packager cancel {RUN_ID}")
    assert [r.state for r in emr.runs.values()] == ["RUNNING"]


def test_a_dashboard_that_can_not_be_had_is_told_to_who_asked_for_it(
    emr: Service,
    run: Run,  # noqa: F811
    packager: Command,
    project: Path,  # noqa: F811
) -> None:
    assert run().code == 0
    emr.refuse("GetDashboardForJobRun", 10, "ThrottlingException", "Rate exceeded", 429)
    done = packager("status", RUN_ID, "--dashboard", cwd=project)
    assert done.code == 0
    assert "warning: the dashboard's address can not be had: AWS asks to slow down" in done.err
    assert "warning" not in packager("status", RUN_ID, cwd=project).err


IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/app@sha256:{'a' * 64}"
NARROW = ("deploy", "--name", "other", "--image", IMAGE, "--narrow-policy")
DOCTOR = ("doctor", "--s3-uri", "s3://code/jobs", "--repository", "team/app", "--role", ROLE)


def forget_policy() -> None:
    ecr = boto3.client("ecr")
    with contextlib.suppress(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.delete_repository_policy(repositoryName="team/app")


@pytest.fixture
def repository(front: Front) -> None:
    del front  # it sets up where ECR is looked for
    boto3.client("ecr").create_repository(repositoryName="team/app")


@pytest.mark.parametrize(
    ("command", "calls"),
    [
        (NARROW, {"DescribeRepositories", "GetRepositoryPolicy", "SetRepositoryPolicy"}),
        (DOCTOR, {"DescribeRepositories", "GetCallerIdentity", "GetRole", "HEAD /code"}),
    ],
    ids=["deploy", "doctor"],
)
def test_throttling_of_ecr_is_waited_out_or_told(
    emr: Service,
    packager: Command,
    project: Path,  # noqa: F811
    front: Front,
    repository: None,
    command: tuple[str, ...],
    calls: set[str],
) -> None:
    calm = packager(*command, cwd=project)
    if command is NARROW:  # as it was before
        emr.vanish("00app00000001")
        forget_policy()
    front.asked.clear()
    front.throttled = {"*": 2}
    done = packager(*command, cwd=project)
    assert done.code == calm.code, done.err
    assert calls <= set(front.asked)
    assert all(front.tries(call) >= 3 for call in calls)
    if command is DOCTOR:
        assert done.out == calm.out
    for call in calls:
        front.throttled = {}
        if command is NARROW:  # there is something to change again
            forget_policy()
        front.asked.clear()
        front.throttled = {call: 10**6}
        told = packager(*command, cwd=project)
        assert told.code == (1 if command is DOCTOR else 4), (call, told.err)
        assert "AWS asks to slow down" in f"{told.out}{told.err}"
        assert front.tries(call) in {TRIES, 2 * TRIES}  # two of doctor's points ask the same
