"""The archive as a tree: its form, what may lie in it, and modes."""

import posixpath
from collections import Counter
from collections.abc import Iterator
from typing import Final

from packager.checks.bundle import (
    EXECUTABLE,
    FORBIDDEN,
    NOT_FOUND,
    Bundle,
    has_bin,
    is_interpreter,
    listed,
)
from packager.facts import ArchiveFacts, Member, shown
from packager.findings import Finding, Severity
from packager.releases import limits
from packager.target import Target


def form(bundle: Bundle, target: Target) -> Iterator[Finding]:
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
        elif facts.kind == "environment" and not has_bin(facts):
            yield Finding(
                check="ARC001",
                severity="error",
                what="the environment has no `bin` at its root",
                why=f"the job starts `./environment/bin/python` and ends with {NOT_FOUND}",
                fix="pack the environment's own content: `bin`, `lib`, `pyvenv.cfg`",
                where=facts.name,
            )


def safe_members(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Members stay inside, are there once, and are files, directories or links."""
    del target
    for facts in bundle:
        twice = _twice(facts)
        for what, why, paths in _unsafe(facts, twice):
            if paths:
                yield Finding(
                    check="ARC002",
                    severity="error",
                    what=f"{what}: {listed(paths)}",
                    why=why,
                    fix="pack it again with `packager pack`, which writes none of these",
                    where=facts.name,
                )
        if "pyvenv.cfg" in twice:
            yield Finding(
                check="ARC002",
                severity="warning",
                what="`pyvenv.cfg` is there twice",
                why="venv-pack writes it so; the last one stands after unpacking",
                fix="pack with `packager pack`, which writes it once",
                where=facts.name,
            )


def _unsafe(facts: ArchiveFacts, twice: list[str]) -> Iterator[tuple[str, str, list[str]]]:
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
        [path for path in twice if path != "pyvenv.cfg"],
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
    paths = [m.path for m in facts.members]
    if len(set(paths)) == len(paths):
        return []
    repeated = {path for path, count in Counter(paths).items() if count > 1}
    others = {m.path for m in facts.members if m.path in repeated and m.kind != "directory"}
    return sorted(others)


def _escapes(facts: ArchiveFacts, member: Member) -> bool:
    if facts.kind == "environment" and is_interpreter(facts, member.path):
        return False  # ARC004 knows where these may lead.
    if member.link.startswith("/"):
        return True
    target = posixpath.normpath(posixpath.join(posixpath.dirname(member.path), member.link))
    return target.split("/")[0] == ".."


SPECIAL_BITS: Final = 0o6000
READABLE: Final = 0o444


def modes(bundle: Bundle, target: Target) -> Iterator[Finding]:
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
            and (m.path in programs or is_interpreter(facts, m.path))
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
                    what=f"{what}: {listed(paths)}",
                    why=why,
                    fix="pack with `packager pack`, or run `chmod -R u-s,g-s,a+rX` on the tree and"
                    " `chmod a+x` on its `bin` first",
                    where=facts.name,
                )


GB: Final = 1_000_000_000
"""What EMR means by it is not said; this is the smaller one."""


def fits_disk(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Unpacked, all archives together take at most half of a worker's default disk."""
    del target
    disk = limits().worker_disk_default_gb
    unpacked = sum(facts.unpacked_bytes for facts in bundle)
    if unpacked * 2 <= disk * GB:
        return
    fits = unpacked <= disk * GB
    yield Finding(
        check="ARC014",
        severity="warning" if fits else "error",
        what=f"unpacked, it takes {unpacked / GB:.1f} GB of a worker's {disk} GB",
        why="the archives themselves, shuffle data and logs lie on the same disk; the job ends with"
        " `No space left on device`",
        fix="leave packages out, or ask for more: `--conf spark.emr-serverless.driver.disk=…G"
        " --conf spark.emr-serverless.executor.disk=…G`" + ("" if fits else ", and waive this"),
        where=max(bundle, key=lambda facts: facts.unpacked_bytes).name,
    )


_SAMPLES: Final = frozenset(
    ("test", "tests", "testing", "testdata", "examples", "example", "docs", "doc", "vectors")
)
"""Folders of published packages whose keys are made to be seen."""


def no_secrets(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """No credentials are left in files."""
    del target
    for facts in bundle:
        found: dict[tuple[str, Severity], list[str]] = {}
        for secret in facts.secrets:
            # The standard library, where it is inside, has keys among its tests too.
            library = facts.kind != "app" and secret.path.startswith(f"{facts.root}lib")
            if library and not _SAMPLES.isdisjoint(secret.path.split("/")[:-1]):
                continue
            # Published packages bring keys for development servers and the like.
            published = library and secret.what == "a private key"
            severity: Severity = "warning" if published else "error"
            found.setdefault((secret.what, severity), []).append(secret.path)
        for (what, severity), paths in found.items():
            yield Finding(
                check="ARC016",
                severity=severity,
                what=f"{what} is inside: {listed(sorted(paths))}".replace(
                    "passwords is", "passwords are"
                ),
                why="whoever may read the archive, in S3 or on a worker, may use it",
                fix="leave the file out (`exclude` of [tool.packager], or in the build's settings),"
                " and replace the credential if an archive was published",
                where=facts.name,
            )
