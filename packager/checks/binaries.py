"""Compiled code: whether the target's loader and Python take it."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Final

from packager.checks.bundle import EXECUTABLE, Bundle, listed
from packager.elf import DamagedElf, Elf, version_numbers
from packager.facts import ArchiveFacts
from packager.findings import Finding, Severity
from packager.target import ARCHES, Target

ACCELERATORS: Final = ("EM_CUDA", "EM_AMDGPU", "EM_BPF")
"""Code that is data for the CPU: it is loaded by a driver, whatever the machine."""

MACHINE_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    **{arch.elf_machine: (arch.name, arch.machine) for arch in ARCHES.values()},
    "EM_386": ("x86", "i386", "i686"),
    "EM_ARM": ("arm", "armhf", "armv6l", "armv7l"),
    "EM_PPC64": ("ppc64", "ppc64le", "powerpc64le"),
    "EM_S390": ("s390x",),
}
"""How packages that bring a file for each machine tell them apart."""


def machine(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Every binary is whole, and for the target's machine."""
    for facts in bundle:
        wrong: dict[tuple[str, Severity], list[str]] = {}
        damaged: dict[tuple[str, Severity], list[str]] = {}
        modes = {m.path: m.mode for m in facts.members}
        for file in facts.elf_files:
            loaded = _is_loaded(file.path, modes.get(file.path, 0))
            severity: Severity = "error" if loaded else "warning"
            match file.elf:
                case DamagedElf(reason=reason):
                    damaged.setdefault((reason, severity), []).append(file.path)
                case Elf(machine=machine):
                    if machine != target.arch.elf_machine and machine not in ACCELERATORS:
                        if _names_machine(file.path, machine):
                            severity = "warning"
                        wrong.setdefault((machine, severity), []).append(file.path)
        for (machine, severity), paths in wrong.items():
            yield Finding(
                check="ARC005",
                severity=severity,
                what=f"built for {machine.removeprefix('EM_')}: {listed(paths)}",
                why=f"the target is {target.arch.name}, and loading them ends with `wrong ELF"
                " class`, `Exec format error` or `cannot open shared object file`",
                fix=f"pack for {target.arch.name} with `packager pack`",
                where=facts.name,
            )
        for (reason, severity), paths in damaged.items():
            yield Finding(
                check="ARC005",
                severity=severity,
                what=f"damaged ELF files: {listed(paths)}",
                why=reason,
                fix="install the packages they belong to again, without a cache",
                where=facts.name,
            )


def _is_loaded(path: str, mode: int) -> bool:
    name = posixpath.basename(path)
    return name.endswith(".so") or ".so." in name or bool(mode & EXECUTABLE)


def _names_machine(path: str, machine: str) -> bool:
    """Whether the path, its extension tag aside, says what the file is for."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"\.[^/]*$", "", path.lower()).replace("x86_64", "x64"))
    names = [name.replace("x86_64", "x64") for name in MACHINE_NAMES.get(machine, ())]
    return not set(words).isdisjoint(names)


def c_library(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """No binary needs a newer C library than the release has."""
    release = target.release
    for facts in bundle:
        needs = {
            file.path: file.elf.version("GLIBC")
            for file in facts.elf_files
            if isinstance(file.elf, Elf) and file.elf.machine == target.arch.elf_machine
        }
        if not any(needs.values()):
            continue
        highest = ".".join(map(str, max(needs.values())))
        if release.glibc is None:
            yield Finding(
                check="ARC006",
                severity="warning",
                what=f"whether {release.label} has GLIBC {highest} can not be judged",
                why="its C library has not been published, and compiled packages depend on it",
                fix=f'state `glibc` in [tool.packager.releases."{release.label}"] if you know it',
                where=facts.name,
            )
            continue
        has = ".".join(map(str, release.glibc))
        too_new = sorted(
            (path for path, need in needs.items() if need > release.glibc),
            key=lambda path: (tuple(-n for n in needs[path]), path),
        )
        if too_new:
            yield Finding(
                check="ARC006",
                severity="error",
                what=f"built for GLIBC {highest}: {listed(too_new)}",
                why=f"{release.label} has {has}, and loading them ends with `version"
                f" 'GLIBC_{highest}' not found`",
                fix=f"use versions that have a manylinux_{has.replace('.', '_')} or older wheel, or"
                " build in the release's own operating system",
                where=facts.name,
            )


_EXTENSION: Final = re.compile(r"(?P<module>[^/.]+)\.(?P<tag>[^/]+)\.so")
_TAG: Final = re.compile(r"(cpython|pypy|graalpy|cp)[0-9]*.*")


def extension_tags(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Every extension module can be imported by the environment's Python."""
    for facts in bundle:
        foreign = {
            file.path
            for file in facts.elf_files
            if not isinstance(file.elf, Elf) or file.elf.machine != target.arch.elf_machine
        }
        unloadable: dict[tuple[str, str], list[str]] = {}
        present = {m.path for m in facts.members}
        for path in present:
            if not path.endswith(".so") or path in foreign:  # ARC005 has said what those are.
                continue
            directory, _, name = path.rpartition("/")
            match = _EXTENSION.fullmatch(name)
            if not match or not _TAG.fullmatch(match["tag"]):
                continue
            python = _python_of(facts, path) or target.python
            right = _extension_tag(python, target.arch.machine)
            variants = {f"{match['module']}{suffix}.so" for suffix in (f".{right}", ".abi3", "")}
            if present.isdisjoint(posixpath.join(directory, v) for v in variants):
                unloadable.setdefault((match["tag"], python), []).append(path)
        for (tag, python), paths in sorted(unloadable.items()):
            yield Finding(
                check="ARC007",
                severity="error",
                what=f"extension modules for `{tag}`: {listed(sorted(paths))}",
                why=f"Python {python} imports `.{_extension_tag(python, target.arch.machine)}.so`,"
                " `.abi3.so` and `.so` only: `ModuleNotFoundError` with the file in its place",
                fix=f"install the packages for Python {python} on Linux with glibc",
                where=facts.name,
            )


