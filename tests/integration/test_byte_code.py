"""`packager pack --byte-code` and `--slim`, with real compilers and imports of what they make."""

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from packager.adapters.bytecompiler import HostByteCompiler, Interpreter
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.bytecode import code_path, with_byte_code
from packager.environment import APP_LAYOUT, environment_layout
from packager.errors import ToolError
from packager.layers import Layer
from packager.tarball import Span
from tests.archives import TARGET
from tests.command import Command
from tests.index import Index, make_wheel
from tests.integration.test_pack import artifact, make_project, members

pytestmark = pytest.mark.tools

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
RELEASES = {"3.7": "emr-6.15.0", "3.9": "emr-7.9.0", "3.11": "emr-7.13.0"}
MODULE = """
PRICES = {1, 2.5, "three", b"four"}

def fail(a, *, b="b"):
    inner = lambda: 1 / 0
    return [inner() for _ in range(3) if a in {"x", "y", "fail"}]
"""


def interpreters() -> dict[str, str]:
    """Minor versions to interpreters, of those that releases run and this machine has."""
    found = {OWN: sys.executable}
    for minor in RELEASES:
        places = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python{minor}"))
        named = shutil.which(f"python{minor}")
        path = str(places[-1]) if places else named
        if path and minor not in found:
            found[minor] = path
    return found


INTERPRETERS = interpreters()


