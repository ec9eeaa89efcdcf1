"""TOML and JSON of others. Pure: whatever a text does to a parser, it ends as a `ValueError`."""

import json
import tomllib
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError("a number in it has too many digits") from error


def parse_json(text: str) -> Any:
    """Raise `ValueError` also for texts that hold what no file can: halves of characters."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError("a number in it has too many digits") from error
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value
