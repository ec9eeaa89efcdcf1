"""Spark properties of packed archives."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.sparkconf import (
    OVERRIDING,
    PYTHON,
    PYTHON_KEYS,
    conf_for_archives,
    local_uri,
)

LAW = settings(max_examples=40, deadline=None)

ARCHIVES = (
    ("environment", "s3://bucket/jobs/report-environment-py311-arm64-0123456789ab.tar.gz"),
    ("app", "s3://bucket/jobs/report-app-ba9876543210.tar.gz"),
)


def conf(**extra: str) -> dict[str, str]:
    return dict(conf_for_archives(ARCHIVES, extra).entries)


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


def test_a_folder_with_a_comma_is_refused_since_spark_separates_there() -> None:
    with pytest.raises(ConfigError, match="can not read archives at /a,b/app"):
        local_uri("/a,b/app")
