"""What programs in an image find around them: variables, and a shell."""

import re
from collections.abc import Iterator
from typing import Final

from packager.checks.bundle import EXECUTABLE
from packager.checks.image.subject import Subject
from packager.facts import shown
from packager.findings import Finding

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NO_LOGIN: Final = ("nologin", "false")


def variables_sound(subject: Subject) -> Iterator[Finding]:
    """Variables have names that shells take, and values without what was meant for a shell."""
    facts = subject.facts
    inherited = frozenset() if facts.base is None else frozenset(facts.base.config.env)
    seen: dict[str, str] = {}
    for name, value in facts.config.env:
        twice, seen[name] = seen.get(name, value) != value, value
        if (name, value) in inherited:
            continue
        if not _NAME.fullmatch(name):
            yield subject.finding(
                "IMG018",
                f"{shown(repr(name))} is the name of a variable",
                why="shells drop or refuse such names, and the scripts of Spark are shell scripts",
                fix="name it with letters, digits and _: ENV NAME=value",
            )
        elif wrong := _wrong(value):
            yield subject.finding(
                "IMG018",
                f"the value of {name} {wrong}",
                why="Docker takes it as it is, so it becomes a part of every path and option",
                fix=f'ENV {name}=value, or {name}="value" with blanks in it',
                severity="error" if value[:1] == "=" or "\n" in value else "warning",
            )
        if twice:
            yield subject.finding(
                "IMG018",
                f"{shown(name)} is set twice",
                why="which of them counts depends on who reads them",
                fix="keep one of them",
                severity="warning",
            )


def _wrong(value: str) -> str:
    if value.startswith("="):
        return "begins with `=`, as after ENV NAME = value"
    if "\n" in value or "\r" in value:
        return "has a line break"
    if value != value.strip():
        return "begins or ends with a blank"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return "is in quotes"
    return ""


def shell_there(subject: Subject) -> Iterator[Finding]:
    """`bash` and `env` are there, and found, for the scripts that start Spark and Hive."""
    facts = subject.facts
    folders = (facts.config.variable("PATH") or "/usr/bin:/bin").split(":")
    missing: list[str] = []
    for program in ("bash", "sh", "env"):
        at = [node for folder in folders if (node := facts.tree.at(f"{folder}/{program}"))]
        if any(node.entry.mode & EXECUTABLE == EXECUTABLE for node in at):
            continue
        missing.append(program)
        hidden = facts.tree.at(f"/usr/bin/{program}") or facts.tree.at(f"/bin/{program}")
        yield subject.finding(
            "IMG019",
            f"`{program}` is not on PATH" if hidden else f"there is no `{program}`",
            why="`spark-submit` and the entry point begin with #!/usr/bin/env bash or #!/bin/sh",
            fix=f"keep what the base has on PATH: ENV PATH=...:$PATH, not {':'.join(folders)}"
            if hidden
            else "build it FROM the release's own image, and remove nothing of it",
        )
    account = facts.account("hadoop")
    if account is None:
        return  # IMG002 tells
    shell = account.shell or "/bin/sh"
    name = shell.rpartition("/")[2]
    if name not in missing and (facts.tree.at(shell) is None or name in NO_LOGIN):
        yield subject.finding(
            "IMG019",
            f"the shell of `hadoop` is {shell}",
            why="it starts nothing, so what logs in as `hadoop` fails",
            fix="RUN usermod --shell /bin/bash hadoop",
            severity="warning",
        )
