"""What the reader of each form makes of its text, as far as it is a job."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
import pygohcl
import yaml

APPLICATION: dict[str, Any] = {
    "name": "reports",
    "maximum-capacity": {"cpu": "100 vCPU", "memory": "400 GB", "disk": "1000 GB"},
    "initial-capacity": {
        "driver": {"workers": 1, "cpu": "4 vCPU", "memory": "16 GB"},
        "executor": {"workers": 5, "cpu": "4 vCPU", "memory": "16 GB", "disk": "100 GB"},
    },
    "auto-start": True,
    "auto-stop-minutes": 10,
    "subnets": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
    "security-groups": ["sg-0a1b2c3d"],
    "max-concurrent-runs": 10,
    "queue-timeout-minutes": 60,
    "studio": True,
    "livy": False,
    "log-uri": "s3://logs/jobs",
    "log-key": "arn:aws:kms:us-east-1:123456789012:key/0a1b",
    "log-group": "/emr/jobs",
    "log-executors": True,
    "managed-logs": False,
    "prometheus-url": "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
    "conf": {"spark.sql.shuffle.partitions": "64", "spark.x": "a ${b} {{c}}"},
    "tags": {"team": "data", "cost-center": "7"},
}
"""[tool.packager.application], with all that the three forms that make one have a place for."""

RUN: dict[str, Any] = {
    "name": "nightly {{ report }}",
    "timeout-minutes": 1500,
    "max-attempts": 3,
    "log-uri": "s3://logs/runs",
    "log-group": "/emr/runs",
    "log-executors": True,
    "managed-logs": False,
    "disk-key": "arn:aws:kms:us-east-1:123456789012:key/0a1b",
    "disk-context": {"purpose": "jobs"},
    "session-policy-arns": ["arn:aws:iam::123456789012:policy/narrow"],
    "flex": True,
    "tags": {"team": "data", "Cost Center": "a=b"},
    "client-token": "would start one run only",
}
"""[tool.packager.run], whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    entries: dict[str, str]
    arguments: list[str] | None = None
    entry_point: str | None = None
    name: str | None = None


def read_back(form: str, text: str) -> Read:
    match form:
        case "json":
            return Read(entries=json.loads(text))
        case "yaml":
            return Read(entries=yaml.safe_load(text))
        case "conf-args":
            return Read(entries=_pairs(json.loads(text)))
        case "spark-submit":
            return Read(entries=_pairs(text.split()))
        case "spark-defaults":
            return Read(entries=java_properties(text))
        case "spark-defaults-json":
            return Read(entries=_classification(json.loads(text)["applicationConfiguration"]))
        case "env":
            words = (word.partition("=") for word in shlex.split(text))
            return _outputs({k.lower().replace("_", "-"): v for k, _, v in words})
        case "github-output":
            return _outputs(dict(github_outputs(text)))
        case (
            "start-job-run"
            | "shell"
            | "airflow"
            | "step-functions"
            | "scheduler"
            | ("cloudformation" | "terraform" | "cdk")
        ):
            return _request(request_in(form, text))
        case "emr-eks":
            request = json.loads(text)
            driver = request["jobDriver"].pop("sparkSubmitJobDriver")
            return _request(request | {"jobDriver": {"sparkSubmit": driver}})
        case "emr-ec2":
            return _step(json.loads(text)["Steps"][0])
        case _:
            raise AssertionError(form)


def request_in(form: str, text: str) -> dict[str, Any]:
    """The StartJobRun request that a form makes, as the service's own API has it."""
    match form:
        case "start-job-run":
            request = json.loads(text)
        case "shell":
            request = json.loads(shlex.split(text, comments=True)[-1])
        case "airflow":
            request = airflow_arguments(text)
        case "step-functions":
            request = camel(json.loads(text)["States"]["Run"]["Parameters"])
        case "scheduler":
            request = camel(json.loads(json.loads(text)["Target"]["Input"]))
        case "cloudformation":
            machine = json.loads(text)["Resources"]["StateMachine"]["Properties"]
            request = camel(machine["Definition"]["States"]["Run"]["Parameters"])
        case "terraform":
            request = camel(terraform_definition(text)["States"]["Run"]["Parameters"])
        case "cdk":
            request = camel(cdk_definition(text)["States"]["Run"]["Parameters"])
        case _:
            raise AssertionError(form)
    return dict(request)


