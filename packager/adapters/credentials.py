"""Who may download from where: the credentials that uv knows, for the files that uv finds.

uv leaves credentials out of what it writes, so they are read where it reads them: the URLs of
indexes (environment, `[tool.uv]`, `uv.toml`, requirements), `UV_INDEX_NAME_USERNAME` and
`_PASSWORD`, and keyring. netrc is `requests`' own. They stay in memory, and go to their host alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from packager.adapters.process import run
from packager.errors import CommandError, ToolError
from packager.lockfiles import requirement_lines
from packager.project import read_toml

URL_VARIABLES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
INDEX_LINE: Final = re.compile(r"(?:-i|--index-url|--extra-index-url)[= ]\s*(\S+)")

Credentials = Mapping[str, tuple[str, str]]
"""Host with port to user and password."""


def known_credentials(root: Path, env: Mapping[str, str]) -> Credentials:
    """What is known for the indexes of the project at `root`."""
    found: dict[str, tuple[str, str]] = {}
    for name, url in _indexes(root, env):
        parts = urlsplit(url)
        variable = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        user = env.get(f"{variable}_USERNAME") or unquote(parts.username or "")
        password = env.get(f"{variable}_PASSWORD") or unquote(parts.password or "")
        host = parts.netloc.rpartition("@")[2]
        if user and not password and env.get("UV_KEYRING_PROVIDER") == "subprocess":
            plain = parts._replace(netloc=host).geturl()
            password = _of_keyring(plain, user, env) or _of_keyring(host, user, env)
        if user or password:
            found[host] = (user, password)
    return found


def _indexes(root: Path, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name, which most have not, and URL of every index."""
    for variable in URL_VARIABLES:
        for entry in env.get(variable, "").split():
            name, equals, url = entry.partition("=")
            named = bool(equals) and "://" not in name
            yield (name, url) if named else ("", entry)
    for table in _uv_tables(root):
        for index in table.get("index", ()):
            if isinstance(index, Mapping) and isinstance(index.get("url"), str):
                yield str(index.get("name", "")), index["url"]
        for key in ("index-url", "extra-index-url"):
            value = table.get(key, ())
            for url in (value,) if isinstance(value, str) else value:
                yield "", str(url)
    if (root / "requirements.txt").is_file():
        for _, line in requirement_lines(root / "requirements.txt"):
            if match := INDEX_LINE.match(line):
                yield "", match[1]


def _uv_tables(root: Path) -> Iterator[Mapping[str, Any]]:
    if (root / "pyproject.toml").is_file():
        table = read_toml(root / "pyproject.toml").get("tool", {}).get("uv", {})
        if isinstance(table, Mapping):
            yield table
    if (root / "uv.toml").is_file():
        yield read_toml(root / "uv.toml")


def _of_keyring(service: str, user: str, env: Mapping[str, str]) -> str:
    try:
        done = run(["keyring", "get", service, user], env=env, check=False)
    except (ToolError, CommandError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
