"""`packager doctor`, against what stands in for AWS."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import awsfront
from tests.awsfront import Front
from tests.command import Command
from tests.rig.aws import ACCOUNT, REGION, Cloud, client
from tests.test_readme import ROOT

pytestmark = pytest.mark.tools

ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"
OPTIONS = ("--s3-uri", "s3://code/jobs", "--repository", "team/app", "--role", ROLE)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "emr-serverless.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@pytest.fixture
def front(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Front]:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "store"))
    with awsfront.serve(cloud.endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.endpoint)
        yield front


@pytest.fixture
def well(cloud: Cloud, front: Front, packager: Command, tmp_path: Path) -> Front:
    client(cloud, "s3").create_bucket(Bucket="code")
    client(cloud, "ecr").create_repository(repositoryName="team/app")
    trust = json.dumps(TRUST)
    client(cloud, "iam").create_role(RoleName="jobs", AssumeRolePolicyDocument=trust)
    assert packager("image", "policy", "team/app", "--account", cwd=tmp_path).code == 0
    return front


def seen(out: str) -> dict[str, Any]:
    return {point["name"]: point for point in json.loads(out)["points"]}


def test_what_the_readme_shows_is_told(cloud: Cloud, packager: Command, tmp_path: Path) -> None:
    """But for who is logged in, and for what this machine lacks."""
    there = {"LocationConstraint": "eu-west-1"}
    client(cloud, "s3").create_bucket(Bucket="my-bucket", CreateBucketConfiguration=there)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    ((command, shown),) = re.findall(r"(?s)```console\n\$ packager (doctor .*?)\n(.*?)```", text)
    done = packager(*command.split(), cwd=tmp_path)
    assert done.code == 1
    lines = [
        line for line in shown.splitlines() if "identity" not in line and "1 thing" not in line
    ]
    assert len(lines) == 5
    assert [line for line in lines if line not in done.out.splitlines()] == []


def test_an_account_that_is_set_up_passes(well: Front, packager: Command, tmp_path: Path) -> None:
    done = packager("doctor", *OPTIONS, cwd=tmp_path)
    assert done.code == 0, done.out
    assert f"s3://code in {REGION}" in done.out
    assert f"every application of {ACCOUNT} in {REGION} can pull" in done.out
    assert f"{ROLE} trusts emr-serverless.amazonaws.com" in done.out
    assert done.out.endswith("\nnothing that is needed is missing\n")
    assert packager("doctor", *OPTIONS, "--quiet", cwd=tmp_path).out == ""


def test_an_empty_account_lacks_all(front: Front, packager: Command, tmp_path: Path) -> None:
    done = packager("doctor", *OPTIONS, "--json", cwd=tmp_path)
    assert done.code == 1
    told = seen(done.out)
    assert told["bucket"]["told"] == "there is no bucket code"
    assert told["repository"]["fix"] == (
        "the first push makes it: packager image push IMAGE team/app"
    )
    assert told["role"]["told"] == "there is no role jobs"


@pytest.mark.parametrize(
    ("operation", "name", "permission"),
    [
        ("GetCallerIdentity", "identity", "sts:GetCallerIdentity"),
        ("HEAD /code", "bucket", "s3:ListBucket on arn:aws:s3:::code"),
        ("DescribeRepositories", "repository", "ecr:DescribeRepositories on "),
        ("GetRepositoryPolicy", "pull policy", "ecr:GetRepositoryPolicy on arn:aws:ecr:"),
        ("GetRole", "role", f"iam:GetRole on {ROLE}"),
    ],
)
def test_a_permission_that_is_missing_has_its_name(
    well: Front, packager: Command, tmp_path: Path, operation: str, name: str, permission: str
) -> None:
    well.denied = {operation}
    done = packager("doctor", *OPTIONS, "--json", cwd=tmp_path)
    assert done.code == 1
    point = seen(done.out)[name]
    assert point["status"] == "missing"
    assert f"get the permission {permission}" in point["fix"]


def test_nothing_is_asked_of_anybody_about_the_machine(
    front: Front, packager: Command, tmp_path: Path
) -> None:
    done = packager("doctor", "--machine", "--json", cwd=tmp_path)
    assert done.code == 0, done.out
    assert set(seen(done.out)) == {"Python", "uv", "store", "engine", "buildx", "Java"}
    assert front.asked == []


def test_a_store_that_can_not_be_written_is_missing(
    front: Front, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "file"))
    done = packager("doctor", "--machine", "--json", cwd=tmp_path)
    assert done.code == 1
    assert seen(done.out)["store"]["status"] == "missing"


def test_the_project_says_what_to_look_at(well: Front, packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'a'\nversion = '1'\n[tool.packager]\ns3-uri = 's3://code/jobs'\n"
        f"[tool.packager.ecr]\nrepository = 'team/app'\n[tool.packager.run]\nrole = '{ROLE}'\n",
        encoding="utf-8",
    )
    done = packager("doctor", "--json", cwd=tmp_path)
    assert done.code == 0, done.out
    assert {"identity", "bucket", "repository", "pull policy", "role"} <= set(seen(done.out))


def test_without_credentials_the_rest_is_not_asked_for(
    well: Front, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    well.asked.clear()
    done = packager("doctor", *OPTIONS, "--json", cwd=tmp_path)
    assert done.code == 1
    assert "credentials" in seen(done.out)["identity"]["why"]
    assert seen(done.out)["role"]["status"] == "unseen"
    assert well.asked == []
