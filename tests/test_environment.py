"""An empty environment by its parts, and one that is unpacked and started."""

import contextlib
import json
import os
import posixpath
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from packager.environment import (
    APP_LAYOUT,
    LINK_TO_APP,
    environment_layout,
    member_facts,
    observe_content,
    skeleton,
)
from packager.facts import Member, PthFile, PyvenvCfg, Script
from packager.releases import Interpreter, known_releases
from packager.standalone import start_members
from packager.tarball import (
    EXECUTABLE_MODE,
    FILE_MODE,
    Content,
    Part,
    Span,
    Stored,
    Symlink,
    TarMember,
    plan,
    write,
)
from packager.target import ARCHES, Target
from packager.wheels import Layout, installed, read_wheel
from tests.archives import SITE, TARGET, held
from tests.index import make_wheel

CONFIG = b"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n"


def test_an_empty_environment_is_six_small_files() -> None:
    before = (
        Symlink(path="bin/python", link="/usr/bin/python3.11"),
        Symlink(path="bin/python3", link="python"),
        Symlink(path="bin/python3.11", link="python"),
    )
    after = (
        Symlink(path="lib64", link="lib"),
        Content(path="pyvenv.cfg", mode=FILE_MODE, data=CONFIG),
    )
    link = Content(path=f"{SITE}/{LINK_TO_APP}", mode=FILE_MODE, data=b"../../../../app\n")
    assert skeleton(TARGET, with_app_layer=True) == (*before, link, *after)
    assert skeleton(TARGET, with_app_layer=False) == (*before, *after)


@pytest.mark.parametrize("label", known_releases())
def test_every_release_gets_the_interpreter_that_its_table_names(label: str) -> None:
    release = known_releases()[label]
    for interpreter in release.interpreters:
        target = Target(release=release, arch=ARCHES["amd64"], python=interpreter.python)
        members = {m.path: m for m in skeleton(target, with_app_layer=True)}
        assert members["bin/python"] == Symlink(path="bin/python", link=interpreter.path)
        assert f"bin/python{interpreter.python}" in members
        config = members["pyvenv.cfg"]
        assert isinstance(config, Content)
        (observed,) = observe_content(config)
        assert isinstance(observed, PyvenvCfg)
        assert observed.value("home") == posixpath.dirname(interpreter.path)
        assert observed.value("version") == interpreter.python
        path = f"lib/python{interpreter.python}/site-packages/{LINK_TO_APP}"
        link = members[path]
        assert isinstance(link, Content)
        up = posixpath.join("environment", posixpath.dirname(path), bytes(link.data).decode())
        assert posixpath.normpath(up.strip()) == "app"


def test_an_environment_links_to_the_interpreter_beside_it() -> None:
    own = skeleton(replace(TARGET, python="3.12"), with_app_layer=False)
    assert own == (
        Symlink(path="bin/python", link="../../python/bin/python3.12"),
        Symlink(path="bin/python3", link="python"),
        Symlink(path="bin/python3.12", link="python"),
        Symlink(path="lib64", link="lib"),
    )


def test_or_has_it_inside() -> None:
    own = skeleton(replace(TARGET, python="3.12"), with_app_layer=False, with_python_layer=False)
    assert own == start_members("3.12")


def test_packages_lie_where_the_targets_python_looks() -> None:
    assert environment_layout(replace(TARGET, python="3.9")) == Layout(
        site_packages="lib/python3.9/site-packages",
        headers="include/site/python3.9",
        python="python",
    )


@pytest.mark.parametrize(
    ("member", "facts"),
    [
        (
            Span(path="a", mode=EXECUTABLE_MODE, size=5, crc=1, offset=2, length=3),
            Member(path="a", kind="file", mode=0o755, size=5),
        ),
        (
            Stored(path="b", mode=FILE_MODE, size=6, crc=1, offset=2),
            Member(path="b", kind="file", mode=0o644, size=6),
        ),
        (
            Content(path="c", mode=FILE_MODE, data=b"abc"),
            Member(path="c", kind="file", mode=0o644, size=3),
        ),
        (
            Symlink(path="d", link="../e"),
            Member(path="d", kind="symlink", mode=0o777, size=0, link="../e"),
        ),
    ],
    ids=lambda value: value.path,
)
def test_a_member_is_told_as_an_archive_would_show_it(member: TarMember, facts: Member) -> None:
    assert member_facts(member) == facts


