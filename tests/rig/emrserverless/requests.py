"""Requests and answers as botocore's model of the service has them."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session

SERVICE: Final = "emr-serverless"
MODEL: Final = botocore.session.get_session().get_service_model(SERVICE)


class RefusalError(Exception):
    """What the service says instead of an answer."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def _route(operation: str) -> tuple[str, str, re.Pattern[str]]:
    http = MODEL.operation_model(operation).http
    path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"]))
    return operation, http["method"], re.compile(path)


ROUTES: Final = tuple(_route(name) for name in MODEL.operation_names)


def parsed(method: str, target: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """The operation that is asked for, and its input. Raise `RefusalError` for one that there is not."""
    url = urlsplit(target)
    for operation, wanted, path in ROUTES:
        match = path.fullmatch(url.path)
        if match and method == wanted:
            shape = MODEL.operation_model(operation).input_shape
            asked: dict[str, Any] = json.loads(body) if body else {}
            in_path = {k: unquote(v) for k, v in match.groupdict().items()}
            query = parse_qs(url.query)
            for name, member in shape.members.items():
                place = member.serialization.get("name", name)
                if member.serialization.get("location") == "uri":
                    asked[name] = in_path[place]
                elif place in query:
                    values = query[place]
                    asked[name] = values if member.type_name == "list" else _plain(member, values)
            require(asked, shape, "")
            return operation, asked
    raise RefusalError("UnknownOperationException", f"{method} {url.path}", 404)


def _plain(shape: Any, values: list[str]) -> object:
    return int(values[0]) if shape.type_name in {"integer", "long"} else values[0]


def require(value: Any, shape: Any, where: str) -> None:
    """Refuse what the model does, which is more than botocore's client looks at."""

    def refuse(what: str) -> None:
        raise RefusalError(
            "ValidationException",
            f"1 validation error detected: Value at '{where}' failed to satisfy constraint: {what}",
        )

    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "structure":
            for name in shape.required_members:
                if name not in value:
                    refuse(f"Member must have {name}")
            if shape.metadata.get("union") and len(value) != 1:
                refuse("Member must have exactly one member")
            for name, item in value.items():
                if name not in shape.members:
                    refuse(f"Member has no {name}")
                require(item, shape.members[name], f"{where}.{name}".lstrip("."))
            return
        case "list":
            for item in value:
                require(item, shape.member, f"{where}.member")
        case "map":
            for key, item in value.items():
                require(key, shape.key, f"{where}.key")
                require(item, shape.value, f"{where}.value")
        case "string":
            pattern = shape.metadata.get("pattern")
            # Whether Java's dot takes line ends here AWS does not say. An empty value is `min`'s.
            if pattern and value and not re.fullmatch(pattern, value, re.DOTALL):
                refuse(f"Member must satisfy regular expression pattern: {pattern}")
            if shape.enum and value not in shape.enum:
                refuse(f"Member must satisfy enum value set: {list(shape.enum)}")
        case _:
            pass
    if shape.type_name in {"integer", "long"}:
        size = value
    elif shape.type_name in {"string", "list", "map"}:
        size = len(value)
    else:
        return
    if low is not None and size < low:
        refuse(f"Member must have length or value greater than or equal to {low}")
    if high is not None and size > high:
        refuse(f"Member must have length or value less than or equal to {high}")


def written(answer: Mapping[str, Any]) -> bytes:
    def plain(value: object) -> object:
        return value.timestamp() if isinstance(value, datetime) else str(value)

    return json.dumps(answer, default=plain).encode()
