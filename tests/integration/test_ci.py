"""Pipelines that `packager init --ci` writes: linted by their own tools, their commands run.

GitHub's and GitLab's are held against the schemas that check-jsonschema brings, GitHub's against
zizmor, too. CodeBuild has no linter: its keys are held against the buildspec reference here.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import boto3
import pytest
import yaml
from jsonschema import Draft202012Validator

from packager.scaffold.ci import SERVICES
from tests.command import Command
from tests.index import Index
from tests.integration.test_run import ROLE, TRUST
from tests.rig.aws import ACCOUNT, REGION, Cloud
from tests.rig.emrserverless.plans import Plan
from tests.rig.emrserverless.service import Service

pytestmark = pytest.mark.tools

BIN: Final = Path(sys.executable).parent

COMMANDS: Final = {"type": "array", "items": {"type": "string"}, "minItems": 1}
PHASE: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["commands"],
    "properties": {
        "run-as": {"type": "string"},
        "on-failure": {"enum": ["ABORT", "CONTINUE"]},
        "runtime-versions": {"type": "object"},
        "commands": COMMANDS,
        "finally": COMMANDS,
    },
}
BUILDSPEC: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "phases"],
    "properties": {
        "version": {"const": 0.2},
        "env": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "shell": {"enum": ["bash", "/bin/sh"]},
                "variables": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "phases": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(["install", "pre_build", "build", "post_build"], PHASE),
        },
        "reports": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["files"],
                "properties": {
                    "files": {"type": "array"},
                    "base-directory": {"type": "string"},
                    "discard-paths": {"enum": ["yes", "no"]},
                    "file-format": {
                        "enum": [
                            *("CUCUMBERJSON", "JUNITXML", "NUNITXML", "NUNIT3XML"),
                            *("TESTNGXML", "VISUALSTUDIOTRX"),
                        ]
                    },
                },
            },
        },
        "artifacts": {
            "type": "object",
            "additionalProperties": False,
            "required": ["files"],
            "properties": {
                "base-directory": {"type": "string"},
                "discard-paths": {"enum": ["yes", "no"]},
                "files": {"type": "array"},
                "name": {"type": "string"},
            },
        },
        "cache": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "key": {"type": "string"},
                "fallback-keys": {"type": "array"},
                "action": {"enum": ["restore", "save"]},
                "paths": {"type": "array"},
            },
        },
    },
}
"""What of the "Build specification reference for CodeBuild" a pipeline may use."""


@pytest.fixture
def project(packager: Command, tmp_path: Path) -> Path:
    root = tmp_path / "project"
    assert packager("init", "project", "--release", "emr-7.13.0", cwd=tmp_path).code == 0
    return root


def add(packager: Command, root: Path, service: str) -> tuple[Path, ...]:
    done = packager("init", "--ci", service, cwd=root)
    assert done.code == 0, done.err
    return tuple(root / pipeline.path for pipeline in SERVICES[service])


# Linters.


def lint(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


SCHEMAS: Final = {
    "github": (["vendor.github-workflows"], ["vendor.github-actions"]),
    "gitlab": (["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],),
}


@pytest.mark.parametrize("service", SCHEMAS)
def test_their_schemas_accept_them(packager: Command, project: Path, service: str) -> None:
    files = add(packager, project, service)
    for file, schema in zip(files, SCHEMAS[service], strict=True):
        done = lint("check-jsonschema", "--builtin-schema", *schema, file)
        assert done.returncode == 0, done.stdout
        file.write_text(file.read_text() + "\nscript: {wrong: [\n")
        assert lint("check-jsonschema", "--builtin-schema", *schema, file).returncode == 1


def test_zizmor_finds_nothing_unsafe(packager: Command, project: Path) -> None:
    workflow, _ = add(packager, project, "github")
    # What it says of less weight is GitHub's newest way to write a path, which few servers know.
    options = ("--offline", "--no-progress", "--min-severity", "medium")
    done = lint("zizmor", *options, project)
    assert done.returncode == 0, done.stdout + done.stderr
    workflow.write_text(re.sub(r"@\w{40} # v7\S+", "@main", workflow.read_text()))
    assert lint("zizmor", *options, project).returncode != 0


def test_a_buildspec_is_as_its_reference_says(packager: Command, project: Path) -> None:
    (file,) = add(packager, project, "codebuild")
    check = Draft202012Validator(BUILDSPEC)
    document = yaml.safe_load(file.read_text())
    assert list(check.iter_errors(document)) == []
    document["phases"]["build"]["command"] = []
    assert list(check.iter_errors(document)) != []


@pytest.mark.parametrize("service", SERVICES)
def test_no_pipeline_has_a_key_of_aws(packager: Command, project: Path, service: str) -> None:
    text = "".join(file.read_text() for file in add(packager, project, service))
    assert not re.search(r"(?i)access.?key|secrets\.", text)
    assert "--arch all" in text


# Their commands.


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    command: str
    env: Mapping[str, str]


class Loader(yaml.SafeLoader):
    """YAML with GitLab's `!reference`."""


