"""`packager publish`: what was packed comes to S3, once, and is found there again."""

import json
import re
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from packager.record import Record, from_text
from tests.command import Command, Outcome
from tests.packed import FAILED, pack_into, write_record
from tests.rig.aws import Cloud
from tests.s3server import S3Server

pytestmark = pytest.mark.tools

PLACE = "s3://jobs/team/a"
MIB = 1 << 20


def publish(packager: Command, folder: Path, *words: str) -> Outcome:
    return packager("publish", "dist", "--s3-uri", PLACE, *words, cwd=folder)


def record_in(folder: Path, name: str) -> Record:
    return from_text((folder / "dist" / name).read_text(encoding="utf-8"), name)


def test_all_of_a_record_comes_to_s3(cloud: Cloud, packager: Command, tmp_path: Path) -> None:
    """With moto, which is somebody else's S3."""
    bucket = boto3.resource("s3").create_bucket(Bucket="jobs")
    record = pack_into(tmp_path / "dist", size=17 * MIB)
    done = publish(packager, tmp_path)
    assert done.code == 0, done.err
    objects = {o.key: o.get()["Body"].read() for o in bucket.objects.all()}
    for artifact in record.artifacts:
        there = objects.pop(f"team/a/{artifact.file}")
        assert there == (tmp_path / "dist" / artifact.file).read_bytes()
    key = done.out.strip().removeprefix("s3://jobs/")
    published = from_text(objects.pop(key).decode(), key)
    (bill,) = objects
    assert re.fullmatch(r"team/a/jobs-emr-7.13.0-amd64-[0-9a-f]{12}\.cdx\.json", bill)
    assert published == replace(
        record,
        locations={
            **{a.file: f"{PLACE}/{a.file}" for a in record.artifacts},
            "jobs-emr-7.13.0-amd64.cdx.json": f"s3://jobs/{bill}",
        },
        checksums=published.checksums,
    )
    assert published.checksums.keys() == {artifact.file for artifact in record.artifacts}
    here = record_in(tmp_path, record.name)
    assert here.locations == {**published.locations, record.name: f"s3://jobs/{key}"}


