"""What machines do: kills at any moment, full disks, many packs at once. Nothing is lost."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Command
from tests.faults.__main__ import crowd
from tests.faults.trials import (
    DAMAGE,
    Bench,
    bench,
    damage,
    disturbed,
    kills,
    leftovers,
    stock,
    together,
)
from tests.index import Index

pytestmark = pytest.mark.tools

KILLS = 12


@pytest.fixture
def on(index: Index, tmp_path: Path) -> Bench:
    stock(index)
    return bench(index, tmp_path)


def test_a_pack_that_was_killed_anywhere_is_made_good_by_the_next(on: Bench) -> None:
    ends = kills(on, KILLS)
    assert sum(ends.values()) == KILLS
    assert ends["ended before"] <= KILLS // 2, "nothing was shown"


def test_many_packs_at_once_give_what_each_gives_alone(index: Index, tmp_path: Path) -> None:
    stock(index)
    benches = crowd(index, tmp_path, 6)
    assert len({on.project.name for on in benches}) < len(benches)
    assert together(benches, 1, victims=2) >= len(benches) - 2
    env = os.environ | {"PACKAGER_CACHE_DIR": str(benches[0].store)}
    verify = [sys.executable, "-m", "packager", "cache", "verify"]
    subprocess.run(verify, env=env, cwd=tmp_path, check=True)


def test_whatever_is_damaged_in_the_store_the_archives_are_right(
    on: Bench, packager: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(on.store))

    def run() -> tuple[int, str]:
        got = packager("pack", "--arch", "all", cwd=on.project)
        return got.code, got.err

    kinds = {"wheels.whl", "wheels.json", "plans", "made", "packed", "built", "size"}
    tried = damage(on, run, len(kinds) * len(DAMAGE))
    assert {kind: tried[kind] for kind in kinds} == dict.fromkeys(kinds, len(DAMAGE))


def test_a_store_that_vanishes_under_a_pack(on: Bench) -> None:
    ends = disturbed(on, lambda: shutil.rmtree(on.store, ignore_errors=True), 4)
    assert sum(ends.values()) == 4


# Disks.


def namespace(script: str, path: Path) -> tuple[str, ...]:
    """What starts a program with mounts of its own: `script` makes them at `$0`."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ("unshare", *user, "--mount", "sh", "-ec", script, str(path))


FULL = (
    'mount -t tmpfs -o size=1m none "$0"; code=0; "$@" || code=$?; cd "$0"; find . -type f >&2;'
    " exit $code"
)
READ_ONLY = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"'


@pytest.mark.parametrize("full", ["store", "out"])
def test_a_full_disk_is_told_and_keeps_nothing_that_is_not_whole(on: Bench, full: str) -> None:
    place, what = {"store": (on.store, "the store"), "out": (on.out, f"{on.out} can not")}[full]
    place.mkdir()
    child = on.start(under=namespace(FULL, place))
    _, err = child.communicate()
    assert child.returncode == 4, err
    error = err[err.index("error: ") :]
    assert error.startswith(f"error: {what}")
    assert "No space left on device" in error
    assert "Traceback" not in err
    assert ".packager-" not in err
    assert "./tmp/" not in err
    if full == "store":
        assert list(on.out.iterdir()) == []
    assert on.complete()


@pytest.mark.parametrize(
    ("largest", "what"), [(100_000, "the store"), (1_000_000, "dist can not be written")]
)
def test_a_disk_that_takes_no_more_is_told(on: Bench, largest: int, what: str) -> None:
    """A limit on the size of files: writing fails in the middle."""
    child = on.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)))
    _, err = child.communicate()
    assert child.returncode == 4, err
    assert what in err
    assert "Traceback" not in err
    assert list(on.out.iterdir()) == []
    assert leftovers(on.store) == []
    assert on.complete()


def test_a_store_that_can_only_be_read_serves_and_one_that_lacks_something_says_so(
    on: Bench,
) -> None:
    good = on.complete()
    under = namespace(READ_ONLY, on.store)
    for _ in range(2):  # and once with nothing that was remembered of earlier packs
        on.clear()
        child = on.start(under=under)
        _, err = child.communicate()
        assert (child.returncode, on.made()) == (0, good), err
        shutil.rmtree(on.store / "made", ignore_errors=True)
    shutil.rmtree(next((on.store / "wheels").glob("*/fruit*")).parent)
    on.clear()
    child = on.start(under=under)
    _, err = child.communicate()
    assert child.returncode == 4, err
    assert f"error: the store {on.store} can not be written" in err
    assert "Read-only file system" in err
    assert on.made() == {}


