"""`packager deploy`: against the rig's EMR Serverless and ECR."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from packager.record import to_text
from tests.command import Command, Outcome
from tests.conftest import Golden
from tests.emrclock import RigClock
from tests.rig.aws import Cloud
from tests.rig.emrserverless.plans import Plan
from tests.rig.emrserverless.service import Service
from tests.test_record import RECORD

pytestmark = pytest.mark.tools

APP = "00app00000000"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@sha256:" + "a" * 64
OTHER = IMAGE.replace("a" * 64, "b" * 64)
TABLE = """
[tool.packager.application]
name = "app"
auto-stop-minutes = 10
subnets = ["subnet-1"]
security-groups = ["sg-1"]
max-concurrent-runs = 5
log-uri = "s3://logs/here"
conf = { "spark.executor.cores" = 2 }
tags = { team = "data" }
maximum-capacity = { cpu = "100 vCPU", memory = "400 GB" }
"""

Deploy = Callable[..., Outcome]


@pytest.fixture
def clock(emr: Service, monkeypatch: pytest.MonkeyPatch) -> RigClock:
    clock = RigClock(service=emr)
    monkeypatch.setattr("packager.adapters.clock.SteadyClock", lambda: clock)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return clock


@pytest.fixture
def deploy(packager: Command, tmp_path: Path, clock: RigClock) -> Deploy:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / RECORD.name).write_text(to_text(RECORD), encoding="utf-8")

    def deploy(*arguments: str, table: str = TABLE) -> Outcome:
        text = f'[project]\nname = "fruit"\nversion = "1"\n[tool.packager]\n{table}'
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        return packager("deploy", *arguments, cwd=tmp_path)

    return deploy


def facts(emr: Service) -> dict[str, Any]:
    return emr.applications[APP].facts


def changing(emr: Service) -> list[str]:
    return [name for name, _ in emr.calls if not name.startswith(("Get", "List"))]


def test_an_application_is_created_as_it_is_described(emr: Service, deploy: Deploy) -> None:
    done = deploy()
    assert done.code == 0, done.err
    assert done.out == f"{APP}\n"
    found = facts(emr)
    assert found["state"] == "CREATED"
    assert found["releaseLabel"] == RECORD.release
    assert found["architecture"] == "ARM64"
    assert found["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 10}
    assert found["networkConfiguration"] == {
        "subnetIds": ["subnet-1"],
        "securityGroupIds": ["sg-1"],
    }
    assert found["schedulerConfiguration"] == {"maxConcurrentRuns": 5}
    assert found["tags"] == {"team": "data"}
    assert found["runtimeConfiguration"] == [
        {"classification": "spark-defaults", "properties": {"spark.executor.cores": "2"}}
    ]


def test_the_same_again_changes_nothing(emr: Service, deploy: Deploy) -> None:
    assert deploy().code == 0
    done = deploy()
    assert done.code == 0, done.err
    assert changing(emr) == ["CreateApplication"]
    assert "app is as it should be" in done.err


def test_only_what_differs_is_sent(emr: Service, deploy: Deploy) -> None:
    deploy()
    done = deploy(table=TABLE.replace("100 vCPU", "200vcpu").replace("data", "core"))
    assert done.code == 0, done.err
    (update,) = emr.asked("UpdateApplication")
    assert set(update) - {"applicationId", "clientToken"} == {"maximumCapacity"}
    assert "maximumCapacity.cpu: 100 vCPU -> 200 vCPU" in done.err
    assert facts(emr)["tags"] == {"team": "core"}


def test_a_started_application_is_stopped_for_what_needs_it(emr: Service, deploy: Deploy) -> None:
    deploy("--start")
    assert facts(emr)["state"] == "STARTED"
    done = deploy(table=TABLE.replace("auto-stop-minutes = 10", "auto-stop-minutes = 20"))
    assert done.code == 0, done.err
    assert changing(emr)[-3:] == ["StopApplication", "UpdateApplication", "StartApplication"]
    assert facts(emr)["state"] == "STARTED"
    assert facts(emr)["autoStopConfiguration"]["idleTimeoutMinutes"] == 20


def test_it_is_not_stopped_for_what_does_not(emr: Service, deploy: Deploy) -> None:
    deploy("--start")
    deploy(table=TABLE.replace("100 vCPU", "200 vCPU"))
    assert "StopApplication" not in changing(emr)


def test_runs_are_not_cut_off(emr: Service, deploy: Deploy) -> None:
    deploy("--start")
    start_run(emr, Plan(logs=False))
    changed = TABLE.replace("auto-stop-minutes = 10", "auto-stop-minutes = 20")
    refused = deploy(table=changed)
    assert refused.code == 2
    assert "1 run of the application has not ended: 00run00000000" in refused.error[0]
    done = deploy("--wait-for-runs", table=changed)
    assert done.code == 0, done.err
    assert emr.runs["00run00000000"].state == "SUCCESS"


def start_run(emr: Service, plan: Plan) -> None:
    emr.plans = [plan]
    request = {
        "applicationId": APP,
        "clientToken": "x",
        "executionRoleArn": "arn:aws:iam::123456789012:role/job",
        "jobDriver": {"sparkSubmit": {"entryPoint": "s3://b/m.py"}},
    }
    emr.call("StartJobRun", request)


def test_what_a_dry_run_prints(emr: Service, deploy: Deploy, golden: Golden) -> None:
    fresh = deploy("--dry-run").out
    deploy("--start")
    as_it_is = deploy("--dry-run").out
    changed = TABLE.replace("minutes = 10", "minutes = 20").replace('"data"', '"core"')
    changed = changed.replace("100 vCPU", "200 vCPU").replace('["sg-1"]', '["sg-1", "sg-2"]')
    changed = changed.replace('cores" = 2 }', 'cores" = 4, "spark.x" = "a b" }')
    texts = [fresh, as_it_is, deploy("--dry-run", table=changed).out]
    golden.check("deploy-dry-run.txt", "---\n".join(texts))


def test_a_dry_run_tells_what_would_change(emr: Service, deploy: Deploy) -> None:
    fresh = deploy("--dry-run")
    assert fresh.code == 0, fresh.err
    assert "app would be created" in fresh.out
    deploy("--start")
    before = len(changing(emr))
    table = TABLE.replace("auto-stop-minutes = 10", "auto-stop-minutes = false")
    done = deploy("--dry-run", table=table)
    assert "autoStopConfiguration.enabled: True -> False" in done.out
    assert "it would be stopped and started: autoStopConfiguration" in done.out
    planned = json.loads(deploy("--dry-run", "--json", table=table).out)
    assert [call["operation"] for call in planned] == [
        "StopApplication",
        "UpdateApplication",
        "StartApplication",
    ]
    assert len(changing(emr)) == before


def test_the_image_that_it_uses_is_the_one_that_was_pushed(emr: Service, deploy: Deploy) -> None:
    done = deploy("--image", IMAGE, "--start")
    assert done.code == 0, done.err
    assert f"it uses sha256:{'a' * 64}" in done.err
    # emr-7.13.0 resolves it when it starts: a new one is used after that alone.
    done = deploy("--image", OTHER)
    assert "stopping it: it resolves its image when it starts" in done.err
    assert f"it uses sha256:{'b' * 64}" in done.err


def test_another_image_than_the_pushed_one_is_no_success(
    emr: Service, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy("--image", IMAGE, "--start")
    facts(emr)["imageConfiguration"]["resolvedImageDigest"] = "sha256:" + "c" * 64
    done = deploy("--image", IMAGE)
    assert done.code == 1
    assert done.error[0] == f"the application uses sha256:{'c' * 64}"


def test_driver_and_executors_may_have_images_of_their_own(emr: Service, deploy: Deploy) -> None:
    table = f'{TABLE}\nimage = {{ driver = "{IMAGE}", executor = "{OTHER}" }}'
    assert deploy("--start", table=table).code == 0
    workers = facts(emr)["workerTypeSpecifications"]
    assert workers["Driver"]["imageConfiguration"]["imageUri"] == IMAGE
    assert workers["Executor"]["imageConfiguration"]["imageUri"] == OTHER
    one = deploy("--image", IMAGE, table=TABLE)
    assert one.code == 2
    assert "has workerTypeSpecifications, and imageConfiguration is wanted" in one.error[0]


def test_initial_capacity_is_replaced_whole(emr: Service, deploy: Deploy) -> None:
    initial = """
    [tool.packager.application.initial-capacity.driver]
    workers = 1
    cpu = "4 vCPU"
    memory = "16 GB"
    """
    assert deploy(table=TABLE + initial).code == 0
    assert deploy(table=TABLE + initial).code == 0
    assert changing(emr) == ["CreateApplication"]
    assert deploy(table=TABLE + initial.replace("workers = 1", "workers = 2")).code == 0
    assert facts(emr)["initialCapacity"]["DRIVER"]["workerCount"] == 2


def test_the_repositorys_policy_is_narrowed_to_it(
    emr: Service, deploy: Deploy, cloud: Cloud
) -> None:
    ecr = boto3.client("ecr")
    ecr.create_repository(repositoryName="team/app")
    done = deploy("--image", IMAGE, "--narrow-policy")
    assert done.code == 0, done.err
    text = ecr.get_repository_policy(repositoryName="team/app")["policyText"]
    assert facts(emr)["arn"] in text
    assert "/applications/*" not in text
    assert "all applications of the account may pull" in done.err


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ('name = "a b"', "the application can not be created"),
        ('nam = "a"', "no key 'nam'"),
        ('maximum-capacity = { cpu = "many", memory = "4 GB" }', "`maximum-capacity`"),
        ("queue-timeout-minutes = 5", "`queue-timeout-minutes`"),
        ('image = "public.ecr.aws/a/b:1"', "`image`"),
        ('type = "flink"', "`type`"),
        (
            'initial-capacity = { driver = { workers = 1, cpu = "4 vCPU", memory = "31 GB" } }',
            "a worker of 4 vCPU can not have 31 GB",
        ),
        (
            'initial-capacity = { driver = { workers = 1, cpu = "3 vCPU", memory = "8 GB" } }',
            "there are no workers of 3 vCPU",
        ),
        ('[tool.packager.application.tags]\n"é" = "x"', "the application can not be created"),
        ("[tool.packager.application.api]\nnothing = 1", "the application can not be created"),
    ],
)
def test_what_can_not_be_is_told_before_any_change(
    emr: Service, deploy: Deploy, table: str, what: str
) -> None:
    done = deploy(table=f"[tool.packager.application]\n{table}")
    assert done.code == 2, done.err
    assert what in done.error[0]
    assert changing(emr) == []


def test_two_of_a_name_are_not_guessed_at(emr: Service, deploy: Deploy) -> None:
    for token in "ab":
        request = {"name": "app", "releaseLabel": "emr-7.13.0", "type": "SPARK"}
        emr.call("CreateApplication", {**request, "clientToken": token})
    done = deploy()
    assert done.code == 2
    assert done.error[0] == "2 applications are called app"


def test_an_application_keeps_its_type(emr: Service, deploy: Deploy) -> None:
    deploy()
    done = deploy(table=TABLE + '\ntype = "hive"')
    assert (done.code, done.error[1]) == (2, "an application keeps its type")


def test_it_is_deleted_after_a_yes(emr: Service, deploy: Deploy) -> None:
    deploy("--start")
    refused = deploy("--delete")
    assert refused.code == 2
    assert refused.error[2] == "say so: --yes"
    done = deploy("--delete", "--yes")
    assert done.code == 0, done.err
    assert emr.applications == {}
    again = deploy("--delete", "--yes")
    assert (again.code, again.err) == (0, "there is no application app\n")


@pytest.mark.parametrize("operation", ["CreateApplication", "UpdateApplication", "*"])
def test_throttling_is_told_and_what_was_done_is_gone_on_from(
    emr: Service, deploy: Deploy, operation: str
) -> None:
    changed = TABLE.replace("100 vCPU", "200 vCPU")
    if operation == "UpdateApplication":
        deploy()
    emr.refuse(operation, 1, "ThrottlingException", "Rate exceeded", 429)
    done = deploy(table=changed)
    assert done.code == 4
    assert "slow down" in done.error[1]
    assert deploy(table=changed).code == 0
    assert facts(emr)["maximumCapacity"]["cpu"] == "200 vCPU"


CALLS = ("GetApplication", "ListApplications")
CHANGES = ("StopApplication", "UpdateApplication", "TagResource", "StartApplication")


@pytest.mark.parametrize("operation", [*CALLS, *CHANGES])
def test_throttling_at_any_call_leaves_what_the_next_deploy_finishes(
    emr: Service, deploy: Deploy, operation: str
) -> None:
    assert deploy("--start").code == 0
    changed = TABLE.replace("minutes = 10", "minutes = 20").replace('"data"', '"core"')
    emr.refuse(operation, 1, "ThrottlingException", "Rate exceeded", 429)
    done = deploy("--start", table=changed)
    if operation in {"UpdateApplication", "TagResource", "StopApplication", "StartApplication"}:
        assert (done.code, "slow down" in done.error[1]) == (4, True)
    else:
        assert done.code in {0, 4}
    assert deploy("--start", table=changed).code == 0
    found = facts(emr)
    assert found["autoStopConfiguration"]["idleTimeoutMinutes"] == 20
    assert (found["tags"], found["state"]) == ({"team": "core"}, "STARTED")


@pytest.mark.parametrize("operation", ["StopApplication", "DeleteApplication"])
def test_throttling_while_it_is_taken_away_is_told(
    emr: Service, deploy: Deploy, operation: str
) -> None:
    deploy("--start")
    emr.refuse(operation, 1, "ThrottlingException", "Rate exceeded", 429)
    done = deploy("--delete", "--yes")
    assert (done.code, "slow down" in done.error[1]) == (4, True)
    assert deploy("--delete", "--yes").code == 0
    assert emr.applications == {}


def test_throttling_while_it_waits_is_waited_out(emr: Service, deploy: Deploy) -> None:
    emr.at(1, lambda: emr.refuse("GetApplication", 2, "ThrottlingException", "Rate", 429))
    assert deploy("--start").code == 0


def test_an_application_that_vanishes_meanwhile_is_told(emr: Service, deploy: Deploy) -> None:
    emr.at(1, lambda: emr.vanish(APP))
    done = deploy()
    assert done.code == 4
    assert "it is not there" in done.error[1]


@pytest.mark.parametrize("second", [1, 6, 12])
def test_after_an_interrupt_it_goes_on(
    emr: Service, deploy: Deploy, clock: RigClock, second: float
) -> None:
    clock.interrupts = [second]
    assert deploy("--start").code == 130
    done = deploy("--start")
    assert done.code == 0, done.err
    assert len(emr.applications) == 1
    assert facts(emr)["state"] == "STARTED"


def test_an_application_that_hangs_is_not_waited_for_for_ever(
    emr: Service, deploy: Deploy, clock: RigClock
) -> None:
    deploy()
    facts(emr)["state"] = "STARTING"
    done = deploy()
    assert done.code == 4
    assert f"the application {APP} is STARTING after 20 min" in done.error[0]
