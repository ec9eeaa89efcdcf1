"""The forms in which people use a job's configuration. Pure.

Adding a form is one function, its row in EMITTERS, and a golden text in the tests.
"""

from collections.abc import Callable, Mapping
from typing import Final

from packager.emitters.airflow import airflow
from packager.emitters.cdk import cdk
from packager.emitters.cloudformation import cloudformation
from packager.emitters.flat import conf_args, env, github_output, json_, spark_defaults, yaml
from packager.emitters.otheremr import emr_ec2, emr_eks
from packager.emitters.parameters import refuse_classifications, spark_submit
from packager.emitters.startjobrun import shell, spark_defaults_json, start_job_run
from packager.emitters.stepfunctions import scheduler, step_functions
from packager.emitters.terraform import terraform
from packager.errors import unknown_name
from packager.sparkconf import Job

Emitter = Callable[[Job], str]


def _properties(emit: Emitter) -> Emitter:
    """A form that has room for Spark properties alone."""

    def emit_or_refuse(job: Job) -> str:
        refuse_classifications(job, "as Spark properties")
        return emit(job)

    return emit_or_refuse


PROPERTIES: Final[Mapping[str, Emitter]] = {
    "spark-submit": spark_submit,
    "json": _properties(json_),
    "yaml": _properties(yaml),
    "conf-args": _properties(conf_args),
    "spark-defaults": _properties(spark_defaults),
    "spark-defaults-json": spark_defaults_json,
    "env": _properties(env),
    "github-output": _properties(github_output),
}
"""Forms of the properties alone."""

JOBS: Final[Mapping[str, Emitter]] = {
    "start-job-run": start_job_run,
    "shell": shell,
    "airflow": airflow,
    "step-functions": step_functions,
    "scheduler": scheduler,
    "terraform": terraform,
    "cloudformation": cloudformation,
    "cdk": cdk,
    "emr-eks": emr_eks,
    "emr-ec2": emr_ec2,
}
"""Forms of a whole job, which need an entry point."""

STACKS: Final = ("terraform", "cloudformation", "cdk")
"""Forms that make an application and roles."""

SCHEDULED: Final = ("scheduler", *STACKS)
"""Forms that a schedule can be written into."""

ELSEWHERE: Final = frozenset({"emr-eks", "emr-ec2"})
"""Forms for services that have other workers than EMR Serverless."""

EMITTERS: Final[Mapping[str, Emitter]] = {**PROPERTIES, **JOBS}


def emitter(name: str) -> Emitter:
    """Raise `ConfigError` for a form packager does not write."""
    if name not in EMITTERS:
        raise unknown_name(name, "a format", EMITTERS)
    return EMITTERS[name]
