"""Custom images with one fault each, built on an engine, and what `packager image validate` says.

AWS's own validator judged the same images once; what it found stands in the README.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Command
from tests.faulty import FAULTS, KNOWN, SOUND, Fault, built

pytestmark = pytest.mark.docker
OF_ANOTHER = "another architecture"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, base_image: str) -> Iterator[dict[str, str]]:
    with built(tmp_path_factory.mktemp("faults"), base_image) as made:
        yield made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is known of layers serves all tests here."""
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("fault", [*SOUND, *FAULTS], ids=lambda fault: fault.name)
def test_each_fault_is_found_and_nothing_else(
    fault: Fault,
    images: dict[str, str],
    store: Path,
    base_image: str,
    packager: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(store))
    known = fault.release == KNOWN
    # The stand-in has Python 3.11 alone, where that release has 3.7.
    python = () if fault.options or not known else ("--python", "3.11")
    got = packager(
        *("image", "validate", images[fault.name], "--release", fault.release, "--json"),
        *("--base-image", images["base"] if known else base_image, *python, *fault.options),
        cwd=tmp_path,
    )
    if fault.name == OF_ANOTHER:
        assert got.code == 2
        assert got.error[0] == f"the image {images[fault.name]} is not for linux/amd64"
        return
    assert got.out, got.err
    (report,) = json.loads(got.out).values()
    found = {"error": set[str](), "warning": set[str]()}
    for finding in report["findings"]:
        found[finding["severity"]].add(finding["check"])
    assert found == {"error": set(fault.found), "warning": set(fault.warned)}
    assert got.code == (1 if fault.found else 0)