def _pairs(words: list[str]) -> dict[str, str]:
    assert words[::2] == ["--conf"] * (len(words) // 2)
    return dict(_split(word) for word in words[1::2])


def _split(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    assert equals
    return key, value


def _classification(configuration: list[dict[str, Any]]) -> dict[str, str]:
    (one,) = configuration
    assert one["classification"] == "spark-defaults"
    return dict(one["properties"])


def _request(request: dict[str, Any]) -> Read:
    submit = request["jobDriver"]["sparkSubmit"]
    entries = _pairs(submit.get("sparkSubmitParameters", "").split())
    if moved := request.get("configurationOverrides"):
        entries |= _classification(moved["applicationConfiguration"])
    return Read(
        entries=entries,
        arguments=submit.get("entryPointArguments", []),
        entry_point=submit["entryPoint"],
        name=request["name"],
    )


def camel(value: Any) -> Any:
    """A request with the names of its members as the service's own API writes them."""
    match value:
        case dict():
            return {
                key[:1].lower() + key[1:]: item
                if key in {"Properties", "Tags", "EncryptionContext", "LogTypes"}
                else camel(item)
                for key, item in value.items()
            }
        case list():
            return [camel(item) for item in value]
        case _:
            return value


def _outputs(outputs: dict[str, str]) -> Read:
    return Read(
        entries=_pairs(outputs["spark-submit-parameters"].split()),
        arguments=json.loads(outputs["entry-point-arguments"]),
        entry_point=outputs["entry-point"],
        name=outputs["job-name"],
    )


def github_outputs(text: str) -> Iterator[tuple[str, str]]:
    """As the runner of GitHub Actions reads `$GITHUB_OUTPUT`."""
    lines = iter(text.split("\n"))
    for line in lines:
        head = re.match(r"([^=<]+)(=|<<)(.*)", line, re.DOTALL)
        assert head, line
        if head[2] == "=":
            yield head[1], head[3]
            continue
        inside = []
        while (line := next(lines)) != head[3]:
            inside.append(line)
        yield head[1], "\n".join(inside)


def airflow_arguments(text: str) -> dict[str, Any]:
    """The operator's arguments after Airflow has rendered them, named as the API names them."""
    _, task = ast.parse(text).body
    assert isinstance(task, ast.Assign)
    assert isinstance(task.value, ast.Call)
    found = {word.arg: ast.literal_eval(word.value) for word in task.value.keywords if word.arg}
    rendered = _rendered({key: found.get(key) for key in ("name", "job_driver")})
    request: dict[str, Any] = {"name": rendered["name"], "jobDriver": rendered["job_driver"]}
    if "configuration_overrides" in found:
        request["configurationOverrides"] = _rendered(found["configuration_overrides"])
    return {**request, **_rendered(found.get("config", {}))}


def _rendered(value: Any) -> Any:
    match value:
        case str():
            return jinja2.Environment().from_string(value).render()  # noqa: S701  # as Airflow
        case dict():
            return {key: _rendered(item) for key, item in value.items()}
        case list():
            return [_rendered(item) for item in value]
        case _:
            return value


def cdk_definition(text: str) -> dict[str, Any]:
    """The state machine's definition, with source in the place of references."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("CfnStateMachine"):
            (found,) = (word.value for word in node.keywords if word.arg == "definition")
            return dict(_literal(found))
    raise AssertionError(text)


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Dict():
            keys = [ast.literal_eval(key) for key in node.keys if key is not None]
            return dict(zip(keys, map(_literal, node.values), strict=True))
        case ast.List():
            return [_literal(item) for item in node.elts]
        case ast.Constant():
            return node.value
        case _:
            return ast.unparse(node)


def terraform_definition(text: str) -> dict[str, Any]:
    """The state machine's definition as HCL has it, with source in the place of references."""
    block = re.search(r"(?m)^resource \"aws_sfn_state_machine\" (?:.*\n)+?\}$", text)
    assert block
    literal = re.sub(r"(?m)( = )((?:aws_|var\.)[\w.]+)$", r'\1"\2"', block[0])
    literal = literal.replace("definition = jsonencode({\n", "definition = {\n")
    (machine,) = pygohcl.loads(re.sub(r"\n  \}\)\n\}$", "\n  }\n}", literal))["resource"][
        "aws_sfn_state_machine"
    ].values()
    return dict(machine["definition"])


def _step(step: dict[str, Any]) -> Read:
    words = iter(step["HadoopJarStep"]["Args"])
    assert [next(words) for _ in range(3)] == ["spark-submit", "--deploy-mode", "cluster"]
    entries: dict[str, str] = {}
    for word in words:
        if word not in {"--conf", "--archives"}:
            return Read(entries=entries, arguments=list(words), entry_point=word, name=step["Name"])
        key, value = _split(next(words)) if word == "--conf" else ("spark.archives", next(words))
        entries[key] = value
    raise AssertionError(step)


def java_properties(text: str) -> dict[str, str]:
    """`java.util.Properties.load`, then the trimming of Spark's `Utils.getPropertiesFromFile`."""
    found = {}
    for line in _logical_lines(text):
        match = re.match(r"((?:\\.|[^\\ \t\f=:])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        assert match
        found[_unescaped(match[1])] = _trimmed(_unescaped(match[2]))
    return found


def _logical_lines(text: str) -> Iterator[str]:
    lines = iter(re.split(r"\r\n|\n|\r", text))
    for first in lines:
        line = first.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while re.search(r"(?<!\\)(?:\\\\)*\\$", line):
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        yield line


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(match[2], match[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", one, text, flags=re.DOTALL)


def _trimmed(text: str) -> str:
    return text.strip("".join(map(chr, range(33))))
