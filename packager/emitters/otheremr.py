"""The same archives on EMR on EKS and EMR on EC2, whose Spark properties differ. Pure.

Sources: Apache Spark, `running-on-kubernetes` and `running-on-yarn` (environment of the driver);
EMR on EKS Development Guide, StartJobRun; EMR Release Guide, `emr-spark-submit-step`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from packager.emitters.parameters import (
    divided,
    refuse_classifications,
    spark_defaults,
    submit_parameters,
)
from packager.emitters.text import dump
from packager.errors import ConfigError
from packager.sparkconf import ARCHIVES, SECRET, Job, SparkConf, require_entry_point

SERVERLESS: Final = "spark.emr-serverless."
DRIVER_ENV: Final = f"{SERVERLESS}driverEnv."
EKS_ENTRY_POINT_CHARS: Final = 256
EKS_NAME_CHARS: Final = 64
EC2_NAME_CHARS: Final = 256
EC2_ARGUMENTS_CHARS: Final = 10280


def emr_eks(job: Job) -> str:
    """A StartJobRun request of emr-containers; `<…>` stands for what the job does not know."""
    job = _elsewhere(job, "spark.kubernetes.driverEnv.", "EMR on EKS")
    entry_point = require_entry_point(job)
    _refuse_longer(entry_point, EKS_ENTRY_POINT_CHARS, "the entry point's location", "emr-eks")
    fitting, moved = divided(job)
    submit: dict[str, Any] = {"entryPoint": entry_point}
    if job.arguments:
        submit["entryPointArguments"] = list(job.arguments)
    if fitting:
        submit["sparkSubmitParameters"] = submit_parameters(fitting, job.limits)
    request: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._/#-]", "-", job.name)[:EKS_NAME_CHARS],
        "virtualClusterId": "<virtual cluster ID>",
        "executionRoleArn": job.role or "<ARN of the job's role>",
        "releaseLabel": f"{job.release}-latest",
        "jobDriver": {"sparkSubmitJobDriver": submit},
    }
    if moved:
        _refuse_empty(moved)
        configuration = spark_defaults(moved, job.limits)
        request["configurationOverrides"] = {"applicationConfiguration": configuration}
    return dump(request)


def _refuse_empty(entries: Sequence[tuple[str, str]]) -> None:
    for key, value in entries:
        if not value:
            raise ConfigError(
                f"{key} has an empty value, which EMR on EKS does not take",
                fix="leave the property out",
            )


def emr_ec2(job: Job) -> str:
    """An AddJobFlowSteps request, for `aws emr add-steps --cli-input-json`."""
    job = _elsewhere(job, "spark.yarn.appMasterEnv.", "EMR on EC2")
    entry_point = require_entry_point(job)
    words = ["spark-submit", "--deploy-mode", "cluster"]
    for key, value in job.conf.entries:
        words += ["--archives", value] if key == ARCHIVES else ["--conf", f"{key}={value}"]
    words += [entry_point, *job.arguments]
    _refuse_longer("".join(words), EC2_ARGUMENTS_CHARS, "the step's arguments together", "emr-ec2")
    step = {
        "Name": job.name[:EC2_NAME_CHARS],
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": words},
    }
    return dump({"JobFlowId": "<cluster ID>", "Steps": [step]})


def _refuse_longer(text: str, limit: int, what: str, form: str) -> None:
    if len(text) > limit:
        raise ConfigError(
            f"{what}: {len(text)} characters, too long for `--format {form}`",
            why=f"the API takes {limit}",
            fix="use a shorter --s3-uri",
        )


def _elsewhere(job: Job, driver_env: str, where: str) -> Job:
    """With the driver's environment where `where` looks for it.

    Raise `ConfigError` for other properties of EMR Serverless, and for images, which each service
    has of its own.
    """
    if job.images is not None:
        raise ConfigError(
            f"a custom image of EMR Serverless does not run on {where}",
            why="each service of EMR has base images of its own",
            fix="pack archives: packager pack",
        )
    refuse_classifications(job, f"for {where}")
    entries: list[tuple[str, str]] = []
    for key, value in job.conf.entries:
        if value.startswith(SECRET):
            raise ConfigError(
                f"{key} refers to a secret, which {where} does not look up",
                why=f"only EMR Serverless reads `{SECRET}…`",
                fix="leave it out, and let the job ask for the secret itself",
            )
        if key.startswith(DRIVER_ENV):
            entries.append((driver_env + key.removeprefix(DRIVER_ENV), value))
        elif key.startswith(SERVERLESS):
            raise ConfigError(
                f"{key} means nothing to {where}",
                why=f"only EMR Serverless reads `{SERVERLESS}*`",
                fix="leave it out, or use the property that this service has for it",
            )
        else:
            entries.append((key, value))
    _refuse_twice(entries)
    return replace(job, conf=SparkConf(entries=tuple(entries)))


def _refuse_twice(entries: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for key, value in entries:
        if seen.setdefault(key, value) != value:
            raise ConfigError(
                f"{key} is set twice: {seen[key]!r} and {value!r}",
                why=f"one of them is written as {DRIVER_ENV}*",
                fix="keep one",
            )
