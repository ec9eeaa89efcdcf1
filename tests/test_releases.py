"""The release table: its facts, its rules, what a project adds, and how people see it."""

import copy
import dataclasses
import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from packager.errors import ConfigError, ExitCode
from packager.releases import (
    FACT_NAMES,
    PROJECT_SOURCE,
    TABLE,
    Interpreter,
    Limits,
    Release,
    WorkerSize,
    find_release,
    known_releases,
    limits,
    newest_labels,
    read_limits,
    read_releases,
    release_json,
    release_sheet,
    releases_table,
    with_additions,
)
from packager.target import ARCHES
from tests.conftest import Golden

LABELS = tuple(known_releases())
PYTHON_3 = Interpreter(
    python="3.9", path="/usr/bin/python3", confirmed=True, source="SAMP (7.x has 3.9)"
)


def document() -> dict[str, Any]:
    """The table as it ships, to be spoiled."""
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def additions(text: str) -> dict[str, Any]:
    """`[tool.packager.releases]` of a pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(text)["tool"]["packager"]["releases"]
    return table


def fact(release: Release, name: str) -> object:
    return release.facts[name] if name in release.facts else getattr(release, name)


def version_key(label: str) -> tuple[bool, tuple[int, ...]]:
    return "spark" in label, tuple(map(int, re.findall(r"\d+", label)))


# The facts.


@pytest.mark.parametrize(
    ("label", "spark", "glibc", "python", "architectures"),
    [
        ("emr-6.6.0", "3.2.0", (2, 26), "3.7", ("amd64",)),
        ("emr-6.8.0", "3.3.0", (2, 26), "3.7", ("amd64",)),
        ("emr-6.9.0", "3.3.0", (2, 26), "3.7", ("amd64", "arm64")),
        ("emr-6.15.0", "3.4.1", (2, 26), "3.7", ("amd64", "arm64")),
        ("emr-7.0.0", "3.5.0", (2, 34), "3.9", ("amd64", "arm64")),
        ("emr-7.12.0", "3.5.6", (2, 34), "3.9", ("amd64", "arm64")),
        ("emr-7.13.0", "3.5.6", (2, 34), "3.11", ("amd64", "arm64")),
        ("emr-7.14.0", "3.5.8", (2, 34), "3.11", ("amd64", "arm64")),
        ("emr-spark-8.0-preview", "4.0.1", None, "3.9", None),
        ("emr-spark-8.0.0", "4.0.2", (2, 34), "3.11", None),
        ("emr-spark-8.1.0", "4.1.1", (2, 34), "3.11", None),
    ],
)
def test_the_facts_that_a_build_depends_on(
    label: str,
    spark: str,
    glibc: tuple[int, int] | None,
    python: str,
    architectures: tuple[str, ...] | None,
) -> None:
    release = known_releases()[label]

    assert (spark, glibc, python, architectures) == (
        release.spark,
        release.glibc,
        release.python,
        release.architectures,
    )


@pytest.mark.parametrize(
    ("labels", "interpreters"),
    [
        (
            [f"emr-6.{minor}.0" for minor in range(6, 16)],
            [("3.7", "/usr/bin/python3", True)],
        ),
        (["emr-7.0.0"], [("3.9", "/usr/bin/python3", True)]),
        (
            [f"emr-7.{minor}.0" for minor in range(1, 13)],
            [("3.9", "/usr/bin/python3", True), ("3.11", "/usr/bin/python3.11", False)],
        ),
        (
            ["emr-7.13.0", "emr-7.14.0"],
            [("3.11", "/usr/bin/python3.11", True), ("3.9", "/usr/bin/python3", True)],
        ),
        (["emr-spark-8.0-preview"], []),
        (["emr-spark-8.0.0", "emr-spark-8.1.0"], [("3.11", "/usr/bin/python3.11", False)]),
    ],
)
def test_the_interpreters_of_a_release(
    labels: list[str], interpreters: list[tuple[str, str, bool]]
) -> None:
    for label in labels:
        found = known_releases()[label].interpreters
        assert interpreters == [(i.python, i.path, i.confirmed) for i in found], label


def test_every_label_is_there_oldest_first() -> None:
    expected = [
        *(f"emr-6.{minor}.0" for minor in range(6, 16)),
        *(f"emr-7.{minor}.0" for minor in range(15)),
        *("emr-spark-8.0-preview", "emr-spark-8.0.0", "emr-spark-8.1.0"),
    ]
    assert expected == list(LABELS)
    assert expected == sorted(expected, key=version_key)


def test_the_newest_of_each_kind() -> None:
    assert newest_labels(LABELS) == ("emr-7.14.0", "emr-spark-8.1.0")


def test_what_a_release_does_not_have_differs_from_what_nobody_knows() -> None:
    old, preview = known_releases()["emr-6.6.0"], known_releases()["emr-spark-8.0-preview"]

    assert (old.base_image, old.facts["delta"], old.facts["delta_jars"]) == ("", "", ())
    assert (preview.base_image, preview.facts["hudi"], preview.facts["delta_jars"]) == (
        None,
        None,
        None,
    )


def test_what_was_measured_in_one_release_is_not_said_of_the_next() -> None:
    measured = [r.label for r in known_releases().values() if r.facts["preinstalled_versions"]]
    assert measured == ["emr-7.13.0"]


@pytest.mark.parametrize("label", LABELS)
def test_the_default_interpreter_stands_first_and_agrees_with_the_guide(label: str) -> None:
    release = known_releases()[label]
    documented = release.facts["python_pyspark_default_path"]

    assert [i.python for i in release.interpreters][:1] in ([release.python], [])
    if documented:
        assert release.interpreters[0].path == documented
    else:
        assert not any(i.confirmed for i in release.interpreters)


@pytest.mark.parametrize("label", LABELS)
def test_the_base_image_is_of_the_label_itself(label: str) -> None:
    image = known_releases()[label].base_image
    assert not image or image.endswith(f"/{label}")


def test_architectures_have_our_names() -> None:
    named = {a for r in known_releases().values() for a in r.architectures or ()}
    assert named == set(ARCHES)


def test_the_known_releases_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        known_releases()["emr-7.13.0"] = known_releases()["emr-7.14.0"]  # type: ignore[index]


# The sources.


def cited_keys(source: str) -> list[str]:
    return [re.split(r"[ :]", part, maxsplit=1)[0] for part in source.split("; ")]


@pytest.mark.parametrize("label", LABELS)
def test_every_fact_has_a_source_that_the_table_explains(label: str) -> None:
    release = known_releases()[label]
    titles = set(document()["sources"])

    assert set(release.sources) == set(FACT_NAMES)
    assert {*release.facts, "spark", "interpreters", "glibc"} <= set(release.sources)
    for name, source in release.sources.items():
        assert set(cited_keys(source)) <= titles, name
    for interpreter in release.interpreters:
        assert interpreter.source in release.sources["interpreters"]


@pytest.mark.parametrize("label", LABELS)
def test_what_is_not_known_is_what_nobody_published(label: str) -> None:
    release = known_releases()[label]
    for name, source in release.sources.items():
        value = fact(release, name)
        unpublished = cited_keys(source)[0] == "UNPUBLISHED"
        # An empty list of what was seen is no claim.
        assert unpublished if value is None else not unpublished or value == (), name


def test_an_interpreter_is_unconfirmed_exactly_where_it_is_inferred() -> None:
    for release in known_releases().values():
        for interpreter in release.interpreters:
            assert interpreter.confirmed is not interpreter.source.startswith("INFERRED")


def test_every_limit_has_a_source_that_the_table_explains() -> None:
    names = {field.name for field in dataclasses.fields(Limits)} - {"sources"}

    assert set(limits().sources) == names
    for source in limits().sources.values():
        assert set(cited_keys(source)) <= set(document()["sources"])


def test_every_source_is_cited() -> None:
    every = [limits().sources, *(r.sources for r in known_releases().values())]
    cited = {key for sources in every for text in sources.values() for key in cited_keys(text)}
    assert cited == set(document()["sources"])


def test_no_family_is_left_over() -> None:
    families = document()["family"]
    used = {table["family"] for table in document()["release"].values()}
    used |= {table["like"] for table in families.values() if "like" in table}
    assert used == set(families)


def test_the_limits() -> None:
    found = limits()

    assert found.spark_submit_parameters_chars == 102_400
    assert found.entry_point_chars == 4_096
    assert found.entry_point_arguments_items == 1_024
    assert found.spark_defaults_properties == 100
    assert found.spark_defaults_key_chars == found.spark_defaults_value_chars == 1_024
    assert found.job_name_chars == 256
    assert (found.image_gb, found.worker_disk_default_gb, found.worker_disk_max_gb) == (10, 20, 200)
    assert [size.vcpu for size in found.worker_sizes] == [1, 2, 4, 8, 16]
    assert found.worker_sizes[2] == WorkerSize(
        vcpu=4, memory_min_gb=8, memory_max_gb=30, memory_step_gb=1
    )


# The rules of the file, each with its fault.

Spoil = Callable[[dict[str, Any]], object]

FAULTS: list[tuple[Spoil, str]] = [
    (lambda d: d.update(relase={}), "relase is not a known key"),
    (lambda d: d.pop("family"), "family must be a table, not None"),
    (
        lambda d: d["release"]["emr-7.13.0"].pop("spark"),
        'release."emr-7.13.0".spark is missing',
    ),
    (
        lambda d: d["release"]["emr-7.13.0"].update(sparc="3"),
        'release."emr-7.13.0".sparc is not a known key',
    ),
    (
        lambda d: d["release"]["emr-7.13.0"].update(spark=3.5),
        'release."emr-7.13.0".spark must be a version in quotes such as "3.5.6", not 3.5',
    ),
    (
        lambda d: d["release"]["emr-7.13.0"].pop("family"),
        'release."emr-7.13.0".family must name a family that stands above it, not None',
    ),
    (
        lambda d: d["family"]["7.13"].update(like="7.14"),
        "family.\"7.13\".like must name a family that stands above it, not '7.14'",
    ),
    (lambda d: d["family"]["6.6"].pop("emrfs"), 'release."emr-6.6.0".emrfs is missing'),
    (
        lambda d: d["family"]["6.6"].pop("interpreters"),
        'release."emr-6.6.0".interpreters is missing',
    ),
    (
        lambda d: d["family"]["6.6"].update(emrfs="yes"),
        "family.\"6.6\".emrfs must be true or false, not 'yes'",
    ),
    (
        lambda d: d["family"]["7.11"].update(batch_timeout_max_minutes=True),
        'family."7.11".batch_timeout_max_minutes must be a whole number, not True',
    ),
    (
        lambda d: d["family"]["6.6"].update(iceberg_jars="x.jar"),
        "family.\"6.6\".iceberg_jars must be a list of texts, or `unknown`, not 'x.jar'",
    ),
    (
        lambda d: d["family"]["6.6"].update(java=8),
        'family."6.6".java must be text, or `unknown`, not 8',
    ),
    (
        lambda d: d["family"]["6.6"].update(architectures=["X86_64"]),
        'family."6.6".architectures must be a list of amd64 and arm64, or `unknown`, not',
    ),
    (
        lambda d: d["family"]["6.6"].update(glibc=2.26),
        'family."6.6".glibc must be a version in quotes such as "2.34", or `unknown`, not 2.26',
    ),
    (
        lambda d: d["family"]["6.6"]["sources"].pop("emrfs"),
        'release."emr-6.6.0".sources.emrfs is missing',
    ),
    (
        lambda d: d["family"]["6.6"]["sources"].update(emrfs=" "),
        'release."emr-6.6.0".sources.emrfs must be the text of a source',
    ),
    (
        lambda d: d["family"]["7.0"]["sources"].pop("glibc"),
        'family."7.0".sources.glibc is missing: family."7.0".glibc is stated anew',
    ),
    (
        lambda d: d["family"]["6.6"]["sources"].update(emfs="UG"),
        'family."6.6".sources.emfs is not a known key',
    ),
    (
        lambda d: d["family"]["6.6"]["interpreters"][0].pop("source"),
        'family."6.6".interpreters[0].source is missing',
    ),
    (
        lambda d: d["family"]["6.6"]["interpreters"][0].update(confirmed="unknown"),
        'family."6.6".interpreters[0].confirmed must be true or false',
    ),
    (
        lambda d: d["family"]["6.6"]["interpreters"][0].update(path="python3"),
        'family."6.6".interpreters[0].path must be an absolute path',
    ),
    (
        lambda d: d["release"]["emr-spark-8.0-preview"]["sources"].pop("interpreters"),
        'release."emr-spark-8.0-preview".sources.interpreters is missing',
    ),
    (lambda d: d.pop("limits"), "limits must be a table, not None"),
    (lambda d: d["limits"].pop("image_gb"), "limits.image_gb is missing"),
    (lambda d: d["limits"].update(image_mb=1), "limits.image_mb is not a known key"),
    (lambda d: d["limits"].update(image_gb="10"), "limits.image_gb must be a whole number"),
    (lambda d: d["limits"]["sources"].pop("image_gb"), "limits.sources.image_gb is missing"),
    (
        lambda d: d["limits"]["sources"].update(image="UG"),
        "limits.sources.image is not a known key",
    ),
    (
        lambda d: d["limits"].update(worker_sizes={}),
        "limits.worker_sizes must be a list of tables, not {}",
    ),
    (
        lambda d: d["limits"]["worker_sizes"][1].pop("vcpu"),
        "limits.worker_sizes[1].vcpu is missing",
    ),
    (
        lambda d: d["limits"]["worker_sizes"][1].update(cpu=2),
        "limits.worker_sizes[1].cpu is not a known key",
    ),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_a_fault_in_the_table_is_refused_by_its_path(spoil: Spoil, message: str) -> None:
    spoiled = copy.deepcopy(document())
    spoil(spoiled)

    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        (read_releases(spoiled), read_limits(spoiled))

    assert str(raised.value).startswith(message)


# What a project adds.


def test_a_project_without_additions_has_the_known_releases() -> None:
    assert with_additions({}) is known_releases()


def test_a_new_label_takes_the_facts_of_the_one_it_is_like() -> None:
    releases = with_additions(additions('[tool.packager.releases."emr-7.15.0"]\nlike="emr-7.14.0"'))
    new, model = releases["emr-7.15.0"], releases["emr-7.14.0"]

    assert (new.label, new.spark, new.glibc, new.python, new.os, new.java) == (
        "emr-7.15.0",
        *(model.spark, model.glibc, model.python, model.os, model.java),
    )
    assert new.architectures == model.architectures
    assert new.facts["delta_jars"] == model.facts["delta_jars"]
    assert new.sources["spark"] == f"{PROJECT_SOURCE}: like emr-7.14.0"
    assert newest_labels(releases) == ("emr-7.15.0", "emr-spark-8.1.0")


def test_what_belongs_to_one_label_is_not_taken_over() -> None:
    """Since emr-7.14.0 the service refuses an image whose base is of another label."""
    new = with_additions({"emr-7.15.0": {"like": "emr-7.14.0"}})["emr-7.15.0"]

    assert new.base_image is None
    assert new.facts["spark_full"] is None
    assert new.facts["base_image_tags_seen"] is None
    assert new.sources["base_image"] == f"not stated in {PROJECT_SOURCE}"


def test_an_interpreter_taken_from_another_label_is_unconfirmed() -> None:
    new = with_additions({"emr-7.15.0": {"like": "emr-7.14.0"}})["emr-7.15.0"]

    assert new.interpreters[0] == Interpreter(
        python="3.11",
        path="/usr/bin/python3.11",
        confirmed=False,
        source=f"{PROJECT_SOURCE}: like emr-7.14.0",
    )


def test_a_new_label_can_state_every_fact() -> None:
    text = """
    [tool.packager.releases."emr-7.15.0"]
    like = "emr-7.14.0"
    spark = "3.5.9"
    os = "AL2027"
    glibc = "2.41"
    python = "3.12"
    interpreters = [
      { python = "3.11", path = "/usr/bin/python3.11" },
      { python = "3.12", path = "/opt/python3.12" },
    ]
    architectures = ["arm64"]
    java = "21"
    base-image = "registry.example/emr-7.15.0"
    """
    new = with_additions(additions(text))["emr-7.15.0"]

    assert (new.spark, new.os, new.glibc, new.python) == ("3.5.9", "AL2027", (2, 41), "3.12")
    assert (new.architectures, new.java) == (("arm64",), "21")
    assert new.base_image == "registry.example/emr-7.15.0"
    assert new.interpreters == (
        Interpreter(python="3.12", path="/opt/python3.12", confirmed=True, source=PROJECT_SOURCE),
        Interpreter(
            python="3.11", path="/usr/bin/python3.11", confirmed=True, source=PROJECT_SOURCE
        ),
    )
    assert {name for name, source in new.sources.items() if source == PROJECT_SOURCE} == {
        *("spark", "os", "glibc", "python", "interpreters", "architectures", "java", "base_image")
    }


def test_a_fact_of_a_known_label_is_stated_and_the_rest_stays() -> None:
    label = "emr-spark-8.0-preview"
    stated = with_additions(additions(f'[tool.packager.releases."{label}"]\nglibc = "2.34"'))[label]
    known = known_releases()[label]

    assert stated.glibc == (2, 34)
    assert stated.sources["glibc"] == PROJECT_SOURCE
    assert (stated.spark, stated.facts) == (known.spark, known.facts)
    assert stated.sources["spark"] == known.sources["spark"]


def test_a_label_that_packager_learns_later_keeps_what_the_project_says() -> None:
    """An update of packager must not turn a project's table into an error."""
    stated = with_additions({"emr-7.14.0": {"like": "emr-7.12.0"}})["emr-7.14.0"]

    assert stated.python == "3.9"
    assert stated.base_image == known_releases()["emr-7.14.0"].base_image


