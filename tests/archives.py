"""Small archives and ELF files made by hand, a target to judge them by, and ways to spoil them."""

import contextlib
import gzip
import io
import itertools
import json
import struct
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from packager.facts import ArchiveFacts, ArchiveKind, read_archive
from packager.releases import Interpreter, Release
from packager.tarball import Opening
from packager.target import ARCHES, Target

RELEASE = Release(
    label="emr-7.13.0",
    spark="3.5.6",
    os="AL2023",
    glibc=(2, 34),
    python="3.11",
    interpreters=(
        Interpreter(python="3.11", path="/usr/bin/python3.11", confirmed=True, source="measured"),
        Interpreter(python="3.9", path="/usr/bin/python3", confirmed=True, source="measured"),
    ),
    architectures=("amd64", "arm64"),
    java="17",
    base_image=None,
    facts={"python_usr_bin_python3": "3.9"},
    sources={},
)
TARGET = Target(release=RELEASE, arch=ARCHES["amd64"], python="3.11")

ELF_MACHINES = {"EM_386": 3, "EM_X86_64": 62, "EM_AARCH64": 183, "EM_CUDA": 190}
DT = {"NEEDED": 1, "STRTAB": 5, "STRSZ": 10, "SONAME": 14, "RUNPATH": 29, "VERNEED": 0x6FFFFFFE}
DT_VERNEEDNUM = 0x6FFFFFFF


def held(file: BinaryIO) -> Opening:
    """For a plan's spans that are in a file which is open, and stays so."""
    return lambda: contextlib.nullcontext(file)


