"""`packager conf`: what was packed, by either carrier, in a form."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.cli.jobs import FORMS
from packager.emitters.forms import EMITTERS
from packager.record import Record, RecordedImage, to_text
from tests.command import Command, Outcome
from tests.test_record import RECORD

pytestmark = pytest.mark.tools

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app@sha256:" + "a" * 64
OTHER = IMAGE.replace("a" * 64, "b" * 64)
PUSHED = RecordedImage(
    base="base", base_digest="", digest="", config_digest="", size=1, reference=IMAGE
)

ROLE = "arn:aws:iam::123456789012:role/job"

Conf = Callable[..., Outcome]


@pytest.fixture
def conf(packager: Command, tmp_path: Path) -> Conf:
    (tmp_path / "dist").mkdir()

    def conf(
        *arguments: str, record: Record = RECORD, application: str = "", s3: bool = True
    ) -> Outcome:
        place = 's3-uri = "s3://code/jobs"' if s3 else ""
        text = f"[tool.packager]\n{place}\n{application}"
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        (tmp_path / "dist" / record.name).write_text(to_text(record), encoding="utf-8")
        return packager("conf", *arguments, cwd=tmp_path)

    return conf


def test_an_image_that_was_pushed_carries_the_environment(conf: Conf) -> None:
    record = replace(RECORD, images=(PUSHED,))
    done = conf("--carrier", "image", "-f", "cloudformation", record=record)
    assert done.code == 0, done.err
    resources = json.loads(done.out)["Resources"]
    assert resources["Application"]["Properties"]["ImageConfiguration"] == {"ImageUri": IMAGE}
    definition = resources["StateMachine"]["Properties"]["Definition"]
    submit = definition["States"]["Run"]["Parameters"]["JobDriver"]["SparkSubmit"]
    assert "spark.archives" not in submit["SparkSubmitParameters"]
    assert "/opt/packager/environment/bin/python" in submit["SparkSubmitParameters"]
    assert submit["EntryPoint"] == f"s3://code/jobs/{RECORD.entry_points[0].file}"
    archives = conf("-f", "cloudformation", record=record)
    assert IMAGE not in archives.out
    assert "spark.archives" in archives.out


def test_workers_have_the_images_that_were_pushed_for_them(conf: Conf) -> None:
    images = (
        replace(PUSHED, role="driver"),
        replace(PUSHED, role="executor", reference=OTHER),
    )
    done = conf("--carrier", "image", "-f", "env", record=replace(RECORD, images=images))
    assert f"DRIVER_IMAGE={IMAGE}\nEXECUTOR_IMAGE={OTHER}" in done.out


def test_an_image_can_be_named_by_an_option_or_the_application(conf: Conf) -> None:
    given = conf("--carrier", "image", "--image", OTHER, "-f", "env")
    assert f"IMAGE={OTHER}" in given.out
    table = f'[tool.packager.application]\nimage = "{IMAGE}"\n'
    assert f"IMAGE={IMAGE}" in conf("--carrier", "image", "-f", "env", application=table).out


def allowed(done: Outcome) -> dict[str, Any]:
    """Statements of the job's role, by their names."""
    assert done.code == 0, done.err
    (policy,) = json.loads(done.out)["Resources"]["JobRole"]["Properties"]["Policies"]
    return {one["Sid"]: one["Resource"] for one in policy["PolicyDocument"]["Statement"]}


def test_a_role_of_its_own_may_read_what_the_record_names_and_no_more(conf: Conf) -> None:
    done = conf("-f", "cloudformation", "--own-role", "--write", "s3://out/x", "--glue", "sales")
    found = allowed(done)
    assert list(found) == ["ReadArtifacts", "ListArtifacts", "WriteData", "ListData1", "ReadTables"]
    start = "arn:${AWS::Partition}:s3:::"
    assert found["WriteData"] == {"Fn::Sub": f"{start}out/x/*"}
    assert {one["Fn::Sub"] for one in found["ReadArtifacts"]} == {
        f"{start}code/jobs/{artifact.file.replace(artifact.sha256[:12], '*')}"
        for artifact in RECORD.artifacts
    }
    trust = json.loads(done.out)["Resources"]["JobRole"]["Properties"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:SourceArn": {"Fn::GetAtt": ["Application", "Arn"]},
    }


