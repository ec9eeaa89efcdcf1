"""The clean room on a real engine: archives with planted faults are told, good ones pass, and the
way out is clean."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.containers import PID_LABEL
from tests.archives import SITE, Entry, file, metadata, symlink, tar_gz
from tests.command import Command, Outcome
from tests.rig.engine import docker

SAMPLE = Path(__file__).parents[2] / "sample_app"
RELEASE = "emr-7.13.0"

CONFIG = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n"
PLAIN = (
    symlink("bin/python", "/usr/bin/python3.11"),
    file("pyvenv.cfg", CONFIG),
    file(f"{SITE}/kept.txt"),
)


def containers_of(pid: int) -> str:
    return docker("ps", "--all", "--quiet", "--filter", f"label={PID_LABEL}={pid}")


def dist(name: str, files: dict[str, str], *, scripts: str = "", mode: int = 0o644) -> list[Entry]:
    """An installed distribution."""
    info = f"{name}-1.0.dist-info"
    texts = {**files, f"{info}/entry_points.txt": f"[console_scripts]\n{scripts}"}
    record = "".join(f"{path},,\n" for path in [*texts, f"{info}/METADATA", f"{info}/RECORD"])
    entries = [file(f"{SITE}/{path}", text, mode) for path, text in texts.items()]
    return [*entries, file(f"{SITE}/{info}/RECORD", record), metadata(name)]


def validated(
    packager: Command, folder: Path, *entries: Entry, options: tuple[str, ...], base_image: str
) -> tuple[Outcome, dict[str, Any]]:
    own = {entry.path for entry in entries}
    plain = [entry for entry in PLAIN if entry.path not in own]
    (folder / "env.tar.gz").write_bytes(tar_gz([*plain, *entries]))
    room = ("--clean-room", "require", "--base-image", base_image)
    got = packager("validate", "env.tar.gz", "--json", *room, *options, cwd=folder)
    assert got.out, got.err
    (report,) = json.loads(got.out).values()
    return got, report


@pytest.mark.docker
def test_each_planted_fault_is_told_in_the_same_run(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    """Start-up code that prints breaks Spark's workers, and nothing else."""
    got, report = validated(
        packager,
        tmp_path,
        *dist("broken", {"broken.py": "import nowhere"}),
        *dist("lib", {"lib/__init__.py": "import ctypes\nctypes.CDLL('libnowhere.so.1')"}),
        *dist("crash", {"crash/__init__.py": "import ctypes\nctypes.string_at(0)"}),
        *dist("private", {"private.py": ""}, mode=0),
        *dist("good", {"good.py": "main = print"}, scripts="good = good:main\nbad = good:gone\n"),
        file("bin/good", "#!/home/hadoop/environment/bin/python\n", 0o755),
        file("bin/bad", "#!/home/hadoop/environment/bin/python\n", 0o755),
        file(f"{SITE}/loud.pth", "import sys; sys.stdout.write('hello from start-up')\n"),
        options=("--release", RELEASE, "--waive", "ARC003=planted", "--waive", "ARC012=planted"),
        base_image=base_image,
    )
    assert got.code == 1
    found = {(f["check"], f["what"]): f["why"] for f in report["findings"] if f["check"] > "ROOM"}
    assert {what: check for check, what in found} == {
        "`import broken` of broken fails": "ROOM002",
        "`import crash` of crash crashes Python": "ROOM002",
        "`import lib` of lib fails": "ROOM002",
        "`import private` of private fails": "ROOM002",
        "the script `bad` of good does not start": "ROOM003",
        "a PySpark job with a Python function fails": "ROOM004",
    }
    why = {what: text for (_, what), text in found.items()}
    assert "No module named 'nowhere'" in why["`import broken` of broken fails"]
    assert "libnowhere.so.1: cannot open shared object" in why["`import lib` of lib fails"]
    assert "SIGSEGV" in why["`import crash` of crash crashes Python"]
    assert "Permission denied" in why["`import private` of private fails"]
    assert "no attribute 'gone'" in why["the script `bad` of good does not start"]
    assert why["a PySpark job with a Python function fails"]


