"""What is in an image's files."""

from collections.abc import Iterator
from typing import Final

from packager.checks.bundle import EXECUTABLE, listed
from packager.checks.image.python import job_python
from packager.checks.image.subject import Subject
from packager.contents import ANY_RELEASE, PROTECTED_FOLDERS, required_files
from packager.facts import shown
from packager.findings import Finding
from packager.imagepython import find_python, site_folders
from packager.images import Account
from packager.layertree import Entry
from packager.secrets import credentials


def release_files(subject: Subject) -> Iterator[Finding]:
    """The programs and jars are there that the release's own image has."""
    facts, label = subject.facts, subject.target.release.label
    for files in required_files(label, subject.kind) or ANY_RELEASE[subject.kind]:
        folder = facts.expanded(files.folder)
        if folder is None:
            continue  # a variable is not set, which IMG005 tells
        names = facts.tree.names(folder)
        if not names:
            yield subject.finding(
                "IMG007",
                f"{folder} is missing",
                why="the release's own image has it, and jobs need it",
                fix="build it FROM the release's own image, and remove nothing of it",
            )
            continue
        if lacking := files.lacking(names):
            yield subject.finding(
                "IMG007",
                f"{folder} lacks {listed(lacking)}",
                why="the release's own image has them, and jobs need them",
                fix="build it FROM the release's own image, and remove nothing of it",
            )
        for name in files.names:
            node = facts.tree.at(f"{folder}/{name}")
            if name in names and (node is None or not _runs(node.entry, files.folder)):
                yield subject.finding(
                    "IMG007",
                    f"{shown(f'{folder}/{name}')} can not be run",
                    why="it leads nowhere" if node is None else "it is not executable",
                    fix="leave it as the base has it",
                )


def _runs(entry: Entry, folder: str) -> bool:
    """Whether a program can be started; what is in no `bin` need not."""
    if not folder.endswith("/bin"):
        return True
    return entry.kind == "directory" or (
        entry.kind == "file" and entry.mode & EXECUTABLE == EXECUTABLE
    )


_FOR_JOBS: Final = (*PROTECTED_FOLDERS, "home/hadoop", "opt", "usr/local", "srv")
"""Where jobs look; elsewhere a system has files that are for root alone."""


def readable(subject: Subject) -> Iterator[Finding]:
    """`hadoop` may read what jobs look for, and enter the directories around it."""
    facts = subject.facts
    account = facts.account("hadoop")
    if account is None:
        return  # IMG002 tells
    python = None if subject.kind == "hive" else find_python(facts, job_python(subject))
    folders = dict.fromkeys((*_FOR_JOBS, *(site_folders(facts, python) if python else ())))
    closed = sorted(
        {
            f"/{path}"
            for folder in folders
            for path, node in facts.tree.below(folder)
            if node.layer >= facts.own and not _may_read(node.entry, account)
        }
    )
    if closed:
        home = any(path.startswith("/home/hadoop/") for path in closed)
        yield subject.finding(
            "IMG012",
            f"{len(closed)} {'path is' if len(closed) == 1 else 'paths are'} closed to `hadoop`",
            why=f"{listed(closed)}: a job that opens one ends with `PermissionError`",
            fix="COPY --chown=hadoop:hadoop, or RUN chmod -R a+rX on them",
            severity="error" if home or facts.own else "warning",
        )


def _may_read(entry: Entry, account: Account) -> bool:
    if entry.kind in {"symlink", "special"} or account.uid == 0:
        return True
    shift = 6 if entry.uid == account.uid else 3 if entry.gid in account.gids else 0
    wanted = 0o5 if entry.kind == "directory" else 0o4
    return (entry.mode >> shift) & wanted == wanted


def no_secrets(subject: Subject) -> Iterator[Finding]:
    """No credentials are left in variables, in the history or in files of any layer."""
    facts = subject.facts
    for name, value in facts.config.env:
        if kind := _credential(f"{name}={value}"):
            yield subject.finding(
                "IMG013",
                f"the variable {name} holds {kind}",
                why="everybody who may pull the image reads its variables",
                fix="give secrets to jobs by EMR's EMR.secret@ properties; and revoke this one",
            )
    for step in facts.config.history:
        words = step.created_by.split()
        kinds = (_credential(word) for word in words if "=" in word or "://" in word)
        if kind := next((found for found in kinds if found), None):
            yield subject.finding(
                "IMG013",
                f"the history holds {kind}",
                why=f"the step that begins with {shown(_start(step.created_by))} shows it to"
                " everybody who may pull the image",
                fix="use RUN --mount=type=secret in place of ARG; and revoke this one",
            )
    for path, kind in dict.fromkeys(facts.own_secrets):
        yield subject.finding(
            "IMG013",
            f"{shown(f'/{path}')} holds {kind}",
            why="a layer keeps it, even if a later one deletes it",
            fix="use RUN --mount=type=secret in place of COPY; and revoke this one",
        )


def _start(command: str) -> str:
    """Its first word: the others may be the secret."""
    return next((word for word in command.split() if "=" not in word and "://" not in word), "")


def _credential(assignment: str) -> str | None:
    """What kind of credential `NAME=value` or an address is."""
    value = assignment.partition("=")[2]
    if not value.startswith(("/", ".")):  # a file that holds it is not it
        kind = credentials(".env", assignment.encode)
        if kind:
            return "a password" if kind == "passwords" else kind
    return credentials("pip.conf", assignment.encode)
