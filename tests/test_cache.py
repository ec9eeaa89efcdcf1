"""The store in order: what it holds, whether it is sound, what goes first."""

import os
import re
import shutil
from pathlib import Path

import pytest

from packager.adapters import limit as limit_module
from packager.adapters.builds import admit
from packager.adapters.cache import COUNT, Summary, prune, summary
from packager.adapters.companions import FILES, finish, keep
from packager.adapters.environments import KeptEnvironments
from packager.adapters.fetch import Fetcher
from packager.adapters.limit import in_use
from packager.adapters.store import Store
from packager.adapters.verification import verify
from packager.environment import APP_LAYOUT
from packager.errors import ConfigError
from packager.leftovers import mark
from packager.settings import parse_size
from packager.tarball import Content
from tests.command import Command
from tests.index import make_wheel


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(root=tmp_path / "store", fetcher=Fetcher(), say=lambda _: None)
    for name in ("fruit", "nut", "seed"):
        files = {f"{name}/__init__.py": os.urandom(3000).hex()}
        store.admit(make_wheel(tmp_path / "wheels", name, files=files))
        store.remember("made", name, "what was made of it")
    return store


def held(store: Store) -> set[str]:
    return {p.name.split("-")[0] for p in store.root.glob("wheels/*/*.whl")}


def test_a_summary_counts_by_kind(store: Store, tmp_path: Path) -> None:
    found = summary(store.root)
    assert {kind: found.counts[kind] for kind in ("wheels", "made")} == {"wheels": 3, "made": 3}
    on_disk = sum(p.stat().st_size for p in store.root.glob("*/**/*") if p.is_file())
    assert found.size == on_disk
    assert summary(tmp_path / "nothing").counts == {}


def test_a_changed_wheel_is_found_and_removed(store: Store) -> None:
    assert verify(store.root) == ()
    wheel = next(store.root.glob("wheels/*/nut-*.whl"))
    data = wheel.read_bytes()
    wheel.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert verify(store.root) == (wheel.name,)
    assert held(store) == {"fruit", "seed"}
    assert list((store.root / "tmp").iterdir()) == []


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_whatever_has_changed_is_found_and_removed(store: Store, tmp_path: Path) -> None:
    wheel = store.admit(make_wheel(tmp_path / "wheels", "pear"))
    store.installed(wheel, APP_LAYOUT)
    kept = KeptEnvironments(root=store.root)
    kept.keep("key", [Content(path="x", mode=0o644, data=b"x" * 99)], ())
    build = admit(store, lambda folder: Path(shutil.copy(wheel.path, folder / "python.tar.gz")))
    (tmp_path / FILES).write_bytes(b"compressed")
    finish(tmp_path, [], of="pear")
    keep(store, "byte-code", "key", tmp_path)
    assert verify(store.root) == ()
    kinds = {
        "plans": "plans/*",
        "made": "made/nut",
        "environments": "environments/*/files",
        "byte-code": "byte-code/*/files.deflate",
        "pythons": f"pythons/{build.sha256}/*",
    }
    for kind, pattern in kinds.items():
        (path,) = store.root.glob(pattern)
        damaged(path)
        (name,) = verify(store.root)
        assert name.startswith(f"{kind}/")
        assert verify(store.root) == ()
        assert not path.exists()
    assert kept.recall("key") is None
    assert list((store.root / "tmp").iterdir()) == []


