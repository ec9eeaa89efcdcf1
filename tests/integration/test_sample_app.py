"""The sample app, all the way: packed for both architectures, judged, and run on real Spark."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from packager.emitters.forms import EMITTERS
from tests.command import Command
from tests.conftest import Golden

SAMPLE = Path(__file__).parents[2] / "sample_app"

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample app, packed for both architectures by one command."""
    root = tmp_path_factory.mktemp("sample") / "sample_app"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    env = os.environ | {"PACKAGER_CACHE_DIR": str(root.parent / "store")}
    done = subprocess.run(
        [sys.executable, "-m", "packager", "pack", str(root), "--arch", "all"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (root / "stdout").write_text(done.stdout)
    return root


def record(root: Path, arch: str) -> dict[str, object]:
    path = root / "dist" / f"sample-app-emr-7.13.0-{arch}.packager.json"
    document: dict[str, object] = json.loads(path.read_text())
    return document


def test_both_architectures_are_packed_and_pass(packed: Path, packager: Command) -> None:
    got = packager("validate", cwd=packed)
    assert got.code == 0, got.out
    assert got.out.count("passed: ") == 2
    names = [
        line.partition("spark.archives=")[2].split("#")[0]
        for line in (packed / "stdout").read_text().splitlines()
    ]
    assert [("amd64" in n, "arm64" in n) for n in names] == [(True, False), (False, True)]


@pytest.mark.parametrize("form", EMITTERS)
def test_every_form_of_its_configuration_is_as_it_was(
    packed: Path, packager: Command, golden: Golden, form: str
) -> None:
    """What a project's text depends on is in the names in it: what is packed never swings."""
    asked = ("--format", form, "--arch", "arm64", "--s3-uri", "s3://my-bucket/jobs")
    schedule = ("--schedule", "cron(0 6 * * ? *)") if form == "scheduler" else ()
    got = packager("conf", *asked, *schedule, cwd=packed)
    assert got.code == 0, got.err
    golden.check(f"sample-app/conf-{form}.txt", got.out)


def test_archives_hold_binaries_of_their_own_architecture(packed: Path, packager: Command) -> None:
    for arch, other in (("amd64", "arm64"), ("arm64", "amd64")):
        archive = next((packed / "dist").glob(f"*environment*{arch}*.tar.gz"))
        arguments = ("validate", archive, "--release", "emr-7.13.0", "--json", "--arch")
        assert packager(*arguments, arch, cwd=packed).code == 0
        got = packager(*arguments, other, cwd=packed)
        assert got.code == 1
        report = next(iter(json.loads(got.out).values()))
        assert {"ARC005", "ARC007"} & {f["check"] for f in report["findings"]}


def test_another_release_is_told_apart(packed: Path, packager: Command) -> None:
    """Its Python is another, and Amazon Linux 2 has an older C library."""
    archive = next((packed / "dist").glob("*environment*amd64*.tar.gz"))
    got = packager("validate", archive, "--release", "emr-6.15.0", "--json", cwd=packed)
    report = next(iter(json.loads(got.out).values()))
    assert got.code == 1
    assert {"ARC004", "ARC006", "ARC011"} <= {f["check"] for f in report["findings"]}


def test_the_environment_works_where_it_is_unpacked(packed: Path, tmp_path: Path) -> None:
    where = tmp_path / "some where"
    for kind, pattern in (("environment", "*-environment-*-amd64-*"), ("app", "*-app-app-*")):
        archive = next((packed / "dist").glob(pattern + ".tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(where / kind, filter="fully_trusted")  # noqa: S202  # our own
    link = where / "environment" / "bin" / "python"
    if not link.exists():  # a machine without the release's interpreter: one of its kind stands in
        link.unlink()
        link.symlink_to(Path(sys.executable).resolve())
    done = subprocess.run(
        [where / "app" / "bin" / "sample-app-train"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"held_out": 119, "held_out_correct": 112}


@pytest.mark.spark
def test_the_job_gives_the_expected_result_on_a_local_cluster(
    packed: Path, packager: Command
) -> None:
    got = packager("run", "--local", cwd=packed)
    assert got.code == 0, got.err + got.out
    summary = json.loads(got.out.strip().splitlines()[-1])
    assert summary["result"] == json.loads((SAMPLE / "expected" / "result.json").read_text())
    places = {worker["directory"] for worker in summary["executors"]}
    assert len(places) == 2
    assert all(worker["app"].startswith(worker["directory"]) for worker in summary["executors"])


@pytest.mark.spark
def test_the_sample_apps_own_tests_pass(tmp_path: Path) -> None:
    """As its README says: from the lock, with the Spark of the release."""
    root = tmp_path / "sample_app"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    python = tmp_path / "venv" / "bin" / "python"
    uv = find_uv_bin()
    for arguments in (
        ["venv", "--python", sys.executable, str(tmp_path / "venv")],
        ["pip", "install", "--python", str(python), "-r", "requirements.txt"],
        ["pip", "install", "--python", str(python), "--no-deps", "-e", "."],
        ["pip", "install", "--python", str(python), "--group", "dev"],
    ):
        subprocess.run([uv, *arguments, "--quiet"], cwd=root, check=True)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
