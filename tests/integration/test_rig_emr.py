"""The rig's EMR Serverless, asked by AWS's own client."""

import gzip
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.rig.aws import Cloud, client
from tests.rig.emrserverless.plans import Line, Plan
from tests.rig.emrserverless.service import Service

pytestmark = pytest.mark.tools

ROLE = "arn:aws:iam::123456789012:role/job"
DRIVER = {"sparkSubmit": {"entryPoint": "s3://code/main.py"}}


@pytest.fixture
def client_of(emr: Service) -> Any:
    return boto3.client("emr-serverless")


def application(client: Any, **more: Any) -> str:
    facts = {"name": "app", "releaseLabel": "emr-7.13.0", "type": "SPARK", **more}
    return str(client.create_application(**facts)["applicationId"])


def start(client: Any, identity: str, **more: Any) -> str:
    run = client.start_job_run(
        applicationId=identity, executionRoleArn=ROLE, **{"jobDriver": DRIVER, **more}
    )
    return str(run["jobRunId"])


def test_a_run_goes_through_the_documented_states(emr: Service, client_of: Any) -> None:
    emr.plans = [Plan(queued=5)]
    identity = application(client_of)
    emr.advance(5)
    run = start(client_of, identity)
    seen = []
    for _ in range(50):
        state = client_of.get_job_run(applicationId=identity, jobRunId=run)["jobRun"]["state"]
        if state not in seen:
            seen.append(state)
        emr.advance(2)
    assert seen == ["SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]
    state = client_of.get_application(applicationId=identity)["application"]["state"]
    assert state == "STARTED"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "x" * 257}, "less than or equal to 256"),
        ({"jobDriver": {"sparkSubmit": {"entryPoint": "x" * 4097}}}, "equal to 4096"),
        ({"executionRoleArn": "arn:aws:sts::123456789012:assumed-role/a/b"}, "pattern"),
        ({"mode": "STREAMING", "executionTimeoutMinutes": 5}, "streaming"),
        ({"executionTimeoutMinutes": 0}, "1 to 10080"),
    ],
)
def test_what_the_model_and_the_guide_forbid_is_refused(
    emr: Service, client_of: Any, more: dict[str, Any], message: str
) -> None:
    identity = application(client_of)
    facts = {"applicationId": identity, "executionRoleArn": ROLE, "jobDriver": DRIVER}
    with pytest.raises(ClientError, match=message):
        client_of.start_job_run(**facts | more)


def test_a_token_starts_one_run(emr: Service, client_of: Any) -> None:
    identity = application(client_of)
    first = start(client_of, identity, clientToken="a")
    assert start(client_of, identity, clientToken="a") == first
    with pytest.raises(ClientError, match="ConflictException"):
        start(client_of, identity, clientToken="a", name="other")


def objects(cloud: Cloud, bucket: str) -> dict[str, str]:
    s3 = client(cloud, "s3")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        entry["Key"]: gzip.decompress(
            s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        ).decode()
        for entry in listed
    }


def logged(client: Any, emr: Service, **more: Any) -> str:
    monitoring = {"s3MonitoringConfiguration": {"logUri": "s3://logs/x/"}}
    identity = application(client)
    start(
        client,
        identity,
        configurationOverrides={"monitoringConfiguration": monitoring},
        **more,
    )
    emr.advance(25)
    return identity


def test_logs_grow_and_rotate(emr: Service, cloud: Cloud, client_of: Any) -> None:
    client(cloud, "s3").create_bucket(Bucket="logs")
    lines = tuple(Line(at=second, text=f"{second:03}\n") for second in range(60))
    emr.plans = [Plan(lines=lines, rotation=80)]
    folder = f"x/applications/{logged(client_of, emr)}/jobs/00run00000000/SPARK_DRIVER"
    emr.advance(16)
    assert objects(cloud, "logs")[f"{folder}/stdout.gz"].startswith("000\n001\n")
    emr.advance(60)
    found = objects(cloud, "logs")
    assert [*found] == [
        f"{folder}/archived/stdout_0.gz",
        f"{folder}/archived/stdout_1.gz",
        f"{folder}/stdout.gz",
    ]
    assert "".join(found.values()) == "".join(line.text for line in lines)


def test_attempts_have_logs_of_their_own(emr: Service, cloud: Cloud, client_of: Any) -> None:
    client(cloud, "s3").create_bucket(Bucket="logs")
    emr.plans = [Plan(failed_attempts=1, running=10)]
    identity = logged(client_of, emr, retryPolicy={"maxAttempts": 3})
    emr.advance(100)
    jobs = f"x/applications/{identity}/jobs/00run00000000/attempts"
    assert [*objects(cloud, "logs")] == [
        f"{jobs}/{attempt}/SPARK_DRIVER/stdout.gz" for attempt in (1, 2)
    ]
    run = client_of.get_job_run(applicationId=identity, jobRunId="00run00000000")["jobRun"]
    assert (run["state"], run["attempt"]) == ("SUCCESS", 2)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"maximumCapacity": {"cpu": "4vCPU", "memory": "30GB"}}, False),
        ({"autoStopConfiguration": {"enabled": False}}, True),
    ],
)
def test_a_started_application_takes_few_changes(
    emr: Service, client_of: Any, change: dict[str, Any], refused: bool
) -> None:
    identity = application(client_of)
    emr.advance(5)
    client_of.start_application(applicationId=identity)
    emr.advance(10)

    def update() -> Callable[..., Any]:
        return client_of.update_application(applicationId=identity, **change)  # type: ignore[no-any-return]

    if refused:
        with pytest.raises(ClientError, match="CREATED or STOPPED"):
            update()
    else:
        update()
