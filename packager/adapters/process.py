"""The only place that starts other programs: never through a shell, never left running.

Every child gets a session of its own. It has no terminal to ask questions on, and whatever it
started can be found and ended with it on every way out, an interrupt included.
"""

import codecs
import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from packager.errors import CommandError, ToolError
from packager.interrupts import interrupt

Argument = str | os.PathLike[str]

TAIL_LINES: Final = 20
"""How much of a failed program's words an error repeats."""
GRACE_S: Final = 5.0
"""Between asking a child to end and killing it."""
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a program said: stdout is data and as it came, stderr is without the secrets."""

    stdout: str
    stderr: str
    returncode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A program that runs until its context ends."""

    pid: int
    log: Path
    returncode: Callable[[], int | None]
    """None while it runs."""


def run(
    argv: Sequence[Argument],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_: str | None = None,
    secrets: Collection[str] = (),
    timeout_s: float | None = None,
    check: bool = True,
    fix: str = "",
) -> Completed:
    """Run to the end and return all it said; without `input_` it has nothing to read.

    ToolError when it cannot be started, CommandError when it fails (unless `check` is off) or takes
    longer than `timeout_s`. `fix` is what the user can do about either.
    """
    with terminations_interrupt():
        stdin = subprocess.DEVNULL if input_ is None else subprocess.PIPE
        child = _start(
            argv, cwd=cwd, env=env, fix=fix, stdin=stdin, out=subprocess.PIPE, err=subprocess.PIPE
        )
        with child:
            try:
                out, err = child.communicate(
                    None if input_ is None else input_.encode(), timeout=timeout_s
                )
            except subprocess.TimeoutExpired as error:
                _end(child)
                raise CommandError(
                    f"`{quoted(argv, secrets)}` did not end within {timeout_s:g} s", fix=fix
                ) from error
            except BaseException:
                _end(child)
                raise
    stdout = out.decode("utf-8", "replace")
    stderr = masked(err.decode("utf-8", "replace"), secrets)
    if check and child.returncode != 0:
        raise CommandError(
            f"`{quoted(argv, secrets)}` {_ending(child.returncode)}",
            # Some programs put their complaints on standard output.
            why=tail(stderr) or tail(masked(stdout, secrets)),
            fix=fix,
        )
    return Completed(stdout=stdout, stderr=stderr, returncode=child.returncode)


def stream(
    argv: Sequence[Argument],
    *,
    out: Callable[[str], None],
    err: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    fix: str = "",
) -> int:
    """Run to the end, handing over each line as it comes; return the status as a shell has it.

    The callbacks run in the caller's thread. What the program leaves behind is ended with it.
    """
    with terminations_interrupt():
        child = _start(
            argv,
            cwd=cwd,
            env=env,
            fix=fix,
            stdin=subprocess.DEVNULL,
            out=subprocess.PIPE,
            err=subprocess.PIPE,
        )
        with child:
            try:
                _pump(child, out=out, err=err)
                returncode = child.wait()
            finally:
                _end(child)
    return returncode if returncode >= 0 else 128 - returncode


@contextlib.contextmanager
def background(
    argv: Sequence[Argument],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    fix: str = "",
) -> Iterator[Child]:
    """Start a program that runs as long as the context, with all it says going to `log`."""
    with terminations_interrupt(), log.open("ab") as sink:
        child = _start(
            argv, cwd=cwd, env=env, fix=fix, stdin=subprocess.DEVNULL, out=sink, err=sink
        )
        try:
            yield Child(pid=child.pid, log=log, returncode=child.poll)
        finally:
            _end(child)


def attach(argv: Sequence[Argument], *, fd: int, log: Path) -> Callable[[], None]:
    """Start a program that reads from `fd` and writes to it, and give back what ends it."""
    with log.open("ab") as sink:
        child = _start(argv, cwd=None, env=None, fix="", stdin=fd, out=fd, err=sink)
    return lambda: _end(child)


