"""Every way packager can fail on purpose, with one exit code each.

PackagerError
├── ValidationFailedError   1  the artifact must not be used
├── ConfigError             2  the project or the options are wrong; nothing was started
├── ToolError               3  a program this machine needs is missing or too old
└── CommandError            4  an outside command or service failed
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process says when it ends: the one table, printed in the README."""

    OK = 0
    VALIDATION_FAILED = 1
    CONFIG = 2
    TOOL_MISSING = 3
    COMMAND_FAILED = 4
    BUG = 70
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.VALIDATION_FAILED: "validation failed, or the job did",
    ExitCode.CONFIG: "the options or the project are wrong",
    ExitCode.TOOL_MISSING: "a program is missing or too old",
    ExitCode.COMMAND_FAILED: "an outside command, an index or a network failed",
    ExitCode.BUG: "a bug in packager",
    ExitCode.INTERRUPTED: "interrupted",
}


class PackagerError(Exception):
    """A failure the user can act on: what happened, why, and what to do."""

    exit_code: ClassVar[ExitCode]

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix


class ValidationFailedError(PackagerError):
    """The artifact was built but must not be used; a local job that failed counts as such."""

    exit_code = ExitCode.VALIDATION_FAILED


class ConfigError(PackagerError):
    """The project or the options are wrong; nothing was started."""

    exit_code = ExitCode.CONFIG


def unknown_name(name: str, what: str, known: Iterable[str]) -> ConfigError:
    """For a name that is not one of the `known`; `what` is what it should be, e.g. `a format`."""
    import difflib  # for who mistypes alone

    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return ConfigError(
        f"{name!r} is not {what}",
        why=f"known: {', '.join(names)}",
        fix=f"did you mean {near[0]!r}?" if near else "use one of these",
    )


class ToolError(PackagerError):
    """A program this machine needs (uv, Java, Spark) is missing or too old."""

    exit_code = ExitCode.TOOL_MISSING


class CommandError(PackagerError):
    """An outside command ran and failed, or a service could not be reached."""

    exit_code = ExitCode.COMMAND_FAILED

    def __init__(
        self, what: str, *, why: str = "", fix: str = "", status: int = 0, code: str = ""
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status
        """Of HTTP, where a service refused; else 0."""
        self.code = code
        """The service's own name for the reason, such as MANIFEST_UNKNOWN; may be empty."""
