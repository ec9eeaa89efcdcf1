"""[tool.packager] in somebody's `pyproject.toml`: lines are added, no other is touched. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from packager.documents import parse_toml
from packager.errors import ConfigError

_HEADER: Final = re.compile(
    r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*packager[ \t]*\][^\n]*$", re.MULTILINE
)


def with_settings(text: str, settings: Mapping[str, str | list[str]], where: str) -> str:
    """`text`, a TOML document found at `where`, with the settings that [tool.packager] lacks.

    Raise `ConfigError` for what is no TOML, or is written so that no line can be added.
    """
    document = _parsed(text, where)
    tool = document.get("tool", {})
    table = tool.get("packager", {}) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: `tool.packager` is not a table", fix="write [tool.packager]")
    missing = {key: value for key, value in settings.items() if key not in table}
    if not missing:
        return text
    # JSON's texts and lists of texts are TOML's.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in missing.items()]
    changed = _inserted(text, lines)
    wanted = {**document, "tool": {**tool, "packager": {**table, **missing}}}
    try:
        if parse_toml(changed) == wanted:
            return changed
    except ValueError:
        pass  # written as `tool.packager.key = …` or `tool = {…}`, which takes no table beside it
    raise ConfigError(
        f"{where} has [tool.packager] in a form that no line can be added to",
        fix="add these yourself: " + ", ".join(lines),
    )


def _inserted(text: str, lines: list[str]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    header = _HEADER.search(text)
    if header is not None:
        at = header.end() - text[: header.end()].endswith("\r")
        return text[:at] + "".join(f"{end}{line}" for line in lines) + text[at:]
    before = text if not text or text.endswith("\n") else text + end
    blank = end if before else ""
    return before + blank + end.join(["[tool.packager]", *lines]) + end


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ConfigError(
            f"{where} is not valid TOML", why=str(error), fix="mend it, then repeat the command"
        ) from error
