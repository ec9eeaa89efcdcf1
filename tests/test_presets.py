"""Ready-made properties: what each sets by release, how several are merged, what is refused."""

from dataclasses import replace

import pytest

from packager.emitters.forms import EMITTERS, emitter
from packager.errors import ConfigError
from packager.presets import (
    Resolved,
    find_preset,
    known_presets,
    presets_table,
    read_presets,
    resolved,
)
from packager.releases import known_releases
from packager.sparkconf import JOINED, conf_for_archives, conf_for_image
from tests.conftest import Golden
from tests.test_emitters import ARCHIVES, JOB

WAREHOUSE = {"spark.sql.catalog.glue_catalog.warehouse": "s3://bucket/warehouse/"}
ICEBERG = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
DELTA = "io.delta.sql.DeltaSparkSessionExtension"


def made(*names: str, label: str = "emr-7.13.0", arch: str = "X86_64") -> tuple[Resolved, ...]:
    return resolved(names, known_releases()[label], arch)


def conf(
    *names: str, extra: dict[str, str] | None = None, label: str = "emr-7.13.0"
) -> dict[str, str]:
    return dict(conf_for_archives(ARCHIVES, extra or {}, made(*names, label=label)).entries)


def refused(
    *names: str, extra: dict[str, str] | None = None, label: str = "emr-7.13.0"
) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        conf(*names, extra=extra, label=label)
    return caught.value


# The table.


@pytest.mark.parametrize("label", ["emr-6.8.0", "emr-6.9.0", "emr-7.13.0", "emr-spark-8.0.0"])
def test_the_presets_of_a_release_as_they_are_listed(label: str, golden: Golden) -> None:
    golden.check(f"presets-{label}.txt", presets_table(known_releases()[label]) + "\n")


@pytest.mark.parametrize("name", known_presets())
def test_a_preset_is_there_for_some_release_and_says_where_from(name: str) -> None:
    preset = find_preset(name)
    assert preset.help
    assert preset.source
    assert any(_has(name, label) for label in known_releases())


def _has(name: str, label: str) -> bool:
    try:
        (one,) = made(name, label=label)
    except ConfigError:
        return False
    return bool(one.conf or one.classifications)