def test_another_python_puts_its_interpreter_first() -> None:
    stated = with_additions({"emr-7.14.0": {"python": "3.9"}})["emr-7.14.0"]
    assert [i.python for i in stated.interpreters] == ["3.9", "3.11"]


def test_a_label_like_no_other_is_unknown_in_what_is_not_stated() -> None:
    new = with_additions({"emr-9.0.0": {"spark": "4.2.0", "python": "3.13"}})["emr-9.0.0"]

    assert (new.spark, new.python, new.glibc, new.interpreters) == ("4.2.0", "3.13", None, ())
    assert set(new.facts.values()) == {None}
    assert set(new.sources) == set(FACT_NAMES)
    assert new.sources["glibc"] == f"not stated in {PROJECT_SOURCE}"


def test_a_stated_fact_can_be_unknown() -> None:
    assert with_additions({"emr-7.14.0": {"glibc": "unknown"}})["emr-7.14.0"].glibc is None


def test_added_labels_stand_where_their_version_does() -> None:
    like = {"like": "emr-7.2.0"}
    labels = ("emr-spark-9.0.0", "emr-7.2.1", "emr-7.15.0", "emr-flink-1.0.0")
    ordered = list(with_additions(dict.fromkeys(labels, like)))

    assert ordered[ordered.index("emr-7.2.1") - 1] == "emr-7.2.0"
    assert ordered[ordered.index("emr-7.15.0") + 1] == "emr-spark-8.0-preview"
    assert ordered[-2:] == ["emr-spark-9.0.0", "emr-flink-1.0.0"]


