"""What machines do: kills at any moment, full disks, many packs at once. Nothing is lost."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.index import Index
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.tools

KILLS = 12
AT_ONCE = 6


@pytest.fixture
def project(index: Index, tmp_path: Path) -> Path:
    """A project whose wheels take a moment: none of their bytes can be compressed."""
    for name in ("fruit", "nut", "seed"):
        index.wheel(name, files={f"{name}/data{i}.bin": os.urandom(60_000) for i in range(4)})
    return make_project(tmp_path / "project", dependencies=("fruit", "nut", "seed"))


def start(
    root: Path, store: Path, limit: Callable[[], None] | None = None
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "packager", "pack", "--arch", "all"],
        cwd=root,
        env=os.environ | {"PACKAGER_CACHE_DIR": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit,  # noqa: PLW1509  # the only way to a limit of the child alone
    )


def packed(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (root / "dist").iterdir()}


def clear(root: Path) -> None:
    for path in (root / "dist").iterdir():
        path.unlink()


def test_a_pack_that_was_killed_anywhere_is_made_good_by_the_next(
    project: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    whole = start(project, tmp_path / "whole")
    _, err = whole.communicate()
    assert whole.returncode == 0, err
    took, good = time.monotonic() - began, packed(project)
    moments = random.Random(7)
    store = tmp_path / "killed"
    for _ in range(KILLS):
        clear(project)
        child = start(project, store)
        try:
            child.communicate(timeout=moments.uniform(0.05, took))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
        # Whatever has its own name is whole.
        assert all(
            good[name] == data for name, data in packed(project).items() if not name.startswith(".")
        )
    last = start(project, store)
    _, err = last.communicate()
    assert last.returncode == 0, err
    assert packed(project) == good


def test_many_packs_at_once_give_the_same(project: Path, tmp_path: Path) -> None:
    children = [start(project, tmp_path / "shared") for _ in range(AT_ONCE)]
    for child in children:
        _, err = child.communicate()
        assert child.returncode == 0, err
    together = packed(project)
    clear(project)
    alone = start(project, tmp_path / "own")
    alone.communicate()
    assert packed(project) == together
    assert list((tmp_path / "shared" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("largest", "what"), [(100_000, "the store"), (500_000, "dist can not be written")]
)
def test_a_disk_that_takes_no_more_is_told(
    project: Path, tmp_path: Path, largest: int, what: str
) -> None:
    """A limit on the size of files stands in for a full disk: writing fails in the middle."""
    child = start(
        project,
        tmp_path / "store",
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )
    _, err = child.communicate()
    assert child.returncode == 4, err
    assert what in err
    assert "Traceback" not in err
    assert list((project / "dist").iterdir()) == []
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
    again = start(project, tmp_path / "store")
    _, err = again.communicate()
    assert again.returncode == 0, err


def test_a_store_whose_plans_can_not_be_kept_serves_all_the_same(
    project: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    assert start(project, store).communicate()
    good = packed(project)
    for path in (store / "plans").iterdir():
        path.unlink()
    (store / "plans").rmdir()
    (store / "plans").write_text("in the way")
    (store / "made").rename(store / "unmade")
    (store / "made").write_text("in the way")
    child = start(project, store)
    _, err = child.communicate()
    assert child.returncode == 0, err
    assert packed(project) == good
