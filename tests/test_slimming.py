"""What is left out by name, and what stays though it looks like it."""

import base64
import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.symbols import StoreStripper
from packager.bytecode import code_path, with_byte_code
from packager.elfstrip import without_symbols
from packager.environment import environment_layout
from packager.errors import ConfigError
from packager.layers import Layer, contents
from packager.ports import InstalledWheel, Stripped, SymbolStripper
from packager.settings import SLIMS, Slim, resolve
from packager.slimming import LARGEST_BYTES, RULES, SYMBOLS, slimmed
from packager.tarball import Span
from tests.archives import TARGET
from tests.fakes import FakeByteCompiler, lock_text, world
from tests.index import make_wheel
from tests.test_elfstrip import LOADED, WHOLE
from tests.test_pipeline import built_project, folder_project, packed

SITE = "lib/python3.11/site-packages"
FILES: Mapping[str, bytes | str] = {
    "fruit/__init__.py": "from fruit.tests import helper\n",
    "fruit/__init__.pyi": "X: int\n",
    "fruit/_speed.c": "int x;\n",
    "fruit/_speed.pyx": "x = 1\n",
    "fruit/_speed.so": b"not one",
    "fruit/data.txt": "1\n",
    "fruit/include/core": "\n",
    "fruit/include/fruit.h": "\n",
    "fruit/include/paths.py": "X = 1\n",
    "fruit/py.typed": "",
    "fruit/test_suite.py": "X = 1\n",
    "fruit/testing/__init__.py": "X = 1\n",
    "fruit/tests/__init__.py": "",
    "fruit/tests/_ext.so": b"nor is it one",
    "fruit/tests/conftest.py": "",
    "fruit/tests/data/table.csv": "1\n",
    "fruit/tests/deep/seed_test.py": "",
    "fruit/tests/helper.py": "X = 1\n",
    "fruit/tests/test_fruit.py": "",
    "tests/__init__.py": "",
    "tests/test_own.py": "",
}
GONE: Mapping[Slim, set[str]] = {
    "tests": {
        "fruit/tests/conftest.py",
        "fruit/tests/data/table.csv",
        "fruit/tests/deep/seed_test.py",
        "fruit/tests/test_fruit.py",
    },
    "headers": {
        "fruit/_speed.c",
        "fruit/_speed.pyx",
        "fruit/include/core",
        "fruit/include/fruit.h",
    },
    "stubs": {"fruit/__init__.pyi"},
    "symbols": set(),  # which are parts of files
}


def part(
    tmp_path: Path,
    name: str = "fruit",
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, bytes | str] = FILES,
) -> InstalledWheel:
    store = world(tmp_path / "store").store
    wheel = store.admit(make_wheel(tmp_path, name, files=files, requires=requires))
    return store.installed(wheel, environment_layout(TARGET))


