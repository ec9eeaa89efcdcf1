"""What networks, S3 and other people do to an upload: nothing is lost, nothing is half-visible.

After each fault the same command is given again, and ends as if there had been none.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from packager.adapters.aws import session
from packager.record import Record
from tests.command import Command, Outcome
from tests.packed import pack_into
from tests.s3server import Fault, Object, S3Server
from tests.waiting import until

pytestmark = pytest.mark.tools

MIB = 1 << 20
PARTS = 4
SIZE = (PARTS - 1) * 8 * MIB + 12345
PLACE = "s3://jobs/a"
SECRETS = ("wJalrXUtnFEMIverySECRET", "FwoGZXIvYXdzTOKEN")
WORDS = ("publish", "dist", "--s3-uri", PLACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    s3: S3Server
    packager: Command
    folder: Path
    record: Record

    def publish(self, *words: str) -> Outcome:
        done = self.packager(*WORDS, *words, cwd=self.folder)
        assert not any(secret in done.err + done.out for secret in SECRETS)
        return done

    def start(self, *before: str) -> "subprocess.Popen[str]":
        command = (*before, sys.executable, "-m", "packager", *WORDS)
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def archive(self) -> str:
        """The key of what goes up in parts."""
        return f"jobs/a/{self.record.artifacts[0].file}"

    @property
    def app(self) -> str:
        return f"jobs/a/{self.record.artifacts[1].file}"

    def text(self) -> str:
        return (self.folder / "dist" / self.record.name).read_text(encoding="utf-8")

    def arrived(self) -> int:
        """Bytes of parts that S3 keeps for an upload that is not complete."""
        return sum(len(p[0]) for u in self.s3.uploads.values() for p in u.parts.values())

    def require_nothing_half_done(self) -> None:
        """What can be seen is whole, and no record is there before what it names."""
        self.s3.rest()
        assert self.archive not in self.s3.objects
        assert not [key for key in self.s3.objects if key.endswith(".packager.json")]
        assert "locations" not in self.text()
        assert not list((self.folder / "dist").glob(".packager-*"))

    def require_all_there(self) -> None:
        for artifact in self.record.artifacts:
            data = (self.folder / "dist" / artifact.file).read_bytes()
            assert self.s3.objects[f"jobs/a/{artifact.file}"].content == data
        assert len(self.s3.objects) == len(self.record.artifacts) + 2
        assert self.s3.uploads == {}
        assert "locations" in self.text()

    def require_next_run_completes(self) -> None:
        """It sends only what had not arrived."""
        self.s3.rest()
        self.s3.faults.clear()
        kept = self.arrived()
        self.s3.log.clear()
        again = self.publish()
        assert again.code == 0, again.err
        self.require_all_there()
        sent = sum(request.size for request in self.s3.calls("UploadPart"))
        assert sent == SIZE - kept
        assert kept == 0 or "resumed after" in again.err


@pytest.fixture
def trial(
    s3: S3Server, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Trial:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[0])
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS[1])
    record = pack_into(tmp_path / "dist", size=SIZE)
    return Trial(s3=s3, packager=packager, folder=tmp_path, record=record)


def after(s3: S3Server, operation: str, count: int, act: Callable[[], None]) -> None:
    """Do something once, when so many calls of a sort have been made."""
    lock, left = threading.Lock(), [count]

    def hook(called: str) -> None:
        with lock:
            left[0] -= called == operation
            mine = called == operation and left[0] == 0
        if mine:
            act()

    s3.hook = hook


# Killed.


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_what_was_killed_goes_on_where_it_was(trial: Trial, how: signal.Signals) -> None:
    # The rest of the parts does not end by itself.
    for part in range(3, PARTS + 1):
        trial.s3.faults.append(
            Fault(operation="UploadPart", kind="stall", part=part, seconds=60, times=9)
        )
    with trial.start() as child:
        until(lambda: trial.arrived() >= 2 * 8 * MIB)
        child.send_signal(how)
        _, said = child.communicate(timeout=30)
    assert child.returncode == (130 if how != signal.SIGKILL else -how), said
    assert not any(secret in said for secret in SECRETS)
    assert trial.arrived() == 2 * 8 * MIB
    trial.s3.released.set()
    trial.require_nothing_half_done()
    trial.require_next_run_completes()


# Connections.


@pytest.mark.parametrize("kind", ["reset", "slow"])
def test_a_connection_that_breaks_or_crawls_is_made_good(trial: Trial, kind: str) -> None:
    trial.s3.faults += [
        Fault(operation="UploadPart", kind=kind, part=2, times=2, seconds=1),  # type: ignore[arg-type]
        Fault(operation="PutObject", kind=kind, seconds=1),  # type: ignore[arg-type]
        Fault(operation="HeadObject", kind=kind, seconds=1),  # type: ignore[arg-type]
    ]
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()


def test_a_connection_that_stalls_is_given_up_and_made_anew(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGER_AWS_TIMEOUT", "1")
    monkeypatch.setattr(session, "CONNECT_S", 1)
    trial.s3.faults += [
        Fault(operation="UploadPart", kind="stall", part=2, seconds=60),
        Fault(operation="CompleteMultipartUpload", kind="stall", seconds=60),
    ]
    started = time.monotonic()
    done = trial.publish()
    assert done.code == 0, done.err
    assert time.monotonic() - started < 30
    trial.require_all_there()


def test_an_answer_that_is_lost_does_no_harm(trial: Trial) -> None:
    """What was done is found done, by the condition of the write."""
    trial.s3.faults += [
        Fault(operation="PutObject", kind="unheard", key="app"),
        Fault(operation="CompleteMultipartUpload", kind="unheard"),
        Fault(operation="CreateMultipartUpload", kind="unheard"),
    ]
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()


# Answers.


@pytest.mark.parametrize(
    ("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (400, "RequestTimeout")]
)
def test_a_passing_failure_is_tried_again(trial: Trial, status: int, code: str) -> None:
    trial.s3.faults += [
        Fault(operation=operation, kind="answer", status=status, code=code, times=2)
        for operation in ("UploadPart", "PutObject", "CompleteMultipartUpload")
    ]
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()


@pytest.mark.parametrize(
    ("status", "code", "why", "fix"),
    [
        (500, "InternalError", "AWS failed at every try", "later"),
        (503, "SlowDown", "AWS asks to slow down", "later"),
        (403, "AccessDenied", "AWS denies it", "s3:PutObject on arn:aws:s3:::"),
        (400, "ExpiredToken", "the credentials have expired", "log in again"),
    ],
)
def test_a_lasting_failure_in_the_middle_is_told_and_keeps_what_arrived(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, status: int, code: str, why: str, fix: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    for part in (PARTS - 1, PARTS):
        trial.s3.faults.append(
            Fault(
                operation="UploadPart", kind="answer", part=part, status=status, code=code, times=99
            )
        )
    done = trial.publish()
    assert done.code == 4
    assert done.error[0] == f"s3://{trial.archive} can not be stored"
    assert why in done.error[1]
    assert fix in done.error[2]
    trial.require_nothing_half_done()
    trial.require_next_run_completes()


def test_credentials_that_expired_before_are_told(trial: Trial) -> None:
    """HEAD has no room for the reason, so it is asked for otherwise."""
    for operation in ("HeadBucket", "HeadObject"):
        trial.s3.faults.append(
            Fault(operation=operation, kind="answer", status=400, code="BadRequest", times=99)
        )
    for operation in ("ListObjects", "GetObject"):
        trial.s3.faults.append(
            Fault(operation=operation, kind="answer", status=400, code="ExpiredToken", times=99)
        )
    done = trial.publish()
    assert (done.code, done.error[1]) == (4, "the credentials have expired")
    trial.s3.faults.pop(0)  # the bucket answers
    what, why, _ = trial.publish().error
    assert what.endswith(" can not be looked up")
    assert why == "the credentials have expired"
    trial.require_next_run_completes()


@pytest.mark.parametrize("operation", ["ListMultipartUploads", "ListParts", "HeadObject"])
def test_without_a_permission_that_only_helps_it_works(trial: Trial, operation: str) -> None:
    fault = Fault(operation=operation, kind="answer", status=403, code="AccessDenied", times=99)
    trial.s3.faults.append(fault)
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()


# What arrives damaged.


def test_what_arrives_damaged_is_refused_and_sent_again(trial: Trial) -> None:
    trial.s3.faults += [
        Fault(operation="UploadPart", kind="corrupt", part=2, times=2),
        Fault(operation="PutObject", kind="corrupt"),
    ]
    done = trial.publish()
    assert done.code == 0, done.err
    assert len([r for r in trial.s3.calls("UploadPart") if r.part == 2]) == 3
    trial.require_all_there()


def test_what_always_arrives_damaged_is_told(trial: Trial) -> None:
    trial.s3.faults.append(Fault(operation="UploadPart", kind="corrupt", part=2, times=99))
    done = trial.publish()
    assert done.code == 4
    assert "BadDigest" in done.error[1]
    trial.require_nothing_half_done()
    trial.require_next_run_completes()


def test_a_file_that_changes_while_it_is_sent_is_noticed(trial: Trial) -> None:
    file = trial.folder / "dist" / trial.record.artifacts[0].file
    whole = file.read_bytes()

    def change() -> None:
        with file.open("r+b") as changed:
            changed.seek((PARTS - 1) * 8 * MIB)
            changed.write(b"changed")

    after(trial.s3, "CreateMultipartUpload", 1, change)
    # The part that changes is refused when all others have come, and nothing is under way.
    others = (PARTS - 1) * 8 * MIB
    late = Fault(
        operation="UploadPart", kind="late", part=PARTS, until=lambda: trial.arrived() == others
    )
    trial.s3.faults.append(late)
    done = trial.publish()
    assert done.code == 4
    assert "was changed while it was sent" in done.error[0]
    trial.require_nothing_half_done()
    file.write_bytes(whole)
    trial.require_next_run_completes()


# Others.


def test_two_at_once_end_well_and_leave_one_of_each(trial: Trial) -> None:
    with trial.start() as one, trial.start() as other:
        ends = [child.communicate(timeout=120) for child in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], ends
    assert ends[0][0] == ends[1][0]
    trial.require_all_there()


def stored(trial: Trial) -> None:
    """As somebody else would, meanwhile."""
    file = trial.folder / "dist" / trial.record.artifacts[0].file
    sha256 = trial.record.artifacts[0].sha256
    headers = {"x-amz-meta-packager-sha256": sha256}
    trial.s3.objects[trial.archive] = Object(data=file.read_bytes(), headers=headers)


def test_who_comes_second_finds_it_done(trial: Trial) -> None:
    after(trial.s3, "CompleteMultipartUpload", 1, lambda: stored(trial))
    assert trial.publish().code == 0
    assert len(trial.s3.calls("CompleteMultipartUpload")) == 1
    trial.require_all_there()


def test_an_upload_that_another_ends_is_found_done_or_begun_anew(trial: Trial) -> None:
    def gone() -> None:
        stored(trial)
        trial.s3.uploads.clear()

    after(trial.s3, "UploadPart", 3, gone)
    assert trial.publish().code == 0
    assert len(trial.s3.calls("CreateMultipartUpload")) == 1
    trial.require_all_there()
    trial.s3.objects.clear()
    after(trial.s3, "UploadPart", 3, trial.s3.uploads.clear)
    assert trial.publish().code == 0
    assert len(trial.s3.calls("CreateMultipartUpload")) == 3
    trial.require_all_there()


def test_a_conflict_is_tried_again(trial: Trial) -> None:
    for operation in ("PutObject", "CompleteMultipartUpload"):
        trial.s3.faults.append(
            Fault(operation=operation, kind="answer", status=409, code="ConditionalRequestConflict")
        )
    done = trial.publish()
    assert done.code == 0, done.err
    trial.require_all_there()


def test_parts_that_another_sent_again_are_asked_for(trial: Trial) -> None:
    """With keys of KMS, the same content gets another ETag each time."""

    def again() -> None:
        (upload,) = trial.s3.uploads.values()
        data, _, checksum = upload.parts[1]
        upload.parts[1] = (data, '"another"', checksum)

    after(trial.s3, "CompleteMultipartUpload", 1, again)
    done = trial.publish()
    assert done.code == 0, done.err
    assert len(trial.s3.calls("CompleteMultipartUpload")) == 2
    trial.require_all_there()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("what", ["archive", "app"])
def test_something_else_under_our_key_is_never_overwritten(
    trial: Trial, when: str, what: str
) -> None:
    key = trial.archive if what == "archive" else trial.app
    size = SIZE if what == "archive" else 3

    def put() -> None:
        trial.s3.objects[key] = Object(data=b"x" * size, headers={})

    if when == "before":
        put()
    else:
        last = "CompleteMultipartUpload" if what == "archive" else "PutObject"
        after(trial.s3, last, 1, put)
    done = trial.publish()
    assert done.code == 4
    assert done.error[0] == f"s3://{key} is there and holds something else"
    assert trial.s3.objects[key].content == b"x" * size
    assert not [k for k in trial.s3.objects if k.endswith(".packager.json")]
    assert "locations" not in trial.text()
    trial.s3.hook = lambda _: None
    del trial.s3.objects[key]
    assert trial.publish().code == 0
    trial.require_all_there()


def test_the_upload_that_came_furthest_goes_on_and_others_are_cleared_away(trial: Trial) -> None:
    client = boto3.client("s3")
    where = {"Bucket": "jobs", "Key": trial.archive.removeprefix("jobs/")}
    part = {**where, "ChecksumAlgorithm": "SHA256"}
    first = (trial.folder / "dist" / trial.record.artifacts[0].file).read_bytes()[: 8 * MIB]
    for body in (None, first, b"x" * 8 * MIB):  # one of them has another content
        number = client.create_multipart_upload(**part)["UploadId"]
        if body is not None:
            client.upload_part(**part, UploadId=number, PartNumber=1, Body=body)
    trial.s3.log.clear()
    assert trial.publish().code == 0
    assert len(trial.s3.calls("UploadPart")) == PARTS - 1
    assert len(trial.s3.calls("AbortMultipartUpload")) == 2
    trial.require_all_there()


# Places.


def test_a_bucket_in_another_region_is_refused(trial: Trial) -> None:
    trial.s3.region = "eu-west-1"
    done = trial.publish()
    assert (done.code, done.error[0]) == (
        4,
        "the bucket jobs is in eu-west-1, and the jobs are in us-east-1",
    )
    assert "--region eu-west-1" in done.error[2]
    assert not trial.s3.calls("PutObject", "CreateMultipartUpload")
    trial.s3.log.clear()
    assert trial.publish("--region", "eu-west-1").code == 0
    trial.require_all_there()


def test_a_bucket_that_is_not_there_is_told(trial: Trial) -> None:
    trial.s3.missing.add("jobs")
    done = trial.publish()
    assert (done.code, done.error[0]) == (4, "the bucket jobs can not be used")
    assert "not there" in done.error[1]


def test_a_disk_that_fills_when_the_record_is_written(trial: Trial) -> None:
    """All is published; the next run finds that, and writes the record."""
    space = trial.folder / "space"
    space.mkdir()
    record = trial.record.name
    script = (
        f'mount -t tmpfs -o size={SIZE + 100_000} none "$0"; cp -r dist "$0"; cd "$0";'
        ' head -c 1m /dev/zero > filler 2> /dev/null || true; code=0; "$@" || code=$?;'
        f" cat dist/{record} >&2; ls -A dist >&2; rm filler; echo again; "
        f'"$@"; cat dist/{record} >&2; exit $code'
    )
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    with trial.start("unshare", *user, "--mount", "sh", "-ec", script, str(space)) as child:
        _, said = child.communicate(timeout=120)
    first, second = said.split("Nothing to send")
    assert child.returncode == 4, said
    assert "error: dist can not be written\n  why: No space left on device" in first
    assert "locations" not in first
    assert ".packager-" not in first
    assert '"locations"' in second
    assert len(trial.s3.objects) == len(trial.record.artifacts) + 2