def test_a_second_run_sends_nothing_and_says_so(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    record = pack_into(tmp_path / "dist", size=17 * MIB)
    first = publish(packager, tmp_path)
    text = (tmp_path / "dist" / record.name).read_text(encoding="utf-8")
    s3.log.clear()
    second = publish(packager, tmp_path)
    assert (second.code, second.out) == (0, first.out)
    assert "Nothing to send: all 5 files are there already" in second.err
    assert {request.operation for request in s3.log} == {"HeadBucket", "HeadObject"}
    assert (tmp_path / "dist" / record.name).read_text(encoding="utf-8") == text


def test_what_architectures_share_is_sent_once(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    pack_into(tmp_path / "dist", arch="amd64")
    pack_into(tmp_path / "dist", arch="arm64")
    done = publish(packager, tmp_path)
    assert len(done.out.splitlines()) == 2
    assert len(s3.objects) == len(s3.calls("PutObject")) == 2 + 2 * 3


def test_after_a_change_of_code_that_alone_is_sent(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    pack_into(tmp_path / "dist", size=9 * MIB)
    publish(packager, tmp_path)
    record = pack_into(tmp_path / "dist", size=9 * MIB, app=b"changed")
    s3.log.clear()
    done = publish(packager, tmp_path)
    sent = {request.key.rpartition("/")[2] for request in s3.calls("PutObject", "UploadPart")}
    assert sent == {record.artifacts[1].file, done.out.strip().rpartition("/")[2]}


def test_conf_names_where_it_was_published(s3: S3Server, packager: Command, tmp_path: Path) -> None:
    record = pack_into(tmp_path / "dist")
    before = packager("conf", f"dist/{record.name}", cwd=tmp_path)
    assert "s3://" not in before.out
    publish(packager, tmp_path)
    after = packager("conf", f"dist/{record.name}", cwd=tmp_path)
    assert f"{PLACE}/{record.artifacts[0].file}#environment" in after.out


def test_a_dry_run_tells_the_very_calls(s3: S3Server, packager: Command, tmp_path: Path) -> None:
    record = pack_into(tmp_path / "dist", size=17 * MIB)
    before = (tmp_path / "dist" / record.name).read_bytes()
    dry = publish(packager, tmp_path, "--dry-run", "--json")
    told = sorted((c["call"], c["part"], c["size"]) for c in json.loads(dry.out) if c["part"])
    names = sorted(c["call"] for c in json.loads(dry.out))
    assert {request.operation for request in s3.log} == {"HeadBucket", "HeadObject"}
    assert not s3.objects
    assert (tmp_path / "dist" / record.name).read_bytes() == before
    s3.log.clear()
    assert publish(packager, tmp_path).code == 0
    assert names == sorted(request.operation for request in s3.log)
    assert told == sorted((r.operation, r.part, r.size) for r in s3.log if r.part)
    size = sum(call["size"] for call in json.loads(dry.out))
    assert s3.sent() == size
    assert f"send {size:,} bytes" in dry.err
    again = publish(packager, tmp_path, "--dry-run")
    assert "send 0 bytes" in again.err
    assert {line.split()[0] for line in again.out.splitlines()} == {"HeadBucket", "HeadObject"}


def test_as_json_it_tells_what_became_of_each_file(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    record = pack_into(tmp_path / "dist")
    (document,) = json.loads(publish(packager, tmp_path, "--json", "--quiet").out)
    assert document["record"] == f"dist/{record.name}"
    assert [f["uri"] for f in document["files"]][:3] == [
        f"{PLACE}/{artifact.file}" for artifact in record.artifacts
    ]
    assert all(f["sent"] == f["size"] and not f["present"] for f in document["files"])


def test_quietly_it_prints_the_uri_alone(s3: S3Server, packager: Command, tmp_path: Path) -> None:
    pack_into(tmp_path / "dist")
    done = publish(packager, tmp_path, "--quiet")
    assert done.err == ""
    assert re.fullmatch(rf"{PLACE}/jobs-emr-7.13.0-amd64-\w{{12}}\.packager\.json\n", done.out)


# What is refused.


def test_what_failed_is_not_published(s3: S3Server, packager: Command, tmp_path: Path) -> None:
    record = pack_into(tmp_path / "dist", report=FAILED)
    done = publish(packager, tmp_path)
    assert done.code == 1
    assert done.error[0] == f"{record.name} did not pass: ARC008"
    assert "pyspark is inside" in done.error[1]
    assert not s3.log


def test_what_is_waived_is_published_and_recorded(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    record = pack_into(tmp_path / "dist", report=FAILED)
    done = publish(packager, tmp_path, "--waive", "ARC008=it is ours")
    assert done.code == 0, done.err
    (finding,) = record_in(tmp_path, record.name).report["findings"]
    assert (finding["severity"], finding["reason"]) == ("waived", "it is ours")
    key = done.out.strip().removeprefix("s3://")
    assert b'"it is ours"' in s3.objects[key].content


def test_what_was_never_validated_is_not_published(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    for report in ({}, {"format": 1, "passed": True, "checked": [], "findings": []}):
        pack_into(tmp_path / "dist", report=report)
        assert publish(packager, tmp_path).code == 1
    assert not s3.log


def test_bytes_that_are_not_the_recorded_ones_are_refused(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    record = pack_into(tmp_path / "dist")
    path = tmp_path / "dist" / record.artifacts[0].file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = publish(packager, tmp_path)
    assert (done.code, done.error[0]) == (
        2,
        f"dist/{path.name} is not what the record {record.name} describes",
    )
    path.unlink()
    assert "No such file" in publish(packager, tmp_path).error[1]
    assert not s3.log


def test_what_was_changed_since_it_was_published_is_refused(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    record = pack_into(tmp_path / "dist", size=9 * MIB)
    assert publish(packager, tmp_path).code == 0
    file = tmp_path / "dist" / record.artifacts[0].file
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    done = publish(packager, tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.error[0] == f"dist/{file.name} is not what the record {record.name} describes"


def test_a_file_that_is_not_named_by_its_content_is_refused(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    record = pack_into(tmp_path / "dist")
    app = next(a for a in record.artifacts if a.kind == "app")
    (tmp_path / "dist" / app.file).rename(tmp_path / "dist" / "app.tar.gz")
    named = tuple(replace(a, file="app.tar.gz") if a is app else a for a in record.artifacts)
    write_record(tmp_path / "dist", record, artifacts=named)
    assert publish(packager, tmp_path).error[0] == "app.tar.gz is not named by its content"


def test_the_folder_of_records_is_told_where_another_is_named(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    pack_into(tmp_path / "dist")
    done = packager("publish", ".", "--s3-uri", PLACE, cwd=tmp_path)
    assert (done.code, done.error[0], done.error[2]) == (2, "there is no record in .", "name dist")


def test_without_a_place_or_a_record_nothing_is_asked(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    (tmp_path / "dist").mkdir()
    done = packager("publish", "dist", cwd=tmp_path)
    assert (done.code, done.error[0]) == (2, "it is not said where to publish")
    done = publish(packager, tmp_path)
    assert (done.code, done.error[0]) == (2, "there is no record in dist")
    pack_into(tmp_path / "dist")
    done = publish(packager, tmp_path, "--encryption", "AES256", "--kms-key", "k")
    assert done.code == 2
    assert not s3.log


# How objects are kept.


def test_objects_are_kept_as_asked(s3: S3Server, packager: Command, tmp_path: Path) -> None:
    record = pack_into(tmp_path / "dist", size=9 * MIB)
    words = ("--kms-key", "alias/k", "--storage-class", "STANDARD_IA", "--tag", "team=a b")
    done = publish(packager, tmp_path, *words, "--bucket-owner", s3.owner)
    assert done.code == 0, done.err
    for key in (a.file for a in record.artifacts):
        kept = s3.objects[f"jobs/team/a/{key}"]
        assert kept.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert kept.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/k"
        assert kept.headers["x-amz-storage-class"] == "STANDARD_IA"
        assert kept.tags == "team=a+b"
    assert {r.headers["x-amz-expected-bucket-owner"] for r in s3.log} == {s3.owner}


def test_what_is_there_under_another_encryption_is_told(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    pack_into(tmp_path / "dist")
    publish(packager, tmp_path)
    done = publish(packager, tmp_path, "--encryption", "aws:kms", "--quiet")
    assert done.code == 0
    assert done.err.count("encrypted by AES256, not by aws:kms") == 5


def test_a_bucket_of_another_account_is_refused(
    s3: S3Server, packager: Command, tmp_path: Path
) -> None:
    pack_into(tmp_path / "dist")
    done = publish(packager, tmp_path, "--bucket-owner", "9" * 12)
    assert done.code == 4
    assert not s3.objects
    assert "denies" in done.error[1]
    assert "s3:PutObject on arn:aws:s3:::jobs/team/a/" in done.error[2]
