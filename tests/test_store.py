"""The wheel store: verified once, and sound whatever happens to its files."""

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from packager.adapters import store as store_module
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store, local_path
from packager.environment import APP_LAYOUT
from packager.errors import CommandError, ConfigError
from packager.facts import ArchiveFacts
from packager.layers import Layer, write_layer
from packager.lockfiles import Pin
from packager.ports import StoredWheel
from packager.record import Artifact
from packager.tarball import Written
from tests.index import make_wheel


def new_store(tmp_path: Path) -> Store:
    return Store(root=tmp_path / "store", fetcher=Fetcher(), say=lambda _: None)


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 5000])
def test_what_is_damaged_in_the_store_is_made_again(tmp_path: Path, damage: bytes) -> None:
    store = new_store(tmp_path)
    wheel = store.admit(make_wheel(tmp_path / "wheels", "fruit"))
    good = store.installed(wheel, APP_LAYOUT)
    (wheel.path.parent / f"{wheel.filename}.facts.json").write_bytes(damage)
    (plan,) = (store.root / "plans").iterdir()
    whole = plan.read_bytes()
    plan.write_bytes(damage)
    assert store.installed(wheel, APP_LAYOUT) == good
    assert plan.read_bytes() == whole


def test_a_kept_plan_makes_the_same_archive_without_a_look_into_the_wheel(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    wheel = store.admit(make_wheel(tmp_path / "wheels", "fruit"))
    written: list[tuple[Artifact, ArchiveFacts]] = []
    for _ in range(2):
        part = store.installed(wheel, APP_LAYOUT)
        layer = Layer(
            kind="app", name="x", members=(), files=(), key=str(len(written)), wheels=[part]
        )
        written.append(write_layer(layer, tmp_path / "store", store))
        (wheel.path.parent / f"{wheel.filename}.facts.json").unlink(missing_ok=True)
    assert written[0] == written[1]


@dataclass(slots=True)
class Watching:
    """A witness of all that is written."""

    earlier: list[tuple[Path, Written] | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)

    def __call__(self, file: BinaryIO, earlier: tuple[Path, Written] | None) -> "Watching":
        assert os.fstat(file.fileno()).st_size == 0
        self.earlier.append(earlier)
        return self

    def grown(self, size: int) -> None:
        self.sizes.append(size)

    def whole(self, path: Path, written: Written) -> None:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == written.sha256
        assert path.stat().st_size == written.size
        self.there.append(path)


def test_who_watches_is_told_of_what_is_written_and_what_it_was_before(tmp_path: Path) -> None:
    store, watching = new_store(tmp_path), Watching()
    part = store.installed(store.admit(make_wheel(tmp_path / "wheels", "fruit")), APP_LAYOUT)
    layer = Layer(kind="app", name="x", members=(), files=(), key="1", wheels=[part])
    artifact, _ = write_layer(layer, tmp_path, store, watching)
    archive = tmp_path / artifact.file
    assert (watching.sizes[-1], watching.sizes) == (artifact.size, sorted(watching.sizes))
    write_layer(layer, tmp_path, store, watching)
    assert (watching.earlier, watching.there) == ([None], [archive])  # for it lies there
    archive.unlink()
    write_layer(layer, tmp_path, store, watching)
    known = Written(sha256=artifact.sha256, size=artifact.size)
    assert watching.earlier == [None, (archive, known)]
    assert watching.there == [archive, archive]


def test_a_store_that_can_not_keep_plans_serves_without(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    wheel = store.admit(make_wheel(tmp_path / "wheels", "fruit"))
    (store.root / "plans").write_text("in the way", encoding="utf-8")
    assert store.installed(wheel, APP_LAYOUT) == store.installed(wheel, APP_LAYOUT)
    assert list((store.root / "tmp").iterdir()) == []


def test_a_wheel_that_vanished_is_named(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    wheel = store.admit(make_wheel(tmp_path / "wheels", "fruit"))
    wheel.path.unlink()
    with pytest.raises(CommandError, match=r"fruit-1.0.*is gone from the store"):
        store.installed(wheel, APP_LAYOUT)


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


def test_the_largest_wheels_are_fetched_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        wheel.name: wheel
        for name, size in (("small", 10), ("large", 10_000), ("middle", 1_000))
        for file in [f"{name}.py"]
        for wheel in [
            make_wheel(tmp_path / "wheels", name, files={file: "#" * size}, stored=[file])
        ]
    }
    fetched: list[str] = []

    class Here(Fetcher):
        def download(self, url: str, path: Path, *, size: int | None = None) -> None:
            assert (url, size) == (
                f"https://index.example/{path.name}",
                made[path.name].stat().st_size,
            )
            fetched.append(path.name.partition("-")[0])
            shutil.copyfile(made[path.name], path)

    monkeypatch.setattr(store_module, "DOWNLOADS", 1)
    store = Store(root=tmp_path / "store", fetcher=Here(), say=lambda _: None)
    pins = [
        Pin(
            name=name.partition("-")[0],
            version="1.0",
            filename=name,
            location=f"https://index.example/{name}",
            sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
            size=wheel.stat().st_size,
        )
        for name, wheel in made.items()
    ]
    assert [wheel.filename for wheel in store.fetch(pins)] == list(made)
    assert fetched == ["large", "middle", "small"]


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


# Damage, and how it is noticed.


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Store, StoredWheel]:
    store = new_store(tmp_path)
    return store, store.admit(make_wheel(tmp_path / "wheels", "fruit"))


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_wheel_that_changed_is_not_taken_for_the_one_that_was_verified(
    kept: tuple[Store, StoredWheel],
) -> None:
    store, wheel = kept
    flipped(wheel.path, 50)
    assert store.stored(wheel.sha256, wheel.filename) is None


def test_a_sound_wheel_that_lost_its_seal_gets_it_back(kept: tuple[Store, StoredWheel]) -> None:
    store, wheel = kept
    os.utime(wheel.path)  # as a copy has it
    assert store.stored(wheel.sha256, wheel.filename) == wheel
    assert wheel.path.stat().st_mtime_ns == wheel.changed_ns


def test_no_other_sealed_wheel_is_taken_for_it(
    kept: tuple[Store, StoredWheel], tmp_path: Path
) -> None:
    store, wheel = kept
    other = store.admit(make_wheel(tmp_path / "wheels", "nut"))
    other.path.rename(wheel.path)
    assert store.stored(wheel.sha256, wheel.filename) is None


def test_a_wheel_that_changes_while_it_is_packed_is_noticed(
    kept: tuple[Store, StoredWheel], tmp_path: Path
) -> None:
    store, wheel = kept
    layer = Layer(
        kind="app",
        name="app",
        members=(),
        files=(),
        key="key",
        wheels=[store.installed(wheel, APP_LAYOUT)],
    )
    flipped(wheel.path, 50)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CommandError, match="has changed in the store while it was packed"):
        write_layer(layer, out, store)
    assert list(out.iterdir()) == []
    assert store.recall("made", "key") is None


def test_whichever_bit_of_a_remembered_text_changes_it_is_forgotten(
    kept: tuple[Store, StoredWheel],
) -> None:
    store, _ = kept
    store.remember("made", "key", "text")
    path = store.root / "made" / "key"
    good = path.read_bytes()
    assert store.recall("made", "key") == "text"
    for at in range(len(good)):
        path.write_bytes(good)
        flipped(path, at)
        assert store.recall("made", "key") is None


def test_whichever_bit_of_the_facts_changes_they_are_made_again(
    kept: tuple[Store, StoredWheel],
) -> None:
    store, wheel = kept
    good = store.installed(wheel, APP_LAYOUT)
    facts = wheel.path.parent / f"{wheel.filename}.facts.json"
    whole = facts.read_bytes()
    for at in range(0, len(whole), 31):
        facts.write_bytes(whole)
        flipped(facts, at)
        assert store.installed(wheel, APP_LAYOUT) == good
