"""What all tests share: which parts may run, and a wall around those that are to run alone."""

import functools
import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.command import Command
from tests.index import Index, serve
from tests.rig import parts, stand_in

OUTSIDE = {"tools", "network", "spark", "docker"}
"""Marks of tests that may start programs or open connections; all others may not."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden texts anew")
    parser.addoption(
        "--no-skip", action="store_true", help="a missing part fails its tests; set by CI=true"
    )
    parser.addoption("--unit", action="store_true", help="only the tests that need nothing")


class Wall:
    """Whether the test that runs may reach outside; asked at every attempt."""

    open = True
    connect = True
    """Whether it may open connections, if it may reach outside."""


def _watch(event: str, details: tuple[object, ...]) -> None:
    if not Wall.open and event in {"subprocess.Popen", "os.system", "socket.connect"}:
        message = f"a unit test reached outside: {event} {details}"
        raise AssertionError(message)
    if not Wall.connect and event in {"socket.connect", "socket.getaddrinfo"}:
        message = f"nothing may be connected to: {event} {details}"
        raise AssertionError(message)


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_watch)
    # How long an example takes on a busy machine says nothing of what is tested.
    settings.register_profile("whole", parent=settings(), deadline=None)
    # Who asks for the quick tests waits for them; the whole suite tries ten times as much.
    settings.register_profile("quick", parent=settings.get_profile("whole"), max_examples=10)
    settings.load_profile("quick" if config.getoption("--unit") else "whole")
    if config.getoption("--unit"):
        # jsonschema does without it if it can not be had; its grammar takes a second to load.
        sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    # No test sees the settings, the store or the credentials of who runs it.
    for name in tuple(os.environ):
        if name.startswith(("PACKAGER_", "AWS_")):
            del os.environ[name]
    # Options for this run are none for the runs of pytest that tests start.
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ["PACKAGER_CACHE_DIR"] = "/dev/null/a test that has a store sets this"
    # Only the tests of the clean room have one.
    os.environ["PACKAGER_CLEAN_ROOM"] = "off"
    # A job in the background of a shell, as CI may be, starts with these ignored, and so would
    # every program that a test starts and sends them to.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            own = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, own)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Only to read the integration tests costs a second.
    return True if config.getoption("--unit") and collection_path.name == "integration" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--unit"):
        kept = [item for item in items if not _outside(item)]
        config.hook.pytest_deselected(items=[item for item in items if _outside(item)])
        items[:] = kept


def _outside(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(mark) for mark in OUTSIDE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    Wall.open = _outside(item)
    try:
        return (yield)
    finally:
        Wall.open = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    # The last test of a process also ends what others left for the whole run.
    Wall.open = True


def pytest_runtest_setup(item: pytest.Item) -> None:
    strict = item.config.getoption("--no-skip") or os.environ.get("CI") == "true"
    lacking = _lacking(item)
    if lacking and strict:
        pytest.fail(f"{lacking}, and nothing may be skipped here")
    if lacking:
        pytest.skip(lacking)


def _lacking(item: pytest.Item) -> str:
    if item.get_closest_marker("docker") and (reason := _rig_lacks()):
        return f"{reason}: python3 -m tests.rig up"
    if item.get_closest_marker("browser") and shutil.which("chromium") is None:
        return "Chromium is not installed"
    if item.get_closest_marker("node") and shutil.which("node") is None:
        return "Node.js is not installed"
    if item.get_closest_marker("spark"):
        if shutil.which("java") is None:
            return "Java is not installed"
        try:
            import pyspark  # noqa: F401
        except ImportError:
            return "pyspark is not installed: uv sync --all-groups"
    return ""


@functools.cache
def _rig_lacks() -> str:
    return parts.lacking()


@pytest.fixture(scope="session")
def base_image() -> str:
    """The stand-in for the base image of emr-7.13.0, for both architectures."""
    return stand_in.image()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> "Golden":
    return Golden(update=bool(request.config.getoption("--update-golden")))


class Golden:
    """Texts that users read, kept under `tests/golden` and compared to the letter."""

    def __init__(self, *, update: bool) -> None:
        self.update = update

    def check(self, name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if self.update:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: write it with --update-golden"
        assert text == path.read_text(encoding="utf-8")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index of this test's own, the only one that uv and packager see."""
    with serve(tmp_path / "index") as served:
        for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        monkeypatch.setenv("UV_NO_CONFIG", "1")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield served


@pytest.fixture
def packager(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)
