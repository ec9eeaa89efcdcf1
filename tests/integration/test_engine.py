"""The connection to a container engine: found where the `docker` command finds it, and each way
in which it fails told apart. The engines that fail are played by a small server on a socket."""

import contextlib
import hashlib
import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from packager.adapters.containers import find_image
from packager.adapters.endpoints import endpoints
from packager.adapters.engine import (
    Engine,
    connect,
    explained,
    image_id,
    require_buildx,
)
from packager.errors import CommandError, ConfigError, PackagerError, ToolError
from tests.command import Command

pytestmark = pytest.mark.tools

GOOD = {"Version": "27.0", "ApiVersion": "1.46", "Os": "linux", "Arch": "amd64", "Components": []}
Answers = Mapping[str, tuple[int, object]]


@contextlib.contextmanager
def playing(socket: Path, answers: Answers) -> Iterator[Path]:
    """An engine that gives these answers, by the end of the path asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = next((a for end, a in answers.items() if path.endswith(end)), None)
            status, body = found or (404, {"message": f"page not found: {path}"})
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Builder-Version", "2")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def address_string(self) -> str:
            return "socket"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield socket
        finally:
            server.shutdown()
            thread.join()


def playing_well(**changes: object) -> Answers:
    return {
        "/version": (200, {**GOOD, **changes}),
        "/info": (200, {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}),
        "/_ping": (200, "OK"),
    }


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Of a user without any settings, on a machine without an engine of its own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "run").mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PATH": str(tmp_path),
    }


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("packager.adapters.endpoints.DEFAULT_SOCKET", str(tmp_path / "docker.sock"))
    monkeypatch.setattr("packager.adapters.endpoints.PODMAN_SOCKET", str(tmp_path / "podman.sock"))


def failing(env: Mapping[str, str], kind: type[PackagerError]) -> PackagerError:
    with pytest.raises(kind) as caught:
        connect(env)
    error = caught.value
    assert error.what
    assert error.why
    assert error.fix
    return error


def add_context(env: Mapping[str, str], name: str, host: str) -> Path:
    contexts = Path(env["HOME"], ".docker", "contexts")
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = contexts / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    return contexts / "tls" / key / "docker"


def test_an_engine_says_what_it_is(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "s", playing_well()) as socket:
        engine = connect({**env, "DOCKER_HOST": f"unix://{socket}"})
    assert (engine.name, engine.version, engine.api, engine.arch) == (
        "Docker",
        "27.0",
        "1.46",
        "amd64",
    )
    assert (engine.buildkit, engine.containerd_store) == (True, True)
    assert engine.endpoint.origin == "DOCKER_HOST"
    assert engine.variables == {}  # the `docker` command reads the same variable


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize(
    "socket", ["docker.sock", "run/docker.sock", "run/podman/podman.sock", "podman.sock"]
)
def test_sockets_of_every_kind_are_found(env: dict[str, str], tmp_path: Path, socket: str) -> None:
    (tmp_path / socket).parent.mkdir(exist_ok=True)
    with playing(tmp_path / socket, playing_well(Components=[{"Name": "Podman Engine"}])) as path:
        engine = connect(env)
    assert engine.name == "Podman"
    assert engine.variables == {"DOCKER_HOST": f"unix://{path}"}


def test_an_image_that_podman_has_not_is_to_be_pulled(
    packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can not look into a registry as Docker does."""
    (tmp_path / "main.py").touch()
    monkeypatch.setenv("PACKAGER_RELEASE", "emr-7.13.0")
    podman = playing_well(Components=[{"Name": "Podman Engine"}])
    missing = {"/some/image:1/json": (404, {"message": "failed to find image some/image:1"})}
    with playing(tmp_path / "s", {**podman, **missing}) as socket:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
        words = ("pack", "main.py", "--builder", "docker", "--base-image", "some/image:1")
        done = packager(*words, cwd=tmp_path)
    assert (done.code, done.error[0], done.error[2]) == (
        3,
        "the engine does not have the image some/image:1",
        "podman pull some/image:1",
    )


@pytest.mark.usefixtures("nothing_here")
def test_a_dead_socket_does_not_hide_one_that_answers(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "docker.sock", playing_well()):
        pass  # the socket stays behind, and nobody listens
    with playing(tmp_path / "run" / "docker.sock", playing_well()) as alive:
        assert connect(env).endpoint.socket == alive


def test_contexts_are_followed(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "s", playing_well()) as socket:
        add_context(env, "far", f"unix://{socket}")
        assert connect({**env, "DOCKER_CONTEXT": "far"}).endpoint.origin == "context far"
        Path(env["HOME"], ".docker", "config.json").write_text('{"currentContext": "far"}')
        assert connect(env).endpoint.address == f"unix://{socket}"
        # DOCKER_HOST goes before any context, as for the `docker` command.
        host = {**env, "DOCKER_CONTEXT": "nowhere", "DOCKER_HOST": f"unix://{socket}"}
        assert connect(host).endpoint.origin == "DOCKER_HOST"


