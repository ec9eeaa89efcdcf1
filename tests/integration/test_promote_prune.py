"""`packager promote` and `packager prune`: versions are copied as they are, and taken away."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from packager.record import Record, from_text
from tests import awsfront
from tests.awsfront import Front
from tests.command import Command, Outcome
from tests.packed import FAILED, pack_into, write_record
from tests.rig.aws import Cloud
from tests.rig.emrserverless.service import Service

pytestmark = pytest.mark.tools

MIB = 1 << 20
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Place:
    packager: Command
    folder: Path
    s3: Any
    front: Front

    def __call__(self, *words: str | Path) -> Outcome:
        return self.packager(*words, cwd=self.folder)

    def publish(self, **changes: Any) -> Record:
        """Another version; its record in S3."""
        record = pack_into(self.folder / "dist", **changes)
        time.sleep(1 - time.time() % 1)  # S3 tells times in seconds
        done = self("publish", f"dist/{record.name}", "--s3-uri", "s3://dev/a")
        assert done.code == 0, done.err
        return self.record(record.name)

    def record(self, name: str, folder: str = "dist") -> Record:
        return from_text((self.folder / folder / name).read_text(encoding="utf-8"), name)

    def keys(self, bucket: str) -> set[str]:
        return {one["Key"] for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", ())}

    def forget(self) -> None:
        """The records of this machine, so that nothing here uses what was published."""
        for path in (self.folder / "dist").glob("*.packager.json"):
            path.unlink()


@pytest.fixture
def place(
    cloud: Cloud, emr: Service, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    s3 = boto3.client("s3")
    for bucket in ("dev", "prod"):
        s3.create_bucket(Bucket=bucket)
    with awsfront.serve(cloud.endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", front.endpoint)
        yield Place(packager=packager, folder=tmp_path, s3=s3, front=front)


# Promote


def test_the_same_content_is_somewhere_else_and_nothing_was_sent(place: Place) -> None:
    record = place.publish(size=17 * MIB)
    place.front.asked.clear()
    done = place("promote", "--to", "s3://prod/b", "--out", "prod")
    assert done.code == 0, done.err
    assert done.err.count("copied by S3") == len(record.artifacts)
    for artifact in record.artifacts:
        there = place.s3.get_object(Bucket="prod", Key=f"b/{artifact.file}")
        assert there["Body"].read() == (place.folder / "dist" / artifact.file).read_bytes()
        assert there["Metadata"]["packager-sha256"] == artifact.sha256
    moved = place.record(record.name, "prod")
    assert all(uri.startswith("s3://prod/b/") for uri in moved.locations.values())
    assert moved.locations.keys() == record.locations.keys()
    assert moved.artifacts == record.artifacts
    assert done.out.strip() == moved.locations[record.name]
    assert place.record(record.name) == record
    assert place("verify", done.out.strip()).code == 0
    place.front.asked.clear()
    again = place("promote", "--to", "s3://prod/b")
    assert (again.code, again.out) == (0, done.out)
    assert not [call for call in place.front.asked if call.startswith(("PUT", "POST"))]


def test_a_record_in_s3_is_enough(place: Place) -> None:
    record = place.publish()
    place.forget()
    done = place("promote", record.locations[record.name], "--to", "s3://prod/b", "--json")
    (told,) = json.loads(done.out)
    assert place("verify", told["uri"]).code == 0


def test_what_s3_may_not_copy_goes_through_here(place: Place) -> None:
    """As where who writes to the one account may not read from the other."""
    record = place.publish(size=9 * MIB)
    place.front.denied |= {f"PUT /prod/b/{artifact.file}" for artifact in record.artifacts}
    copies = Denying(place.front)
    place.front.denied = copies
    done = place("promote", "--to", "s3://prod/b")
    assert done.code == 0, done.err
    assert copies.times == len(record.artifacts)
    assert "copied by S3" not in done.err
    assert place("verify", done.out.strip()).code == 0


def test_what_is_too_large_for_one_copy_is_copied_in_parts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = place.publish(size=17 * MIB)
    monkeypatch.setattr("packager.adapters.aws.s3.LARGEST_COPY", 8 * MIB)
    done = place("promote", "--to", "s3://prod/b")
    assert done.code == 0, done.err
    assert done.err.count("copied by S3") == len(record.artifacts)
    archive = record.artifacts[0]
    assert place.front.asked.count(f"PUT /prod/b/{archive.file}") == 3
    assert place("verify", done.out.strip()).code == 0
    there = place.s3.get_object(Bucket="prod", Key=f"b/{archive.file}")
    assert there["Body"].read() == (place.folder / "dist" / archive.file).read_bytes()
    assert there["Metadata"] == {"packager-sha256": archive.sha256}
    assert there["ContentType"] == "application/gzip"
    assert "Uploads" not in place.s3.list_multipart_uploads(Bucket="prod")
    again = place("promote", "--to", "s3://prod/b")
    assert (again.code, "copied by S3" in again.err) == (0, False)


def test_large_parts_that_s3_may_not_copy_go_through_here(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = place.publish(size=17 * MIB)
    monkeypatch.setattr("packager.adapters.aws.s3.LARGEST_COPY", 8 * MIB)
    place.front.denied = Denying(place.front)
    place.front.denied.add(f"PUT /prod/b/{record.artifacts[0].file}")
    done = place("promote", "--to", "s3://prod/b")
    assert done.code == 0, done.err
    assert "sent from here" in done.err
    assert place("verify", done.out.strip()).code == 0
    assert "Uploads" not in place.s3.list_multipart_uploads(Bucket="prod")


def test_a_disk_that_fills_in_passing_is_told(place: Place) -> None:
    record = place.publish(size=9 * MIB)
    place.front.denied = Denying(place.front)
    place.front.denied.add(f"PUT /prod/b/{record.artifacts[0].file}")
    space = place.folder / "space"
    space.mkdir()
    script = 'mount -t tmpfs -o size=1m none "$0"; TMPDIR="$0" exec "$@"'
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    words = (sys.executable, "-m", "packager", "promote", "--to", "s3://prod/b")
    done = subprocess.run(
        ["unshare", *user, "--mount", "sh", "-ec", script, str(space), *words],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "error: the disk is full\n  why: No space left on device" in done.stderr
    assert place.keys("prod") == set()
    assert place("promote", "--to", "s3://prod/b").code == 0


class Denying(set[str]):
    """The first call of each of the keys of the copies."""

    def __init__(self, front: Front) -> None:
        super().__init__(front.denied)
        self.times = 0

    def __contains__(self, operation: object) -> bool:
        if not super().__contains__(operation):
            return False
        self.discard(str(operation))
        self.times += 1
        return True


def test_a_dry_run_of_a_promotion_copies_nothing(place: Place) -> None:
    place.publish()
    done = place("promote", "--to", "s3://prod/b", "--dry-run")
    assert (done.code, place.keys("prod")) == (0, set())
    assert done.err.count("would be copied") == 5


def test_what_was_changed_is_not_promoted(place: Place) -> None:
    record = place.publish()
    key = f"a/{record.artifacts[0].file}"
    place.s3.put_object(Bucket="dev", Key=key, Body=b"x" * record.artifacts[0].size)
    done = place("promote", "--to", "s3://prod/b")
    assert (done.code, done.error[0]) == (4, f"s3://dev/{key} is not what was published")
    assert place.keys("prod") == set()


def test_something_else_in_the_way_is_never_overwritten(place: Place) -> None:
    record = place.publish()
    key = f"b/{record.artifacts[0].file}"
    place.s3.put_object(Bucket="prod", Key=key, Body=b"mine")
    done = place("promote", "--to", "s3://prod/b")
    assert (done.code, done.error[0]) == (4, f"s3://prod/{key} is there and holds something else")
    assert place.s3.get_object(Bucket="prod", Key=key)["Body"].read() == b"mine"


def test_what_failed_or_was_not_published_is_not_promoted(place: Place) -> None:
    record = pack_into(place.folder / "dist")
    done = place("promote", "--to", "s3://prod/b")
    assert (done.code, done.error[0]) == (2, f"{record.name} was not published")
    record = place.publish()
    write_record(place.folder / "dist", record, report=FAILED)
    assert place("promote", "--to", "s3://prod/b").code == 1
    assert place.keys("prod") == set()


def test_a_folder_that_can_not_be_written_is_told_before_anything_is_copied(place: Place) -> None:
    place.publish()
    (place.folder / "file").touch()
    done = place("promote", "--to", "s3://prod/b", "--out", "file/below")
    assert (done.code, done.error[2]) == (2, "choose another folder: --out")
    assert place.keys("prod") == set()


def test_who_may_pull_is_said_of_a_repository_only(place: Place) -> None:
    done = place("promote", "--to", "s3://prod/b", "--application", "all")
    assert (done.code, "--to-repository" in done.error[2]) == (2, True)


def test_a_bucket_elsewhere_is_no_place_to_promote_to(place: Place) -> None:
    place.publish()
    done = place("promote", "--to", "s3://prod/b", "--to-region", "eu-west-1")
    assert (done.code, "is in us-east-1, and the jobs are in eu-west-1" in done.error[0]) == (
        4,
        True,
    )


# Prune


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make it so many days later than S3 thinks."""

    def move(days: int) -> None:
        moment = time.time() + days * DAY_S
        monkeypatch.setattr("packager.adapters.clock.now", lambda: moment)

    return move


