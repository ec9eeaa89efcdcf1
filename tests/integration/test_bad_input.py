"""What goes wrong for users: a clear error, its exit code, and nothing half-written."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
import unicodedata
from pathlib import Path

import pytest

from tests.command import Command
from tests.index import Index, make_sdist
from tests.integration.test_pack import artifact, make_project

pytestmark = pytest.mark.tools


def leftovers(root: Path) -> list[str]:
    """Anything in the output folder of a pack that failed."""
    return [str(p) for p in (root / "dist").rglob("*")] if (root / "dist").exists() else []


def test_a_folder_without_a_project(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    got = packager("pack", cwd=tmp_path / "empty")
    assert got.code == 2
    assert got.error == (
        f"{tmp_path / 'empty'} is not a Python project",
        "it has no pyproject.toml, setup.py, requirements.txt or .py file",
        "go to the project's folder, or name it: packager pack PATH",
    )
    assert packager("pack", "nowhere", cwd=tmp_path).code == 2


def test_a_broken_pyproject_is_told_with_its_line(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x\n')
    got = packager("pack", cwd=tmp_path)
    assert got.code == 2
    assert got.error[0] == f"{tmp_path / 'pyproject.toml'} is not valid TOML"
    assert "line 2" in got.error[1]


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_a_broken_lock_is_told_with_its_line(
    packager: Command, index: Index, tmp_path: Path, name: str
) -> None:
    root = make_project(tmp_path / "project")
    (root / name).write_text('version = 1\npackages = [\n"')
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert str(root / name) in got.error[0]
    assert "line 3" in got.error[1]
    assert leftovers(root) == []


def test_a_lock_that_lacks_a_field_is_told_with_its_path(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project")
    (root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "fruit"\n'
        'wheels = [{ url = "http://x/fruit-1.0-py3-none-any.whl", hashes = {} }]\n'
    )
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert "packages[0].wheels[0]" in got.error[1]


def test_packages_without_a_wheel_are_listed_together(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    for name in ("seed", "core"):
        index.wheel(name, tag="cp311-cp311-manylinux_2_17_x86_64")
        index.wheel(name, tag="cp312-cp312-manylinux_2_17_aarch64")
        make_sdist(
            index.folder,
            name,
            "1.0",
            {"pyproject.toml": f"[project]\nname='{name}'\nversion='1.0'\n"},
        )
    root = make_project(tmp_path / "project", dependencies=("seed", "core"))
    got = packager("pack", "--arch", "arm64", cwd=root)
    assert got.code == 2
    assert got.error[0] == "no wheel for the target: core, seed"
    assert "seed 1.0 for emr-7.13.0 arm64 Python 3.11: there are " in got.error[1]
    assert "cp312-cp312-manylinux_2_17_aarch64" in got.error[1]
    assert leftovers(root) == []


def test_a_source_that_builds_compiled_is_listed_with_the_reason(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    source = make_project(tmp_path / "source", name="nut", tag="cp311-cp311-linux_x86_64")
    files = {str(p.relative_to(source)): p.read_text() for p in source.rglob("*") if p.is_file()}
    make_sdist(index.folder, "nut", "1.0", files)
    root = make_project(tmp_path / "project", dependencies=("nut",))
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert got.error[0] == "no wheel for the target: nut"
    assert "its source is compiled: it was built for linux_x86_64" in got.error[1]


def test_a_release_whose_python_the_project_refuses(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace(">=3.7", ">=3.10"))
    got = packager("pack", "--release", "emr-7.9.0", cwd=root)
    assert got.code == 2
    assert got.error[0] == "shop requires Python >=3.10, emr-7.9.0 runs 3.9"


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (("--release", "emr-7.31.0"), "emr-7.31.0", "emr-7.14.0"),
        (("--arch", "amd46"), "'amd46' is not an architecture", "amd64"),
        (("--arch", "x86_64"), "'x86_64' is not an architecture", "amd64"),
        (("--layout", "layer"), "--layout: 'layer'", "correct it"),
        (("--entry-point", "mian.py"), "the entry point mian.py does not exist", "entry-point"),
        (("--entry-point", "../main.py"), "lies outside the project", "a file of the project"),
        (("--python", "3"), "--python: '3'", "correct it"),
        (("--s3-uri", "bucket/x"), "--s3-uri: 'bucket/x'", "correct it"),
        (("--conf", "spark.x"), "--conf 'spark.x' is not KEY=VALUE", "write it so"),
    ],
)
def test_values_that_can_not_be(
    packager: Command, tmp_path: Path, arguments: tuple[str, ...], what: str, fix: str
) -> None:
    root = make_project(tmp_path / "project")
    (tmp_path / "main.py").write_text("")
    got = packager("pack", *arguments, cwd=root)
    assert got.code == 2
    assert what in got.error[0]
    assert fix in got.error[2]
    assert leftovers(root) == []


def test_an_unknown_key_names_the_nearest(packager: Command, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", tool='relase = "emr-7.13.0"\n')
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert "has no key 'relase'" in got.error[0]
    assert got.error[2] == "did you mean 'release'?"


def test_no_release_is_never_guessed(packager: Command, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", tool="")
    got = packager("pack", cwd=root)
    assert (got.code, got.error[0]) == (2, "no EMR release is given")


def test_an_index_that_can_not_be_reached(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    got = packager("pack", cwd=root)
    assert (got.code, got.error[0]) == (4, "a package index can not be reached")
    assert leftovers(root) == []


def test_a_wheel_that_is_gone_or_forbidden(packager: Command, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    for status, fix in ((404, "lock again"), (403, "netrc")):
        index.fail["fruit-1.0-py3-none-any.whl"] = status
        got = packager("pack", cwd=root)
        assert got.code == 4
        assert got.error[0] == "fruit-1.0-py3-none-any.whl can not be downloaded"
        assert fix in got.error[2]
        assert leftovers(root) == []


def test_a_download_that_breaks_is_resumed(packager: Command, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit", files={"fruit/__init__.py": os.urandom(50_000).hex()})
    index.cut["fruit-1.0-py3-none-any.whl"] = 20_000
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    got = packager("pack", cwd=root)
    assert got.code == 0, got.err
    assert index.requests.count("/files/fruit-1.0-py3-none-any.whl") == 2


def test_no_solution_is_the_users_to_solve(packager: Command, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit", "1.0")
    root = make_project(tmp_path / "project", dependencies=("fruit>=2",))
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert "fruit" in got.error[1]


def test_a_build_that_fails_shows_the_end_of_its_words(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project")
    (root / "backend.py").write_text(
        "def build_wheel(*args, **kwargs):\n    raise RuntimeError('the oven is cold')\n"
    )
    got = packager("pack", cwd=root)
    assert got.code == 4
    assert got.error[0] == "the wheel of project can not be built"
    assert "the oven is cold" in got.error[1]
    assert leftovers(root) == []


def test_a_compiled_project_is_refused(packager: Command, index: Index, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", tag="cp311-cp311-linux_x86_64")
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert "the wheel of shop is compiled" in got.error[0]


def test_an_output_folder_that_can_not_be(packager: Command, index: Index, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    (root / "dist").write_text("a file")
    got = packager("pack", cwd=root)
    assert (got.code, got.error[0]) == (2, f"nothing can be written to {root / 'dist'}")
    got = packager("pack", "--out", "/proc/packager", cwd=root)
    assert (got.code, got.error[0]) == (2, "nothing can be written to /proc/packager")


@pytest.mark.parametrize("name", ["a b", "it's", 'say "hi"', "größe-日本"])
def test_names_of_all_kinds(packager: Command, index: Index, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{name}.py").write_text("print('hi')\n")
    (folder / "data é.txt").write_text("x")
    got = packager("pack", "-r", "emr-7.13.0", "-e", f"{name}.py", cwd=folder)
    assert got.code == 0, got.err
    assert " " not in got.out.replace("--conf ", "").replace(" \n", "").replace(" spark", "spark")
    names = [p.name for p in (folder / "dist").iterdir()]
    assert all(n.isascii() and " " not in n for n in names)
    assert packager("validate", "dist", cwd=folder).code == 0


def test_an_interrupt_leaves_nothing_half_written(index: Index, tmp_path: Path) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    (root / "backend.py").write_text(
        "import pathlib, time\n"
        "def build_wheel(*args, **kwargs):\n"
        "    pathlib.Path('started').touch()\n"
        "    time.sleep(600)\n"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen(
            [sys.executable, "-m", "packager", "pack"],
            cwd=root,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        waiting = threading.Event()
        while not (root / "started").exists():
            assert child.poll() is None, child.communicate()
            waiting.wait(0.02)
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        assert child.returncode == 130
        assert "error: interrupted" in err
        assert "Traceback" not in err
        assert leftovers(root) == []
        (root / "started").unlink()
    store = tmp_path / "store"
    assert list(store.glob("tmp/*")) == []


def test_an_archive_that_is_not_the_recorded_one(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project")
    assert packager("pack", cwd=root).code == 0
    archive = next((root / "dist").glob("*-app-*.tar.gz"))
    archive.write_bytes(archive.read_bytes()[:-40])
    got = packager("validate", cwd=root)
    assert got.code == 2
    assert "is not what the record" in got.error[0]
    archive.unlink()
    assert packager("validate", cwd=root).code == 2


def test_someone_elses_archive_is_judged(packager: Command, index: Index, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    assert packager("pack", "--arch", "amd64", cwd=root).code == 0
    archive = next((root / "dist").glob("*-environment-*.tar.gz"))
    good = packager("validate", archive, "-r", "emr-7.13.0", cwd=tmp_path)
    assert good.code == 0, good.out
    bad = packager("validate", archive, "-r", "emr-7.9.0", "--json", cwd=tmp_path)
    assert bad.code == 1
    assert '"ARC004"' in bad.out
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    assert packager("validate", "x.tar.gz", "-r", "emr-7.9.0", cwd=tmp_path).code == 2


def test_a_usage_error_is_the_users(packager: Command, tmp_path: Path) -> None:
    assert packager("pack", "--no-such-flag", cwd=tmp_path).code == 2
    assert packager("pakc", cwd=tmp_path).code == 2


NAMES = (
    "a b", "it's", 'say "hi"', "größe-日本", unicodedata.normalize("NFD", "größe"), "🐧", "שלום",
    "a\nb", "a\tb\x01", "-rf", "*?[x]", "back\\slash", "é" * 127, "n" * 255, "A", "a",
)  # fmt: skip


def test_file_names_of_all_alphabets_come_out_as_they_went_in(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    """In NFC and in NFD, which are two files here, and as long as a file system takes."""
    root = tmp_path / "project"
    deep = root / "/".join(["d" * 100, "e" * 100, "f" * 100])
    for folder in (root, deep):
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (folder / f"{name}").write_text(name)
    (root / "main.py").write_text("")
    got = packager("pack", "-r", "emr-7.13.0", "-e", "main.py", cwd=root)
    assert got.code == 0, got.err
    assert packager("validate", "dist", cwd=root).code == 0
    app = artifact(root / "dist", "app")
    by_tar, by_python = tmp_path / "by-tar", tmp_path / "by-python"
    by_tar.mkdir()
    subprocess.run(["tar", "-xzf", app, "-C", by_tar], check=True, env={"LC_ALL": "C.UTF-8"})
    with tarfile.open(app) as archive:
        archive.extractall(by_python, filter="data")
    expected = {
        str((folder / name).relative_to(root)): name for folder in (root, deep) for name in NAMES
    } | {"main.py": ""}
    for unpacked in (by_tar, by_python):
        files = [p for p in unpacked.rglob("*") if p.is_file()]
        assert {str(p.relative_to(unpacked)): p.read_text() for p in files} == expected


def test_a_name_that_is_not_utf_8_is_told(packager: Command, index: Index, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "main.py").write_text("")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text("x")
    got = packager("pack", "-r", "emr-7.13.0", "-e", "main.py", cwd=root)
    assert got.code == 2, got.err
    assert "UTF-8" in got.err
    assert leftovers(root) == []