def test_what_is_written_here_is_observed_as_it_will_be() -> None:
    script = Content(path="bin/x", mode=EXECUTABLE_MODE, data=memoryview(b"#!/bin/sh\nexit"))
    assert observe_content(script) == (Script(path="bin/x", interpreter="/bin/sh"),)
    link = Content(path=f"{SITE}/x.pth", mode=FILE_MODE, data=b"# c\n../app\n")
    assert observe_content(link) == (PthFile(path=f"{SITE}/x.pth", lines=("../app",)),)
    long = Content(path="x.py", mode=FILE_MODE, data=b"x = 1\n" * 1000)
    assert observe_content(long) == ()


# An environment for the Python that runs these tests, and an app beside it.

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
HERE = Target(
    release=replace(
        TARGET.release,
        interpreters=(
            Interpreter(
                python=PYTHON,
                path=os.path.realpath(sys.executable),
                confirmed=True,
                source="this machine",
            ),
        ),
    ),
    arch=TARGET.arch,
    python=PYTHON,
)
SAY = "import json, os, sys\ndef main():\n    print(json.dumps([sys.prefix, *sys.argv]))\n"
DOCUMENTED = '''#!python
# -*- coding: latin-1 -*-
"""What it is for."""
from __future__ import annotations
import sys
def main(value: DoesNotExist): sys.exit(len(value))
print("\xfc", __doc__[-15:], sys.argv[1])
main("four")
'''.encode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "environment" / "bin"

    def run(self, *command: str | Path, cwd: Path = Path("/"), path: str = "") -> Any:
        """What a program of it prints as JSON, with nothing of this test's environment."""
        env = {"PATH": f"{path}:/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        return json.loads(done.stdout)

    def ask(self, code: str) -> Any:
        return self.run(self.bin / "python", "-c", f"import json\n{code}")


def unpack(members: Iterable[TarMember], wheels: Iterable[Path], layout: Layout, to: Path) -> None:
    archive = to.with_suffix(".tar.gz")
    parts: list[Part] = [(plan(members), None)]
    with archive.open("w+b") as out, contextlib.ExitStack() as stack:
        for path in wheels:
            file = stack.enter_context(path.open("rb"))
            parts.append((plan(installed(read_wheel(file, path.name), file, layout)), held(file)))
        write(parts, out)
    with tarfile.open(archive) as tar:
        tar.extractall(to, filter="fully_trusted")  # noqa: S202  # its link to Python leads out


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    folder = tmp_path_factory.mktemp("wheels")
    wheels = [
        make_wheel(
            folder,
            "fruit",
            files={
                "fruit/__init__.py": f"{SAY}class Fruit:\n    def fails(): return 7\n",
                "fruit-1.0.data/scripts/documented": DOCUMENTED,
                "fruit-1.0.data/data/share/fruit.txt": "shared",
            },
            entry_points={"fruit": "fruit:main", "fruit-fails": "fruit:Fruit.fails"},
        ),
        make_wheel(folder, "ns-one", files={"ns/one.py": "ONE = 1\n"}),
        make_wheel(folder, "ns-two", files={"ns/two/__init__.py": "TWO = 2\n"}),
        make_wheel(
            folder,
            "hooked",
            files={
                "hooked.pth": "hooked_path\nimport hook\n",
                "hooked_path/found.py": "FOUND = True\n",
                "hook.py": "import sys\nsys.hooked = True\n",
            },
        ),
    ]
    app = make_wheel(
        folder / "app",
        "shop",
        "2.5",
        files={
            "shop/__init__.py": SAY,
            "shop/data/prices.json": '{"apple": 3}',
            "ns/three.py": "THREE = 3\n",
        },
        entry_points={"shop": "shop:main"},
    )
    root = tmp_path_factory.mktemp("a place") / "with blanks, 'quotes' and ü"
    root.mkdir()
    layout = environment_layout(HERE)
    unpack(skeleton(HERE, with_app_layer=True), wheels, layout, root / "environment")
    unpack((), [app], APP_LAYOUT, root / "app")
    return Unpacked(root=root)


@pytest.mark.tools
@pytest.mark.parametrize(("layer", "name"), [("environment", "fruit"), ("app", "shop")])
def test_console_scripts_start_from_any_place(
    unpacked: Unpacked, tmp_path: Path, layer: str, name: str
) -> None:
    prefix = str(unpacked.root / "environment")
    folder = unpacked.root / layer / "bin"
    script = folder / name
    (tmp_path / "link to a link").symlink_to(tmp_path / "link")
    (tmp_path / "link").symlink_to(script)
    arguments = ("", "a b", "*", "$HOME", "--x=ü")
    for command in (script, tmp_path / "link to a link"):
        assert unpacked.run(command, *arguments) == [prefix, str(command), *arguments]
    assert unpacked.run(f"./{name}", cwd=folder) == [prefix, f"./{name}"]
    assert unpacked.run("bin/../bin/" + name, cwd=folder.parent) == [prefix, f"bin/../bin/{name}"]
    # Both as programs start it that know it by name only.
    assert unpacked.run("env", name, path=str(folder)) == [prefix, str(script)]
    assert unpacked.run("sh", "-c", name, path=str(folder)) == [prefix, str(script)]
    # And as Python does, with or without its help.
    assert unpacked.run(unpacked.bin / "python", script) == [prefix, str(script)]


@pytest.mark.tools
def test_a_rewritten_script_keeps_its_encoding_its_docstring_and_its_future(
    unpacked: Unpacked,
) -> None:
    script = unpacked.bin / "documented"
    done = subprocess.run(
        [script, "argument"],
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "ü What it is for. argument\n"), done.stderr


@pytest.mark.tools
def test_a_script_ends_with_what_its_function_returns(unpacked: Unpacked) -> None:
    assert subprocess.run([unpacked.bin / "fruit-fails"], check=False).returncode == 7


@pytest.mark.tools
def test_namespace_packages_of_wheels_and_app_are_one(unpacked: Unpacked) -> None:
    code = "from ns import one, two, three\nprint(json.dumps([one.ONE, two.TWO, three.THREE]))"
    assert unpacked.ask(code) == [1, 2, 3]


@pytest.mark.tools
def test_pth_files_of_dependencies_are_heeded(unpacked: Unpacked) -> None:
    code = "import sys, found\nprint(json.dumps([found.FOUND, sys.hooked]))"
    assert unpacked.ask(code) == [True, True]


@pytest.mark.tools
def test_the_app_is_there_with_its_data_metadata_and_entry_points(unpacked: Unpacked) -> None:
    code = """
import sys, shop
from importlib.metadata import distribution, entry_points, version
from importlib.resources import files
points = [p.value for p in entry_points(group="console_scripts") if p.name == "shop"]
print(json.dumps([
    version("shop"), version("fruit"), points, (files("shop") / "data/prices.json").read_text(),
    shop.__file__, [str(f) for f in distribution("shop").files if not f.locate().is_file()],
]))
"""
    module = str(unpacked.root / "app" / "shop" / "__init__.py")
    assert unpacked.ask(code) == ["2.5", "1.0", ["shop:main"], '{"apple": 3}', module, []]


@pytest.mark.tools
def test_the_environment_sees_itself_the_app_and_the_standard_library_only(
    unpacked: Unpacked,
) -> None:
    code = """
import site, sys
print(json.dumps([site.ENABLE_USER_SITE, sys.prefix, *(p for p in sys.path if "-packages" in p)]))
"""
    environment = unpacked.root / "environment"
    packages = environment / "lib" / f"python{PYTHON}" / "site-packages"
    assert unpacked.ask(code) == [
        False,
        str(environment),
        str(packages),
        str(packages / "hooked_path"),
    ]
    assert str(unpacked.root / "app") in unpacked.ask("import sys; print(json.dumps(sys.path))")
    assert (environment / "share" / "fruit.txt").read_text() == "shared"
    assert (environment / "lib64" / f"python{PYTHON}").is_dir()


@pytest.mark.tools
def test_both_layers_may_be_links_to_where_they_lie(unpacked: Unpacked, tmp_path: Path) -> None:
    """As a cluster does that keeps unpacked archives for the next job."""
    for layer in ("environment", "app"):
        (tmp_path / layer).symlink_to(unpacked.root / layer)
    python = tmp_path / "environment" / "bin" / "python"
    code = "import json, shop; print(json.dumps([shop.__file__]))"
    found = unpacked.run(python, "-c", code)
    assert found == [str(tmp_path / "app" / "shop" / "__init__.py")]
