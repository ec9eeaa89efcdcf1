"""Who may download from where: the credentials that uv knows, for the files that uv finds.

uv leaves credentials out of what it writes, so they are read where it reads them: the URLs of
indexes (environment, `[tool.uv]`, `uv.toml`, requirements), `UV_INDEX_NAME_USERNAME` and
`_PASSWORD`, and keyring. netrc is `requests`' own. They stay in memory, and go to their host alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from packager.adapters.process import run
from packager.errors import CommandError, ToolError
from packager.lockfiles import requirement_lines
from packager.project import read_toml

URL_VARIABLES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
DEFAULT_VARIABLES: Final = URL_VARIABLES[:2]
INDEX_LINE: Final = re.compile(r"(-i|--index-url|--extra-index-url)[= ]\s*(\S+)")

Credentials = Mapping[str, tuple[str, str]]
"""Host with port to user and password."""


def known_credentials(root: Path, env: Mapping[str, str]) -> Credentials:
    """What is known for the indexes of the project at `root`."""
    found: dict[str, tuple[str, str]] = {}
    for name, url, _ in _indexes(root, env):
        try:
            parts = urlsplit(url)
        except ValueError:  # uv tells of it
            continue
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


def uv_indexes(root: Path, env: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The default index, empty where uv is told of none, and those that are asked besides it."""
    found = tuple(_indexes(root, env))
    default = next((url for _, url, is_default in found if is_default), "")
    return default, tuple(dict.fromkeys(url for _, url, is_default in found if not is_default))


def _indexes(root: Path, env: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Name, which most have not, URL, and whether it is the default, of every index."""
    for variable in URL_VARIABLES:
        for entry in env.get(variable, "").split():
            name, equals, url = entry.partition("=")
            named = bool(equals) and "://" not in name
            is_default = variable in DEFAULT_VARIABLES
            yield (name, url, is_default) if named else ("", entry, is_default)
    for table in uv_tables(root, env):
        for index in _listed(table.get("index")):
            if isinstance(index, Mapping) and isinstance(index.get("url"), str):
                yield str(index.get("name", "")), index["url"], index.get("default") is True
        for key in ("index-url", "extra-index-url"):
            value = table.get(key)
            for url_ in (value,) if isinstance(value, str) else _listed(value):
                yield "", str(url_), key == "index-url"
    if (root / "requirements.txt").is_file():
        for _, line in requirement_lines(root / "requirements.txt"):
            if match := INDEX_LINE.match(line):
                yield "", match[2], not match[1].startswith("--extra")


def _listed(value: object) -> Sequence[object]:
    """The items of a list; of what is none where one should be, uv tells."""
    return value if isinstance(value, list) else ()


def uv_tables(root: Path, env: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """What uv is told for the project at `root`: by itself, and by who runs it."""
    if (root / "pyproject.toml").is_file():
        tool = read_toml(root / "pyproject.toml").get("tool")
        table = tool.get("uv") if isinstance(tool, Mapping) else None
        if isinstance(table, Mapping):
            yield table
    home = Path(env.get("HOME") or Path.home())
    for folder in (root, Path(env.get("XDG_CONFIG_HOME") or home / ".config", "uv")):
        if (folder / "uv.toml").is_file() and not (folder != root and env.get("UV_NO_CONFIG")):
            yield read_toml(folder / "uv.toml")


def _of_keyring(service: str, user: str, env: Mapping[str, str]) -> str:
    try:
        done = run(["keyring", "get", service, user], env=env, check=False)
    except (ToolError, CommandError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
