"""Who may use which registry: what `docker login` left, asked where `docker` itself asks.

Credentials stay in memory. They come from docker's config.json (`auths`, `credHelpers`,
`credsStore`), or from whoever makes the client, as ECR's for an hour.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packager.adapters.endpoints import config_folder
from packager.adapters.process import run
from packager.documents import parse_json
from packager.errors import CommandError, ConfigError, ToolError
from packager.references import DOCKER_HUB

HELPER_TIMEOUT_S: Final = 60.0
HUB_KEY: Final = "https://index.docker.io/v1/"
"""Under which Docker keeps what is for Docker Hub."""
IDENTITY_USER: Final = "<token>"
"""Whom helpers name where the secret is an identity token."""
_CHALLENGE: Final = re.compile(r"\s*(basic|bearer)\b(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER: Final = re.compile(r'([a-z]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What proves who asks."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """For which tokens are given out, in place of a password."""

    @property
    def basic(self) -> str:
        """The header's value."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


Logins = Callable[[str], Login | None]
"""What is known for a host; None means that it is asked without a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a registry wants to see (RFC 9110, section 11.6.1)."""

    scheme: str
    realm: str = ""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """None for what is neither of the two that registries use."""
    matched = _CHALLENGE.match(header)
    if not matched:
        return None
    found = {
        match[1].lower(): match[2] if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(matched[2])
    }
    return Challenge(
        scheme=matched[1].lower(), realm=found.get("realm", ""), service=found.get("service", "")
    )


def docker_logins(env: Mapping[str, str]) -> Logins:
    """What the user's `docker login` left, read when it is first asked for."""
    known: dict[str, Login | None] = {}

    def login(host: str) -> Login | None:
        if host not in known:
            known[host] = _stored(host, env)
        return known[host]

    return login


def _stored(host: str, env: Mapping[str, str]) -> Login | None:
    document = _config(env)
    key = HUB_KEY if host == DOCKER_HUB else host
    helpers = document.get("credHelpers")
    helper = helpers.get(key, helpers.get(host)) if isinstance(helpers, dict) else None
    helper = helper or document.get("credsStore")
    if isinstance(helper, str) and helper:
        found = _of_helper(helper, key, env)
        if found is not None:
            return found
    auths = document.get("auths")
    for name, entry in auths.items() if isinstance(auths, dict) else ():
        if _host(str(name)) == _host(key) and isinstance(entry, dict):
            found = _of_entry(entry, host)
            if found is not None:
                return found
    return None


def _config(env: Mapping[str, str]) -> Mapping[str, Any]:
    path = config_folder(env) / "config.json"
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} can not be read",
            why=str(error),
            fix="correct it, or lead to another folder with DOCKER_CONFIG",
        ) from error
    return value if isinstance(value, dict) else {}


def _host(key: str) -> str:
    """Docker has written addresses as well as hosts."""
    host = key.partition("://")[2] or key
    return host.partition("/")[0]


def _of_entry(entry: Mapping[str, Any], host: str) -> Login | None:
    if isinstance(entry.get("identitytoken"), str) and entry["identitytoken"]:
        return Login(identity_token=entry["identitytoken"])
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str) and user:
        return Login(user=user, password=password)
    auth = entry.get("auth")
    if not isinstance(auth, str) or not auth:
        return None
    try:
        user, _, password = (
            base64.b64decode(auth, validate=True).decode().rstrip("\0").partition(":")
        )
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(
            f"docker's config.json has no usable credentials for {host}",
            why="`auth` is not a name and a password in base64",
            fix=f"docker login {host}",
        ) from error
    return Login(user=user, password=password)


def _of_helper(helper: str, key: str, env: Mapping[str, str]) -> Login | None:
    program = f"docker-credential-{helper}"
    try:
        done = run([program, "get"], env=env, input_=key, check=False, timeout_s=HELPER_TIMEOUT_S)
    except ToolError as error:
        raise ToolError(
            f"{program} is missing",
            why=f"docker's config.json says that it keeps the credentials for {_host(key)}",
            fix=f"install it, or remove it from {config_folder(env) / 'config.json'}",
        ) from error
    if done.returncode != 0:
        said = f"{done.stdout} {done.stderr}".strip()
        if "credentials not found" in said or not said:
            return None
        raise CommandError(
            f"{program} does not tell the credentials for {_host(key)}",
            why=said[:300],
            fix=f"docker login {_host(key)}",
        )
    try:
        told = json.loads(done.stdout)
        user, secret = str(told["Username"]), str(told["Secret"])
    except (ValueError, TypeError, KeyError):
        raise CommandError(
            f"{program} does not tell the credentials for {_host(key)}",
            why="its answer is not of the form that docker agreed on",
            fix=f"docker login {_host(key)}",
        ) from None
    if user == IDENTITY_USER:
        return Login(identity_token=secret)
    return Login(user=user, password=secret) if user or secret else None
