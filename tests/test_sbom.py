"""The bill of materials: what is inside, which needs which, and that it is sound CycloneDX."""

import json
from dataclasses import replace
from typing import Any

import pytest

from packager.facts import Distribution
from packager.record import RecordedBuild, RecordedWheel
from packager.sbom import sbom_name, sbom_text
from packager.target import ARCHES
from tests.archives import TARGET
from tests.conftest import Golden
from tests.test_record import RECORD


def distribution(
    name: str, *requires: str, version: str = "1.0", license_: str = ""
) -> Distribution:
    path = f"{name}-{version}.dist-info/METADATA"
    return Distribution(
        path=path, name=name, version=version, requires_dist=requires, license=license_
    )


def wheel(name: str, version: str = "1.0", sha256: str | None = "a" * 64) -> RecordedWheel:
    filename = f"{name}-{version}-py3-none-any.whl"
    return RecordedWheel(name=name, version=version, filename=filename, sha256=sha256)


BUILD = RecordedBuild(version="3.12.1", filename="cpython.tar.gz", sha256="6" * 64)
BUNDLING = replace(RECORD, interpreter=BUILD)
INSIDE = (
    distribution("report", "numpy>=1", 'nut; extra == "all"'),
    distribution("numpy", license_="bsd-3-clause", version="1.26.4"),
)


def document(
    *inside: Distribution, wheels: tuple[str, ...] = (), extras: tuple[str, ...] = ()
) -> dict[str, Any]:
    record = replace(RECORD, wheels=tuple(wheel(name) for name in wheels))
    text = sbom_text(record, inside, TARGET, extras=extras)
    found: dict[str, Any] = json.loads(text)
    return found


def needs(found: dict[str, Any]) -> dict[str, list[str]]:
    def name(ref: str) -> str:
        return ref.removeprefix("pkg:pypi/").partition("@")[0]

    return {name(d["ref"]): [name(n) for n in d["dependsOn"]] for d in found["dependencies"]}


def test_it_is_what_the_golden_text_says(golden: Golden) -> None:
    text = sbom_text(RECORD, INSIDE, TARGET)
    golden.check("inspect-sbom.cdx.json", text)


def test_it_is_named_as_the_record() -> None:
    assert sbom_name(RECORD) == "report-emr-7.13.0-arm64.cdx.json"


def test_the_same_input_gives_the_same_bytes_and_another_another_number() -> None:
    one = sbom_text(RECORD, INSIDE, TARGET)
    assert one == sbom_text(RECORD, tuple(reversed(INSIDE)), TARGET)
    other = sbom_text(replace(RECORD, version="2.1"), INSIDE, TARGET)
    assert json.loads(one)["serialNumber"] != json.loads(other)["serialNumber"]


def test_markers_are_those_of_the_target() -> None:
    inside = (
        distribution(
            "report",
            'a; sys_platform == "win32"',
            'b; platform_machine == "aarch64"',
            'c; python_version >= "3.8"',
        ),
        *map(distribution, "abc"),
    )
    record = replace(RECORD, wheels=tuple(map(wheel, "abc")))
    for arch, expected in (("amd64", ["c"]), ("arm64", ["b", "c"])):
        target = replace(TARGET, arch=ARCHES[arch])
        assert needs(json.loads(sbom_text(record, inside, target)))["project"] == expected


def test_extras_count_where_somebody_asks_for_them() -> None:
    inside = (
        distribution("report", "a[Fast_Er]", 'd; extra == "more"'),
        distribution("a", 'b[x]; extra == "fast-er"', 'c; extra == "other"'),
        distribution("b", "a", 'c; extra == "x"'),
        distribution("c"),
        distribution("d"),
    )
    names = ("a", "b", "c", "d")
    assert needs(document(*inside, wheels=names)) == {
        "project": ["a"],
        "a": ["b"],
        "b": ["a", "c"],
        "c": [],
        "d": [],
    }
    assert needs(document(*inside, wheels=names, extras=("more",)))["project"] == ["a", "d"]


def test_what_is_not_inside_is_not_needed() -> None:
    inside = (distribution("report", "pyspark", "a", "report"), distribution("a", "py4j"))
    assert needs(document(*inside, wheels=("a",))) == {"project": ["a"], "a": []}


def test_a_project_without_metadata_needs_what_nothing_else_does() -> None:
    inside = (distribution("a", "b"), distribution("b"), distribution("c"))
    assert needs(document(*inside, wheels=("a", "b", "c")))["project"] == ["a", "c"]


def test_a_requirement_that_can_not_be_read_is_passed_over() -> None:
    inside = (distribution("report", ">=1 what", "a; nonsense == 1", "b"), distribution("b"))
    assert needs(document(*inside, wheels=("b",)))["project"] == ["b"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("mit OR apache-2.0", [{"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}]),
        ("My Own Licence", None),
        ("", None),
    ],
)
def test_a_licence_is_told_where_spdx_knows_it(said: str, expected: object) -> None:
    (component,) = document(distribution("a", license_=said), wheels=("a",))["components"]
    assert component.get("licenses") == expected


def test_a_wheel_made_here_has_no_hash_and_versions_are_encoded() -> None:
    record = replace(RECORD, wheels=(wheel("a", "1.0+local", None),))
    (component,) = json.loads(sbom_text(record, (), TARGET))["components"]
    assert "hashes" not in component
    assert component["purl"] == "pkg:pypi/a@1.0%2Blocal"


def test_a_bundled_interpreter_is_a_part() -> None:
    found = json.loads(sbom_text(BUNDLING, INSIDE, TARGET))
    assert found["components"][-1]["purl"] == "pkg:generic/python@3.12.1"
    assert found["components"][-1]["hashes"] == [{"alg": "SHA-256", "content": "6" * 64}]


@pytest.mark.tools  # it starts none, but takes seconds to load
def test_it_is_sound_by_the_judgement_of_cyclonedx() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    def faults(text: str) -> list[object]:
        return list(validator.validate_str(text, all_errors=True) or ())

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    bare = replace(RECORD, version=None, lock=None, lock_sha256=None, wheels=(), artifacts=())
    odd = replace(
        RECORD,
        wheels=(wheel("a", "1!1.0+local", None), wheel("numpy")),
        artifacts=(replace(RECORD.artifacts[0], file="größe 1.tar.gz"),),
    )
    for record in (RECORD, BUNDLING, bare, odd):
        assert faults(sbom_text(record, INSIDE, TARGET)) == []
    for key, value in {"components": [{}], "serialNumber": "x", "time": 1}.items():
        spoiled = json.loads(sbom_text(RECORD, INSIDE, TARGET)) | {key: value}
        assert faults(json.dumps(spoiled))
