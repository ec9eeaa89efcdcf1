"""One commit of a repository, through the `git` of this machine and its user's credentials."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from packager.adapters.process import masked, run
from packager.documents import parse_toml
from packager.errors import CommandError, ConfigError

FIX: Final = "install git, or lock again with a released version or an archive"

HELPER: Final = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n"'
    ' "$PACKAGER_GIT_USER" "$PACKAGER_GIT_PASSWORD"; }; f'
)
"""What git asks for credentials: a command that knows where they are, and does not have them."""

OWN_REPOSITORY: Final = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
"""What git sets for its hooks, where packager may be called: they would lead to that repository."""


def check_out(url: str, commit: str, folder: Path, env: Mapping[str, str]) -> None:
    """Bring the files of one commit into `folder`, its submodules included.

    Raise `ToolError` without git, `CommandError` if the commit can not be had.
    """
    if url.startswith("-") or not url.isprintable():
        raise ConfigError(f"{url!r} is not the address of a repository", fix="lock again")
    # With `--terminal-prompt` off, missing credentials are an error instead of a question.
    own = {k: v for k, v in env.items() if k not in OWN_REPOSITORY} | {"GIT_TERMINAL_PROMPT": "0"}
    secrets = _secrets(url)
    plain, login = _without_login(url)
    own |= _answering(plain, login, own)

    def git(*arguments: str) -> None:
        run(["git", *arguments], cwd=folder, env=own, secrets=secrets, fix=FIX)

    folder.mkdir(parents=True)
    try:
        git("init", "--quiet")
        git("remote", "add", "origin", plain)
        try:
            git("fetch", "--quiet", "--depth", "1", "origin", commit)
        except CommandError:
            # Some servers give out only what a branch or a tag names.
            git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        git("checkout", "--quiet", "--detach", commit)
        if _asks_for_history(folder):
            shallow = (folder / ".git" / "shallow").exists()
            git("fetch", "--quiet", "--tags", *(["--unshallow"] if shallow else []), "origin")
        if (folder / ".gitmodules").exists():
            git("submodule", "--quiet", "update", "--init", "--recursive")
    except CommandError as error:
        raise CommandError(
            f"the commit {commit} of {masked(url, secrets)} can not be had",
            why=error.why,
            fix="check that it is there, that you may read it, and the network; or lock again",
        ) from error


def _without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """A URL for command lines, which everybody on the machine can read; and what it lost."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, None
    if parts.scheme not in {"http", "https"} or parts.username is None:
        return url, None
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return plain, (unquote(parts.username), unquote(parts.password or ""))


def _answering(
    plain: str, login: tuple[str, str] | None, env: Mapping[str, str]
) -> Mapping[str, str]:
    """Settings with which git gets `login` for the host of `plain` from its environment."""
    if login is None:
        return {}
    host = "/".join(plain.split("/")[:3])
    number = env.get("GIT_CONFIG_COUNT", "")
    at = int(number) if number.isdecimal() else 0
    return {
        "GIT_CONFIG_COUNT": str(at + 1),
        f"GIT_CONFIG_KEY_{at}": f"credential.{host}.helper",
        f"GIT_CONFIG_VALUE_{at}": HELPER,
        "PACKAGER_GIT_USER": login[0],
        "PACKAGER_GIT_PASSWORD": login[1],
    }


def _asks_for_history(folder: Path) -> bool:
    """Whether the backend may count commits since a tag, for a version that the files lack."""
    document: Mapping[str, object] = {}
    # Of a file that is broken, the build tells better.
    with contextlib.suppress(OSError, ValueError):
        document = parse_toml((folder / "pyproject.toml").read_text(encoding="utf-8"))
    project = document.get("project")
    return not isinstance(project, Mapping) or "version" not in project


def _secrets(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    return tuple(filter(None, (parts.password or parts.username,)))  # a token may be the name
