"""Requests judged by the service model that botocore ships, with every limit it states. Pure.

botocore itself checks types, required members and minima only. A model is the content of its
`service-2.json`; the caller reads it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

Model = Mapping[str, Any]


def request_problems(model: Model, operation: str, request: object) -> tuple[str, ...]:
    """What is wrong with a request, each with the path to it; empty if the API takes it.

    `operation` is named as in the model, e.g. `StartJobRun`. Raise `KeyError` where the model has
    no such operation.
    """
    return shape_problems(model, model["operations"][operation]["input"]["shape"], request)


def shape_problems(model: Model, shape: str, value: object) -> tuple[str, ...]:
    """As `request_problems`, of one shape of the model, e.g. `SparkSubmit`."""
    return tuple(_problems(model, shape, value, ""))


def _problems(model: Model, name: str, value: object, path: str) -> Iterator[str]:
    shape = model["shapes"][name]
    match shape["type"], value:
        case "structure", Mapping():
            yield from _structure(model, shape, value, path)
        case "list", Sequence() if not isinstance(value, str):
            yield from _bounds(shape, len(value), path, "items")
            for index, item in enumerate(value):
                yield from _problems(model, shape["member"]["shape"], item, f"{path}[{index}]")
        case "map", Mapping():
            yield from _bounds(shape, len(value), path, "entries")
            for key, item in value.items():
                yield from _problems(model, shape["key"]["shape"], key, f"{path}, key {key!r:.60}")
                yield from _problems(model, shape["value"]["shape"], item, _joined(path, key))
        case "string", str():
            yield from _bounds(shape, len(value), path, "characters")
            yield from _text(shape, value, path)
        case (("integer" | "long"), int()) if not isinstance(value, bool):
            yield from _range(shape, value, path)
        case (("float" | "double"), int() | float()) if not isinstance(value, bool):
            yield from _range(shape, value, path)
        case "boolean", bool():
            pass
        case "timestamp", _:
            pass  # the forms of it are the client's business
        case kind, _:
            yield f"{path or name}: {value!r:.60} is not of the type {kind}"


def _structure(
    model: Model, shape: Mapping[str, Any], value: Mapping[str, object], path: str
) -> Iterator[str]:
    members = shape["members"]
    for key in shape.get("required", ()):
        # A client makes up the token that a request must have.
        if key not in value and not members[key].get("idempotencyToken"):
            yield f"{_joined(path, key)}: it is missing"
    if shape.get("union") and len(value) != 1:
        yield f"{path}: exactly one of {', '.join(members)}"
    for key, item in value.items():
        if key in members:
            yield from _problems(model, members[key]["shape"], item, _joined(path, key))
        else:
            yield f"{_joined(path, key)}: the API has no such member"


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _bounds(shape: Mapping[str, Any], count: int, path: str, unit: str) -> Iterator[str]:
    if count < shape.get("min", 0):
        yield f"{path}: {count} {unit}, the API wants at least {shape['min']}"
    if count > shape.get("max", count):
        yield f"{path}: {count} {unit}, the API takes {shape['max']}"


def _range(shape: Mapping[str, Any], value: float, path: str) -> Iterator[str]:
    if value < shape.get("min", value):
        yield f"{path}: {value}, the API takes nothing below {shape['min']}"
    if value > shape.get("max", value):
        yield f"{path}: {value}, the API takes nothing above {shape['max']}"


def _text(shape: Mapping[str, Any], value: str, path: str) -> Iterator[str]:
    if "enum" in shape and value not in shape["enum"]:
        yield f"{path}: {value!r:.60} is none of {', '.join(shape['enum'])}"
    # A pattern says something of texts that have characters; where empty ones are allowed, `min`
    # says so.
    if value and "pattern" in shape:
        pattern = compiled(shape["pattern"])
        if pattern is not None and not pattern.fullmatch(value):
            yield f"{path}: {value!r:.60} does not match {shape['pattern']}"


@cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    """A pattern of a model, which is written for Java; None where Python can not read it.

    Whether `.` stands for the end of a line, too, AWS does not say: it is not refused for that.
    """
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:
        return None
