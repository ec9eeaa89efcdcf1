"""What must hold for an environment and the app beside it. Pure: facts in, findings out.

The policy lives here and nowhere else. What becomes of an archive that breaks a rule was measured
with Spark 3.5.6, whose way of unpacking EMR Serverless logs as its own; messages in backticks are
what a job then ends with.
"""

import posixpath
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, cast

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from packager.elf import DamagedElf, Elf, version_numbers
from packager.errors import ConfigError, ValidationFailedError
from packager.facts import ArchiveFacts, Distribution, Member, shown, site_path
from packager.releases import Interpreter, Release
from packager.target import ARCHES, PROVIDED, Target

Severity = Literal["error", "warning"]
Bundle = tuple[ArchiveFacts, ...]
Check = Callable[[Bundle, Target], "Iterator[Finding]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong, in the three parts every message has."""

    check: str
    severity: Severity
    what: str
    why: str
    fix: str
    where: str
    """Name of the archive."""


CHECKS: Final[dict[str, Check]] = {}
"""By code. Codes are stable: they stand in records and in the reasons of waivers."""


def check(code: str) -> Callable[[Check], Check]:
    """Enter the function below under `code`; its docstring is the rule, in one sentence."""

    def register(function: Check) -> Check:
        CHECKS[code] = function
        return function

    return register


_CANNOT_RUN: Final = 'Cannot run program "./environment/bin/python": error='
NOT_FOUND: Final = f"`{_CANNOT_RUN}2, No such file or directory`"
FORBIDDEN: Final = f"`{_CANNOT_RUN}13, Permission denied`"
FOREIGN: Final = f"`{_CANNOT_RUN}8, Exec format error`"
LOOP: Final = "`Too many levels of symbolic links`"

LISTED: Final = 3
"""How many of many a finding names."""


def _listed(items: Iterable[str]) -> str:
    """The first three in backticks, and how many others there are."""
    unique = tuple(dict.fromkeys(items))
    others = len(unique) - LISTED
    named = ", ".join(shown(item) for item in unique[:LISTED])
    return f"{named} and {others} other{'s' * (others > 1)}" if others > 0 else named


def _environments(bundle: Bundle) -> Iterator[ArchiveFacts]:
    return (facts for facts in bundle if facts.kind == "environment")


def _is_interpreter(facts: ArchiveFacts, path: str) -> bool:
    return re.fullmatch(r"bin/python[0-9.]*", path.removeprefix(facts.root)) is not None


@check("ARC001")
def _form(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """A `.tar.gz` or `.tgz` with the tree itself at its root."""
    del target
    for facts in bundle:
        if not facts.name.lower().endswith((".tar.gz", ".tgz")):
            yield Finding(
                check="ARC001",
                severity="error",
                what=f"{shown(facts.name)} has another extension than .tar.gz",
                why="Spark chooses by the extension how to unpack: a .zip loses links, a .tar loses"
                " modes, and what it does not know is not unpacked",
                fix="give it a name that ends in `.tar.gz`",
                where=facts.name,
            )
        if not facts.members:
            yield Finding(
                check="ARC001",
                severity="error",
                what=f"{shown(facts.name)} is empty",
                why="there is nothing to run",
                fix="pack it again",
                where=facts.name,
            )
        elif facts.kind == "environment" and facts.wrapper:
            yield Finding(
                check="ARC001",
                severity="error",
                what=f"the environment is one level down, in {shown(facts.wrapper)}",
                why=f"`bin/python` would be `{facts.wrapper}/bin/python`, and the job ends with"
                f" {NOT_FOUND}",
                fix=f"pack from inside: `tar czf {facts.name} -C {facts.wrapper} .`",
                where=facts.name,
            )
        elif facts.kind == "environment" and not _has_bin(facts):
            yield Finding(
                check="ARC001",
                severity="error",
                what="the environment has no `bin` at its root",
                why=f"the job starts `./environment/bin/python` and ends with {NOT_FOUND}",
                fix="pack the environment's own content: `bin`, `lib`, `pyvenv.cfg`",
                where=facts.name,
            )


def _has_bin(facts: ArchiveFacts) -> bool:
    return any(m.path == "bin" or m.path.startswith("bin/") for m in facts.members)


@check("ARC002")
def _safe_members(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Members stay inside, are there once, and are files, directories or links."""
    del target
    for facts in bundle:
        for what, why, paths in _unsafe(facts):
            if paths:
                yield Finding(
                    check="ARC002",
                    severity="error",
                    what=f"{what}: {_listed(paths)}",
                    why=why,
                    fix="pack it again with `packager pack`, which writes none of these",
                    where=facts.name,
                )
        twice = _twice(facts)
        if "pyvenv.cfg" in twice:
            yield Finding(
                check="ARC002",
                severity="warning",
                what="`pyvenv.cfg` is there twice",
                why="venv-pack writes it so; the last one stands after unpacking",
                fix="pack with `packager pack`, which writes it once",
                where=facts.name,
            )


def _unsafe(facts: ArchiveFacts) -> Iterator[tuple[str, str, list[str]]]:
    files = {m.path for m in facts.members if m.kind in {"file", "hardlink"}}
    yield (
        "absolute paths",
        "tar drops the leading slash or writes outside of the environment",
        [m.path for m in facts.members if m.path.startswith("/")],
    )
    yield (
        "paths that climb",
        "tar refuses them, and the job ends with `Member name contains '..'`",
        [m.path for m in facts.members if ".." in m.path and ".." in m.path.split("/")],
    )
    yield (
        "neither files, directories nor links",
        "a worker may not create devices, and a pipe there blocks its reader",
        [m.path for m in facts.members if m.kind == "special"],
    )
    yield (
        "paths that are there twice",
        "which content stands depends on who unpacks",
        [path for path in _twice(facts) if path != "pyvenv.cfg"],
    )
    yield (
        "files that are directories as well",
        "tar can not unpack both",
        sorted(_directories(facts) & files),
    )
    yield (
        "links that lead out of the archive",
        "what they lead to is not on a worker",
        [m.path for m in facts.members if m.kind == "symlink" and _escapes(facts, m)],
    )
    yield (
        "hard links to nothing",
        "tar can not make a hard link to a file that is not in the archive",
        [m.path for m in facts.members if m.kind == "hardlink" and m.link not in files],
    )


def _directories(facts: ArchiveFacts) -> set[str]:
    """Every path that has something below it."""
    pending = {m.path.rpartition("/")[0] for m in facts.members}
    found: set[str] = set()
    while pending:
        found |= pending
        pending = {path.rpartition("/")[0] for path in pending} - found
    return found - {""}


def _twice(facts: ArchiveFacts) -> list[str]:
    """Directories may repeat: unpacking one again changes nothing."""
    counts = Counter(m.path for m in facts.members)
    repeated = {path for path, count in counts.items() if count > 1}
    others = {m.path for m in facts.members if m.path in repeated and m.kind != "directory"}
    return sorted(others)


def _escapes(facts: ArchiveFacts, member: Member) -> bool:
    if facts.kind == "environment" and _is_interpreter(facts, member.path):
        return False  # ARC004 knows where these may lead.
    if member.link.startswith("/"):
        return True
    target = posixpath.normpath(posixpath.join(posixpath.dirname(member.path), member.link))
    return target.split("/")[0] == ".."


SPECIAL_BITS: Final = 0o6000
READABLE: Final = 0o444
EXECUTABLE: Final = 0o111


@check("ARC003")
def _modes(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Everybody may read everything and run what is in `bin`; nothing is setuid."""
    del target
    for facts in bundle:
        programs = {s.path for s in facts.scripts} | {e.path for e in facts.elf_files}
        files = [m for m in facts.members if m.kind in {"file", "hardlink"}]
        directories = [m for m in facts.members if m.kind == "directory"]
        in_bin = [
            m
            for m in files
            if m.path.startswith(f"{facts.root}bin/")
            and (m.path in programs or _is_interpreter(facts, m.path))
        ]
        faults = (
            (
                "not executable for all",
                f"the worker's user is not the one who packed; the job ends with {FORBIDDEN}",
                [m.path for m in in_bin if m.mode & EXECUTABLE != EXECUTABLE],
            ),
            (
                "not readable for all",
                "whether EMR unpacks as root or as hadoop is not known, and root keeps the modes",
                [m.path for m in files if m.mode & READABLE != READABLE]
                + [m.path for m in directories if m.mode & 0o555 != READABLE | EXECUTABLE],
            ),
            (
                "setuid or setgid",
                "no Python package needs it, and it hands out its owner's rights",
                [m.path for m in files if m.mode & SPECIAL_BITS],
            ),
        )
        for what, why, paths in faults:
            if paths:
                yield Finding(
                    check="ARC003",
                    severity="error",
                    what=f"{what}: {_listed(paths)}",
                    why=why,
                    fix="pack with `packager pack`, or run `chmod -R u-s,g-s,a+rX` on the tree and"
                    " `chmod a+x` on its `bin` first",
                    where=facts.name,
                )


MOST_LINKS: Final = 40
"""Linux gives up after as many (path_resolution(7))."""

SYSTEM_PYTHON: Final = "/usr/bin/python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolved:
    """Where a path in an archive leads."""

    kind: Literal["member", "outside", "missing", "loop"]
    path: str


def _resolve(members: Mapping[str, Member], path: str) -> _Resolved:
    """Follow links as the kernel does, with the archive's root as the current directory."""
    pending = deque(path.split("/"))
    current: list[str] = []
    links = 0
    while pending:
        part = pending.popleft()
        if part in {"", "."}:
            continue
        if part == "..":
            if not current:
                return _Resolved(kind="outside", path="/".join(["..", *pending]))
            current.pop()
            continue
        current.append(part)
        member = members.get("/".join(current))
        if member is None or member.kind not in {"symlink", "hardlink"}:
            continue
        links += 1
        if links > MOST_LINKS:
            return _Resolved(kind="loop", path=path)
        if member.kind == "symlink" and member.link.startswith("/"):
            outside = posixpath.join(member.link, *pending)
            return _Resolved(kind="outside", path=posixpath.normpath(outside))
        if member.kind == "hardlink":
            current.clear()
        else:
            current.pop()
        pending.extendleft(reversed(member.link.split("/")))
    found = "/".join(current)
    return _Resolved(kind="member" if found in members else "missing", path=found)


def _known_interpreters(release: Release) -> dict[str, Interpreter]:
    """The release's own by path, under their system names too where nothing says otherwise."""
    known = {interpreter.path: interpreter for interpreter in release.interpreters}
    system = release.facts.get("python_usr_bin_python3")
    minor = ".".join(system.split(".")[:2]) if isinstance(system, str) else None
    for interpreter in release.interpreters:
        own_name = f"/usr/bin/python{interpreter.python}"
        if interpreter.path in {SYSTEM_PYTHON, own_name}:
            known.setdefault(own_name, interpreter)
            if minor in {None, interpreter.python}:
                known.setdefault(SYSTEM_PYTHON, interpreter)
    return known


@check("ARC004")
def _interpreter_resolves(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """`bin/python` is a program in the archive, or a link to one that the release has."""
    for facts in _environments(bundle):
        if facts.wrapper or not _has_bin(facts):
            continue  # ARC001 says so, and nothing here would help further.
        if facts.pythons and target.python not in facts.pythons:
            yield Finding(
                check="ARC004",
                severity="error",
                what=f"the environment is for Python {facts.python}, the target's is"
                f" {target.python}",
                why=f"packages lie in `lib/python{facts.python}`, where Python {target.python} does"
                " not look: `ModuleNotFoundError`",
                fix=f"make the environment with Python {target.python}, or choose a release with"
                f" Python {facts.python}",
                where=facts.name,
            )
        python = target.python if target.python in facts.pythons else facts.python or target.python
        members = {m.path: m for m in facts.members}
        found = _resolve(members, "bin/python")
        match found.kind:
            case "member":
                yield from _bundled_interpreter(facts, target, members[found.path], python)
            case "outside":
                yield from _linked_interpreter(facts, target, found.path, python)
            case "missing" | "loop":
                yield _dangling(facts, members.get("bin/python"), found)


def _dangling(facts: ArchiveFacts, member: Member | None, found: _Resolved) -> Finding:
    if member is None:
        what = "there is no `bin/python`"
    elif found.kind == "loop":
        what = f"`bin/python` is a link to {shown(member.link)}, which leads back to it"
    else:
        what = f"`bin/python` leads to {shown(found.path)}, which is not in the archive"
    return Finding(
        check="ARC004",
        severity="error",
        what=what,
        why=f"the job ends with {LOOP if found.kind == 'loop' else NOT_FOUND}",
        fix="pack with `packager pack`; with venv-pack, use `--python-prefix` only on an"
        " environment made with `--copies`",
        where=facts.name,
    )


def _linked_interpreter(
    facts: ArchiveFacts, target: Target, path: str, python: str
) -> Iterator[Finding]:
    release = target.release
    known = _known_interpreters(release)
    interpreter = known.get(path)
    system = release.facts.get("python_usr_bin_python3")
    is_python = interpreter.python if interpreter else system if path == SYSTEM_PYTHON else None
    if is_python and is_python != python:
        yield Finding(
            check="ARC004",
            severity="error",
            what=f"`bin/python` leads to {shown(path)}, which is Python {is_python} on"
            f" {release.label}",
            why=f"it does not find packages for Python {python}: `ModuleNotFoundError`",
            fix="pack with `packager pack`, which links to the release's own interpreter",
            where=facts.name,
        )
    elif interpreter is None and not known and path.startswith("/usr/bin/python"):
        yield Finding(
            check="ARC004",
            severity="warning",
            what=f"whether {release.label} has {shown(path)} is not known",
            why=f"its interpreters have not been published; without it the job ends with"
            f" {NOT_FOUND}",
            fix="run one small job on this release first",
            where=facts.name,
        )
    elif interpreter is None:
        has = _listed(i.path for i in release.interpreters) or "no interpreter that is known"
        yield Finding(
            check="ARC004",
            severity="error",
            what=f"`bin/python` leads to {shown(path)}",
            why=f"{release.label} has {has}; the job ends with {NOT_FOUND}",
            fix="pack with `packager pack`, which links to the release's own interpreter",
            where=facts.name,
        )
    elif not interpreter.confirmed:
        yield Finding(
            check="ARC004",
            severity="warning",
            what=f"that {release.label} has {shown(path)} is not confirmed",
            why=f"{interpreter.source}; without it the job ends with {NOT_FOUND}",
            fix="run one small job on this release first",
            where=facts.name,
        )
    if facts.pyvenv_cfg is None:
        yield Finding(
            check="ARC004",
            severity="error",
            what="`bin/python` is a link and there is no `pyvenv.cfg`",
            why=f"Python follows the link and takes {shown(posixpath.dirname(path))} for its home:"
            " no package of the environment is found",
            fix="pack the whole virtual environment, `pyvenv.cfg` included",
            where=facts.name,
        )


UNPACKED_AT: Final = "/home/hadoop/environment"
"""Where a job's environment lies (driver log, aws-samples/emr-serverless-samples issue 16)."""


def _bundled_interpreter(
    facts: ArchiveFacts, target: Target, member: Member, python: str
) -> Iterator[Finding]:
    def finding(what: str, why: str, fix: str, severity: Severity = "error") -> Finding:
        return Finding(
            check="ARC004", severity=severity, what=what, why=why, fix=fix, where=facts.name
        )

    elf = next((e.elf for e in facts.elf_files if e.path == member.path), None)
    if elf is None:
        in_bin = member.path.startswith("bin/")
        if not in_bin or any(script.path == member.path for script in facts.scripts):
            return  # A script, whose `#!` is observed in `bin` only; what it starts is its affair.
        yield finding(
            f"{shown(member.path)} is neither a program nor a script",
            f"the job ends with {FOREIGN}",
            "put an interpreter for Linux there, or pack with `packager pack`",
        )
        return
    known = _known_interpreters(target.release)
    homes = {posixpath.dirname(path) for path, i in known.items() if i.python == python}
    home = facts.pyvenv_cfg.value("home") if facts.pyvenv_cfg else None
    encodings = "`Fatal Python error: init_fs_encoding … No module named 'encodings'`"
    if facts.pyvenv_cfg and home in homes:
        return  # A copy of the release's own, which finds that one's library.
    library = (f"lib/python{python}/encodings/", f"lib/python{python.replace('.', '')}.zip")
    if not any(m.path.startswith(library) for m in facts.members):
        yield finding(
            "`bin/python` is a copy without its standard library",
            f"there is no `lib/python{python}/encodings`, and the job ends with {encodings}",
            "pack with `packager pack`, which links to the release's own interpreter",
        )
    elif facts.pyvenv_cfg and home == f"{UNPACKED_AT}/bin":
        yield finding(
            f"the environment runs at {shown(UNPACKED_AT)} only",
            "`pyvenv.cfg` names that directory as the interpreter's home",
            "leave `pyvenv.cfg` out: an interpreter with its library needs none",
            "warning",
        )
    elif facts.pyvenv_cfg:
        yield finding(
            f"`pyvenv.cfg` sends `bin/python` to {shown(home or '')} for its library",
            f"no worker has that directory, and the job ends with {encodings}",
            "leave `pyvenv.cfg` out: an interpreter with its library needs none",
        )
    yield from _shared_library(facts, elf, finding)


def _shared_library(
    facts: ArchiveFacts, elf: Elf | DamagedElf, finding: Callable[..., Finding]
) -> Iterator[Finding]:
    if isinstance(elf, DamagedElf):
        return  # ARC005
    for needed in elf.needed:
        if not needed.startswith("libpython"):
            continue
        if not any(posixpath.basename(m.path) == needed for m in facts.members):
            yield finding(
                f"`bin/python` needs {shown(needed)}, which is not inside",
                f"`error while loading shared libraries: {needed}`",
                "use an interpreter that was built without `--enable-shared`",
            )
        elif "$ORIGIN" not in elf.runpath:
            yield finding(
                f"`bin/python` needs {shown(needed)} and does not say where it is",
                f"without help the job ends with `error while loading shared libraries: {needed}`",
                "add `--conf spark.emr-serverless.driverEnv.LD_LIBRARY_PATH=./environment/lib"
                " --conf spark.executorEnv.LD_LIBRARY_PATH=./environment/lib`",
                "warning",
            )


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


@check("ARC005")
def _machine(bundle: Bundle, target: Target) -> Iterator[Finding]:
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
                what=f"built for {machine.removeprefix('EM_')}: {_listed(paths)}",
                why=f"the target is {target.arch.name}, and loading them ends with `wrong ELF"
                " class`, `Exec format error` or `cannot open shared object file`",
                fix=f"pack for {target.arch.name} with `packager pack`",
                where=facts.name,
            )
        for (reason, severity), paths in damaged.items():
            yield Finding(
                check="ARC005",
                severity=severity,
                what=f"damaged ELF files: {_listed(paths)}",
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


@check("ARC006")
def _c_library(bundle: Bundle, target: Target) -> Iterator[Finding]:
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
                what=f"built for GLIBC {highest}: {_listed(too_new)}",
                why=f"{release.label} has {has}, and loading them ends with `version"
                f" 'GLIBC_{highest}' not found`",
                fix=f"use versions that have a manylinux_{has.replace('.', '_')} or older wheel, or"
                " build in the release's own operating system",
                where=facts.name,
            )


_EXTENSION: Final = re.compile(r"(?P<module>[^/.]+)\.(?P<tag>[^/]+)\.so")
_TAG: Final = re.compile(r"(cpython|pypy|graalpy|cp)[0-9]*.*")


@check("ARC007")
def _extension_tags(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Every extension module can be imported by the environment's Python."""
    for facts in bundle:
        foreign = {
            file.path
            for file in facts.elf_files
            if not isinstance(file.elf, Elf) or file.elf.machine != target.arch.elf_machine
        }
        unloadable: dict[tuple[str, str], list[str]] = {}
        present = {m.path for m in facts.members}
        for path in present - foreign:  # ARC005 has said what is wrong with those.
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
                what=f"extension modules for `{tag}`: {_listed(sorted(paths))}",
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


PROVIDED_PACKAGES: Final = ("py4j", "pyspark")
"""Top-level packages of `PROVIDED`."""


@check("ARC008")
def _no_spark(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """PySpark and Py4J are not inside."""
    for facts in bundle:
        found = [d.name for d in facts.installed if canonicalize_name(d.name) in PROVIDED]
        found += [
            package
            for package in PROVIDED_PACKAGES
            for member in facts.members
            if f"{package}/__init__." in member.path
            and (site_path(facts, member.path) or "").startswith(f"{package}/__init__.")
        ]
        if found:
            yield Finding(
                check="ARC008",
                severity="error",
                what=f"EMR's own packages are inside: {_listed(found)}",
                why=f"it takes the place of EMR's own Spark {target.release.spark}: jobs fail with"
                " `ClassNotFoundException: com.amazon.…` or run without EMR's changes",
                fix="uninstall it from the environment; `packager pack` leaves it out by itself",
                where=facts.name,
            )


@check("ARC009")
def _not_editable(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Nothing leads back to the machine that built it."""
    del target
    has_app = any(facts.kind == "app" for facts in bundle)
    for facts in bundle:
        editable = [d.path for d in facts.direct_urls if d.editable]
        editable += [
            m.path
            for m in facts.members
            if f"/{m.path}".rpartition("/")[2].startswith("__editable__")
            or m.path.endswith(".egg-link")
        ]
        beside: list[str] = []
        for pth in facts.pth_files:
            site = site_path(facts, pth.path)
            if facts.kind != "environment" or site is None or "/" in site:
                continue
            for line in pth.lines:
                match _leads(pth.path, line):
                    case "away":
                        editable.append(pth.path)
                    case "beside":
                        beside.append(pth.path)
                    case "inside":
                        pass
        if editable:
            yield Finding(
                check="ARC009",
                severity="error",
                what=f"editable installs: {_listed(editable)}",
                why="they are links to folders of the machine that made the environment, which no"
                " worker has: `ModuleNotFoundError`",
                fix="install the project as a wheel: `pip install .`, `uv sync --no-editable`",
                where=facts.name,
            )
        if beside and not has_app:
            yield Finding(
                check="ARC009",
                severity="warning",
                what=f"what stands beside the environment was not checked: {_listed(beside)}",
                why="these put another archive's directory on `sys.path`",
                fix="check the app's archive together with the environment's",
                where=facts.name,
            )


def _leads(path: str, line: str) -> Literal["inside", "beside", "away"]:
    """Where a line of a `.pth` file leads."""
    if line.startswith(("import ", "import\t")):  # As `site` tells code from paths.
        return "inside"
    if line.startswith("/"):
        return "away"
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), line.rstrip()))
    return "beside" if leads.split("/")[0] == ".." else "inside"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """A requirement that applies to the target."""

    facts: ArchiveFacts
    by: Distribution
    requirement: Requirement

    def __str__(self) -> str:
        return f"{self.by.name} requires {self.requirement.name}{self.requirement.specifier}"


@check("ARC010")
def _requirements_met(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """What a distribution requires is inside, in a version it accepts."""
    versions: dict[NormalizedName, list[str]] = {}
    for facts in bundle:
        for distribution in facts.installed:
            versions.setdefault(canonicalize_name(distribution.name), []).append(
                distribution.version
            )
    unreadable: dict[str, list[str]] = {}
    missing: dict[NormalizedName, list[_Need]] = {}
    mismatched: dict[NormalizedName, list[_Need]] = {}
    for facts in bundle:
        for need in _needs(facts, target, unreadable):
            name = canonicalize_name(need.requirement.name)
            if name in PROVIDED:
                found = [target.release.spark] if name != "py4j" else []
            elif name in versions:
                found = versions[name]
            else:
                missing.setdefault(name, []).append(need)
                continue
            if found and not any(_accepts(need.requirement.specifier, v) for v in found):
                mismatched.setdefault(name, []).append(need)
    yield from _missing(bundle, missing)
    for name, needs in mismatched.items():
        yield _mismatch(needs, target.release, inside=", ".join(versions.get(name, ())))
    for where, texts in unreadable.items():
        yield Finding(
            check="ARC010",
            severity="warning",
            what=f"requirements that can not be read: {_listed(texts)}",
            why="they do not follow PEP 508, so whether they are met is not known",
            fix="use a newer version of the package",
            where=where,
        )


def _mismatch(needs: list[_Need], release: Release, *, inside: str) -> Finding:
    name = canonicalize_name(needs[0].requirement.name)
    required = _listed(str(need) for need in needs)
    if name in PROVIDED:
        return Finding(
            check="ARC010",
            severity="warning",
            what=f"{shown(name)} is {release.spark} on {release.label}: {required}",
            why="the release brings its own Spark, which can not be replaced",
            fix="require a version that fits the release, or choose the release that fits",
            where=needs[0].facts.name,
        )
    return Finding(
        check="ARC010",
        severity="error",
        what=f"{shown(name)} is {inside}: {required}",
        why="the package says that it does not work with this version",
        fix="resolve the dependencies together, and lock again",
        where=needs[0].facts.name,
    )


def _missing(bundle: Bundle, missing: Mapping[NormalizedName, list[_Need]]) -> Iterator[Finding]:
    environments = tuple(_environments(bundle))
    why = "importing what needs it ends with `ModuleNotFoundError`"
    severity: Severity = "error"
    if not environments:
        severity, why = "warning", "it may be in the environment, which was not given"
    elif any(_sees_system_packages(facts) for facts in environments):
        severity, why = (
            "warning",
            "it may be among the release's own packages, which differ by release",
        )
    for name, needs in missing.items():
        yield Finding(
            check="ARC010",
            severity=severity,
            what=f"{shown(name)} is not inside: {_listed(str(n) for n in needs)}",
            why=why,
            fix=f"add `{name}` to the dependencies, and lock again"
            if environments
            else "check the environment's archive together with the app's",
            where=needs[0].facts.name,
        )


def _sees_system_packages(facts: ArchiveFacts) -> bool:
    cfg = facts.pyvenv_cfg
    return cfg is not None and (cfg.value("include-system-site-packages") or "").lower() == "true"


def _needs(
    facts: ArchiveFacts, target: Target, unreadable: dict[str, list[str]]
) -> Iterator[_Need]:
    environment = cast("dict[str, str]", {**target.markers(), "extra": ""})
    for distribution in facts.installed:
        for text in distribution.requires_dist:
            try:
                requirement = Requirement(text)
                applies = requirement.marker is None or requirement.marker.evaluate(environment)
            except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
                unreadable.setdefault(facts.name, []).append(text)
                continue
            if applies:
                yield _Need(facts=facts, by=distribution, requirement=requirement)


def _accepts(specifier: SpecifierSet, version: str) -> bool:
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return not specifier


LAST_PATCH: Final = 30
"""No minor version of Python has had more patch releases."""


@check("ARC011")
def _python_accepted(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Every distribution supports the target's Python."""
    # The patch level of a release's Python is not published: `>=3.9.2` may hold, `>=3.10` can not.
    patches = [Version(f"{target.python}.{patch}") for patch in range(LAST_PATCH + 1)]
    for facts in bundle:
        refusing = [
            f"{d.name} {d.version} ({d.requires_python})"
            for d in facts.installed
            if not _some_accepted(d.requires_python, patches)
        ]
        if refusing:
            yield Finding(
                check="ARC011",
                severity="error",
                what=f"not for Python {target.python}: {_listed(refusing)}",
                why="their Requires-Python excludes it: newer syntax or missing modules fail on"
                " import",
                fix=f"resolve the dependencies for Python {target.python}, and lock again",
                where=facts.name,
            )


def _some_accepted(requires_python: str, patches: list[Version]) -> bool:
    try:
        specifier = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True  # As pip: a field that can not be read excludes nothing.
    return any(specifier.contains(patch, prereleases=True) for patch in patches)


SHELLS: Final = ("/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/env")


@check("ARC012")
def _shebangs(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Scripts in `bin` start an interpreter that a worker has."""
    has = {*SHELLS, *_known_interpreters(target.release)}
    for facts in bundle:
        lost = [
            script.path
            for script in facts.scripts
            if script.path.startswith(f"{facts.root}bin/")
            and script.interpreter.split(" ")[0] not in has
        ]
        if lost:
            yield Finding(
                check="ARC012",
                severity="warning",
                what=f"scripts of another machine: {_listed(lost)}",
                why="their first line names an interpreter that no worker has; the job itself does"
                " not start them",
                fix="pack with `packager pack` or venv-pack, which rewrite it",
                where=facts.name,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of all checks of one bundle. Empty is not a pass: nothing was checked."""

    checked: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "warning")

    @property
    def passed(self) -> bool:
        """Warnings do not fail."""
        return bool(self.checked) and not self.errors

    def require_passed(self) -> None:
        """Raise `ValidationFailedError` unless checks ran and none found an error."""
        if self.passed:
            return
        failed = len({f.check for f in self.errors})
        raise ValidationFailedError(
            f"{failed} of {len(self.checked)} checks failed" if self.checked else "no check ran",
            why="; ".join(f.what for f in self.errors) or "nothing was given to check",
            fix=self.errors[0].fix if self.errors else "name an archive",
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "format": REPORT_FORMAT,
            "passed": self.passed,
            "checked": list(self.checked),
            "findings": [asdict(finding) for finding in self.findings],
        }

    @staticmethod
    def from_json(value: object) -> "Report":
        """Inverse of `to_json`; `ConfigError` if it is not its work."""
        try:
            document = cast("dict[str, Any]", value)
            if document["format"] == REPORT_FORMAT:
                return Report(
                    checked=tuple(map(str, document["checked"])),
                    findings=tuple(_finding_from(item) for item in document["findings"]),
                )
        except (KeyError, TypeError) as error:
            raise ConfigError("this is not a report of packager", why=repr(error)) from error
        raise ConfigError(
            f"the report's format is {document['format']!r}",
            why=f"this version of packager reads format {REPORT_FORMAT}",
            fix="make the report again",
        )


REPORT_FORMAT: Final = 1


def _finding_from(value: dict[str, Any]) -> Finding:
    texts = {key: str(value[key]) for key in ("check", "what", "why", "fix", "where")}
    if value["severity"] not in {"error", "warning"}:
        raise KeyError(value["severity"])
    return Finding(severity=value["severity"], **texts)


def check_archives(bundle: Bundle, target: Target) -> Report:
    """Run every check over archives that are used together."""
    if not bundle:
        return Report(checked=(), findings=())
    findings = tuple(f for judge in CHECKS.values() for f in judge(bundle, target))
    return Report(checked=tuple(CHECKS), findings=findings)


def report_text(report: Report, *, subject: str = "") -> str:
    """A report for people: errors first, each with its reason and its way out."""
    lines = [subject, ""] if subject else []
    for finding in (*report.errors, *report.warnings):
        lines.append(f"{finding.severity} {finding.check}: {finding.what}")
        if finding.where:
            lines.append(f"  where: {finding.where}")
        lines += [f"  why: {finding.why}", f"  fix: {finding.fix}", ""]
    lines.append(_verdict(report))
    return "".join(f"{line}\n" for line in lines)


def _verdict(report: Report) -> str:
    if not report.checked:
        return "failed: nothing was checked"
    counts = [
        f"{len(found)} {word}{'s' * (len(found) != 1)}"
        for found, word in ((report.errors, "error"), (report.warnings, "warning"))
        if found
    ]
    ran = f"{len(report.checked)} checks"
    return f"{'passed' if report.passed else 'failed'}: {', '.join([ran, *counts])}"
