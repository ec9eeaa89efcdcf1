"""Spark properties, the forms they are written in, and the limits of each form."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.releases import limits
from packager.sparkconf import (
    EMITTERS,
    OVERRIDING,
    PYTHON,
    PYTHON_KEYS,
    Job,
    SparkConf,
    conf_for_archives,
    emitter,
    local_uri,
)
from tests.conftest import Golden

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


def job(*entries: tuple[str, str]) -> Job:
    return replace(JOB, conf=SparkConf(entries=entries))


def conf(**extra: str) -> dict[str, str]:
    return dict(conf_for_archives(ARCHIVES, extra).entries)


def refused(name: str, of: Job) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        emitter(name)(of)
    return caught.value


# What the properties are.


def test_archives_and_all_three_pythons_are_set() -> None:
    assert conf_for_archives(ARCHIVES, {}).entries == (
        ("spark.archives", f"{ARCHIVES[0][1]}#environment,{ARCHIVES[1][1]}#app"),
        ("spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON", "./environment/bin/python"),
        ("spark.emr-serverless.driverEnv.PYSPARK_PYTHON", "./environment/bin/python"),
        ("spark.executorEnv.PYSPARK_PYTHON", "./environment/bin/python"),
    )


def test_the_users_properties_follow_ours_in_their_order() -> None:
    extra = {"spark.b": "1", "spark.a": "2"}
    assert conf_for_archives(ARCHIVES, extra).entries[4:] == (("spark.b", "1"), ("spark.a", "2"))


def test_the_users_archives_join_ours() -> None:
    theirs = "s3://bucket/model.tar.gz#model"
    found = conf(**{"spark.archives": theirs})["spark.archives"]
    assert found == f"{ARCHIVES[0][1]}#environment,{ARCHIVES[1][1]}#app,{theirs}"


def test_no_archives_of_the_user_leave_no_comma() -> None:
    assert conf(**{"spark.archives": ""}) == conf()


@pytest.mark.parametrize("alias", ["environment", "app"])
def test_two_archives_under_one_name_are_refused(alias: str) -> None:
    theirs = f"s3://bucket/other.tar.gz#other,s3://bucket/mine.tar.gz#{alias}"
    with pytest.raises(ConfigError) as caught:
        conf(**{"spark.archives": theirs})
    assert caught.value.what == (
        f"spark.archives unpacks two archives as #{alias}: s3://bucket/mine.tar.gz#{alias}"
        " and packager's own"
    )
    assert caught.value.fix == "give yours another name than app, environment"


def test_an_archive_without_a_name_clashes_with_none() -> None:
    assert conf(**{"spark.archives": "s3://bucket/app"})["spark.archives"].endswith("bucket/app")


@pytest.mark.parametrize("key", PYTHON_KEYS)
def test_another_python_is_a_conflict_that_names_both(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        conf(**{key: "/usr/bin/python3"})
    assert caught.value.what == (
        f"{key} is set twice: '/usr/bin/python3' by you, {PYTHON!r} by packager"
    )


def test_the_same_python_again_is_no_conflict() -> None:
    assert conf(**dict.fromkeys(PYTHON_KEYS, PYTHON)) == conf()


@pytest.mark.parametrize("key", OVERRIDING)
def test_properties_that_undo_the_environment_variables_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="would undo") as caught:
        conf(**{key: PYTHON})
    assert key in caught.value.what
    assert caught.value.fix == f"remove {key} from your configuration"


@pytest.mark.parametrize(
    "key", ["executor.memory", "spark.a b", "spark.a=b", "spark.größe", "", "spark.a\n", "Spark.a"]
)
def test_what_is_no_spark_property_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="is not a Spark property"):
        conf(**{key: "1"})


# The forms.


@pytest.mark.parametrize("name", EMITTERS)
def test_every_form_as_it_is_printed(name: str, golden: Golden) -> None:
    golden.check(f"conf-{name}.txt", emitter(name)(JOB) + "\n")


def test_an_unknown_form_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        emitter("spark-sumbit")
    assert caught.value.fix == "did you mean 'spark-submit'?"
    with pytest.raises(ConfigError) as caught:
        emitter("xml")
    assert caught.value.why == f"known: {', '.join(EMITTERS)}"


AWKWARD = ["a b", "a\tb", "a\nb", "it's", 'say "x"', "back\\slash", ""]
ELSEWHERE = ["json", "spark-defaults", "spark-defaults-json"]


@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.parametrize("name", ["spark-submit", "start-job-run"])
def test_what_emr_might_split_is_refused_in_spark_submit_parameters(name: str, value: str) -> None:
    error = refused(name, job(("spark.x", value)))
    assert error.what == f"spark.x can not be written in sparkSubmitParameters: {value!r}"
    assert "spark-defaults-json" in error.fix


@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_and_written_everywhere_else(name: str, value: str) -> None:
    assert read_back(name, emitter(name)(job(("spark.x", value)))) == {"spark.x": value}


def read_back(name: str, text: str) -> dict[str, str]:
    """What the reader of a form makes of its text."""
    match name:
        case "json":
            return dict(json.loads(text))
        case "spark-defaults":
            return java_properties(text)
        case "spark-defaults-json":
            (one,) = json.loads(text)["applicationConfiguration"]
            assert one["classification"] == "spark-defaults"
            return dict(one["properties"])
        case "start-job-run":
            text = json.loads(text)["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
        case _:
            assert name == "spark-submit"
    words = text.split()
    assert words[::2] == ["--conf"] * (len(words) // 2)
    return dict(word.split("=", 1) for word in words[1::2])


def java_properties(text: str) -> dict[str, str]:
    """`java.util.Properties.load`, then the trimming of Spark's `Utils.getPropertiesFromFile`."""
    found = {}
    for line in _logical_lines(text):
        match = re.match(r"((?:\\.|[^\\ \t\f=:])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        assert match
        found[_unescaped(match[1])] = _trimmed(_unescaped(match[2]))
    return found


def _logical_lines(text: str) -> Iterator[str]:
    lines = iter(re.split(r"\r\n|\n|\r", text))
    for first in lines:
        line = first.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while re.search(r"(?<!\\)(?:\\\\)*\\$", line):
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        yield line


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(match[2], match[2])

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", one, text, flags=re.DOTALL)


def _trimmed(text: str) -> str:
    return text.strip("".join(map(chr, range(33))))


KEYS = st.from_regex(r"spark\.[A-Za-z0-9_.\-$/:]+", fullmatch=True)


@LAW
@given(entries=st.dictionaries(KEYS, st.text(), max_size=5), name=st.sampled_from(ELSEWHERE))
def test_forms_for_any_text_read_back_to_what_was_written(
    entries: dict[str, str], name: str
) -> None:
    at_an_end = any(v and min(v[0], v[-1]) <= " " for v in entries.values())
    if name == "spark-defaults" and at_an_end:
        assert refused(name, job(*entries.items())).why.startswith("Spark trims")
        return
    assert read_back(name, emitter(name)(job(*entries.items()))) == entries


WORDS = st.text(
    st.characters(exclude_characters="'\"\\", exclude_categories=("Z", "C")), min_size=1
)


@LAW
@given(
    entries=st.dictionaries(KEYS, WORDS, max_size=5),
    name=st.sampled_from(["spark-submit", "start-job-run"]),
)
def test_spark_submit_parameters_split_at_blanks_into_what_was_written(
    entries: dict[str, str], name: str
) -> None:
    assert read_back(name, emitter(name)(job(*entries.items()))) == entries


@pytest.mark.parametrize("value", ["=a", ":a", "= a", "a=b:c", "#a", "!a", "\\u0041", "a\\"])
def test_a_properties_file_keeps_values_that_look_like_its_syntax(value: str) -> None:
    text = emitter("spark-defaults")(job(("spark.a:b", value), ("spark.c", "d")))
    assert java_properties(text) == {"spark.a:b": value, "spark.c": "d"}


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


# Local files.


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/home/me/dist/app-1.0.tar.gz", "/home/me/dist/app-1.0.tar.gz"),
        ("/home/my files/app", "file:///home/my%20files/app"),
        ("/a#b/app", "file:///a%23b/app"),
        ("/100%/app", "file:///100%25/app"),
        ("/größe/app", "file:///gr%C3%B6%C3%9Fe/app"),
        ("/it's/app", "file:///it%27s/app"),
    ],
)
def test_local_files_are_escaped_where_spark_would_misread_them(path: str, uri: str) -> None:
    assert local_uri(path) == uri


@LAW
@given(st.text(st.characters(exclude_characters=",", codec="utf-8")))
def test_a_local_location_survives_every_form(name: str) -> None:
    uri = local_uri(f"/{name}")
    assert not re.search(r"[\s,#'\"\\]", uri)
    entries = conf_for_archives([("environment", uri)], {}).entries
    assert read_back("spark-submit", emitter("spark-submit")(job(*entries))) == dict(entries)


def test_a_folder_with_a_comma_is_refused_since_spark_separates_there() -> None:
    with pytest.raises(ConfigError, match="can not read archives at /a,b/app"):
        local_uri("/a,b/app")
