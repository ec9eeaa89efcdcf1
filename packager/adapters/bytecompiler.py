"""Byte code, made by a Python of the target's minor version on this machine, once per wheel.

The architecture does not matter to byte code, the version does: a patch release may compile a few
modules in a thousand otherwise (11 of 4,952 differ between 3.11.2 and 3.11.7). So it is part of
the key, and stands in the record.
"""

import hashlib
import json
import os
import platform
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import deflate

from packager.adapters.companions import FILES, finish, keep, recall
from packager.adapters.process import run
from packager.adapters.store import Store
from packager.bytecode import code_path
from packager.errors import ToolError
from packager.layers import contents
from packager.ports import InstalledWheel
from packager.tarball import (
    FILE_MODE,
    LEVEL,
    Span,
    TarMember,
    crc_and_size,
)

KIND: Final = "byte-code"
FOUND: Final = "interpreters"
"""Where the store remembers which Python uv found."""
FORMAT: Final = "2"
"""Part of a key: raise it when other byte code comes of the same modules, or is kept otherwise."""

PROCESSES: Final = 4
"""At most; what is left over compiles no sooner."""

SCRIPT: Final = Path(__file__).parent.parent / "data" / "byte_code.py"

ALONE: Final = ("-S", "-s", "-B", "-X", "utf8")
"""No packages, no files of its own, one encoding: nothing of this machine."""

SYSTEM: Final = {"PYTHONHASHSEED": "0"}
"""All that a compiling Python sees of the environment, besides `PATH`. Before 3.11, a constant set
is written in the order of its hashes."""

WHO: Final = "import platform, sys; print(sys.implementation.name, platform.python_version())"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A CPython that compiles."""

    path: str
    version: str
    """All of it, e.g. `3.11.7`."""


def _own() -> Interpreter | None:
    if sys.implementation.name != "cpython":
        return None
    return Interpreter(path=sys.executable, version=platform.python_version())


@dataclass(frozen=True, slots=True, kw_only=True)
class HostByteCompiler:
    """Compiles with packager's own Python, or with another that uv finds on this machine."""

    env: Mapping[str, str]
    binary: str
    """Of uv."""
    store: Store
    say: Callable[[str], None]
    processes: int = field(default_factory=lambda: min(os.cpu_count() or 1, PROCESSES))
    own: Interpreter | None = field(default_factory=_own)
    known: dict[str, Interpreter] = field(default_factory=dict)
    """By minor version."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Two targets share most wheels: the second finds what the first made."""

    def version(self, python: str) -> str:
        return self._interpreter(python).version

    def compiled(self, parts: Sequence[InstalledWheel], python: str) -> tuple[InstalledWheel, ...]:
        interpreter = self._interpreter(python)
        keys = [_key(part, interpreter) for part in parts]
        with self.lock:
            kept = {key: _kept(self.store, key) for key in keys}
            lacking = {
                key: part
                for key, part in zip(keys, parts, strict=True)
                if kept[key] is None and part.members
            }
            if lacking:
                kept |= self._make(lacking, interpreter, python)
        return tuple(
            kept[key] or replace(part, members=()) for key, part in zip(keys, parts, strict=True)
        )

    def _make(
        self, parts: Mapping[str, InstalledWheel], interpreter: Interpreter, python: str
    ) -> Mapping[str, InstalledWheel]:
        count = sum(len(part.members) for part in parts.values())
        self.say(f"Compiling {count} modules with Python {interpreter.version}")
        with self.store.temporary() as folder, ThreadPoolExecutor(self.processes) as pool:
            shares: list[list[str]] = [[] for _ in range(self.processes)]
            loads = [0] * self.processes
            # The largest first, each to whoever has least to do.
            for key, part in sorted(parts.items(), key=lambda item: (-_size(item[1]), item[0])):
                least = loads.index(min(loads))
                loads[least] += _size(part)
                shares[least].append(key)
                _write_sources(part, folder / key)

            def work(keys: Sequence[str]) -> None:
                run(
                    [interpreter.path, *ALONE, SCRIPT, *(folder / key for key in keys)],
                    env={**SYSTEM, "PATH": self.env.get("PATH", os.defpath)},
                )
                for key in keys:
                    _compress(parts[key].members, folder / key, python)

            for _ in pool.map(work, filter(None, shares)):  # which raises what failed in it
                pass
            made = {key: keep(self.store, KIND, key, folder / key)[0] for key in parts}
        if skipped := sum(
            len(part.members) - len(made[key].members) for key, part in parts.items()
        ):
            self.say(f"{skipped} of them have no byte code: Python {python} can not compile them")
        return made

    def _interpreter(self, python: str) -> Interpreter:
        """Raise `ToolError` where this machine has none."""
        if self.own is not None and self.own.version.startswith(f"{python}."):
            return self.own
        if python not in self.known:
            self.known[python] = self._remembered(python)
        return self.known[python]

    def _remembered(self, python: str) -> Interpreter:
        """As found before, while that file is the same: to look takes longer than a pack."""
        places = sorted(f"{k}={v}" for k, v in self.env.items() if k == "PATH" or k[:3] == "UV_")
        key = hashlib.sha256("\0".join((python, *places)).encode()).hexdigest()
        path, _, rest = (self.store.recall(FOUND, key) or "").partition("\0")
        version, _, state = rest.partition("\0")
        if version and state == _state(path):
            return Interpreter(path=path, version=version)
        found = self._found(python)
        known = (found.path, found.version, _state(found.path))
        self.store.remember(FOUND, key, "\0".join(known))
        return found

    def _found(self, python: str) -> Interpreter:
        lacking = f"byte code needs a Python {python}, and this machine has none"
        fix = f"uv python install {python}; or leave byte code out: it saves time, no more"
        options = ("--system", "--no-project", "--no-python-downloads", "--color", "never")
        found = run(
            [self.binary, "python", "find", f"cpython@{python}", *options],
            env=self.env,
            check=False,
        )
        if found.returncode != 0:
            why = found.stderr.strip().removeprefix("error: ").partition("\n")[0]
            raise ToolError(lacking, why=why, fix=fix)
        path = found.stdout.strip()
        said = run([path, *ALONE, "-c", WHO], env={}, fix=fix).stdout.split()
        if len(said) != 2 or said[0] != "cpython" or not said[1].startswith(f"{python}."):
            raise ToolError(lacking, why=f"{path} is {' '.join(said) or 'no Python'}", fix=fix)
        return Interpreter(path=path, version=said[1])


