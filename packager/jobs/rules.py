"""What EMR Serverless allows by release: `data/jobs.toml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from packager.documents import parse_toml

TABLE: Final = Path(__file__).parents[1] / "data" / "jobs.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Versions are major and minor of the label: `emr-spark-8.1.0` is (8, 1)."""

    modes_since: tuple[int, int]
    """Streaming, and retries."""
    attempts_max: int
    failures_per_hour_max: int
    batch_timeout_since: tuple[int, int]
    """From then on a batch job must have one."""
    batch_timeout_max: int
    """Minutes."""
    classifications_merge_since: tuple[int, int]
    """Before, a job's classification takes the place of its application's."""
    image_at_submission_since: tuple[int, int]
    """Before, a tag is resolved when the application starts."""
    live: tuple[str, ...]
    """Fields of an application that can change while it is started."""
    live_without_capacity: tuple[str, ...]
    """Likewise, where it has no initial capacity."""
    log_refresh_s: int
    dashboard_minutes: int
    """How long its address is good for."""
    workers: Mapping[str, Any]
    """Cores, memory and number of workers that Spark begins with unless told otherwise."""


@cache
def rules() -> Rules:
    table = parse_toml(TABLE.read_text(encoding="utf-8"))

    def since(key: str) -> tuple[int, int]:
        return version_of(f"emr-{table[key]['since']}")

    return Rules(
        modes_since=since("modes"),
        attempts_max=table["modes"]["attempts-max"],
        failures_per_hour_max=table["modes"]["failures-per-hour-max"],
        batch_timeout_since=since("batch-timeout"),
        batch_timeout_max=table["batch-timeout"]["max"],
        classifications_merge_since=since("classifications-merge"),
        image_at_submission_since=since("image-at-submission"),
        live=tuple(table["live"]["fields"]),
        live_without_capacity=tuple(table["live"]["without-initial-capacity"]),
        log_refresh_s=table["logs"]["refresh-s"],
        dashboard_minutes=table["dashboard"]["minutes"],
        workers=table["workers"],
    )


def version_of(label: str) -> tuple[int, int]:
    """Major and minor version of a release label; (0, 0) of a text that is none."""
    match = re.match(r"emr-(?:spark-)?(\d+)\.(\d+)", label)
    return (int(match[1]), int(match[2])) if match else (0, 0)
