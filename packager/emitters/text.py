"""What several forms need: JSON as people read it, names as tools take them. Pure."""

import json
import re


def dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def slug(name: str, *, separator: str = "-", limit: int = 64) -> str:
    """A job's name with only letters, digits, dots and separators, as most tools take it."""
    plain = re.sub(r"[^A-Za-z0-9]+", separator, name).strip(separator)
    return plain[:limit].rstrip(separator) or "job"


def identifier(name: str) -> str:
    """A job's name as a variable of a program."""
    plain = slug(name, separator="_").lower()
    return plain if plain[0].isalpha() else f"job_{plain}"
