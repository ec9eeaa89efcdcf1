"""Whether a run can succeed: each rule finds its own fault, and nothing else does."""

from dataclasses import replace
from typing import Any

import pytest

from packager.findings import Report
from packager.jobs.preflight import (
    CHECKS,
    RULES,
    BucketFacts,
    Flight,
    JobFacts,
    RoleFacts,
    preflight,
)

ARN = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00app"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/a@sha256:" + "a" * 64


def trust(**more: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "emr-serverless.amazonaws.com"},
        "Action": "sts:AssumeRole",
        **more,
    }
    return {"Statement": [statement]}


GOOD = Flight(
    application={
        "applicationId": "00app",
        "arn": ARN,
        "name": "app",
        "releaseLabel": "emr-7.13.0",
        "architecture": "ARM64",
        "state": "STOPPED",
        "imageConfiguration": {"imageUri": IMAGE},
        "maximumCapacity": {"cpu": "16 vCPU", "memory": "64 GB"},
    },
    request={"executionRoleArn": "arn:aws:iam::123456789012:role/job"},
    conf={"spark.executor.instances": "3"},
    release="emr-7.13.0",
    architecture="ARM64",
    images=(IMAGE,),
    facts=JobFacts(
        region="us-east-1",
        role=RoleFacts(exists=True, trust=trust()),
        buckets={"code": BucketFacts(exists=True, region="us-east-1")},
        missing=(),
    ),
)


def application(**more: Any) -> Flight:
    return replace(GOOD, application={**GOOD.application, **more})


def facts(**more: Any) -> Flight:
    return replace(GOOD, facts=replace(GOOD.facts, **more))


FAULTS: dict[str, list[Flight]] = {
    "JOB001": [application(releaseLabel="emr-7.12.0")],
    "JOB002": [application(architecture="X86_64")],
    "JOB003": [application(imageConfiguration={"imageUri": IMAGE.replace("a" * 64, "b" * 64)})],
    "JOB004": [
        application(autoStartConfiguration={"enabled": False}),
        application(state="TERMINATED"),
    ],
    "JOB005": [
        application(maximumCapacity={"cpu": "15 vCPU", "memory": "64 GB"}),
        application(maximumCapacity={"cpu": "16 vCPU", "memory": "63 GB"}),
        replace(GOOD, conf={"spark.dynamicAllocation.initialExecutors": "4"}),
        replace(GOOD, conf={"spark.executor.memory": "15g"}),
    ],
    "JOB006": [replace(GOOD, conf={"spark.jars.packages": "a:b:1"})],
    "JOB007": [
        facts(buckets={"code": BucketFacts(exists=True, region="eu-west-1")}),
        facts(buckets={"code": BucketFacts(exists=False, region=None)}),
    ],
    "JOB008": [facts(missing=("s3://code/env.tar.gz",))],
    "JOB009": [
        facts(role=RoleFacts(exists=False, trust=None)),
        facts(role=RoleFacts(exists=True, trust={"Statement": []})),
        facts(role=RoleFacts(exists=True, trust=trust(Effect="Deny"))),
        facts(role=RoleFacts(exists=True, trust=trust(Action="sts:TagSession"))),
        facts(
            role=RoleFacts(exists=True, trust=trust(Principal={"Service": "lambda.amazonaws.com"}))
        ),
        facts(
            role=RoleFacts(
                exists=True,
                trust=trust(Condition={"StringEquals": {"aws:SourceArn": f"{ARN}other"}}),
            )
        ),
    ],
    "JOB010": [replace(GOOD, request={**GOOD.request, "executionTimeoutMinutes": 0})],
}


def codes(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    report = preflight(GOOD)
    assert report.passed
    assert report.findings == ()
    assert all(RULES.values())


def test_every_rule_has_a_planted_fault() -> None:
    assert set(FAULTS) == set(CHECKS)


@pytest.mark.parametrize(
    ("code", "flight"),
    [(code, flight) for code, flights in FAULTS.items() for flight in flights],
)
def test_a_fault_is_found_by_its_own_rule(code: str, flight: Flight) -> None:
    report = preflight(flight)
    assert codes(report) == {code}
    assert all(f.what and f.why and f.fix for f in report.findings)


def unknown(flight: Flight) -> Flight:
    """What may not be looked at is no fault."""
    return replace(
        flight,
        facts=replace(
            flight.facts,
            role=RoleFacts(exists=None, trust=None),
            buckets={"code": BucketFacts(exists=None, region=None)},
        ),
    )


RIGHT = {
    "not known": unknown(GOOD),
    "by tag": application(
        imageConfiguration={
            "imageUri": "x:tag",
            "resolvedImageDigest": IMAGE.rpartition("@")[2],
        }
    ),
    "started": application(state="STARTED", autoStartConfiguration={"enabled": False}),
    "trusts applications like it": facts(
        role=RoleFacts(
            exists=True, trust=trust(Condition={"ArnLike": {"aws:SourceArn": f"{ARN[:-5]}*"}})
        )
    ),
    "no size": replace(GOOD, conf={"spark.executor.memory": "a lot"}),
    "no image": replace(GOOD, images=()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_or_not_known_is_no_fault(name: str) -> None:
    assert preflight(RIGHT[name]).findings == ()


def test_another_region_is_a_warning_where_there_is_a_network() -> None:
    far = facts(buckets={"code": BucketFacts(exists=True, region="eu-west-1")})
    live = {**far.application, "networkConfiguration": {"subnetIds": ["subnet-1"]}}
    (finding,) = preflight(replace(far, application=live)).findings
    assert finding.severity == "warning"
