"""`packager publish --pack`: archives go up while they are written, and are seen when they passed."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from packager.adapters.aws.arrivals import Arrivals
from packager.adapters.aws.s3 import LARGEST_COPY, S3
from packager.publishing.options import ObjectOptions
from packager.publishing.places import Place
from packager.tarball import Written
from tests.command import Command, Outcome
from tests.index import Index
from tests.integration.test_pack import make_project
from tests.rig.aws import Cloud
from tests.s3server import Fault, Object, S3Server, Upload
from tests.waiting import until

pytestmark = pytest.mark.tools

MIB = 1 << 20
PART = 8 * MIB
PARTS = 3
DAY_S = 86_400
PLACE = "s3://jobs/a"
WORDS = ("publish", "--pack", "--s3-uri", PLACE)
WRITES = {"CreateMultipartUpload", "UploadPart", "UploadPartCopy", "PutObject", "DeleteObject"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    s3: S3Server
    packager: Command
    root: Path

    def publish(self, *words: str | Path) -> Outcome:
        done = self.packager(*WORDS, *words, cwd=self.root)
        self.s3.rest()
        return done

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            (sys.executable, "-m", "packager", *WORDS),
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def files(self, ending: str = "") -> set[str]:
        return {path.name for path in (self.root / "dist").glob(f"*{ending}")}

    def record(self) -> dict[str, Any]:
        (path,) = (self.root / "dist").glob("*.packager.json")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def require_all_there(self, count: int = 5) -> None:
        assert len(self.s3.objects) == count, self.s3.objects.keys()
        for path in (self.root / "dist").glob("*.tar.gz"):
            assert self.s3.objects[f"jobs/a/{path.name}"].content == path.read_bytes()
        assert self.s3.uploads == {}
        assert "locations" in self.record()

    def require_nothing_there(self) -> None:
        assert self.s3.objects == {}
        assert self.s3.uploads == {}
        assert not list((self.root / "dist").glob(".packager-*"))

    def require_plain_publish_completes(self) -> None:
        self.s3.faults.clear()
        again = self.packager("publish", "--s3-uri", PLACE, cwd=self.root)
        assert again.code == 0, again.err
        self.s3.rest()
        self.require_all_there()


def large_wheel(index: Index, **more: Any) -> None:
    """What does not become smaller, so that its archive goes up in `PARTS` parts."""
    data = random.Random(1).randbytes((PARTS - 1) * PART + MIB)
    index.wheel("fruit", files={"fruit/__init__.py": "", "fruit/data.bin": data}, **more)


@pytest.fixture
def trial(s3: S3Server, packager: Command, index: Index, tmp_path: Path) -> Trial:
    large_wheel(index)
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    return Trial(s3=s3, packager=packager, root=root)


def test_with_somebody_elses_s3_it_is_as_if_published_at_once(
    cloud: Cloud, packager: Command, index: Index, tmp_path: Path
) -> None:
    """With moto. Twice, by `--pack` and without: S3 holds the same, and no version of more."""
    large_wheel(index)
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    contents = []
    for bucket, words in (("one", ("--pack",)), ("two", ())):
        bucket_ = boto3.resource("s3").create_bucket(Bucket=bucket)
        bucket_.Versioning().enable()
        done = packager("publish", *words, "--s3-uri", f"s3://{bucket}/a", cwd=root)
        assert done.code == 0, done.err
        found = {o.key: o.get()["Body"].read() for o in bucket_.objects.all()}
        assert {o.object_key for o in bucket_.object_versions.all()} == found.keys()
        contents.append({key: data for key, data in found.items() if not key.endswith(".json")})
        assert "Uploads" not in boto3.client("s3").list_multipart_uploads(Bucket=bucket)
        assert packager("verify", done.out.strip(), cwd=root).code == 0
    assert contents[0] == contents[1]
    assert any(len(data) > 2 * PART for data in contents[0].values())


def test_an_archive_goes_up_in_parts_and_is_copied_to_its_name(trial: Trial) -> None:
    done = trial.publish("--tag", "team=data", "--storage-class", "STANDARD_IA")
    assert done.code == 0, done.err
    trial.require_all_there()
    (archive,) = (f"jobs/a/{name}" for name in trial.files("-environment-*.tar.gz"))
    sent, copied = trial.s3.calls("UploadPart"), trial.s3.calls("UploadPartCopy")
    assert sorted(request.part or 0 for request in sent) == [1, 2, 3]
    assert sum(request.size for request in sent) == len(trial.s3.objects[archive])
    (passing,) = {request.key for request in sent}
    assert passing.startswith("jobs/a/.arriving/")
    assert {request.key for request in copied} == {archive}
    assert [request.key for request in trial.s3.calls("DeleteObject")] == [passing]
    stored = trial.s3.objects.pop(archive)
    assert stored.tags == "team=data"
    assert trial.s3.objects != {}
    # An upload would have stored the same.
    again = trial.packager(
        *("publish", "--s3-uri", PLACE, "--tag", "team=data", "--storage-class", "STANDARD_IA"),
        cwd=trial.root,
    )
    assert again.code == 0, again.err
    assert trial.s3.objects[archive].headers == stored.headers
    assert (
        trial.record()["checksums"][archive.rpartition("/")[2]]
        == stored.headers["x-amz-checksum-sha256"]
    )


def test_parts_go_before_the_archive_is_whole(s3: S3Server, cloud: Cloud, tmp_path: Path) -> None:
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    store: Future[S3] = Future()
    s3_ = S3(client=client, partition="aws", options=ObjectOptions(), largest_copy=LARGEST_COPY)
    store.set_result(s3_)
    arrivals = Arrivals(store, Place(bucket="jobs", key="a"))
    with (tmp_path / "archive").open("w+b") as file:
        witness = arrivals.witness(file, None)
        data = random.Random(2).randbytes(2 * PART)
        file.write(data[: PART + 1])
        file.flush()
        witness.grown(PART + 1)
        until(lambda: len(s3.calls("UploadPart")) == 1)
        file.write(data[PART + 1 :])
        file.flush()
        witness.grown(2 * PART)
        path = tmp_path / "archive"
        witness.whole(path, Written(sha256="00" * 32, size=len(data)))
        digests = arrivals.known()[path]
    until(lambda: len(s3.calls("UploadPart")) == 2)
    assert [(part.start, part.size) for part in digests.parts] == [(0, PART), (PART, PART)]
    (upload,) = s3.uploads.values()
    assert b"".join(upload.parts[number][0] for number in (1, 2)) == data
    arrivals.close()
    assert s3.uploads == {}
    assert s3.objects == {}


def test_a_second_run_begins_no_upload_and_writes_no_archive(trial: Trial) -> None:
    first = trial.publish()
    before = {path: path.stat().st_mtime_ns for path in (trial.root / "dist").glob("*.tar.gz")}
    trial.s3.log.clear()
    second = trial.publish()
    assert (second.code, second.out) == (0, first.out)
    assert "Nothing to send" in second.err
    assert {request.operation for request in trial.s3.log} == {"HeadBucket", "HeadObject"}
    assert {
        path: path.stat().st_mtime_ns for path in (trial.root / "dist").glob("*.tar.gz")
    } == before


def test_after_a_change_of_code_no_upload_is_begun(trial: Trial) -> None:
    trial.publish()
    (trial.root / "shop" / "__init__.py").write_text("def main():\n    print('changed')\n")
    trial.s3.log.clear()
    done = trial.publish()
    assert done.code == 0, done.err
    assert {r.operation for r in trial.s3.log} & WRITES == {"PutObject"}


@pytest.mark.parametrize("made_before", [True, False])
def test_what_is_there_already_is_left(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made_before: bool
) -> None:
    """Where the archives are gone, and what was made of the same parts is known to the store or not."""
    trial.publish()
    objects = dict(trial.s3.objects)
    for path in (trial.root / "dist").iterdir():
        path.unlink()
    if not made_before:
        monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "another"))
    trial.s3.log.clear()
    done = trial.publish()
    assert done.code == 0, done.err
    assert "Nothing to send: all 5 files are there already" in done.err
    assert trial.s3.objects == objects
    assert trial.s3.uploads == {}
    if made_before:
        assert not trial.s3.calls("CreateMultipartUpload", "UploadPart")
        assert "had gone up" not in done.err


def test_architectures_and_what_they_share_go_up_at_once(trial: Trial) -> None:
    (trial.root / "shop" / "large.bin").write_bytes(random.Random(3).randbytes(PART + MIB))
    backend = trial.root / "backend.py"
    text = backend.read_text(encoding="utf-8")
    backend.write_text(text.replace('"/" + one).read()', '"/" + one, encoding="latin-1").read()'))
    done = trial.publish("--arch", "all")
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 2
    assert len(trial.s3.objects) == 2 + 2 + 2 * 2, trial.s3.objects.keys()
    assert trial.s3.uploads == {}
    for path in (trial.root / "dist").glob("*.tar.gz"):
        assert trial.s3.objects[f"jobs/a/{path.name}"].content == path.read_bytes()


def test_two_at_once_end_well_and_leave_one_of_each(trial: Trial) -> None:
    with trial.start() as one, trial.start() as other:
        ends = [child.communicate(timeout=120) for child in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], ends
    assert ends[0][0] == ends[1][0]
    trial.s3.rest()
    trial.require_all_there()


def test_what_fails_a_check_is_never_seen(trial: Trial, index: Index) -> None:
    index.wheel("nut", files={"pyspark/__init__.py": "", "nut/__init__.py": ""})
    text = (trial.root / "pyproject.toml").read_text(encoding="utf-8")
    (trial.root / "pyproject.toml").write_text(text.replace("['fruit']", "['fruit', 'nut']"))
    done = trial.publish()
    assert done.code == 1, done.err
    assert "ARC008" in done.err
    assert done.out == ""
    trial.require_nothing_there()
    waived = trial.publish("--waive", "ARC008=it is ours")
    assert waived.code == 0, waived.err
    trial.require_all_there()


def test_what_can_not_be_tried_out_is_never_seen(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack fails when the archives are whole."""
    monkeypatch.setenv("PACKAGER_CLEAN_ROOM", "require")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    done = trial.publish()
    assert done.code == 3, done.err
    trial.require_nothing_there()


