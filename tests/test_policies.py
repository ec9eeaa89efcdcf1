"""Policies as they are printed, what they are made from, and what is refused."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.policies import KINDS, kind_named
from packager.policies.grammar import literal, require_size
from packager.policies.scope import (
    Artifact,
    Bucket,
    Named,
    Repository,
    Scope,
    parse_account,
    parse_application,
    parse_bucket,
    parse_database,
    parse_key,
    parse_log_group,
    parse_policy_name,
    parse_region,
    parse_repository,
    parse_role,
)
from tests.command import Command
from tests.conftest import Golden

GOLDEN = Path(__file__).parent / "golden"

BARE = Scope(
    region="us-east-1",
    account="123456789012",
    role="EmrJobs",
    s3=Bucket(name="artifacts"),
    repository=Repository(account="123456789012", name="spark"),
)
FULL = Scope(
    region="us-east-1",
    account="123456789012",
    application="00abcdefghij1234",
    role="jobs/EmrJobs",
    s3=Bucket(name="artifacts", prefix="team/jobs"),
    artifacts=(
        Artifact(file="report-environment-py311-arm64-333333333333.tar.gz", digest="333333333333"),
        Artifact(file="report-app-444444444444.tar.gz", digest="444444444444"),
        Artifact(file="main-555555555555.py", digest="555555555555"),
    ),
    logs=Bucket(name="logs", prefix="emr"),
    log_group="/aws/emr-serverless",
    reads=(Bucket(name="lake", prefix="raw"), Bucket(name="public")),
    writes=(Bucket(name="lake", prefix="reports"),),
    databases=("raw",),
    written_databases=("reports",),
    keys=("arn:aws:kms:us-east-1:123456789012:key/0f5b",),
    repository=Repository(account="210987654321", name="team/spark"),
)


def written(kind: str, scope: Scope) -> str:
    return json.dumps(KINDS[kind].write(scope).to_json(), indent=2) + "\n"


@pytest.mark.parametrize("kind", KINDS)
def test_policies_read_as_agreed(kind: str, golden: Golden) -> None:
    golden.check(f"policy-{kind}.json", written(kind, FULL))


def test_every_policy_has_a_golden_text_and_no_other_is_kept() -> None:
    found = {path.stem.removeprefix("policy-") for path in GOLDEN.glob("policy-*.json")}
    assert found == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scope", [BARE, FULL], ids=["bare", "full"])
@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_other_partitions_differ_in_their_names_only(
    kind: str, scope: Scope, region: str, partition: str
) -> None:
    there = written(kind, replace(scope, region=region, keys=()))
    back = there.replace(f"arn:{partition}:", "arn:aws:").replace(region, "us-east-1")
    here = written(kind, replace(scope, keys=()))
    assert back.replace("amazonaws.com.cn", "amazonaws.com") == here
    assert "arn:aws:" not in there


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_named_is_not_granted(kind: str) -> None:
    text = written(kind, replace(BARE, repository=BARE.repository))
    assert not re.search(r"glue:|kms:(Gen|Enc)|\"logs:", text)
    assert "WriteData" not in text


def test_the_next_pack_of_a_project_needs_no_other_role() -> None:
    text = written("runtime-role", FULL)
    assert "/team/jobs/report-environment-py311-arm64-*.tar.gz" in text
    assert "/team/jobs/main-*.py" in text
    exact = written("runtime-role", replace(FULL, exact=True))
    assert "/team/jobs/report-environment-py311-arm64-333333333333.tar.gz" in exact
    assert '"arn:aws:s3:::artifacts/team/jobs/*"' not in text + exact


def test_without_a_record_everything_below_the_prefix_may_be_read() -> None:
    text = written("runtime-role", replace(FULL, artifacts=()))
    assert '"arn:aws:s3:::artifacts/team/jobs/*"' in text


def test_a_role_is_passed_to_one_service_only() -> None:
    statements = KINDS["submitter"].write(FULL).to_json()["Statement"]
    (passing,) = (s for s in statements if s["Action"] == "iam:PassRole")
    assert passing["Resource"] == "arn:aws:iam::123456789012:role/jobs/EmrJobs"
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}
    }


@pytest.mark.parametrize(
    ("scope", "condition"),
    [
        (
            BARE,
            {
                "StringEquals": {"aws:SourceAccount": "123456789012"},
                "ArnLike": {
                    "aws:SourceArn": "arn:aws:emr-serverless:us-east-1:123456789012:/applications/*"
                },
            },
        ),
        (
            FULL,
            {
                "StringEquals": {
                    "aws:SourceAccount": "123456789012",
                    "aws:SourceArn": "arn:aws:emr-serverless:us-east-1:123456789012:"
                    "/applications/00abcdefghij1234",
                }
            },
        ),
    ],
)
def test_a_role_trusts_this_accounts_applications_only(
    scope: Scope, condition: dict[str, object]
) -> None:
    (statement,) = KINDS["trust"].write(scope).to_json()["Statement"]
    assert statement["Condition"] == condition
    assert statement["Principal"] == {"Service": "emr-serverless.amazonaws.com"}


def test_names_in_s3_are_no_patterns() -> None:
    place = parse_bucket("s3://bucket/a*b?c${aws:username}", "--read")
    assert BARE.object_arn(place) == "arn:aws:s3:::bucket/a${*}b${?}c${$}{aws:username}/*"


@given(st.text())
def test_a_literal_has_no_pattern_left(text: str) -> None:
    escaped = literal(text)
    assert re.sub(r"\$\{([*?$])\}", r"\1", escaped) == text
    assert not re.search(r"[*?$]", re.sub(r"\$\{[*?$]\}", "", escaped))


@pytest.mark.parametrize("kind", ["runtime-role", "publisher"])
def test_where_artifacts_are_has_to_be_known(kind: str) -> None:
    with pytest.raises(ConfigError, match="is not known") as caught:
        written(kind, replace(FULL, s3=None))
    assert "--s3-uri" in caught.value.fix


def test_who_submits_passes_a_role() -> None:
    with pytest.raises(ConfigError, match="no runtime role"):
        written("submitter", replace(FULL, role=None))


def test_who_pushes_pushes_to_one_repository() -> None:
    with pytest.raises(ConfigError, match="no repository"):
        written("pusher", replace(FULL, repository=None))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("00abcdefghij1234", Named(name="00abcdefghij1234")),
        (
            "arn:aws-cn:emr-serverless:cn-north-1:123456789012:/applications/00a",
            Named(name="00a", account="123456789012", region="cn-north-1"),
        ),
    ],
)
def test_an_application_is_an_id_or_an_arn(text: str, named: Named) -> None:
    assert parse_application(text) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("EmrJobs", Named(name="EmrJobs")),
        ("/a/b/EmrJobs", Named(name="a/b/EmrJobs")),
        ("arn:aws:iam::123456789012:role/a/R", Named(name="a/R", account="123456789012")),
    ],
)
def test_a_role_is_a_name_or_an_arn(text: str, named: Named) -> None:
    assert parse_role(text) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("team/spark", Named(name="team/spark")),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/spark@sha256:00",
            Named(name="spark", account="123456789012", region="cn-north-1"),
        ),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/a/spark:1",
            Named(name="a/spark", account="123456789012", region="us-east-1"),
        ),
    ],
)
def test_a_repository_is_a_name_or_a_reference(text: str, named: Named) -> None:
    assert parse_repository(text) == named


WRONG: dict[str, Callable[[], object]] = {
    "a bucket that is a pattern": lambda: parse_bucket("s3://*/a", "--read"),
    "a bucket that is none": lambda: parse_bucket("a/b", "--read"),
    "a short account": lambda: parse_account("123", "--account"),
    "a partition that is not known": lambda: parse_region("us-iso-east-1", "the Region"),
    "a zone": lambda: parse_region("us-east-1a", "the Region"),
    "an application's name": lambda: parse_application("My App"),
    "every application": lambda: parse_application("*"),
    "every role": lambda: parse_role("*"),
    "roles by a pattern": lambda: parse_role("a*/b"),
    "a user": lambda: parse_role("arn:aws:iam::123456789012:user/a"),
    "repositories by a pattern": lambda: parse_repository("team/*"),
    "another registry": lambda: parse_repository("registry.example/team/spark:1"),
    "every key": lambda: parse_key("*"),
    "an alias": lambda: parse_key("arn:aws:kms:us-east-1:123456789012:alias/a"),
    "every log group": lambda: parse_log_group("*"),
    "every database": lambda: parse_database("*"),
    "a policy with a path": lambda: parse_policy_name("a/b"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_grant_more_or_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        WRONG[name]()
    assert caught.value.fix


def test_a_policy_that_iam_would_refuse_for_its_length_is_told() -> None:
    require_size("x \n" * 10, 10)
    with pytest.raises(ConfigError, match="11 characters") as caught:
        require_size("x \n" * 11, 10)
    assert "IAM takes 10" in caught.value.why


def test_the_policy_it_was_likely_meant_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        kind_named("sumbitter")
    assert caught.value.fix == "did you mean 'submitter'?"


# The command.

PLACE = ("--account", "123456789012", "--region", "eu-central-1")


def test_the_kinds_are_listed(packager: Command, tmp_path: Path) -> None:
    done = packager("policy", cwd=tmp_path)
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == list(KINDS)


def test_a_policy_is_json_on_stdout(packager: Command, tmp_path: Path) -> None:
    done = packager("policy", "trust", *PLACE, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["Version"] == "2012-10-17"


def test_the_records_of_dist_say_what_jobs_read(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.packager]\ns3-uri = "s3://bucket/jobs"\n')
    (tmp_path / "dist").mkdir()
    record = (GOLDEN / "record-1.json").read_text(encoding="utf-8")
    (tmp_path / "dist" / "report-emr-7.13.0-arm64.packager.json").write_text(record)
    done = packager("policy", "runtime-role", *PLACE, cwd=tmp_path)
    assert json.loads(done.out)["Statement"][0]["Resource"] == [
        "arn:aws:s3:::bucket/jobs/report-environment-py311-arm64-*.tar.gz",
        "arn:aws:s3:::bucket/jobs/report-app-*.tar.gz",
        "arn:aws:s3:::bucket/jobs/main-*.py",
    ]


def test_a_record_that_was_published_says_where(packager: Command, tmp_path: Path) -> None:
    document = json.loads((GOLDEN / "record-1.json").read_text(encoding="utf-8"))
    (tmp_path / "dist").mkdir()
    for number, place in enumerate(["s3://bucket/jobs", "s3://other"]):
        locations = {a["file"]: f"{place}/{a['file']}" for a in document["artifacts"]}
        text = json.dumps(document | {"locations": locations})
        (tmp_path / "dist" / f"{number}.packager.json").write_text(text)
    record = ("--record", "dist/0.packager.json")
    (tmp_path / "pyproject.toml").write_text("[tool.packager]\n")
    done = packager("policy", "publisher", *PLACE, *record, cwd=tmp_path)
    assert '"arn:aws:s3:::bucket/jobs/*"' in done.out
    both = packager("policy", "publisher", *PLACE, cwd=tmp_path)
    assert (both.code, both.error[1]) == (2, "s3://bucket/jobs, s3://other")


def test_the_arn_of_a_role_tells_the_account(packager: Command, tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/R"
    done = packager("policy", "submitter", "--region", "us-east-1", "--role", role, cwd=tmp_path)
    assert done.code == 0
    assert role in done.out


def test_two_accounts_are_told(packager: Command, tmp_path: Path) -> None:
    role = "arn:aws:iam::999999999999:role/R"
    done = packager("policy", "submitter", *PLACE, "--role", role, cwd=tmp_path)
    assert done.code == 2
    assert "--account says 123456789012, the role's ARN says 999999999999" in done.err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["secret", "--create", "A"], "is not made in IAM"),
        (["trust", "--attach", "A"], "--attach"),
        (["logs", "--attach", "A"], "--attach"),
    ],
)
def test_what_can_not_be_made_is_told_before_aws_is_asked(
    packager: Command, tmp_path: Path, arguments: list[str], what: str
) -> None:
    done = packager("policy", *arguments, *PLACE, cwd=tmp_path)
    assert done.code == 2
    assert what in done.err
