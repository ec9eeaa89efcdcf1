"""Containers on a real engine: what comes out of them, and that none is ever left behind."""

import contextlib
import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from packager.adapters.containers import (
    LABEL,
    Upload,
    container,
    end_all,
    find_image,
    pull_image,
    run,
)
from packager.adapters.engine import Engine, client, connect, explained
from packager.errors import CommandError, ConfigError, ToolError
from tests.archives import elf
from tests.rig.engine import docker
from tests.waiting import until

pytestmark = pytest.mark.docker

TMP = "/tmp"  # noqa: S108  # of the container
PURPOSE = f"test-{os.getpid()}"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return connect(os.environ)


@pytest.fixture(autouse=True)
def nothing_is_left(engine: Engine) -> Iterator[None]:
    yield
    assert left() == []


def left() -> list[str]:
    label = f"label={LABEL}={PURPOSE}"
    return docker("ps", "--all", "--quiet", "--filter", label).split()


@pytest.fixture
def foreign(engine: Engine) -> Iterator[str]:
    """An image for a machine that nobody emulates, with the program that keeps it running."""
    name = f"packager-{PURPOSE}:s390x"
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("bin/sleep")
        program = bytearray(elf())
        program[18:20] = (22).to_bytes(2, "little")  # `e_machine` of an S/390
        info.size, info.mode = len(program), 0o755
        tar.addfile(info, io.BytesIO(program))
    with client(engine) as api:
        url = f"{api.base_url}/v{engine.api}/images/create"
        options = {"fromSrc": "-", "repo": name, "platform": "linux/s390x"}
        api.post(url, params=options, data=data.getvalue()).raise_for_status()
    yield name
    docker("image", "rm", "--force", name)


def test_a_program_runs_with_files_and_without_a_network(engine: Engine, base_image: str) -> None:
    lines: list[str] = []
    done = run(
        engine,
        base_image,
        ["sh", "-c", "id -un; pwd; echo $WORD; cat in/a; ls /sys/class/net; echo x >&2; exit 7"],
        "linux/amd64",
        timeout_s=60,
        purpose=PURPOSE,
        uploads=[Upload(path=PurePosixPath("in/a"), source=b"bytes\n")],
        folder=TMP,
        workdir=TMP,
        user="hadoop",
        env={"WORD": "word"},
        out=lines.append,
    )
    assert done.stdout == f"hadoop\n{TMP}\nword\nbytes\nlo\n"
    assert (done.stderr, done.returncode) == ("x\n", 7)
    assert sorted(lines) == sorted(["hadoop", TMP, "word", "bytes", "lo", "x"])


