"""What Terraform, CloudFormation and the CDK describe. Pure.

An application, a state machine that runs the job on it, and their roles. Each of the three writes
the same resources; a `Reference` stands for what only it can name.

Sources: AWS Step Functions Developer Guide, page `connect-emr-serverless` (the policy of a state
machine); EMR Serverless User Guide, 'Create a job runtime role' (the trust policy).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from packager.emitters.stepfunctions import definition
from packager.emitters.text import slug
from packager.sparkconf import Job

Target = Literal["application", "applications", "job-runs", "role", "rule", "machine"]
RULE: Final = "StepFunctionsGetEventsForEMRServerlessJobRule"
"""With it, Step Functions waits for the end of a job."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What only a form itself can name.

    The application's ID, its ARN, and the ARNs of its job runs, of the job's role, of the rule by
    which Step Functions waits, of the state machine.
    """

    to: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    name: str
    release: str
    architecture: str
    image: str | None
    role: str | None
    """ARN of the job's role, if it is known."""
    definition: Mapping[str, Any]
    """Of the state machine."""
    machine_policy: Mapping[str, Any]
    job_policy: Mapping[str, Any] | None
    """None where the role is somebody else's."""
    schedule: str | None
    schedule_policy: Mapping[str, Any]


def stack(job: Job) -> Stack:
    """Raise `ConfigError` for what the services would not take."""
    return Stack(
        name=slug(job.name),
        release=job.release,
        architecture=job.architecture,
        image=job.image,
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
                on=Reference("job-runs"),
            ),
            _allow("iam:PassRole", on=Reference("role"))
            | {
                "Condition": {
                    "StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}
                }
            },
            _allow(
                "events:PutTargets", "events:PutRule", "events:DescribeRule", on=Reference("rule")
            ),
        ),
        job_policy=policy(*job.statements) if job.statements else None,
        schedule=job.schedule,
        schedule_policy=policy(_allow("states:StartExecution", on=Reference("machine"))),
    )


def _allow(*actions: str, on: Reference) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(service: str) -> dict[str, Any]:
    """Who may take a role, e.g. `states.amazonaws.com`."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return policy(statement)