@pytest.mark.parametrize("name", FACT_NAMES)
def test_every_fact_of_an_added_label_has_a_source(name: str) -> None:
    releases = with_additions({"emr-7.15.0": {"like": "emr-7.14.0"}})
    assert PROJECT_SOURCE in releases["emr-7.15.0"].sources[name]


NEW = 'tool.packager.releases."emr-7.15.0"'

BAD_ADDITIONS: list[tuple[object, str, str]] = [
    ([], "tool.packager.releases must be a table, not []", "pyproject.toml"),
    ({"emr-7.15.0": "x"}, f"{NEW} must be a table, not 'x'", "pyproject.toml"),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "glibcc": "2.34"}},
        f"{NEW}.glibcc is not a known key",
        "did you mean `glibc`?",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "base_image": "x"}},
        f"{NEW}.base_image is not a known key",
        "did you mean `base-image`?",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "zzz": 1}},
        f"{NEW}.zzz is not a known key",
        "known: like, spark, os, glibc, python, architectures, java, base-image, interpreters",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "glibc": 2.34}},
        f'{NEW}.glibc must be a version in quotes such as "2.34", or `unknown`, not 2.34',
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "python": 3.11}},
        f'{NEW}.python must be a minor version in quotes such as "3.11", not 3.11',
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "python": "3.11.7"}},
        f"{NEW}.python must be a minor version in quotes such as \"3.11\", not '3.11.7'",
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "architectures": ["x86_64"]}},
        f"{NEW}.architectures must be a list of amd64 and arm64, or `unknown`, not ['x86_64']",
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "architectures": []}},
        f"{NEW}.architectures must be a list of amd64 and arm64, or `unknown`, not []",
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "interpreters": ["3.11"]}},
        f"{NEW}.interpreters must be a list of tables, not ['3.11']",
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "interpreters": [{"python": "3.11"}]}},
        f"{NEW}.interpreters[0].path is missing",
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14.0", "interpreters": [{"pyton": "3.11"}]}},
        f"{NEW}.interpreters[0].pyton is not a known key",
        "did you mean `python`?",
    ),
    (
        {"emr-7.15.0": {"like": 7}},
        f"{NEW}.like must be the label of a release, as text, not 7",
        "pyproject.toml",
    ),
    (
        {"emr-7.15.0": {"like": "emr-7.14"}},
        f"{NEW}.like must be a release that packager knows itself, not 'emr-7.14'",
        'did you mean "emr-7.14.0"?',
    ),
    (
        {"emr-7.15.0": {"like": "?"}},
        f"{NEW}.like must be a release that packager knows itself, not '?'",
        "`packager releases` lists them",
    ),
    (
        {"emr-7.15.0": {"python": "3.11"}},
        f"{NEW}.spark is missing, and packager does not know emr-7.15.0",
        'add `like = "emr-7.14.0"`',
    ),
    (
        {"emr-7.14": {"spark": "3.5.8"}},
        'tool.packager.releases."emr-7.14".python is missing, and packager does not know emr-7.14',
        'write [tool.packager.releases."emr-7.14.0"]',
    ),
]