PRUNE = ("prune", "--s3-uri", "s3://dev/a")


def test_old_versions_go_and_what_others_share_stays(
    place: Place, later: Callable[[int], None]
) -> None:
    old = place.publish(app=b"one")
    new = place.publish(app=b"two")
    other = place.publish(arch="arm64", app=b"one")
    place.s3.put_object(Bucket="dev", Key="a/readme.txt", Body=b"not ours")
    place.s3.put_object(Bucket="dev", Key=f"a/sub/{old.artifacts[0].file}", Body=b"not here")
    place.forget()
    before = place.keys("dev")
    later(1)
    assert "Nothing to remove" in place(*PRUNE, "--keep", "1").err  # too young
    later(8)
    assert "Nothing to remove" in place(*PRUNE).err
    shown = place(*PRUNE, "--keep", "1")
    assert (shown.code, place.keys("dev")) == (0, before)
    assert "add --yes" in shown.err
    done = place(*PRUNE, "--keep", "1", "--yes")
    assert done.code == 0, done.err
    gone = {old.locations[old.name]}
    assert set(shown.out.split()) == set(done.out.split()) == gone
    assert place.keys("dev") == before - {uri.removeprefix("s3://dev/") for uri in gone}
    for record in (new, other):
        assert place("verify", record.locations[record.name]).code == 0
    assert "Nothing to remove" in place(*PRUNE, "--keep", "1", "--yes").err