def unpacked(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder


def imported(python: str, site: Path, code: str) -> str:
    """What Python says that finds modules in `site`, in a tree that nobody may write."""
    done = subprocess.run(
        [python, "-S", "-v", "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("python", sorted(set(INTERPRETERS) & set(RELEASES)))
def test_modules_are_imported_from_byte_code_whatever_their_time(
    packager: Command,
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    python: str,
) -> None:
    folder = Path(INTERPRETERS[python]).parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    index.wheel("fruit", files={"fruit/__init__.py": "", "fruit/basket.py": MODULE})
    root = make_project(
        tmp_path / "project",
        dependencies=("fruit",),
        tool=f'release = "{RELEASES[python]}"\nentry-point = "main.py"\nbyte-code = true\n',
    )

    got = packager("pack", "--arch", "arm64", cwd=root)

    assert got.code == 0, got.err
    tree = unpacked(artifact(root / "dist", "environment", "arm64"), tmp_path / "environment")
    site = tree / f"lib/python{python}/site-packages"
    os.utime(site / "fruit" / "basket.py", (1, 1))
    for path in (site / "fruit" / "__pycache__", site / "fruit"):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    said = imported(INTERPRETERS[python], site, "import fruit.basket as b; b.fail('x')")
    assert f"matches {site}/fruit/basket.py" in said
    assert "# code object from" in said
    assert f"code object from '{site}/fruit/__pycache__/basket" in said.replace('"', "'")
    # Python names the file where it is now, though it was compiled elsewhere.
    assert f'File "{site}/fruit/basket.py", line 5, in <lambda>' in said
    app = members(artifact(root / "dist", "app", "arm64"))
    assert code_path("shop/__init__.py", python) in app
    record = json.loads(next((root / "dist").glob("*.packager.json")).read_text())
    assert record["byte_code"].startswith(f"{python}.")
    assert packager("validate", cwd=root).code == 0


def test_a_module_that_does_not_compile_is_left_to_python_and_told(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    files: dict[str, bytes | str] = {
        "fruit/__init__.py": "SWEET = True\n",
        "fruit/template.py": "class {{ name }}: pass\n",
        "fruit/null.py": b"a = '\0'\n",
        "fruit/bytes.py": b"# coding: utf-8\na = '\xff'\n",
        "fruit/warns.py": "a = '\\d' is 1\n",
        "fruit/old.py": b"# coding: latin-1\na = '\xe4'\n",
    }
    index.wheel("fruit", files=files)
    root = make_project(tmp_path / "project", dependencies=("fruit",))

    got = packager("pack", "--byte-code", cwd=root)

    assert got.code == 0, got.err
    assert "3 of them have no byte code" in got.err
    assert "Warning" not in got.err
    inside = members(artifact(root / "dist", "environment"))
    assert {Path(name).name.partition(".")[0] for name in inside if name.endswith(".pyc")} == {
        "__init__",
        "warns",
        "old",
    }
    assert all(f"lib/python3.11/site-packages/{name}" in inside for name in files)


def test_packed_again_nothing_is_compiled_and_the_bytes_are_the_same(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wheel("fruit", files={"fruit/__init__.py": MODULE, "fruit/tree.py": MODULE})
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    first = packager("pack", "--byte-code", cwd=root)
    assert "Compiling" in first.err
    before = artifact(root / "dist", "environment").read_bytes()
    again = packager("pack", "--byte-code", "--out", "other", cwd=root)
    assert "Compiling" not in again.err
    assert artifact(root / "other", "environment").read_bytes() == before
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "another store"))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    elsewhere = packager("pack", "--byte-code", "--out", "third", cwd=root)
    assert "Compiling" in elsewhere.err
    assert artifact(root / "third", "environment").read_bytes() == before
    without = packager("pack", "--out", "fourth", cwd=root)
    assert without.code == 0
    assert not any(n.endswith(".pyc") for n in members(artifact(root / "fourth", "environment")))


@pytest.mark.parametrize("python", sorted(INTERPRETERS))
def test_same_modules_same_bytes_whatever_else_a_process_compiled(
    tmp_path: Path, python: str
) -> None:
    """Byte code tells of shared names, and what a process has seen before must not be told."""
    wheels = [
        make_wheel(tmp_path, name, files={f"{name}/__init__.py": MODULE + text})
        for name, text in (
            ("fruit", "def f(path, name='{'): return path, name, 'x', {'b', 'a', 'join'}\n"),
            ("seed", "import os\npath = '{'\nname = 'x'\njoin = os.path\n" * 20),
            ("tree", "# coding: latin-1\n__slots__ = ('path', 'name', 'join', 'x')\n"),
        )
    ]

    def made(number: int, processes: int, *, order: int) -> dict[str, bytes]:
        said: list[str] = []
        store = Store(root=tmp_path / f"store{number}", fetcher=Fetcher(), say=said.append)
        compiler = HostByteCompiler(
            env=os.environ, binary="", store=store, say=said.append, processes=processes
        )
        compiler.known[python] = Interpreter(path=INTERPRETERS[python], version=f"{python}.1")
        stored = [store.admit(wheel) for wheel in wheels][::order]
        parts = [store.installed(wheel, APP_LAYOUT) for wheel in stored]
        found = {}
        layer = Layer(kind="app", name="", members=(), files=(), key="", wheels=parts)
        for part in with_byte_code(layer, python, compiler).wheels:
            data = part.wheel.path.read_bytes()
            for member in part.members:
                assert isinstance(member, Span)
                if member.path.endswith(".pyc"):
                    found[member.path] = data[member.offset : member.offset + member.length]
        return found

    one = made(1, 1, order=1)
    assert len(one) == 3
    assert one == made(2, 1, order=-1) == made(3, 3, order=1)


def test_without_a_python_of_the_version_the_error_says_how_to_get_one(
    packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_project(tmp_path / "project", tool='release = "emr-6.15.0"\nbyte-code = true\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))

    got = packager("pack", cwd=root)

    assert got.code == 3
    what, why, fix = got.error
    assert what == "byte code needs a Python 3.7, and this machine has none"
    assert why
    assert fix.startswith("uv python install 3.7")
    assert not (root / "dist").exists()


def test_what_calls_itself_another_python_is_not_taken(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho {sys.executable}\n")
    uv.chmod(0o755)
    store = Store(root=tmp_path / "store", fetcher=Fetcher(), say=print)
    compiler = HostByteCompiler(env=os.environ, binary=str(uv), store=store, say=print, own=None)
    assert compiler.version(OWN) == platform.python_version()
    with pytest.raises(ToolError, match="needs a Python 3.7"):
        compiler.version("3.7")


def test_a_python_is_looked_for_once_as_long_as_it_is_the_same(tmp_path: Path) -> None:
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.symlink_to(sys.executable)
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho >> {calls}\necho {python}\n")
    uv.chmod(0o755)
    store = Store(root=tmp_path / "store", fetcher=Fetcher(), say=print)

    def version(env: dict[str, str]) -> str:
        compiler = HostByteCompiler(env=env, binary=str(uv), store=store, say=print, own=None)
        return compiler.version(OWN)

    env = {"PATH": os.environ["PATH"]}
    assert version(env) == version(env) == platform.python_version()
    assert len(calls.read_text()) == 1
    version({**env, "UV_PYTHON_INSTALL_DIR": "/elsewhere"})
    assert len(calls.read_text()) == 2
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert version(env) == platform.python_version()
    assert len(calls.read_text()) == 3


def flipped(data: bytes) -> bytes:
    return bytes([*data[:-1], data[-1] ^ 1])


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], flipped], ids=["cut", "flipped"])
def test_a_damaged_store_compiles_anew(
    packager: Command, index: Index, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    index.wheel("fruit", files={"fruit/__init__.py": MODULE})
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    assert packager("pack", "--byte-code", cwd=root).code == 0
    before = artifact(root / "dist", "environment").read_bytes()
    kept = sorted((tmp_path / "store" / "byte-code").glob("*/*"))
    assert len(kept) == 4
    for path in kept:
        path.write_bytes(spoil(path.read_bytes()))
    got = packager("pack", "--byte-code", "--out", "again", cwd=root)
    assert "Compiling" in got.err
    assert artifact(root / "again", "environment").read_bytes() == before


def test_files_of_a_folder_and_a_single_archive_get_byte_code_too(
    packager: Command, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    (root / "jobs").mkdir(parents=True)
    (root / "jobs" / "daily.py").write_text(MODULE)
    (root / "pyproject.toml").write_text(
        '[tool.packager]\nrelease = "emr-7.13.0"\nbyte-code = true\nlayout = "single"\n'
    )
    got = packager("pack", cwd=root)
    assert got.code == 0, got.err
    site = environment_layout(TARGET).site("")
    inside = members(artifact(root / "dist", "environment"))
    assert code_path(f"{site}jobs/daily.py", "3.11") in inside


def test_a_package_that_reads_its_own_tests_works_as_long_as_they_are_not_left_out(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    files = {
        "fruit/__init__.py": "from fruit.tests.test_fruit import SWEET\n",
        "fruit/__init__.pyi": "SWEET: bool\n",
        "fruit/tests/__init__.py": "",
        "fruit/tests/test_fruit.py": "SWEET = True\n",
    }
    index.wheel("fruit", files=files)
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    said = {}
    for options in (
        (),
        ("--byte-code",),
        ("--slim", "stubs"),
        ("--slim", "stubs", "--slim", "tests"),
    ):
        out = "-".join(("dist", *options)).replace("--", "")
        got = packager("pack", "--out", out, *options, cwd=root)
        assert got.code == 0, got.err
        tree = unpacked(artifact(root / out, "environment"), tmp_path / out)
        site = tree / "lib/python3.11/site-packages"
        assert (site / "fruit" / "__init__.pyi").exists() is ("stubs" not in options)
        said[options] = imported(sys.executable, site, "import fruit; print('is', fruit.SWEET)")
    *working, broken = said.values()
    assert all("is True" in text for text in working)
    assert "No module named 'fruit.tests.test_fruit'" in broken


def test_a_wrong_name_ends_with_2_and_the_nearest(packager: Command, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    got = packager("pack", "--slim", "stub", cwd=root)
    assert got.code == 2
    assert "perhaps 'stubs'" in got.error[1]