def test_a_store_that_can_remember_nothing_serves_all_the_same(on: Bench) -> None:
    good = on.complete()
    for kind in ("built", "made"):
        shutil.rmtree(on.store / kind)
        (on.store / kind).write_text("in the way")
    assert on.complete() == good


@pytest.mark.parametrize("variable", ["PACKAGER_CACHE_DIR", "HOME", "TMPDIR"])
@pytest.mark.parametrize("place", ["/proc/packager", "a file"])
def test_places_that_can_not_be_written(
    on: Bench, variable: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    env = {"PACKAGER_CACHE_DIR": ""} if variable == "HOME" else {}
    if variable != "TMPDIR":
        env |= {"XDG_CACHE_HOME": ""}
    spoilt = Bench(
        project=on.project,
        store=on.store,
        env=env | {variable: place if place.startswith("/") else str(tmp_path / place)},
    )
    child = spoilt.start()
    _, err = child.communicate()
    if variable == "TMPDIR":  # Python tries others, and finds one
        assert child.returncode == 0, err
        return
    assert child.returncode == 4, err
    assert "can not be written" in err
    assert "PACKAGER_CACHE_DIR" in err
    assert spoilt.made() == {}


# Processes.


def test_a_pack_that_was_killed_leaves_no_process_and_a_killed_worker_is_told(
    on: Bench, tmp_path: Path
) -> None:
    """Processes that fetch are forks of the pack; the kernel kills any of them for memory."""
    good = on.complete()
    shutil.rmtree(on.store)
    on.clear()
    killer = tmp_path / "killer.py"
    killer.write_text(
        "import os, signal, sys\n"
        "from packager.adapters import store\n"
        "def killed(*_: object) -> None:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.Store._brought = killed\n"
        "sys.argv = ['packager', 'pack', '--arch', 'all']\n"
        "from packager.__main__ import main\n"
        "main()\n"
    )
    env = os.environ | {"PACKAGER_CACHE_DIR": str(on.store)}
    done = subprocess.run(
        [sys.executable, killer],
        cwd=on.project,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "error: a process that fetched wheels was killed" in done.stderr
    assert leftovers(on.store) == []
    assert on.complete() == good


# Times.


def faketime(moment: str) -> tuple[str, ...]:
    if shutil.which("faketime") is None:
        lacking = "faketime is not installed"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lacking)
    return ("faketime", "-f", f"@{moment}")


@pytest.mark.parametrize("moment", ["1970-01-02 00:00:00", "2106-02-08 00:00:00"])
def test_no_clock_changes_a_byte(on: Bench, moment: str) -> None:
    # A zip knows no year before 1980; real backends see to that, told by SOURCE_DATE_EPOCH.
    backend = on.project / "backend.py"
    text = backend.read_text()
    for name in ("one", 'info + "/RECORD"'):
        text = text.replace(f"writestr({name},", f"writestr(dated({name}),")
    dated = "def dated(name):\n    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))\n"
    backend.write_text(text + dated)
    good = on.complete()
    shutil.rmtree(on.store)
    for _ in range(2):  # with a new store, and with one from that time
        on.clear()
        child = on.start(under=faketime(moment))
        _, err = child.communicate()
        assert (child.returncode, on.made()) == (0, good), err
        assert leftovers(on.store) == []


@pytest.mark.parametrize("epoch", ["-1", "99999999999", "yesterday"])
def test_no_source_date_epoch_changes_a_byte(on: Bench, epoch: str) -> None:
    good = on.complete()
    spoilt = Bench(project=on.project, store=on.store, env={"SOURCE_DATE_EPOCH": epoch})
    shutil.rmtree(on.store)
    assert spoilt.complete() == good


def test_no_time_of_a_file_changes_a_byte(on: Bench) -> None:
    good = on.complete()
    files = [p for p in (*on.project.rglob("*"), *on.store.rglob("*")) if p.is_file()]
    for time in (0, -(2**31), 2**31 + 5, 2**32 + 5):
        for path in files:
            if path.exists():
                os.utime(path, (time, time))
        for folder in on.store.glob("*/*/"):
            os.utime(folder, (time, time))
        assert on.complete() == good
