"""Policies and roles in IAM: made, or brought to what they should be.

Nothing is deleted but the oldest version of a policy that has no room for another.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from packager.adapters.aws.failures import code_of, explained
from packager.adapters.aws.session import Session

Outcome = Literal["created", "updated", "unchanged"]

VERSIONS: Final = 5
"""Of one managed policy (IAM User Guide, "IAM and STS quotas")."""


def put_policy(session: Session, name: str, document: Mapping[str, Any]) -> tuple[str, Outcome]:
    """The ARN of the account's managed policy `name`, which is `document` from now on.

    Raise `CommandError` where IAM refuses.
    """
    from botocore.exceptions import ClientError

    iam = session.client("iam")
    arn = f"arn:{session.partition}:iam::{session.account()}:policy/{name}"
    text = json.dumps(document)
    with explained(f"the policy {name} can not be made", permission=f"iam:CreatePolicy on {arn}"):
        try:
            current = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
            iam.create_policy(PolicyName=name, PolicyDocument=text)
            return arn, "created"
    permission = f"iam:CreatePolicyVersion on {arn}"
    with explained(f"the policy {name} can not be changed", permission=permission):
        version = iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]
        if version["Document"] == document:
            return arn, "unchanged"
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        if len(versions) >= VERSIONS:
            others = (v for v in versions if not v["IsDefaultVersion"])
            oldest = min(others, key=lambda v: int(v["VersionId"].removeprefix("v")))
            iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=text, SetAsDefault=True)
        return arn, "updated"


def put_role(session: Session, role: str, trust: Mapping[str, Any]) -> tuple[str, Outcome]:
    """The ARN of a role, given as its path and name, whom `trust` says may be it from now on."""
    from botocore.exceptions import ClientError

    iam = session.client("iam")
    path, _, name = role.rpartition("/")
    text = json.dumps(trust)
    with explained(f"the role {name} can not be made", permission=f"iam:CreateRole on {name}"):
        try:
            found = iam.get_role(RoleName=name)["Role"]
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
            made = iam.create_role(
                RoleName=name, Path=f"/{path}/" if path else "/", AssumeRolePolicyDocument=text
            )
            return made["Role"]["Arn"], "created"
    permission = f"iam:UpdateAssumeRolePolicy on {found['Arn']}"
    with explained(f"who may be the role {name} can not be changed", permission=permission):
        if found["AssumeRolePolicyDocument"] == trust:
            return found["Arn"], "unchanged"
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=text)
        return found["Arn"], "updated"


def attach(session: Session, policy_arn: str, role: str) -> None:
    """Give a role a managed policy; it may have it already."""
    name = role.rpartition("/")[2]
    with explained(
        f"the policy can not be attached to {name}", permission=f"iam:AttachRolePolicy on {name}"
    ):
        session.client("iam").attach_role_policy(RoleName=name, PolicyArn=policy_arn)
