"""Options from flags, variables, pyproject.toml and defaults; and the targets they name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.errors import ConfigError
from packager.releases import known_releases
from packager.settings import OPTIONS, OTHER_VARIABLES, Settings, resolve
from packager.target import ARCHES

FILE = Path("/project/pyproject.toml")

VALUES: dict[str, tuple[tuple[object, object], tuple[str, object], tuple[object, object]]] = {
    # As a flag, as a variable, in pyproject.toml: what is written, and what it means.
    "release": (("emr-7.1.0", "emr-7.1.0"), ("emr-7.2.0", "emr-7.2.0"), ("emr-7.3.0", "emr-7.3.0")),
    "arch": ((["arm64"], ("arm64",)), ("amd64, arm64", ("amd64", "arm64")), ("all", ("all",))),
    "python": (("3.9", "3.9"), ("3.11", "3.11"), ("3.012", "3.12")),
    "layout": (("single", "single"), ("layers", "layers"), ("single", "single")),
    "entry_point": ((["a.py", "b:c"], ("a.py", "b:c")), ("b.py", ("b.py",)), ("c d", ("c d",))),
    "extras": ((["a", "b"], ("a", "b")), ("c,d,", ("c", "d")), ([], ())),
    "groups": ((["a"], ("a",)), ("b", ("b",)), (["c"], ("c",))),
    "test_groups": ((["a"], ("a",)), ("b", ("b",)), (["c"], ("c",))),
    "test_extras": ((["a"], ("a",)), ("b", ("b",)), (["c"], ("c",))),
    "locked": ((True, True), ("True", True), (True, True)),
    "venv": ((".venv", ".venv"), ("../b c", "../b c"), ("/d", "/d")),
    "builder": (("docker", "docker"), ("wheels", "wheels"), ("auto", "auto")),
    "build_packages": ((["gcc"], ("gcc",)), ("gcc,make", ("gcc", "make")), (["g++"], ("g++",))),
    "dockerfile": (("a", "a"), ("b/c", "b/c"), ("d", "d")),
    "no_cache": ((True, True), ("true", True), (True, True)),
    "offline": ((True, True), ("1", True), (True, True)),
    "exclude": ((["*.csv"], ("*.csv",)), ("a,b", ("a", "b")), (["docs"], ("docs",))),
    "slim": (
        ("stubs,tests", ("tests", "stubs")),
        ("tests", ("tests",)),
        (["headers"], ("headers",)),
    ),
    "byte_code": ((True, True), ("1", True), (True, True)),
    "base_image": (("a:1", "a:1"), ("b.c/d@sha256:0", "b.c/d@sha256:0"), ("d/e", "d/e")),
    "clean_room": (("off", "off"), ("require", "require"), ("auto", "auto")),
    "out": (("a", "a"), ("/b", "/b"), ("c", "c")),
    "s3_uri": (("s3://a/", "s3://a"), ("s3://b/c", "s3://b/c"), ("s3://d/e/", "s3://d/e")),
    "bucket_owner": (("1" * 12, "1" * 12), ("2" * 12, "2" * 12), ("3" * 12, "3" * 12)),
    "encryption": (("AES256", "AES256"), ("aws:kms", "aws:kms"), ("AES256", "AES256")),
    "kms_key": (("a", "a"), ("alias/b", "alias/b"), ("arn:c", "arn:c")),
    "storage_class": (
        ("STANDARD", "STANDARD"),
        ("GLACIER_IR", "GLACIER_IR"),
        ("ONEZONE_IA", "ONEZONE_IA"),
    ),
    "s3_tags": ((["a=b", "c="], ("a=b", "c=")), ("a=b,c=d", ("a=b", "c=d")), ([], ())),
    "region": (("a", "a"), ("eu-west-1", "eu-west-1"), ("us-gov-east-1", "us-gov-east-1")),
    "profile": (("a b", "a b"), ("b", "b"), ("c", "c")),
    "path_style": ((True, True), ("1", True), (True, True)),
    "aws_timeout": (("5", 5), ("1", 1), (7, 7)),
    "presets": ((["delta"], ("delta",)), ("hudi,glue", ("hudi", "glue")), ([], ())),
    "prices": (("a.toml", "a.toml"), ("b.toml", "b.toml"), ("c.toml", "c.toml")),
    "cache_dir": (("/a", "/a"), ("~/b", "~/b"), ("c", "c")),
    "cache_size": (("none", "none"), ("1.5GB", "1.5GB"), (500_000, "500000")),
}


def made(
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    table: Mapping[str, Any] | None = None,
) -> Settings:
    return resolve(flags or {}, env or {}, table or {}, FILE)


def refused(
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    table: Mapping[str, Any] | None = None,
) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        made(flags, env, table)
    return caught.value


# Where values come from.


def test_every_option_has_values_here() -> None:
    assert list(VALUES) == [option.name for option in OPTIONS]


@pytest.mark.parametrize("name", VALUES)
def test_flags_win_over_variables_over_the_file_over_the_default(name: str) -> None:
    (flag, as_flag), (variable, as_variable), (key, as_key) = VALUES[name]
    flags = {name: flag}
    env = {f"PACKAGER_{name.upper()}": variable}
    table = {name.replace("_", "-"): key}
    default = next(option.default for option in OPTIONS if option.name == name)
    for settings, value, origin in (
        (made(flags, env, table), as_flag, "flag"),
        (made({name: None}, env, table), as_variable, "environment"),
        (made({}, {f"PACKAGER_{name.upper()}": ""}, table), as_key, "pyproject.toml"),
        (made({}, {}, {}), default, "default"),
    ):
        assert getattr(settings, name) == value
        assert settings.origins[name] == origin


def test_every_option_has_an_origin_and_a_help() -> None:
    assert list(made().origins) == [option.name for option in OPTIONS]
    assert all(option.metadata["help"] for option in OPTIONS)


def test_the_defaults() -> None:
    assert made() == Settings()
    assert (made().arch, made().layout, made().out) == (("amd64",), "layers", "dist")


# What is not known.


@pytest.mark.parametrize(
    ("key", "near"),
    [("relase", "release"), ("entry_point", "entry-point"), ("s3uri", "s3-uri"), ("cnf", "conf")],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, near: str) -> None:
    error = refused(table={key: "x"})
    assert error.what == f"{FILE}: [tool.packager] has no key {key!r}"
    assert error.fix == f"did you mean {near!r}?"


def test_an_unknown_key_like_none_is_refused_with_all() -> None:
    fix = refused(table={"qqq": "x"}).fix
    assert fix.startswith("known: release, arch, ")
    assert fix.endswith("conf, image, ecr, releases, waivers, run, application")


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    error = refused(env={"PACKAGER_RELEASES": "x"})
    assert error.what == "the environment variable PACKAGER_RELEASES is not one of packager's"
    assert error.fix == "did you mean 'PACKAGER_RELEASE'?"


def test_variables_of_others_are_left_alone() -> None:
    env = {"RELEASE": "x", "AWS_REGION": "y", **dict.fromkeys(OTHER_VARIABLES, "1")}
    assert made(env=env) == Settings()


@pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False), ("false", False)])
def test_a_variable_switches_on_and_off(text: str, value: bool) -> None:
    assert made(env={"PACKAGER_LOCKED": text}, table={"locked": not value}).locked is value


# Values that an option does not take.

WRONG: list[tuple[str, object, str]] = [
    ("release", 7, "a text"),
    ("release", " ", "a text"),
    ("out", "a\0b", "a text"),
    ("exclude", ["a\0b"], "a list of texts"),
    ("arch", [], "amd64, arm64 or all"),
    ("arch", "", "amd64, arm64 or all"),
    ("arch", 1, "a list of texts"),
    ("python", 3.11, 'a minor version in quotes, as in "3.11"'),
    ("python", "3.11.4", 'a minor version in quotes, as in "3.11"'),
    ("python", "3", 'a minor version in quotes, as in "3.11"'),
    ("python", "3.x", 'a minor version in quotes, as in "3.11"'),
    ("layout", "layer", "one of layers, single (perhaps 'layers')"),
    ("layout", True, "one of layers, single"),
    (
        "base-image",
        "spark 7.13",
        "a reference of an image, as in registry.example/team/spark:7.13.0",
    ),
    ("base-image", "spark:", "a reference of an image, as in registry.example/team/spark:7.13.0"),
    ("clean-room", "of", "one of auto, require, off (perhaps 'off')"),
    ("entry-point", ["main.py", 1], "a list of texts"),
    ("extras", [1], "a list of texts"),
    ("groups", {"a": 1}, "a list of texts"),
    ("exclude", [""], "a list of texts"),
    ("locked", "yes", "true or false"),
    ("slim", ["test"], "any of tests, headers, stubs, symbols (perhaps 'tests')"),
    ("slim", "strip", "any of tests, headers, stubs, symbols"),
    ("builder", "dokcer", "one of auto, wheels, docker (perhaps 'docker')"),
    ("build-packages", ["gcc; rm -r /"], "names of packages, as in gcc and libffi-devel"),
    ("build-packages", ["-y"], "names of packages, as in gcc and libffi-devel"),
    ("no-cache", "no", "true or false"),
    ("locked", 1, "true or false"),
    ("s3-uri", "bucket/jobs", "an S3 location without blanks, as in s3://bucket/prefix"),
    ("s3-uri", "s3:///jobs", "an S3 location without blanks, as in s3://bucket/prefix"),
    ("s3-uri", "s3://bucket/my jobs", "an S3 location without blanks, as in s3://bucket/prefix"),
    ("s3-uri", "s3://bucket/a#b", "an S3 location without blanks, as in s3://bucket/prefix"),
    ("s3-uri", "s3://bucket/a,b", "an S3 location without blanks, as in s3://bucket/prefix"),
]


@pytest.mark.parametrize(
    ("name", "flag"),
    [("s3_tags", "--tag"), ("extras", "--extra"), ("storage_class", "--storage-class")],
)
def test_a_wrong_value_of_a_flag_is_told_with_the_name_that_the_flag_has(
    name: str, flag: str
) -> None:
    assert refused(flags={name: 1}).what == f"{flag}: 1 is not a value it takes"


@pytest.mark.parametrize(("key", "value", "takes"), WRONG)
def test_a_wrong_value_in_the_file_is_told_with_its_place(
    key: str, value: object, takes: str
) -> None:
    error = refused(table={key: value})
    where = f"`{key}` of [tool.packager] in {FILE}"
    assert error.what == f"{where}: {value!r} is not a value it takes"
    assert error.why == f"it takes {takes}"


@pytest.mark.parametrize(("key", "value", "takes"), [w for w in WRONG if isinstance(w[1], str)])
def test_a_wrong_value_of_a_flag_or_variable_is_told_with_its_name(
    key: str, value: str, takes: str
) -> None:
    name = key.replace("-", "_")
    error = refused(flags={name: value})
    assert (error.what.partition(":")[0], error.why) == (f"--{key}", f"it takes {takes}")
    if value:  # an empty variable is none
        error = refused(env={f"PACKAGER_{name.upper()}": value})
        assert error.what.startswith(f"PACKAGER_{name.upper()}: ")


# Spark properties.


def test_properties_are_written_as_spark_writes_them() -> None:
    table = {"spark.a": True, "spark.b": False, "spark.c": 4, "spark.d": 0.5, "spark.e": "2g"}
    assert made(table={"conf": table}).conf == {
        "spark.a": "true",
        "spark.b": "false",
        "spark.c": "4",
        "spark.d": "0.5",
        "spark.e": "2g",
    }


def test_properties_of_flags_win() -> None:
    table = {"conf": {"spark.a": "1", "spark.b": "2"}}
    assert made({"conf": {"spark.b": "3"}}, {}, table).conf == {"spark.a": "1", "spark.b": "3"}


def test_a_key_without_quotes_is_told_as_the_table_it_became() -> None:
    error = refused(table={"conf": {"spark": {"executor": {"memory": "2g"}}}})
    assert error.what == f"{FILE}: tool.packager.conf.spark is not a text, a number or a boolean"
    assert "not in quotes" in error.why


@pytest.mark.parametrize("value", [["a"], None])
def test_a_property_of_another_type_is_refused(value: object) -> None:
    error = refused(table={"conf": {"spark.a": value}})
    assert "tool.packager.conf.spark.a is not a text" in error.what
    assert error.why == ""


@pytest.mark.parametrize("key", ["conf", "releases"])
def test_tables_are_tables(key: str) -> None:
    error = refused(table={key: "x"})
    assert error.what == f"{FILE}: `tool.packager.{key}` is not a table"


def test_releases_of_the_project_are_known() -> None:
    added = {"emr-7.99.0": {"like": "emr-7.13.0"}}
    assert set(made(table={"releases": added}).releases) - set(known_releases()) == {"emr-7.99.0"}


# Targets.


def targets(**flags: object) -> list[tuple[str, str, str]]:
    return [(t.release.label, t.arch.name, t.python) for t in made(flags).targets()]


def no_target(**flags: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        targets(**flags)
    return caught.value


@pytest.mark.parametrize(
    ("release", "python"), [("emr-6.15.0", "3.7"), ("emr-7.0.0", "3.9"), ("emr-7.13.0", "3.11")]
)
def test_the_python_is_the_releases_own(release: str, python: str) -> None:
    assert targets(release=release) == [(release, "amd64", python)]


def test_or_the_one_that_is_asked_for() -> None:
    assert targets(release="emr-7.13.0", python="3.9") == [("emr-7.13.0", "amd64", "3.9")]


@pytest.mark.parametrize(
    ("arch", "names"),
    [
        (["all"], list(ARCHES)),
        (["arm64", "all"], list(ARCHES)),
        (["arm64", "amd64"], ["arm64", "amd64"]),
        (["arm64", "arm64"], ["arm64"]),
    ],
)
def test_architectures_come_once_in_the_order_given(arch: list[str], names: list[str]) -> None:
    assert [name for _, name, _ in targets(release="emr-7.13.0", arch=arch)] == names


def test_no_release_is_told_with_where_to_write_it() -> None:
    error = no_target()
    assert error.what == "no EMR release is given"
    assert "[tool.packager]" in error.fix
    assert "--release" in error.fix


def test_an_unknown_release_is_refused() -> None:
    assert "emr-7.13.1" in no_target(release="emr-7.13.1").what


def test_an_unknown_architecture_is_refused() -> None:
    assert no_target(release="emr-7.13.0", arch=["x86_64"]).fix == "did you mean 'amd64'?"


@pytest.mark.parametrize("arch", [["arm64"], ["all"]])
def test_an_architecture_the_release_does_not_run_on_is_refused(arch: list[str]) -> None:
    error = no_target(release="emr-6.8.0", arch=arch)
    assert error.what == "emr-6.8.0 does not run on arm64"
    assert error.why == "it runs on amd64"


def test_the_base_image_is_the_releases_own_or_the_one_asked_for() -> None:
    settings = made({"release": "emr-7.13.0"})
    (target,) = settings.targets()
    assert settings.image_for(target) == "public.ecr.aws/emr-serverless/spark/emr-7.13.0:latest"
    assert replace(settings, base_image="own:1").image_for(target) == "own:1"


@pytest.mark.parametrize("release", ["emr-6.6.0", "emr-spark-8.0.0"])
def test_a_release_without_a_known_image_needs_to_be_told(release: str) -> None:
    settings = made({"release": release})
    with pytest.raises(ConfigError, match="the image of") as caught:
        settings.image_for(settings.targets()[0])
    assert caught.value.fix == "name one with --base-image"


def test_waivers_are_of_the_file_and_of_flags_which_win() -> None:
    table = {"waivers": {"ARC008": "ours", "ARC012": "unused"}}
    settings = made(table=table, flags={"waivers": {"ARC008": "once"}})
    assert settings.waivers == {"ARC008": "once", "ARC012": "unused"}


@pytest.mark.parametrize("waivers", [{"ARC008": ""}, {"ARC999": "x"}, {"ARC001": "x"}, "ARC008"])
def test_waivers_that_can_not_be_are_refused(waivers: object) -> None:
    with pytest.raises(ConfigError):
        made(table={"waivers": waivers})