def test_with_an_image_the_role_reads_the_entry_point_alone(conf: Conf) -> None:
    done = conf("-f", "cloudformation", "--own-role", "--carrier", "image", "--image", IMAGE)
    (script,) = RECORD.entry_points
    name = script.file.replace(script.sha256[:12], "*")
    found = allowed(done)["ReadArtifacts"]
    assert found == {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::code/jobs/{name}"}


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (("--carrier", "image"), "knows of no image that was pushed", "packager image build"),
        (("--carrier", "tape"), "--carrier 'tape' is not known", "archives, image"),
        (("--image", IMAGE), "--image names what archives do not need", "--carrier image"),
        (("--carrier", "image", "--image", "jobs:1"), "--image 'jobs:1'", "correct it"),
        (("--own-role",), "--format spark-submit makes no role", "terraform"),
        (("-f", "cdk", "--own-role", "--role", ROLE), "--role and --own-role", "keep one"),
        (("-f", "cdk", "--read", "s3://input"), "the job's data is named", "add --own-role"),
        (("-f", "cdk", "--own-role", "--read", "in"), "--read 'in'", "s3://bucket/prefix"),
        (("--carrier", "image", "--image", IMAGE, "-f", "emr-eks"), "custom image", "archives"),
    ],
)
def test_what_can_not_be_is_refused(
    conf: Conf, arguments: tuple[str, ...], what: str, fix: str
) -> None:
    done = conf(*arguments)
    assert (done.code, done.out) == (2, "")
    assert what in done.error[0]
    assert fix in done.error[2]


LOGS = """
[tool.packager.application]
log-uri = "s3://logs/jobs"
log-group = "/emr/jobs"
image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/other:1"
tags = { team = "data" }
"""


def test_an_application_that_is_made_has_what_the_settings_say(conf: Conf) -> None:
    done = conf("-f", "cloudformation", "--own-role", application=LOGS)
    found = allowed(done)
    assert found["WriteLogs"] == {"Fn::Sub": "arn:${AWS::Partition}:s3:::logs/jobs/applications/*"}
    assert any("log-group:/emr/jobs" in str(resource) for resource in found.values())
    properties = json.loads(done.out)["Resources"]["Application"]["Properties"]
    assert properties["Tags"] == [{"Key": "team", "Value": "data"}]
    assert "ImageConfiguration" not in properties


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('type = "hive"', "runs no Spark jobs"),
        ('tags = { "" = "x" }', "tags"),
        ('sizes = "large"', "sizes"),
    ],
)
def test_an_application_that_can_not_be_made_is_told(conf: Conf, table: str, said: str) -> None:
    done = conf("-f", "terraform", application=f"[tool.packager.application]\n{table}\n")
    assert done.code == 2
    assert said in done.err
    assert conf(application=f"[tool.packager.application]\n{table}\n").code == 0


RUNS = """[tool.packager.run]
application = "by-name"
name = "nightly"
max-attempts = 3
timeout-minutes = 90
log-uri = "s3://run-logs/here"
tags = { team = "data" }
client-token = "would start one run only"
"""


def test_what_starts_jobs_has_what_the_settings_say_of_runs(conf: Conf) -> None:
    done = conf("-f", "start-job-run", application=RUNS)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    del told["jobDriver"]
    logs = {"s3MonitoringConfiguration": {"logUri": "s3://run-logs/here"}}
    assert told == {
        "name": "nightly",
        "executionTimeoutMinutes": 90,
        "retryPolicy": {"maxAttempts": 3},
        "tags": {"team": "data"},
        "configurationOverrides": {"monitoringConfiguration": logs},
    }


