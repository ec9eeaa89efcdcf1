"""A Terraform configuration, for the provider `hashicorp/aws`. Pure."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.emitters.application import for_terraform
from packager.emitters.stack import Joined, Reference, Stack, stack, trust
from packager.emitters.text import identifier
from packager.errors import ConfigError
from packager.sparkconf import Job


@dataclass(frozen=True, slots=True)
class Expression:
    """Text that stands in the configuration as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value that Terraform writes as JSON."""

    value: Any


@dataclass(frozen=True, slots=True)
class Nested:
    """A block inside a block."""

    body: Mapping[str, Any]


def terraform(job: Job) -> str:
    """Raise `ConfigError` for what Terraform or the services would not take."""
    made = stack(job)
    name = identifier(made.name)
    blocks = "\n\n".join(f"{head} {_body(body, 0)}" for head, body in _blocks(made, name))
    return f"# Needs the provider hashicorp/aws.\n\n{blocks}"


def _blocks(made: Stack, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    application = f"aws_emrserverless_application.{name}"
    role = "var.execution_role_arn" if made.job_policy is None else f"aws_iam_role.{name}_job.arn"
    references = {
        "application": f"{application}.id",
        "applications": f"{application}.arn",
        "role": role,
        "machine": f"aws_sfn_state_machine.{name}.arn",
        "partition": "data.aws_partition.current.partition",
        "region": "data.aws_region.current.id",
        "account": "data.aws_caller_identity.current.account_id",
    }

    def resolved(value: Any) -> Any:
        match value:
            case Reference():
                return Expression(references[value.to])
            case Joined():
                return Expression(_interpolated(value, references))
            case dict():
                return {key: resolved(item) for key, item in value.items()}
            case list():
                return [resolved(item) for item in value]
            case _:
                return value

    def role_of(
        suffix: str, who: Mapping[str, Any], document: Any
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        full = f"{name}_{suffix}"
        yield (
            f'resource "aws_iam_role" "{full}"',
            {
                "name_prefix": f"{made.name[:24]}-{suffix}-",
                "assume_role_policy": Encoded(resolved(who)),
            },
        )
        yield (
            f'resource "aws_iam_role_policy" "{full}"',
            {"role": Expression(f"aws_iam_role.{full}.id"), "policy": Encoded(resolved(document))},
        )

    for kind in ("partition", "region", "caller_identity"):
        yield f'data "aws_{kind}" "current"', {}
    if made.job_policy is None:
        variable = {
            "type": Expression("string"),
            "description": "ARN of the role that the job runs as",
        }
        default = {} if made.role is None else {"default": made.role}
        yield 'variable "execution_role_arn"', variable | default
    yield f'resource "aws_emrserverless_application" "{name}"', _application(made.application)
    if made.job_policy is not None:
        yield from role_of("job", made.job_trust, made.job_policy)
    yield from role_of("states", trust("states.amazonaws.com"), made.machine_policy)
    yield (
        f'resource "aws_sfn_state_machine" "{name}"',
        {
            "name": made.name,
            "role_arn": Expression(f"aws_iam_role.{name}_states.arn"),
            "definition": Encoded(resolved(made.definition)),
        },
    )
    if made.schedule is not None:
        yield from role_of("schedule", trust("scheduler.amazonaws.com"), made.schedule_policy)
        yield (
            f'resource "aws_scheduler_schedule" "{name}"',
            {
                "name": made.name,
                "schedule_expression": made.schedule,
                "flexible_time_window": Nested({"mode": "OFF"}),
                "target": Nested(
                    {
                        "arn": Expression(references["machine"]),
                        "role_arn": Expression(f"aws_iam_role.{name}_schedule.arn"),
                    }
                ),
            },
        )


def _application(fields: Mapping[str, Any]) -> dict[str, Any]:
    said = for_terraform(fields)
    # In small letters, as the provider's documentation has it.
    return _nested(said | {"type": said["type"].lower()})


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """With a block for each mapping in a list."""
    return {
        name: [Nested(_nested(item)) for item in value]
        if isinstance(value, list) and value and isinstance(value[0], Mapping)
        else value
        for name, value in fields.items()
    }


def _body(body: Mapping[str, Any], indent: int) -> str:
    """Of a block or an object, laid out as `terraform fmt` does.

    The signs of lines that follow each other stand under each other.
    """
    if not body:
        return "{}"
    inner = indent + 2
    rows = [
        (_key(key), *_value(item, inner))
        for key, value in body.items()
        for item in (value if _is_blocks(value) else [value])
    ]
    lines: list[str] = []
    for index, (key, sign, text) in enumerate(rows):
        width = len(key)
        if sign and "\n" not in text:
            width = max(len(k) for k, _, _ in _together(rows, index))
        lines.append(" " * inner + (f"{key.ljust(width)} = {text}" if sign else f"{key} {text}"))
        if index + 1 < len(rows) and not (sign and rows[index + 1][1]):  # around blocks
            lines.append("")
    return "{\n" + "\n".join(lines) + "\n" + " " * indent + "}"


def _is_blocks(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Nested)


def _together(rows: list[tuple[str, str, str]], index: int) -> list[tuple[str, str, str]]:
    """The rows of one line each around the one at `index`."""
    first = last = index
    while first and rows[first - 1][1] and "\n" not in rows[first - 1][2]:
        first -= 1
    while last + 1 < len(rows) and rows[last + 1][1] and "\n" not in rows[last + 1][2]:
        last += 1
    return rows[first : last + 1]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key) else quoted(key)


def _value(value: Any, indent: int) -> tuple[str, str]:
    """The sign before a value, none before a block, and its text."""
    match value:
        case Nested():
            return "", _body(value.body, indent)
        case Encoded():
            return "=", f"jsonencode({_value(value.value, indent)[1]})"
        case Expression():
            return "=", value.text
        case Mapping():
            return "=", _body(value, indent)
        case list() if value:
            items = "".join(
                f"{' ' * (indent + 2)}{_value(item, indent + 2)[1]},\n" for item in value
            )
            return "=", f"[\n{items}{' ' * indent}]"
        case str():
            return "=", quoted(value)
        case _:
            return "=", json.dumps(value)


def _interpolated(text: Joined, references: Mapping[str, str]) -> str:
    parts = (
        f"${{{references[part.to]}}}" if isinstance(part, Reference) else quoted(part)[1:-1]
        for part in text.parts
    )
    return f'"{"".join(parts)}"'


_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def quoted(text: str) -> str:
    """A text that Terraform takes as it is: neither escapes nor templates are left to it.

    Raise `ConfigError` for one that Terraform would change.
    """
    if not unicodedata.is_normalized("NFC", text):
        raise ConfigError(
            f"{text!r} can not be written for Terraform",
            why="it brings texts to Unicode's form NFC, and so would change this one",
            fix=f"write {unicodedata.normalize('NFC', text)!r}",
        )
    escaped = "".join(_SHORT.get(c, c if c.isprintable() else _escape(ord(c))) for c in text)
    return '"' + re.sub(r"([$%])\{", r"\1\1{", escaped) + '"'


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
