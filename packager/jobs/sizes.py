"""What the workers of a job take at its beginning. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packager.jobs.rules import rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    vcpu: int
    memory_gb: int
    executors: int
    """At the beginning, or at least."""


def demand(conf: Mapping[str, str]) -> Demand | None:
    """Of a driver and its first executors; None where a property can not be read."""
    workers = rules().workers
    # UG 'Spark job properties': with dynamic allocation, which is the default, so many begin.
    dynamic = conf.get("spark.dynamicAllocation.enabled", "true").lower() == "true"
    count = "spark.dynamicAllocation.initialExecutors" if dynamic else "spark.executor.instances"
    try:
        executors = int(
            conf.get(count) or conf.get("spark.executor.instances") or workers["executors"]
        )
        cores = [int(conf.get(f"spark.{w}.cores", workers[f"{w}-cores"])) for w in _KINDS]
        memory = [_memory_gb(conf, worker) for worker in _KINDS]
    except ValueError:
        return None
    return Demand(
        vcpu=cores[0] + executors * cores[1],
        memory_gb=memory[0] + executors * memory[1],
        executors=executors,
    )


_KINDS = ("driver", "executor")


def _memory_gb(conf: Mapping[str, str], worker: str) -> int:
    """With its overhead, in whole GB as workers have it."""
    workers = rules().workers
    memory = megabytes(conf.get(f"spark.{worker}.memory", workers[f"{worker}-memory"]))
    overhead = conf.get(f"spark.{worker}.memoryOverhead")
    factor = conf.get("spark.emr-serverless.memoryOverheadFactor", workers["overhead-factor"])
    extra = (
        megabytes(overhead, unit="m")
        if overhead
        else max(float(workers["overhead-min-mb"]), memory * float(factor))
    )
    return -int(-(memory + extra) // 1024)


def megabytes(text: str, *, unit: str = "b") -> float:
    """Of a size as Spark writes it: `14g`, `512m`. Raise `ValueError` for none."""
    match = re.fullmatch(r"(\d+)\s*([kmgt]?)b?", text.strip().lower())
    if match is None:
        raise ValueError(text)
    powers = {"b": -20, "k": -10, "m": 0, "g": 10, "t": 20}
    return float(int(match[1]) * 2.0 ** powers[match[2] or unit])
