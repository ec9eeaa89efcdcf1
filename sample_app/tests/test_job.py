import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[[str | None, str | None], dict[str, Any]]

pytestmark = pytest.mark.spark
HERE = Path(__file__).parent
EXPECTED = json.loads((HERE.parent / "expected/result.json").read_text("utf-8"))


@pytest.fixture
def run(spark: Any) -> Run:
    # Imported late: without PySpark the tests are skipped, not broken.
    from sample_app import job

    return functools.partial(job.run, spark)


def test_the_result_is_the_expected_one_and_is_written(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "classified"
    summary = run(None, str(target))

    assert summary["result"] == EXPECTED
    assert {each["executable"] for each in summary["executors"]} == {sys.executable}
    written = [
        json.loads(line)
        for part in sorted(target.glob("part-*.json"))
        for line in part.read_text("utf-8").splitlines()
    ]
    assert len(written) == EXPECTED["rows"]
    assert sum("prediction" not in each for each in written) == EXPECTED["not_measured"]


def test_a_file_with_other_columns_is_refused(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(Exception, match="CSV header"):
        run(str(other), None)


def test_an_input_without_penguins_is_refused(run: Run, tmp_path: Path) -> None:
    columns = "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year"
    empty = tmp_path / "empty.csv"
    empty.write_text(f"{columns}\n", "utf-8")
    with pytest.raises(ValueError, match="no penguins"):
        run(str(empty), None)
