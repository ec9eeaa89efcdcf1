"""What `packager doctor` makes of what it sees."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from packager.doctor.account import Wanted, examine_account
from packager.doctor.diagnosis import Look, Point, examine, missing, to_json, to_lines
from packager.errors import CommandError, ConfigError, ToolError
from packager.publishing.addresses import Repository, RepositoryAddress, every_application
from packager.publishing.policy import SID, service_statement, to_text
from tests.conftest import Golden

REPOSITORY = Repository(
    partition="aws",
    region="us-east-1",
    account="123456789012",
    name="team/app",
    uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app",
)
PULL = {"Statement": [{"Sid": SID, **service_statement([every_application(REPOSITORY)])}]}
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "emr-serverless.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
ROLE = "arn:aws:iam::123456789012:role/jobs"
WANTED = Wanted(
    bucket="my-bucket",
    repository=RepositoryAddress(name="team/app"),
    role=ROLE,
    application="00f1abcdexample",
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """An account where all is well, to be spoiled."""

    region: str = "us-east-1"
    partition: str = "aws"
    logged_in: bool = True
    buckets: Mapping[str, str | None] = field(default_factory=lambda: {"my-bucket": "us-east-1"})
    held: Repository | None = REPOSITORY
    text: str | None = to_text(PULL, "team/app")
    trusted: Mapping[str, Any] = field(default_factory=lambda: TRUST)
    denied: str = ""

    def identity(self) -> tuple[str, str]:
        if not self.logged_in:
            raise CommandError("AWS does not tell who you are", why="there are no AWS credentials")
        return "123456789012", "arn:aws:iam::123456789012:user/ci"

    def bucket_region(self, bucket: str) -> str | None:
        if bucket not in self.buckets:
            raise ConfigError(f"there is no bucket {bucket}")
        return self.buckets[bucket]

    def repository(self, _: RepositoryAddress) -> Repository | None:
        return self.held

    def policy(self, repository: Repository) -> str | None:
        if self.denied:
            raise CommandError(
                "the policy of team/app can not be read",
                why="AWS denies it",
                fix=f"get the permission {self.denied} on {repository.arn}",
            )
        return self.text

    def trust(self, _: str) -> Mapping[str, Any]:
        return self.trusted

    def application(self, _: str) -> Mapping[str, Any]:
        return {"name": "daily", "releaseLabel": "emr-7.13.0", "state": "STARTED"}


def points(account: Held, wanted: Wanted = WANTED) -> dict[str, Point]:
    return {point.name: point for point in examine_account(account, wanted)}


def test_where_all_is_well_nothing_is_missing(golden: Golden) -> None:
    found = tuple(examine_account(Held(), WANTED))
    assert missing(found) == ()
    machine = Look(area="this machine", name="uv", see=lambda: "0.9.10")
    golden.check("doctor.txt", to_lines((examine(machine), *found)) + "\n")


def test_what_is_missing_is_told_with_its_cure(golden: Golden) -> None:
    account = Held(buckets={"my-bucket": "eu-west-1"}, text=None, trusted={"Statement": []})

    def no_java() -> str:
        raise ToolError("no Java that runs was found", fix="install a Java runtime")

    java = Look(area="this machine", name="Java", see=no_java, purpose="packager run --local")
    found = (examine(java), *examine_account(account, WANTED))
    assert [p.name for p in missing(found)] == ["bucket", "pull policy", "role"]
    golden.check("doctor-missing.txt", to_lines(found) + "\n")
    assert to_json(found)["passed"] is False
    assert to_json(found)["points"][0] == {
        "area": "this machine",
        "name": "Java",
        "status": "optional",
        "told": "no Java that runs was found (only for packager run --local)",
        "why": "",
        "fix": "install a Java runtime",
    }


def test_who_is_not_logged_in_is_told_once() -> None:
    found = points(Held(logged_in=False))
    assert found["identity"].status == "missing"
    assert {p.status for name, p in found.items() if name != "identity"} == {"unseen"}


def test_where_nothing_is_wanted_of_aws_nobody_needs_to_log_in() -> None:
    found = points(Held(logged_in=False), Wanted())
    assert [(p.name, p.status) for p in found.values()] == [("identity", "optional")]


@pytest.mark.parametrize(
    ("spoiled", "name", "told"),
    [
        ({"buckets": {}}, "bucket", "there is no bucket my-bucket"),
        ({"buckets": {"my-bucket": "eu-west-1"}}, "bucket", "is in eu-west-1, and jobs run in"),
        ({"held": None}, "repository", "there is no repository team/app"),
        ({"held": None}, "pull policy", "there is no repository team/app"),
        ({"held": replace(REPOSITORY, region="eu-west-1")}, "repository", "is in eu-west-1"),
        ({"text": None}, "pull policy", "can not pull from team/app"),
        ({"denied": "ecr:GetRepositoryPolicy"}, "pull policy", "can not be read"),
        ({"trusted": {"Statement": []}}, "role", "jobs can not run as"),
        (
            {"trusted": {"Statement": [{**TRUST["Statement"], "Effect": "Deny"}]}},
            "role",
            "jobs can not run as",
        ),
        (
            {
                "trusted": {
                    "Statement": {
                        **TRUST["Statement"],
                        "Condition": {"StringEquals": {"aws:SourceArn": "arn:aws:x:y:1:/z"}},
                    }
                }
            },
            "role",
            "jobs can not run as",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_found(
    spoiled: Mapping[str, Any], name: str, told: str
) -> None:
    point = points(replace(Held(), **spoiled))[name]
    assert point.status == "missing"
    assert told in point.told
    assert point.fix or "there is no bucket" in told


def test_a_permission_that_is_missing_has_its_name() -> None:
    point = points(Held(denied="ecr:GetRepositoryPolicy"))["pull policy"]
    assert point.fix == f"get the permission ecr:GetRepositoryPolicy on {REPOSITORY.arn}"


def test_a_bucket_whose_region_is_not_told_passes() -> None:
    assert points(Held(buckets={"my-bucket": None}))["bucket"].status == "ok"


def test_only_what_is_wanted_is_looked_at() -> None:
    assert list(points(Held(), Wanted(role=ROLE))) == ["identity", "role"]
