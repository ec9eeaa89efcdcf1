"""Private indexes: every way to give credentials works, and none of them leaves a trace."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from packager.adapters.credentials import known_credentials
from tests.index import Index
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.tools

USER, PASSWORD = "some-body", "s3cret/+ü:x"


def with_login(url: str) -> str:
    from urllib.parse import quote

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


@pytest.mark.parametrize("way", [by_url, by_variables, by_netrc, by_keyring])
def test_every_way_works_and_leaves_no_trace(
    private: Index, tmp_path: Path, way: Callable[[Index, Path], dict[str, str]]
) -> None:
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    done = pack(root, tmp_path, way(private, tmp_path))
    assert done.returncode == 0, done.stderr
    assert_no_trace(done, root, tmp_path)


def test_wrong_credentials_are_told_without_being_shown(private: Index, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    private.login = (USER, "another")
    done = pack(root, tmp_path, by_url(private, tmp_path))
    assert done.returncode in {2, 4}
    assert "error: " in done.stderr
    assert_no_trace(done, root, tmp_path)


def pack(root: Path, tmp_path: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "packager", "--debug", "pack"],
        cwd=root,
        env=os.environ | {"PACKAGER_CACHE_DIR": str(tmp_path / "store")} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_no_trace(done: "subprocess.CompletedProcess[str]", root: Path, tmp_path: Path) -> None:
    from urllib.parse import quote

    written = [p for p in (*root.rglob("*"), *(tmp_path / "store").rglob("*")) if p.is_file()]
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
