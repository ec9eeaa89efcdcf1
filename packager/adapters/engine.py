"""The connection to a container engine: Docker's own, or one that speaks its language.

`connect(env)` gives an `Engine`, a plain value: which engine answers, where, and what it can do.
`client(engine)` opens a connection to it, and `failures(...)` turns what goes wrong on one into
errors with a way out. What runs on an engine is in `containers.py`. BuildKit's builds go through
the `docker` command: call it with `Engine.variables` after `require_buildx(engine, env)`.
"""

import contextlib
import json
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from packager.adapters import process
from packager.adapters.endpoints import DEFAULT_SOCKET, Endpoint, endpoints
from packager.adapters.tunnel import tunnel
from packager.errors import CommandError, ConfigError, PackagerError, ToolError
from packager.references import DOCKER_HUB, parse_reference

if TYPE_CHECKING:  # it takes a quarter of a second to load
    from docker.api.client import APIClient

NEEDED_API: Final = (1, 41)
"""Of Docker 20.10: the first to take a platform for a container."""
CONNECT_TIMEOUT_S: Final = 20
"""For an engine to say what it is; `ssh` and Docker Desktop take their time."""
QUICK_TIMEOUT_S: Final = 5
ANSWER_TIMEOUT_S: Final = 600
"""For any other answer: an engine with a slow disk may be long in unpacking what it was sent."""
INSTALL_BUILDX: Final = (
    "install it: apt-get install docker-buildx (docker-buildx-plugin where Docker's own packages"
    " are used), or see `docker buildx` in Docker's documentation"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A container engine that has answered."""

    endpoint: Endpoint
    name: str
    """`Docker` or `Podman`."""
    version: str
    api: str
    """Version of the API it speaks, as in `1.45`."""
    arch: str
    """Our name of its machine's architecture, e.g. `amd64`."""
    buildkit: bool
    """Whether it builds with BuildKit itself."""
    containerd_store: bool
    """Whether one tag can hold images of several architectures."""

    @property
    def api_version(self) -> tuple[int, int]:
        return _api_version(self.api)

    @property
    def variables(self) -> Mapping[str, str]:
        """What the `docker` command needs in its environment to reach the same engine."""
        own = f"unix://{DEFAULT_SOCKET}"  # naming it would hide the builder of `docker buildx use`
        if self.endpoint.chosen or self.endpoint.address == own:
            return {}
        return {"DOCKER_HOST": self.endpoint.address}


def connect(env: Mapping[str, str]) -> Engine:
    """The engine that `env` leads to.

    Raise `ToolError` where none answers, each cause told apart, and `ConfigError` for a setting
    that leads nowhere.
    """
    failed: list[PackagerError] = []
    for endpoint in endpoints(env):
        if not endpoint.chosen and endpoint.socket is not None and not _exists(endpoint):
            continue
        try:
            return _ask(endpoint)
        except PackagerError as error:
            if endpoint.chosen:
                raise
            failed.append(error)
    if failed:
        raise failed[0]
    raise _no_engine(env)


def image_id(env: Mapping[str, str], reference: str) -> str | None:
    """What an engine of this machine has under a reference, asked without docker-py.

    That takes longer to load than a pack in which nothing changed may take. Empty where it has
    none, None where the engine is not to be had so: then ask in full.
    """
    from http import HTTPStatus
    from http.client import HTTPConnection, HTTPException

    try:
        endpoint = next(e for e in endpoints(env) if e.socket is None or _exists(e))
        if endpoint.socket is None:
            return None
        connection = HTTPConnection("localhost", timeout=QUICK_TIMEOUT_S)
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as opened:
            opened.settimeout(QUICK_TIMEOUT_S)
            opened.connect(str(endpoint.socket))
            connection.sock = opened
            connection.request("GET", f"/images/{quote(reference, safe='/:@')}/json")
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status == HTTPStatus.NOT_FOUND and "image" in told["message"]:
                return ""
        found = told["Id"]
    except (PackagerError, StopIteration, OSError, HTTPException, ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, str) else None


@contextlib.contextmanager
def client(engine: Engine, *, timeout_s: int = ANSWER_TIMEOUT_S) -> Iterator["APIClient"]:
    """A connection for one thread; to be opened inside `failures`."""
    knock(engine.endpoint)
    with _client(engine.endpoint, engine.api, timeout_s) as opened:
        yield opened


def require_buildx(engine: Engine, env: Mapping[str, str]) -> str:
    """Version of the buildx plugin. Raise `ToolError` without it, or without BuildKit."""
    if shutil.which("docker", path=env.get("PATH")) is None:
        raise ToolError(
            "the `docker` command was not found",
            why=f"{engine.name} {engine.version} answers at {engine.endpoint.address}, but images"
            " are built through the command and its buildx plugin",
            fix="install docker-cli and docker-buildx, or put them on PATH",
        )
    done = process.run(
        ["docker", "buildx", "version"], env={**env, **engine.variables}, check=False
    )
    if done.returncode != 0:
        raise ToolError(
            "the `docker` command has no buildx plugin",
            why=process.tail(done.stderr, 1) or "`docker buildx version` failed",
            fix=INSTALL_BUILDX,
        )
    return done.stdout.strip()


def builder_is_own(engine: Engine, env: Mapping[str, str]) -> bool:
    """Whether `docker buildx` builds in the engine itself, and so on the images that it has.

    Such a builder finds an image that was made here by its name only, others by its digest too.
    """
    done = process.run(
        ["docker", "buildx", "inspect"], env={**env, **engine.variables}, check=False
    )
    return re.search(r"^Driver:\s+docker$", done.stdout, re.MULTILINE) is not None


@contextlib.contextmanager
def failures(
    engine: Engine, *, image: str = "", platform: str = "", doing: str = ""
) -> Iterator[None]:
    """Tell what goes wrong on a connection as errors of ours."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        text = str(error.explanation or error)
        known = explained(text, engine, image=image, platform=platform)
        raise known or CommandError(
            f"{engine.name} could not {doing or 'do what it was asked'}",
            why=text,
            fix="see the engine's own log",
        ) from error
    except (DockerException, RequestException, OSError) as error:
        raise CommandError(
            f"the connection to {engine.name} at {engine.endpoint.address} broke",
            why=_root_cause(error),
            fix="see whether the engine still runs: docker info",
        ) from error


def explained(
    text: str, engine: Engine, *, image: str = "", platform: str = ""
) -> PackagerError | None:
    """What an engine's or a builder's own words mean, where that is known."""
    for pattern, explain in _EXPLANATIONS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return explain(text, engine, image, platform)
    return None


def no_emulation(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    arch = platform.rpartition("/")[2] or "this architecture"
    if arch == engine.arch:
        return ConfigError(
            f"the programs of the image {image} are not for {platform}",
            why=_one_line(text),
            fix="choose another with --base-image",
        )
    return ToolError(
        f"the engine cannot run {platform or 'this platform'}",
        why=f"its machine is {engine.arch} and emulates nothing: {_one_line(text)}",
        fix="install emulation on it: apt-get install qemu-user-static binfmt-support, or"
        f" docker run --privileged --rm tonistiigi/binfmt --install {arch};"
        f" or use an engine of {arch}: DOCKER_HOST",
    )


def wrong_architecture(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del text, engine
    return ConfigError(
        f"the image {image} is not for {platform}",
        why="the engine has it for another architecture only",
        fix=f"docker pull --platform {platform} {image}; or choose another image or architecture:"
        " --base-image, --arch",
    )


def _no_disk(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del image, platform
    return CommandError(
        "the engine has no disk space left",
        why=_one_line(text),
        fix=f"free some on the machine of {engine.endpoint.address}: docker system df, then"
        " docker builder prune or docker image prune",
    )


def no_image(text: str, engine: Engine, image: str, platform: str = "") -> PackagerError:
    del platform
    return ToolError(
        f"the engine does not have the image {image}",
        why=f"{engine.name} at {engine.endpoint.address} says: {_one_line(text)}",
        fix=f"{engine.name.lower()} pull {image}",
    )


def _no_name(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del engine, platform
    return ConfigError(
        f"{image!r} is not the name of an image",
        why=_one_line(text),
        fix="name it as docker pull does: HOST/REPOSITORY:TAG",
    )


def _registry_unreached(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del platform
    return CommandError(
        f"the image {image} cannot be pulled",
        why=_one_line(text),
        fix=f"check its name, and the network and the proxy of {engine.name}",
    )


def _pull_refused(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del engine, platform
    host = parse_reference(image).host if image else DOCKER_HUB
    registry = "" if host == DOCKER_HUB else host
    return CommandError(
        f"the image {image} cannot be pulled",
        why=_one_line(text),
        fix=f"check its name, and log in if it is private: docker login {registry}".rstrip(),
    )


def _no_user(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del engine, platform
    return ConfigError(
        f"the image {image} does not have the user that jobs run as",
        why=_one_line(text),
        fix="base it on the release's own image, which has the user hadoop",
    )


def _no_program(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del engine, platform
    return ConfigError(
        f"the image {image} lacks a program that is needed in it",
        why=_one_line(text),
        fix="base it on the release's own image",
    )


def _ended_at_once(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    if platform.rpartition("/")[2] != engine.arch:  # the kernel could not run its first program
        return no_emulation(text, engine, image, platform)
    return CommandError(
        f"a container of {image} ended by itself",
        why=_one_line(text),
        fix="see the engine's own log; there may be too little memory",
    )


def _no_builder(text: str, engine: Engine, image: str, platform: str) -> PackagerError:
    del image, platform
    return ToolError(
        "the builder that `docker buildx` starts in a container can not be had",
        why=f"{engine.name} {engine.version} "
        + ("would run it" if engine.buildkit else "has no BuildKit of its own")
        + f": {_one_line(text)}",
        fix="bring its image there: docker pull moby/buildkit:buildx-stable-1; or build with a"
        " Docker engine, which has BuildKit built in: DOCKER_HOST, BUILDX_BUILDER=default",
    )


_EXPLANATIONS: Final = {
    r"moby/buildkit": _no_builder,
    r"exec format error": no_emulation,
    r"no space left on device|disk quota exceeded": _no_disk,
    r"does not match the specified platform|no match for platform": wrong_architecture,
    r"invalid reference format": _no_name,
    r"failed to do request: .*(dial tcp|i/o timeout|no such host)": _registry_unreached,
    r"pull access denied|manifest unknown|manifest for .* not found|name unknown|toomanyrequests"
    r"|no basic auth credentials|failed to resolve reference|failed to do request"
    r"|pinging container registry": _pull_refused,
    r"no such image|image not known": no_image,
    r"container \w+ is not running|no such (container|exec instance)": _ended_at_once,
    r"unable to find user|no matching entries in passwd": _no_user,
    r"executable file not found|no such file or directory: unknown": _no_program,
}
"""By what the words of engines have in common; the first that fits is taken."""


def _ask(endpoint: Endpoint) -> Engine:
    try:
        knock(endpoint)  # before docker-py is loaded, and with the system's own words
    except OSError as error:
        raise _unreachable(endpoint, error) from error
    from docker.errors import APIError, DockerException
    from requests.exceptions import JSONDecodeError, RequestException

    oldest = f"{NEEDED_API[0]}.{NEEDED_API[1]}"
    try:
        with _client(endpoint, oldest, CONNECT_TIMEOUT_S) as opened:
            told = opened.version(api_version=False)
            _require_recent(told, endpoint)
            info = opened.info()
            # docker-py's `ping` keeps the headers to itself.
            builder = opened.get(f"{opened.base_url}/_ping").headers.get("Builder-Version", "")
    except APIError as error:
        raise _refused(endpoint, error) from error
    except (JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise _not_an_engine(endpoint, repr(error)) from error
    except (DockerException, RequestException, OSError) as error:
        raise _unreachable(endpoint, error) from error
    names = " ".join(str(part.get("Name", "")) for part in told.get("Components") or ())
    return Engine(
        endpoint=endpoint,
        name="Podman" if "podman" in names.lower() else "Docker",
        version=str(told.get("Version", "")),
        api=str(told["ApiVersion"]),
        arch=str(told.get("Arch", "")),
        buildkit=builder == "2",
        containerd_store=any(
            "io.containerd" in str(pair) for pair in info.get("DriverStatus") or ()
        ),
    )


@contextlib.contextmanager
def _client(endpoint: Endpoint, api: str, timeout_s: int) -> Iterator["APIClient"]:
    from docker.api.client import APIClient
    from docker.tls import TLSConfig

    tls: Any = False
    if (wanted := endpoint.tls) is not None:
        own = (str(wanted.cert), str(wanted.key))
        tls = TLSConfig(
            client_cert=own if wanted.cert.is_file() else None,
            ca_cert=str(wanted.ca) if wanted.ca.is_file() else None,
            verify=wanted.verify,
        )
    with _reached(endpoint) as address:
        opened = APIClient(base_url=address, version=api, timeout=timeout_s, tls=tls)
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def _reached(endpoint: Endpoint) -> Iterator[str]:
    """The address under which docker-py reaches it."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    if not endpoint.address.startswith("ssh://"):
        yield endpoint.address
        return
    with tunnel(endpoint.address) as dug:
        try:
            yield dug.address
        except APIError:
            raise
        except (DockerException, RequestException, OSError) as error:
            raise OSError(dug.said() or _root_cause(error)) from error


def knock(endpoint: Endpoint) -> None:
    """Raise `OSError` where nobody listens at a socket of this machine, or this user may not."""
    if endpoint.socket is None:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        probe.connect(str(endpoint.socket))


def _api_version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _require_recent(told: Mapping[str, Any], endpoint: Endpoint) -> None:
    version, api = str(told.get("Version", "")), str(told["ApiVersion"])
    if str(told.get("Os", "linux")) != "linux":
        raise ToolError(
            f"the engine at {endpoint.address} runs {told['Os']} containers",
            why="jobs of EMR Serverless run on Linux",
            fix="switch Docker Desktop to Linux containers",
        )
    if _api_version(api) < NEEDED_API:
        raise ToolError(
            f"the engine at {endpoint.address} is too old: {version}, with API {api}",
            why=f"what is needed came with API {NEEDED_API[0]}.{NEEDED_API[1]}, in Docker 20.10",
            fix="install a newer one, or lead to another with DOCKER_HOST",
        )


def _exists(endpoint: Endpoint) -> bool:
    try:
        return endpoint.socket is not None and endpoint.socket.is_socket()
    except PermissionError:  # there is something, and it is not for us: told when it is asked
        return True


def _no_engine(env: Mapping[str, str]) -> PackagerError:
    looked = ", ".join(str(endpoint.socket) for endpoint in endpoints(env))
    client_only = shutil.which("docker", path=env.get("PATH")) is not None
    return ToolError(
        "no container engine is running here",
        why=("the `docker` command is installed, but it is only a client; " if client_only else "")
        + f"nothing listens at {looked}",
        fix=(
            "start one: sudo systemctl start docker"
            if client_only
            else "install Docker Engine (docker.io on Debian) or Podman, and start it"
        )
        + "; or lead to one with DOCKER_HOST",
    )


def _unreachable(endpoint: Endpoint, error: BaseException) -> PackagerError:
    why = _root_cause(error)
    at = f"{endpoint.address} ({endpoint.origin})" if endpoint.chosen else endpoint.address
    if "Permission denied" in why and endpoint.socket is not None:
        return ToolError(
            f"this user may not use the container engine at {at}",
            why=f"{endpoint.socket}: permission denied",
            fix="sudo usermod -aG docker $USER, and log in again; or run a rootless engine",
        )
    if re.search(r"certificate|SSL|TLS", why):
        return ToolError(
            f"the engine at {at} and this machine do not trust each other",
            why=why,
            fix="set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem"
            " and key.pem",
        )
    if endpoint.address.startswith("ssh://"):
        machine = endpoint.address.removeprefix("ssh://").partition("/")[0]
        name, _, port = machine.rpartition(":")
        told = f"-p {port} {name}" if name and port.isdigit() else machine
        fix = f"make this work: ssh {told} docker version"
    elif endpoint.socket is not None and not endpoint.chosen:
        fix = "start it: sudo systemctl start docker"
    elif endpoint.origin == "DOCKER_HOST":
        fix = "correct DOCKER_HOST, or unset it to use the engine of this machine"
    else:
        fix = "start that engine, or choose another: docker context use default"
    return ToolError(f"no container engine answers at {at}", why=why, fix=fix)


def _refused(endpoint: Endpoint, error: BaseException) -> PackagerError:
    said = str(getattr(error, "explanation", None) or error)
    if "HTTPS server" in said:
        return _unreachable(endpoint, OSError(f"TLS: {said}"))
    if found := re.search(
        r"(?:maximum|newer) .*?API version[^0-9]*([0-9.]+[0-9])", said, re.IGNORECASE
    ):
        return ToolError(
            f"the engine at {endpoint.address} speaks API {found[1]} only",
            why=_one_line(said),
            fix="install a newer one (Docker 20.10 or later), or lead to another with DOCKER_HOST",
        )
    return CommandError(
        f"the container engine at {endpoint.address} fails",
        why=_one_line(said),
        fix="see its log, as in: journalctl -u docker",
    )


def _not_an_engine(endpoint: Endpoint, why: str) -> PackagerError:
    return ToolError(
        f"what answers at {endpoint.address} is not a container engine",
        why=why,
        fix="correct DOCKER_HOST or the docker context, or unset them",
    )


def _root_cause(error: BaseException) -> str:
    """The words of the system below the layers of the HTTP library."""
    found: BaseException = error
    for _ in range(8):
        inner = next((a for a in found.args if isinstance(a, BaseException)), None)
        inner = inner or getattr(found, "reason", None)
        if not isinstance(inner, BaseException):
            break
        found = inner
    if isinstance(found, OSError) and found.strerror:
        return found.strerror
    # docker-py puts the whole chain into a text.
    told = re.search(r"Error\(\d+, '([^']+)'\)|\[Errno -?\d+\] ([^'\")]+)", str(found))
    return (told[1] or told[2]) if told else _one_line(str(found)) or type(found).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())
