"""What Terraform, CloudFormation and the CDK describe. Pure.

An application, a state machine that runs the job on it, and their roles. Each of the three writes
the same resources; a `Reference` stands for what only it can name.

Sources: AWS Step Functions Developer Guide, page `connect-emr-serverless` (the policy of a state
machine); EMR Serverless User Guide, 'Create a job runtime role' (the trust policy).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from packager.emitters.application import image_fields
from packager.emitters.stepfunctions import definition, require_expression
from packager.emitters.text import slug
from packager.sparkconf import Job

Target = Literal[
    "application",
    "applications",
    "role",
    "machine",
    "partition",
    "region",
    "account",
]


@dataclass(frozen=True, slots=True)
class Reference:
    """What only a form itself can name.

    The application's ID, its ARN, the ARNs of the job's role and of the state machine, and where
    it is deployed.
    """

    to: Target


@dataclass(frozen=True, slots=True)
class Joined:
    """A text with references in it."""

    parts: tuple[str | Reference, ...]


RULE: Final = Joined(
    (
        *("arn:", Reference("partition"), ":events:", Reference("region"), ":"),
        *(Reference("account"), ":rule/StepFunctionsGetEventsForEMRServerlessJobRule"),
    )
)
"""With it, Step Functions waits for the end of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    name: str
    application: Mapping[str, Any]
    """Fields of CreateApplication."""
    role: str | None
    """ARN of the job's role, if it is known."""
    definition: Mapping[str, Any]
    """Of the state machine."""
    machine_policy: Mapping[str, Any]
    job_policy: Mapping[str, Any] | None
    """None where the role is somebody else's."""
    job_trust: Mapping[str, Any]
    """Of a role for this application alone."""
    schedule: str | None
    schedule_policy: Mapping[str, Any]


def stack(job: Job) -> Stack:
    """Raise `ConfigError` for what the services would not take."""
    if job.schedule is not None:
        require_expression(job.schedule)
    return Stack(
        name=slug(job.name),
        application=_application(job),
        role=job.role,
        definition=definition(
            job, ApplicationId=Reference("application"), ExecutionRoleArn=Reference("role")
        ),
        machine_policy=policy(
            _allow("emr-serverless:StartJobRun", on=Reference("applications")),
            # To stop an execution is to cancel its job.
            _allow(
                "emr-serverless:GetJobRun",
                "emr-serverless:CancelJobRun",
                *(["emr-serverless:TagResource"] if "tags" in job.run_fields else []),
                on=Joined((Reference("applications"), "/jobruns/*")),
            ),
            _allow("iam:PassRole", on=Reference("role"))
            | {
                "Condition": {
                    "StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}
                }
            },
            _allow("events:PutTargets", "events:PutRule", "events:DescribeRule", on=RULE),
        ),
        job_policy=policy(*(_placed(s) for s in job.statements)) if job.statements else None,
        job_trust=trust(
            "emr-serverless.amazonaws.com",
            StringEquals={
                "aws:SourceAccount": Reference("account"),
                "aws:SourceArn": Reference("applications"),
            },
        ),
        schedule=job.schedule,
        schedule_policy=policy(_allow("states:StartExecution", on=Reference("machine"))),
    )


def _application(job: Job) -> dict[str, Any]:
    return {
        "name": slug(job.name),
        "type": "SPARK",
        "releaseLabel": job.release,
        "architecture": job.architecture,
        **image_fields(job.images),
        **job.application_fields,
    }


def _placed(value: Any) -> Any:
    """With references for what `policies.scope.HERE` names."""
    match value:
        case str() if "\0" in value:
            names = cast("list[Target]", value.split("\0"))  # every other one is a name
            parts = (Reference(n) if i % 2 else n for i, n in enumerate(names))
            return Joined(tuple(part for part in parts if part))
        case Mapping():
            return {key: _placed(item) for key, item in value.items()}
        case list() | tuple():
            return [_placed(item) for item in value]
        case _:
            return value


def _allow(*actions: str, on: Reference | Joined) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service: str, **condition: Mapping[str, Any]) -> dict[str, Any]:
    """Who may take a role, e.g. `states.amazonaws.com`."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return policy(statement | ({"Condition": condition} if condition else {}))
