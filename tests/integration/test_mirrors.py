"""Mirrors that are slow, flaky, wrong or down: what can be saved is, and the rest ends soon."""

import email.utils
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.fetch import Fetcher, Patience, patience
from packager.errors import CommandError, ConfigError
from tests.command import Command
from tests.mirror import Answer, Mirror, breaks_off, head, mirror, says, stalls, trickles
from tests.waiting import until

pytestmark = pytest.mark.tools

BODY = bytes(range(256)) * 1000
SHORT = Patience(connect_s=0.3, silence_s=0.3, tries=2, pause_s=0.001, longest_pause_s=0.1)
WHOLE = says(200, BODY)


def piece(start: int, *, of: int | None = None) -> Answer:
    """The rest of the body from `start`, said to begin at `of`."""
    begin = start if of is None else of
    return says(206, BODY[start:], f"Content-Range: bytes {begin}-{len(BODY) - 1}/{len(BODY)}")


def cut(at: int) -> Answer:
    return breaks_off(head(200, f"Content-Length: {len(BODY)}") + BODY[:at])


# What is saved.


MENDED: dict[str, tuple[list[Answer], list[str] | None]] = {
    "cut and resumed": ([cut(90_000), piece(90_000)], ["", "90000"]),
    "reset and resumed": (
        [
            breaks_off(head(200, f"Content-Length: {len(BODY)}") + BODY[:9], reset=True),
            lambda served, client: (WHOLE if "bytes=9-" not in served.requests[-1] else piece(9))(
                served, client
            ),
        ],
        None,
    ),
    "stalls in the middle": (
        [stalls(head(200, f"Content-Length: {len(BODY)}") + BODY[:70_000]), piece(70_000)],
        ["", "70000"],
    ),
    "a range is answered with the whole": ([cut(90_000), WHOLE], ["", "90000"]),
    "another range than was asked for": (
        [cut(90_000), piece(10, of=10), WHOLE],
        ["", "90000", ""],
    ),
    "a range that is not said": ([cut(90_000), says(206, BODY[5:]), WHOLE], ["", "90000", ""]),
    "no such range": ([cut(90_000), says(416), WHOLE], ["", "90000", ""]),
    "said to be longer": ([says(200, BODY[:-9], length=len(BODY)), piece(len(BODY) - 9)], None),
    "cut often, always further": (
        [
            cut(80_000),
            breaks_off(
                head(
                    206,
                    f"Content-Length: {len(BODY) - 80_000}",
                    f"Content-Range: bytes 80000-{len(BODY) - 1}/{len(BODY)}",
                )
                + BODY[80_000:160_000]
            ),
            breaks_off(
                head(
                    206,
                    f"Content-Length: {len(BODY) - 160_000}",
                    f"Content-Range: bytes 160000-{len(BODY) - 1}/{len(BODY)}",
                )
                + BODY[160_000:240_000]
            ),
            piece(240_000),
        ],
        ["", "80000", "160000", "240000"],
    ),
    "does not answer at first": ([stalls(), WHOLE], ["", ""]),
    "closes at first": ([breaks_off(), WHOLE], ["", ""]),
    "resets at first": ([breaks_off(reset=True), WHOLE], ["", ""]),
    "nonsense at first": ([breaks_off(b"hello\r\n\r\n"), WHOLE], ["", ""]),
    "500 at first": ([says(500), WHOLE], ["", ""]),
    "502 at first": ([says(502, b"<html>", "Content-Type: text/html"), WHOLE], ["", ""]),
    "503 at first": ([says(503, b"", "Retry-After: 0"), WHOLE], ["", ""]),
    "429 at first": ([says(429, b"", "Retry-After: tomorrow"), WHOLE], ["", ""]),
    "more than it says": ([says(200, BODY + b"more", length=len(BODY))], [""]),
    "no length": ([breaks_off(head(200) + BODY)], [""]),
    "a nonsense length": ([breaks_off(head(200, "Content-Length: x") + BODY)], [""]),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_a_flaky_mirror_breaks_is_mended(tmp_path: Path, name: str) -> None:
    answers, ranges = MENDED[name]
    with mirror(*answers) as served:
        short = replace(SHORT, tries=3)
        Fetcher(patience=short).download(f"{served.url}/x.whl", tmp_path / "x.whl")
        assert (tmp_path / "x.whl").read_bytes() == BODY
        asked = [request.partition("bytes=")[2].partition("-")[0] for request in served.requests]
        assert ranges is None or asked == ranges


# What is given up.


GIVEN_UP: dict[str, tuple[Answer, str, int]] = {
    "says nothing": (stalls(), "sent nothing for 0.3 s", 2),
    "stops in the middle": (
        stalls(head(200, "Content-Length: 9") + b"x"),
        "sent nothing for 0.3 s",
        2,
    ),
    "a head in drops": (trickles(b"", [b"x"], 0.05), "did not answer within 1.2 s", 1),
    "a body in drops": (trickles(head(200), [b"x"], 0.05), "which does not end", 2),
    "closes": (breaks_off(), "broke the connection off", 2),
    "resets": (breaks_off(reset=True), "broke the connection off", 2),
    "nonsense": (breaks_off(b"hello\r\n\r\n"), "broke the connection off", 2),
    "cuts": (breaks_off(head(200, "Content-Length: 9") + b"x"), "the connection", 2),
    "500": (says(500), "answers 500", 2),
    "502": (says(502), "answers 502", 2),
    "come back in an hour": (says(503, b"", "Retry-After: 3600"), "answers 503", 1),
    "429": (says(429, b"", "Retry-After: 0"), "answers 429", 2),
    "gone": (says(404), "answers 404", 1),
    "forbidden": (says(403), "answers 403", 1),
    "no range": (says(416), "answers 416", 1),
    "redirects in a circle": (says(302, b"", "Location: /x.whl"), "redirects without end", 1),
    "redirects elsewhere": (
        says(302, b"", "Location: ftp://host/x"),
        "can not be asked: InvalidSchema",
        1,
    ),
    "a web page": (says(200, b"<html>", "Content-Type: text/html; charset=utf-8"), "a web page", 1),
    "longer than locked": (says(200, b"x" * 200), "has 200 bytes, and the lock says 100", 1),
    "longer than locked, unsaid": (
        breaks_off(head(200) + b"x" * 200),
        "more than the 100 bytes",
        1,
    ),
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_the_end_is_clear(tmp_path: Path, name: str) -> None:
    answer, why, tries = GIVEN_UP[name]
    short = SHORT if tries > 1 else replace(SHORT, tries=1)
    with mirror(answer) as served:
        url = served.url.replace("://", "://robot:s3cr3t@") + "/x.whl"
        with pytest.raises(CommandError) as caught:
            Fetcher(patience=short).download(url, tmp_path / "x.whl", size=100)
    error = caught.value
    assert error.what == "x.whl can not be downloaded"
    assert error.why.startswith(served.url.removeprefix("http://"))
    assert why in error.why
    assert ("; tried 2 times in " in error.why) == (tries > 1)
    assert error.fix
    assert "s3cr3t" not in f"{error.what}{error.why}{error.fix}"


def test_a_date_to_come_back_is_taken_too(tmp_path: Path) -> None:
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    before = email.utils.format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    for date, number in ((later, 1), (before, 2)):
        with mirror(says(503, b"", f"Retry-After: {date}")) as served:
            with pytest.raises(CommandError):
                Fetcher(patience=SHORT).download(served.url + "/x", tmp_path / "x")
            assert len(served.requests) == number


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/x.whl", "no connection to 127.0.0.1:1; tried 2 times in 0 s"),
        ("http://no-such-host.invalid/x.whl", "no-such-host.invalid is not a known name"),
        ("http://u:s3cr3t@host:99999/x.whl", "host:99999 can not be asked"),
        ("http://u:s3cr3t@[::1/x.whl", "[::1 can not be asked"),
        ("http://" + "x" * 300 + "/x.whl", "xxx"),
    ],
)
def test_what_can_not_be_reached_is_told(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(CommandError) as caught:
        Fetcher(patience=SHORT).download(url, tmp_path / "x.whl")
    assert why in caught.value.why
    assert "s3cr3t" not in caught.value.why


def test_what_is_no_address_is_prepared_for_in_vain(tmp_path: Path) -> None:
    fetcher = Fetcher(patience=SHORT)
    with mirror(WHOLE) as served:
        fetcher.prepare(["http://[half/x", "https:///x", f"{served.url}/x"])
        fetcher.download(f"{served.url}/x", tmp_path / "x")
        with pytest.raises(CommandError):
            fetcher.download("http://[half/x", tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == BODY


def test_to_stop_ends_downloads_that_wait(tmp_path: Path) -> None:
    fetcher = Fetcher(patience=Patience(silence_s=60))
    with (
        mirror(stalls(head(200, "Content-Length: 9") + b"x")) as served,
        ThreadPoolExecutor() as pool,
    ):
        running = pool.submit(fetcher.download, f"{served.url}/x", tmp_path / "x")
        until(lambda: bool(served.requests))
        fetcher.stop()
        with pytest.raises(CommandError):
            running.result(5)


# How long and how often: as uv is told.


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, Patience()),
        ({"UV_HTTP_TIMEOUT": "300"}, Patience(silence_s=300)),
        ({"UV_HTTP_TIMEOUT": "5"}, Patience(silence_s=5, connect_s=5)),
        (
            {"HTTP_TIMEOUT": "20", "UV_HTTP_CONNECT_TIMEOUT": "3"},
            Patience(silence_s=20, connect_s=3),
        ),
        ({"UV_HTTP_RETRIES": "0"}, Patience(tries=1)),
        ({"UV_HTTP_TIMEOUT": ""}, Patience()),
    ],
)
def test_uvs_settings_are_honoured(env: dict[str, str], expected: Patience) -> None:
    assert patience(env) == expected


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "9" * 9])
def test_others_are_refused(text: str) -> None:
    for name in ("UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES"):
        with pytest.raises(ConfigError) as caught:
            patience({name: text})
        assert caught.value.what.startswith(name)