def test_facts_that_presets_name_are_those_of_every_release() -> None:
    for release in known_releases().values():
        for preset in known_presets().values():
            assert set(preset.requires) <= set(release.facts)


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    assert refused("iceberg-glu").fix == "did you mean 'iceberg-glue'?"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"preset": {}}, "the table has preset"),
        ({"checked": 1, "preset": {"x": {"help": "x", "sauce": "y"}}}, "preset.x"),
        ({"checked": 1, "preset": {"x": {"help": "x"}}}, "preset.x"),
    ],
)
def test_a_table_of_another_form_is_refused(document: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_presets(document)


# By release.


def test_the_jars_are_those_of_the_release() -> None:
    assert conf("delta")["spark.jars"] == (
        "/usr/share/aws/delta/lib/delta-spark.jar,/usr/share/aws/delta/lib/delta-storage.jar"
    )
    assert "delta-core.jar" in conf("delta", label="emr-6.15.0")["spark.jars"]
    assert "spark.jars" not in conf("iceberg-glue", extra=WAREHOUSE, label="emr-spark-8.0.0")
    assert "minimal-json.jar" in conf("redshift", label="emr-6.9.0")["spark.jars"]
    assert "spark.jars" not in conf("redshift")
    assert conf("kafka")["spark.jars.packages"].endswith("kafka-0-10_2.12:3.5.6")
    assert "_2.13:4.1.1" in conf("kafka", label="emr-spark-8.1.0")["spark.jars.packages"]


@pytest.mark.parametrize(
    ("name", "label"),
    [("delta", "emr-6.8.0"), ("kinesis", "emr-7.0.0"), ("java-17", "emr-6.10.0")],
)
def test_what_a_release_does_not_have_is_refused(name: str, label: str) -> None:
    error = refused(name, label=label)
    assert error.what == f"{label} does not have what the preset {name} sets up"
    assert "UG" in error.why or "RG" in error.why


def test_what_is_newer_than_a_release_is_refused() -> None:
    assert "emr-7.5.0 is the first" in refused("s3-tables", label="emr-7.4.0").why
    assert "emr-7.5.0 is the first" not in refused("s3-tables", label="emr-7.10.0").why


@pytest.mark.parametrize("name", ["delta", "hudi", "kinesis", "redshift", "glue"])
def test_what_nobody_has_published_is_not_guessed(name: str) -> None:
    error = refused(name, label="emr-spark-8.0.0")
    assert error.what.startswith("it is not known how emr-spark-8.0.0 has")


def test_java_17_is_set_where_it_is_not_the_default() -> None:
    arm = dict(made("java-17", label="emr-6.15.0", arch="ARM64")[0].conf)
    home = "/usr/lib/jvm/java-17-amazon-corretto.aarch64/"
    assert arm == {
        "spark.emr-serverless.driverEnv.JAVA_HOME": home,
        "spark.executorEnv.JAVA_HOME": home,
    }
    assert made("java-17")[0].conf == {}
    assert made("java-17", label="emr-spark-8.1.0")[0].conf == {}


# Merged.


def test_lists_of_presets_and_users_are_joined_each_part_once() -> None:
    extra = WAREHOUSE | {"spark.jars": f"s3://bucket/my.jar,{ICEBERG_JAR}"}
    found = conf("delta", "iceberg-glue", "delta", extra=extra)
    assert found["spark.sql.extensions"] == f"{DELTA},{ICEBERG}"
    assert found["spark.jars"].split(",") == [
        "/usr/share/aws/delta/lib/delta-spark.jar",
        "/usr/share/aws/delta/lib/delta-storage.jar",
        ICEBERG_JAR,
        "s3://bucket/my.jar",
    ]


ICEBERG_JAR = "/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"


def test_options_of_java_are_joined_by_blanks() -> None:
    key = "spark.driver.extraJavaOptions"
    one = replace(made("glue")[0], conf={key: "-Da=1"})
    found = dict(conf_for_archives(ARCHIVES, {key: "-Db=2"}, [one]).entries)
    assert found[key] == "-Da=1 -Db=2"
    assert dict(conf_for_archives(ARCHIVES, {key: "-Da=1"}, [one]).entries)[key] == "-Da=1"
    assert JOINED[key] == " "


def test_two_presets_that_contradict_each_other_are_named() -> None:
    delta, other = made("delta", "hudi")
    other = replace(other, conf={"spark.sql.catalog.spark_catalog": "x"})
    with pytest.raises(ConfigError) as caught:
        conf_for_archives(ARCHIVES, {}, [delta, other])
    assert "by the preset hudi" in caught.value.what
    assert "by the preset delta" in caught.value.what


def test_a_preset_and_a_user_that_contradict_each_other_are_named() -> None:
    error = refused("hudi", extra={"spark.serializer": "org.example.Mine"})
    assert error.what == (
        "spark.serializer is set twice: 'org.example.Mine' by you,"
        " 'org.apache.spark.serializer.KryoSerializer' by the preset hudi"
    )
    assert error.fix == "remove spark.serializer from your configuration"


def test_what_only_the_user_knows_is_asked_for_with_an_example() -> None:
    error = refused("iceberg-glue")
    assert error.what == "the preset iceberg-glue needs spark.sql.catalog.glue_catalog.warehouse"
    assert '"s3://my-bucket/warehouse/"' in error.fix


def test_what_does_not_go_with_a_preset_is_refused_with_the_reason() -> None:
    error = refused(
        "iceberg-glue", extra=WAREHOUSE | {"spark.sql.catalog.glue_catalog.type": "glue"}
    )
    assert error.why == "a catalog has a `type` or a `catalog-impl`, not both"


def test_the_image_carrier_has_the_images_python_and_no_archives() -> None:
    found = dict(conf_for_image({"spark.x": "1"}, made("hudi")).entries)
    assert "spark.archives" not in found
    assert found["spark.executorEnv.PYSPARK_PYTHON"] == "/opt/packager/environment/bin/python"
    assert found["spark.x"] == "1"
    assert "hudi" in found["spark.jars"]


def test_java_of_an_image_is_told_to_jobs_and_not_set_in_it() -> None:
    found = dict(conf_for_image({}, driver_java="/opt/jdk", executor_java="/opt/other").entries)
    assert found["spark.emr-serverless.driverEnv.JAVA_HOME"] == "/opt/jdk"
    assert found["spark.executorEnv.JAVA_HOME"] == "/opt/other"
    assert not any("JAVA_HOME" in key for key in dict(conf_for_image({}).entries))
    with pytest.raises(ConfigError, match="JAVA_HOME"):
        conf_for_image({"spark.executorEnv.JAVA_HOME": "/mine"}, executor_java="/opt/other")


# Classifications, secrets.


def test_a_classification_goes_where_there_is_room_for_it() -> None:
    (one,) = made("dynamic-allocation")
    job = replace(JOB, classifications=one.classifications)
    text = emitter("start-job-run")(job)
    assert '"classification": "spark"' in text
    assert '"dynamicAllocationOptimization": "true"' in text
    assert '"classification": "spark"' in emitter("spark-defaults-json")(job)


@pytest.mark.parametrize(
    "name",
    [n for n in EMITTERS if n in {"spark-submit", "json", "yaml", "env", "emr-eks", "emr-ec2"}],
)
def test_a_classification_is_refused_where_there_is_none(name: str) -> None:
    (one,) = made("dynamic-allocation")
    with pytest.raises(ConfigError, match="the classification spark can not be written"):
        emitter(name)(replace(JOB, classifications=one.classifications))


@pytest.mark.parametrize("value", ["EMR.secret@name-AbCdEf", "EMR.secret@a/b_c-1-x9Y8z7"])
def test_a_secret_is_named_with_the_end_of_its_arn(value: str) -> None:
    assert conf(extra={"spark.x": value})["spark.x"] == value


@pytest.mark.parametrize("value", ["EMR.secret@", "EMR.secret@name", "EMR.secret@name-AbCdE"])
def test_a_secret_without_the_end_of_its_arn_is_refused(value: str) -> None:
    error = refused(extra={"spark.x": value})
    assert error.fix == "write it as in EMR.secret@my-secret-AbCdEf"


@pytest.mark.parametrize("name", ["emr-eks", "emr-ec2"])
def test_secrets_are_looked_up_by_emr_serverless_alone(name: str) -> None:
    of = replace(JOB, conf=conf_for_archives((), {"spark.x": "EMR.secret@name-AbCdEf"}))
    with pytest.raises(ConfigError, match=r"spark\.x refers to a secret"):
        emitter(name)(of)