@pytest.mark.docker
def test_an_image_without_the_python_is_told(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    """The release has Python 3.9, and what is given in place of its image has not."""
    got, report = validated(
        packager,
        tmp_path,
        symlink("bin/python", "/usr/bin/python3.9"),
        file("pyvenv.cfg", CONFIG.replace("3.11", "3.9")),
        file("lib/python3.9/site-packages/kept.txt"),
        options=("--release", "emr-7.9.0", "--waive", "ARC004=planted"),
        base_image=base_image,
    )
    assert got.code == 1
    errors = [f for f in report["findings"] if f["severity"] == "error"]
    assert [f["check"] for f in errors] == ["ROOM001"]
    assert "./environment/bin/python does not start" in errors[0]["why"]


@pytest.mark.docker
@pytest.mark.network
def test_the_sample_app_passes_and_is_not_tried_twice(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    root = tmp_path / "sample app"  # with a blank
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    options = ("--clean-room", "auto", "--base-image", base_image)
    got = packager("pack", *options, cwd=root)
    assert got.code == 0, got.err
    assert f"Clean room: trying the archives out in {base_image} for linux/amd64\n" in got.err
    assert "passed: 20 checks" in got.err
    path = root / "dist" / f"sample-app-{RELEASE}-amd64.packager.json"
    room = json.loads(path.read_text())["clean_room"]
    assert room.pop("digest").startswith("sha256:")
    assert room.pop("modules") > 10
    assert room == {
        "image": base_image,
        "platform": "linux/amd64",
        "emulated": False,
        "scripts": 2,
        "spark_job": True,
    }
    first = path.read_bytes()
    again = packager("validate", *options, cwd=root)
    assert f"Clean room: these archives passed in {base_image} before" in again.err
    assert packager("pack", *options, cwd=root).code == 0
    assert path.read_bytes() == first
    assert containers_of(os.getpid()) == ""


@pytest.mark.docker
@pytest.mark.timeout(900)  # a minute where nothing else runs; Java is slow under emulation
def test_an_environment_for_arm64_passes_under_emulation(
    packager: Command, tmp_path: Path, base_image: str
) -> None:
    got, report = validated(
        packager,
        tmp_path,
        *dist("good", {"good.py": "main = print"}),
        options=("--release", RELEASE, "--arch", "arm64"),
        base_image=base_image,
    )
    assert (got.code, report["passed"]) == (0, True)
    assert "ROOM004" in report["checked"]
    assert "for linux/arm64, emulated, which takes minutes" in got.err


# Where there is none.


@pytest.mark.tools
def test_without_an_engine_it_is_left_out_or_an_error(packager: Command, project: Path) -> None:
    got = packager("pack", "--clean-room", "auto", cwd=project)
    assert got.code == 0
    lines = [line for line in got.err.splitlines() if line.startswith("Clean room")]
    assert len(lines) == 1
    assert lines[0].startswith("Clean room not run: no container engine answers at unix:///nowhere")
    assert packager("pack", "--clean-room", "off", cwd=project).err.count("Clean room") == 0
    got = packager("pack", "--clean-room", "require", cwd=project)
    assert (got.code, got.error[0].startswith("no container engine answers")) == (3, True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of a few files, on a machine without an engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    root = tmp_path / "jobs"
    root.mkdir()
    (root / "main.py").write_text("print('hello')\n")
    (root / "pyproject.toml").write_text(f'[tool.packager]\nrelease = "{RELEASE}"\n')
    return root


@pytest.mark.docker
def test_an_image_that_is_not_there_is_pulled_only_where_it_is_required(
    packager: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    image = ("--base-image", "localhost:1/no/image:1")
    got = packager("pack", "--clean-room", "auto", *image, cwd=project)
    assert got.code == 0
    assert (
        "Clean room not run: the engine does not have the image localhost:1/no/image:1" in got.err
    )
    got = packager("pack", "--clean-room", "require", *image, cwd=project)
    assert got.code == 4
    assert "Pulling localhost:1/no/image:1 for linux/amd64" in got.err
    assert got.error[0] == "the image localhost:1/no/image:1 cannot be pulled"


@pytest.mark.docker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_container_and_no_record(
    project: Path, base_image: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room is in another thread, which no signal reaches."""
    monkeypatch.delenv("DOCKER_HOST")
    command = [sys.executable, "-m", "packager", "pack", "--arch", "all", "--clean-room", "require"]
    child = subprocess.Popen(
        [*command, "--base-image", base_image],
        cwd=project,
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not containers_of(child.pid):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.1)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert err.endswith("error: interrupted\n  why: nothing half-written was left\n")
    assert containers_of(child.pid) == ""
    assert list((project / "dist").glob("*.packager.json")) == []