def test_an_upload_that_fails_in_the_middle_is_told_and_the_archive_is_whole(trial: Trial) -> None:
    refused = Fault(
        operation="UploadPart", kind="answer", part=2, status=403, code="AccessDenied", times=9
    )
    trial.s3.faults.append(refused)
    done = trial.publish()
    assert done.code == 4
    what, _, fix = done.error
    assert what.startswith(f"{PLACE}/.arriving/")
    assert "s3:PutObject on arn:aws:s3:::jobs/a/.arriving/" in fix
    trial.require_nothing_there()
    assert "locations" not in trial.record()
    trial.require_plain_publish_completes()


def test_a_copy_that_is_denied_goes_through_here(trial: Trial) -> None:
    refused = Fault(
        operation="UploadPartCopy", kind="answer", status=403, code="AccessDenied", times=99
    )
    trial.s3.faults.append(refused)
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()


def test_a_copy_that_breaks_off_leaves_nothing(trial: Trial) -> None:
    broken = Fault(operation="UploadPartCopy", kind="answer", status=500, code="X", times=99)
    trial.s3.faults.append(broken)
    done = trial.publish()
    assert done.code == 4
    assert trial.s3.uploads == {}
    assert [key for key in trial.s3.objects if "arriving" in key or "environment" in key] == []
    trial.require_plain_publish_completes()


