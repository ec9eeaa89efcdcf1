"""Requests are judged by every limit that a service model states."""

from typing import Any

import pytest

from packager.awsmodel import compiled, request_problems, shape_problems
from tests.awsmodels import service_model

ROLE = "arn:aws:iam::123456789012:role/jobs"


def request(**changes: Any) -> dict[str, Any]:
    """A StartJobRun that the API takes, but for the changes."""
    submit = {"entryPoint": "s3://bucket/main.py", "entryPointArguments": ["", "a\nb"]}
    return {
        "applicationId": "00f1abcd",
        "executionRoleArn": ROLE,
        "jobDriver": {"sparkSubmit": submit},
        "tags": {"team": "data"},
        "executionTimeoutMinutes": 60,
        "retryPolicy": {"maxAttempts": 2},
        **changes,
    }


def problems(**changes: Any) -> tuple[str, ...]:
    model = service_model("emr-serverless")
    return request_problems(model, "StartJobRun", request(**changes))


def test_a_request_that_the_api_takes_has_no_problems() -> None:
    assert problems() == ()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "n" * 257}, "name: 257 characters, the API takes 256"),
        ({"name": ""}, "name: 0 characters, the API wants at least 1"),
        ({"name": " "}, r"name: ' ' does not match .*\S.*"),
        ({"applicationId": "ABC"}, "applicationId: 'ABC' does not match [0-9a-z]+"),
        ({"mode": "FAST"}, "mode: 'FAST' is none of BATCH, STREAMING"),
        (
            {"executionTimeoutMinutes": 1_000_001},
            "executionTimeoutMinutes: 1000001, the API takes nothing above 1000000",
        ),
        (
            {"executionTimeoutMinutes": -1},
            "executionTimeoutMinutes: -1, the API takes nothing below 0",
        ),
        ({"executionTimeoutMinutes": "60"}, "executionTimeoutMinutes: '60' is not of the type"),
        ({"executionTimeoutMinutes": True}, "executionTimeoutMinutes: True is not of the type"),
        ({"retryPolicy": []}, "retryPolicy: [] is not of the type structure"),
        ({"priority": 1}, "priority: the API has no such member"),
        (
            {"jobDriver": {"sparkSubmit": {}}},
            "jobDriver.sparkSubmit.entryPoint: it is missing",
        ),
        ({"jobDriver": {}}, "jobDriver: exactly one of sparkSubmit, hive"),
        (
            {"jobDriver": {"sparkSubmit": {"entryPoint": "x", "entryPointArguments": [""] * 1025}}},
            "jobDriver.sparkSubmit.entryPointArguments: 1025 items, the API takes 1024",
        ),
        (
            {"jobDriver": {"sparkSubmit": {"entryPoint": "x", "entryPointArguments": [1]}}},
            "jobDriver.sparkSubmit.entryPointArguments[0]: 1 is not of the type string",
        ),
        ({"tags": {"a*": "1"}}, "tags, key 'a*': 'a*' does not match"),
        ({"tags": {"a": "v" * 257}}, "tags.a: 257 characters, the API takes 256"),
        (
            {"tags": {f"k{n}": "" for n in range(201)}},
            "tags: 201 entries, the API takes 200",
        ),
    ],
)
def test_what_the_api_would_refuse_is_named_with_its_place(
    changes: dict[str, Any], problem: str
) -> None:
    (found,) = problems(**changes)
    assert found.startswith(problem)


def test_a_member_that_is_missing_is_named() -> None:
    found = request_problems(service_model("emr-serverless"), "StartJobRun", {})
    assert found == ("applicationId: it is missing", "executionRoleArn: it is missing")


def test_a_shape_can_be_judged_alone() -> None:
    model = service_model("emr-serverless")
    assert shape_problems(model, "ImageUri", "public.ecr.aws/a/b:1")
    assert not shape_problems(
        model, "ImageUri", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/spark:7.13.0"
    )


def test_all_problems_of_a_request_are_told() -> None:
    assert len(problems(name="", mode="x", tags={"?": ""})) == 3


def test_every_pattern_of_emr_serverless_can_be_read() -> None:
    shapes = service_model("emr-serverless")["shapes"].values()
    patterns = [shape["pattern"] for shape in shapes if "pattern" in shape]
    assert len(patterns) > 30
    assert all(compiled(pattern) for pattern in patterns)


def test_a_text_of_several_lines_is_not_refused_for_that() -> None:
    model = service_model("emr-serverless")
    assert shape_problems(model, "ConfigurationPropertyValue", "a\nb\n") == ()
    assert shape_problems(model, "ConfigurationPropertyValue", " \n")


def test_a_pattern_that_python_can_not_read_is_no_limit() -> None:
    assert compiled(r"[\p{L}]*") is None
    model = {"shapes": {"Text": {"type": "string", "pattern": r"[\p{L}]*"}}}
    assert shape_problems(model, "Text", "1") == ()