def test_a_context_brings_its_certificates(env: dict[str, str]) -> None:
    tls = add_context(env, "far", "tcp://far.example:2376")
    tls.mkdir(parents=True)
    (endpoint,) = endpoints({**env, "DOCKER_CONTEXT": "far"})
    assert endpoint.tls is not None
    assert (endpoint.tls.ca, endpoint.tls.verify) == (tls / "ca.pem", True)


def test_so_do_the_variables(env: dict[str, str]) -> None:
    host = {**env, "DOCKER_HOST": "tcp://far.example:2376"}
    assert endpoints(host)[0].tls is None
    verified = endpoints({**host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"})[0].tls
    assert verified is not None
    assert (verified.cert, verified.verify) == (Path("/certs/cert.pem"), True)


def test_an_unknown_context_is_named_with_the_known(env: dict[str, str]) -> None:
    add_context(env, "far", "unix:///far.sock")
    error = failing({**env, "DOCKER_CONTEXT": "fra"}, ConfigError)
    assert "'fra'" in error.what
    assert "DOCKER_CONTEXT" in error.why
    assert "default, far" in error.why


@pytest.mark.parametrize("host", ["/var/run/docker.sock", "ftp://x", "tcp://"])
def test_what_is_no_address_is_refused(env: dict[str, str], host: str) -> None:
    assert host in failing({**env, "DOCKER_HOST": host}, ConfigError).what


@pytest.mark.usefixtures("nothing_here")
def test_no_engine_at_all(env: dict[str, str], tmp_path: Path) -> None:
    error = failing(env, ToolError)
    assert error.what == "no container engine is running here"
    assert "install" in error.fix
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\n")
    client.chmod(0o755)
    only = failing(env, ToolError)
    assert "only a client" in only.why
    assert "systemctl start docker" in only.fix


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nowhere/docker.sock"])
def test_an_address_where_nobody_listens(env: dict[str, str], host: str) -> None:
    error = failing({**env, "DOCKER_HOST": host}, ToolError)
    assert error.what == f"no container engine answers at {host} (DOCKER_HOST)"
    assert error.why in {"Connection refused", "No such file or directory"}
    assert "DOCKER_HOST" in error.fix


@pytest.mark.usefixtures("nothing_here")
def test_an_engine_that_is_down(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "docker.sock", playing_well()):
        pass
    error = failing(env, ToolError)
    assert error.why == "Connection refused"
    assert "systemctl start docker" in error.fix


@pytest.mark.usefixtures("nothing_here")
def test_a_socket_that_this_user_may_not_use(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "docker.sock", playing_well()) as socket:
        socket.chmod(0o600)
        for folder in (tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(0o755)
        error = as_nobody(lambda: failing(env, ToolError))
    assert error.startswith(f"this user may not use the container engine at unix://{socket}")
    assert "usermod -aG docker" in error


def as_nobody(act: Callable[[], PackagerError]) -> str:
    """The error as a user without rights gets it: of another process, since root has them all."""
    import docker.api.client  # noqa: F401  # who has no rights may not be able to read it

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            if os.getuid() == 0:
                os.setuid(65534)
            error = act()
            os.write(writer, f"{error.what}\n{error.why}\n{error.fix}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_an_engine_that_is_too_old(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "s", playing_well(Version="19.03.1", ApiVersion="1.40")) as socket:
        error = failing({**env, "DOCKER_HOST": f"unix://{socket}"}, ToolError)
    assert "too old: 19.03.1, with API 1.40" in error.what
    assert "1.41" in error.why


def test_an_engine_of_windows_containers(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "s", playing_well(Os="windows")) as socket:
        error = failing({**env, "DOCKER_HOST": f"unix://{socket}"}, ToolError)
    assert "windows" in error.what
    assert "Linux containers" in error.fix


def test_an_engine_that_fails(env: dict[str, str], tmp_path: Path) -> None:
    answers = {"/version": (500, {"message": "database is locked"})}
    with playing(tmp_path / "s", answers) as socket:
        error = failing({**env, "DOCKER_HOST": f"unix://{socket}"}, CommandError)
    assert error.why == "database is locked"


@pytest.mark.parametrize("body", ["<html>hello</html>", [], {"hello": "world"}])
def test_something_else_that_answers(env: dict[str, str], tmp_path: Path, body: object) -> None:
    with playing(tmp_path / "s", {"/version": (200, body)}) as socket:
        error = failing({**env, "DOCKER_HOST": f"unix://{socket}"}, ToolError)
    assert "not a container engine" in error.what


def test_an_engine_that_speaks_tls_only(env: dict[str, str], tmp_path: Path) -> None:
    refusal = {"message": "Client sent an HTTP request to an HTTPS server."}
    with playing(tmp_path / "s", {"/version": (400, refusal)}) as socket:
        error = failing({**env, "DOCKER_HOST": f"unix://{socket}"}, ToolError)
    assert "DOCKER_TLS_VERIFY" in error.fix


def test_an_engine_that_dies_is_told_with_where_it_was(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "s", playing_well()) as socket:
        engine = connect({**env, "DOCKER_HOST": f"unix://{socket}"})
    with pytest.raises(CommandError, match="broke") as caught:
        find_image(engine, "some:image", "linux/amd64")
    assert caught.value.why == "Connection refused"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((200, {"Id": "sha256:0"}), "sha256:0"),
        ((404, {"message": "No such image: some/image:1"}), ""),
        ((404, {"message": "page not found"}), None),
        ((500, {"message": "database is locked"}), None),
        ((200, []), None),
        ((200, "no JSON"), None),
    ],
)
def test_an_image_is_asked_for_quickly_or_in_full(
    env: dict[str, str], tmp_path: Path, answer: tuple[int, object], found: str | None
) -> None:
    with playing(tmp_path / "s", {"/images/some/image:1/json": answer}) as socket:
        host = {**env, "DOCKER_HOST": f"unix://{socket}"}
        assert image_id(host, "some/image:1") == found
    assert image_id(host, "some/image:1") is None  # nobody listens any more
    assert image_id({**env, "DOCKER_HOST": "tcp://127.0.0.1:1"}, "some/image:1") is None


def test_building_needs_the_command_and_its_plugin(env: dict[str, str], tmp_path: Path) -> None:
    with playing(tmp_path / "s", playing_well()) as socket:
        engine = connect({**env, "DOCKER_HOST": f"unix://{socket}"})
    with pytest.raises(ToolError, match="`docker` command was not found"):
        require_buildx(engine, env)
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho \"docker: 'buildx' is not a docker command.\" >&2\nexit 1\n")
    client.chmod(0o755)
    with pytest.raises(ToolError, match="no buildx plugin") as caught:
        require_buildx(engine, {**env, "PATH": f"{tmp_path}:/bin:/usr/bin"})
    assert "is not a docker command" in caught.value.why
    assert "docker-buildx" in caught.value.fix


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("exec /bin/sh: exec format error", "the engine cannot run linux/arm64"),
        ("write /var/lib/x: no space left on device", "the engine has no disk space left"),
        ("No such image: some:image", "the engine does not have the image some:image"),
        (
            (
                "image with reference x was found but does not match the specified platform: wanted"
                " linux/arm64, actual: linux/amd64"
            ),
            "the image some:image is not for linux/arm64",
        ),
        (
            (
                "pull access denied for some, repository does not exist or may require 'docker login':"
                " denied: requested access to the resource is denied"
            ),
            "the image some:image cannot be pulled",
        ),
        (
            (
                'failed to resolve reference "docker.io/some:image": failed to do request: Head'
                ' "https://registry-1.docker.io/v2/some": dial tcp: lookup registry-1.docker.io'
            ),
            "the image some:image cannot be pulled",
        ),
        (
            "invalid reference format: repository name (library/UPPER) must be lowercase",
            "'some:image' is not the name of an image",
        ),
        (
            "no such image: docker.io/moby/buildkit:buildx-stable-1: image not known",
            "the builder that `docker buildx` starts in a container can not be had",
        ),
        (
            "unable to find user hadoop: no matching entries in passwd file",
            "the image some:image does not have the user that jobs run as",
        ),
    ],
)
def test_what_engines_say_is_understood(
    env: dict[str, str], tmp_path: Path, words: str, what: str
) -> None:
    with playing(tmp_path / "s", playing_well()) as socket:
        engine: Engine = connect({**env, "DOCKER_HOST": f"unix://{socket}"})
    error = explained(words, engine, image="some:image", platform="linux/arm64")
    assert error is not None
    assert (error.what, bool(error.why), bool(error.fix)) == (what, True, True)


@pytest.mark.parametrize(
    ("image", "fix"),
    [("team/jobs:1", "docker login"), ("r.example:5000/jobs:1", "docker login r.example:5000")],
)
def test_the_login_is_that_of_the_image_s_registry(
    env: dict[str, str], tmp_path: Path, image: str, fix: str
) -> None:
    with playing(tmp_path / "s", playing_well()) as socket:
        engine = connect({**env, "DOCKER_HOST": f"unix://{socket}"})
    error = explained("pull access denied for it", engine, image=image)
    assert error is not None
    assert error.fix.endswith(fix)