@pytest.mark.parametrize("after", [0, 1])
def test_an_answer_that_is_lost_does_no_harm(trial: Trial, after: int) -> None:
    """Of what ends the upload, and of what ends the copy."""
    lost = Fault(operation="CompleteMultipartUpload", kind="unheard", after=after)
    trial.s3.faults.append(lost)
    done = trial.publish()
    assert done.code == 0, done.err
    assert not lost.times
    trial.require_all_there()


def test_what_comes_to_be_there_while_it_goes_up_is_left(trial: Trial) -> None:
    """Somebody stores the same when it was already looked for."""
    trial.packager("pack", cwd=trial.root)
    (path,) = (trial.root / "dist").glob("*-environment-*.tar.gz")
    data = path.read_bytes()
    for one in (trial.root / "dist").iterdir():
        one.unlink()
    sha256 = {"x-amz-meta-packager-sha256": hashlib.sha256(data).hexdigest()}

    def store(operation: str) -> None:
        if operation == "UploadPartCopy":
            trial.s3.objects.setdefault(f"jobs/a/{path.name}", Object(data=data, headers=sha256))

    trial.s3.hook = store
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()
    assert trial.s3.objects[f"jobs/a/{path.name}"].headers == sha256


def test_something_else_under_our_key_is_never_overwritten(trial: Trial) -> None:
    trial.packager("pack", cwd=trial.root)
    (name,) = trial.files("-environment-*.tar.gz")
    for path in (trial.root / "dist").iterdir():
        path.unlink()
    other = Object(data=b"another", headers={})
    trial.s3.objects[f"jobs/a/{name}"] = other
    done = trial.publish()
    assert done.code == 4
    assert "is there and holds something else" in done.error[0]
    assert trial.s3.objects == {f"jobs/a/{name}": other}
    assert trial.s3.uploads == {}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_who_is_killed_leaves_nothing_that_can_be_seen(trial: Trial, how: signal.Signals) -> None:
    stalled = Fault(operation="UploadPart", kind="stall", part=PARTS, seconds=60, times=9)
    trial.s3.faults.append(stalled)
    with trial.start() as child:
        until(lambda: any(len(u.parts) == PARTS - 1 for u in trial.s3.uploads.values()))
        child.send_signal(how)
        _, said = child.communicate(timeout=30)
    assert child.returncode == (130 if how != signal.SIGKILL else -how), said
    trial.s3.released.set()
    trial.s3.rest()
    assert trial.s3.objects == {}
    assert len(trial.s3.uploads) == (how == signal.SIGKILL)
    trial.s3.faults.clear()
    for upload in trial.s3.uploads.values():
        upload.begun -= DAY_S + 1
    for archive in (trial.root / "dist").glob("*.tar.gz"):
        archive.unlink()
    again = trial.publish()
    assert again.code == 0, again.err
    trial.require_all_there()


