"""Errors the user can act on, and the exit code of each."""

import pytest

from packager.errors import EXIT_CODE_MEANINGS, ExitCode, PackagerError

CLASSES = PackagerError.__subclasses__()


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [error.exit_code for error in CLASSES]
    assert len(codes) == len(set(codes)) == 4
    assert {ExitCode.OK, ExitCode.BUG, ExitCode.INTERRUPTED}.isdisjoint(codes)


def test_errors_are_flat() -> None:
    assert [error.__subclasses__() for error in CLASSES] == [[]] * len(CLASSES)


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
