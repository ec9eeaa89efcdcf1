"""Real libraries without symbols: what a compiler makes of C, loaded and asked."""

import ctypes
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from packager.elf import Elf
from packager.elfreader import read_elf
from packager.elfstrip import without_symbols
from tests.command import Command
from tests.index import Index
from tests.integration.test_byte_code import imported, unpacked
from tests.integration.test_pack import artifact, make_project

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc"),
]

SOURCE = r"""
#include <math.h>
#include <stdio.h>
static __thread int calls = 40;
static const char *names[] = {"apple", "pear", "plum"};
static int (*print)(char *, size_t, const char *, ...) = snprintf;
__attribute__((constructor)) static void begin(void) { calls++; }
static int hidden(int n) { return n < 2 ? n : hidden(n - 1) + hidden(n - 2); }
int fib(int n) { calls++; return hidden(n); }
int called(void) { return calls; }
double root(double x) { return sqrt(x) + cbrt(x); }
const char *name(int i) { static char text[40]; print(text, 40, "%s %d", names[i], i); return text; }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("library")
    (folder / "fruit.c").write_text(SOURCE)
    command = ["gcc", "-g3", "-O1", "-shared", "-fPIC", "-Wl,-soname,libfruit.so.1"]
    subprocess.run([*command, "-o", "fruit.so", "fruit.c", "-lm"], cwd=folder, check=True)
    return (folder / "fruit.so").read_bytes()


def answers(path: Path) -> tuple[object, ...]:
    loaded = ctypes.CDLL(str(path))
    loaded.root.restype, loaded.root.argtypes = ctypes.c_double, [ctypes.c_double]
    loaded.name.restype = ctypes.c_char_p
    return (loaded.fib(20), loaded.called(), loaded.root(2.0), loaded.name(2))


def data(elf: ELFFile, name: str) -> bytes:
    section = elf.get_section_by_name(name)
    assert section is not None
    return section.data()


def test_a_library_is_smaller_and_gives_the_same_answers(library: bytes, tmp_path: Path) -> None:
    less = without_symbols(library)
    assert less is not None
    assert len(less) < len(library) / 2
    (tmp_path / "whole.so").write_bytes(library)
    (tmp_path / "less.so").write_bytes(less)
    assert answers(tmp_path / "less.so") == answers(tmp_path / "whole.so")
    assert answers(tmp_path / "less.so")[0] == 6765


def test_a_library_is_observed_as_before_and_lacks_what_it_is_to_lack(library: bytes) -> None:
    less = without_symbols(library)
    assert less is not None
    seen = read_elf(io.BytesIO(less))
    assert isinstance(seen, Elf)
    assert seen == read_elf(io.BytesIO(library))
    assert seen.soname == "libfruit.so.1"
    before, after = ELFFile(io.BytesIO(library)), ELFFile(io.BytesIO(less))
    kept = {section.name for section in after.iter_sections()}
    assert not kept & {".symtab", ".strtab", ".comment", ".debug_info"}
    for section in before.iter_sections():
        if section.name in kept - {"", ".shstrtab"}:
            assert data(after, section.name) == section.data()
            assert after.get_section_index(section.name) == before.get_section_index(section.name)


def test_a_packed_library_works_without_symbols(
    packager: Command, index: Index, library: bytes, tmp_path: Path
) -> None:
    code = (
        "import ctypes, pathlib\n"
        "FIB = ctypes.CDLL(str(pathlib.Path(__file__).parent / 'fruit.so')).fib(20)\n"
    )
    index.wheel("fruit", files={"fruit/__init__.py": code, "fruit/fruit.so": library})
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    site = "lib/python3.11/site-packages"
    found = {}
    for out, options in (("whole", ()), ("less", ("--slim", "symbols", "--byte-code"))):
        got = packager("pack", "--out", f"../{out}", *options, cwd=root)
        assert got.code == 0, got.err
        found[out] = (
            unpacked(artifact(tmp_path / out, "environment"), tmp_path / f"in-{out}") / site
        )
    said = imported("python3", found["less"], "import fruit; print('is', fruit.FIB)")
    assert "is 6765" in said
    size = {out: (found[out] / "fruit" / "fruit.so").stat().st_size for out in found}
    assert size["less"] < size["whole"] / 2
    record = (found["less"] / "fruit-1.0.dist-info" / "RECORD").read_text()
    assert f",{size['less']}\n" in record
