"""A task for Apache Airflow, with the operator of its provider package for Amazon. Pure."""

import re
from typing import Any, Final

from packager.emitters.python import source
from packager.emitters.startjobrun import overrides, run_name, settled, spark_submit_driver
from packager.emitters.text import identifier, slug
from packager.sparkconf import Job

APPLICATION: Final = "{{ var.value.emr_serverless_application_id }}"
ROLE: Final = "{{ var.value.emr_serverless_role_arn }}"

LOOK_S: Final = 30
"""Between two looks at the run."""
MINUTES: Final = 720
"""After which EMR stops a job if it is not told otherwise; the operator would give up after 25."""
YEAR_MINUTES: Final = 365 * 24 * 60
"""For jobs without an end by the clock."""


def airflow(job: Job) -> str:
    """Raise `ConfigError` for what the API would not take."""
    arguments: dict[str, Any] = {
        "task_id": slug(job.name, separator="_"),
        "application_id": APPLICATION if job.application is None else job.application,
        "execution_role_arn": ROLE if job.role is None else job.role,
        "name": _no_template(run_name(job)),
        "job_driver": _no_templates({"sparkSubmit": spark_submit_driver(job)}),
    }
    if moved := overrides(job):
        arguments["configuration_overrides"] = _no_templates(moved["configurationOverrides"])
    if more := settled(job):
        arguments["config"] = _no_templates(more)
    rows = "".join(
        f"    {name}={source(value, 4)},\n" for name, value in (arguments | _waiter(job)).items()
    )
    return (
        "from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator\n"
        "\n"
        f"{identifier(job.name)} = EmrServerlessStartJobOperator(\n{rows})"
    )


def _waiter(job: Job) -> dict[str, int]:
    """As patient as EMR is with the job."""
    minutes = job.run_fields.get("executionTimeoutMinutes", MINUTES)
    if not minutes or job.run_fields.get("mode") == "STREAMING":
        minutes = YEAR_MINUTES
    return {"waiter_delay": LOOK_S, "waiter_max_attempts": -(-minutes * 60 // LOOK_S)}


def _no_templates(value: Any) -> Any:
    match value:
        case str():
            return _no_template(value)
        case dict():
            return {key: _no_templates(item) for key, item in value.items()}
        case list():
            return [_no_templates(item) for item in value]
        case _:
            return value


def _no_template(text: str) -> str:
    """Written so that Jinja, which Airflow runs over every text, makes `text` of it.

    Jinja also drops the newline at the end, and makes newlines of carriage returns.
    """
    return re.sub(
        r"\{(?=[{%#\r]|\n\Z)|\r|\n\Z",
        lambda match: "{{ " + repr(match[0]) + " }}",
        text,
    )
