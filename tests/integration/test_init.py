"""Projects as `packager init` makes them: packed, tested, and asked for on a terminal."""

import os
import pty
import select
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from tests.command import Command
from tests.foreign import locked_project
from tests.index import Index

RELEASE = ("--release", "emr-7.13.0")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "store"))


def app(root: Path) -> list[str]:
    (archive,) = root.glob("dist/*-app-*.tar.gz")
    with tarfile.open(archive) as tar:
        return sorted(member.name for member in tar if member.isfile())


@pytest.mark.tools
def test_a_new_project_packs_at_once(packager: Command, index: Index, tmp_path: Path) -> None:
    assert packager("init", "new", *RELEASE, cwd=tmp_path).code == 0
    packed = packager("pack", "new", "--arch", "all", cwd=tmp_path)
    assert packed.code == 0, packed.err
    assert app(tmp_path / "new") == ["main.py"]


@pytest.mark.spark
def test_its_test_passes(packager: Command, tmp_path: Path) -> None:
    assert packager("init", "new", *RELEASE, "-e", "jobs/a.py", cwd=tmp_path).code == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=tmp_path / "new", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.spark
def test_its_job_runs(packager: Command, index: Index, tmp_path: Path) -> None:
    root = tmp_path / "new"
    assert packager("init", "new", *RELEASE, cwd=tmp_path).code == 0
    assert packager("pack", "--quiet", cwd=tmp_path / "new").code == 0
    ran = packager("run", "--local", "--workers", "1", "--", "--output", str(root / "o"), cwd=root)
    assert ran.code == 0, ran.err
    assert list((root / "o").glob("*.parquet"))


@pytest.mark.tools
def test_a_project_of_poetry_keeps_its_file_and_packs(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = locked_project(tmp_path / "project", index, "poetry.lock")
    before = (root / "pyproject.toml").read_text()
    done = packager("init", *RELEASE, "--entry-point", "jobs/daily.py", cwd=root)
    assert done.out.splitlines() == [
        "new      jobs/daily.py",
        "new      tests/test_daily.py",
        "changed  pyproject.toml",
    ]
    assert (root / "pyproject.toml").read_text().startswith(before)
    assert packager("pack", "--locked", cwd=root).code == 0


def answered(root: Path, answers: list[tuple[bytes, bytes]], **env: str) -> str:
    """What a terminal shows on which somebody waits for words and types an answer."""
    parent, child = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    process = subprocess.Popen(
        [sys.executable, "-m", "packager", "init"],
        cwd=root, stdin=child, stdout=child, stderr=child, env={**inherited, **env},
    )  # fmt: skip
    os.close(child)
    shown, waiting = b"", list(answers)
    try:
        while select.select([parent], [], [], 120)[0]:
            try:
                shown += os.read(parent, 4096)
            except OSError:  # EIO: the other end is closed
                break
            if waiting and shown.endswith(waiting[0][0]):
                os.write(parent, waiting.pop(0)[1])
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    assert waiting == []
    return shown.decode()


@pytest.mark.tools
def test_on_a_terminal_it_asks_until_the_answer_is_one(tmp_path: Path) -> None:
    newest = b"EMR release [emr-7.14.0]: "
    shown = answered(
        tmp_path,
        [
            (newest, b"emr-7.99\n"),
            (newest, b"emr-7.12.0\n"),
            (b"Entry point [main.py]: ", b"jobs/daily.py\n"),
        ],
    )
    assert "'emr-7.99' is not a release that packager knows" in shown
    settings = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["packager"]
    assert (settings["release"], settings["entry-point"]) == ("emr-7.12.0", "jobs/daily.py")
    assert (tmp_path / "tests" / "test_daily.py").is_file()


@pytest.mark.tools
def test_in_ci_it_asks_nothing_even_on_a_terminal(tmp_path: Path) -> None:
    assert "EMR release" not in answered(tmp_path, [], CI="true")
    assert (tmp_path / "pyproject.toml").is_file()
