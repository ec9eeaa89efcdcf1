"""Networks as companies have them: their own certificates, and a proxy in between."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
import trustme

from packager.adapters.fetch import Fetcher, Patience
from packager.adapters.uv import AT_ONCE, Uv
from packager.errors import CommandError
from tests.archives import TARGET
from tests.index import Index, serve
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.tools


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path: Path) -> Iterator[Index]:
    """An index whose certificate only the company's authority vouches for."""
    with serve(tmp_path / "index", certified(authority)) as index:
        index.wheel("fruit")
        yield index


def certified(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    """What a server shows that says it is this host."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(tls)
    return tls


TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def pack(root: Path, tmp_path: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    own = {key: value for key, value in os.environ.items() if key not in TRUST}
    own |= {"PACKAGER_CACHE_DIR": str(tmp_path / "store"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    return subprocess.run(
        [sys.executable, "-m", "packager", "pack"],
        cwd=root,
        env=own | {"UV_HTTP_RETRIES": "0"} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_companys_own_authority_is_trusted_where_uv_is_told_to(
    secure: Index, authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(str(file))
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    done = pack(root, tmp_path, UV_DEFAULT_INDEX=secure.url, SSL_CERT_FILE=str(file))
    assert done.returncode == 0, done.stderr


def test_an_unknown_authority_is_not_trusted(secure: Index, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    done = pack(root, tmp_path, UV_DEFAULT_INDEX=secure.url)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert not list((root / "dist").iterdir())


UNTRUSTED = {
    "another authority": ("127.0.0.1", None, "is not trusted"),
    "another host": ("localhost", "company.pem", "is not trusted"),
    "no certificates in its file": ("127.0.0.1", "empty.pem", "no secure connection"),
}


@pytest.fixture
def _told_of_no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in TRUST:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("_told_of_no_authorities")
@pytest.mark.parametrize("name", [*UNTRUSTED, ""])
def test_downloads_trust_nobody_else(authority: trustme.CA, tmp_path: Path, name: str) -> None:
    """Without uv, which would have refused before."""
    authority.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    (tmp_path / "empty.pem").write_text("nothing\n", encoding="utf-8")
    host, file, why = UNTRUSTED.get(name, ("127.0.0.1", "company.pem", ""))
    fetcher = Fetcher(authorities=file and str(tmp_path / file), patience=Patience(tries=1))
    with serve(tmp_path / "index", certified(authority, host)) as index:
        url = f"{index.url.removesuffix('/simple')}/files/{index.wheel('fruit').name}"
        fetcher.prepare([url])
        if not why:
            fetcher.download(url, tmp_path / "fruit")
            assert (tmp_path / "fruit").read_bytes() == index.wheel("fruit").read_bytes()
            return
        with pytest.raises(CommandError) as error:
            fetcher.download(url, tmp_path / "fruit")
    assert why in error.value.why
    assert not (tmp_path / "fruit").exists()


@pytest.mark.usefixtures("_told_of_no_authorities")
def test_a_file_of_authorities_that_is_another_now_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "company.pem"
    for _ in range(2):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(file))
        with serve(tmp_path / "index", certified(authority)) as index:
            url = f"{index.url.removesuffix('/simple')}/files/{index.wheel('fruit').name}"
            fetcher = Fetcher(authorities=str(file), patience=Patience(tries=1))
            fetcher.download(url, tmp_path / "fruit")
            (tmp_path / "fruit").unlink()


def test_everything_goes_through_a_proxy(index: Index, tmp_path: Path) -> None:
    """The index has a name that only the proxy can find."""
    index.wheel("fruit")
    seen: list[str] = []
    real = index.url.removesuffix("/simple")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append(self.path)
            path = self.path.removeprefix("http://index.company.invalid")
            with requests.Session() as session:
                session.trust_env = False
                got = session.get(real + path, headers=dict(self.headers), timeout=10)
            self.send_response(got.status_code)
            self.send_header("Content-Type", got.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(got.content)))
            self.end_headers()
            self.wfile.write(got.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
            """`seen` tells."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        root = make_project(tmp_path / "project", dependencies=("fruit",))
        proxy = f"http://127.0.0.1:{server.server_port}"
        done = pack(
            root,
            tmp_path,
            UV_DEFAULT_INDEX="http://index.company.invalid/simple",
            HTTP_PROXY=proxy,
            http_proxy=proxy,
            NO_PROXY="",
            no_proxy="",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert "http://index.company.invalid/files/fruit-1.0-py3-none-any.whl" in seen


@pytest.mark.parametrize(
    ("env", "settings", "told"),
    [
        ({}, "", AT_ONCE),
        ({"UV_CONCURRENT_DOWNLOADS": "3"}, "", "3"),
        ({}, "\n[tool.uv]\nconcurrent-downloads = 5\n", "uv's own"),
    ],
)
def test_uv_asks_few_questions_at_once_unless_it_is_told_how_many(
    env: dict[str, str], settings: str, told: str, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project")
    with (root / "pyproject.toml").open("a") as file:
        file.write(settings)
    program = tmp_path / "uv"
    program.write_text('#!/bin/sh\nprintf %s "${UV_CONCURRENT_DOWNLOADS:-uv\'s own}"\n')
    program.chmod(0o755)
    uv = Uv(env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **env}, binary=str(program))
    assert uv.find(["fruit==1"], indexes=(), root=root, target=TARGET) == told
