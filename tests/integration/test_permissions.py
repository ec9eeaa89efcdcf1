"""What belongs to somebody else: told by name, never left out without a word, never a traceback.

Tests may run as root, who may do everything; packager runs without that right here.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.command import Outcome
from tests.index import Index
from tests.integration.test_pack import artifact, make_project, members

pytestmark = pytest.mark.tools

ROOT: Final = os.geteuid() == 0
BOUND: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if ROOT else ()
NOBODY: Final = 65534


def packager(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Outcome:
    done = subprocess.run(
        [*BOUND, sys.executable, "-m", "packager", *words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


def of_somebody_else(path: Path, mode: int = 0) -> None:
    """`mode` is what all others may do with it."""
    path.chmod(0o700 | mode if ROOT else mode << 6)
    if ROOT:
        os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def folder(tmp_path: Path, index: Index) -> Path:
    """A project that is packed as a folder."""
    root = tmp_path / "my project"
    for name in ("main.py", "jobs/__init__.py", "jobs/table.csv", "database/files/1"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("", encoding="utf-8")
    (root / "pyproject.toml").write_text('[tool.packager]\nrelease = "emr-7.13.0"\n')
    return root


@pytest.mark.parametrize(
    ("name", "mode", "told"),
    [
        ("jobs/table.csv", 0, "jobs/table.csv"),
        ("database", 0, "database"),
        ("database", 1, "database"),  # to be entered by who knows what is in it
        ("database/files", 4, "database/files/1"),  # to be listed only
    ],
)
def test_what_can_not_be_read_is_packed_without_only_if_that_is_said(
    folder: Path, name: str, mode: int, told: str
) -> None:
    of_somebody_else(folder / name, mode)
    got = packager("pack", "--entry-point", "main.py", cwd=folder)
    assert (got.code, got.error) == (
        2,
        (
            f"{folder / told} can not be read",
            "Permission denied",
            f"mend its permissions, or leave it out: --exclude {told}",
        ),
    )
    assert not (folder / "dist").exists() or not list((folder / "dist").iterdir())
    done = packager("pack", "--entry-point", "main.py", "--exclude", told, cwd=folder)
    assert done.code == 0, done.err
    left = {"jobs/__init__.py", "main.py"} | {"jobs/table.csv", "database/files/1"} - {told}
    packed = {n for n, m in members(artifact(folder / "dist", "app")).items() if m.isfile()}
    assert packed == {n for n in left if not n.startswith(f"{told}/")}


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "requirements.txt"])
def test_what_describes_a_project_has_to_be_readable(folder: Path, name: str) -> None:
    (folder / name).touch()
    of_somebody_else(folder / name)
    got = packager("pack", "--release", "emr-7.13.0", cwd=folder)
    assert (got.code, got.error) == (
        2,
        (f"{folder / name} can not be read", "Permission denied", "mend its permissions"),
    )


def test_a_project_that_is_built_may_have_what_its_build_does_not_read(
    tmp_path: Path, index: Index
) -> None:
    root = make_project(tmp_path / "project")
    (root / "database").mkdir()
    of_somebody_else(root / "database")
    done = packager("pack", cwd=root)
    assert done.code == 0, done.err
    of_somebody_else(root / "shop" / "prices.json")
    got = packager("pack", cwd=root)
    assert (got.code, got.error[0]) == (4, "the wheel of project can not be built")
    assert "PermissionError" in got.error[1]
    assert "prices.json" in got.error[1]


def test_a_store_that_is_somebody_elses_is_told(folder: Path, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit")
    (folder / "requirements.txt").write_text("fruit==1.0\n", encoding="utf-8")
    store = tmp_path / "a store"
    store.mkdir()
    of_somebody_else(store)
    words = ("pack", "--entry-point", "main.py")
    got = packager(*words, cwd=folder, env={"PACKAGER_CACHE_DIR": str(store)})
    assert got.code == 4, got.err
    assert str(store) in got.error[0]
    assert got.error[1] == "Permission denied"
