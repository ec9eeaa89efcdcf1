"""Wheels, sound and broken: what is read of them, where their files go, what RECORD then says."""

import ast
import base64
import csv
import hashlib
import io
import os
import posixpath
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager import wheels
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.environment import APP_LAYOUT, environment_layout
from packager.errors import ConfigError, ExitCode
from packager.lockfiles import Pin
from packager.tarball import EXECUTABLE_MODE, FILE_MODE, Content, Span, Stored, plan, write
from packager.wheels import INFLATE_CHUNK, Layout, inflate, installed, read_wheel
from tests.archives import SITE, TARGET, held
from tests.index import make_wheel

ENVIRONMENT = environment_layout(TARGET)
NAME = "foo-1.0-py3-none-any.whl"
INFO = "foo-1.0.dist-info"
BINARY = b"\x7fELF" + bytes(range(256)) * 300

FILES: dict[str, bytes | str] = {
    "foo/__init__.py": "def main():\n    print('foo')\n" * 40,
    "foo/empty.py": "",
    "foo/lib.so": BINARY,
    "foo/weights.bin": BINARY[4:],
    "foo/ünïcode with blanks.txt": "ü",
    "foo-nspkg.pth": "import sys\n",
    "foo-1.0.data/purelib/foo/pure.py": "PURE = 1\n",
    "foo-1.0.data/platlib/foo/plat.py": "PLAT = 1\n",
    "foo-1.0.data/scripts/foo-script": "#!python\nprint('script')\n",
    "foo-1.0.data/scripts/foo-shell": "#!/bin/sh\necho shell\n",
    "foo-1.0.data/scripts/foo-binary": BINARY,
    "foo-1.0.data/headers/foo.h": "#define FOO\n",
    "foo-1.0.data/headers/sub/bar.h": "#define BAR\n",
    "foo-1.0.data/data/share/foo/data.txt": "data\n",
    "foo-1.0.data/data/etc/foo.conf": "conf\n",
}
POINTS = {"foo": "foo:main", "foo-cli": "foo.cli:app.run [extra]"}


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """A wheel with everything that the format knows."""
    return make_wheel(
        tmp_path / "wheels",
        "foo",
        files=FILES,
        tag="cp311-cp311-manylinux_2_17_x86_64",
        entry_points=POINTS,
        executable=("foo/lib.so",),
        stored=("foo/weights.bin", "foo-1.0.data/headers/foo.h"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    mode: int
    data: bytes


def tree(path: Path, layout: Layout = ENVIRONMENT) -> dict[str, File]:
    """The files of the wheel as they are after packing and unpacking."""
    with path.open("rb") as file, (path.parent / "out.tar.gz").open("w+b") as out:
        wheel = read_wheel(file, path.name)
        write([(plan(installed(wheel, file, layout)), held(file))], out)
        out.seek(0)
        with tarfile.open(fileobj=out, mode="r:gz") as tar:
            return {m.name: File(mode=m.mode, data=_data(tar, m)) for m in tar}


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    assert content is not None
    return content.read()


def record_rows(files: dict[str, File], site: str) -> dict[str, tuple[str, str]]:
    """RECORD's rows, by path in the archive."""
    text = files[posixpath.join(site, INFO, "RECORD")].data.decode()
    rows = [
        (posixpath.normpath(posixpath.join(site, name)), (digest, size))
        for name, digest, size in csv.reader(io.StringIO(text))
    ]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def signed(data: bytes) -> tuple[str, str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}", str(len(data))


@pytest.mark.parametrize(
    ("layout", "site"), [(ENVIRONMENT, SITE), (APP_LAYOUT, "")], ids=["environment", "app"]
)
def test_every_installed_file_is_in_record_with_its_hash(
    rich: Path, layout: Layout, site: str
) -> None:
    files = tree(rich, layout)
    own = posixpath.join(site, INFO, "RECORD")
    expected = {path: signed(file.data) for path, file in files.items()} | {own: ("", "")}
    assert record_rows(files, site) == expected


def test_every_file_goes_where_its_scheme_says(rich: Path) -> None:
    files = tree(rich)
    headers = "include/site/python3.11/foo"
    for path, source, mode in [
        (f"{SITE}/foo/__init__.py", "foo/__init__.py", FILE_MODE),
        (f"{SITE}/foo/empty.py", "foo/empty.py", FILE_MODE),
        (f"{SITE}/foo/lib.so", "foo/lib.so", EXECUTABLE_MODE),
        (f"{SITE}/foo/weights.bin", "foo/weights.bin", FILE_MODE),
        (f"{SITE}/foo-nspkg.pth", "foo-nspkg.pth", FILE_MODE),
        (f"{SITE}/foo/pure.py", "foo-1.0.data/purelib/foo/pure.py", FILE_MODE),
        (f"{SITE}/foo/plat.py", "foo-1.0.data/platlib/foo/plat.py", FILE_MODE),
        ("bin/foo-shell", "foo-1.0.data/scripts/foo-shell", EXECUTABLE_MODE),
        ("bin/foo-binary", "foo-1.0.data/scripts/foo-binary", EXECUTABLE_MODE),
        (f"{headers}/foo.h", "foo-1.0.data/headers/foo.h", FILE_MODE),
        (f"{headers}/sub/bar.h", "foo-1.0.data/headers/sub/bar.h", FILE_MODE),
        ("share/foo/data.txt", "foo-1.0.data/data/share/foo/data.txt", FILE_MODE),
        ("etc/foo.conf", "foo-1.0.data/data/etc/foo.conf", FILE_MODE),
    ]:
        data = FILES[source]
        expected = data if isinstance(data, bytes) else data.encode()
        assert files[path] == File(mode=mode, data=expected), path
    assert {p for p in files if p.startswith("bin/")} == {
        f"bin/{name}" for name in ("foo", "foo-cli", "foo-script", "foo-shell", "foo-binary")
    }
    assert list(files) == sorted(files)


def test_all_else_is_as_the_reference_installer_does_it(rich: Path, tmp_path: Path) -> None:
    import installer
    from installer.destinations import SchemeDictionaryDestination
    from installer.sources import WheelFile

    root = tmp_path / "installed"
    schemes = {
        "purelib": str(root / SITE),
        "platlib": str(root / SITE),
        "headers": str(root / "include/site/python3.11/foo"),
        "scripts": str(root / "bin"),
        "data": str(root),
    }
    destination = SchemeDictionaryDestination(schemes, "/usr/bin/python3", "posix")
    with WheelFile.open(rich) as source:
        installer.install(source, destination, {})
    theirs = {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}
    ours = tree(rich)
    assert ours.keys() == theirs.keys()
    rewritten = {"bin/foo", "bin/foo-cli", "bin/foo-script", f"{SITE}/{INFO}/RECORD"}
    for path in theirs.keys() - rewritten:
        assert ours[path].data == theirs[path].read_bytes(), path
        # It trusts the zip, where the bit is often missing; of what use is such a script?
        executable = theirs[path].stat().st_mode & stat.S_IXUSR or path.startswith("bin/")
        assert ours[path].mode == (EXECUTABLE_MODE if executable else FILE_MODE), path
    their_files = {p: File(mode=0, data=theirs[p].read_bytes()) for p in theirs}
    our_rows, their_rows = record_rows(ours, SITE), record_rows(their_files, SITE)
    assert our_rows.keys() == their_rows.keys()
    for path in our_rows.keys() - rewritten:
        assert our_rows[path] == their_rows[path], path


def test_only_what_changes_is_inflated(rich: Path) -> None:
    with rich.open("rb") as file:
        members = tuple(installed(read_wheel(file, rich.name), file, ENVIRONMENT))
    assert {m.path for m in members if isinstance(m, Content)} == {
        "bin/foo",
        "bin/foo-cli",
        "bin/foo-script",
        f"{SITE}/{INFO}/RECORD",
        # Stored in the wheel; they are compressed here.
        f"{SITE}/foo/weights.bin",
        "include/site/python3.11/foo/foo.h",
    }
    assert all(isinstance(m, Content | Span) for m in members)


def test_a_plain_wheel_is_copied_with_its_record(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", files={"foo.py": "x = 1\n"})
    with path.open("rb") as file:
        members = tuple(installed(read_wheel(file, path.name), file, ENVIRONMENT))
    assert [(type(m), m.path) for m in members] == [
        (Span, f"{SITE}/foo-1.0.dist-info/METADATA"),
        (Span, f"{SITE}/foo-1.0.dist-info/RECORD"),
        (Span, f"{SITE}/foo-1.0.dist-info/WHEEL"),
        (Span, f"{SITE}/foo.py"),
    ]


def test_stored_files_are_compressed_while_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "COMPRESSED_IN_MEMORY", 2500)
    names = ("a", "b", "c", "d")
    sizes = {"a": 1000, "b": 2000, "c": 1500, "d": 1}
    path = make_wheel(tmp_path, "foo", files={n: bytes(sizes[n]) for n in names}, stored=names)
    with path.open("rb") as file:
        members = installed(read_wheel(file, path.name), file, APP_LAYOUT)
        kinds = {m.path: type(m) for m in members if m.path in names}
    assert kinds == {"a": Content, "b": Stored, "c": Content, "d": Stored}
    assert {n: len(file.data) for n, file in tree(path, APP_LAYOUT).items() if n in names} == sizes


STARTER = b"""'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"\n' '''"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"#!python\nimport x\n", b"#!/bin/sh\n%b\nimport x\n"),
        (b"#!pythonw\r\nimport x\r\n", b"#!/bin/sh\n%b\nimport x\r\n"),
        (b"#!python3 -u\nimport x", b"#!/bin/sh\n%b\nimport x"),
        (b"#!python", b"#!/bin/sh\n%b\n"),
        (
            b"#!python\n# -*- coding: latin-1 -*-\n\n # \xfc\nx = '\xfc'\n",
            b"#!/bin/sh\n# -*- coding: latin-1 -*-\n\n # \xfc\n%b\nx = '\xfc'\n",
        ),
        (
            b"#!python\n\n'''Usage.'''\nfrom __future__ import annotations\n",
            b"#!/bin/sh\n\n%b '''Usage.'''\nfrom __future__ import annotations\n",
        ),
        (
            b'#!python\nr"\\d"\nfrom __future__ import annotations\n',
            b'#!/bin/sh\n%b r"\\d"\nfrom __future__ import annotations\n',
        ),
        (b"#!/usr/bin/env python\nprint()\n", b"#!/usr/bin/env python\nprint()\n"),
        (b"import x\n", b"import x\n"),
        (b"", b""),
    ],
)
def test_the_first_line_of_scripts_is_replaced_if_it_is_for_python(
    tmp_path: Path, script: bytes, expected: bytes
) -> None:
    files: dict[str, bytes | str] = {"foo-1.0.data/scripts/x": script}
    got = tree(make_wheel(tmp_path, "foo", files=files))["bin/x"]
    assert got == File(mode=EXECUTABLE_MODE, data=expected.replace(b"%b", STARTER))
    compile(got.data, "x", "exec")


@pytest.mark.parametrize(
    ("layout", "python"), [(ENVIRONMENT, "python"), (APP_LAYOUT, "../../environment/bin/python")]
)
def test_entry_points_become_scripts_that_the_oldest_python_reads(
    rich: Path, layout: Layout, python: str
) -> None:
    script = tree(rich, layout)["bin/foo-cli"].data.decode()
    assert script == (
        "#!/bin/sh\n"
        f"""'''exec' "$(dirname -- "$(realpath -- "$0")")/{python}" "$0" "$@"\n' '''\n"""
        "import sys\n"
        "from foo.cli import app\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(app.run())\n"
    )
    ast.parse(script, feature_version=(3, 7))


def test_gui_scripts_and_names_in_any_case_are_read(tmp_path: Path) -> None:
    text = "[gui_scripts]\nWin-App = foo : run\n[console_scripts]\na.b=foo.x:y.z\n[other]\nq=1\n"
    path = make_wheel(tmp_path, "foo", files={f"{INFO}/entry_points.txt": text})
    with path.open("rb") as file:
        wheel = read_wheel(file, path.name)
    assert wheel.entry_points == (("a.b", "foo.x:y.z"), ("Win-App", "foo:run"))


def test_record_lists_a_script_even_if_nothing_else_is_new(tmp_path: Path) -> None:
    files = tree(make_wheel(tmp_path, "foo", entry_points={"foo": "foo:main"}))
    assert record_rows(files, SITE)["bin/foo"] == signed(files["bin/foo"].data)


def test_an_entry_point_wins_over_a_script_of_its_name(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"foo-1.0.data/scripts/foo": "#!python\nold\n"}
    files_there = tree(make_wheel(tmp_path, "foo", files=files, entry_points={"foo": "foo:main"}))
    assert b"from foo import main" in files_there["bin/foo"].data
    assert record_rows(files_there, SITE)["bin/foo"] == signed(files_there["bin/foo"].data)


def test_names_with_commas_and_quotes_stay_one_field_of_record(tmp_path: Path) -> None:
    names = ("a, b.py", 'say "hi".py', "foo-1.0.data/data/c,d.txt")
    rows = "".join('"{}",sha256=x,1\r\n'.format(name.replace('"', '""')) for name in names)
    path = tmp_path / NAME
    record = Raw(name=f"{INFO}/RECORD", data=f"{rows}{INFO}/RECORD,,\r\n".encode())
    path.write_bytes(raw_zip(WHEEL, record, *(Raw(name=name, data=b"x") for name in names)))
    assert record_rows(tree(path), SITE) == {
        f"{SITE}/a, b.py": ("sha256=x", "1"),
        f'{SITE}/say "hi".py': ("sha256=x", "1"),
        "c,d.txt": ("sha256=x", "1"),
        f"{SITE}/{INFO}/RECORD": ("", ""),
    }


# What is wrong with a wheel. A zip made by hand, since zipfile refuses to write most of it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """An entry with whatever a zip's directory may claim of it."""

    name: str | bytes
    data: bytes = b""
    stream: bytes | None = None
    """Its bytes in the zip; `data` deflated if not given."""
    size: int | None = None
    crc: int | None = None
    method: int = zipfile.ZIP_DEFLATED
    flags: int = 0x800  # names are UTF-8
    mode: int = 0o100644
    inside: int | None = None
    """The number of the entry whose bytes this one claims as its own."""
    at: int | None = None
    """Where the directory says that it is, if that is not true."""


def deflated(data: bytes, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def stored_blocks(data: bytes) -> bytes:
    """A deflate stream without compression."""
    blocks = [data[start : start + 65_535] for start in range(0, len(data), 65_535)]
    return b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block
        for block in blocks
    )


def raw_zip(*entries: Raw, comment: bytes = b"") -> bytes:
    body, directory, offsets = bytearray(), bytearray(), list[int]()
    for entry in entries:
        name = entry.name.encode() if isinstance(entry.name, str) else entry.name
        stream = deflated(entry.data) if entry.stream is None else entry.stream
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        fields = struct.pack("<HHHH", entry.flags, entry.method, 0, 33)
        fields += struct.pack("<IIIHH", crc, len(stream), size, len(name), 0)
        offsets.append(len(body) if entry.inside is None else offsets[entry.inside])
        if entry.inside is None:
            body += b"PK\x03\x04" + struct.pack("<H", 20) + fields + name + stream
        attributes = struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, entry.at or offsets[-1])
        directory += b"PK\x01\x02" + struct.pack("<HH", 788, 20) + fields + attributes + name
    end = struct.pack(
        "<HHHHIIH", 0, 0, *[len(entries)] * 2, len(directory), len(body), len(comment)
    )
    return bytes(body + directory + b"PK\x05\x06" + end + comment)


WHEEL = Raw(name=f"{INFO}/WHEEL", data=b"Wheel-Version: 1.0\n")
RECORD = Raw(name=f"{INFO}/RECORD", data=b"foo.py,,\n")
SOUND = (WHEEL, RECORD)


def with_file(**fields: object) -> bytes:
    return raw_zip(*SOUND, Raw(**{"name": "foo.py", "data": b"x = 1\n" * 9, **fields}))  # type: ignore[arg-type]


def with_points(text: str) -> bytes:
    return raw_zip(*SOUND, Raw(name=f"{INFO}/entry_points.txt", data=text.encode()))


GOOD = with_file()
STREAM = deflated(b"x = 1\n" * 9)
SIGNATURE = b"PK\x03\x04"
SIGNED = raw_zip(*SOUND, Raw(name="x", at=1), comment=SIGNATURE)
EXACT = bytes(INFLATE_CHUNK - 5 * -(-INFLATE_CHUNK // 65_540))
"""As many as make a stream of one chunk, with the five bytes of each stored block."""
UNSAFE = ("../x", "a/../../x", "/etc/x", "a\\b", "C:/x", "c:x", "a//b", "./a", ".", "", "a\0b")

BROKEN: dict[str, tuple[bytes, str]] = {
    "not a zip": (b"PK, but no zip", "File is not a zip file"),
    "empty": (b"", "File is not a zip file"),
    "its end is missing": (GOOD[:-30], "File is not a zip file"),
    "its begin is missing": (GOOD[40:], "the local header of "),
    "its middle is missing": (GOOD[:60] + GOOD[90:], "the local header of "),
    "an entry where none is": (with_file(at=10), "the local header of foo.py is missing"),
    "an entry that is cut": (
        raw_zip(*SOUND, Raw(name="x", at=len(SIGNED) - 4), comment=SIGNATURE),
        "the local header of x is missing",
    ),
    **{f"named {name!r}": (with_file(name=name), "is not safe") for name in UNSAFE},
    "a name that is not UTF-8": (with_file(name=b"\xff.py"), "codec can't decode"),
    "twice the same": (
        raw_zip(*SOUND, Raw(name="foo.py"), Raw(name="foo.py")),
        "it has two entries 'foo.py'",
    ),
    "one inside the other": (
        raw_zip(*SOUND, Raw(name="a.py", data=b"a"), Raw(name="b.py", data=b"a", inside=2)),
        "b.py lies inside another",
    ),
    "a wrong CRC": (with_file(crc=1), "foo.py does not have the size and CRC"),
    "a size too small": (with_file(size=53), "foo.py is larger than"),
    "a size too great": (with_file(size=55), "foo.py does not have the size and CRC"),
    "a bomb": (
        with_file(stream=deflated(bytes(8 << 20)), size=10),
        "foo.py is larger than the wheel's directory says",
    ),
    "a stored size too small": (
        with_file(method=0, stream=b"x = 1\n" * 9, size=53),
        "foo.py is larger than",
    ),
    "damaged data": (with_file(stream=b"\xff" + STREAM[1:]), "the data of foo.py are damaged"),
    "a stream that ends early": (with_file(stream=STREAM + b"late"), "foo.py end elsewhere"),
    "a stream that ends far too early": (
        with_file(stream=STREAM + bytes(2 * INFLATE_CHUNK)),
        "the data of foo.py end elsewhere",
    ),
    "a stream that ends early with a chunk": (
        with_file(data=EXACT, stream=stored_blocks(EXACT) + b"late"),
        "the data of foo.py end elsewhere",
    ),
    "a stream that does not end": (with_file(stream=STREAM[:-1]), "foo.py end elsewhere"),
    "no stream at all": (with_file(stream=b"", data=b""), "foo.py end elsewhere"),
    "data beyond the end": (
        with_file(method=0, stream=b"x = 1\n" * 9, name="a.py")[:60],
        "File is not a zip file",
    ),
    "encrypted": (with_file(flags=0x801), "foo.py is encrypted"),
    "bzip2": (with_file(method=12), "foo.py is compressed by method 12, not deflate"),
    "lzma": (with_file(method=14), "foo.py is compressed by method 14, not deflate"),
    "deflate64": (with_file(method=9), "foo.py is compressed by method 9, not deflate"),
    "zstd": (with_file(method=93), "foo.py is compressed by method 93, not deflate"),
    **{
        f"METADATA of {inside}": (
            raw_zip(*SOUND, Raw(name=f"{INFO}/METADATA", data=text)),
            f"its METADATA is that of {inside}",
        )
        for inside, text in {
            "bar 1.0": b"Name: bar\nVersion: 1.0\n",
            "foo 1.1": b"Name: foo\r\nVersion: 1.1\r\n\r\nVersion: 1.0\r\n",
            "no name without a version": b"Summary: x\n\nName: foo\nVersion: 1.0\n",
            "foo x": b"Name: foo\nVersion: x\n",
        }.items()
    },
    "a symbolic link": (with_file(mode=0o120777), "foo.py is a symbolic link"),
    "no RECORD": (raw_zip(WHEEL), f"{INFO}/RECORD is missing"),
    "no WHEEL": (raw_zip(RECORD), f"{INFO}/WHEEL is missing"),
    "a WHEEL without a version": (
        raw_zip(RECORD, Raw(name=f"{INFO}/WHEEL", data=b"Tag: x\n")),
        "the major version of its format is none",
    ),
    "a format of the future": (
        raw_zip(RECORD, Raw(name=f"{INFO}/WHEEL", data=b"Generator: x\nWheel-Version: 2.0\n")),
        "the major version of its format is 2, only 1 is known",
    ),
    "a compressed WHEEL by bzip2": (
        raw_zip(RECORD, Raw(name=f"{INFO}/WHEEL", method=12)),
        f"{INFO}/WHEEL is compressed by method 12",
    ),
    "an endless WHEEL": (
        raw_zip(RECORD, Raw(name=f"{INFO}/WHEEL", data=b"", size=65 << 20)),
        f"{INFO}/WHEEL has 68157440 bytes, too many",
    ),
    "no .dist-info": (raw_zip(Raw(name="foo.py")), "of foo; found: none"),
    "another's .dist-info": (
        raw_zip(Raw(name="bar-1.0.dist-info/WHEEL")),
        "of foo; found: bar-1.0.dist-info",
    ),
    "two .dist-info": (
        raw_zip(*SOUND, Raw(name="Foo-2.0.dist-info/WHEEL")),
        "of foo; found: Foo-2.0.dist-info, foo-1.0.dist-info",
    ),
    "an unknown scheme": (
        with_file(name="foo-1.0.data/lib/x"),
        "'lib' is not a scheme of .data directories",
    ),
    "two that become one": (
        with_file(name=f"foo-1.0.data/purelib/{INFO}/RECORD"),
        f"two of its entries are installed as {SITE}/{INFO}/RECORD",
    ),
    "entry points that are no INI": (with_points("x = y\n"), "entry_points.txt: "),
    "entry points not UTF-8": (
        raw_zip(*SOUND, Raw(name=f"{INFO}/entry_points.txt", data=b"\xff")),
        f"{INFO}/entry_points.txt is not UTF-8",
    ),
    "RECORD not UTF-8": (
        raw_zip(WHEEL, Raw(name=f"{INFO}/RECORD", data=b"\xff"), Raw(name="foo-1.0.data/data/x")),
        f"{INFO}/RECORD is not UTF-8",
    ),
    "RECORD not CSV": (
        raw_zip(
            WHEEL,
            Raw(name=f"{INFO}/RECORD", data=b'"' + b"x" * 140_000),
            Raw(name="foo-1.0.data/data/x"),
        ),
        "RECORD: field larger than field limit",
    ),
    **{
        f"an entry point {name!r}": (
            with_points(f"[console_scripts]\n{name} = foo:main\n"),
            "is not the name of a file",
        )
        for name in ("a/b", "../../x", "..", ".", "a\\b")
    },
    **{
        f"an entry point to {reference!r}": (
            with_points(f"[console_scripts]\nx = {reference}\n"),
            "entry point 'x' is not `module:function`",
        )
        for reference in ("foo", "foo:", ":main", "1foo:main", "foo:a;b", "a:b:c", "foo:a b", "")
    },
}


def admit(data: bytes, folder: Path, filename: str = NAME) -> None:
    """All that is done with a wheel from its arrival to its place in a layer."""
    path = folder / filename
    path.write_bytes(data)
    store = Store(root=folder / "store", fetcher=Fetcher(), say=print)
    store.installed(store.admit(path), ENVIRONMENT)


def test_the_wheel_that_is_broken_below_is_sound(tmp_path: Path) -> None:
    admit(GOOD, tmp_path)


@pytest.mark.parametrize(("data", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_wheel_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, data: bytes, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        admit(data, tmp_path)
    assert caught.value.exit_code == ExitCode.CONFIG
    assert caught.value.what == f"{NAME} is not a sound wheel"
    assert why in caught.value.why
    assert caught.value.why
    assert caught.value.fix
    assert not list((tmp_path / "store" / "tmp").iterdir())


@pytest.mark.parametrize("filename", ["foo.whl", "foo-1.0.whl", "foo-x-py3-none-any.whl"])
def test_a_file_name_that_is_none_of_a_wheel_is_refused(tmp_path: Path, filename: str) -> None:
    with pytest.raises(ConfigError, match=f"{filename} is not a sound wheel"):
        admit(GOOD, tmp_path, filename)


class Mirror(Fetcher):
    """Gives the same bytes for every URL."""

    def download(self, url: str, path: Path, *, size: int | None = None) -> None:  # noqa: ARG002
        assert "secret" in url
        path.write_bytes(GOOD)


def test_a_wheel_of_another_hash_is_told_with_its_place_but_no_credentials(tmp_path: Path) -> None:
    store = Store(root=tmp_path / "store", fetcher=Mirror(), say=print)
    pin = Pin(
        name="foo",
        version="1.0",
        filename=NAME,
        location=f"https://me:secret@example.com/a@b/{NAME}",
        sha256="0" * 64,
        size=None,
    )
    with pytest.raises(ConfigError) as caught:
        store.fetch([pin])
    found = hashlib.sha256(GOOD).hexdigest()
    assert caught.value.what == f"{NAME} does not have the hash that the lock gives"
    assert caught.value.why == (
        f"expected sha256 {pin.sha256}, found {found} at https://example.com/a@b/{NAME}"
    )


def noise(seed: int) -> Iterator[bytes]:
    """A small wheel with some bytes changed, in its directory more often than elsewhere."""
    random_ = random.Random(seed)
    directory = GOOD.index(b"PK\x01\x02")
    for _ in range(15):
        damaged = bytearray(GOOD[: len(GOOD) - random_.choice((0, 0, 0, 1, 9))])
        for _ in range(random_.choice((1, 2, 4))):
            at = random_.randrange(random_.choice((0, directory)), len(damaged))
            damaged[at] = random_.choice((0, 255, damaged[at] ^ 1 << random_.randrange(8)))
        yield bytes(damaged)


def verdict(data: bytes) -> str:
    file = io.BytesIO(data)
    try:
        wheel = read_wheel(file, NAME)
        for entry in wheel.entries:
            content = b"".join(inflate(file, entry, NAME))
            assert (len(content), zlib.crc32(content)) == (entry.size, entry.crc)
        tuple(installed(wheel, file, ENVIRONMENT))
    except ConfigError as error:
        return error.what
    return "sound"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_the_damage_a_wheel_is_sound_or_refused(seed: int) -> None:
    for damaged in noise(seed):
        assert verdict(damaged) in {"sound", f"{NAME} is not a sound wheel"}


@pytest.mark.parametrize("size", [INFLATE_CHUNK + n for n in (-1, 0, 1, 5, 6, 258, 300, 516)])
@pytest.mark.parametrize("level", [1, 9])
def test_a_last_byte_that_holds_much_is_read_to_its_end(size: int, level: int) -> None:
    """zlib had taken all input and still kept output: such files were refused as damaged."""
    stream = deflated(bytes(size), level)
    file = io.BytesIO(raw_zip(*SOUND, Raw(name="foo.py", data=bytes(size), stream=stream)))
    wheel = read_wheel(file, NAME)
    entry = next(e for e in wheel.entries if e.name == "foo.py")
    assert b"".join(inflate(file, entry, NAME)) == bytes(size)


def test_a_stream_may_end_with_a_chunk(tmp_path: Path) -> None:
    stream = stored_blocks(EXACT)
    assert len(stream) == INFLATE_CHUNK
    admit(with_file(data=EXACT, stream=stream), tmp_path)


def test_directories_in_a_wheel_are_left_to_whoever_unpacks(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(raw_zip(*SOUND, Raw(name="foo/", mode=0o040755), Raw(name="foo/x.py")))
    assert set(tree(path)) == {
        f"{SITE}/{p}" for p in (f"{INFO}/RECORD", f"{INFO}/WHEEL", "foo/x.py")
    }


def test_bytes_before_and_after_a_zip_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / NAME
    before, after = os.urandom(100), b"comment"
    commented = GOOD[:-2] + struct.pack("<H", len(after)) + after
    path.write_bytes(before + commented)
    assert tree(path)[f"{SITE}/foo.py"].data == b"x = 1\n" * 9


@pytest.mark.parametrize(
    "text",
    [
        b"Metadata-Version: 2.1\nName: Foo\nVersion: 1\n\nName: bar\n",
        b"Name: foo\r\nAuthor: J\xf6rg\r\nVersion: 1.0.0\r\n",
    ],
)
def test_metadata_is_compared_as_names_and_versions_are(tmp_path: Path, text: bytes) -> None:
    admit(raw_zip(*SOUND, Raw(name=f"{INFO}/METADATA", data=text)), tmp_path)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"foo.py,sha256=AAAA,1\n",
        b"gone.py,,\n../../outside.py,sha256=x,5\nfoo.py,,\n",
    ],
    ids=["lists nothing", "has another hash", "lists what is not there"],
)
def test_a_record_that_lies_changes_no_file(tmp_path: Path, record: bytes) -> None:
    """As with pip and uv: what is installed are the wheel's entries, whose CRCs are right."""
    path = tmp_path / NAME
    path.write_bytes(
        raw_zip(WHEEL, Raw(name=f"{INFO}/RECORD", data=record), Raw(name="foo.py", data=b"x = 1\n"))
    )
    files = tree(path)
    assert set(files) == {f"{SITE}/{p}" for p in (f"{INFO}/RECORD", f"{INFO}/WHEEL", "foo.py")}
    assert files[f"{SITE}/foo.py"].data == b"x = 1\n"


def test_zip64_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 40)
    path = make_wheel(tmp_path, "foo", files={"foo.py": "x = 1\n" * 9})
    assert b"PK\x06\x06" in path.read_bytes(), "it has no end of a zip64 directory"
    monkeypatch.undo()
    assert tree(path)[f"{SITE}/foo.py"].data == b"x = 1\n" * 9


def test_sizes_may_stand_behind_the_data(tmp_path: Path) -> None:
    """As of writers that can not seek: only the directory knows the sizes then."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{INFO}/WHEEL", WHEEL.data)
        archive.writestr(f"{INFO}/RECORD", RECORD.data)
        with archive.open("foo.py", "w", force_zip64=True) as file:
            file.write(b"x = 1\n" * 9)
    path = tmp_path / NAME
    path.write_bytes(pipe.getvalue())
    assert tree(path)[f"{SITE}/foo.py"].data == b"x = 1\n" * 9