class NoSymbols:
    """Finds none, and says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def stripped(self, part: InstalledWheel) -> Stripped:
        self.asked += [member.path for member in part.members]
        return Stripped(part=replace(part, members=()), rows={})


def slims(
    one: InstalledWheel, *names: Slim, symbols: SymbolStripper | None = None
) -> tuple[InstalledWheel, ...]:
    layer = Layer(kind="environment", name="", members=(), files=(), key="key", wheels=(one,))
    return tuple(slimmed(layer, names, symbols or NoSymbols()).wheels)


def slim(one: InstalledWheel, *names: Slim) -> InstalledWheel:
    (found,) = slims(one, *names)
    return found


def paths(one: InstalledWheel) -> set[str]:
    return {member.path.removeprefix(f"{SITE}/") for member in one.members}


def test_every_name_has_its_rule() -> None:
    assert {*RULES, SYMBOLS} == set(GONE) == set(SLIMS)


@pytest.mark.parametrize("name", SLIMS)
def test_what_goes_by_a_name_goes_and_nothing_else(tmp_path: Path, name: Slim) -> None:
    whole = part(tmp_path)
    assert paths(whole) - paths(slim(whole, name)) == GONE[name]


def test_record_lists_what_is_there(tmp_path: Path) -> None:
    found = slim(part(tmp_path), *SLIMS)
    record = f"{SITE}/fruit-1.0.dist-info/RECORD"
    texts = dict(zip([m.path for m in found.members], contents(found), strict=True))
    rows = [*csv.reader(io.StringIO(bytes(texts[record]).decode()))]
    assert {row[0] for row in rows} == paths(found)
    assert all(row[1].startswith("sha256=") for row in rows if not row[0].endswith("RECORD"))


def test_where_nothing_goes_the_wheel_is_copied_as_it_is(tmp_path: Path) -> None:
    store = world(tmp_path / "store").store
    wheel = store.admit(make_wheel(tmp_path, "fruit"))
    whole = store.installed(wheel, environment_layout(TARGET))
    assert slim(whole, *SLIMS) is whole


@pytest.mark.parametrize(
    ("package", "requires", "name"),
    [
        ("torch", (), "headers"),
        ("nvidia-cublas", (), "headers"),
        ("fruit", ("lazy_loader >= 0.4",), "stubs"),
    ],
)
def test_what_is_read_at_run_time_stays(
    tmp_path: Path, package: str, requires: Sequence[str], name: Slim
) -> None:
    whole = part(tmp_path, package, requires=requires)
    assert slim(whole, name) is whole
    assert slim(whole, "tests") is not whole


def test_what_is_gone_gets_no_byte_code_and_what_stays_does(tmp_path: Path) -> None:
    whole = part(tmp_path)
    layer = Layer(kind="environment", name="", members=(), files=(), key="", wheels=(whole,))
    _, code = with_byte_code(
        slimmed(layer, ["tests"], NoSymbols()), "3.11", FakeByteCompiler()
    ).wheels
    modules = {path for path in paths(whole) - GONE["tests"] if path.endswith(".py")}
    assert paths(code) == {code_path(path, "3.11") for path in modules}


def members(folder: Path, kind: str) -> set[str]:
    (archive,) = folder.glob(f"*-{kind}-*.tar.gz")
    with tarfile.open(archive) as tar:
        return {name.removeprefix(f"{SITE}/") for name in tar.getnames()}


def test_a_pack_leaves_out_what_it_is_told_to_and_says_so_in_the_record(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    outside.resolver.text = lock_text(make_wheel(tmp_path, "fruit", files=FILES))
    root = folder_project(tmp_path / "shop", requirements="fruit\n")
    (whole,) = packed(root, outside, out="whole")
    (slim_,) = packed(root, outside, out="slim", slim=("tests", "stubs"))
    (again,) = packed(root, outside, out="whole")
    gone = members(root / "whole", "environment") - members(root / "slim", "environment")
    assert gone == GONE["tests"] | GONE["stubs"]
    record: dict[str, Any] = json.loads(slim_.path.read_text())
    assert record["slim"] == ["tests", "stubs"]
    assert "slim" not in json.loads(whole.path.read_text())
    assert whole.record.artifact("environment") == again.record.artifact("environment")
    assert slim_.report.passed


def test_files_of_a_folder_are_not_wheels_and_stay(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    root = folder_project(tmp_path / "shop")
    (root / "jobs" / "tests").mkdir()
    (root / "jobs" / "tests" / "test_jobs.py").write_text("")
    packed(root, outside, slim=SLIMS)
    assert "jobs/tests/test_jobs.py" in members(root / "dist", "app")


def test_the_wheel_of_the_project_is_slimmed_as_others_are(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    root = built_project(tmp_path / "shop", outside)

    def make() -> Path:
        files = {"shop/__init__.py": "", "shop/tests/test_shop.py": "", "shop/tests/data.csv": ""}
        return make_wheel(tmp_path / "built", "shop", files=files)

    outside.builder.makes["shop"] = make
    packed(root, outside, slim=("tests",))
    assert members(root / "dist", "app") >= {"shop/__init__.py"}
    assert not any("tests" in name for name in members(root / "dist", "app"))


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve({"slim": "test"}, {}, {}, None)
    assert "--slim" in caught.value.what
    assert "perhaps 'tests'" in caught.value.why


LIBRARIES: Mapping[str, bytes | str] = {
    "fruit/__init__.py": "",
    "fruit/_lean.so": LOADED,
    "fruit/_speed.so": WHOLE,
    "fruit/tests/data/library": WHOLE,
    "fruit/text.so": "no library",
}


def rows(parts: Sequence[InstalledWheel]) -> dict[str, list[str]]:
    """Of `RECORD`, by path."""
    (text,) = (
        bytes(data)
        for one in parts
        for member, data in zip(one.members, contents(one), strict=True)
        if member.path.endswith("/RECORD")
    )
    return {row[0]: row for row in csv.reader(io.StringIO(text.decode()))}


def test_libraries_lose_their_symbols_and_record_has_them_as_they_are(tmp_path: Path) -> None:
    store = world(tmp_path / "store").store
    whole = part(tmp_path, files=LIBRARIES)
    symbols = StoreStripper(store=store)
    left, less = slims(whole, "symbols", "tests", symbols=symbols)
    (library,) = less.members
    (data,) = contents(less)
    assert library.path == f"{SITE}/fruit/_speed.so"
    assert bytes(data) == bytes(without_symbols(WHOLE) or b"")
    assert paths(left) | paths(less) == paths(whole) - {"fruit/tests/data/library"}
    assert not paths(left) & paths(less)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    before, after = rows([whole]), rows([left])
    assert after["fruit/_speed.so"] == ["fruit/_speed.so", f"sha256={digest}", str(len(data))]
    assert after["fruit/_lean.so"] == before["fruit/_lean.so"]
    gone = {"fruit/tests/data/library"}
    assert {o.path for o in whole.observations} - {o.path for o in left.observations} == {
        f"{SITE}/{path}" for path in gone
    }


@pytest.mark.parametrize("name", ["index.json", "files.deflate"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: data[:-1] + b"\0", None],
    ids=["cut", "changed", "gone"],
)
def test_what_was_made_once_is_kept_and_made_anew_when_it_is_damaged(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    store = world(tmp_path / "store").store
    whole = part(tmp_path, files=LIBRARIES)
    first = slims(whole, "symbols", symbols=StoreStripper(store=store))
    data = [*map(bytes, contents(first[1]))]
    (kept,) = (tmp_path / "store" / "symbols").glob(f"*/{name}")
    made = kept.stat().st_ino
    assert slims(whole, "symbols", symbols=StoreStripper(store=store)) == first
    assert kept.stat().st_ino == made
    if damage is None:
        kept.unlink()
    else:
        kept.write_bytes(damage(kept.read_bytes()))
    again = slims(whole, "symbols", symbols=StoreStripper(store=store))
    assert again == first
    assert [*map(bytes, contents(again[1]))] == data


def test_only_sound_libraries_are_read(tmp_path: Path) -> None:
    damaged: Mapping[str, bytes | str] = {
        "fruit/__init__.py": "",
        "fruit/broken.so": WHOLE[:200],
        "fruit/ok.so": WHOLE,
    }
    asked = NoSymbols()
    whole = part(tmp_path, files=damaged)
    assert slims(whole, "symbols", symbols=asked) == (whole,)
    assert asked.asked == [f"{SITE}/fruit/ok.so"]


def test_a_file_too_large_for_memory_keeps_its_symbols(tmp_path: Path) -> None:
    whole = part(tmp_path, files=LIBRARIES)
    large = replace(
        whole,
        members=tuple(
            m._replace(size=LARGEST_BYTES + 1) if isinstance(m, Span) else m for m in whole.members
        ),
    )
    asked = NoSymbols()
    slims(large, "symbols", symbols=asked)
    assert asked.asked == []


def test_a_pack_without_symbols_is_smaller_and_judged_the_same(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    outside.resolver.text = lock_text(make_wheel(tmp_path, "fruit", files=LIBRARIES))
    root = folder_project(tmp_path / "shop", requirements="fruit\n")
    (whole,) = packed(root, outside, out="whole")
    (less,) = packed(root, outside, out="slim", slim=("symbols",))
    assert members(root / "whole", "environment") == members(root / "slim", "environment")
    large, small = (one.record.artifact("environment") for one in (whole, less))
    assert large
    assert small
    assert large.unpacked > small.unpacked
    assert whole.report == less.report
