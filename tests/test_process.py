"""Real children, all of them this Python: what a fake would say proves nothing about processes."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from packager.adapters import process
from packager.adapters.process import Completed
from packager.errors import CommandError, ToolError

pytestmark = pytest.mark.tools

PYTHON = sys.executable
# Starts a grandchild with a process group of its own, which ignores every polite request, and
# writes its pid to the file named in argv once it does.
STUBBORN_FAMILY = """
import os, signal, sys
if os.fork() == 0:
    os.setpgid(0, 0)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
with open(sys.argv[1], "w") as ready:
    ready.write(f"{os.getpid()}\\n")
signal.pause()
"""


def python(code: str, *arguments: str) -> list[str]:
    return [PYTHON, "-c", code, *arguments]


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A pipe: to open it is to wait until the child writes to it."""
    path = tmp_path / "ready"
    os.mkfifo(path)
    return path


def two_pids(ready: Path) -> tuple[int, ...]:
    pids: list[int] = []
    while len(pids) < 2:
        pids += [int(line) for line in ready.read_text(encoding="utf-8").splitlines()]
    return tuple(pids)


def runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_S", 0.1)


def test_everything_a_program_says_comes_back() -> None:
    code = "import sys; print(sys.stdin.read() + 'ü'); print('aside', file=sys.stderr)"
    assert process.run(python(code), input_="in ") == Completed(
        stdout="in ü\n", stderr="aside\n", returncode=0
    )


def test_without_input_there_is_nothing_to_read() -> None:
    assert process.run(python("import sys; print(repr(sys.stdin.read()))")).stdout == "''\n"


def test_directory_and_environment_are_those_given(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), sorted(k for k in os.environ if k != 'LC_CTYPE'))"
    done = process.run(python(code), cwd=tmp_path, env={"ONLY": "this"})
    assert done.stdout == f"{tmp_path} ['ONLY']\n"


def test_no_shell_reads_the_arguments() -> None:
    words = ["$HOME", "a b", "; echo x", "*", ""]
    assert process.run(python("import sys; print(sys.argv[1:])", *words)).stdout == (f"{words!r}\n")


def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(ToolError) as caught:
        process.run(["no-such-program", "x"])
    assert caught.value.what == "`no-such-program` was not found"
    assert caught.value.why == "it is not on PATH"
    assert caught.value.fix == "install `no-such-program`, or put it on PATH"


def test_a_program_for_another_machine_is_not_called_missing(tmp_path: Path) -> None:
    program = tmp_path / "foreign"
    program.write_bytes(b"\x7fELF not for us")
    program.chmod(0o755)
    with pytest.raises(ToolError, match="cannot be run on this machine") as caught:
        process.run([program])
    assert caught.value.why == "Exec format error"


def test_a_missing_directory_is_not_blamed_on_the_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        process.run(python(""), cwd=tmp_path / "gone")


def test_a_failure_shows_the_command_and_its_last_words() -> None:
    code = "import sys\nfor n in range(30): print(n, file=sys.stderr)\nsys.exit(7)"
    with pytest.raises(CommandError) as caught:
        process.run(python(code, "a b"), fix="try again")
    assert caught.value.what.endswith(" 'a b'` failed with exit status 7")
    assert caught.value.why == "\n".join(str(n) for n in range(10, 30))
    assert caught.value.fix == "try again"


def test_complaints_on_stdout_are_shown_when_stderr_is_empty() -> None:
    with pytest.raises(CommandError) as caught:
        process.run(python("print('why'); raise SystemExit(1)"))
    assert caught.value.why == "why"


def test_a_failure_can_be_an_answer() -> None:
    assert process.run(python("raise SystemExit(3)"), check=False).returncode == 3


def test_a_signal_is_named() -> None:
    with pytest.raises(CommandError, match=r"was ended by SIGKILL$"):
        process.run(python("import os; os.kill(os.getpid(), 9)"))


def test_secrets_are_in_no_message() -> None:
    code = "import sys; print(sys.argv, file=sys.stderr); sys.exit(1)"
    secrets = ("p@ss/1", "p@ss/1 and more", "")
    words = ["https://me:p%40ss%2F1@host/", "p@ss/1 and more", "p@ss/1"]
    with pytest.raises(CommandError) as caught:
        process.run(python(code, *words), secrets=secrets)
    said = caught.value.what + caught.value.why
    assert "p@ss" not in said
    assert "p%40ss" not in said
    assert "and more" not in said
    assert said.count("***") == 6


