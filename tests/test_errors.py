"""Errors the user can act on, and the exit code of each."""

import pytest

from packager.errors import EXIT_CODE_MEANINGS, ExitCode, PackagerError
from packager.jobs.ports import BusyError, GoneError

CLASSES = PackagerError.__subclasses__()


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [error.exit_code for error in CLASSES]
    assert len(codes) == len(set(codes)) == 4
    assert {ExitCode.OK, ExitCode.BUG, ExitCode.INTERRUPTED}.isdisjoint(codes)


def test_narrower_errors_keep_the_exit_code_of_their_kind() -> None:
    narrower = [error for kind in CLASSES for error in kind.__subclasses__()]
    assert {GoneError, BusyError} <= set(narrower)
    assert [error for error in narrower if "exit_code" in vars(error)] == []
    assert [error.__subclasses__() for error in narrower] == [[]] * len(narrower)


def test_every_exit_code_has_a_meaning() -> None:
    assert list(EXIT_CODE_MEANINGS) == list(ExitCode)
    assert all(EXIT_CODE_MEANINGS.values())


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_says_what_why_and_what_to_do(error: type[PackagerError]) -> None:
    raised = error("it broke", why="it was old", fix="replace it")
    assert (str(raised), raised.what, raised.why, raised.fix) == (
        "it broke",
        "it broke",
        "it was old",
        "replace it",
    )


def test_reason_and_advice_may_be_missing() -> None:
    raised = CLASSES[0]("it broke")
    assert (raised.why, raised.fix) == ("", "")
