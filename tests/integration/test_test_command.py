"""`packager test` on a real engine: what tests see in there, what comes out, and that it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from packager.adapters.containers import PID_LABEL
from tests.command import Command
from tests.rig.engine import docker

SAMPLE = Path(__file__).parents[2] / "sample_app"
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "shop"
version = "1.0"
dependencies = ["six"]
[dependency-groups]
test = ["pytest", "colorama", "six<2"]
[tool.packager]
release = "emr-7.13.0"
clean-room = "off"
[tool.pytest.ini_options]
pythonpath = ["src"]
"""
SHOP = "def price(apples):\n    if apples < 0:\n        raise ValueError\n    return 2 * apples\n"
IN_THERE = """
import getpass, os, socket, sys, time
import pytest, shop

def test_it_is_the_packed_one():
    assert shop.__file__ == "/home/hadoop/app/shop/__init__.py"
    assert shop.price(3) == 6
    assert sys.executable == "/home/hadoop/environment/bin/python"

def test_spark_is_that_of_the_image():
    import pyspark
    assert pyspark.__file__.startswith("/usr/lib/spark/python/")
    import py4j

def test_what_tests_alone_need_comes_after_what_is_packed():
    import colorama, six
    assert colorama.__file__.startswith("/tmp/packager-tests/site/")
    assert six.__file__.startswith("/home/hadoop/environment/")

def test_nothing_of_the_users_own_came_along():
    assert [name for name in os.environ if "AWS" in name or "SECRET" in name] == []
    assert os.environ["MODE"] == "quick"
    assert not os.path.exists(".env")
    assert not os.path.exists("/home/hadoop/.aws")

def test_it_is_the_jobs_user_without_a_network():
    assert getpass.getuser() == "hadoop"
    assert os.getuid() != 0
    with pytest.raises(OSError):
        socket.create_connection(("198.51.100.1", 80), timeout=5)
    open("written", "w").close()

@pytest.mark.skipif("not sys.argv or os.environ.get('MODE') != 'slow'")
def test_that_hangs():
    print("it hangs", flush=True)
    time.sleep(300)
"""


