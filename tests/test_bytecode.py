"""Which files of a layer get byte code, and where it lies."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from packager.bytecode import code_path, is_module, with_byte_code
from packager.environment import APP_LAYOUT
from packager.errors import ConfigError, ToolError
from packager.layers import File, Layer
from packager.ports import InstalledWheel
from tests.fakes import FakeByteCompiler, World, lock_text, world
from tests.index import make_wheel
from tests.test_pipeline import archive, bundling, folder_project, packed

SITE = "lib/python3.11/site-packages"


LIBRARY = "lib/python3.11/"


def layer(*, files: tuple[File, ...] = (), wheels: tuple[InstalledWheel, ...] = ()) -> Layer:
    return Layer(kind="app", name="app", members=(), files=files, key="key", wheels=wheels)


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        (f"{SITE}/fruit/__init__.py", LIBRARY, True),
        ("lib/python3.11/json/decoder.py", LIBRARY, True),
        (f"{SITE}/fruit/data.pyi", LIBRARY, False),
        ("bin/fruit.py", LIBRARY, False),
        ("share/fruit/example.py", LIBRARY, False),
        (f"{SITE}/fruit/tests/helper.py", LIBRARY, True),
        (f"{SITE}/fruit/tests/test_fruit.py", LIBRARY, False),
        ("fruit.py", "", True),
        ("bin/fruit.py", "", False),
    ],
)
def test_what_python_imports_from_a_layer_is_compiled(path: str, root: str, expected: bool) -> None:
    assert is_module(path, root) is expected


def test_byte_code_lies_where_python_looks_for_it() -> None:
    assert code_path("a/b.py", "3.9") == "a/__pycache__/b.cpython-39.pyc"
    assert code_path("b.py", "3.11") == "__pycache__/b.cpython-311.pyc"


def made(root: Path, outside: World, **options: Any) -> dict[str, Any]:
    """The record of a pack."""
    (one,) = packed(root, outside, release="emr-7.13.0", **options)
    document: dict[str, Any] = json.loads(one.path.read_text())
    return document


def test_the_record_names_the_python_that_made_it(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    root = folder_project(tmp_path / "shop")
    assert made(root, outside, byte_code=True)["byte_code"] == "3.11.7"
    assert "byte_code" not in made(root, outside)


def test_with_and_without_are_other_archives_and_each_is_kept(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    wheel = make_wheel(tmp_path, "fruit")
    outside.resolver.text = lock_text(wheel)
    root = folder_project(tmp_path / "shop", requirements="fruit\n")
    without = made(root, outside)["artifacts"]
    with_it = made(root, outside, byte_code=True)["artifacts"]
    assert with_it != without
    outside.byte_compiler.version_ = "3.11.8"
    assert made(root, outside, byte_code=True)["artifacts"] == with_it
    assert made(root, outside)["artifacts"] == without


def test_a_missing_python_is_told_before_anything_is_made(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    outside.byte_compiler.error = ToolError("byte code needs a Python 3.11")
    root = folder_project(tmp_path / "shop")
    with pytest.raises(ToolError):
        made(root, outside, byte_code=True)
    assert not (root / "dist").exists()


def test_many_files_are_compiled_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packager.bytecode.GROUP_BYTES", 10)
    files = []
    for name in "abc":
        (tmp_path / f"{name}.py").write_text("print('hello')\n")
        files.append(File(path=f"{name}.py", source=tmp_path / f"{name}.py"))
    parts = [*with_byte_code(layer(files=tuple(files)), "3.11", FakeByteCompiler()).wheels]
    assert [[m.path for m in part.members] for part in parts] == [
        [f"__pycache__/{name}.cpython-311.pyc"] for name in "abc"
    ]
    assert len({part.wheel.sha256 for part in parts}) == 3


def test_a_file_that_went_away_is_told(tmp_path: Path) -> None:
    gone = File(path="gone.py", source=tmp_path / "gone.py")
    with pytest.raises(ConfigError, match=r"gone\.py can not be read"):
        list(with_byte_code(layer(files=(gone,)), "3.11", FakeByteCompiler()).wheels)


def test_byte_code_follows_its_modules(tmp_path: Path) -> None:
    ports = world(tmp_path / "store")
    wheel = ports.store.admit(make_wheel(tmp_path, "fruit"))
    part = ports.store.installed(wheel, APP_LAYOUT)
    found = [*with_byte_code(layer(wheels=(part,)), "3.11", ports.byte_compiler).wheels]
    assert found[0] == part
    assert [m.path for m in found[1].members] == ["fruit/__pycache__/__init__.cpython-311.pyc"]
    assert found[1].observations == ()


def test_byte_code_that_a_wheel_brings_stays_the_only_one(tmp_path: Path) -> None:
    ports = world(tmp_path / "store")
    brought = "fruit/__pycache__/__init__.cpython-311.pyc"
    files: dict[str, bytes | str] = {
        "fruit/__init__.py": "",
        "fruit/seed.py": "",
        brought: b"its own",
    }
    wheel = ports.store.admit(make_wheel(tmp_path, "fruit", files=files))
    part = ports.store.installed(wheel, APP_LAYOUT)
    _, code = with_byte_code(layer(wheels=(part,)), "3.11", ports.byte_compiler).wheels
    assert [m.path for m in code.members] == ["fruit/__pycache__/seed.cpython-311.pyc"]


def test_a_bundled_python_gets_byte_code_for_its_library(tmp_path: Path) -> None:
    outside = world(tmp_path / "store")
    root = bundling(tmp_path, outside)
    (one,) = packed(root, outside, python="3.12", byte_code=True)
    with tarfile.open(archive(one, "python")) as tar:
        assert "lib/python3.12/__pycache__/os.cpython-312.pyc" in tar.getnames()
    assert one.report.passed
