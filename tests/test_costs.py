"""What a run costs, by a table that says where its prices are from."""

import math

import pytest

from packager.errors import ConfigError
from packager.jobs.costs import (
    Usage,
    cost,
    estimate,
    estimate_json,
    estimate_text,
    known_prices,
    price_of,
    read_prices,
    usage,
)
from packager.jobs.workers import Worker, Workers
from tests.conftest import Golden

DRIVER = Worker(vcpu=4, memory_gb=16, disk_gb=20)
EXECUTOR = Worker(vcpu=8, memory_gb=32, disk_gb=120)
JOB = Workers(driver=DRIVER, executor=EXECUTOR, executors=10)
OWN = """
currency = "EUR"
[region.eu-west-1.ARM64]
vcpu = 0.04
memory = 0.005
storage = 0.0001
date = 2026-11-01
source = "our contract"
"""


def test_every_worker_is_billed_by_the_second_for_a_minute_at_least() -> None:
    prices = known_prices()
    hour = usage(JOB, 3600, prices)
    assert hour == Usage(vcpu=84, memory=336, storage=1000)
    assert usage(JOB, 1, prices) == usage(JOB, 60, prices)
    assert math.isclose(usage(JOB, 60.2, prices).vcpu, 84 * 61 / 3600)


def test_a_cost_is_the_sum_of_what_is_billed() -> None:
    price = price_of(known_prices(), "ap-southeast-1", "ARM64")
    found = cost(Usage(vcpu=84, memory=336, storage=1000), price)
    assert math.isclose(found, 84 * 0.052585 + 336 * 0.005746 + 1000 * 0.000133)


@pytest.mark.parametrize("region", ["ap-southeast-1", "us-east-1"])
def test_an_estimate_as_it_is_printed(region: str, golden: Golden) -> None:
    made = estimate(JOB, 2700, region, known_prices())
    golden.check(f"cost-{region}.txt", estimate_text(made) + "\n")


def test_an_estimate_as_a_document() -> None:
    document = estimate_json(estimate(JOB, 2700, "ap-southeast-1", known_prices()))
    assert document["costs"]["ARM64"]["date"] == "2026-08-12"
    assert document["costs"]["ARM64"]["amount"] < document["costs"]["X86_64"]["amount"]
    assert document["billed"]["vCPUHour"] == 63
    only = estimate_json(estimate(JOB, 2700, "us-east-1", known_prices()))
    assert only["costs"]["ARM64"] is None


def test_a_price_that_no_source_states_is_not_made_up() -> None:
    with pytest.raises(ConfigError) as caught:
        price_of(known_prices(), "us-east-1", "ARM64")
    assert caught.value.what == "packager's own table has no price of ARM64 in us-east-1"
    with pytest.raises(ConfigError) as caught:
        estimate(JOB, 60, "eu-west-9", known_prices())
    assert caught.value.fix.startswith("did you mean eu-west-")


def test_every_price_has_a_source_that_the_table_names() -> None:
    rows = [price for region in known_prices().regions.values() for price in region.values()]
    assert len(rows) == 17
    assert all(row.source in {"PKB", "API"} for row in rows)
    assert all(row.date for row in rows if row.source == "API")


def test_disks_whose_price_nobody_has_named_are_not_estimated() -> None:
    fast = Worker(vcpu=4, memory_gb=16, disk_gb=120, shuffle_optimized=True)
    with pytest.raises(ConfigError, match="no price of shuffle-optimized disks"):
        usage(Workers(driver=DRIVER, executor=fast, executors=1), 60, known_prices())
    free = Worker(vcpu=4, memory_gb=16, disk_gb=20, shuffle_optimized=True)
    assert usage(Workers(driver=free, executor=free, executors=1), 60, known_prices()).storage == 0


def test_a_table_of_ones_own_takes_the_place_of_ours() -> None:
    prices = read_prices(OWN, "prices.toml")
    made = estimate(JOB, 3600, "eu-west-1", prices)
    assert made.costs == {"X86_64": None, "ARM64": pytest.approx(84 * 0.04 + 336 * 0.005 + 0.1)}
    assert "EUR  (prices of 2026-11-01)" in estimate_text(made)
    assert "no price in prices.toml" in estimate_text(made)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("vcpu = 0.04", "", "'vcpu' is missing"),
        ("vcpu = 0.04", "vcpu = -1", "region.eu-west-1.ARM64.vcpu is -1"),
        ("vcpu = 0.04", 'vcpu = "0.04"', "region.eu-west-1.ARM64.vcpu is '0.04'"),
        ("vcpu = 0.04", "vcpu = nan", "region.eu-west-1.ARM64.vcpu is nan"),
        ("vcpu = 0.04", "vcpu = true", "region.eu-west-1.ARM64.vcpu is True"),
        ("2026-11-01", '"yesterday"', "region.eu-west-1.ARM64.date is 'yesterday'"),
        ("ARM64", "arm64", "region.eu-west-1 has arm64"),
        ('currency = "EUR"', "", "'currency' is missing"),
        ("[region", "[[region", ""),
        ("region.eu-west-1.ARM64", "region", ""),
    ],
)
def test_a_table_of_another_form_is_refused_with_its_place(old: str, new: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_prices(OWN.replace(old, new, 1), "prices.toml")
    assert caught.value.what == "prices.toml is not a table of prices"
    assert why in caught.value.why