def containers_of(pid: int) -> str:
    return docker("ps", "--all", "--quiet", "--filter", f"label={PID_LABEL}={pid}")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with its archives, and the store that it was packed from."""
    root = tmp_path_factory.mktemp("shop")
    (root / "src" / "shop").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "src" / "shop" / "__init__.py").write_text(SHOP)
    (root / "tests" / "test_shop.py").write_text(IN_THERE)
    (root / ".env").write_text("AWS_SECRET_ACCESS_KEY=planted\n")
    env = {**os.environ, "PACKAGER_CACHE_DIR": str(root.parent / "store")}
    command = [sys.executable, "-m", "packager", "pack", "--quiet"]
    subprocess.run(command, cwd=root, env=env, check=True, capture_output=True)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def project(packed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(packed.parent / "store"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted")
    return packed


@pytest.mark.docker
@pytest.mark.network
def test_tests_run_on_the_archives_and_see_nothing_else(
    packager: Command, project: Path, base_image: str, tmp_path: Path
) -> None:
    reports = ("--junit", tmp_path / "a" / "junit.xml", "--coverage", tmp_path / "coverage.xml")
    options = ("--base-image", base_image, "--env", "MODE=quick")
    got = packager("test", *options, *reports, "--", "-v", cwd=project)
    assert got.code == 0, got.out + got.err
    assert "test_spark_is_that_of_the_image PASSED" in got.out
    assert "5 passed, 1 skipped" in got.out
    assert "emr-7.13.0 amd64: all tests passed" in got.err
    cases = {c.get("name") for c in ET.parse(tmp_path / "a" / "junit.xml").iter("testcase")}  # noqa: S314
    assert "test_it_is_the_packed_one" in cases
    (measured,) = ET.parse(tmp_path / "coverage.xml").iter("class")  # noqa: S314
    assert measured.get("filename") == "src/shop/__init__.py"
    assert measured.get("line-rate") == "0.75"
    assert containers_of(os.getpid()) == ""


@pytest.mark.docker
@pytest.mark.network
def test_failures_are_told_apart(
    packager: Command, project: Path, base_image: str, tmp_path: Path
) -> None:
    """A failing test, none, wrong arguments, and no end."""
    base = ("test", "--quiet", "--base-image", base_image)
    failing = packager(*base, "--junit", tmp_path / "j.xml", cwd=project)  # MODE is not set
    assert (failing.code, failing.error[0]) == (1, "tests failed for linux/amd64")
    assert 'failures="1"' in (tmp_path / "j.xml").read_text()
    none = packager(*base, "--", "-k", "no_such", cwd=project)
    assert (none.code, none.error[0]) == (1, "there was no test to run for linux/amd64")
    wrong = packager(*base, "--", "--no-such-option", cwd=project)
    assert wrong.code == 2
    assert "unrecognized arguments: --no-such-option" in wrong.error[1]
    started = time.monotonic()
    slow = ("--env", "MODE=slow", "--timeout", "15", "--", "-s", "-k", "hangs")
    hung = packager(*base, *slow, cwd=project)
    assert (hung.code, hung.error[0]) == (1, "the tests did not end within 15 s for linux/amd64")
    assert "it hangs" in hung.out
    assert time.monotonic() - started < 250
    assert containers_of(os.getpid()) == ""


@pytest.mark.docker
@pytest.mark.network
def test_an_interrupt_leaves_no_container(project: Path, base_image: str) -> None:
    command = [sys.executable, "-m", "packager", "test", "--base-image", base_image]
    child = subprocess.Popen(
        [*command, "--env", "MODE=slow", "--", "-s", "-k", "hangs"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert any("it hangs" in line for line in child.stdout)  # which comes while they run
    assert containers_of(child.pid) != ""
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130, err
    assert containers_of(child.pid) == ""


@pytest.mark.docker
@pytest.mark.network
def test_a_custom_image_is_tested_with_what_it_has(
    packager: Command, project: Path, base_image: str, tmp_path: Path
) -> None:
    """The project's own files do not take the place of what is in the image."""
    for archive in (project / "dist").glob("*.tar.gz"):
        kind = "environment" if "environment" in archive.name else "app"
        (tmp_path / kind).mkdir()
        subprocess.run(["tar", "-xzf", archive, "-C", tmp_path / kind], check=True)
    (tmp_path / "Dockerfile").write_text(
        f"FROM {base_image}\nCOPY environment /opt/packager/environment\n"
        "COPY app /opt/packager/app\n"
        "ENV PYSPARK_PYTHON=/opt/packager/environment/bin/python\n"
    )
    image = f"packager-tests/custom:{os.getpid()}"
    docker("build", "--quiet", "--tag", image, str(tmp_path))
    try:
        own = tmp_path / "tests"
        shutil.copytree(project, own, ignore=shutil.ignore_patterns("dist"))
        (own / "tests" / "test_shop.py").write_text(
            "import shop, six\ndef test_it():\n"
            "    assert shop.__file__ == '/opt/packager/app/shop/__init__.py'\n"
            "    assert six.__file__.startswith('/opt/packager/environment/')\n"
        )
        got = packager("test", "--image", image, cwd=own)
        assert got.code == 0, got.out + got.err
        got = packager("test", "--image", image, "--python", "3.9", cwd=own)
        assert got.code == 2
        assert "is not Python 3.9" in got.error[0]
        assert got.error[1] == "it is 3.11"
    finally:
        docker("image", "rm", "--force", image)


@pytest.mark.docker
@pytest.mark.network
def test_the_sample_apps_spark_job_is_tested_in_there(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    root = tmp_path / "sample app"  # with a blank
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    assert packager("pack", "--clean-room", "off", cwd=root).code == 0
    got = packager(
        "test", "--base-image", base_image, "--", "-k", "is_written or typical", cwd=root
    )
    assert got.code == 0, got.out + got.err
    assert "2 passed" in got.out


# Where it cannot be done.


@pytest.mark.tools
def test_without_an_engine_it_says_how_to_get_one(
    packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.py").write_text("")
    (tmp_path / "pyproject.toml").write_text('[tool.packager]\nrelease = "emr-7.13.0"\n')
    got = packager("test", cwd=tmp_path)
    assert (got.code, got.error[2]) == (2, "make one: packager pack")
    assert packager("pack", cwd=tmp_path).code == 0
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    got = packager("test", cwd=tmp_path)
    assert got.code == 3
    assert got.error[0].startswith("no container engine answers at unix:///nowhere")
    assert got.error[2]
    got = packager("test", "--image", "a:1", "--record", "b.json", cwd=tmp_path)
    assert (got.code, got.error[0]) == (2, "--image and --record exclude each other")
