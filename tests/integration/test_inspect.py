"""`packager inspect`, and the SBOM beside the record, on archives that were just packed."""

import json
from pathlib import Path

import pytest

from tests.command import Command
from tests.index import Index
from tests.integration.test_pack import artifact, make_project

pytestmark = pytest.mark.tools


@pytest.fixture
def project(packager: Command, index: Index, tmp_path: Path) -> Path:
    index.wheel("fruit", "1.2", {"fruit/__init__.py": "", "fruit/big.txt": "apple " * 10_000})
    index.wheel("seed", requires=("fruit",))
    root = make_project(tmp_path / "project", dependencies=("seed",))
    assert packager("pack", cwd=root).code == 0
    return root


def test_it_shows_the_record_in_dist(packager: Command, project: Path) -> None:
    got = packager("inspect", cwd=project)
    assert (got.code, got.err) == (0, "")
    lines = got.out.splitlines()
    assert lines[0] == "shop-emr-7.13.0-amd64.packager.json"
    packages = lines[lines.index("") + 7 :]
    assert packages[0].startswith("package")
    assert [line.split()[0] for line in packages[1:4]] == ["fruit", "shop", "seed"]


def test_and_as_json(packager: Command, project: Path) -> None:
    record = next((project / "dist").glob("*.packager.json"))
    got = json.loads(packager("inspect", record, "--json", cwd=project).out)
    written = json.loads(record.read_text())
    sizes = {layer["kind"]: layer["size"] for layer in got["layers"]}
    assert sizes == {a["kind"]: a["size"] for a in written["artifacts"]}
    unpacked = {layer["kind"]: layer["unpacked"] for layer in got["layers"]}
    assert unpacked == {a["kind"]: a["unpacked"] for a in written["artifacts"]}


def test_two_archives_are_compared(packager: Command, index: Index, project: Path) -> None:
    before = artifact(project / "dist", "environment")
    index.wheel("fruit", "1.3")
    assert packager("pack", cwd=project).code == 0
    after = artifact(project / "dist", "environment")
    got = packager("inspect", before, after, cwd=project)
    assert got.code == 0
    assert "changed  fruit    1.2 -> 1.3  -60.1 kB     -1" in got.out
    found = json.loads(packager("inspect", before, after, "--json", cwd=project).out)
    assert [d["name"] for d in found["differences"]] == ["fruit"]


def test_of_three_it_says_what_it_can_do(packager: Command, project: Path) -> None:
    got = packager("inspect", "a", "b", "c", cwd=project)
    assert (got.code, got.error[0]) == (2, "3 paths are given")


def test_a_bill_of_materials_stands_beside_every_record(packager: Command, project: Path) -> None:
    assert packager("pack", "--arch", "all", cwd=project).code == 0
    records = {p.name for p in (project / "dist").glob("*.packager.json")}
    found = {p.name: json.loads(p.read_text()) for p in (project / "dist").glob("*.cdx.json")}
    assert {name.replace(".cdx.json", ".packager.json") for name in found} == records
    for document in found.values():
        assert [c["purl"] for c in document["components"]] == [
            "pkg:pypi/fruit@1.2",
            "pkg:pypi/seed@1.0",
        ]
        needs = {d["ref"]: d["dependsOn"] for d in document["dependencies"]}
        assert needs["pkg:pypi/seed@1.0"] == ["pkg:pypi/fruit@1.2"]
