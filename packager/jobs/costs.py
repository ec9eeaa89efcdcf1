"""What a run costs: billed hours, and a dated table of prices that can be replaced. Pure.

Sources: UG 'Considerations' (a minimum of one minute for a worker), UG 'Supported worker
configurations' (storage beyond 20 GB of a worker is billed).
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from packager.documents import parse_toml
from packager.errors import ConfigError
from packager.jobs.workers import Worker, Workers

TABLE: Final = Path(__file__).parents[1] / "data" / "prices.toml"
ARCHITECTURES: Final = ("X86_64", "ARM64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Per vCPU-hour, per GB-hour of memory, and per GB-hour of disks beyond the free ones."""

    vcpu: float
    memory: float
    storage: float
    date: str = ""
    """Of the price list; empty where its source has none."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    where: str
    """What to call the table."""
    currency: str
    minimum_seconds: int
    """For which a worker is billed at least."""
    free_storage_gb: int
    """With each worker."""
    regions: Mapping[str, Mapping[str, Price]]
    """By Region, and by architecture as EMR names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Hours that are billed: the fields of `billedResourceUtilization`."""

    vcpu: float
    memory: float
    storage: float


@cache
def known_prices() -> Prices:
    return read_prices(TABLE.read_text(encoding="utf-8"), "packager's own table")


def read_prices(text: str, where: str) -> Prices:
    """A table of prices, found at `where`. Raise `ConfigError` for one of another form."""
    try:
        return _prices(parse_toml(text), where)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"{where} is not a table of prices",
            why=why,
            fix="write it as in [region.eu-west-1.ARM64] with vcpu, memory, storage, source, and"
            ' currency = "USD" above',
        ) from error


def _prices(table: Mapping[str, Any], where: str) -> Prices:
    regions = {
        region: {
            architecture: _price(row, f"region.{region}.{architecture}")
            for architecture, row in rows.items()
        }
        for region, rows in table["region"].items()
    }
    for region, rows in regions.items():
        if wrong := set(rows) - set(ARCHITECTURES):
            raise ValueError(f"region.{region} has {', '.join(wrong)}")
    own = table if "minimum_seconds" in table else parse_toml(TABLE.read_text(encoding="utf-8"))
    return Prices(
        where=where,
        currency=str(table["currency"]),
        minimum_seconds=int(own["minimum_seconds"]),
        free_storage_gb=int(own["free_storage_gb"]),
        regions=regions,
    )


def _price(row: Mapping[str, Any], path: str) -> Price:
    values = {}
    for name in ("vcpu", "memory", "storage"):
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1000:
            raise ValueError(f"{path}.{name} is {value!r}")
        values[name] = float(value)
    dated = row.get("date", "")
    if dated != "" and not isinstance(dated, date):
        raise ValueError(f"{path}.date is {dated!r}, not a date as in 2026-08-12")
    return Price(**values, date=str(dated), source=str(row.get("source", "")))


def price_of(prices: Prices, region: str, architecture: str) -> Price:
    """Raise `ConfigError` where the table has none: none is made up."""
    fix = "name a table that has it: --prices FILE; `prices` in [tool.packager]"
    if region not in prices.regions:
        near = difflib.get_close_matches(region, prices.regions, n=1)
        raise ConfigError(
            f"{prices.where} has no price for {region}",
            why=f"it has {', '.join(prices.regions)}",
            fix=f"did you mean {near[0]}? If not, {fix}" if near else fix,
        )
    if architecture not in prices.regions[region]:
        raise ConfigError(
            f"{prices.where} has no price of {architecture} in {region}",
            why="no dated source of it was found" if prices is known_prices() else "",
            fix=fix,
        )
    return prices.regions[region][architecture]


def usage(workers: Workers, seconds: float, prices: Prices) -> Usage:
    """What is billed for a driver and its executors that all live for `seconds`.

    Raise `ConfigError` for disks of which no price is known.
    """
    billed = max(prices.minimum_seconds, math.ceil(seconds)) / 3600
    counted = ((workers.driver, 1), (workers.executor, workers.executors))
    return Usage(
        vcpu=sum(worker.vcpu * n for worker, n in counted) * billed,
        memory=sum(worker.memory_gb * n for worker, n in counted) * billed,
        storage=sum(_billed_disk(worker, prices) * n for worker, n in counted) * billed,
    )


def _billed_disk(worker: Worker, prices: Prices) -> int:
    beyond = max(0, worker.disk_gb - prices.free_storage_gb)
    if beyond and worker.shuffle_optimized:
        raise ConfigError(
            "no price of shuffle-optimized disks is known",
            why="they are billed otherwise than standard ones",
            fix="estimate without them: leave the disk's type out",
        )
    return beyond


def cost(used: Usage, price: Price) -> float:
    """In the table's currency."""
    return used.vcpu * price.vcpu + used.memory * price.memory + used.storage * price.storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A run on both architectures; a cost is None where the table has no price of it."""

    region: str
    workers: Workers
    seconds: float
    usage: Usage
    prices: Prices
    costs: Mapping[str, float | None]


def estimate(workers: Workers, seconds: float, region: str, prices: Prices) -> Estimate:
    """Raise `ConfigError` for a Region that the table lacks."""
    used = usage(workers, seconds, prices)
    rows = prices.regions.get(region, {})
    if not rows:
        price_of(prices, region, ARCHITECTURES[0])
    return Estimate(
        region=region,
        workers=workers,
        seconds=seconds,
        usage=used,
        prices=prices,
        costs={name: cost(used, rows[name]) if name in rows else None for name in ARCHITECTURES},
    )


def estimate_text(made: Estimate) -> str:
    """As people read it."""
    count, minutes = made.workers.executors, f"{made.seconds / 60:g} minutes"
    lines = [
        f"A driver and {count} executor{'' if count == 1 else 's'} for {minutes} in {made.region}",
        "",
        f"driver    {_worker_text(made.workers.driver)}",
        f"executor  {_worker_text(made.workers.executor)}",
        f"billed    {_usage_text(made.usage)}",
        "",
    ]
    rows = made.prices.regions[made.region]
    for name, amount in made.costs.items():
        if amount is None:
            lines.append(f"{name.ljust(8)}  no price in {made.prices.where}")
        else:
            dated = f"prices of {rows[name].date}" if rows[name].date else "prices without a date"
            lines.append(f"{name.ljust(8)}  {amount:.4f} {made.prices.currency}  ({dated})")
    lines += _what_if(made)
    return "\n".join(lines)


def _usage_text(used: Usage) -> str:
    return (
        f"{used.vcpu:.3f} vCPU-hours, {used.memory:.3f} GB-hours of memory,"
        f" {used.storage:.3f} GB-hours of storage"
    )


def _worker_text(worker: Worker) -> str:
    return f"{worker.vcpu} vCPU, {worker.memory_gb} GB of memory, {worker.disk_gb} GB of disk"


def _what_if(made: Estimate) -> list[str]:
    x86, arm = (made.costs[name] for name in ARCHITECTURES)
    if not x86 or not arm:
        return []
    less = "less" if arm < x86 else "more"
    return [
        "",
        f"The same minutes cost {abs(1 - arm / x86):.0%} {less} on ARM64.",
        f"It stays cheaper while the job takes less than {x86 / arm:.2f} times as long there.",
    ]


def estimate_json(made: Estimate) -> dict[str, Any]:
    rows = made.prices.regions[made.region]
    return {
        "region": made.region,
        "seconds": made.seconds,
        "workers": asdict(made.workers),
        "billed": {
            "vCPUHour": made.usage.vcpu,
            "memoryGBHour": made.usage.memory,
            "storageGBHour": made.usage.storage,
        },
        "currency": made.prices.currency,
        "costs": {
            name: None
            if amount is None
            else {"amount": amount, "date": rows[name].date, "source": rows[name].source}
            for name, amount in made.costs.items()
        },
    }
