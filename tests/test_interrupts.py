"""When an interrupt ends what runs, and when what runs is ended first."""

import importlib
import inspect
import signal
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import TracebackType

import pytest

from packager.interrupts import held_back, interrupt, interrupt_by
from tests.waiting import until


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    }
    limit = signal.setitimer(signal.ITIMER_REAL, 0)  # pytest has one for every test
    interrupt_by(signal.SIGINT)
    yield
    signal.setitimer(signal.ITIMER_REAL, *limit)
    for number, handler in before.items():
        signal.signal(number, handler)


def soon() -> None:
    """The interrupt that was put off comes here."""
    until(lambda: False, within_s=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_comes_at_once(number: signal.Signals) -> None:
    interrupt_by(number)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt_by(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)


@pytest.mark.parametrize("at", ["enter", "exit"])
def test_a_context_is_entered_and_left_before_it_comes(at: str) -> None:
    done = []

    class Lock:
        def __enter__(self) -> None:
            if at == "enter":
                signal.raise_signal(signal.SIGINT)
            done.append("taken")

        def __exit__(
            self,
            _kind: type[BaseException] | None,
            _error: BaseException | None,
            _where: TracebackType | None,
        ) -> None:
            if at == "exit":
                signal.raise_signal(signal.SIGINT)
            done.append("free")

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it comes in either
        with Lock():
            if at == "enter":
                soon()
        soon()
    assert done == ["taken", "free"]


def test_it_is_not_lost_where_an_object_ends() -> None:
    class Held:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    held = Held()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it comes after the first
        del held
        soon()


def test_it_leaves_the_locks_of_imports_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []

    class Finder:
        """Is called in the middle of every import, by importlib itself."""

        def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
            here = inspect.currentframe()
            assert here is not None
            interrupt(signal.SIGINT, here.f_back)
            reached.append(name)
            return None

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it comes after the import
        importlib.import_module("colorsys")
        soon()
    assert reached == ["colorsys"]


def test_it_is_told_as_one_where_python_tells_something_else() -> None:
    class Named:
        def __set_name__(self, *_: object) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it comes after the class is made
        type("Owner", (), {"named": Named()})
        soon()


def test_what_an_import_runs_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, *_: object) -> None:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("colorsys")


def test_one_that_is_held_back_comes_afterwards() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it comes at the end
        with held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGALRM)
            done.append("whole")
        soon()
    assert done == ["whole"]
