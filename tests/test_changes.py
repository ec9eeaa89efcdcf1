"""What moving from one release to another changes."""

import dataclasses
import json
from pathlib import Path

from packager.changes import Change, changes, changes_text, unfit
from packager.record import RecordedWheel, from_text
from packager.releases import known_releases
from tests.conftest import Golden

RECORD = from_text(
    (Path(__file__).parent / "golden" / "record-1.json").read_text(encoding="utf-8"), "the sample"
)
RELEASES = known_releases()


def wheel(tag: str) -> RecordedWheel:
    return RecordedWheel(name="x", version="1", filename=f"x-1-{tag}.whl", sha256=None)


def test_nothing_changes_to_the_same_release() -> None:
    for release in RELEASES.values():
        assert changes(release, release) == ()


def test_the_change_of_python_is_seen() -> None:
    found = changes(RELEASES["emr-7.12.0"], RELEASES["emr-7.13.0"])
    assert Change(fact="python", old="3.9", new="3.11") in found


def test_wheels_of_another_python_do_not_fit() -> None:
    wheels = (
        wheel("cp39-cp39-manylinux_2_17_x86_64"),
        wheel("cp39-abi3-manylinux_2_17_x86_64"),
        wheel("py3-none-any"),
    )
    record = dataclasses.replace(RECORD, arch="amd64", wheels=wheels)
    assert unfit(record, RELEASES["emr-7.13.0"]) == (wheels[0],)
    assert unfit(record, RELEASES["emr-7.12.0"]) == ()


def test_wheels_of_a_newer_c_library_do_not_fit() -> None:
    new = wheel("py3-none-manylinux_2_28_x86_64")
    record = dataclasses.replace(RECORD, arch="amd64", wheels=(new,))
    assert unfit(record, RELEASES["emr-6.15.0"]) == (new,)


def test_the_text_that_users_read(golden: Golden) -> None:
    wheels = (wheel("cp39-cp39-manylinux_2_17_x86_64"), wheel("py3-none-any"))
    record = dataclasses.replace(RECORD, arch="amd64", wheels=wheels)
    old, new = RELEASES["emr-7.12.0"], RELEASES["emr-7.13.0"]
    text = changes_text(old, new, [(record, unfit(record, new)), (record, ())])
    golden.check("changes.txt", text)
    json.dumps([dataclasses.asdict(c) for c in changes(old, new)])
