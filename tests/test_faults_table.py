"""The table of faults says what is true: whatever it names is a test, and every row names one."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
ROWS = [
    line.strip("| \n").split(" | ")
    for line in (TESTS / "FAULTS.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and line.count(" | ") == 2
]


def test_every_row_names_a_test() -> None:
    faults = [row for row in ROWS if row[-1] != "shown by" and "---" not in row[0]]
    shown = [row[-1] for row in faults if not row[1].replace(",", "").isdecimal()]
    assert len(shown) > 30
    shown = [text for text in shown if text not in {"the same", "with what result"}]
    assert [text for text in shown if "::test_" not in text] == []


def test_every_named_test_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (TESTS / "FAULTS.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    gone = [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (TESTS / file).read_text(encoding="utf-8")
    ]
    assert gone == []
