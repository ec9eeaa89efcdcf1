"""What a build needs to reach indexes and mirrors, as files that are mounted while a step runs.

Inside a build there is pip and no uv, so what uv is told (and what pip is, where uv is not) becomes
one pip configuration. The files lie in a folder of this user's alone and go on every way out.
"""

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from configparser import Error, RawConfigParser
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from packager.adapters.credentials import known_credentials, uv_indexes
from packager.leftovers import is_left, mark

PREFIX: Final = "packager-secrets-"
PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")
CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSecrets:
    files: Mapping[str, Path]
    """By the name that the steps know."""
    values: tuple[str, ...]
    """Passwords among them, which no message may show."""


@contextlib.contextmanager
def build_secrets(root: Path, env: Mapping[str, str]) -> Iterator[BuildSecrets]:
    """The secrets of a build of the project at `root`, for as long as the context lasts."""
    pip, logins = pip_configuration(root, env)
    netrc = f"{_netrc(env)}\n{logins}" if logins else _netrc(env)  # of two, the later counts
    texts = {"pip": pip, "proxy": _proxies(env), "ca": _authorities(env), "netrc": netrc}
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):  # by a run that was killed
        if is_left(left.name.removeprefix(PREFIX), age_s=0):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{mark()}") as name:  # mode 0700
        files: dict[str, Path] = {}
        for secret, text in texts.items():
            if text:
                files[secret] = Path(name, secret)
                files[secret].touch(mode=0o600)
                files[secret].write_text(text, encoding="utf-8")
        yield BuildSecrets(files=files, values=_passwords(root, env, netrc))


def pip_configuration(root: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """A `pip.conf` with the indexes that uv knows, or else pip, and a netrc with their credentials.

    Apart, since pip hands the addresses on to another of its kind on a command line.
    """
    default, extra = uv_indexes(root, env)
    own = _pip_settings(env)
    default = default or own.get("index-url", "")
    extra = extra or tuple(own.get("extra-index-url", "").split())
    # A folder of this machine is not there inside a build.
    asked = [u for u in (default, *extra) if "://" in u and not u.startswith("file:")]
    reachable, logins = _apart(asked, known_credentials(root, env))
    trusted = [*own.get("trusted-host", "").split(), *env.get("UV_INSECURE_HOST", "").split()]
    # pip asks for what uv takes from the scheme.
    trusted += [urlsplit(u).netloc.rpartition("@")[2] for u in reachable if u.startswith("http:")]
    lines = ["[global]"]
    if default and reachable and not default.startswith("file:"):
        lines.append(f"index-url = {reachable.pop(0)}")
    for key, values in (("extra-index-url", reachable), ("trusted-host", trusted)):
        if values:
            lines += [f"{key} =", *(f"    {value}" for value in dict.fromkeys(values))]
    return "\n".join([*lines, ""]) if len(lines) > 1 else "", logins


def _apart(urls: Sequence[str], known: Mapping[str, tuple[str, str]]) -> tuple[list[str], str]:
    """Addresses without credentials, and these as a netrc."""
    plain: list[str] = []
    logins: list[str] = []
    for url in urls:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        plain.append(parts._replace(netloc=host).geturl())
        own = unquote(parts.username or ""), unquote(parts.password or "")
        user, password = known.get(host) or own
        if user or password:
            name = parts.hostname or host
            logins.append(f"machine {name} login {_word(user)} password {_word(password)}\n")
    return plain, "".join(dict.fromkeys(logins))


def _word(text: str) -> str:
    """As netrc has it: in quotes where it would not be one word."""
    if text and not set(text) & set(" \t\"'\\#"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pip_settings(env: Mapping[str, str]) -> dict[str, str]:
    """What pip itself would read of indexes on this machine; its variables win over its files."""
    home = Path(env.get("HOME") or Path.home())
    configured = Path(env.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    places = [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", configured]
    if named := env.get("PIP_CONFIG_FILE"):
        places = [] if named == os.devnull else [*places, Path(named)]
    found: dict[str, str] = {}
    for place in places:
        parser = RawConfigParser()
        with contextlib.suppress(OSError, Error, UnicodeDecodeError):  # pip's own to complain of
            parser.read_string(place.read_text(encoding="utf-8"))
            for section in ("global", "install", "wheel"):
                found |= dict(parser[section]) if parser.has_section(section) else {}
    for key in ("index-url", "extra-index-url", "trusted-host"):
        if value := env.get(f"PIP_{key.upper().replace('-', '_')}"):
            found[key] = value
    return found


def _proxies(env: Mapping[str, str]) -> str:
    """Shell lines: a proxy's address may carry a password, so it is no build argument."""
    lines = []
    for name in PROXY_VARIABLES:
        if value := env.get(name) or env.get(name.upper()):
            lines += [f"export {form}={shlex.quote(value)}\n" for form in (name, name.upper())]
    return "".join(lines)


def _authorities(env: Mapping[str, str]) -> str:
    for name in CA_VARIABLES:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if value := env.get(name):
                return Path(value).read_text(encoding="utf-8")
    return ""


def _netrc(env: Mapping[str, str]) -> str:
    home = Path(env.get("HOME") or Path.home())
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Path(env.get("NETRC") or home / ".netrc").read_text(encoding="utf-8")
    return ""


def _passwords(root: Path, env: Mapping[str, str], netrc: str) -> tuple[str, ...]:
    urls = [env.get(form, "") for name in PROXY_VARIABLES for form in (name, name.upper())]
    found = [password for _, password in known_credentials(root, env).values()]
    for url in urls:
        with contextlib.suppress(ValueError):  # not an address; a proxy may be any text
            password = urlsplit(url).password or ""
            found += [password, unquote(password)]
    words = netrc.split()
    found += [word for before, word in pairwise(words) if before == "password"]
    return tuple(dict.fromkeys(word for word in found if word))
