"""Tables of [tool.packager] whose keys are known: read with errors that name key and nearest."""

import difflib
from collections.abc import Callable, Container, Mapping
from typing import Any

from packager.errors import ConfigError

Reader = Callable[[object], Any]
"""Raises `ValueError` with what the value must be."""


def read_table(
    name: str, table: Mapping[str, Any], keys: Mapping[str, Reader], *, flags: Container[str] = ()
) -> dict[str, Any]:
    """The values by their keys; those in `flags` are of the command line.

    Raise `ConfigError` for a key or value that can not be.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            raise ConfigError(
                f"[tool.packager.{name}] has no key {key!r}",
                fix=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}",
            )
        try:
            values[key] = keys[key](value)
        except ValueError as error:
            place = f"--{key}" if key in flags else f"`{key}` of [tool.packager.{name}]"
            raise ConfigError(
                f"{place}: {value!r} is not a value it takes",
                why=f"it takes {error}",
                fix="correct it",
            ) from None
    return values


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value


def texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise ValueError("a list of texts")
    return tuple(value)


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  # what all readers raise
    return value


def number(low: int, high: int) -> Reader:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


def choice(*known: str) -> Reader:
    def read(value: object) -> str:
        if value not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return str(value)

    return read


def string_map(value: object) -> dict[str, str]:
    """Texts by texts; numbers and booleans are written as Spark does."""
    if not isinstance(value, Mapping):
        raise ValueError("a table of texts")  # noqa: TRY004  # what all readers raise
    plain: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, bool):
            plain[key] = str(item).lower()
        elif isinstance(item, str | int | float):
            plain[key] = str(item)
        else:
            raise ValueError(  # noqa: TRY004  # what all readers raise
                'a table of texts; put a key with dots in quotes: "spark.executor.cores" = 4'
            )
    return plain


def s3_uri(value: object) -> str:
    uri = text(value)
    if not uri.startswith("s3://") or not uri.removeprefix("s3://").partition("/")[0]:
        raise ValueError("an S3 location, as in s3://bucket/prefix")
    return uri