def test_what_was_used_longest_ago_goes_first(store: Store) -> None:
    for age, name in enumerate(("seed", "nut", "fruit")):
        folder = next(store.root.glob(f"wheels/*/{name}-*.whl")).parent
        os.utime(folder, (1000 - age, 1000 - age))
    wheels = summary(store.root).sizes["wheels"]
    removed, freed = prune(store.root, limit=summary(store.root).size - wheels // 2)
    assert (removed, held(store)) == (2, {"seed"})
    assert freed == wheels - summary(store.root).sizes["wheels"]


def test_using_a_wheel_keeps_it(store: Store) -> None:
    for folder in store.root.glob("wheels/*"):
        os.utime(folder, (1000, 1000))
    wheel = next(store.root.glob("wheels/*/nut-*.whl"))
    assert store.stored(wheel.parent.name, wheel.name) is not None
    prune(store.root, limit=summary(store.root).size - 1)
    assert "nut" in held(store)


def test_leftovers_go_when_whoever_made_them_is_dead(store: Store) -> None:
    tmp = store.root / "tmp"
    here, number, started, _ = mark().split("-")
    left = {
        "old": ("of-another-version", 1000),
        "new": ("of-another-version2", None),
        "dead": (f"{here}-{number}-{int(started) - 1}-x", None),  # its number was given again
        "gone": (f"{here}-{2**22 + 1}-7-x", None),
        "alive": (f"{mark()}x", 1000),
        "far": ("another1machine-1-7-x", None),
        "far and old": ("another1machine-1-7-y", 1000),
    }
    for name, time in left.values():
        (tmp / name).mkdir()
        (tmp / name / "part").write_text("x")
        if time is not None:
            os.utime(tmp / name, (time, time))
    assert prune(store.root, limit=10**12) == (4, 4)
    kept = {key for key, (name, _) in left.items() if (tmp / name).exists()}
    assert kept == {"new", "alive", "far"}
    assert held(store) == {"fruit", "nut", "seed"}


def test_a_removal_that_was_killed_stands_in_no_other_ones_way(store: Store) -> None:
    folder = next(store.root.glob("wheels/*/nut-*.whl")).parent
    (store.root / "tmp" / f"removed-{folder.name}").mkdir(parents=True)
    prune(store.root, limit=0)
    assert held(store) == set()


def test_what_a_run_uses_that_is_still_at_work_stays(store: Store) -> None:
    for folder in store.root.glob("wheels/*"):
        os.utime(folder, (1000, 1000))
    with in_use(store.root, limit=None, say=print):
        wheel = next(store.root.glob("wheels/*/nut-*.whl"))
        assert store.stored(wheel.parent.name, wheel.name) is not None
        prune(store.root, limit=0)
        assert held(store) == {"nut"}
    prune(store.root, limit=0)
    assert held(store) == set()


def test_a_dead_run_holds_nothing_back(store: Store) -> None:
    here, number, started, _ = mark().split("-")
    run = store.root / "tmp" / f"{here}-{number}-{int(started) - 1}-run"
    run.touch()
    os.utime(run, (1000, 1000))
    prune(store.root, limit=0)
    assert (held(store), run.exists()) == (set(), False)


# The limit, which is kept without a word of anybody's.


def ended(store: Store, limit: int | None, *used: str) -> list[str]:
    """A run that uses some wheels; what it said of the store."""
    said: list[str] = []
    with in_use(store.root, limit=limit, say=said.append):
        for name in used:
            wheel = next(store.root.glob(f"wheels/*/{name}-*.whl"))
            assert store.stored(wheel.parent.name, wheel.name) is not None
    return said


def aged(store: Store) -> int:
    """Make everything old, and return the size of it all."""
    for age, name in enumerate(("seed", "nut", "fruit")):
        folder = next(store.root.glob(f"wheels/*/{name}-*.whl")).parent
        os.utime(folder, (1000 - age, 1000 - age))
    for path in store.root.glob("plans/*"):
        os.utime(path, (1000, 1000))
    return summary(store.root).size


def test_a_run_that_passes_the_limit_makes_room_for_itself(store: Store) -> None:
    size = aged(store)
    (said,) = ended(store, size - 1, "fruit")
    assert re.fullmatch(r"Removed \d+\.\d MB from the store: what was not used for longest", said)
    assert held(store) == {"fruit", "seed"}  # nut was used before seed, and fruit just now
    assert summary(store.root).size <= size * 0.9


@pytest.mark.parametrize("limit", [None, 10**9])
def test_below_the_limit_nothing_goes(store: Store, limit: int | None) -> None:
    aged(store)
    assert ended(store, limit) == []
    assert held(store) == {"fruit", "nut", "seed"}


def test_no_limit_removes_what_the_run_itself_uses(store: Store) -> None:
    aged(store)
    ended(store, 1, "fruit", "nut", "seed")
    assert held(store) == {"fruit", "nut", "seed"}


def test_the_store_is_looked_through_only_when_it_may_have_grown_too_large(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def look(root: Path) -> Summary:
        looks.append(root)
        return summary(root)

    monkeypatch.setattr(limit_module, "summary", look)
    size = aged(store)
    ended(store, size + 1000)
    assert len(looks) == 1  # the first time nobody knows
    ended(store, size + 1000)
    assert len(looks) == 1
    store.remember("made", "a", "x" * 900)
    ended(store, size + 1000)
    assert len(looks) == 1
    store.admit(make_wheel(tmp_path / "wheels", "pear", files={"a": os.urandom(900)}))
    ended(store, size + 1000)
    assert len(looks) == 3  # before and after making room
    assert summary(store.root).size <= size + 1000


@pytest.mark.parametrize("damage", [b"", b"x", b"-5\n", b"\xff" * 9])
def test_a_damaged_count_is_made_again(store: Store, damage: bytes) -> None:
    (store.root / COUNT).write_bytes(damage)
    size = aged(store)
    assert len(ended(store, size - 1)) == 1
    assert int((store.root / COUNT).read_text()) == summary(store.root).size


def test_a_store_that_can_not_be_written_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    with in_use(tmp_path / "store", limit=1, say=print):
        pass


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5 M", 1_500_000), ("0", 0), ("12kB", 12_000)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "5 apples", "-1", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size"):
        parse_size(text)


def test_the_commands_work_on_a_store_that_is_not_there(
    packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "none"))
    assert packager("cache", "info", cwd=tmp_path).code == 0
    assert packager("cache", "verify", cwd=tmp_path).code == 0
    assert packager("cache", "prune", "--limit", "1GB", cwd=tmp_path).code == 0
    assert packager("cache", cwd=tmp_path).code == 2


def test_the_key_changes_with_the_dependencies_only(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    (tmp_path / "main.py").write_text("")
    first = packager("cache", "key", cwd=tmp_path).out
    (tmp_path / "main.py").write_text("changed = True\n")
    assert packager("cache", "key", cwd=tmp_path).out == first
    (tmp_path / "requirements.txt").write_text("six<2\n")
    assert packager("cache", "key", cwd=tmp_path).out != first