@pytest.mark.usefixtures("impatient")
def test_a_program_that_takes_too_long_is_ended(ready: Path) -> None:
    pids: list[int] = []
    # Both write before the time is over; who reads must be there first.
    reader = threading.Thread(target=lambda: pids.extend(two_pids(ready)), daemon=True)
    reader.start()
    with pytest.raises(CommandError, match=r"did not end within 1 s$"):
        process.run(python(STUBBORN_FAMILY, str(ready)), timeout_s=1)
    reader.join(timeout=10)
    assert [runs(pid) for pid in pids] == [False, False]


def test_lines_come_one_by_one_while_the_program_runs() -> None:
    code = (
        "import sys\nprint('one ü', flush=True)\nprint('aside', file=sys.stderr, flush=True)\n"
        "sys.stdout.buffer.write(b'two\\r\\nhalf \\xff'); sys.exit(5)"
    )
    out: list[str] = []
    err: list[str] = []
    assert process.stream(python(code), out=out.append, err=err.append) == 5
    assert (out, err) == (["one ü", "two", "half �"], ["aside"])


def test_a_character_may_arrive_in_two_pieces() -> None:
    code = (
        "import sys\nfor byte in 'ü\\n'.encode():\n"
        " sys.stdout.buffer.write(bytes([byte])); sys.stdout.flush()"
    )
    out: list[str] = []
    process.stream(python(code), out=out.append, err=out.append)
    assert out == ["ü"]


def test_a_killed_program_has_the_status_a_shell_gives() -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    assert process.stream(python(code), out=print, err=print) == 137


def test_what_a_program_leaves_behind_neither_blocks_nor_stays() -> None:
    code = "import os, signal\npid = os.fork()\nif pid == 0: signal.pause()\nprint(pid, flush=True)"
    out: list[str] = []
    assert process.stream(python(code), out=out.append, err=out.append) == 0
    assert not runs(int(out[0]))


@pytest.mark.usefixtures("impatient")
def test_an_interrupt_while_streaming_ends_the_whole_family(ready: Path) -> None:
    code = f"import sys; print('up', flush=True)\n{STUBBORN_FAMILY}"
    pids: tuple[int, ...] = ()

    def interrupt(_line: str) -> None:
        nonlocal pids
        pids = two_pids(ready)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.stream(python(code, str(ready)), out=interrupt, err=interrupt)
    assert [runs(pid) for pid in pids] == [False, False]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way_out", [None, ValueError, KeyboardInterrupt])
def test_a_background_family_ends_with_its_context(
    way_out: type[BaseException] | None, ready: Path, tmp_path: Path
) -> None:
    def leave() -> None:
        if way_out is not None:
            raise way_out

    expected: AbstractContextManager[object] = (
        pytest.raises(way_out) if way_out else pytest.MonkeyPatch.context()
    )
    with (
        expected,
        process.background(python(STUBBORN_FAMILY, str(ready)), log=tmp_path / "log") as child,
    ):
        pids = two_pids(ready)
        assert child.pid in pids
        assert child.returncode() is None
        leave()
    assert [runs(pid) for pid in pids] == [False, False]


def test_a_background_program_writes_to_its_log(ready: Path, tmp_path: Path) -> None:
    code = f"import sys; print('said', file=sys.stderr)\n{STUBBORN_FAMILY}".replace("_IGN", "_DFL")
    with process.background(python(code, str(ready)), log=tmp_path / "log") as child:
        two_pids(ready)
    assert child.log.read_text(encoding="utf-8") == "said\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_us_ends_our_children_too(
    number: signal.Signals, ready: Path, tmp_path: Path
) -> None:
    code = (
        "import signal, sys\nfrom pathlib import Path\nfrom packager.adapters import process\n"
        "process.GRACE_S = 0.1\n"
        "with process.background([sys.executable, '-c', sys.argv[1], sys.argv[2]], log=Path(sys.argv[3])):\n"
        "    signal.pause()\n"
    )
    ours = subprocess.Popen(
        python(code, STUBBORN_FAMILY, str(ready), str(tmp_path / "log")), stderr=subprocess.DEVNULL
    )
    pids = two_pids(ready)
    ours.send_signal(number)
    assert ours.wait() == -signal.SIGINT  # How Python ends by an uncaught KeyboardInterrupt.
    assert [runs(pid) for pid in pids] == [False, False]


def test_handlers_are_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    process.run(python(""))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_it_works_in_any_thread() -> None:
    said: list[str] = []
    thread = threading.Thread(
        target=lambda: said.append(process.run(python("print('here')")).stdout)
    )
    thread.start()
    thread.join()
    assert said == ["here\n"]