def test_files_that_only_an_old_version_names_go_with_it(
    place: Place, later: Callable[[int], None]
) -> None:
    old = place.publish(app=b"one", size=2000)
    new = place.publish(app=b"two", size=3000)
    place.forget()
    later(8)
    done = place(*PRUNE, "--keep", "1", "--yes", "--json")
    told = json.loads(done.out)
    shared = set(new.locations.values())
    assert set(told["objects"]) == set(old.locations.values()) - shared
    assert place.keys("dev") == {uri.removeprefix("s3://dev/") for uri in shared}


def test_what_a_record_here_an_application_or_a_run_uses_stays(
    place: Place, emr: Service, later: Callable[[int], None]
) -> None:
    versions = [place.publish(app=str(n).encode(), size=1000 + n) for n in range(4)]
    write_record(place.folder / "dist", versions[0])  # the one that is deployed from here
    later(8)
    client = boto3.client("emr-serverless")
    archive = versions[1].locations[versions[1].artifacts[0].file]
    client.create_application(
        name="shop",
        type="SPARK",
        releaseLabel="emr-7.13.0",
        runtimeConfiguration=[
            {
                "classification": "spark-defaults",
                "properties": {"spark.archives": f"{archive}#environment"},
            }
        ],
    )
    done = place(*PRUNE, "--keep", "1", "--yes")
    assert done.code == 0, done.err
    left = {f"s3://dev/{key}" for key in place.keys("dev")}
    assert set(versions[0].locations.values()) <= left
    assert set(versions[3].locations.values()) <= left
    assert archive in left
    assert "used by the record" in done.err
    gone = set(versions[2].locations.values()) - set(versions[3].locations.values())
    assert not left & {uri for uri in gone if uri not in versions[0].locations.values()}


