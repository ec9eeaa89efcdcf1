"""What of a CPython build becomes a layer."""

import io
import runpy
import site
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from packager.errors import ConfigError
from packager.standalone import SOURCE, read_build, start_members
from packager.tarball import Content, Symlink, TarMember
from tests.archives import Entry, file, hardlink, symlink
from tests.pythons import BUILD_KEPT, build_entries, make_build


def read(
    folder: Path, entries: Sequence[Entry], *, python: str = "3.12", top: str = "python/"
) -> dict[str, TarMember]:
    path = make_build(folder / "build.tar.gz", entries, top=top)
    with path.open("rb") as stream:
        return {member.path: member for member in read_build(stream, path.name, python)}


@pytest.mark.parametrize("top", ["python/", "python/install/", ""])
def test_a_layer_has_what_jobs_may_need_and_nothing_else(tmp_path: Path, top: str) -> None:
    assert sorted(read(tmp_path, build_entries(), top=top)) == sorted(BUILD_KEPT)


def test_modes_are_those_of_a_layer_and_links_stay_links(tmp_path: Path) -> None:
    found = read(tmp_path, [*build_entries(), file("lib/libodd.so", b"x", 0o700)])
    assert found["bin/python"] == Symlink(path="bin/python", link="python3.12")
    assert found["lib/libodd.so"] == Content(path="lib/libodd.so", mode=0o755, data=b"x")
    encodings = found["lib/python3.12/encodings/__init__.py"]
    assert isinstance(encodings, Content)
    assert (encodings.mode, encodings.data) == (0o644, b"# all of them\n")


def test_hard_links_become_relative_ones(tmp_path: Path) -> None:
    path = "lib/python3.12/encodings/again.py"
    link = hardlink(path, "python/lib/python3.12/encodings/__init__.py")
    found = read(tmp_path, [*build_entries(), link])
    assert found[path] == Symlink(path=path, link="__init__.py")


def test_links_to_what_is_left_out_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, [*build_entries(), symlink("lib/python3.12/it.py", "idlelib/idle.py")])
    assert "lib/python3.12/it.py" not in found


@pytest.mark.parametrize(
    "entry",
    [
        symlink("lib/libssl.so.3", "/usr/lib/libssl.so.3"),
        symlink("lib/libssl.so.3", "../../libssl.so.3"),
        Entry(path="lib/pipe", type=b"6"),
    ],
)
def test_what_leads_out_of_a_build_is_refused(tmp_path: Path, entry: Entry) -> None:
    with pytest.raises(ConfigError, match="can not be unpacked elsewhere") as caught:
        read(tmp_path, [*build_entries(), entry])
    assert entry.path in caught.value.why


@pytest.mark.parametrize(
    ("entries", "python"),
    [(build_entries(), "3.13"), (build_entries()[:10], "3.12"), ((), "3.12")],
)
def test_an_archive_that_is_no_build_is_refused(
    tmp_path: Path, entries: Sequence[Entry], python: str
) -> None:
    with pytest.raises(ConfigError, match=rf"is not a standalone build of Python {python}"):
        read(tmp_path, entries, python=python)


@pytest.mark.parametrize("cut", [0, 10, -200])
def test_a_damaged_archive_is_refused(tmp_path: Path, cut: int) -> None:
    data = make_build(tmp_path / "build.tar.gz", build_entries()).read_bytes()[:cut]
    with pytest.raises(ConfigError, match=r"build.tar.gz can not be read"):
        list(read_build(io.BytesIO(data), "build.tar.gz", "3.12"))


def test_every_start_imports_one_module() -> None:
    start, module, lib64 = start_members("3.12")
    assert isinstance(start, Content)
    assert start.data == b"import packager_python\n"
    assert module.path == "lib/python3.12/site-packages/packager_python.py"
    assert lib64 == Symlink(path="lib64", link="lib")


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module as it lies on disk, in an interpreter that lies in `python`."""
    script = tmp_path / "packager_python.py"
    script.write_text(SOURCE, encoding="utf-8")
    prefix = str(tmp_path / "environment" / "bin" / ".." / ".." / "python")
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, prefix)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return script


def test_the_start_adds_the_environment_beside_it(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    monkeypatch.setattr(site, "addsitedir", added.append)
    runpy.run_path(str(start))
    packages = "lib/python{}.{}/site-packages".format(*sys.version_info)
    assert added == [str(start.parent / "environment" / packages)]
    assert sys.prefix == sys.base_prefix == sys.exec_prefix == str(start.parent / "python")


def test_an_interpreter_within_the_environment_adds_nothing(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    monkeypatch.setattr(site, "addsitedir", added.append)
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(start.parent / "environment"))
    runpy.run_path(str(start))
    assert added == []
