"""Programs that the rig starts and waits for."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

Word = str | Path


class RigError(Exception):
    """The rig cannot be had here, with the reason in words for a person."""


def run(*words: Word, env: Mapping[str, str] | None = None) -> str:
    """What it prints; RigError with the end of its complaints when it is missing or fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    except FileNotFoundError as error:
        raise RigError(f"there is no {words[0]} command") from error
    if done.returncode:
        named = " ".join(str(word) for word in words[:2])
        raise RigError(f"`{named}` failed: {(done.stderr or done.stdout).strip()[-3000:]}")
    return done.stdout


def succeeds(*words: Word, env: Mapping[str, str] | None = None) -> bool:
    try:
        run(*words, env=env)
    except RigError:
        return False
    return True
