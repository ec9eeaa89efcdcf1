"""Where a container engine may be, in the order in which the `docker` command would look.

DOCKER_HOST goes before DOCKER_CONTEXT, and that before the context that `docker context use` set.
Where none of them says anything, the sockets of Docker, rootless Docker, Docker Desktop and Podman
are candidates, one after the other.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packager.errors import ConfigError

SCHEMES: Final = ("unix", "tcp", "http", "https", "ssh", "npipe", "fd")
DEFAULT_SOCKET: Final = "/var/run/docker.sock"
PODMAN_SOCKET: Final = "/run/podman/podman.sock"
DEFAULT_CONTEXT: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What a connection that is encrypted needs; files that are not there are not used."""

    ca: Path
    cert: Path
    key: Path
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A place where an engine may listen, and who named it."""

    address: str
    """As in `unix:///var/run/docker.sock`."""
    origin: str
    """`DOCKER_HOST`, `context NAME` or `socket`."""
    tls: Tls | None = None

    @property
    def socket(self) -> Path | None:
        """Of an engine on this machine."""
        path = self.address.removeprefix("unix://")
        return Path(path) if path != self.address else None

    @property
    def chosen(self) -> bool:
        """Whether the user named it; then no other is tried."""
        return self.origin != "socket"


def endpoints(env: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Candidates, the best first. Raise `ConfigError` for a context that does not exist."""
    if host := env.get("DOCKER_HOST"):
        return (
            Endpoint(address=_address(host, "DOCKER_HOST"), origin="DOCKER_HOST", tls=_tls(env)),
        )
    folder = config_folder(env)
    name = env.get("DOCKER_CONTEXT") or _current_context(folder)
    if name and name != DEFAULT_CONTEXT:
        by = "DOCKER_CONTEXT" if env.get("DOCKER_CONTEXT") else f"{folder / 'config.json'}"
        return (_of_context(folder, name, by),)
    sockets = (DEFAULT_SOCKET, *_other_sockets(env))
    return tuple(
        Endpoint(address=f"unix://{path}", origin="socket") for path in dict.fromkeys(sockets)
    )


def config_folder(env: Mapping[str, str]) -> Path:
    """Where the `docker` command keeps its settings."""
    return Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else _home(env) / ".docker"


def _home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def _other_sockets(env: Mapping[str, str]) -> tuple[str, ...]:
    own = env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    home = _home(env)
    podman = env.get("CONTAINER_HOST", "")
    return (
        f"{own}/docker.sock",
        f"{home}/.docker/run/docker.sock",
        *((podman.removeprefix("unix://"),) if podman.startswith("unix://") else ()),
        f"{own}/podman/podman.sock",
        PODMAN_SOCKET,
    )


def _current_context(folder: Path) -> str:
    document = _json(folder / "config.json")
    name = document.get("currentContext", "")
    return name if isinstance(name, str) else ""


def _of_context(folder: Path, name: str, by: str) -> Endpoint:
    contexts = folder / "contexts"
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(contexts / "meta" / key / "meta.json")
    try:
        docker = meta["Endpoints"]["docker"]
        host, skip = str(docker["Host"]), bool(docker.get("SkipTLSVerify"))
    except (KeyError, TypeError, AttributeError):
        known = _known_contexts(contexts / "meta")
        raise ConfigError(
            f"there is no docker context {name!r}",
            why=f"{by} names it; there {'is' if len(known) == 1 else 'are'} {', '.join(known)}",
            fix="choose another: docker context use default",
        ) from None
    tls = contexts / "tls" / key / "docker"
    return Endpoint(
        address=_address(host, f"the docker context {name!r}"),
        origin=f"context {name}",
        tls=_tls_of(tls, verify=not skip) if skip or tls.is_dir() else None,
    )


def _known_contexts(folder: Path) -> tuple[str, ...]:
    names = (_json(path).get("Name") for path in sorted(folder.glob("*/meta.json")))
    return (DEFAULT_CONTEXT, *sorted(name for name in names if isinstance(name, str)))


def _json(path: Path) -> dict[str, Any]:
    """An object; empty where there is none or it is broken, as for the `docker` command."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _tls(env: Mapping[str, str]) -> Tls | None:
    """As the `docker` command reads the variables: TLS_VERIFY counts if it is set at all."""
    verify = bool(env.get("DOCKER_TLS_VERIFY"))
    if not verify and not env.get("DOCKER_TLS"):
        return None
    folder = Path(env["DOCKER_CERT_PATH"]) if env.get("DOCKER_CERT_PATH") else config_folder(env)
    return _tls_of(folder, verify=verify)


def _tls_of(folder: Path, *, verify: bool) -> Tls:
    return Tls(
        ca=folder / "ca.pem", cert=folder / "cert.pem", key=folder / "key.pem", verify=verify
    )


def _address(text: str, by: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES or not rest:
        raise ConfigError(
            f"{by} is {text!r}, which is not the address of an engine",
            why=f"it begins with one of {', '.join(f'{s}://' for s in SCHEMES[:5])}",
            fix=f"correct it, as in unix://{DEFAULT_SOCKET} or ssh://user@machine, or unset it",
        )
    return text