def test_a_role_of_its_own_may_write_the_logs_of_runs(conf: Conf) -> None:
    done = conf("-f", "cloudformation", "--own-role", application=LOGS + RUNS)
    found = allowed(done)
    assert found["WriteLogs"] == {
        "Fn::Sub": "arn:${AWS::Partition}:s3:::run-logs/here/applications/*"
    }
    assert any("log-group:/emr/jobs" in str(resource) for resource in found.values())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("max-attempts = 11", "max-attempts is 11"),
        ('mode = "streaming"\ntimeout-minutes = 5', "a streaming job has no timeout"),
        ('tags = { "ü" = "x" }', "tags"),
        ("max_attempts = 2", "max-attempts"),
    ],
)
def test_runs_that_can_not_be_are_told(conf: Conf, table: str, said: str) -> None:
    done = conf("-f", "airflow", application=f"[tool.packager.run]\n{table}\n")
    assert done.code == 2
    assert said in done.err


def test_the_help_names_every_form(packager: Command, tmp_path: Path) -> None:
    assert tuple(EMITTERS) == FORMS
    words = "".join(packager("conf", "--help", cwd=tmp_path).out.split())
    assert f"Oneof{','.join(FORMS)}." in words


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (("-f", "shell", "--schedule", "rate(1 day)"), "holds no schedule", "scheduler"),
        (("-f", "cdk", "--schedule", "daily"), "'daily' is no time", "cron(0 6 * * ? *)"),
        (("-f", "scheduler", "--schedule", "cron(0 6 * * *)"), "is no time", "rate(1 day)"),
        (("--arch", "x86_64"), "'x86_64' is not an architecture", "did you mean 'amd64'?"),
        (("--arch", "arm64", "--arch", "amd64"), "runs on one of them", "keep one"),
        (("--arch", "all"), "stands for several", "--arch arm64"),
        (("absent.json",), "there is no file absent.json", "correct its name"),
        (("--role", "x"), "--role: 'x'", "correct it"),
        (("--argument",), "'--argument' requires", "see packager conf --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_told_with_the_right_ones(
    conf: Conf, words: tuple[str, ...], what: str, fix: str
) -> None:
    done = conf(*words)
    assert done.code == 2
    assert what in done.error[0]
    assert fix in done.error[2]


@pytest.mark.parametrize(
    "when", ["rate(5 minutes)", "cron(0 6 ? * MON-FRI *)", "at(2027-01-01T06:00:00)"]
)
@pytest.mark.parametrize("form", ["scheduler", "cloudformation"])
def test_times_of_the_scheduler_are_taken(conf: Conf, form: str, when: str) -> None:
    done = conf("-f", form, "--schedule", when)
    assert done.code == 0, done.err
    assert when in done.out


def test_a_job_whose_files_are_here_alone_says_so(conf: Conf, tmp_path: Path) -> None:
    bare = replace(RECORD, locations={})
    done = conf("-f", "airflow", record=bare)
    assert "on this machine" not in done.err
    local = conf("-f", "airflow", record=bare, s3=False)
    assert local.code == 0, local.err
    assert str(tmp_path / "dist") in local.err
    assert "packager publish" in local.err
    assert conf(record=bare, s3=False).err == ""


@pytest.mark.parametrize(
    ("release", "properties"),
    [
        ("emr-7.13.0", {"spark.of.application": "1", "spark.x": "a b"}),
        ("emr-spark-8.1.0", {"spark.x": "a b"}),
    ],
)
def test_properties_of_the_application_are_not_lost_to_those_of_the_job(
    conf: Conf, release: str, properties: dict[str, str]
) -> None:
    table = '[tool.packager.application]\nconf = { "spark.of.application" = 1 }\n'
    record = replace(RECORD, release=release)
    done = conf("-f", "cloudformation", "-c", "spark.x=a b", application=table, record=record)
    assert done.code == 0, done.err
    machine = json.loads(done.out)["Resources"]["StateMachine"]["Properties"]["Definition"]
    overrides = machine["States"]["Run"]["Parameters"]["ConfigurationOverrides"]
    (configuration,) = overrides["ApplicationConfiguration"]
    assert configuration["Properties"] == properties
