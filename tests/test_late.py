"""Parts that are made when they are first asked for something."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from packager.adapters.late import late


class Part:
    made = 0

    def __init__(self) -> None:
        Part.made += 1

    def answer(self, question: str) -> str:
        return f"{question}!"


@pytest.fixture(autouse=True)
def _none_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Part, "made", 0)


def test_a_part_that_nobody_asks_is_not_made() -> None:
    late(Part)
    assert Part.made == 0


def test_many_threads_ask_one_part() -> None:
    part, together = late(Part), Barrier(8)

    def ask(number: int) -> str:
        together.wait()
        return part.answer(str(number))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [f"{number}!" for number in range(8)]
    assert Part.made == 1


def test_why_a_part_can_not_be_made_is_told_to_who_asks() -> None:
    def broken() -> Part:
        raise ValueError("no room")

    part = late(broken)
    for _ in range(2):
        with pytest.raises(ValueError, match="no room"):
            part.answer("well")


def test_what_a_part_does_not_have_is_told_as_ever() -> None:
    with pytest.raises(AttributeError, match="'Part' object has no attribute 'question'"):
        late(Part).question  # type: ignore[attr-defined]  # noqa: B018
