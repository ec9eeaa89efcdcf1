"""`packager image validate --run`: programs in images on a real engine, and no container left."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packager.adapters.containers import PID_LABEL
from tests.command import Command
from tests.integration.test_image_validate import built
from tests.rig.engine import docker

SAMPLE = Path(__file__).parents[2] / "sample_app"
RUN = ("image", "validate", "--release", "emr-7.13.0", "--run", "--json")

pytestmark = pytest.mark.usefixtures("known_base")


def containers() -> str:
    label = f"label={PID_LABEL}={os.getpid()}"
    return docker("ps", "--all", "--quiet", "--filter", label)


def tried(packager: Command, folder: Path, *arguments: str) -> dict[tuple[str, str], str]:
    """The run tests' findings: code and what, and why."""
    got = packager(*RUN, *arguments, cwd=folder)
    assert got.out, got.err
    assert containers() == ""
    (report,) = json.loads(got.out).values()
    assert "RUN001" in report["checked"]
    return {
        (f["check"], f["what"]): f["why"]
        for f in report["findings"]
        if f["check"].startswith("RUN")
    }


def spoilt(base: str, *lines: str) -> str:
    return "\n".join((f"FROM {base}", "USER root", *lines, "USER hadoop:hadoop", ""))


@pytest.mark.docker
def test_the_base_itself_runs(packager: Command, tmp_path: Path, base_image: str) -> None:
    got = packager(*RUN, base_image, cwd=tmp_path)
    assert got.code == 0, got.out + got.err
    (report,) = json.loads(got.out).values()
    assert [c for c in report["checked"] if c.startswith("RUN")] == ["RUN001", "RUN002", "RUN003"]
    assert "It has no pandas, so functions on pandas data were not tried" in got.err
    assert containers() == ""


@pytest.mark.docker
@pytest.mark.network
def test_functions_on_pandas_data_run_in_an_environment_of_the_image(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    root = tmp_path / "sample"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    # Images are named by their content: this one is no other run's, which would take it away.
    module = next(root.glob("**/__init__.py"))
    module.write_text(f"{module.read_text(encoding='utf-8')}\n# {os.getpid()}\n", encoding="utf-8")
    made = packager("image", "build", "--base-image", base_image, "--clean-room", "off", cwd=root)
    assert made.code == 0, made.err
    name = made.out.strip()
    try:
        got = packager(*RUN, "--base-image", base_image, name, cwd=tmp_path)
    finally:
        docker("image", "rm", "--force", name)
    assert got.code == 0, got.out + got.err
    (report,) = json.loads(got.out).values()
    assert report["checked"][-1] == "RUN004"
    assert report["findings"] == []


SUBMIT = "/usr/lib/spark/bin/spark-submit"
WRITES = """#!/bin/sh
touch /opt/x || exit 1
echo Pi is roughly 3.14
echo 'packager-job: {"driver": ["/usr/bin/python3.11", "/usr"], "python": "3.11.2", "pandas": null,\
 "workers": [["/usr/bin/python3.11", "/usr"]], "squares": [0, 1, 4, 9], "lacking": "pandas"}'
"""
"""In place of Spark, which does the same either way: what it says where it may write."""


@pytest.mark.docker
@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (
            ("RUN rm -f /usr/bin/sh /usr/bin/bash",),
            {("RUN001", "no program starts in it"): "sh"},
        ),
        (
            ("RUN sed -i /hadoop/d /etc/passwd",),
            {("RUN001", "no program starts in it"): "hadoop"},
        ),
        (
            (f"RUN printf '#!/bin/sh\\nexit 0\\n' > {SUBMIT}",),
            {
                ("RUN002", "SparkPi fails"): "does not print",
                ("RUN003", "a PySpark job with a Python function fails"): "does not print",
            },
        ),
        (
            (f"COPY --chmod=755 submit {SUBMIT}", "RUN mkdir -p /opt && chmod 777 /opt"),
            {
                ("RUN002", "SparkPi writes into the image"): "/opt/x",
                ("RUN003", "a PySpark job with a Python function writes into the image"): "/opt/x",
            },
        ),
    ],
    ids=["no shell", "no user", "does nothing", "writes"],
)
def test_faults_are_found_by_running(
    packager: Command,
    tmp_path: Path,
    small_base: str,
    lines: tuple[str, ...],
    found: dict[tuple[str, str], str],
) -> None:
    (tmp_path / "submit").write_text(WRITES)
    with built(tmp_path, spoilt(small_base, *lines)) as name:
        seen = tried(packager, tmp_path, name)
    assert seen.keys() == found.keys()
    for key, why in found.items():
        assert why in seen[key]


@pytest.mark.docker
def test_an_image_whose_spark_lacks_a_jar_is_found_by_running(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    lines = "RUN rm /usr/lib/spark/jars/spark-sql_2.12-3.5.6.jar"
    with built(tmp_path, spoilt(base_image, lines)) as name:
        seen = tried(packager, tmp_path, name)
    assert seen.keys() == {
        ("RUN002", "SparkPi fails"),
        ("RUN003", "a PySpark job with a Python function fails"),
    }
    assert all("exit status" in why for why in seen.values())


HANGS = f"RUN printf '#!/bin/sh\\nexec sleep 1000\\n' > {SUBMIT}"


@pytest.mark.docker
def test_what_hangs_is_ended_and_told(packager: Command, tmp_path: Path, small_base: str) -> None:
    with built(tmp_path, spoilt(small_base, HANGS)) as name:
        seen = tried(packager, tmp_path, "--run-timeout", "3", name)
    assert seen == {
        ("RUN002", "SparkPi fails"): "it did not end within 3 s",
        ("RUN003", "a PySpark job with a Python function fails"): "it did not end within 3 s",
    }


@pytest.mark.docker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_container(
    tmp_path: Path, small_base: str, number: signal.Signals
) -> None:
    with built(tmp_path, spoilt(small_base, HANGS)) as name:
        child = subprocess.Popen(
            [sys.executable, "-m", "packager", *RUN, name],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        label = f"label={PID_LABEL}={child.pid}"
        deadline = time.monotonic() + 120
        while "running" not in docker("ps", "--all", "--filter", label, "--format", "{{.State}}"):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.1)
        child.send_signal(number)
        _, err = child.communicate(timeout=120)
        assert child.returncode == 130, err
        assert docker("ps", "--all", "--quiet", "--filter", label) == ""


@pytest.mark.docker
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("gone/image:1",), 3, "does not have the image gone/image:1"),
        (("registry:127.0.0.1:1/a/b:1",), 2, "can not be run"),
        (("--type", "hive", "gone/image:1"), 2, "no run tests of hive"),
    ],
)
def test_what_can_not_be_run_is_told(
    packager: Command, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    got = packager(*RUN, *arguments, cwd=tmp_path)
    assert got.code == code
    assert said in got.error[0]
