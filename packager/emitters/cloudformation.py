"""A CloudFormation template, in JSON. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from packager.emitters.application import for_cloudformation
from packager.emitters.stack import Joined, Reference, Stack, stack, trust
from packager.emitters.text import dump
from packager.errors import ConfigError
from packager.sparkconf import Job

REFERENCES: Final[Mapping[str, Any]] = {
    "application": {"Ref": "Application"},
    "applications": {"Fn::GetAtt": ["Application", "Arn"]},
    "machine": {"Ref": "StateMachine"},
    "partition": {"Ref": "AWS::Partition"},
    "region": {"Ref": "AWS::Region"},
    "account": {"Ref": "AWS::AccountId"},
}


def cloudformation(job: Job) -> str:
    """Raise `ConfigError` for what CloudFormation or the services would not take."""
    return dump(template(stack(job)))


def refuse_dynamic_references(made: Stack) -> None:
    """Raise `ConfigError` for texts that CloudFormation would put its own values into."""
    if "{{resolve:" in json.dumps([_resolved(made.definition, {}), made.application]):
        raise ConfigError(
            "`{{resolve:` can not be written for CloudFormation",
            why="it puts a parameter or a secret in the place of such words",
            fix="pass another text",
        )


def template(made: Stack) -> dict[str, Any]:
    """Raise `ConfigError` for what CloudFormation would not take."""
    refuse_dynamic_references(made)
    role: Any = {"Ref": "ExecutionRoleArn"}
    if made.job_policy is not None:
        role = {"Fn::GetAtt": ["JobRole", "Arn"]}

    def resolved(value: object) -> Any:
        return _resolved(value, {**REFERENCES, "role": role})

    parameters: dict[str, Any] = {}
    resources: dict[str, Any] = {
        "Application": _resource(
            "EMRServerless::Application", **for_cloudformation(made.application)
        )
    }
    if made.job_policy is None:
        parameters["ExecutionRoleArn"] = {
            "Type": "String",
            "Description": "ARN of the role that the job runs as",
            **({} if made.role is None else {"Default": made.role}),
        }
    else:
        resources["JobRole"] = _role(resolved(made.job_trust), resolved(made.job_policy))
    resources["StateMachineRole"] = _role(
        trust("states.amazonaws.com"), resolved(made.machine_policy)
    )
    resources["StateMachine"] = _resource(
        "StepFunctions::StateMachine",
        RoleArn={"Fn::GetAtt": ["StateMachineRole", "Arn"]},
        Definition=resolved(made.definition),
    )
    if made.schedule is not None:
        resources["ScheduleRole"] = _role(
            trust("scheduler.amazonaws.com"), resolved(made.schedule_policy)
        )
        resources["Schedule"] = _resource(
            "Scheduler::Schedule",
            ScheduleExpression=made.schedule,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": resolved(Reference("machine")),
                "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]},
            },
        )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{made.name} on EMR Serverless",
        **({"Parameters": parameters} if parameters else {}),
        "Resources": resources,
        "Outputs": {
            "ApplicationId": {"Value": {"Ref": "Application"}},
            "StateMachineArn": {"Value": {"Ref": "StateMachine"}},
        },
    }


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _role(who: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    return _resource(
        "IAM::Role",
        AssumeRolePolicyDocument=who,
        Policies=[{"PolicyName": "packager", "PolicyDocument": document}],
    )


def _resolved(value: Any, references: Mapping[str, Any]) -> Any:
    match value:
        case Reference():
            return references.get(value.to)
        case Joined():
            return {"Fn::Sub": "".join(_substituted(part, references) for part in value.parts)}
        case dict():
            return {key: _resolved(item, references) for key, item in value.items()}
        case list():
            return [_resolved(item, references) for item in value]
        case _:
            return value


def _substituted(part: str | Reference, references: Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part.replace("${", "${!")
    match references[part.to]:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"${{{resource}.{attribute}}}"
        case other:
            raise AssertionError(other)
