"""Whether the release's PySpark runs on a Python that is not its own. Which do is data."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import SpecifierSet

from packager.checks.bundle import Bundle, environments
from packager.findings import Finding
from packager.target import Target

TABLE: Final = Path(__file__).parents[1] / "data" / "spark-python.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """A row: which Pythons some versions of Spark run on."""

    spark: SpecifierSet
    runs: SpecifierSet
    fails: SpecifierSet | None
    """None where no Python is known to fail."""
    why: str
    source: str


@cache
def supports() -> tuple[Support, ...]:
    return read_supports(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def read_supports(document: Mapping[str, Any]) -> tuple[Support, ...]:
    """Read a whole table; anything missing or unknown is a `TypeError` or `KeyError`."""
    return tuple(
        Support(
            **{
                **row,
                "spark": SpecifierSet(row["spark"]),
                "runs": SpecifierSet(row["runs"]),
                "fails": SpecifierSet(row["fails"]) if row["fails"] else None,
            }
        )
        for row in document["row"]
    )


def supported(spark: str) -> Support | None:
    """What is known of a version of Spark."""
    plain = spark.partition("-")[0]
    return next((s for s in supports() if s.spark.contains(plain, prereleases=True)), None)


def spark_runs(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """The release's PySpark runs on the environment's Python."""
    release, python = target.release, target.python
    if release.interpreter(python) or python == release.python:
        return
    known = supported(release.spark)
    if known is not None and known.runs.contains(python):
        return
    fails = known is not None and known.fails is not None and known.fails.contains(python)
    for facts in environments(bundle):
        yield Finding(
            check="ARC013",
            severity="error" if fails else "warning",
            what=f"Spark {release.spark} does not run on Python {python}"
            if fails
            else f"whether Spark {release.spark} runs on Python {python} is not known",
            why=known.why
            if fails and known
            else f"nobody has measured it; it runs on Python {known.runs if known else 'unknown'}",
            fix="choose another `python`, or a release with another Spark: packager releases",
            where=facts.name,
        )
