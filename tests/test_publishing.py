"""What publishing knows without AWS: places, checksums, what is the same, and how far it is."""

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.publishing import digests as digesting
from packager.publishing.calls import calls_to_put
from packager.publishing.digests import (
    MIB,
    MOST_PARTS,
    SMALLEST_PART,
    Digests,
    digest_of_part,
    digests_if_known,
    digests_of,
    part_size,
)
from packager.publishing.options import object_options
from packager.publishing.places import Place, named_by_content, parse_place
from packager.publishing.progress import progress_line
from packager.publishing.store import Item, Stored, is_same
from packager.record import Artifact, Record, from_text, to_text, with_known_locations
from packager.recorded import Found, job_of
from packager.releases import find_release, known_releases
from packager.settings import Settings
from packager.target import Target, parse_arch
from tests.test_record import RECORD


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("s3://b", "b", ""),
        ("s3://b/", "b", ""),
        ("s3://b/c/d/", "b", "c/d"),
        ("s3://b/c", "b", "c"),
    ],
)
def test_a_place_is_a_bucket_and_a_key(uri: str, bucket: str, key: str) -> None:
    place = parse_place(uri)
    assert place == Place(bucket=bucket, key=key)
    assert (place / "x").uri == f"{uri.rstrip('/')}/x"
    assert place.uri == uri.rstrip("/")


@pytest.mark.parametrize("uri", ["b/c", "s3:/b", "s3://", "s3:///c", "https://b/c"])
def test_what_is_no_place_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="is no place in S3"):
        parse_place(uri)


def test_a_place_has_an_arn_of_its_partition() -> None:
    assert parse_place("s3://b/c").arn("aws-cn") == "arn:aws-cn:s3:::b/c"
    assert parse_place("s3://b").arn("aws") == "arn:aws:s3:::b"


def test_documents_are_named_by_their_content() -> None:
    assert named_by_content("a.b.packager.json", "0" * 64) == "a.b-000000000000.packager.json"
    assert named_by_content("a.cdx.json", "f" * 64) == "a-ffffffffffff.cdx.json"


# Parts and their checksums.


