"""A stack of the AWS CDK, in Python. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from packager.emitters.application import argument, for_cdk
from packager.emitters.cloudformation import refuse_dynamic_references
from packager.emitters.python import Code, literal, source
from packager.emitters.stack import Joined, Reference, Stack, stack, trust
from packager.sparkconf import Job

REFERENCES: Final[Mapping[str, str]] = {
    "application": "application.attr_application_id",
    "applications": "application.attr_arn",
    "machine": "machine.attr_arn",
    "partition": "self.partition",
    "region": "self.region",
    "account": "self.account",
}

HEAD: Final = """\
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_emrserverless as emrserverless
from aws_cdk import aws_iam as iam
{scheduler}from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct


class {title}Stack(Stack):
    def __init__(
        self, scope: Construct, construct_id: str, {parameter}**kwargs: Any
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
"""


def cdk(job: Job) -> str:
    """Raise `ConfigError` for what CloudFormation or the services would not take."""
    made = stack(job)
    refuse_dynamic_references(made)
    return _text(made)


def _text(made: Stack) -> str:
    role = "execution_role_arn" if made.job_policy is None else "job_role.attr_arn"

    def resolved(value: Any) -> Any:
        match value:
            case Reference():
                return Code({**REFERENCES, "role": role}[value.to])
            case Joined():
                return Code(_formatted(value))
            case dict():
                return {key: resolved(item) for key, item in value.items()}
            case list():
                return [resolved(item) for item in value]
            case _:
                return value

    def role_of(name: str, title: str, who: Mapping[str, Any], document: Any) -> str:
        return _construct(
            name,
            "iam.CfnRole",
            title,
            assume_role_policy_document=resolved(who),
            policies=[
                Code(
                    "iam.CfnRole.PolicyProperty(\n"
                    f'{" " * 20}policy_name="packager",\n'
                    f"{' ' * 20}policy_document={source(resolved(document), 20)},\n"
                    f"{' ' * 16})"
                )
            ],
        )

    fields = {argument(name): value for name, value in for_cdk(made.application).items()}
    parts = [_construct("application", "emrserverless.CfnApplication", "Application", **fields)]
    if made.job_policy is not None:
        parts.append(role_of("job_role", "JobRole", made.job_trust, made.job_policy))
    parts.append(
        role_of(
            "machine_role", "StateMachineRole", trust("states.amazonaws.com"), made.machine_policy
        )
    )
    parts.append(
        _construct(
            "machine" if made.schedule is not None else "",
            "stepfunctions.CfnStateMachine",
            "StateMachine",
            role_arn=Code("machine_role.attr_arn"),
            definition=resolved(made.definition),
        )
    )
    if made.schedule is not None:
        who = trust("scheduler.amazonaws.com")
        parts.append(role_of("schedule_role", "ScheduleRole", who, made.schedule_policy))
        parts.append(_schedule(made.schedule))
    parameter = ""
    if made.job_policy is None:
        default = "" if made.role is None else f" = {literal(made.role)}"
        parameter = f"*, execution_role_arn: str{default}, "
    head = HEAD.format(
        title=_title(made.name),
        parameter=parameter,
        scheduler=""
        if made.schedule is None
        else "from aws_cdk import aws_scheduler as scheduler\n",
    )
    return head + "".join(parts).rstrip("\n")


def _schedule(expression: str) -> str:
    return _construct(
        "",
        "scheduler.CfnSchedule",
        "Schedule",
        schedule_expression=expression,
        flexible_time_window={"mode": "OFF"},
        target={"arn": Code("machine.attr_arn"), "roleArn": Code("schedule_role.attr_arn")},
    )


def _construct(variable: str, kind: str, title: str, **arguments: Any) -> str:
    rows = "".join(
        f"            {name}={source(value, 12)},\n" for name, value in arguments.items()
    )
    assigned = f"{variable} = " if variable else ""
    return (
        f'        {assigned}{kind}(\n            self,\n            "{title}",\n{rows}        )\n'
    )


def _formatted(text: Joined) -> str:
    parts = (
        f"{{{REFERENCES[part.to]}}}"
        if isinstance(part, Reference)
        else literal(part)[1:-1].replace("{", "{{").replace("}", "}}")
        for part in text.parts
    )
    return f'f"{"".join(parts)}"'


def _title(name: str) -> str:
    words = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))
    return words if words[:1].isalpha() else f"Job{words}"
