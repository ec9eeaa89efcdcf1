"""What a run may be asked to be, by release; and what the API's model says of our rules."""

from typing import Any

import pytest

from packager.awsmodel import request_problems
from packager.errors import ConfigError
from packager.jobs.request import complete, run_options
from packager.jobs.rules import rules, version_of
from packager.jobs.states import duration, run_of
from packager.releases import known_releases
from tests.awsmodels import service_model

KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b"
METRICS = "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
BASE = {"applicationId": "00app", "jobDriver": {"sparkSubmit": {"entryPoint": "s3://b/m.py"}}}


def asked(release: str = "emr-7.13.0", **flags: Any) -> dict[str, Any]:
    options = run_options({}, flags)
    return complete(BASE, options, release=release, application_conf={})


@pytest.mark.parametrize(
    ("release", "flags", "what"),
    [
        ("emr-7.0.0", {"mode": "streaming"}, "no streaming mode"),
        ("emr-6.15.0", {"max_attempts": 2}, "no streaming mode"),
        ("emr-7.13.0", {"mode": "streaming", "timeout_minutes": 1}, "has no timeout"),
        ("emr-7.13.0", {"mode": "streaming", "max_attempts": 2}, "for batch jobs"),
        ("emr-7.13.0", {"max_failures_per_hour": 2}, "for streaming jobs"),
        ("emr-7.13.0", {"max_attempts": 11}, "max-attempts is 11"),
        ("emr-7.13.0", {"disk_context": {"a": "b"}}, "disk-key is not"),
        ("emr-7.13.0", {"disk_key": "alias/disks"}, "--disk-key"),
        ("emr-7.13.0", {"prometheus_url": "https://metrics.example"}, "--prometheus-url"),
        ("emr-7.11.0", {"timeout_minutes": 0}, "timeout-minutes is 0"),
        ("emr-spark-8.1.0", {"timeout_minutes": 10081}, "timeout-minutes is 10081"),
    ],
)
def test_what_a_release_does_not_do_is_refused(
    release: str, flags: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        asked(release, **flags)


@pytest.mark.parametrize(
    ("release", "flags", "expected"),
    [
        ("emr-7.10.0", {"timeout_minutes": 0}, {"executionTimeoutMinutes": 0}),
        ("emr-7.1.0", {"mode": "streaming"}, {"mode": "STREAMING"}),
        (
            "emr-7.1.0",
            {"mode": "STREAMING", "max_failures_per_hour": 3},
            {"mode": "STREAMING", "retryPolicy": {"maxFailedAttemptsPerHour": 3}},
        ),
        ("emr-6.9.0", {}, {}),
        (
            "emr-7.13.0",
            {"disk_key": KEY, "disk_context": {"team": "data"}, "prometheus_url": METRICS},
            {
                "configurationOverrides": {
                    "monitoringConfiguration": {
                        "prometheusMonitoringConfiguration": {"remoteWriteUrl": METRICS}
                    },
                    "diskEncryptionConfiguration": {
                        "encryptionContext": {"team": "data"},
                        "encryptionKeyArn": KEY,
                    },
                }
            },
        ),
    ],
)
def test_what_it_does_is_asked_for(
    release: str, flags: dict[str, Any], expected: dict[str, Any]
) -> None:
    request = asked(release, **flags)
    assert request == BASE | expected
    whole = request | {"executionRoleArn": "arn:aws:iam::123456789012:role/job", "clientToken": "t"}
    assert request_problems(service_model("emr-serverless"), "StartJobRun", whole) == ()


def test_flags_go_before_the_table_and_tags_are_joined() -> None:
    table = {"name": "a", "max-attempts": 2, "tags": {"x": "1", "y": "2"}}
    options = run_options(table, {"name": "b", "tags": {"y": "3"}, "mode": None})
    assert (options.name, options.max_attempts) == ("b", 2)
    assert options.tags == {"x": "1", "y": "3"}


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        run_options({"max-attempt": 2}, {})
    assert caught.value.fix == "did you mean 'max-attempts'?"


@pytest.mark.parametrize(
    ("release", "properties"),
    [
        ("emr-7.13.0", {"spark.a": "of the application", "spark.b": "a b"}),
        ("emr-spark-8.1.0", {"spark.b": "a b"}),
    ],
)
def test_a_classification_of_the_job_repeats_what_it_would_replace(
    release: str, properties: dict[str, str]
) -> None:
    own = {"classification": "spark-defaults", "properties": {"spark.b": "a b"}}
    base = BASE | {"configurationOverrides": {"applicationConfiguration": [own]}}
    conf = {"spark.a": "of the application", "spark.b": "too"}
    request = complete(base, run_options({}, {}), release=release, application_conf=conf)
    (found,) = request["configurationOverrides"]["applicationConfiguration"]
    assert found["properties"] == properties


def test_our_limits_are_within_the_models() -> None:
    shapes = service_model("emr-serverless")["shapes"]
    assert rules().batch_timeout_max <= shapes["Duration"]["max"]
    fields = shapes["UpdateApplicationRequest"]["members"]
    assert {*rules().live, *rules().live_without_capacity} <= set(fields)


def test_labels_have_versions() -> None:
    assert all(version_of(label) > (6, 0) for label in known_releases())
    assert version_of("emr-spark-8.1.0") == (8, 1)
    assert version_of("mine") == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.4, "4 s"), (65, "1 min 5 s"), (3600 * 2 + 190, "2 h 3 min")],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("more", "retried"),
    [
        ({}, False),
        ({"mode": "STREAMING"}, True),
        ({"retryPolicy": {"maxAttempts": 2}}, True),
        ({"retryPolicy": {"maxAttempts": 1}}, False),
    ],
)
def test_runs_that_may_be_tried_again_have_logs_by_attempt(
    more: dict[str, Any], retried: bool
) -> None:
    summary = {
        "applicationId": "a",
        "id": "r",
        "state": "RUNNING",
        "releaseLabel": "emr-7.13.0",
        "createdAt": None,
    }
    assert run_of(summary | more).retried is retried
