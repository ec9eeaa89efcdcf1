"""`packager image validate` of what is in registries, without an engine."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.registry.auth import Login
from packager.adapters.registry.client import blob_of_bytes, registry_client
from packager.manifests import Document
from packager.references import parse_reference
from tests.command import Command
from tests.images import BASE, Image, blobs_of, digest
from tests.mirror import Answer, breaks_off, mirror, stalls
from tests.rig.registry import Registry

RELEASE = ("--release", "emr-7.13.0", "--json")
MINE = BASE.over({"home/hadoop/job.py": "print()"}, User="root")
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


class Served:
    """A registry of two or three documents, which notes what it is asked for."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.host = ""
        self.refusal: tuple[int, Mapping[str, str]] | None = None
        """Status and headers of every answer."""

    def push(self, tag: str, image: Image, change: Mapping[str, Any] | None = None) -> None:
        described = blobs_of(image, self.blobs)
        manifest = json.loads(self.blobs[described["digest"]]) | dict(change or {})
        self.tags[tag] = (OCI, json.dumps(manifest).encode())

    @property
    def layers(self) -> list[str]:
        """Blobs that are layers, of those that were asked for."""
        return [d for d in self.asked if self.blobs[d].startswith(b"\x1f\x8b")]


@contextlib.contextmanager
def serve(served: Served) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if served.refusal is not None:
                self.send_response(served.refusal[0])
                for header, value in {**served.refusal[1], "Content-Length": "0"}.items():
                    self.send_header(header, value)
                self.end_headers()
                return
            kind, body = "application/json", b"{}"
            if "/manifests/" in self.path:
                kind, body = served.tags[name]
            elif "/blobs/" in self.path:
                served.asked.append(name)
                body = served.blobs[name]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.host = f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def findings(out: str) -> set[tuple[str, str]]:
    (report,) = json.loads(out).values()
    return {(f["check"], f["what"]) for f in report["findings"]}


@pytest.mark.tools
def test_known_layers_are_not_downloaded(packager: Command, tmp_path: Path) -> None:
    served = Served()
    served.push("base", BASE)
    served.push("mine", MINE)
    with serve(served):
        base, mine = (f"registry:{served.host}/team/app:{tag}" for tag in ("base", "mine"))
        assert packager("image", "validate", base, *RELEASE, cwd=tmp_path).code == 0
        assert len(served.layers) == 2
        served.asked.clear()
        got = packager("image", "validate", mine, "--base-image", base, *RELEASE, cwd=tmp_path)
        assert (got.code, findings(got.out)) == (1, {("IMG002", "its user is root")})
        assert BASE.compress is not None
        assert served.layers == [digest(BASE.compress(MINE.tars()[2]))]
        served.asked.clear()
        packager("image", "validate", mine, "--base-image", base, *RELEASE, cwd=tmp_path)
        assert served.layers == []


@pytest.mark.tools
def test_what_the_manifest_shows_is_told_before_any_layer_comes(
    packager: Command, tmp_path: Path
) -> None:
    """11 GB, another architecture, and layers of a kind that is none."""
    served = Served()
    layers = [
        {
            "mediaType": f"{OCI.replace('manifest.v1+json', 'layer.v1.tar+gzip')}",
            "digest": digest(bytes([number])),
            "size": 5_500_000_000,
        }
        for number in range(2)
    ]
    served.push("huge", BASE, {"layers": layers})
    served.push("arm", Image(layers=BASE.layers, compress=BASE.compress, architecture="arm64"))
    served.push("odd", BASE, {"layers": [{**layers[0], "mediaType": "text/plain"}] * 2})
    with serve(served):
        seen = {
            tag: packager(
                "image", "validate", f"registry:{served.host}/a/b:{tag}", *RELEASE, cwd=tmp_path
            )
            for tag in served.tags
        }
    assert served.layers == []
    assert (seen["huge"].code, findings(seen["huge"].out)) == (1, {("IMG006", "it has 11.0 GB")})
    assert ("IMG001", "the image is for linux/arm64") in findings(seen["arm"].out)
    assert seen["odd"].code == 2
    assert "'text/plain'" in seen["odd"].err


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One try, no patience, and nobody is logged in."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.mark.tools
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("status", "headers", "said", "fix"),
    [
        (401, {"WWW-Authenticate": 'Basic realm="x"'}, "401", "docker login"),
        (403, {}, "403", ""),
        (404, {}, "", ""),
        (429, {"Retry-After": "0"}, "429", "wait"),
        (500, {}, "500", "try again"),
    ],
)
def test_registries_that_refuse_are_told_as_such(
    packager: Command, tmp_path: Path, status: int, headers: Mapping[str, str], said: str, fix: str
) -> None:
    served = Served()
    served.refusal = (status, headers)
    with serve(served):
        named = f"registry:{served.host}/a/b:1"
        got = packager("image", "validate", named, *RELEASE, cwd=tmp_path)
    assert (got.code, got.out) == (4, "")
    assert said in " ".join(got.error)
    assert fix in got.error[2]


@pytest.mark.tools
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("answer", [breaks_off(), stalls()], ids=["closes", "stalls"])
def test_registries_that_say_nothing_are_told_as_such(
    packager: Command, tmp_path: Path, answer: Answer
) -> None:
    with mirror(answer) as served:
        host = served.url.removeprefix("http://")
        got = packager("image", "validate", f"registry:{host}/a/b:1", *RELEASE, cwd=tmp_path)
    assert (got.code, got.out) == (4, "")
    assert "try again" in got.error[2]


@pytest.mark.tools
@pytest.mark.usefixtures("hasty")
def test_a_layer_that_is_not_what_its_digest_says_is_refused(
    packager: Command, tmp_path: Path
) -> None:
    served = Served()
    served.push("1", BASE)
    for name, blob in served.blobs.items():
        if blob.startswith(b"\x1f\x8b"):
            served.blobs[name] = blob[:-1] + bytes([blob[-1] ^ 1])
    with serve(served):
        named = f"registry:{served.host}/a/b:1"
        got = packager("image", "validate", named, *RELEASE, cwd=tmp_path)
    assert (got.code, got.out) == (4, "")


@pytest.mark.docker
def test_an_image_in_a_real_registry_is_judged(
    packager: Command, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = Login(user=registry.user, password=registry.password)
    client = registry_client({"SSL_CERT_FILE": str(registry.authority)}, logins=lambda _: login)
    reference = parse_reference(f"{registry.host}/team/judged:1")
    blobs: dict[str, bytes] = {}
    described = blobs_of(MINE, blobs)
    for content in blobs.values():
        client.put_blob(reference, blob_of_bytes(content))
    client.put_manifest(reference, Document(media_type=OCI, content=blobs[described["digest"]]))
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.authority))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {registry.host: {"auth": _basic(login)}}})
    )
    monkeypatch.setenv("DOCKER_HOST", "")
    # No engine has it, so its registry is asked without being told.
    got = packager("image", "validate", str(reference), *RELEASE, cwd=tmp_path)
    assert (got.code, findings(got.out)) == (1, {("IMG002", "its user is root")})
    assert registry.password not in got.err


def _basic(login: Login) -> str:
    import base64

    return base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