@pytest.mark.parametrize(
    ("table", "what", "fix"), BAD_ADDITIONS, ids=[what for _, what, _ in BAD_ADDITIONS]
)
def test_a_bad_addition_is_refused_by_its_path(table: Any, what: str, fix: str) -> None:
    with pytest.raises(ConfigError) as raised:
        with_additions(table)

    assert raised.value.what == what
    assert fix in raised.value.fix
    assert raised.value.exit_code is ExitCode.CONFIG


# Finding one.


@pytest.mark.parametrize("label", LABELS)
def test_a_known_label_is_found(label: str) -> None:
    assert find_release(label, known_releases()) is known_releases()[label]


@pytest.mark.parametrize(
    ("label", "near"),
    [
        ("emr-7.15.0", "emr-7.14.0"),
        ("emr-7.13", "emr-7.13.0"),
        ("7.13.0", "emr-7.13.0"),
        ("EMR-7.13.0", "emr-7.13.0"),
        ("emr-7.13.O", "emr-7.13.0"),
        ("emr-6.8.1", "emr-6.8.0"),
        ("emr-8.1.0", "emr-spark-8.1.0"),
        ("emr-spark-8.0", "emr-spark-8.0.0"),
        ("emr-spark-8.0-previw", "emr-spark-8.0-preview"),
        ("emr-spark-8.2.0", "emr-spark-8.1.0"),
        ("emr-9.0.0", "emr-7.14.0"),
    ],
)
def test_an_unknown_label_is_refused_with_the_nearest(label: str, near: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find_release(label, known_releases())

    assert raised.value.what == f"{label!r} is not a release that packager knows"
    assert raised.value.why == "the newest that it knows: emr-7.14.0 and emr-spark-8.1.0"
    assert raised.value.fix.startswith(f"did you mean {near}? If not: ")


def test_a_label_near_to_none_is_refused_with_the_way_to_the_list() -> None:
    with pytest.raises(ConfigError) as raised:
        find_release("latest", known_releases())

    assert raised.value.fix.startswith("`packager releases` lists them; ")


@pytest.mark.parametrize("label", ["emr-7.15.0", "emr-spark-8.2.0", "emr-9.0.0", "latest"])
def test_the_fix_for_an_unknown_label_works_as_typed(label: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find_release(label, known_releases())
    stated = re.search(r"(\[tool\S+\]) with `(like = \S+)`", raised.value.fix)
    assert stated is not None

    releases = with_additions(additions("\n".join(stated.groups())))

    assert find_release(label, releases).label == label


# As text.


def test_the_table_for_people(golden: Golden) -> None:
    golden.check("releases.txt", releases_table(known_releases()))


@pytest.mark.parametrize("label", ["emr-6.6.0", "emr-7.13.0", "emr-spark-8.0-preview"])
def test_the_sheet_of_one_release(label: str, golden: Golden) -> None:
    golden.check(f"releases-{label}.txt", release_sheet(known_releases()[label]))


def test_the_sheet_of_an_added_release(golden: Golden) -> None:
    table = {"emr-7.15.0": {"like": "emr-7.14.0", "glibc": "2.34"}}
    sheet = release_sheet(with_additions(table)["emr-7.15.0"])
    golden.check("releases-added.txt", sheet)


@pytest.mark.parametrize("label", LABELS)
def test_a_sheet_shows_every_fact(label: str) -> None:
    lines = release_sheet(known_releases()[label]).splitlines()
    shown = [line.split()[0] for line in lines if re.match(r"  [a-z]\w+  ", line)]
    assert shown == list(FACT_NAMES)


@pytest.mark.parametrize("label", LABELS)
def test_a_release_survives_json(label: str) -> None:
    release = known_releases()[label]
    read = json.loads(json.dumps(release_json(release)))

    assert read == release_json(release)
    assert set(read) == {"label", *FACT_NAMES, "facts", "sources"} - set(release.facts)


def test_json_says_null_where_a_fact_is_not_known() -> None:
    document = release_json(known_releases()["emr-spark-8.0-preview"])

    assert (document["glibc"], document["architectures"], document["base_image"]) == (None,) * 3
    assert (document["interpreters"], document["facts"]["delta_jars"]) == ([], None)


def test_json_of_a_release() -> None:
    document = release_json(known_releases()["emr-7.0.0"])

    assert document["glibc"] == "2.34"
    assert document["architectures"] == ["amd64", "arm64"]
    assert document["interpreters"] == [
        {
            "python": PYTHON_3.python,
            "path": PYTHON_3.path,
            "confirmed": True,
            "source": PYTHON_3.source,
        }
    ]
    assert document["facts"]["python_in_release"] == ["3.9"]
