"""What workers a job asks for, and which EMR Serverless has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.jobs.workers import Worker, Workers, require_properties, workers
from packager.releases import known_releases, limits

RELEASE = known_releases()["emr-7.13.0"]
SIZES = limits().worker_sizes


def asked(*, label: str = "emr-7.13.0", **conf: str) -> Workers:
    named = {f"spark.{key.replace('__', '.')}": value for key, value in conf.items()}
    return require_properties(named, known_releases()[label], limits())


def refused(*, label: str = "emr-7.13.0", **conf: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        asked(label=label, **conf)
    return caught.value


def test_the_workers_of_a_job_that_says_nothing() -> None:
    one = Worker(vcpu=4, memory_gb=16, disk_gb=20)
    assert asked() == Workers(driver=one, executor=one, executors=3)


@pytest.mark.parametrize(
    ("cores", "memory", "gigabytes"),
    [
        ("1", "1g", 2),
        ("1", "2g", 3),  # 384 MB more than 2 GB
        ("1", "7g", 8),
        ("4", "27g", 30),
        ("4", "14336m", 16),
        ("8", "16g", 20),  # 17.6 GB, and workers of 8 vCPU grow by 4 GB
        ("16", "36g", 40),
        ("16", "109g", 120),
    ],
)
def test_memory_with_its_overhead_is_that_of_the_next_worker(
    cores: str, memory: str, gigabytes: int
) -> None:
    found = asked(executor__cores=cores, executor__memory=memory)
    assert found.executor.memory_gb == gigabytes


def test_an_overhead_can_be_stated_in_two_ways() -> None:
    assert asked(driver__memoryOverhead="2g").driver.memory_gb == 16
    assert asked(driver__memoryOverhead="2049").driver.memory_gb == 17  # MiB
    half = {"spark.emr-serverless.memoryOverheadFactor": "0.5"}
    assert workers(half, RELEASE, limits()).executor.memory_gb == 21


@pytest.mark.parametrize(
    ("conf", "what", "why", "fix"),
    [
        (
            {"driver__cores": "3"},
            "spark.driver.cores = 3: there is no worker of 3 vCPU",
            "workers have 1, 2, 4, 8, 16",
            "use 4",
        ),
        (
            {"executor__cores": "32"},
            "spark.executor.cores = 32: there is no worker of 32 vCPU",
            "workers have 1, 2, 4, 8, 16",
            "use 16",
        ),
        (
            {"executor__memory": "28g"},
            "spark.executor.memory = 28g: with its overhead that is 30.8 GB",
            "a worker of 4 vCPU has 8 to 30 GB",
            "use spark.executor.memory = 27g or spark.executor.cores = 8",
        ),
        (
            {"driver__cores": "16", "driver__memory": "120g"},
            "spark.driver.memory = 120g: with its overhead that is 132.0 GB",
            "a worker of 16 vCPU has 32 to 120 GB",
            "use spark.driver.memory = 109g",
        ),
        (
            {"driver__cores": "1"},
            "spark.driver.memory = the default: with its overhead that is 15.4 GB",
            "a worker of 1 vCPU has 2 to 8 GB",
            "use spark.driver.memory = 7g or spark.driver.cores = 2",
        ),
        (
            {"executor__memoryOverhead": "40g"},
            "spark.executor.memory = the default: with its overhead that is 54.0 GB",
            "a worker of 4 vCPU has 8 to 30 GB",
            "use spark.executor.cores = 8",
        ),
    ],
)
def test_a_size_that_there_is_not_is_refused_with_the_nearest(
    conf: dict[str, str], what: str, why: str, fix: str
) -> None:
    error = refused(**conf)
    assert (error.what, error.why, error.fix) == (what, why, fix)


@given(
    size=st.sampled_from(SIZES),
    memory=st.integers(1, 200_000),
    overhead=st.none() | st.integers(1, 200_000),
)
def test_every_size_is_one_of_the_table_or_is_refused(
    size: object, memory: int, overhead: int | None
) -> None:
    chosen = next(s for s in SIZES if s == size)
    conf = {"spark.driver.cores": str(chosen.vcpu), "spark.driver.memory": f"{memory}m"}
    if overhead is not None:
        conf["spark.driver.memoryOverhead"] = f"{overhead}m"
    needed = memory + (max(384, memory * 0.1) if overhead is None else overhead)
    try:
        found = workers(conf, RELEASE, limits()).driver.memory_gb
    except ConfigError:
        assert needed > chosen.memory_max_gb * 1024
        return
    steps = range(chosen.memory_min_gb, chosen.memory_max_gb + 1, chosen.memory_step_gb)
    assert found in steps
    assert found * 1024 >= needed
    smaller = found - chosen.memory_step_gb
    assert smaller < chosen.memory_min_gb or smaller * 1024 < needed


def disk(text: str, kind: str = "standard", *, label: str = "emr-7.13.0") -> int:
    key = "spark.emr-serverless.executor.disk"
    conf = {key: text, f"{key}.type": kind}
    return require_properties(conf, known_releases()[label], limits()).executor.disk_gb


def test_disks_have_20_to_200_gb_and_shuffle_optimized_ones_2_tb() -> None:
    assert disk("20G") == 20
    assert disk("200G") == 200
    assert disk("2000G", "shuffle_optimized") == 2000
    for text, kind, fix in (
        ("19g", "standard", "20g"),
        ("201g", "standard", "200g"),
        ("3T", "Shuffle_Optimized", "2000g"),
    ):
        with pytest.raises(ConfigError) as caught:
            disk(text, kind)
        assert caught.value.fix == f"use spark.emr-serverless.executor.disk = {fix}"


def test_disks_that_a_release_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"emr-7\.0\.0 does not have such disks"):
        disk("100g", "shuffle_optimized", label="emr-7.0.0")
    with pytest.raises(ConfigError, match="there is no such disk"):
        disk("100g", "fast")


def test_how_many_executors_begin() -> None:
    assert asked(executor__instances="7").executors == 7
    assert asked(dynamicAllocation__initialExecutors="5").executors == 5
    fixed = asked(
        dynamicAllocation__enabled="false",
        dynamicAllocation__initialExecutors="5",
        executor__instances="0",
    )
    assert fixed.executors == 0


@pytest.mark.parametrize(
    "conf",
    [
        {"driver__cores": "four"},
        {"driver__cores": "0"},
        {"driver__cores": "٤"},
        {"driver__memory": "14 gigs"},
        {"driver__memory": "14"},
        {"driver__memory": "-1g"},
        {"executor__memoryOverhead": "x"},
        {"executor__instances": "-1"},
    ],
)
def test_what_can_not_be_read_is_refused_with_an_example(conf: dict[str, str]) -> None:
    assert refused(**conf).fix.startswith("write it as in spark.")


@pytest.mark.parametrize("text", ["x", "nan", "inf", "-1"])
def test_a_factor_is_a_number(text: str) -> None:
    with pytest.raises(ConfigError, match="memoryOverheadFactor"):
        workers({"spark.emr-serverless.memoryOverheadFactor": text}, RELEASE, limits())


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("spark.master", "yarn", "leave it out"),
        ("spark.submit.deployMode", "cluster", "leave it out"),
        ("spark.shuffle.service.enabled", "True", "leave it out"),
        ("spark.emr-serverless.driver.cores", "4", "use spark.driver.cores"),
    ],
)
def test_what_emr_serverless_does_not_take_is_refused(key: str, value: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        require_properties({key: value}, RELEASE, limits())
    assert caught.value.what == f"{key} = {value!r} can not be set"
    assert caught.value.fix == fix
    require_properties({"spark.shuffle.service.enabled": "false"}, RELEASE, limits())
