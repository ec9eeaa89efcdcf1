"""A state machine that runs a job, and the schedule of it. Pure.

Sources: AWS Step Functions Developer Guide, pages `connect-emr-serverless` (parameters are those of
StartJobRun, policies)
and `connect-to-resource` (a stopped execution cancels the job that a `.sync` task waits for).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from packager.emitters.startjobrun import request
from packager.emitters.text import compact, dump, slug
from packager.errors import ConfigError
from packager.sparkconf import Job

RUN: Final = "Run"
FAILED: Final = "Failed"
RETRY: Final = {
    "ErrorEquals": ["States.TaskFailed"],
    "IntervalSeconds": 30,
    "MaxAttempts": 2,
    "BackoffRate": 2.0,
    "JitterStrategy": "FULL",
}
OF_USERS: Final = frozenset({"properties", "tags", "encryptionContext"})
"""Members whose keys are the user's."""


def step_functions(job: Job) -> str:
    """A definition in the Amazon States Language.

    What the job does not know comes from the input: `ApplicationId`, `ExecutionRoleArn`.
    """
    if job.schedule is not None:
        raise ConfigError(
            "a definition of a state machine holds no schedule",
            fix="use `--format scheduler`, or one of terraform, cloudformation, cdk",
        )
    return dump(definition(job))


def definition(job: Job, **references: object) -> dict[str, Any]:
    """`references` replace `ApplicationId` and `ExecutionRoleArn`.

    A job that fails, or that can not be started, is tried twice more, but for one whose own retry
    policy says how often; then the execution fails with the job's error. Raise `ConfigError` for
    what the API or the language would not take.
    """
    parameters = pascal(request(job)) | references
    for name in ("ExecutionRoleArn", "ApplicationId"):
        if name not in parameters:
            parameters = {f"{name}.$": f"$.{name}", **parameters}
    _refuse_paths(parameters)
    retry = [] if "retryPolicy" in job.run_fields else [RETRY]
    return {
        "Comment": f"Runs {slug(job.name)} on EMR Serverless",
        "StartAt": RUN,
        "States": {
            RUN: {
                "Type": "Task",
                "Resource": "arn:aws:states:::emr-serverless:startJobRun.sync",
                "Parameters": parameters,
                **({"Retry": retry} if retry else {}),
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.Error", "Next": FAILED}],
                "End": True,
            },
            FAILED: {"Type": "Fail", "ErrorPath": "$.Error.Error", "CausePath": "$.Error.Cause"},
        },
    }


def _refuse_paths(parameters: Mapping[str, Any]) -> None:
    for key in _names(parameters):
        if key.endswith(".$"):
            raise ConfigError(
                f"{key} can not be written for Step Functions",
                why="it takes the value of a key that ends with `.$` for a path into its input",
                fix="set this property in the job's code, or choose another name",
            )


def _names(value: object, *, of_users: bool = False) -> Iterator[str]:
    """Keys that are the user's."""
    match value:
        case Mapping():
            for key, item in value.items():
                if of_users:
                    yield key
                yield from _names(item, of_users=key[:1].lower() + key[1:] in OF_USERS)
        case list():
            for item in value:
                yield from _names(item)
        case _:
            pass


def pascal(value: Any) -> Any:
    """A request with the names of its members as Step Functions and Scheduler write them.

    Keys that are the user's stay.
    """
    match value:
        case dict():
            return {
                key[:1].upper() + key[1:]: item if key in OF_USERS else pascal(item)
                for key, item in value.items()
            }
        case list():
            return [pascal(item) for item in value]
        case _:
            return value


def require_expression(schedule: str) -> None:
    """Raise `ConfigError` for what EventBridge Scheduler does not take for a time.

    After its User Guide, "Schedule types".
    """
    if not re.fullmatch(
        r"rate\([1-9]\d* (minute|hour|day)s?\)"
        r"|at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)"
        r"|cron\(\S+( \S+){5}\)",
        schedule,
    ):
        raise ConfigError(
            f"--schedule {schedule!r} is no time that EventBridge Scheduler knows",
            why="it takes rate(N days), cron(minute hour day month weekday year), at(DATETIME)",
            fix="write it as in 'cron(0 6 * * ? *)', 'rate(1 day)', 'at(2026-11-30T06:00:00)'",
        )


def scheduler(job: Job) -> str:
    """A CreateSchedule request of EventBridge Scheduler, which starts the job itself.

    `<…>` stands for what the job does not know. Raise `ConfigError` without a schedule.
    """
    if job.schedule is None:
        raise ConfigError(
            "no schedule is given",
            fix="add one: --schedule 'cron(0 6 * * ? *)'",
        )
    require_expression(job.schedule)
    target_input = {
        "ApplicationId": "<application ID>",
        "ExecutionRoleArn": "<ARN of the job's role>",
        **pascal(request(job)),
    }
    text = compact(target_input)
    if "<aws.scheduler." in text:
        raise ConfigError(
            "`<aws.scheduler.` can not be written for EventBridge Scheduler",
            why="it puts its own values in the place of such words",
            fix="pass another text",
        )
    # A schedule that fires twice starts one job.
    text = compact({"ClientToken": "<aws.scheduler.execution-id>", **target_input})
    return dump(
        {
            "Name": slug(job.name),
            "ScheduleExpression": job.schedule,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": "arn:aws:scheduler:::aws-sdk:emrserverless:startJobRun",
                "RoleArn": "<ARN of the role that may start the job and pass the job's role>",
                "Input": text,
            },
        }
    )
