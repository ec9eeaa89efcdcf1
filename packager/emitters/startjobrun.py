"""The StartJobRun request of EMR Serverless, and the forms that are little more than it. Pure."""

import shlex
from typing import Any

from packager.emitters.parameters import divided, spark_defaults, submit_parameters
from packager.emitters.text import dump, slug
from packager.errors import ConfigError
from packager.sparkconf import Job, require_entry_point


def request(job: Job) -> dict[str, Any]:
    """A StartJobRun request; `applicationId` and `executionRoleArn` where the job knows them.

    Raise `ConfigError` for what the API would not take.
    """
    found: dict[str, Any] = {}
    if job.application is not None:
        found["applicationId"] = job.application
    if job.role is not None:
        found["executionRoleArn"] = job.role
    found["name"] = name = run_name(job)
    found["jobDriver"] = {"sparkSubmit": spark_submit_driver(job)}
    found.update(overrides(job))
    found.update(settled(job))
    if len(name) > job.limits.job_name_chars:
        raise ConfigError(
            f"the job's name is {len(name)} characters long",
            why=f"the API takes {job.limits.job_name_chars}",
            fix="give the project a shorter name",
        )
    return found


def run_name(job: Job) -> str:
    return str(job.run_fields.get("name", job.name))


def settled(job: Job) -> dict[str, Any]:
    """Fields that the settings name and no other function here writes: tags, retries and so on."""
    return {k: v for k, v in job.run_fields.items() if k not in {"name", "configurationOverrides"}}


def spark_submit_driver(job: Job) -> dict[str, Any]:
    """The `sparkSubmit` of a `jobDriver`."""
    limits = job.limits
    entry_point = require_entry_point(job)
    if len(entry_point) > limits.entry_point_chars:
        raise ConfigError(
            f"the entry point's location is {len(entry_point)} characters long",
            why=f"the API takes {limits.entry_point_chars}",
            fix="use a shorter --s3-uri",
        )
    if len(job.arguments) > limits.entry_point_arguments_items:
        raise ConfigError(
            f"{len(job.arguments)} arguments",
            why=f"the API takes {limits.entry_point_arguments_items}",
            fix="pass the location of a file instead",
        )
    driver: dict[str, Any] = {"entryPoint": entry_point}
    if job.arguments:
        driver["entryPointArguments"] = list(job.arguments)
    fitting, _ = divided(job)
    if fitting:  # the API takes no empty text
        driver["sparkSubmitParameters"] = submit_parameters(fitting, limits)
    return driver


def overrides(job: Job) -> dict[str, Any]:
    """`configurationOverrides`; nothing where there are none.

    What sparkSubmitParameters can not hold, and what the settings name: where logs go, and keys.
    """
    _, moved = divided(job)
    entries = tuple({**(job.replaced or {}), **dict(moved)}.items()) if moved else ()
    configuration = spark_defaults(entries, job.limits) if entries else []
    configuration += _classifications(job)
    found = {"applicationConfiguration": configuration} if configuration else {}
    found.update(job.run_fields.get("configurationOverrides", {}))
    return {"configurationOverrides": found} if found else {}


def _classifications(job: Job) -> list[dict[str, Any]]:
    return [
        {"classification": name, "properties": dict(properties)}
        for name, properties in job.classifications.items()
    ]


def start_job_run(job: Job) -> str:
    return dump(request(job))


def spark_defaults_json(job: Job) -> str:
    configuration = spark_defaults(job.conf.entries, job.limits) + _classifications(job)
    return dump({"applicationConfiguration": configuration})


def shell(job: Job) -> str:
    """A script with the aws command line; what is not known is taken from the environment."""
    unknown = {
        "application-id": ("APPLICATION_ID", job.application),
        "execution-role-arn": ("EXECUTION_ROLE_ARN", job.role),
    }
    lines = ["#!/bin/sh", f"# Starts {slug(job.name)} on EMR Serverless.", "set -eu", ""]
    lines.append("exec aws emr-serverless start-job-run \\")
    lines += [
        f'  --{option} "${{{variable}:?}}" \\'
        for option, (variable, value) in unknown.items()
        if value is None
    ]
    return "\n".join([*lines, f"  --cli-input-json {shlex.quote(dump(request(job)))}"])
