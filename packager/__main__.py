"""Entry point: run the command line, turn what was raised into an exit code."""

import os
import sys

from packager.console import show_bug, show_error, show_interrupted
from packager.errors import ExitCode, PackagerError


def main() -> None:
    from packager.cli import app

    try:
        app(standalone_mode=True)
    except PackagerError as error:
        show_error(error)
        if os.environ.get("PACKAGER_DEBUG"):
            raise
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        show_interrupted()
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Who read our output has gone, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.COMMAND_FAILED)
    except Exception as error:  # noqa: BLE001  # the last one: a bug is told as one
        show_bug(error, sys.argv[1:])
        sys.exit(ExitCode.BUG)


if __name__ == "__main__":
    main()
