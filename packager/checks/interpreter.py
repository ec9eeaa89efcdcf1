"""What starts the job, and what starts its scripts."""

import posixpath
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from packager.checks.bundle import FOREIGN, LOOP, NOT_FOUND, Bundle, environments, has_bin, listed
from packager.elf import DamagedElf, Elf
from packager.facts import ArchiveFacts, Member, shown
from packager.findings import Finding, Severity
from packager.releases import Interpreter, Release
from packager.standalone import ALIAS, START
from packager.target import Target

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


def known_interpreters(release: Release) -> dict[str, Interpreter]:
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


def interpreter_resolves(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """`bin/python` is a program in the archive, or a link to one that the release has."""
    for facts in environments(bundle):
        if facts.wrapper or not has_bin(facts):
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
            case "outside" if found.path.startswith(BESIDE):
                yield from _sibling_interpreter(facts, bundle, target, found.path, python)
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
    known = known_interpreters(release)
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
        has = listed(i.path for i in release.interpreters) or "no interpreter that is known"
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


BESIDE: Final = f"../{ALIAS}/"


def _sibling_interpreter(
    facts: ArchiveFacts, bundle: Bundle, target: Target, path: str, python: str
) -> Iterator[Finding]:
    """`bin/python` leads to the archive of a bundled interpreter."""
    sibling = next((f for f in bundle if f.kind == "python"), None)
    inner = path.removeprefix(BESIDE)
    members = {} if sibling is None else {m.path: m for m in sibling.members}
    found = _resolve(members, inner)
    start = f"lib/python{python}/site-packages/{START}.pth"
    if sibling is None or found.kind != "member":
        lacks = "is not among these archives" if sibling is None else f"has no {shown(inner)}"
        yield Finding(
            check="ARC004",
            severity="error",
            what=f"`bin/python` leads to {shown(path)}, and the interpreter's archive {lacks}",
            why=f"a job that does not unpack it as `#{ALIAS}` ends with {NOT_FOUND}",
            fix="check the archives of one pack together, or their record",
            where=facts.name,
        )
        return
    if facts.pyvenv_cfg is not None or start not in members:
        odd = f"{sibling.name} has no {shown(start)}"
        yield Finding(
            check="ARC004",
            severity="error",
            what="the bundled interpreter does not find the environment's packages",
            why=odd if facts.pyvenv_cfg is None else "`pyvenv.cfg` sends it elsewhere",
            fix="make both with `packager pack`",
            where=facts.name,
        )
    yield from _bundled_interpreter(sibling, target, members[found.path], python)


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
    known = known_interpreters(target.release)
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
        elif "$ORIGIN" not in elf.runpath and facts.kind == "python":
            yield finding(
                f"`bin/python` needs {shown(needed)} and does not say where it is",
                f"its run path is {shown(elf.runpath)}, which no worker has: `error while loading"
                f" shared libraries: {needed}`",
                "use a build that runs wherever it is unpacked",
            )
        elif "$ORIGIN" not in elf.runpath:
            yield finding(
                f"`bin/python` needs {shown(needed)} and does not say where it is",
                f"without help the job ends with `error while loading shared libraries: {needed}`",
                "add `--conf spark.emr-serverless.driverEnv.LD_LIBRARY_PATH=./environment/lib"
                " --conf spark.executorEnv.LD_LIBRARY_PATH=./environment/lib`",
                "warning",
            )


SHELLS: Final = ("/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/env")


def shebangs(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Scripts in `bin` start an interpreter that a worker has."""
    has = {*SHELLS, *known_interpreters(target.release)}
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
                what=f"scripts of another machine: {listed(lost)}",
                why="their first line names an interpreter that no worker has; the job itself does"
                " not start them",
                fix="pack with `packager pack` or venv-pack, which rewrite it",
                where=facts.name,
            )
