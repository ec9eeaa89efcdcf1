"""`packager verify`: whether what is published is what a record describes."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from packager.record import Record, RecordedImage, from_text
from tests.command import Command, Outcome
from tests.images import Image, gzipped, layout, write_layout
from tests.packed import pack_into, write_record
from tests.rig.aws import Aws, Cloud, client
from tests.s3server import S3Server

MIB = 1 << 20
PLACE = "s3://jobs/a"
SIZE = 9 * MIB


@pytest.fixture
def published(s3: S3Server, packager: Command, tmp_path: Path) -> Record:
    record = pack_into(tmp_path / "dist", size=SIZE)
    assert packager("publish", "dist", "--s3-uri", PLACE, cwd=tmp_path).code == 0
    s3.log.clear()
    text = (tmp_path / "dist" / record.name).read_text(encoding="utf-8")
    return from_text(text, record.name)


def verify(packager: Command, folder: Path, uri: str, *words: str) -> Outcome:
    return packager("verify", uri, "--record", "dist", *words, cwd=folder)


@pytest.mark.tools
def test_what_was_published_is_as_recorded_without_a_download(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path
) -> None:
    for uri in (published.locations[a.file] for a in published.artifacts):
        done = verify(packager, tmp_path, uri)
        assert (done.code, done.err) == (0, f"{uri}  as recorded: its checksum says so\n")
    assert {request.operation for request in s3.log} == {"HeadObject"}


@pytest.mark.tools
def test_a_record_in_s3_is_enough(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "dist")
    done = verify(packager, tmp_path, published.locations[published.name], "--json")
    assert done.code == 0, done.err
    assert [v["uri"] for v in json.loads(done.out)] == [
        published.locations[a.file] for a in published.artifacts
    ]
    assert len(s3.calls("GetObject")) == 1  # the record alone


@pytest.mark.tools
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"x" + data[1:], "S3 computes "),
        (lambda data: data + b"x", f"it has {SIZE + 1:,} bytes, not {SIZE:,}"),
        (None, "nothing is there"),
    ],
    ids=["changed", "longer", "gone"],
)
def test_something_else_is_told(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path, change: object, why: str
) -> None:
    artifact = published.artifacts[0]
    key = f"a/{artifact.file}"
    data = s3.objects.pop(f"jobs/{key}").content
    if callable(change):
        boto3.client("s3").put_object(
            Bucket="jobs", Key=key, Body=change(data), ChecksumAlgorithm="SHA256"
        )
    for uri in (f"s3://jobs/{key}", published.locations[published.name]):
        done = verify(packager, tmp_path, uri, "--quiet")
        assert done.code == 1
        assert done.err.startswith(f"s3://jobs/{key}  {why}")


@pytest.mark.tools
def test_what_another_tool_stored_is_read(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path
) -> None:
    """It has no SHA-256 of ours, so its bytes have to tell."""
    artifact = published.artifacts[0]
    path = tmp_path / "dist" / artifact.file
    for data, code in ((path.read_bytes(), 0), (bytes(SIZE), 1)):
        boto3.client("s3").put_object(Bucket="jobs", Key=f"b/{artifact.file}", Body=data)
        done = verify(packager, tmp_path, f"s3://jobs/b/{artifact.file}")
        assert done.code == code
        assert ("its bytes say so" if code == 0 else "its SHA-256 is ") in done.err


@pytest.mark.tools
def test_with_moto_it_is_as_with_others(cloud: Cloud, packager: Command, tmp_path: Path) -> None:
    boto3.client("s3").create_bucket(Bucket="jobs")
    pack_into(tmp_path / "dist", size=SIZE)
    uri = packager("publish", "dist", "--s3-uri", PLACE, cwd=tmp_path).out.strip()
    done = verify(packager, tmp_path, uri)
    assert done.code == 0, done.err


@pytest.mark.tools
def test_a_record_that_somebody_changed_is_refused(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path
) -> None:
    uri = published.locations[published.name]
    key = uri.removeprefix("s3://jobs/")
    changed = s3.objects.pop(f"jobs/{key}").content.replace(b'"jobs"', b'"sboj"')
    boto3.client("s3").put_object(Bucket="jobs", Key=key, Body=changed)
    done = verify(packager, tmp_path, uri)
    assert (done.code, done.error[0]) == (
        2,
        f"{uri} is not what was published under that name",
    )


@pytest.mark.tools
def test_what_no_record_describes_is_not_asked_for(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path
) -> None:
    done = verify(packager, tmp_path, f"{PLACE}/other.tar.gz")
    assert (done.code, done.error[0]) == (2, f"no record describes {PLACE}/other.tar.gz")
    assert verify(packager, tmp_path, "host.example/team/app:v1").error[0] == (
        "no record describes the image host.example/team/app:v1"
    )
    here = f"dist/{published.artifacts[0].file}"
    assert verify(packager, tmp_path, here).error[0] == f"{here} is a file of this machine"
    assert packager("verify", f"{PLACE}/x", "--record", "no", cwd=tmp_path).code == 2
    assert not s3.log


@pytest.mark.tools
def test_what_may_not_be_looked_at_is_told(
    s3: S3Server, published: Record, packager: Command, tmp_path: Path
) -> None:
    uri = published.locations[published.artifacts[0].file]
    done = verify(packager, tmp_path, uri, "--bucket-owner", "9" * 12)
    assert done.code == 4
    assert "s3:GetObject on arn:aws:s3:::jobs/a/" in done.error[2]


@pytest.fixture
def ecr(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    address = aws.endpoint.removeprefix("http://").partition(":")[0]
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("NO_PROXY", f"{address},{aws.registry.host}")
    yield aws
    client(aws, "ecr").delete_repository(repositoryName="verify/app", force=True)


@pytest.mark.docker
def test_an_image_in_ecr_is_the_recorded_one_by_its_digest(
    ecr: Aws, packager: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "dist"
    noise = "".join(chr(33 + n % 90) for n in os.urandom(1000))
    made = Image(layers=[{"app": noise}], architecture="amd64", compress=gzipped)
    image = write_layout(tmp_path / "image", layout(made))
    pushed = packager("image", "push", image, "verify/app:v1", "--json", cwd=tmp_path)
    assert pushed.code == 0, pushed.err
    (reference,) = [one["reference"] for one in json.loads(pushed.out)]
    name, _, digest = reference.partition("@")
    record = pack_into(folder)
    recorded = RecordedImage(base="b", base_digest="", digest=digest, config_digest="", size=1)
    write_record(folder, record, images=(recorded,))
    for uri in (reference, f"{name}:v1-amd64"):
        done = verify(packager, tmp_path, uri)
        assert (done.code, done.err) == (0, f"{uri}  as recorded: its digest says so\n")
    assert "nothing is there" in verify(packager, tmp_path, f"{name}:v2-amd64").err
    write_record(folder, record, images=(replace(recorded, digest=f"sha256:{'0' * 64}"),))
    done = verify(packager, tmp_path, reference)
    assert done.code == 1
    assert f"it is {digest}, not sha256:000" in done.err
