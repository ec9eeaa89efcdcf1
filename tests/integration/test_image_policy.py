"""`packager image policy`, against what stands in for ECR's API."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import awsfront
from tests.awsfront import Front
from tests.command import Command, Outcome
from tests.rig.aws import ACCOUNT, REGION, Cloud, client

pytestmark = pytest.mark.tools

ARN = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications"
OTHER = {
    "Sid": "CI",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/ci"},
    "Action": "ecr:*",
}

Run = Callable[..., Outcome]


@pytest.fixture
def ecr(cloud: Cloud) -> Any:
    ecr = client(cloud, "ecr")
    ecr.create_repository(repositoryName="team/app")
    return ecr


@pytest.fixture
def front(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    with awsfront.serve(cloud.endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.endpoint)
        yield front


@pytest.fixture
def policy(ecr: Any, packager: Command, tmp_path: Path) -> Run:
    return lambda *words: packager("image", "policy", "team/app", *words, cwd=tmp_path)


def put(ecr: Any, *statements: Mapping[str, Any]) -> None:
    document = {"Version": "2012-10-17", "Statement": statements}
    text = json.dumps(document, separators=(",", ":"))
    ecr.set_repository_policy(repositoryName="team/app", policyText=text)


def held(ecr: Any) -> list[dict[str, Any]]:
    text = ecr.get_repository_policy(repositoryName="team/app")["policyText"]
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def test_an_application_joins_what_is_there(ecr: Any, policy: Run) -> None:
    put(ecr, OTHER)
    done = policy("--application", "00f1")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "team/app: written\n"
        f"application 00f1 of {ACCOUNT} can pull: statement `EmrServerlessCustomImageSupport`"
        " allows it\n"
    )
    assert policy("--application", f"{ARN}/00f2").code == 0
    other, ours = held(ecr)
    assert other == OTHER
    assert ours["Condition"] == {"StringEquals": {"aws:SourceArn": [f"{ARN}/00f1", f"{ARN}/00f2"]}}


def test_a_second_time_nothing_is_written(front: Front, policy: Run) -> None:
    assert policy("--account").code == 0
    front.asked.clear()
    done = policy("--account")
    assert done.code == 0
    assert "nothing to change" in done.err
    assert front.asked == ["DescribeRepositories", "GetRepositoryPolicy"]


def test_all_of_the_account_is_narrowed_to_one(ecr: Any, policy: Run) -> None:
    policy("--account")
    done = policy("--application", "00f1", "--only")
    assert done.code == 0
    assert held(ecr)[0]["Condition"] == {"StringEquals": {"aws:SourceArn": f"{ARN}/00f1"}}
    assert "warning" not in done.err


def test_narrowing_in_vain_is_told(ecr: Any, policy: Run) -> None:
    service = {"Service": "emr-serverless.amazonaws.com"}
    put(ecr, {**OTHER, "Sid": "Wide", "Principal": service})
    done = policy("--application", "00f1", "--only", "--quiet")
    assert done.err == (
        f"warning: it is not narrow: every application of {ACCOUNT} in {REGION} can pull:"
        " statement `Wide` allows it\n"
    )


def test_a_dry_run_shows_the_difference_and_writes_nothing(front: Front, policy: Run) -> None:
    done = policy("--account", "--diff", "--dry-run")
    assert done.code == 0
    assert done.out.startswith("--- team/app (now)\n+++ team/app (then)\n")
    assert f'+          "aws:SourceArn": "{ARN}/*"' in done.out
    assert "SetRepositoryPolicy" not in front.asked


def test_a_policy_is_shown_and_judged(ecr: Any, policy: Run) -> None:
    put(ecr, OTHER)
    done = policy("--show")
    assert done.code == 1
    assert json.loads(done.out)["Statement"] == [OTHER]
    what, why, fix = done.error
    assert what == f"every application of {ACCOUNT} in {REGION} can not pull from team/app"
    assert why == "no statement allows ecr:BatchGetImage"
    assert fix == "packager image policy team/app --account, or --application ID"
    policy("--application", "00f1")
    done = policy("--show", "--json")
    assert done.code == 0
    assert json.loads(done.out)["applications"] == [
        {
            "application": f"{ARN}/00f1",
            "verdict": "allowed",
            "why": "statement `EmrServerlessCustomImageSupport` allows it",
        }
    ]


def test_a_deny_of_others_is_found_after_writing(ecr: Any, policy: Run) -> None:
    put(ecr, {**OTHER, "Sid": "Closed", "Effect": "Deny", "Principal": "*"})
    done = policy("--application", "00f1")
    assert done.code == 1
    assert done.error[1] == "statement `Closed` denies ecr:BatchGetImage"
    assert len(held(ecr)) == 2


def test_what_somebody_else_writes_meanwhile_is_kept(ecr: Any, front: Front, policy: Run) -> None:
    front.after["SetRepositoryPolicy"] = [lambda: put(ecr, OTHER)]
    assert policy("--application", "00f1").code == 0
    assert [statement["Sid"] for statement in held(ecr)] == [
        "CI",
        "EmrServerlessCustomImageSupport",
    ]
    assert front.asked.count("SetRepositoryPolicy") == 2


@pytest.mark.parametrize(
    "operation", ["DescribeRepositories", "GetRepositoryPolicy", "SetRepositoryPolicy"]
)
def test_a_permission_that_is_missing_has_its_name(
    front: Front, policy: Run, operation: str
) -> None:
    front.denied = {operation}
    done = policy("--account")
    assert done.code == 4
    assert "is not authorized" in done.error[1]
    place = f"arn:{'*' if operation[0] == 'D' else 'aws'}:ecr:{REGION}"
    assert f"ecr:{operation} on {place}:" in done.error[2]


def test_a_repository_that_is_not_there(ecr: Any, packager: Command, tmp_path: Path) -> None:
    done = packager("image", "policy", "team/other", "--account", cwd=tmp_path)
    assert done.code == 2
    assert done.error[0] == f"there is no repository team/other in {REGION}"


def test_a_policy_that_grows_too_long_stays_as_it_was(ecr: Any, policy: Run) -> None:
    put(ecr, *({**OTHER, "Sid": f"CI{n}"} for n in range(97)))
    done = policy("--account")
    assert done.code == 2
    assert "ECR takes 10,240" in done.error[0]
    assert len(held(ecr)) == 97


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "nobody is named who may pull"),
        (("--show", "--account"), "--show changes nothing"),
        (("--application", "My App"), "My App is not an application of EMR Serverless"),
        (("--pull-account", "12"), "12 is not an account of AWS"),
    ],
)
def test_options_that_do_not_go_together(policy: Run, words: tuple[str, ...], what: str) -> None:
    done = policy(*words)
    assert (done.code, done.error[0]) == (2, what)


def test_another_account_may_pull_where_it_is_asked_for(ecr: Any, policy: Run) -> None:
    assert policy("--pull-account", "111122223333", "--account").code == 0
    assert held(ecr)[1]["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
