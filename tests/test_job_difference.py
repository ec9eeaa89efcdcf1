"""What an update has to say, and whether the application has to be stopped for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.jobs.difference import difference
from packager.jobs.wanted import wanted_application

LIVE: dict[str, Any] = {
    "applicationId": "00app",
    "arn": "arn",
    "name": "app",
    "type": "Spark",
    "state": "STARTED",
    "releaseLabel": "emr-7.13.0",
    "architecture": "ARM64",
    "maximumCapacity": {"cpu": "16 vCPU", "memory": "64 GB"},
    "monitoringConfiguration": {"managedPersistenceMonitoringConfiguration": {"enabled": True}},
    "networkConfiguration": {"subnetIds": ["a", "b"], "securityGroupIds": ["s"]},
    "runtimeConfiguration": [
        {"classification": "spark-defaults", "properties": {"spark.a": "1", "spark.b": "2"}},
        {"classification": "hive-site", "properties": {"x": "y"}},
    ],
}


def wanted(table: dict[str, Any]) -> dict[str, Any]:
    return wanted_application(
        table, name="app", release="emr-7.13.0", architecture="ARM64", images=None
    )


def test_what_is_not_named_stays() -> None:
    assert difference(LIVE, wanted({})).is_none


@pytest.mark.parametrize(
    "table",
    [
        {"maximum-capacity": {"cpu": "16vcpu", "memory": "64"}},
        {"subnets": ["b", "a"]},
        {"managed-logs": True},
        {"conf": {"spark.a": 1, "spark.b": 2}},
    ],
)
def test_what_is_written_in_another_way_is_the_same(table: dict[str, Any]) -> None:
    assert difference(LIVE, wanted(table)).is_none


def test_a_field_is_sent_whole_with_what_is_not_ours() -> None:
    delta = difference(LIVE, wanted({"log-uri": "s3://b/logs", "subnets": ["c"]}))
    assert delta.fields == {
        "monitoringConfiguration": {
            "managedPersistenceMonitoringConfiguration": {"enabled": True},
            "s3MonitoringConfiguration": {"logUri": "s3://b/logs"},
        },
        "networkConfiguration": {"subnetIds": ["c"], "securityGroupIds": ["s"]},
    }


def test_a_property_that_is_no_longer_named_goes() -> None:
    delta = difference(LIVE, wanted({"conf": {"spark.a": "1"}}))
    assert [change.line() for change in delta.changes] == [
        "runtimeConfiguration.spark-defaults.spark.b: 2 -> removed"
    ]
    assert delta.fields["runtimeConfiguration"] == [
        {"classification": "hive-site", "properties": {"x": "y"}},
        {"classification": "spark-defaults", "properties": {"spark.a": "1"}},
    ]


IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1"


@pytest.mark.parametrize(
    ("table", "live", "stop"),
    [
        ({"maximum-capacity": {"cpu": "8", "memory": "64"}}, {}, ""),
        ({"auto-stop-minutes": 5}, {}, "autoStopConfiguration can change only"),
        ({"auto-stop-minutes": 5}, {"state": "STOPPED"}, ""),
        ({"tags": {"a": "b"}}, {}, ""),
        ({"image": IMAGE}, {}, "it resolves its image when it starts"),
        ({"image": IMAGE, "resolve-image-at-start": False}, {}, ""),
        (
            {"image": IMAGE, "resolve-image-at-start": False},
            {"initialCapacity": {"DRIVER": {"workerCount": 1}}},
            "imageConfiguration can change only",
        ),
    ],
)
def test_it_is_stopped_where_the_service_needs_it(
    table: dict[str, Any], live: dict[str, Any], stop: str
) -> None:
    delta = difference(LIVE | live, wanted(table))
    assert not delta.is_none
    assert delta.stop.startswith(stop)
    assert bool(delta.stop) == bool(stop)


def test_newer_releases_take_an_image_at_once() -> None:
    label = "emr-7.14.0"
    new = wanted_application(
        {"image": IMAGE}, name="app", release=label, architecture="ARM64", images=None
    )
    assert difference(LIVE | {"releaseLabel": label}, new).stop == ""


TABLES = st.fixed_dictionaries(
    {},
    optional={
        "auto-start": st.booleans(),
        "auto-stop-minutes": st.just(value=False) | st.integers(1, 10080),
        "subnets": st.lists(st.sampled_from("abc"), min_size=1, unique=True),
        "max-concurrent-runs": st.integers(1, 1000),
        "livy": st.booleans(),
        "managed-logs": st.booleans(),
        "disk-key": st.just("arn:aws:kms:us-east-1:123456789012:key/0a1b"),
        "log-uri": st.sampled_from(["s3://a", "s3://b/c"]),
        "conf": st.dictionaries(st.sampled_from(["spark.a", "spark.c"]), st.text(max_size=3)),
        "tags": st.dictionaries(st.sampled_from("ab"), st.sampled_from("cd"), max_size=2),
        "maximum-capacity": st.fixed_dictionaries(
            {"cpu": st.sampled_from(["4", "8 vCPU"]), "memory": st.sampled_from(["16 gb", "32"])}
        ),
    },
)


@given(TABLES)
def test_after_an_update_nothing_differs(table: dict[str, Any]) -> None:
    aim = wanted(table)
    delta = difference(LIVE, aim)
    after = LIVE | dict(delta.fields) | {"tags": {**LIVE.get("tags", {}), **delta.tags}}
    assert difference(after, aim).is_none


def test_the_type_can_not_change() -> None:
    with pytest.raises(ConfigError, match="of the type Spark"):
        difference(LIVE, wanted({"type": "hive"}))
