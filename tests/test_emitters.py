"""The forms a job's configuration is written in, and the limits of each."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.emitters import EMITTERS, JOBS, emitter
from packager.emitters.parameters import moved_note
from packager.errors import ConfigError
from packager.releases import limits
from packager.sparkconf import Job, SparkConf, conf_for_archives
from tests.conftest import Golden
from tests.forms import read_back

LAW = settings(max_examples=40, deadline=None)

ARCHIVES = (
    ("environment", "s3://bucket/jobs/report-environment-py311-arm64-0123456789ab.tar.gz"),
    ("app", "s3://bucket/jobs/report-app-ba9876543210.tar.gz"),
)
JOB = Job(
    conf=conf_for_archives(
        ARCHIVES, {"spark.executor.cores": "2", "spark.hadoop.fs.s3a.endpoint": "a:b=c"}
    ),
    entry_point="s3://bucket/jobs/main-00112233.py",
    arguments=("--day", "2026-01-31", "größer als, 'drei'"),
    name="report",
    release="emr-7.13.0",
    architecture="ARM64",
    limits=limits(),
)
SCHEDULED = {"scheduler"}
"""Forms that need a schedule."""


def job(*entries: tuple[str, str]) -> Job:
    return replace(JOB, conf=SparkConf(entries=entries))


def emitted(name: str, of: Job) -> str:
    """With what the form needs."""
    return emitter(name)(replace(of, schedule="rate(1 hour)") if name in SCHEDULED else of)


def refused(name: str, of: Job) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        emitter(name)(of)
    return caught.value


@pytest.mark.parametrize("name", EMITTERS)
def test_every_form_as_it_is_printed(name: str, golden: Golden) -> None:
    golden.check(f"conf-{name}.txt", emitted(name, JOB) + "\n")


def test_an_unknown_form_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        emitter("spark-sumbit")
    assert caught.value.fix == "did you mean 'spark-submit'?"
    with pytest.raises(ConfigError) as caught:
        emitter("xml")
    assert caught.value.why == f"known: {', '.join(EMITTERS)}"


# Any text.

AWKWARD = ["a b", "a\tb", "a\nb", "it's", 'say "x"', "back\\slash", ""]
WORDS_ONLY = ["spark-submit", "env", "github-output"]
"""Forms of properties that only hold what survives sparkSubmitParameters."""
ANY_TEXT = [name for name in EMITTERS if name not in {*WORDS_ONLY, "terraform"}]
"""Terraform itself reads what is written for it, in tests/integration."""


@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.parametrize("name", WORDS_ONLY)
def test_what_emr_might_split_is_refused_in_spark_submit_parameters(name: str, value: str) -> None:
    error = refused(name, job(("spark.x", value)))
    assert error.what == f"spark.x can not be written in sparkSubmitParameters: {value!r}"
    assert "start-job-run" in error.fix


@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.parametrize("name", ANY_TEXT)
def test_and_written_everywhere_else(name: str, value: str) -> None:
    found = read_back(name, emitted(name, job(("spark.x", value), ("spark.y", "1"))))
    assert found.entries == {"spark.x": value, "spark.y": "1"}


def test_only_what_can_not_stand_in_spark_submit_parameters_goes_to_a_classification() -> None:
    request = json.loads(emitter("start-job-run")(job(("spark.x", "a b"), ("spark.y", "1"))))
    assert request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"] == "--conf spark.y=1"
    (one,) = request["configurationOverrides"]["applicationConfiguration"]
    assert one == {"classification": "spark-defaults", "properties": {"spark.x": "a b"}}


def test_what_moves_to_a_classification_is_told() -> None:
    assert "spark.x: can not be written" in moved_note(job(("spark.x", "a b"), ("spark.y", "1")))
    assert not moved_note(JOB)


KEYS = st.from_regex(r"spark\.[A-Za-z0-9_.\-$/:]+", fullmatch=True).filter(
    lambda key: not key.endswith(".$") and not key.startswith("spark.emr-serverless.")
)
TEXTS = st.text(max_size=30) | st.text("{}%#$'\"\\\r\n ab=", max_size=12)


@LAW
@given(
    entries=st.dictionaries(KEYS, TEXTS, max_size=5),
    arguments=st.lists(TEXTS, max_size=3),
    title=TEXTS,
    name=st.sampled_from(ANY_TEXT),
)
def test_every_form_reads_back_to_what_was_written(
    entries: dict[str, str], arguments: list[str], title: str, name: str
) -> None:
    at_an_end = any(v and min(v[0], v[-1]) <= " " for v in entries.values())
    made = replace(job(*entries.items()), arguments=tuple(arguments), name=title)
    if name == "spark-defaults" and at_an_end:
        assert refused(name, made).why.startswith("Spark trims")
        return
    found = read_back(name, emitted(name, made))
    assert found.entries == entries
    if name in JOBS:
        assert found.arguments == arguments
        assert found.entry_point == JOB.entry_point
    if name in {"start-job-run", "shell", "airflow", "step-functions", "scheduler", "emr-ec2"}:
        assert found.name == title


WORDS = st.text(
    st.characters(exclude_characters="'\"\\", exclude_categories=("Z", "C")), min_size=1
)


@LAW
@given(
    entries=st.dictionaries(KEYS, WORDS, max_size=5),
    name=st.sampled_from([*WORDS_ONLY, "start-job-run"]),
)
def test_spark_submit_parameters_split_at_blanks_into_what_was_written(
    entries: dict[str, str], name: str
) -> None:
    assert read_back(name, emitter(name)(job(*entries.items()))).entries == entries


@LAW
@given(
    title=TEXTS,
    arguments=st.lists(TEXTS, max_size=3),
    name=st.sampled_from(["env", "github-output"]),
)
def test_outputs_of_ci_hold_names_and_arguments_of_any_text(
    title: str, arguments: list[str], name: str
) -> None:
    text = emitter(name)(replace(JOB, name=title, arguments=tuple(arguments)))
    found = read_back(name, text)
    assert (found.name, found.arguments) == (title, arguments)


@pytest.mark.parametrize("value", ["=a", ":a", "= a", "a=b:c", "#a", "!a", "\\u0041", "a\\"])
def test_a_properties_file_keeps_values_that_look_like_its_syntax(value: str) -> None:
    text = emitter("spark-defaults")(job(("spark.a:b", value), ("spark.c", "d")))
    assert read_back("spark-defaults", text).entries == {"spark.a:b": value, "spark.c": "d"}


# The limits.


def filled(chars: int) -> Job:
    """A job whose sparkSubmitParameters have that many characters."""
    key = "spark.x"
    return job((key, "v" * (chars - len(f"--conf {key}="))))


@pytest.mark.parametrize("name", ["spark-submit", "start-job-run"])
def test_spark_submit_parameters_end_at_102400_characters(name: str) -> None:
    emitter(name)(filled(102_400))
    error = refused(name, filled(102_401))
    assert error.what == "sparkSubmitParameters are 102401 characters long"
    assert error.why == "the API takes 102400"


def test_a_classification_has_100_properties() -> None:
    entries = tuple((f"spark.x{n}", "1") for n in range(101))
    emitter("spark-defaults-json")(job(*entries[:100]))
    assert refused("spark-defaults-json", job(*entries)).what == (
        "101 properties in one classification"
    )


def test_a_property_of_a_classification_has_1024_characters() -> None:
    emitter("spark-defaults-json")(job(("spark.x", "v" * 1024)))
    error = refused("spark-defaults-json", job(("spark.x", "v" * 1025)))
    assert error.what == "the value of spark.x is 1025 characters long"


def test_a_property_of_a_classification_has_a_name_of_1024_characters() -> None:
    name = "spark." + "x" * 1018
    emitter("spark-defaults-json")(job((name, "1")))
    assert "1025 characters" in refused("spark-defaults-json", job((f"{name}x", "1"))).what


def test_an_entry_point_has_4096_characters() -> None:
    emitter("start-job-run")(replace(JOB, entry_point="s" * 4096))
    error = refused("start-job-run", replace(JOB, entry_point="s" * 4097))
    assert error.what == "the entry point's location is 4097 characters long"


def test_a_job_has_1024_arguments() -> None:
    emitter("start-job-run")(replace(JOB, arguments=("",) * 1024))
    assert refused("start-job-run", replace(JOB, arguments=("",) * 1025)).what == "1025 arguments"


def test_a_job_has_a_name_of_256_characters() -> None:
    emitter("start-job-run")(replace(JOB, name="n" * 256))
    assert "257 characters" in refused("start-job-run", replace(JOB, name="n" * 257)).what


def test_of_several_entry_points_one_has_to_be_chosen() -> None:
    error = refused("start-job-run", replace(JOB, entry_point=None, choices=("a.py", "b:c")))
    assert error.what == "2 entry points are packed, and none is chosen"
    assert error.why == "there are a.py, b:c"
    assert error.fix == "choose one: --entry-point a.py"
    assert emitter("spark-submit")(replace(JOB, entry_point=None, choices=("a.py", "b:c")))


def test_a_job_run_needs_an_entry_point() -> None:
    error = refused("start-job-run", replace(JOB, entry_point=None))
    assert error.what == "no entry point is known"


def test_no_arguments_are_left_out_of_a_job_run() -> None:
    document = json.loads(emitter("start-job-run")(replace(JOB, arguments=())))
    assert list(document["jobDriver"]["sparkSubmit"]) == ["entryPoint", "sparkSubmitParameters"]
