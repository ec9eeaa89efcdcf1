"""Every reader, on input that is spoiled in some hundred ways: archives or an error that is told.

`python -m tests.fuzz` does the same for as long as one likes.
"""

from pathlib import Path

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.subjects import Subject, subjects

pytestmark = pytest.mark.tools

INPUTS = 40


@pytest.mark.parametrize("subject", subjects(uv=""), ids=lambda subject: subject.name)
def test_spoiled_input_is_taken_or_refused(subject: Subject, tmp_path: Path) -> None:
    count = fuzz(subject, tmp_path, seed=7, inputs=INPUTS)
    assert not count.failures, next(iter(count.failures.values()))
    assert count.taken + count.refused == INPUTS
    assert count.refused > INPUTS // 10