def _reference(loader: Loader, node: yaml.SequenceNode) -> tuple[str, ...]:
    return tuple(loader.construct_sequence(node))


Loader.add_constructor("!reference", _reference)

VARIABLES: Final = {
    "AWS_REGION": REGION,
    "AWS_ROLE": f"arn:aws:iam::{ACCOUNT}:role/ci",
    "S3_URI": "s3://code/jobs",
    "EMR_APPLICATION": "tried",
    "EMR_JOB_ROLE": ROLE,
}
"""As the head of each pipeline tells one to set them."""


def github(files: tuple[Path, ...], variables: Mapping[str, str]) -> Iterator[Step]:
    workflow, action = (yaml.safe_load(file.read_text()) for file in files)

    def steps(found: list[Any], env: Mapping[str, str]) -> Iterator[Step]:
        for step in found:
            if "run" in step:
                own = {k: value(str(v)) for k, v in step.get("env", {}).items()}
                yield Step(command=step["run"], env={**env, **own})
            elif step["uses"] == "./.github/actions/packager":
                yield from steps(action["runs"]["steps"], env)

    def value(text: str) -> str:
        text = text.replace("${{ matrix.arch }}", variables.get("arch", "amd64"))
        text = re.sub(r"\$\{\{ vars\.(\w+) \}\}", lambda m: variables[m[1]], text)
        return text.replace("${{ inputs.path }}", ".").replace("${{ inputs.version }}", "0")

    for job in workflow["jobs"].values():
        yield from steps(job["steps"], workflow["env"])


def gitlab(files: tuple[Path, ...], variables: Mapping[str, str]) -> Iterator[Step]:
    document = yaml.load(files[0].read_text(), Loader)  # noqa: S506  # a safe one, with one tag

    def whole(job: dict[str, Any]) -> dict[str, Any]:
        base = whole(document[job["extends"]]) if "extends" in job else {}
        merged = {**base.get("variables", {}), **job.get("variables", {})}
        return {**base, **job, "variables": merged}

    for name, job in document.items():
        if name == "stages" or name.startswith("."):
            continue
        done = whole(job)
        env = {
            "PACKAGER_S3_URI": variables["S3_URI"],
            "EMR_APPLICATION": variables["EMR_APPLICATION"],
            "EMR_JOB_ROLE": variables["EMR_JOB_ROLE"],
            **done["variables"],
        }
        if "id_tokens" in done:
            env |= {"AWS_TOKEN": "a.token", "AWS_ROLE_ARN": variables["AWS_ROLE"]}
        for part in ("before_script", "script", "after_script"):
            for line in done.get(part, ()):
                lines = document[line[0]][line[1]] if isinstance(line, tuple) else [line]
                yield from (Step(command=text, env=env) for text in lines)


def codebuild(files: tuple[Path, ...], variables: Mapping[str, str]) -> Iterator[Step]:
    document = yaml.safe_load(files[0].read_text())
    env = {
        "PACKAGER_S3_URI": variables["S3_URI"],
        "EMR_APPLICATION": variables["EMR_APPLICATION"],
        "EMR_JOB_ROLE": variables["EMR_JOB_ROLE"],
        **document["env"]["variables"],
    }
    for phase in ("install", "pre_build", "build", "post_build"):
        found = document["phases"].get(phase, {})
        commands = [*found.get("commands", ()), *found.get("finally", ())]
        if phase == "post_build":  # what one exports the next ones see
            commands = ["\n".join(commands)]
        yield from (Step(command=command, env=env) for command in commands)


STEPS: Final = {"github": github, "gitlab": gitlab, "codebuild": codebuild}


@pytest.fixture
def account(cloud: Cloud, emr: Service) -> None:
    """A role and a bucket, as whoever sets up a pipeline has them."""
    boto3.client("s3").create_bucket(Bucket="code")
    boto3.client("iam").create_role(RoleName="job", AssumeRolePolicyDocument=json.dumps(TRUST))


