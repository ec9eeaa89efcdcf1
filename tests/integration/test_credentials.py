"""Private indexes: every way to give credentials works, and none of them leaves a trace."""

import base64
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from packager.adapters.credentials import known_credentials
from packager.adapters.git import check_out
from tests.index import Index
from tests.integration.test_inputs import git, make_repository
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.tools

USER, PASSWORD = "some-body", "s3cret/+ü:x"


def with_login(url: str) -> str:
    return url.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@")


def host(url: str) -> str:
    return urlsplit(url).netloc


@pytest.fixture
def private(index: Index) -> Index:
    index.wheel("fruit")
    index.login = (USER, PASSWORD)
    return index


def by_url(private: Index, tmp_path: Path) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": with_login(private.url)}


def by_variables(private: Index, tmp_path: Path) -> dict[str, str]:
    return {
        "UV_DEFAULT_INDEX": f"my-own={private.url}",
        "UV_INDEX_MY_OWN_USERNAME": USER,
        "UV_INDEX_MY_OWN_PASSWORD": PASSWORD,
    }


def by_netrc(private: Index, tmp_path: Path) -> dict[str, str]:
    netrc = tmp_path / "netrc"
    machine = host(private.url).partition(":")[0]
    netrc.write_text(f"machine {machine} login {USER} password {PASSWORD}\n", encoding="utf-8")
    return {"NETRC": str(netrc)}


def by_keyring(private: Index, tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ \"$3\" = '{USER}' ] && echo '{PASSWORD}'\n", encoding="utf-8")
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_DEFAULT_INDEX": private.url.replace("://", f"://{USER}@"),
    }


def by_pips_variable(private: Index, tmp_path: Path) -> dict[str, str]:
    """uv does not read it, and neither do we; what it holds must not get out either."""
    return {"PIP_INDEX_URL": with_login(private.url), **by_netrc(private, tmp_path)}


@pytest.mark.parametrize("way", [by_url, by_variables, by_netrc, by_keyring, by_pips_variable])
def test_every_way_works_and_leaves_no_trace(
    private: Index, tmp_path: Path, way: Callable[[Index, Path], dict[str, str]]
) -> None:
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    done = pack(root, tmp_path, way(private, tmp_path))
    assert done.returncode == 0, done.stderr
    assert_no_trace(done, root, tmp_path)
    started = (tmp_path / "started").read_text(encoding="utf-8")
    assert "uv" in started
    assert '"pip", "compile"' in started


def test_wrong_credentials_are_told_without_being_shown(private: Index, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    private.login = (USER, "another")
    done = pack(root, tmp_path, by_url(private, tmp_path))
    assert done.returncode in {2, 4}
    assert "error: " in done.stderr
    assert_no_trace(done, root, tmp_path)


WATCH = """
import json, os, sys
def watch(event, details):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        with open(os.environ["STARTED"], "a") as file:
            file.write(json.dumps([os.fsdecode(word) for word in details[1]]) + "\\n")
sys.addaudithook(watch)
"""
"""Runs in every Python that is started, and misses none of what that starts."""


def pack(root: Path, tmp_path: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Pack, and note the command line of every process there is meanwhile, in `started`."""
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    (tmp_path / "tmp").mkdir(exist_ok=True)
    over = threading.Event()
    seen: set[str] = set()
    looking = threading.Thread(target=look_at_processes, args=(seen, over))
    looking.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "packager", "--debug", "pack"],
            cwd=root,
            env=os.environ
            | {"PACKAGER_CACHE_DIR": str(tmp_path / "store"), "TMPDIR": str(tmp_path / "tmp")}
            | {"PYTHONPATH": str(tmp_path / "site"), "STARTED": str(tmp_path / "started")}
            | env,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        over.set()
        looking.join()
    with (tmp_path / "started").open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in seen)
    return done


def look_at_processes(seen: set[str], over: threading.Event) -> None:
    """What `ps` shows to everybody: also of what uv and git start."""
    while not over.wait(0.005):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                seen.add(path.read_text(encoding="utf-8", errors="replace").replace("\0", " "))


def assert_no_trace(done: "subprocess.CompletedProcess[str]", root: Path, tmp_path: Path) -> None:
    places = (root, *(tmp_path / name for name in ("store", "tmp", "uv-cache", "started")))
    written = [p for place in places for p in (place, *place.rglob("*")) if p.is_file()]
    for secret in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD)):
        assert secret not in done.stdout
        assert secret not in done.stderr
        for path in written:
            assert secret.encode() not in path.read_bytes(), path


def test_credentials_are_read_where_uv_reads_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.uv.index]]\nname = "one"\nurl = "https://one.example/simple"\n'
        '[[tool.uv.index]]\nurl = "https://u:p%20w@two.example:8443/simple"\n'
    )
    (tmp_path / "uv.toml").write_text('extra-index-url = ["https://a:b@three.example/simple"]\n')
    (tmp_path / "requirements.txt").write_text(
        "--extra-index-url https://c:d@four.example/simple\nsix\n"
    )
    env = {"UV_INDEX_ONE_USERNAME": "x", "UV_INDEX_ONE_PASSWORD": "y"}
    assert known_credentials(tmp_path, env) == {
        "one.example": ("x", "y"),
        "two.example:8443": ("u", "p w"),
        "three.example": ("a", "b"),
        "four.example": ("c", "d"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "tool = 1",
        "[tool]\nuv = 1",
        "[tool.uv]\nindex = 1\nextra-index-url = 1",
        '[tool.uv]\nindex = [1, { url = 1 }]\nextra-index-url = [1]\nindex-url = "http://["',
    ],
)
def test_what_is_no_index_has_no_credentials(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert known_credentials(tmp_path, {}) == {}


def test_credentials_of_a_repository_work_and_are_in_no_command_line(tmp_path: Path) -> None:
    """Over HTTP as a plain file server has it, which asks for a password."""
    _, commit = make_repository(tmp_path, "seed")
    git(tmp_path / "bare.git", "update-server-info")
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            asked.append(self.headers.get("Authorization", ""))
            if asked[-1] != f"Basic {token}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic realm=git")
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
            """`asked` tells."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)]
    seen: set[str] = set()
    over = threading.Event()
    threads.append(threading.Thread(target=look_at_processes, args=(seen, over)))
    for thread in threads:
        thread.start()
    url = with_login(f"http://127.0.0.1:{server.server_port}/bare.git")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    try:
        check_out(url, commit, tmp_path / "out", env)
    finally:
        server.shutdown()
        server.server_close()
        over.set()
        for thread in threads:
            thread.join()
    assert (tmp_path / "out" / "python" / "seed" / "wanted.py").is_file()
    assert any(asked)
    lines = "\n".join(seen)
    assert "git" in lines
    config = (tmp_path / "out" / ".git" / "config").read_text()
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in lines
        assert secret not in config