def locked_to(served: Mirror, root: Path, *, wheels: int) -> None:
    """A project of a script, whose lock names so many wheels of the mirror."""
    root.mkdir()
    (root / "main.py").write_text("")
    packages = [
        f'[[packages]]\nname = "p{n}"\nversion = "1.0"\nwheels = [{{ url = '
        f'"{served.url}/p{n}-1.0-py3-none-any.whl", hashes = {{ sha256 = "{n:064}" }} }}]\n'
        for n in range(wheels)
    ]
    (root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "tests"\n' + "".join(packages)
    )


def test_a_pack_ends_soon_and_leaves_nothing(
    packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight wheels of a mirror that accepts connections and says nothing."""
    root = tmp_path / "jobs"
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with mirror(stalls()) as served:
        locked_to(served, root, wheels=8)
        got = packager("pack", "--release", "emr-7.13.0", cwd=root)
    assert got.code == 4
    assert "can not be downloaded" in got.error[0]
    assert got.error[1].endswith("sent nothing for 1 s")
    assert list((root / "dist").iterdir()) == []
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


@pytest.mark.parametrize("ended_by", ["an interrupt", "an error"])
def test_downloads_of_all_processes_end_together(tmp_path: Path, ended_by: str) -> None:
    """Each of eight would wait for minutes."""
    root, store, last = tmp_path / "jobs", tmp_path / "store", stalls()
    if ended_by == "an error":
        last = says(404)
    with mirror(*[stalls()] * 7, last) as served:
        locked_to(served, root, wheels=8)
        command = (sys.executable, "-m", "packager", "pack", "--release", "emr-7.13.0")
        with subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"PACKAGER_CACHE_DIR": str(store), "UV_HTTP_TIMEOUT": "300"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                until(lambda: len(served.requests) >= 8, within_s=30)
                if ended_by == "an interrupt":
                    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                _, err = process.communicate(timeout=10)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == (4 if ended_by == "an error" else 130), err
    assert "Traceback" not in err
    assert list((store / "tmp").iterdir()) == []
    with pytest.raises(ProcessLookupError):  # none of its session is left
        os.killpg(process.pid, 0)


def test_a_name_is_looked_up_once_and_anew_when_nobody_answers_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def noted(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return look_up("127.0.0.1" if host == "mirror.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    fetcher = Fetcher(patience=SHORT)
    with mirror(*[WHOLE] * 4) as served:
        url = served.url.replace("127.0.0.1", "mirror.example")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: fetcher.download(url, tmp_path / str(n), size=None), range(4)))
        assert asked.count("mirror.example") == 1
    with pytest.raises(CommandError):
        fetcher.download(url, tmp_path / "gone", size=None)
    assert asked.count("mirror.example") == 2
