"""Many things of one kind at once, where other processes are not to be had or not worth it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from packager.adapters.workers import FEW, each


@pytest.mark.parametrize("count", [0, 1, FEW])
def test_few_things_are_done_here_in_order(count: int) -> None:
    here = threading.local()
    here.process = "this one"  # a fork would have it too, another thread has not

    def double(number: int) -> int:
        assert not hasattr(here, "process")
        return number * 2

    assert each(double, range(count), most=8, stop=lambda: None) == [
        number * 2 for number in range(count)
    ]


def test_a_process_with_threads_is_not_forked() -> None:
    done: list[int] = []  # a fork would have its own
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        each(done.append, range(FEW + 1), most=1, stop=lambda: None)
    assert done == list(range(FEW + 1))


def test_the_first_error_ends_the_others() -> None:
    stopped, began = threading.Event(), threading.Barrier(3)

    def ask(number: int) -> None:
        began.wait(30)
        if number == 1:
            raise LookupError("number 1")
        assert stopped.wait(30)

    with pytest.raises(LookupError, match="number 1"):
        each(ask, range(3), most=3, stop=stopped.set)
    assert stopped.is_set()
