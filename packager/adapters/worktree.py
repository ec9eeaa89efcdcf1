"""Which commit a project is at, by the `git` of this machine."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from packager.adapters.process import run
from packager.errors import ToolError

LEADS_ELSEWHERE: Final = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
"""What git sets for its hooks, where packager may be called."""


def commit_of(root: Path, env: Mapping[str, str]) -> str:
    """The commit, with `-dirty` if tracked files of `root` differ from it; empty if none is known.

    Without git, outside a work tree, and in one that does not know the folder there is none. What
    is not tracked does not count: building leaves such files behind, and the archives are some.
    """
    own = {k: v for k, v in env.items() if k not in LEADS_ELSEWHERE}
    own |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}

    def git(*arguments: str) -> str:
        done = run(["git", *arguments], cwd=root, env=own, check=False)
        return done.stdout if done.returncode == 0 else ""

    try:
        status = git("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ".")
        found = re.search(r"^# branch\.oid ([0-9a-f]{40,64})$", status, re.MULTILINE)
        if found is None or not git("rev-parse", "--verify", "--quiet", "HEAD:./"):
            return ""
    except ToolError:
        return ""
    differs = any(line and not line.startswith("#") for line in status.splitlines())
    return found[1] + ("-dirty" if differs else "")
