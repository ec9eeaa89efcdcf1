"""The workers that a job's properties ask for, and whether EMR Serverless has such. Pure.

Sources: UG 'Supported worker configurations' (sizes; memory has an overhead of 10%, at least
384 MB), UG 'Spark job properties' (defaults), UG 'Using shuffle-optimized disks'.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from packager.errors import ConfigError
from packager.jobs.rules import rules
from packager.jobs.sizes import megabytes
from packager.releases import Limits, Release, WorkerSize

Role = Literal["driver", "executor"]
FACTOR: Final = "spark.emr-serverless.memoryOverheadFactor"
SHUFFLE_OPTIMIZED: Final = "shuffle_optimized"
SHUFFLE_OPTIMIZED_MAX_GB: Final = 2000
TABLE: Final = Path(__file__).parents[1] / "data" / "properties.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """As EMR Serverless makes it and bills it."""

    vcpu: int
    memory_gb: int
    disk_gb: int
    shuffle_optimized: bool = False
    """Whether its disk is; such disks have prices of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    driver: Worker
    executor: Worker
    executors: int
    """At the beginning; dynamic allocation, the default, changes it."""


def require_properties(conf: Mapping[str, str], release: Release, limits: Limits) -> Workers:
    """The workers of a job. Raise `ConfigError` for properties that EMR Serverless refuses."""
    for row in _refused():
        value = conf.get(row["key"])
        if value is not None and value.lower() == row.get("value", value.lower()):
            raise ConfigError(
                f"{row['key']} = {value!r} can not be set", why=row["why"], fix=row["fix"]
            )
    return workers(conf, release, limits)


@cache
def _refused() -> tuple[Mapping[str, Any], ...]:
    return tuple(tomllib.loads(TABLE.read_text(encoding="utf-8"))["refused"])


def workers(conf: Mapping[str, str], release: Release | None, limits: Limits) -> Workers:
    """Raise `ConfigError` for sizes that there are not, with the nearest that there is.

    Without a `release`, disks are not held against what it has.
    """
    dynamic = conf.get("spark.dynamicAllocation.enabled", "true").lower() == "true"
    key = "spark.dynamicAllocation.initialExecutors" if dynamic else "spark.executor.instances"
    if key not in conf:
        key = "spark.executor.instances"
    return Workers(
        driver=_worker("driver", conf, release, limits),
        executor=_worker("executor", conf, release, limits),
        executors=_whole(key, conf.get(key, str(rules().workers["executors"])), minimum=0),
    )


def _worker(role: Role, conf: Mapping[str, str], release: Release | None, limits: Limits) -> Worker:
    cores = f"spark.{role}.cores"
    vcpu = _whole(cores, conf.get(cores, str(rules().workers[f"{role}-cores"])))
    sizes = {size.vcpu: size for size in limits.worker_sizes}
    if vcpu not in sizes:
        nearest = min(sizes, key=lambda n: (abs(n - vcpu), -n))
        raise ConfigError(
            f"{cores} = {vcpu}: there is no worker of {vcpu} vCPU",
            why=f"workers have {', '.join(map(str, sizes))}",
            fix=f"use {nearest}",
        )
    return Worker(
        vcpu=vcpu,
        memory_gb=_memory(role, conf, sizes[vcpu], limits),
        disk_gb=_disk(role, conf, release, limits),
        shuffle_optimized=_disk_type(role, conf) == SHUFFLE_OPTIMIZED,
    )


def _memory(role: Role, conf: Mapping[str, str], size: WorkerSize, limits: Limits) -> int:
    key, overhead_key = f"spark.{role}.memory", f"spark.{role}.memoryOverhead"
    memory = _megabytes(key, conf.get(key, rules().workers[f"{role}-memory"]))
    factor = _factor(conf.get(FACTOR, str(rules().workers["overhead-factor"])))
    least = float(rules().workers["overhead-min-mb"])
    stated = conf.get(overhead_key)
    overhead = (
        max(least, memory * factor)
        if stated is None
        else _megabytes(overhead_key, stated, unit="m")
    )
    total = (memory + overhead) / 1024
    if total > size.memory_max_gb:
        room = size.memory_max_gb * 1024
        most = room - overhead if stated is not None else min(room - least, room / (1 + factor))
        larger = [s.vcpu for s in limits.worker_sizes if s.memory_max_gb >= total]
        use = [f"{key} = {int(most // 1024)}g"] if most >= 1024 else []
        use += [f"spark.{role}.cores = {min(larger)}"] if larger else []
        raise ConfigError(
            f"{key} = {conf.get(key, 'the default')}: with its overhead that is {total:.1f} GB",
            why=f"a worker of {size.vcpu} vCPU has {size.memory_min_gb} to {size.memory_max_gb} GB",
            fix=f"use {' or '.join(use)}" if use else f"lower {overhead_key}",
        )
    above = max(0.0, total - size.memory_min_gb)
    return size.memory_min_gb + math.ceil(above / size.memory_step_gb) * size.memory_step_gb


def _disk_type(role: Role, conf: Mapping[str, str]) -> str:
    return conf.get(f"spark.emr-serverless.{role}.disk.type", "standard").lower()


def _disk(role: Role, conf: Mapping[str, str], release: Release | None, limits: Limits) -> int:
    key = f"spark.emr-serverless.{role}.disk"
    kind = _disk_type(role, conf)
    most = limits.worker_disk_max_gb
    if kind == SHUFFLE_OPTIMIZED:
        if release is not None and not release.facts["shuffle_optimized_disk"]:
            raise ConfigError(
                f"{key}.type = {kind}: {release.label} does not have such disks",
                why="emr-7.1.0 is the first that has them",
                fix="leave it out, or choose a newer release",
            )
        most = SHUFFLE_OPTIMIZED_MAX_GB
    elif kind != "standard":
        raise ConfigError(
            f"{key}.type = {kind}: there is no such disk",
            why="there are standard and shuffle_optimized",
            fix="use one of these",
        )
    least = limits.worker_disk_default_gb
    text = conf.get(key, f"{least}g")
    gigabytes = math.ceil(_megabytes(key, text) / 1024)
    if not least <= gigabytes <= most:
        raise ConfigError(
            f"{key} = {text}: there is no such disk",
            why=f"{kind} disks have {least} to {most} GB",
            fix=f"use {key} = {min(max(gigabytes, least), most)}g",
        )
    return gigabytes


def _whole(key: str, text: str, *, minimum: int = 1) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < minimum:
        raise ConfigError(f"{key} = {text!r} is not a number", fix=f"write it as in {key} = 4")
    return int(text)


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 <= factor < math.inf:
        raise ConfigError(f"{FACTOR} = {text!r} is not a number", fix="write it as in 0.1")
    return factor


def _megabytes(key: str, text: str, *, unit: str = "") -> float:
    """`unit` is that of a bare number; without one, bare numbers are refused.

    Spark takes those for bytes in one place and for MiB in another.
    """
    try:
        return megabytes(text + unit if text.isdecimal() and unit else _with_unit(text))
    except ValueError:
        raise ConfigError(
            f"{key} = {text!r} is not a size", fix=f"write it as in {key} = 14g"
        ) from None


def _with_unit(text: str) -> str:
    if text.isdecimal():
        raise ValueError(text)
    return text