def _state(path: str) -> str:
    """Of the file that a link leads to; empty if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # a text, which may hold anything
    except (OSError, ValueError):
        return ""
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _key(part: InstalledWheel, interpreter: Interpreter) -> str:
    """Of a wheel's modules under the paths that they have in the layer."""
    about = (FORMAT, interpreter.version, part.wheel.sha256, part.wheel.filename)
    paths = (member.path for member in part.members)
    return hashlib.sha256("\0".join((*about, *paths)).encode()).hexdigest()


def _size(part: InstalledWheel) -> int:
    return sum(crc_and_size(member)[1] for member in part.members)


def _write_sources(part: InstalledWheel, folder: Path) -> None:
    folder.mkdir()
    sizes = [(member.path, crc_and_size(member)[1]) for member in part.members]
    (folder / "sources.json").write_text(json.dumps(sizes), encoding="utf-8")
    with (folder / "sources").open("wb") as out:
        out.writelines(contents(part))


def _compress(modules: Sequence[TarMember], folder: Path, python: str) -> None:
    """Turn what the script left into what is kept."""
    sizes = json.loads((folder / "code.json").read_text(encoding="utf-8"))
    rows = []
    with (folder / "code").open("rb") as made, (folder / FILES).open("wb") as out:
        for module, size in zip(modules, sizes, strict=True):
            data = made.read(size)
            if not size:
                continue
            packed = deflate.deflate_compress(data, LEVEL)
            path = code_path(module.path, python)
            rows.append(Span(path, FILE_MODE, size, zlib.crc32(data), out.tell(), len(packed)))
            out.write(packed)
    finish(folder, sorted(rows))  # in the order of their names, as all members of a wheel come


def _kept(store: Store, key: str) -> InstalledWheel | None:
    found = recall(store, KIND, key)
    return None if found is None else found[0]