@given(st.integers(min_value=0, max_value=5 << 40))
def test_parts_are_whole_mebibytes_and_not_too_many(size: int) -> None:
    part = part_size(size)
    assert part % MIB == 0
    assert part >= SMALLEST_PART
    assert -(-size // part) <= MOST_PARTS
    assert part == SMALLEST_PART or -(-size // (part - MIB)) > MOST_PARTS


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 14, 15])
def test_what_is_known_by_both_is_read_for_one_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(digesting, "SMALLEST_PART", 7)
    monkeypatch.setattr(digesting, "MIB", 1)
    file = tmp_path / "file"
    file.write_bytes(bytes(range(size)))
    known = digests_of(file)
    several = len(known.parts) > 1
    assert digests_if_known(file, known.sha256, known.checksum) == (known if several else None)
    assert digests_if_known(file, known.sha256, known.whole_checksum) is None
    for other in (bytes(range(1, size + 1)), bytes(range(size + 1)), b""):
        file.write_bytes(other)
        assert digests_if_known(file, known.sha256, known.checksum) is None


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 14, 15])
def test_digests_are_those_of_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(digesting, "SMALLEST_PART", 7)
    monkeypatch.setattr(digesting, "MIB", 1)
    monkeypatch.setattr(digesting, "_CHUNK", 3)
    data = bytes(range(size))
    file = tmp_path / "file"
    file.write_bytes(data)
    found = digests_of(file)
    pieces = [data[p.start : p.start + p.size] for p in found.parts]
    assert b"".join(pieces) == data
    assert [p.number for p in found.parts] == list(range(1, max(1, -(-size // 7)) + 1))
    assert [p.digest for p in found.parts] == [hashlib.sha256(p).digest() for p in pieces]
    assert (found.sha256, found.size) == (hashlib.sha256(data).hexdigest(), size)
    for part, piece in zip(found.parts, pieces, strict=True):
        assert digest_of_part(lambda start, n: data[start : start + n], part) == part.digest
        assert base64.b64decode(part.checksum) == hashlib.sha256(piece).digest()
    several = hashlib.sha256(b"".join(p.digest for p in found.parts)).digest()
    if len(pieces) > 1:
        assert found.checksum == f"{base64.b64encode(several).decode()}-{len(pieces)}"
    else:
        assert found.checksum == found.whole_checksum
        assert digests_of(data) == found


def two_parts() -> Digests:
    one = digests_of(b"one").parts[0]
    two = replace(digests_of(b"two").parts[0], number=2, start=3)
    return Digests(sha256=hashlib.sha256(b"onetwo").hexdigest(), size=6, parts=(one, two))


def stored(**changes: object) -> Stored:
    there = two_parts()
    values = {"size": 6, "checksum": there.checksum, "sha256": there.sha256, **changes}
    return Stored(**values)  # type: ignore[arg-type]


def test_an_object_is_the_same_by_what_s3_computed() -> None:
    there = two_parts()
    assert is_same(stored(), there)
    assert is_same(stored(sha256=None), there)
    assert is_same(stored(sha256="0" * 64), there)
    assert is_same(stored(checksum=there.whole_checksum), there)
    assert not is_same(stored(size=7), there)
    assert not is_same(stored(checksum=digests_of(b"x").checksum), there)
    assert not is_same(stored(checksum=digests_of(b"x").checksum + "-2"), there)


def test_without_that_by_what_was_stored_beside_it() -> None:
    there = two_parts()
    for checksum in (None, digests_of(b"x").checksum + "-3"):
        assert is_same(stored(checksum=checksum), there)
        assert not is_same(stored(checksum=checksum, sha256="0" * 64), there)
        assert not is_same(stored(checksum=checksum, sha256=None), there)


def test_the_calls_of_an_item_send_each_byte_once() -> None:
    item = Item(place=parse_place("s3://b/c"), source=b"", digests=two_parts(), content_type="")
    told = [str(call) for call in calls_to_put(item)]
    assert told == [
        "ListMultipartUploads s3://b/c",
        "CreateMultipartUpload s3://b/c",
        "UploadPart s3://b/c part 1 3 bytes",
        "UploadPart s3://b/c part 2 3 bytes",
        "CompleteMultipartUpload s3://b/c",
        "ListMultipartUploads s3://b/c",
    ]


def test_a_key_of_kms_means_kms() -> None:
    assert object_options(Settings(kms_key="k")).encryption == "aws:kms"
    assert object_options(Settings(s3_tags=("a=b=c",))).tags == (("a", "b=c"),)
    with pytest.raises(ConfigError, match="has no part in encryption AES256"):
        object_options(Settings(kms_key="k", encryption="AES256"))


@pytest.mark.parametrize(
    ("moved", "total", "elapsed", "line"),
    [
        (0, 250_000_000, 0, "0.00 MB of 250 MB, 0 %, 0.0 MB/s"),
        (125_000_000, 250_000_000, 10, "125 MB of 250 MB, 50 %, 12.5 MB/s, 10 s left"),
        (1_000_000, 250_000_000, 1, "1.00 MB of 250 MB, 0 %, 1.0 MB/s, 4 min 09 s left"),
        (9_990_000, 10_000_000, 1, "9.99 MB of 10 MB, 99 %, 10.0 MB/s, 1 s left"),
        (5, 5, 1, "0.00 MB of 0.00 MB, 100 %, 0.0 MB/s"),
        (0, 0, 1, "0.00 MB of 0.00 MB, 100 %, 0.0 MB/s"),
    ],
)
def test_progress_is_told_in_words(moved: int, total: int, elapsed: float, line: str) -> None:
    assert progress_line(moved, total, elapsed) == line


# Records know where they went.


def with_locations(record: Record, *artifacts: Artifact) -> Record:
    return replace(record, locations={a.file: f"s3://b/{a.file}" for a in artifacts})


def test_a_record_keeps_locations_and_older_ones_have_none() -> None:
    known = with_locations(RECORD, *RECORD.artifacts)
    assert from_text(to_text(known), "") == known
    assert '"locations"' not in to_text(RECORD)


def test_a_new_record_takes_over_where_the_same_files_are() -> None:
    old = replace(
        with_locations(RECORD, *RECORD.artifacts), artifacts=RECORD.artifacts[:1], project="other"
    )
    new = replace(RECORD, artifacts=(RECORD.artifacts[0], replace(RECORD.artifacts[1], file="x")))
    assert with_known_locations(new, to_text(old)) == with_locations(new, RECORD.artifacts[0])
    assert with_known_locations(new, "no record") == new


def places(record: Record, **words: object) -> str:
    target = Target(
        release=find_release(record.release, known_releases()),
        arch=parse_arch(record.arch),
        python=record.python,
    )
    options = {"s3_uri": None, "conf": {}, "arguments": (), **words}
    job = job_of(Found(record=record, folder=Path("/here")), target, **options)  # type: ignore[arg-type]
    return f"{dict(job.conf.entries)['spark.archives']} {job.entry_point}"


def test_jobs_take_what_was_published_only_where_all_of_it_was() -> None:
    whole = with_locations(RECORD, *RECORD.artifacts)
    assert places(whole).count("s3://b/") == 3
    assert "/here" not in places(whole)
    for other in (places(whole, local=True), places(with_locations(RECORD, *RECORD.artifacts[:2]))):
        assert "s3://" not in other
        assert other.count("/here") == 3
    assert places(whole, s3_uri="s3://c").count("s3://c/") == 3
