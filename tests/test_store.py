"""The wheel store: verified once, planned once, and sound whatever happens to its files."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from packager.adapters import store as module
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store, local_path
from packager.environment import APP_LAYOUT
from packager.errors import ConfigError
from packager.lockfiles import Pin
from tests.index import make_wheel


def new_store(tmp_path: Path) -> Store:
    return Store(root=tmp_path / "store", fetcher=Fetcher(), say=lambda _: None)


def test_other_processes_plan_what_this_one_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORTH_A_PROCESS", 0)
    wheels = [make_wheel(tmp_path / "wheels", name) for name in ("fruit", "nut", "seed")]
    here, elsewhere = new_store(tmp_path / "a"), new_store(tmp_path / "b")
    alone = [here.planned(here.admit(wheel), APP_LAYOUT) for wheel in wheels]
    stored = [elsewhere.admit(wheel) for wheel in wheels]
    with elsewhere.planning([(wheel, APP_LAYOUT) for wheel in stored]):
        assert threading.active_count() > 1, "no process was started"
        ahead = [elsewhere.planned(wheel, APP_LAYOUT) for wheel in stored]
    assert [p.plan.to_bytes() for p in ahead] == [p.plan.to_bytes() for p in alone]
    assert [p.members for p in ahead] == [p.members for p in alone]
    assert elsewhere.pending == {}


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 5000])
def test_what_is_damaged_in_the_store_is_made_again(tmp_path: Path, damage: bytes) -> None:
    store = new_store(tmp_path)
    wheel = store.admit(make_wheel(tmp_path / "wheels", "fruit"))
    good = store.planned(wheel, APP_LAYOUT)
    (plan,) = (store.root / "plans").iterdir()
    plan.write_bytes(damage)
    (wheel.path.parent / f"{wheel.filename}.facts.json").write_bytes(damage)
    again = store.planned(wheel, APP_LAYOUT)
    assert again.plan.to_bytes() == good.plan.to_bytes()
    assert (again.members, again.observations) == (good.members, good.observations)


def test_one_wheel_may_arrive_from_many_sides_at_once(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "fruit")
    store = new_store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(store.admit, [wheel] * 16))
    assert len(set(stored)) == 1
    assert stored[0].path.read_bytes() == wheel.read_bytes()
    assert list((store.root / "tmp").iterdir()) == []


def test_a_wheel_with_another_hash_leaves_nothing(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "fruit")
    store = new_store(tmp_path)
    pin = Pin(
        name="fruit", version="1.0", filename=wheel.name, location=str(wheel), sha256="0" * 64
    )
    with pytest.raises(ConfigError, match="does not have the hash"):
        store.fetch([pin])
    assert list(store.root.rglob("*.whl")) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_the_same_wheel_is_known_by_two_names(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "fruit")
    other = wheel.with_name(wheel.name.replace("py3", "py2.py3"))
    other.write_bytes(wheel.read_bytes())
    store = new_store(tmp_path)
    first, second = store.admit(wheel), store.admit(other)
    assert first.sha256 == second.sha256
    assert store.stored(first.sha256, first.filename) == first
    assert store.stored(second.sha256, second.filename) == second


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/a b/x.whl", Path("/a b/x.whl")),
        ("file:///a%20b/x.whl", Path("/a b/x.whl")),
        ("https://index.example/x.whl", None),
    ],
)
def test_what_lies_on_this_machine(location: str, path: Path | None) -> None:
    assert local_path(location) == path
