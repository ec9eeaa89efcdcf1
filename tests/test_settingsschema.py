"""The JSON schema of [tool.packager]: what it accepts, packager takes."""

import re
import tomllib
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from packager.awsmodel import request_problems
from packager.imagebuild.options import KEYS as IMAGE_KEYS
from packager.imagebuild.options import ROLES
from packager.jobs.request import READERS as RUN
from packager.jobs.request import run_options
from packager.jobs.tables import read_table
from packager.jobs.wanted import READERS as APPLICATION
from packager.jobs.wanted import wanted_application
from packager.publishing.repositories import RepositorySettings
from packager.settings import OPTIONS, TABLES, resolve
from packager.settingsschema import settings_schema
from tests.awsmodels import service_model

# Patterns are ECMA's: Python's `$` alone would let a newline follow, so none is tried.
ROOT = Path(__file__).parents[1]
SCHEMA = settings_schema()
CHECK = Draft7Validator(SCHEMA)
Draft7Validator.check_schema(SCHEMA)

CANDIDATES: tuple[Any, ...] = (
    *(True, False, 0, 1, 5, 20, 1_000_001, 1.5, -1, "", " ", "x", "a b", "a,b", "\0", "ü"),
    *(
        [],
        ["x"],
        ["a b"],
        [""],
        [1],
        ["amd64"],
        {},
        {"a": 1},
        {"a": "b"},
        {"a": []},
        {"ARC001": "x"},
    ),
    *("amd64", "all", "3.11", "3", "layers", "docker", "off", "tests", ["tests"], "AES256", "KMS"),
    *("s3://b", "s3://b/x/", "s3://", "s3://b/ x", "s3:/b", "STANDARD", "team=data", ["team=data"]),
    *(["a=b", "c"], "eu-west-1", "123456789012", "12345678901", "10GB", "1.5 GB", "none", "10 X"),
    *("registry.example/team/app:1", "a/", "a:", "arn:aws:iam::123456789012:role/job", "batch"),
    *("STREAMING", "spark", "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1"),
    *({"cpu": "4 vCPU", "memory": "16 GB"}, {"cpu": 4, "memory": 16}, {"cpu": "4"}, {"cpu": "0"}),
    *(
        {"driver": {"workers": 1, "cpu": 4, "memory": 16}},
        {"driver": {"workers": 0}},
        {"driver": {}},
    ),
    "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
    "arn:aws:kms:us-east-1:123456789012:key/0a1b",
    *(["x.jar"], ["x"], [{"maven": "a:b:1", "sha256": "0" * 64}], "https://repo.example"),
    *({"x": {"a": "b"}}, {"x": {"a": []}}, {"x": 1}),
)


def accepts(*path: str) -> list[Any]:
    """Candidates for a key that the schema accepts."""
    schema = SCHEMA
    for key in path:
        schema = schema["properties"][key]
    check = Draft7Validator(schema)
    return [value for value in CANDIDATES if check.is_valid(value)]


@pytest.mark.parametrize("key", [o.name.replace("_", "-") for o in OPTIONS])
def test_packager_takes_what_is_accepted_of_an_option(key: str) -> None:
    values = accepts(key)
    (option,) = (o for o in OPTIONS if o.name.replace("_", "-") == key)
    assert values
    for value in values:
        option.metadata["parse"](value)


@pytest.mark.parametrize("key", RUN)
def test_packager_takes_what_is_accepted_of_a_run(key: str) -> None:
    values = accepts("run", key)
    assert values
    for value in values:
        run_options({key: value}, {})


@pytest.mark.parametrize("key", APPLICATION)
def test_packager_takes_what_is_accepted_of_an_application(key: str) -> None:
    values = accepts("application", key)
    assert values
    for value in values:
        read_table("application", {key: value}, APPLICATION)


@pytest.mark.parametrize(
    ("table", "known"),
    [
        ("run", RUN),
        ("application", APPLICATION),
        ("image", {*IMAGE_KEYS, *ROLES}),
        ("ecr", [field.name.replace("_", "-") for field in fields(RepositorySettings)]),
    ],
)
def test_the_schema_has_every_key_of_a_table(table: str, known: Collection[str]) -> None:
    assert set(SCHEMA["properties"][table]["properties"]) == set(known)


def test_the_schema_has_every_key_and_no_other() -> None:
    assert set(SCHEMA["properties"]) == {*(o.name.replace("_", "-") for o in OPTIONS), *TABLES}
    (error,) = CHECK.iter_errors({"relaese": "emr-7.13.0"})
    assert "relaese" in error.message


def described() -> list[tuple[str, dict[str, Any]]]:
    """What is configured in this repository, and shown in its README."""
    texts = {"sample_app": (ROOT / "sample_app" / "pyproject.toml").read_text(encoding="utf-8")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for number, block in enumerate(re.findall(r"(?s)```toml\n(.*?)```", readme)):
        texts[f"block {number} of the README"] = block.replace("…64 digits…", "0" * 64)
    found = [(name, tomllib.loads(text)) for name, text in texts.items()]
    return [(name, document["tool"]["packager"]) for name, document in found]


@pytest.mark.parametrize(("name", "table"), described())
def test_what_is_shown_is_accepted_and_taken(name: str, table: dict[str, Any]) -> None:
    assert [error.message for error in CHECK.iter_errors(table)] == []
    settings = resolve({}, {}, table, None)
    run_options(settings.run, {})
    request = wanted_application(
        settings.application, name="x", release="emr-7.13.0", architecture="ARM64", images=None
    )
    whole = {**request, "clientToken": "t"}
    assert request_problems(service_model("emr-serverless"), "CreateApplication", whole) == ()


WRONG: tuple[dict[str, Any], ...] = (
    {"arch": ["riscv"]},
    {"arch": []},
    {"python": 3.11},
    {"slim": ["docs"]},
    {"s3-uri": "bucket/jobs"},
    {"offline": "yes"},
    {"bucket-owner": "1"},
    {"conf": {"spark.x": ["1"]}},
    {"run": {"mode": "forever"}},
    {"run": {"role": "job"}},
    {"application": {"initial-capacity": {"driver": {"cpu": 4, "memory": 16}}}},
    {"application": {"auto-stop-minutes": True}},
    {"application": {"image": "jobs:1"}},
    {"image": {"jars": ["x.zip"]}},
    {"ecr": {"encryption": "none"}},
    {"releases": {"emr-9.0.0": {"is-like": "emr-7.13.0"}}},
    {"waivers": {"ARC6": "it is fine"}},
)


@pytest.mark.parametrize("table", WRONG, ids=str)
def test_what_can_not_be_is_refused(table: dict[str, Any]) -> None:
    assert not CHECK.is_valid(table)
