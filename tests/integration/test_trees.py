"""Environments of real installers, read as the wheels builder would have written them."""

import csv
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from uv import find_uv_bin

from packager.environment import environment_layout
from packager.tarball import EXECUTABLE_MODE, FILE_MODE, Content, Span, Stored, Symlink, TarMember
from packager.trees import Tree, read_tree
from packager.wheels import installed, read_wheel
from tests.index import make_wheel
from tests.test_environment import HERE

pytestmark = pytest.mark.tools

SITE = HERE.site_packages
UV = find_uv_bin()
File = tuple[int, bytes] | str
"""Mode and content, or where a link leads."""

FRUIT: Mapping[str, bytes | str] = {
    "fruit/__init__.py": "def main(): return 0\nclass Fruit:\n    def fails(): return 7\n",
    "fruit/data/a, b 'and' \"ü\".csv": "1,2\n",
    "fruit/data/empty": "",
    "fruit/bin/tool": "#!/bin/sh\n",
    "fruit/old.pyc": b"\0compiled elsewhere",
    "fruit-1.0.data/scripts/fruit-script": '#!python -s\n# -*- coding: utf-8 -*-\n"""Doc."""\n1\n',
    "fruit-1.0.data/scripts/fruit-plain": "#!pythonw\nimport fruit\n",
    "fruit-1.0.data/scripts/fruit.sh": "#!/bin/sh\necho fruit\n",
    "fruit-1.0.data/scripts/fruit-env": "#!/usr/bin/env python3\nimport fruit\n",
    "fruit-1.0.data/data/share/fruit.txt": "shared",
    "fruit-1.0.data/data/etc/fruit/conf": "x = 1",
    "fruit-1.0.data/headers/fruit.h": "#define FRUIT\n",
    "fruit-1.0.data/purelib/fruit_pure.py": "PURE = 1\n",
    "fruit-1.0.data/platlib/fruit_plat.py": "PLAT = 1\n",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    points = {"fruit": "fruit:main", "fruit-fails": "fruit:Fruit.fails"}
    return (
        make_wheel(
            folder,
            "fruit",
            files=FRUIT,
            entry_points=points,
            executable=("fruit/bin/tool",),
            stored=("fruit/data/a, b 'and' \"ü\".csv",),
            requires=("ns-one",),
        ),
        make_wheel(folder, "ns-one", files={"ns/one.py": "ONE = 1\n"}),
        make_wheel(folder, "ns-two", files={"ns/two/__init__.py": "TWO = 2\n"}),
        make_wheel(
            folder,
            "hooked",
            files={
                "hooked.pth": "hooked_path\nimport hook\n",
                "hooked_path/x.py": "",
                "hook.py": "",
            },
        ),
    )


def run(*command: str | Path, cwd: Path | None = None) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PYTHON"))}
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, env=env)


def by_uv(folder: Path, wheels: Sequence[Path]) -> None:
    run(UV, "venv", "--quiet", "--no-config", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    compile_ = "--compile-bytecode"
    run(UV, "pip", "install", "--no-config", "--offline", compile_, "--python", python, *wheels)


def by_pip(folder: Path, wheels: Sequence[Path]) -> None:
    run(sys.executable, "-m", "venv", folder)
    pip = (folder / "bin" / "python", "-m", "pip")
    run(*pip, "install", "--no-index", "--no-deps", "--disable-pip-version-check", *wheels)


def content(member: TarMember, file: Path) -> File:
    match member:
        case Content():
            return member.mode, bytes(member.data)
        case Symlink():
            return member.link
        case Stored():
            data = file.read_bytes()[member.offset : member.offset + member.size]
            return member.mode, data
        case Span():
            data = file.read_bytes()[member.offset : member.offset + member.length]
            return member.mode, zlib.decompress(data, -15)


def expected(wheels: Sequence[Path]) -> Mapping[str, File]:
    """What the wheels builder writes."""
    files: dict[str, File] = {}
    for path in wheels:
        with path.open("rb") as file:
            members = list(installed(read_wheel(file, path.name), file, environment_layout(HERE)))
        files |= {member.path: content(member, path) for member in members}
    return comparable(files)


def written(tree: Tree) -> Mapping[str, File]:
    files = {member.path: content(member, Path()) for member in tree.members}
    for file in tree.files:
        assert file.path not in files
        mode = EXECUTABLE_MODE if file.source.stat().st_mode & 0o111 else FILE_MODE
        files[file.path] = (mode, file.source.read_bytes())
    return comparable(files)


def comparable(files: Mapping[str, File]) -> Mapping[str, File]:
    """With the rows of `RECORD` sorted: installers do not keep the order of the wheel's."""
    result = dict(files)
    for path, file in files.items():
        if path.endswith(".dist-info/RECORD") and not isinstance(file, str):
            rows = sorted(csv.reader(file[1].decode().splitlines()))
            result[path] = (file[0], "\n".join(map(repr, rows)).encode())
    return result


def same(found: Mapping[str, File], wanted: Mapping[str, File]) -> None:
    assert sorted(found) == sorted(wanted)
    for path, file in wanted.items():
        assert found[path] == file, path


LONG = "a place with blanks, and with a name that is long enough " * 3
ENVIRONMENTS = {"uv": (by_uv, "env"), "uv, long": (by_uv, LONG), "pip, long": (by_pip, LONG)}


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(
    wheels: Sequence[Path], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    install, name = ENVIRONMENTS[request.param]
    folder = tmp_path_factory.mktemp("environment") / name
    install(folder, wheels)
    return folder


def test_an_installed_environment_has_the_files_of_its_wheels(
    wheels: Sequence[Path], environment: Path
) -> None:
    tree = read_tree(environment, HERE)
    same(written(tree), expected(wheels))
    assert [(p.name, p.version, p.filename) for p in tree.packages] == [
        (w.name.split("-")[0].replace("_", "-"), "1.0", w.name) for w in sorted(wheels)
    ]
    assert tree.own == ()


def test_a_move_changes_nothing(wheels: Sequence[Path], environment: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(environment, tmp_path / "moved", symlinks=True)
    same(written(read_tree(moved, HERE)), expected(wheels))


def test_what_venv_pack_made_is_read_like_its_source(
    wheels: Sequence[Path], environment: Path, tmp_path: Path
) -> None:
    venv_pack = pytest.importorskip("venv_pack")
    venv_pack.pack(prefix=str(environment), output=str(tmp_path / "env.tar.gz"))
    (tmp_path / "unpacked").mkdir()
    run("tar", "xzf", tmp_path / "env.tar.gz", "-C", tmp_path / "unpacked")
    same(written(read_tree(tmp_path / "unpacked", HERE)), expected(wheels))