def test_big_files_go_in_whole(engine: Engine, base_image: str, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(40 << 20)
    done = run(
        engine,
        base_image,
        ["stat", "-c", "%s %a %U", f"{TMP}/a b/big"],
        "linux/amd64",
        timeout_s=60,
        purpose=PURPOSE,
        uploads=[Upload(path=PurePosixPath("a b/big"), source=big, mode=0o640)],
    )
    assert done.stdout == f"{40 << 20} 640 root\n"


def test_only_the_end_of_much_output_is_kept(engine: Engine, base_image: str) -> None:
    script = "head -c 9000000 /dev/zero | tr '\\0' x; echo end"
    done = run(
        engine, base_image, ["sh", "-c", script], "linux/amd64", timeout_s=60, purpose=PURPOSE
    )
    assert len(done.stdout) == 4 << 20
    assert done.stdout.endswith("xxxend\n")


def test_other_architectures_run_where_they_are_emulated(engine: Engine, base_image: str) -> None:
    done = run(engine, base_image, ["uname", "-m"], "linux/arm64", timeout_s=120, purpose=PURPOSE)
    assert done.stdout == "aarch64\n"


def test_those_that_are_not_are_told(engine: Engine, foreign: str) -> None:
    with pytest.raises(ToolError, match="the engine cannot run linux/s390x") as caught:
        run(engine, foreign, ["true"], "linux/s390x", timeout_s=60, purpose=PURPOSE)
    assert "binfmt" in caught.value.fix


def test_one_that_ends_before_its_program_is_asked_about_has_ended(engine: Engine) -> None:
    """A container whose first program is foreign may live long enough to begin another."""
    text = "No such exec instance: 7a8fae3064e4"
    foreign = explained(text, engine, image="jobs:1", platform="linux/s390x")
    assert isinstance(foreign, ToolError)
    own = explained(text, engine, image="jobs:1", platform=f"linux/{engine.arch}")
    assert isinstance(own, CommandError)
    assert own.what == "a container of jobs:1 ended by itself"


def test_what_takes_too_long_is_ended(engine: Engine, base_image: str) -> None:
    started = time.monotonic()
    with pytest.raises(CommandError, match="was ended") as caught:
        run(engine, base_image, ["sleep", "300"], "linux/amd64", timeout_s=1, purpose=PURPOSE)
    assert caught.value.why == "`sleep` took longer than 1 s"
    assert time.monotonic() - started < 60


def test_another_thread_can_end_it(engine: Engine, base_image: str) -> None:
    with pytest.raises(CommandError, match="was ended") as caught:
        run(
            engine,
            base_image,
            ["sh", "-c", "echo started; sleep 300"],
            "linux/amd64",
            timeout_s=300,
            purpose=PURPOSE,
            out=lambda _: threading.Thread(target=end_all).start(),
        )
    assert caught.value.why == "interrupted"


def test_an_error_on_our_side_removes_it_too(engine: Engine, base_image: str) -> None:
    with (
        contextlib.suppress(ZeroDivisionError),
        container(engine, base_image, "linux/amd64", purpose=PURPOSE, lifetime_s=300),
    ):
        assert len(left()) == 1
        raise ZeroDivisionError


def test_it_ends_by_itself_if_nobody_is_left_to_remove_it(engine: Engine, base_image: str) -> None:
    with container(engine, base_image, "linux/amd64", purpose=PURPOSE, lifetime_s=1):
        until(lambda: not left())  # the engine removes it: nobody here does


def test_an_engine_that_goes_away_is_told(engine: Engine, base_image: str, tmp_path: Path) -> None:
    """Played by a line to the real one that is cut; it removes what nobody asks for any more."""
    with a_line_to(engine, tmp_path / "line") as cut:
        far = connect({**os.environ, "DOCKER_HOST": f"unix://{tmp_path / 'line'}"})
        with pytest.raises(CommandError, match="connection to Docker .*broke") as caught:
            run(
                far,
                base_image,
                ["sh", "-c", "echo started; sleep 300"],
                "linux/amd64",
                timeout_s=300,
                purpose=PURPOSE,
                out=lambda _: cut(),
            )
    assert caught.value.why
    assert caught.value.fix
    for id_ in left():  # it would end by itself, minutes later
        docker("rm", "--force", id_)


@contextlib.contextmanager
def a_line_to(engine: Engine, path: Path) -> Iterator[Callable[[], None]]:
    """A socket that leads to the engine's, until it is cut."""
    assert engine.endpoint.socket is not None
    there = str(engine.endpoint.socket)
    ends: list[socket.socket] = []

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(there)
                ends.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    def cut() -> None:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        accepting = threading.Thread(target=listen)
        accepting.start()
        try:
            yield cut
        finally:
            cut()
            accepting.join()
            for end in ends:
                end.close()


def test_images_are_found_for_a_platform(engine: Engine, base_image: str) -> None:
    for arch in ("amd64", "arm64"):
        image = find_image(engine, base_image, f"linux/{arch}")
        assert image is not None
        assert (image.architecture, image.user) == (arch, "hadoop:hadoop")
        assert image.env["SPARK_HOME"] == "/usr/lib/spark"
        assert image.digest.startswith("sha256:")
    assert find_image(engine, "nowhere/to/be:found", "linux/amd64") is None


def test_an_image_of_another_architecture_is_told(engine: Engine, foreign: str) -> None:
    with pytest.raises(ConfigError, match="is not for linux/amd64") as caught:
        find_image(engine, foreign, "linux/amd64")
    assert "--platform linux/amd64" in caught.value.fix


def test_an_image_that_cannot_be_pulled_is_told(engine: Engine) -> None:
    said: list[str] = []
    with pytest.raises(CommandError, match="cannot be pulled"):
        pull_image(engine, "localhost:1/no/image:1", "linux/amd64", say=said.append)
    assert said == ["Pulling localhost:1/no/image:1 for linux/amd64"]


def test_a_user_and_a_folder_that_are_not_there_are_told(engine: Engine, base_image: str) -> None:
    with pytest.raises(ConfigError, match="does not have the user"):
        run(
            engine,
            base_image,
            ["true"],
            "linux/amd64",
            timeout_s=60,
            purpose=PURPOSE,
            user="nobody-here",
        )
    with (
        pytest.raises(CommandError, match="could not take files"),
        container(engine, base_image, "linux/amd64", purpose=PURPOSE, lifetime_s=300) as room,
    ):
        room.put([Upload(path=PurePosixPath("a"), source=b"")], "/nowhere")