@contextlib.contextmanager
def terminations_interrupt() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, so that they clean up as Ctrl-C does.

    CI systems cancel with the one, a closed terminal sends the other, and by default both end
    Python on the spot and leave the children, which have sessions of their own, running.
    """
    changed = []
    # Python sets handlers in the main thread only, and a handler that somebody set has its reason.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, interrupt)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def quoted(argv: Sequence[Argument], secrets: Collection[str] = ()) -> str:
    """The command as one would type it, without its secrets."""
    return shlex.join(masked(os.fspath(word), secrets) for word in argv)


def masked(text: str, secrets: Collection[str]) -> str:
    """`text` with every secret as `***`, also where a URL carries it percent-encoded."""
    forms = {form for secret in secrets for form in (secret, quote(secret, safe="")) if form}
    # The longest first: one secret may be the beginning of another.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last lines that say anything."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def _start(
    argv: Sequence[Argument],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    fix: str,
    stdin: int,
    out: int | IO[bytes],
    err: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    program = os.fspath(argv[0])
    try:
        child = subprocess.Popen(
            [os.fspath(word) for word in argv],
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        with _lock:
            _children.add(child)
    except OSError as error:
        if cwd is not None and not cwd.is_dir():
            raise  # Not the program's fault, and nothing the user did.
        if isinstance(error, FileNotFoundError) and not Path(cwd or "", program).exists():
            where = "there is no such file" if "/" in program else "it is not on PATH"
            fix = fix or f"install `{Path(program).name}`, or put it on PATH"
            raise ToolError(f"`{program}` was not found", why=where, fix=fix) from error
        # Another architecture, no execute bit, or a script whose interpreter is missing.
        raise ToolError(
            f"`{program}` cannot be run on this machine", why=error.strerror or str(error), fix=fix
        ) from error
    return child


_lock: Final = threading.Lock()
_children: Final[weakref.WeakSet[subprocess.Popen[bytes]]] = weakref.WeakSet()


def end_all() -> None:
    """End what other threads have started: an interrupt reaches the main thread alone."""
    with _lock:
        running = tuple(_children)
    for child in running:
        if child.poll() is None:
            _end(child)


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"failed with exit status {returncode}"
    return f"was ended by {signal.Signals(-returncode).name}"


@dataclass(slots=True)
class _Lines:
    """Cuts what a pipe delivers, in pieces of any size, into lines of text."""

    sink: Callable[[str], None]
    decoder: codecs.IncrementalDecoder
    rest: str = ""

    def feed(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + self.decoder.decode(data)).split("\n")
        for line in lines:
            self.sink(line.removesuffix("\r"))

    def close(self) -> None:
        rest, self.rest = self.rest + self.decoder.decode(b"", final=True), ""
        if rest:
            self.sink(rest)


def _pump(
    child: subprocess.Popen[bytes], *, out: Callable[[str], None], err: Callable[[str], None]
) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")
    with selectors.DefaultSelector() as selector:
        for pipe, sink in ((child.stdout, out), (child.stderr, err)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, _Lines(sink, decoder("replace")))
        while selector.get_map():
            ready = selector.select(timeout=POLL_S)
            # A process that the child left behind may hold the pipes open for ever.
            if not ready and child.poll() is not None:
                break
            for key, _ in ready:
                if data := os.read(key.fd, 1 << 16):
                    key.data.feed(data)
                else:
                    selector.unregister(key.fileobj)
                    key.data.close()
        for key in tuple(selector.get_map().values()):
            key.data.close()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's group to end, then kill all that is left of its session.

    A second interrupt during the wait only makes it shorter.
    """
    try:
        _signal_group(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):  # Then it is killed.
            child.wait(GRACE_S)
    finally:
        _signal_group(child.pid, signal.SIGKILL)
        _kill_session(child.pid)
        child.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    # Nobody left in the group, or on macOS only zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _kill_session(session: int) -> None:
    """Kill what made a process group of its own, as PySpark's worker daemons do (Linux only)."""
    deadline = time.monotonic() + GRACE_S
    while (left := _members(session)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):  # It ended by itself.
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def _members(session: int) -> tuple[int, ...]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = entry.read_text(encoding="utf-8", errors="replace")
        except OSError:  # It ended while we looked.
            continue
        # proc(5): pid (name) state ppid pgrp session …; the name may hold blanks and brackets.
        state, _, _, its_session = stat.rpartition(")")[2].split()[:4]
        if int(its_session) == session and state not in "ZX":
            found.append(int(entry.parent.name))
    return tuple(found)