def _python_of(facts: ArchiveFacts, path: str) -> str | None:
    found = re.match(r"lib(?:64)?/python([0-9]+\.[0-9]+)/", path.removeprefix(facts.root))
    return found[1] if found else None


def _extension_tag(python: str, machine: str) -> str:
    # Until 3.7 the ABI carried the `m` of pymalloc (PEP 3149; dropped in 3.8).
    pymalloc = "m" if version_numbers(python) < (3, 8) else ""
    return f"cpython-{python.replace('.', '')}{pymalloc}-{machine}-linux-gnu"


_OF_THE_SYSTEM: Final = re.compile(
    # The C library's own, which every program is linked to or may be.
    r"(ld-linux.*|libc|libm|libmvec|libdl|libpthread|librt|libutil|libresolv|libanl"
    r"|libBrokenLocale|libthread_db|libnss_[a-z]+)\.so\.[0-9]+"
    # What the JVM and Python itself need.
    r"|libgcc_s\.so\.1|libstdc\+\+\.so\.6|libz\.so\.1"
    # Loaded with the interpreter; for one that is inside, ARC004 looks.
    r"|libpython[0-9.]+m?\.so.*"
)


_CRYPT: Final = re.compile(r"lib/python3\.[0-9]+/lib-dynload/_crypt\.")
"""Deprecated, and gone in Python 3.13. Standalone builds expect `libcrypt.so.1` of the system."""


def libraries_inside(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Libraries that binaries need are inside, or of the operating system's core."""
    # Wherever it lies: packages load their libraries themselves before they are asked for, so a
    # place that no run path names proves nothing.
    inside = {m.path.rpartition("/")[2] for facts in bundle for m in facts.members}
    for facts in bundle:
        inside |= {f.elf.soname for f in facts.elf_files if isinstance(f.elf, Elf)}
    for facts in bundle:
        modes = {m.path: m.mode for m in facts.members}
        lacking: dict[str, str] = {}
        for file in facts.elf_files:
            if (
                isinstance(file.elf, Elf)
                and file.elf.machine == target.arch.elf_machine
                and _is_loaded(file.path, modes.get(file.path, 0))
            ):
                for needed in file.elf.needed:
                    name = posixpath.basename(needed)
                    if _OF_THE_SYSTEM.fullmatch(name) or _CRYPT.match(file.path):
                        continue
                    # Nobody loads an interpreter's libraries before it asks for them.
                    led = facts.kind != "python" or "$ORIGIN" in file.elf.runpath + needed
                    if name not in inside or not led:
                        lacking.setdefault(needed, file.path)
        if lacking and facts.kind == "python":
            yield Finding(
                check="ARC015",
                severity="error",
                what="the bundled interpreter needs libraries of the machine it comes from: "
                + listed(f"{needed} for {path}" for needed, path in sorted(lacking.items())),
                why="they are not inside, or no `$ORIGIN` run path leads to them; what else a"
                f" worker has is not published: `{min(lacking)}: cannot open shared object file`",
                fix="use a build that runs wherever it is unpacked, as those of `uv python install`"
                " do",
                where=facts.name,
            )
        elif lacking:
            yield Finding(
                check="ARC015",
                severity="warning",
                what="libraries that are not inside: "
                + listed(f"{needed} for {path}" for needed, path in sorted(lacking.items())),
                why="what else a worker has is not published; without one, loading ends with"
                f" `{min(lacking)}: cannot open shared object file`",
                fix="use packages that bring their libraries (opencv-python-headless, for one), or"
                " run one small job on this release first",
                where=facts.name,
            )