def test_an_interrupt_does_not_wait_for_an_upload_that_does_not_begin(trial: Trial) -> None:
    stalled = Fault(operation="CreateMultipartUpload", kind="stall", seconds=60, times=9)
    trial.s3.faults.append(stalled)
    with trial.start() as child:
        until(lambda: stalled.times < 9)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    trial.s3.released.set()
    assert child.returncode == 130, said
    assert trial.s3.objects == {}


def test_what_others_left_a_day_ago_is_cleared_away_and_nothing_else(trial: Trial) -> None:
    old, new = time.time() - DAY_S - 1, time.time()

    def upload(key: str, begun: float) -> Upload:
        return Upload(key=f"jobs/{key}", headers={"algorithm": "SHA256"}, begun=begun)

    trial.s3.uploads["gone"] = upload("a/.arriving/1", old)
    kept = {
        "young": upload("a/.arriving/2", new),
        "another's": upload("a/theirs.tar.gz", old),
        "elsewhere": upload("b/.arriving/1", old),
    }
    trial.s3.uploads |= kept
    for name, modified in (("3", old), ("4", new)):
        trial.s3.objects[f"jobs/a/.arriving/{name}"] = Object(
            data=b"x", headers={}, modified=modified
        )
    done = trial.publish()
    assert done.code == 0, done.err
    assert trial.s3.uploads == kept
    assert [key for key in trial.s3.objects if ".arriving" in key] == ["jobs/a/.arriving/4"]


def test_a_bucket_elsewhere_is_told_and_gets_nothing(trial: Trial) -> None:
    trial.s3.region = "eu-west-1"
    done = trial.publish()
    assert done.code == 4
    assert "eu-west-1" in done.err
    assert not {request.operation for request in trial.s3.log} & WRITES


def test_a_dry_run_packs_and_tells_what_would_be_sent(trial: Trial) -> None:
    done = trial.publish("--dry-run")
    assert done.code == 0, done.err
    assert "UploadPart " in done.out
    assert not {request.operation for request in trial.s3.log} & WRITES
    assert trial.files(".tar.gz")


def test_one_project_is_packed(trial: Trial, tmp_path: Path) -> None:
    named = trial.packager(*WORDS, "project", cwd=tmp_path)
    assert named.code == 0, named.err
    trial.require_all_there()
    two = trial.publish(".", "..")
    assert (two.code, two.error[1]) == (2, "--pack takes one")
    none = trial.packager(*WORDS, "nowhere", cwd=tmp_path)
    assert none.code == 2
