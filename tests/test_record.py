"""The record of a pack: what it says, what it must not, and what is not taken for one."""

import contextlib
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.record import (
    Artifact,
    Record,
    RecordedBuild,
    RecordedRoom,
    RecordedWheel,
    from_text,
    to_text,
)

GOLDEN = Path(__file__).parent / "golden"
RECORD = Record(
    tool="packager 0.1.0",
    project="report",
    version="2.0",
    release="emr-7.13.0",
    arch="arm64",
    python="3.11",
    layout="layers",
    builder="wheels",
    lock="uv.lock",
    lock_sha256="1" * 64,
    wheels=(
        RecordedWheel(
            name="numpy",
            version="1.26.4",
            filename="numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
            sha256="2" * 64,
        ),
        RecordedWheel(
            name="report", version="2.0", filename="report-2.0-py3-none-any.whl", sha256=None
        ),
    ),
    dropped=("pyspark",),
    artifacts=(
        Artifact(
            kind="environment",
            file="report-environment-py311-arm64-333333333333.tar.gz",
            sha256="3" * 64,
            size=17_000_000,
            unpacked=60_000_000,
        ),
        Artifact(
            kind="app",
            file="report-app-444444444444.tar.gz",
            sha256="4" * 64,
            size=9_000,
            unpacked=20_000,
        ),
        Artifact(
            kind="entry-point", file="main-555555555555.py", sha256="5" * 64, size=100, unpacked=100
        ),
    ),
    conf={"spark.app.name": "größer"},
    report={"format": 1, "passed": True, "checked": ["ARC001"], "findings": []},
)


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        from_text(text, "dist/x.packager.json")
    assert caught.value.what == "dist/x.packager.json is not a record of packager"
    return caught.value


def spoiled(**changes: object) -> str:
    return json.dumps({**json.loads(to_text(RECORD)), **changes})


def test_a_record_reads_back_as_it_was() -> None:
    assert from_text(to_text(RECORD), "") == RECORD
    build = RecordedBuild(version="3.12.1", filename="cpython.tar.gz", sha256="6" * 64)
    bundling = replace(RECORD, interpreter=build)
    assert from_text(to_text(bundling), "") == bundling
    bare = replace(
        RECORD, version=None, lock=None, lock_sha256=None, wheels=(), dropped=(), artifacts=()
    )
    assert from_text(to_text(bare), "") == bare


def test_records_of_format_1_stay_readable() -> None:
    """Jobs hand over through these files: never change this one, add another beside it."""
    text = (GOLDEN / "record-1.json").read_text(encoding="utf-8")
    assert from_text(text, "") == RECORD
    assert to_text(RECORD) == text


def test_a_commit_is_kept_where_one_is_known() -> None:
    known = replace(RECORD, commit="0" * 40)
    assert from_text(to_text(known), "") == known
    assert "commit" not in json.loads(to_text(RECORD))
    assert refused(spoiled(commit=1)).why == "`commit` is 1, which it can not be"


def test_where_the_archives_were_tried_out_is_kept() -> None:
    room = RecordedRoom(
        image="spark:7.13.0",
        digest="sha256:0",
        platform="linux/arm64",
        emulated=True,
        modules=12,
        scripts=3,
        spark_job=True,
    )
    known = replace(RECORD, clean_room=room)
    assert from_text(to_text(known), "") == known
    assert "clean_room" not in json.loads(to_text(RECORD))


def test_a_record_is_named_by_what_it_is_for() -> None:
    assert RECORD.name == "report-emr-7.13.0-arm64.packager.json"


def test_artifacts_are_found_by_kind() -> None:
    assert RECORD.artifact("app") is RECORD.artifacts[1]
    assert replace(RECORD, artifacts=()).artifact("app") is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "1", '"x"', '{"format": 1}', to_text(RECORD)[:-9]]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    assert refused(text).fix == "make it again: packager pack"


@pytest.mark.parametrize("other", [0, 2, "1", None])
def test_another_format_is_refused(other: object) -> None:
    assert refused(spoiled(format=other)).why == "it is not of format 1"


@pytest.mark.parametrize("file", ["../x.tar.gz", "/etc/passwd", "a/b", "", ".", ".."])
def test_an_artifact_in_another_folder_is_refused(file: str) -> None:
    artifact = {"kind": "app", "file": file, "sha256": "0", "size": 1, "unpacked": 1}
    assert refused(spoiled(artifacts=[artifact])).why == "an artifact lies in another folder"


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"artifacts": [{"kind": "app"}]},
        {"artifacts": [{"kind": "app", "file": 1, "sha256": "", "size": 1, "unpacked": 1}]},
        {"artifacts": [{"kind": "image", "file": "x", "sha256": "", "size": 1, "unpacked": 1}]},
        {"wheels": 1},
        {"release": 7},
        {"project": None},
        {"conf": []},
        {"conf": {"spark.x": 1}},
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(changes: dict[str, object]) -> None:
    refused(spoiled(**changes))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(max_examples=80, deadline=None)
@given(key=st.sampled_from(["format", *(f.name for f in fields(Record))]), value=JSON)
def test_any_text_is_a_record_or_refused(key: str, value: object) -> None:
    for text in (spoiled(**{key: value}), json.dumps(value)):
        with contextlib.suppress(ConfigError):
            assert isinstance(from_text(text, ""), Record)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dropped": "pyspark"}, "`dropped` is 'pyspark'"),
        ({"layout": []}, "`layout` is []"),
        ({"python": "3.x"}, "`python` is '3.x', which is no minor version"),
        ({"lock": 1}, "`lock` is 1"),
        ({"wheels": [{"name": 1}]}, "`name` is 1"),
        ({"artifacts": [{"size": 10**30}]}, "`size` is 1000"),
        ({"artifacts": [{"size": True}]}, "`size` is True"),
        ({"conf": {"spark.a": "\ud800"}}, "surrogates not allowed"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], why: str) -> None:
    assert why in refused(spoiled(**changes)).why


@pytest.mark.parametrize(
    ("text", "why"),
    [("[" * 100_000, "nested too deeply"), ("[" + "9" * 5000 + "]", "too many digits")],
)
def test_what_no_parser_takes_is_no_record(text: str, why: str) -> None:
    assert why in refused(text).why