def test_a_record_that_can_not_be_read_holds_everything_up(
    place: Place, later: Callable[[int], None]
) -> None:
    place.publish(app=b"one")
    place.publish(app=b"two")
    key = "a/jobs-emr-7.13.0-amd64-000000000000.packager.json"
    place.s3.put_object(Bucket="dev", Key=key, Body=b"{}")
    before = place.keys("dev")
    place.forget()
    later(8)
    done = place(*PRUNE, "--keep", "1", "--yes")
    assert (done.code, place.keys("dev")) == (2, before)
    assert key in done.error[0]


def test_what_is_published_meanwhile_is_spared(place: Place, later: Callable[[int], None]) -> None:
    """Somebody takes up the old code again, while it is about to be removed."""
    old = place.publish(app=b"one")
    place.publish(app=b"two", size=2000)
    place.forget()
    later(8)

    def publish_again() -> None:
        data = place.s3.get_object(Bucket="dev", Key=key)["Body"].read()
        again = replace(from_text(data.decode(), key), commit="f" * 40)
        from hashlib import sha256

        from packager.record import to_text

        text = to_text(again).encode()
        name = f"jobs-emr-7.13.0-amd64-{sha256(text).hexdigest()[:12]}.packager.json"
        place.s3.put_object(Bucket="dev", Key=f"a/{name}", Body=text)

    key = old.locations[old.name].removeprefix("s3://dev/")
    listing = place.front.after.setdefault("GET /dev", [])
    listing.append(publish_again)
    done = place(*PRUNE, "--keep", "1", "--yes")
    assert done.code == 0, done.err
    left = {f"s3://dev/{one}" for one in place.keys("dev")}
    assert {uri for name, uri in old.locations.items() if name != old.name} <= left


def test_uploads_that_were_broken_off_go_and_those_of_others_stay(
    place: Place, later: Callable[[int], None]
) -> None:
    record = place.publish()
    before = place.keys("dev")
    ours = ("a/.arriving/1", f"a/{record.artifacts[0].file}")
    theirs = ("a/theirs.bin", "b/.arriving/1", f"a/sub/{record.artifacts[0].file}")
    for key in (*ours, *theirs):
        place.s3.create_multipart_upload(Bucket="dev", Key=key)
    place.s3.put_object(Bucket="dev", Key="a/.arriving/2", Body=b"it had arrived")
    later(8)
    shown = place(*PRUNE, "--json")
    assert [one["uri"] for one in json.loads(shown.out)["uploads"]] == [
        f"s3://dev/{key}" for key in ours
    ]
    assert "2 broken uploads" in shown.err
    done = place(*PRUNE, "--yes")
    assert done.code == 0, done.err
    left = place.s3.list_multipart_uploads(Bucket="dev")["Uploads"]
    assert {one["Key"] for one in left} == set(theirs)
    assert place.keys("dev") == before
    assert place("verify", record.locations[record.name]).code == 0


def test_who_may_not_remove_or_look_is_told(place: Place, later: Callable[[int], None]) -> None:
    place.publish(app=b"one")
    place.publish(app=b"two")
    place.forget()
    later(8)
    before = place.keys("dev")
    place.front.denied.add("POST /dev")
    done = place(*PRUNE, "--keep", "1", "--yes")
    assert (done.code, place.keys("dev")) == (4, before)
    assert "s3:DeleteObject on arn:aws:s3:::dev/a/" in done.error[2]
    place.front.denied.add("GET /dev")
    done = place(*PRUNE, "--keep", "1")
    assert (done.code, "s3:ListBucket on arn:aws:s3:::dev" in done.error[2]) == (4, True)