def elf(
    *,
    machine: str = "EM_X86_64",
    needed: Sequence[str] = ("libc.so.6",),
    versions: Sequence[str] = (),
    soname: str = "",
    runpath: str = "",
    padding: int = 0,
) -> bytes:
    """A 64-bit little-endian shared object without sections: just what the loader reads."""
    strings = bytearray(b"\0")

    def string(text: str) -> int:
        at = len(strings)
        strings.extend(text.encode() + b"\0")
        return at

    tags = [(DT["NEEDED"], string(name)) for name in needed]
    tags += [(DT["SONAME"], string(soname))] if soname else []
    tags += [(DT["RUNPATH"], string(runpath))] if runpath else []
    names = [string(version) for version in versions]
    file = string("libc.so.6")
    headers_end = 64 + 2 * 56
    tag_count = len(tags) + 3 + 2 * bool(versions)
    verneed_at = headers_end + 16 * tag_count
    verneed = b""
    if versions:
        verneed = struct.pack("<HHIII", 1, len(names), file, 16, 0)
        for i, name in enumerate(names):
            verneed += struct.pack("<IHHII", 0, 0, 2, name, 16 if i + 1 < len(names) else 0)
        tags += [(DT["VERNEED"], verneed_at), (DT_VERNEEDNUM, 1)]
    strings_at = verneed_at + len(verneed)
    tags += [(DT["STRTAB"], strings_at), (DT["STRSZ"], len(strings)), (0, 0)]
    size = strings_at + len(strings) + padding
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, ELF_MACHINES[machine], 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    dynamic_size = 16 * tag_count
    dynamic = struct.pack(
        "<IIQQQQQQ", 2, 6, headers_end, headers_end, headers_end, dynamic_size, dynamic_size, 8
    )
    body = b"".join(struct.pack("<QQ", tag, value) for tag, value in tags)
    return header + load + dynamic + body + verneed + bytes(strings) + bytes(padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member to write."""

    path: str
    data: bytes = b""
    mode: int = 0o644
    type: bytes = tarfile.REGTYPE
    link: str = ""


def file(path: str, data: bytes | str = b"", mode: int = 0o644) -> Entry:
    return Entry(path=path, data=data.encode() if isinstance(data, str) else data, mode=mode)


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=path, mode=mode, type=tarfile.DIRTYPE)


def symlink(path: str, link: str) -> Entry:
    return Entry(path=path, mode=0o777, type=tarfile.SYMTYPE, link=link)


def hardlink(path: str, link: str, mode: int = 0o644) -> Entry:
    return Entry(path=path, mode=mode, type=tarfile.LNKTYPE, link=link)


SITE = "lib/python3.11/site-packages"


def metadata(
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    python: str = "",
    site: str = f"{SITE}/",
) -> Entry:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    lines += [f"Requires-Python: {python}"] if python else []
    text = "\n".join([*lines, "", f"# {name}", "", "Requires-Dist: this is a README"])
    return file(f"{site}{name.replace('-', '_')}-{version}.dist-info/METADATA", text)


def direct_url(url: str, *, editable: bool) -> str:
    return json.dumps({"url": url, "dir_info": {"editable": editable} if editable else {}})


EXTENSION_TAG = "cpython-311-x86_64-linux-gnu"

ENVIRONMENT = (
    symlink("bin/python", "/usr/bin/python3.11"),
    symlink("bin/python3", "python"),
    symlink("bin/python3.11", "python"),
    file("bin/f2py", "#!/usr/bin/env python3\nprint()\n", 0o755),
    file("bin/activate", "# to be sourced\n"),
    symlink("lib64", "lib"),
    directory(SITE),
    file(f"{SITE}/numpy/__init__.py", "import numpy._core\n"),
    file(f"{SITE}/numpy/_core.{EXTENSION_TAG}.so", elf(versions=("GLIBC_2.17", "GLIBC_2.2.5"))),
    file(f"{SITE}/numpy.libs/libopenblas.so.0", elf(soname="libopenblas.so.0")),
    metadata("numpy", "1.26.4", python=">=3.10"),
    metadata(
        "pandas",
        "2.2.0",
        requires=(
            "numpy>=1.26",
            "pyspark>=3.5,<4",
            'tzdata; sys_platform == "win32"',
            'pytest>=8; extra == "test"',
        ),
        python=">=3.9.1",
    ),
    file(f"{SITE}/pip/_vendor/pep517-1.0.dist-info/METADATA", "Name: pep517\nRequires-Dist: x\n"),
    file(f"{SITE}/packager-app.pth", "../../../../app\n"),
    file(
        "pyvenv.cfg",
        "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n",
    ),
)
APP = (
    file("jobs/__init__.py"),
    file("jobs/main.py", "import pandas\n"),
    file("bin/jobs", "#!/bin/sh\n", 0o755),
    metadata("jobs", requires=("pandas>=2", "pyspark"), python=">=3.11", site=""),
)


def tar_bytes(entries: Iterable[Entry], *, form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=form) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.mode, info.type, info.linkname = entry.mode, entry.type, entry.link
            info.size = len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data))
    return buffer.getvalue()


def tar_gz(entries: Iterable[Entry], *, form: int = tarfile.GNU_FORMAT) -> bytes:
    return gzip.compress(tar_bytes(entries, form=form), mtime=0)


def gzip_members(data: bytes, cuts: Iterable[int]) -> bytes:
    """`data` as many gzip members, cut at these places."""
    places = [0, *sorted(cuts), len(data)]
    return b"".join(gzip.compress(data[a:b], mtime=0) for a, b in itertools.pairwise(places))


def facts(
    entries: Iterable[Entry], name: str = "env.tar.gz", kind: ArchiveKind | None = None
) -> ArchiveFacts:
    """Write the entries as an archive and read it."""
    return _facts(tuple(entries), name, kind)


@lru_cache(100)
def _facts(entries: Iterable[Entry], name: str, kind: ArchiveKind | None) -> ArchiveFacts:
    return read_archive(io.BytesIO(tar_gz(entries)), name, kind=kind)


def environment(*more: Entry, without: Iterable[str] = ()) -> tuple[Entry, ...]:
    """The good environment with some entries more, each in place of the one of the same path."""
    return _changed(ENVIRONMENT, more, without)


def app(*more: Entry, without: Iterable[str] = ()) -> tuple[Entry, ...]:
    return _changed(APP, more, without)


def _changed(
    entries: tuple[Entry, ...], more: tuple[Entry, ...], without: Iterable[str]
) -> tuple[Entry, ...]:
    gone = {entry.path for entry in more} | set(without)
    return (*(entry for entry in entries if entry.path not in gone), *more)


INTERPRETER = (
    symlink("bin/python", "python3.11"),
    file("bin/python3.11", elf(needed=("libpython3.11.so.1.0",), runpath="$ORIGIN/../lib"), 0o755),
    file("lib/libpython3.11.so.1.0", elf(soname="libpython3.11.so.1.0"), 0o755),
    file("lib/libssl.so.3", elf(soname="libssl.so.3"), 0o755),
    file("lib/python3.11/encodings/__init__.py"),
    file(
        f"lib/python3.11/lib-dynload/_ssl.{EXTENSION_TAG}.so",
        elf(needed=("libssl.so.3", "libc.so.6"), runpath="$ORIGIN/../.."),
    ),
    file(f"lib/python3.11/lib-dynload/_crypt.{EXTENSION_TAG}.so", elf(needed=("libcrypt.so.1",))),
    file(f"{SITE}/packager_python.pth", "import packager_python\n"),
    file(f"{SITE}/packager_python.py"),
    symlink("lib64", "lib"),
)


def bundled(
    *more: Entry, without: Iterable[str] = (), env: Sequence[Entry] = ()
) -> tuple[ArchiveFacts, ...]:
    """With an interpreter in an archive of its own, with some entries more or other."""
    link = symlink("bin/python", "../../python/bin/python3.11")
    own = environment(link, *env, without=["pyvenv.cfg"] if not env else ())
    python = facts(_changed(INTERPRETER, more, without), "python.tar.gz")
    return (*bundle(own), python)


def bundle(
    env: Iterable[Entry] = ENVIRONMENT, app_: Iterable[Entry] = APP
) -> tuple[ArchiveFacts, ...]:
    return (facts(env), facts(app_, "app.tar.gz", "app"))
