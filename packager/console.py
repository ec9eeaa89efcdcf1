"""How things look. stdout is data, stderr is for people."""

import json
import platform
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from packager import __version__
from packager.errors import PackagerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    quiet: bool = False
    json: bool = False
    debug: bool = False

    def say(self, line: str) -> None:
        """Tell people what goes on."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def warn(self, line: str) -> None:
        """Tell people even if they want quiet."""
        print(line, file=sys.stderr, flush=True)

    def overwrite(self, line: str) -> None:
        """Write the terminal's last line anew; an empty one leaves it to what comes next."""
        if not self.quiet:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def data(self, text: str) -> None:
        """Print what the command is for."""
        print(text, flush=True)

    def document(self, value: Any) -> None:
        self.data(json.dumps(value, indent=2, ensure_ascii=False))


def show_error(error: PackagerError) -> None:
    print(f"error: {error.what}", file=sys.stderr)
    if error.why:
        print(f"  why: {error.why}", file=sys.stderr)
    if error.fix:
        print(f"  fix: {error.fix}", file=sys.stderr)


def show_bug(error: BaseException, argv: Sequence[str]) -> None:
    """Tell of what should not happen, with all that a report needs and no one's environment."""
    traceback.print_exception(error, file=sys.stderr)
    print(
        f"error: packager {__version__} failed in a way it should not\n"
        f"  why: {type(error).__name__}: {error}\n"
        f"  fix: please report it with the text above, and:"
        f" Python {platform.python_version()} on {platform.platform()},"
        f" packager {shlex.join(argv)}",
        file=sys.stderr,
    )