def run_all(
    steps: Iterator[Step], root: Path, emr: Service, tmp_path: Path, *, tests: bool = False
) -> list[tuple[str, int, str]]:
    """Run steps as CI does, with packager installed, while the rig's time passes.

    Those with `packager test`, which need an engine, or the others.
    """
    ended = threading.Event()

    def pass_time() -> None:
        while not ended.wait(0.2):
            emr.advance(10)

    passing = threading.Thread(target=pass_time)
    passing.start()
    outcomes = []
    try:
        for step in steps:
            if "pip install" in step.command or ("packager test" in step.command) != tests:
                continue
            env = {**os.environ, **step.env, "PACKAGER_CACHE_DIR": str(tmp_path / "store")}
            env |= {"PATH": f"{BIN}:{env['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output")}
            env.pop("PACKAGER_CLEAN_ROOM", None)
            if "AWS_WEB_IDENTITY_TOKEN_FILE" in env:  # nothing else says who asks
                env["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(tmp_path / "token")
                del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", step.command],
                cwd=root, env=env, capture_output=True, text=True, check=False,
            )  # fmt: skip
            outcomes.append((step.command, done.returncode, done.stdout + done.stderr))
    finally:
        ended.set()
        passing.join()
    return outcomes


@pytest.mark.parametrize("service", STEPS)
def test_their_commands_publish_and_run(
    packager: Command,
    index: Index,
    emr: Service,
    account: None,
    project: Path,
    tmp_path: Path,
    service: str,
) -> None:
    files = add(packager, project, service)
    emr.plans = [Plan(running=5, scheduled=2)]
    steps = STEPS[service](files, VARIABLES)
    outcomes = run_all(steps, project, emr, tmp_path)
    assert [(command, text) for command, code, text in outcomes if code] == []
    ran = " ".join(command for command, _, _ in outcomes)
    wanted = ("pack", "validate", "publish", "deploy", "run")
    assert all(f"packager {command}" in ran for command in wanted)
    stored = boto3.client("s3").list_objects_v2(Bucket="code")["Contents"]
    assert len([o for o in stored if o["Key"].endswith(".packager.json")]) == 2, "both machines"
    (made,) = emr.asked("CreateApplication")
    assert (made["name"], made["architecture"]) == ("tried", "X86_64")
    (request,) = emr.asked("StartJobRun")
    keys = {f"s3://code/{o['Key']}" for o in stored}
    assert request["jobDriver"]["sparkSubmit"]["entryPoint"] in keys
    report = project / ("packager.sarif" if service == "github" else "packager.xml")
    assert report.is_file()


MACHINE: Final = """
import platform

def test_the_machine():
    assert platform.machine() == "aarch64"
"""


@pytest.mark.docker
@pytest.mark.network
@pytest.mark.parametrize(
    ("arch", "case"), [("amd64", "test_words_are_counted"), ("arm64", "test_the_machine")]
)
@pytest.mark.parametrize("service", ["github"])  # what runs is one command, the same in all
def test_their_commands_test_in_the_image(
    packager: Command,
    emr: Service,
    project: Path,
    tmp_path: Path,
    base_image: str,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    arch: str,
    case: str,
) -> None:
    files = add(packager, project, service)
    if arch == "arm64":  # emulated, and Spark takes minutes so
        for test in (project / "tests").glob("test_*.py"):
            test.unlink()
        (project / "tests" / "test_machine.py").write_text(MACHINE)
    assert packager("pack", "--arch", arch, cwd=project).code == 0
    monkeypatch.setenv("PACKAGER_BASE_IMAGE", base_image)
    monkeypatch.setenv("TEST_ENGINE", "1")
    steps = list(STEPS[service](files, {**VARIABLES, "arch": arch}))
    ours = {"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"}  # GitLab's engine is elsewhere
    here = [replace(s, env={k: v for k, v in s.env.items() if k not in ours}) for s in steps]
    ((_, code, text),) = run_all(iter(here), project, emr, tmp_path, tests=True)
    assert code == 0, text
    cases = ET.parse(project / "junit.xml").iter("testcase")  # noqa: S314  # our own
    assert [found.attrib["name"] for found in cases] == [case]


@pytest.mark.parametrize("service", STEPS)
def test_a_job_that_fails_fails_its_step(
    packager: Command,
    index: Index,
    emr: Service,
    account: None,
    project: Path,
    tmp_path: Path,
    service: str,
) -> None:
    files = add(packager, project, service)
    emr.plans = [Plan(running=5, scheduled=2, outcome="FAILED", details="it failed")]
    steps = STEPS[service](files, VARIABLES)
    outcomes = run_all(steps, project, emr, tmp_path)
    assert [("packager run" in c, code) for c, code, _ in outcomes if code] == [(True, 1)]
