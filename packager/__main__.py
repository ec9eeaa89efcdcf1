"""Entry point: run the command line, turn what was raised into an exit code."""

import errno
import gc
import os
import sys

from packager.errors import CommandError, ConfigError, ExitCode, PackagerError


def main() -> None:
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n  why: nothing half-written was left\n")
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Who read our output has gone, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.COMMAND_FAILED)
    except Exception as error:  # noqa: BLE001  # the last one: a bug is told as one
        sys.exit(_told(error))


def _run() -> int:
    # What is imported stays: to look for garbage in it takes a tenth of a short command's time.
    gc.set_threshold(200_000)
    # Threads here wait for the kernel, and then for no more than a word with the interpreter: at
    # its usual 5 ms, one that makes plans held up those that write and digest.
    sys.setswitchinterval(0.0002)
    # Imported here, where an interrupt is told as one: it takes half of many a command's time.
    from typer.exceptions import TyperException

    from packager.cli import app

    try:
        code: int = app(standalone_mode=False)
    except TyperException as error:
        raise _usage(error) from error
    finally:
        gc.freeze()  # else all there is would be looked through before the process may end
    if code == ExitCode.INTERRUPTED:  # typer has turned the interrupt into this
        raise KeyboardInterrupt
    return code


def _told(error: Exception) -> ExitCode:
    import traceback

    from packager.console import show_bug, show_error

    if isinstance(error, PackagerError):
        if os.environ.get("PACKAGER_DEBUG"):
            traceback.print_exception(error)
    elif isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        error = _full(error)
    else:
        show_bug(error, sys.argv[1:])
        return ExitCode.BUG
    show_error(error)
    return error.exit_code


def _full(error: OSError) -> PackagerError:
    """Wherever it was that something was written, most often in passing."""
    import tempfile

    where = error.filename or f"perhaps {tempfile.gettempdir()}, where things lie in passing"
    return CommandError(
        "the disk is full",
        why=f"{error.strerror}: {where}",
        fix="make room, or lead to another folder with TMPDIR, and repeat the command",
    )


def _usage(error: Exception) -> PackagerError:
    """A wrong word on the command line, told as every other error."""
    context = getattr(error, "ctx", None)
    if context:
        command = context.command_path
    else:  # an option without its value belongs to no context
        from packager.cli import COMMANDS

        command = " ".join(["packager", *(w for w in sys.argv[1:2] if w in COMMANDS)])
    what = getattr(error, "format_message", error.__str__)()
    return ConfigError(what.rstrip("."), fix=f"see {command} --help")


if __name__ == "__main__":
    main()
