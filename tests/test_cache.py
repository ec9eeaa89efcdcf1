"""The store in order: what it holds, whether it is sound, what goes first."""

import os
from pathlib import Path

import pytest

from packager.adapters.cache import prune, summary, verify
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.environment import APP_LAYOUT
from packager.errors import ConfigError
from packager.settings import parse_size
from tests.command import Command
from tests.index import make_wheel


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(root=tmp_path / "store", fetcher=Fetcher(), say=lambda _: None)
    for name in ("fruit", "nut", "seed"):
        files = {f"{name}/__init__.py": os.urandom(3000).hex()}
        wheel = store.admit(make_wheel(tmp_path / "wheels", name, files=files))
        store.planned(wheel, APP_LAYOUT)
    return store


def held(store: Store) -> set[str]:
    return {p.name.split("-")[0] for p in store.root.glob("wheels/*/*.whl")}


def test_a_summary_counts_by_kind(store: Store, tmp_path: Path) -> None:
    found = summary(store.root)
    assert {kind: found.counts[kind] for kind in ("wheels", "plans")} == {"wheels": 3, "plans": 3}
    on_disk = sum(p.stat().st_size for p in store.root.rglob("*") if p.is_file())
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


def test_only_old_leftovers_go(store: Store) -> None:
    old, new = store.root / "tmp" / "old", store.root / "tmp" / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "part").write_text("x")
    os.utime(old, (1000, 1000))
    prune(store.root, limit=10**12)
    assert not old.exists()
    assert new.exists()
    assert held(store) == {"fruit", "nut", "seed"}


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
