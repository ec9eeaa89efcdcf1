"""Python source of values, laid out as formatters do. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """An expression that stands in the source as it is."""

    text: str


def source(value: object, indent: int = 0) -> str:
    """Of texts, numbers, lists, mappings and `Code`; `indent` is that of the line it begins on."""
    inner = " " * (indent + 4)
    match value:
        case Code():
            return value.text
        case str():
            return literal(value)
        case Mapping() if value:
            rows = [
                f"{inner}{literal(key)}: {source(item, indent + 4)},\n"
                for key, item in value.items()
            ]
            return "{\n" + "".join(rows) + " " * indent + "}"
        case list() | tuple() if value:
            rows = [f"{inner}{source(item, indent + 4)},\n" for item in value]
            return "[\n" + "".join(rows) + " " * indent + "]"
        case _:
            return repr(value)


def literal(text: str) -> str:
    """A text in double quotes; JSON's escapes mean the same to Python."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in json.dumps(text, ensure_ascii=False)
    )
