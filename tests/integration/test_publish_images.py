"""`packager publish` of records that name images: they come to ECR, once, and records say where."""

import json
import os
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from packager.imagebuild.tags import LOCAL, reference
from packager.record import Record, RecordedImage, from_text
from tests.command import Command, Outcome
from tests.images import (
    Image,
    digest,
    docker_files,
    gzipped,
    layout,
    write_layout,
    write_tar,
)
from tests.index import Index
from tests.integration.test_image_build import BASE
from tests.integration.test_pack import make_project
from tests.integration.test_sample_app import SAMPLE
from tests.packed import FAILED, pack_into, write_record
from tests.rig.aws import ECR, Aws, client
from tests.rig.ecr import Handler
from tests.rig.emrserverless import server as rig_emr
from tests.rig.engine import docker
from tests.rig.registry import PASSWORD
from tests.test_readme import ROOT, in_an_account

pytestmark = pytest.mark.docker


@dataclass(frozen=True, kw_only=True)
class Place:
    ecr: Any
    s3: Any
    aws: Aws
    packager: Command
    folder: Path
    noise: dict[str, str]
    """A layer of the test's own: the registry keeps what repositories had that are gone."""

    def publish(self, *words: str) -> Outcome:
        where = ("--s3-uri", "s3://jobs/a", "--repository", "team/jobs")
        return self.packager("publish", "dist", *where, *words, cwd=self.folder)

    def record(self, arch: str = "amd64") -> Record:
        (path,) = (self.folder / "dist").glob(f"*-{arch}.packager.json")
        return from_text(path.read_text(encoding="utf-8"), path.name)

    def images(self, repository: str = "team/jobs") -> dict[str, str]:
        told = self.ecr.describe_images(repositoryName=repository)["imageDetails"]
        return {tag: one["imageDigest"] for one in told for tag in one["imageTags"]}


@pytest.fixture
def place(
    aws: Aws, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    address = aws.endpoint.removeprefix("http://").partition(":")[0]
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("NO_PROXY", f"{address},{aws.registry.host}")
    noise = {"noise": "".join(chr(33 + n % 90) for n in os.urandom(300_000))}
    s3, ecr = client(aws, "s3"), client(aws, "ecr")
    s3.create_bucket(Bucket="jobs")
    yield Place(ecr=ecr, s3=s3, aws=aws, packager=packager, folder=tmp_path, noise=noise)
    aws.faults.clear()
    for one in s3.list_objects_v2(Bucket="jobs").get("Contents", ()):
        s3.delete_object(Bucket="jobs", Key=one["Key"])
    for repository in ecr.describe_repositories()["repositories"]:
        ecr.delete_repository(repositoryName=repository["repositoryName"], force=True)


def seen_by(aws: Aws) -> list[tuple[str, str]]:
    """Requests to the registry from now on: method and path."""
    seen: list[tuple[str, str]] = []

    def watch(handler: Handler) -> bool:
        seen.append((handler.command, handler.path))
        return False

    aws.faults.append(watch)
    return seen


def named_in(place: Place, arch: str, *files: dict[str, Any]) -> Image:
    """A record that names an image which a registry has, under another name."""
    made = Image(layers=[place.noise, *files], architecture=arch, compress=gzipped)
    path = write_layout(place.folder / f"image-{arch}", layout(made))
    words = ("image", "push", path, "team/built", "--arch", arch)
    pushed = place.packager(*words, cwd=place.folder)
    assert pushed.code == 0, pushed.err
    record = pack_into(place.folder / "dist", arch=arch)
    image = RecordedImage(
        base="base",
        base_digest="",
        digest=pushed.out.strip().partition("@")[2],
        config_digest=digest(made.document()),
        size=1,
        reference=pushed.out.strip(),
    )
    write_record(place.folder / "dist", record, images=(image,))
    return made


def test_images_come_to_ecr_and_the_records_say_where(place: Place) -> None:
    for arch in ("amd64", "arm64"):
        named_in(place, arch)
    words = ("--application", "all")
    done = place.publish(*words)
    assert done.code == 0, done.err
    tags = place.images()
    for arch in ("amd64", "arm64"):
        (image,) = place.record(arch).images
        tag = f"emr-7.13.0-{arch}-{image.digest[7:19]}"
        assert image.reference == f"{ECR}/team/jobs@{tags[tag]}"
        key = place.record(arch).locations[place.record(arch).name].removeprefix("s3://jobs/")
        text = place.s3.get_object(Bucket="jobs", Key=key)["Body"].read().decode()
        assert from_text(text, key).images == place.record(arch).images
    policy = place.ecr.get_repository_policy(repositoryName="team/jobs")["policyText"]
    assert "emr-serverless.amazonaws.com" in policy
    types = place.ecr.describe_images(repositoryName="team/jobs")["imageDetails"]
    assert all("index" not in t["imageManifestMediaType"] for t in types)
    seen = seen_by(place.aws)
    again = place.publish(*words)
    assert (again.code, again.out) == (0, done.out)
    assert {method for method, _ in seen} == {"HEAD"}
    assert "Nothing to send" in again.err
    assert "policy as it should be" in again.err


def test_a_dry_run_tells_the_calls_and_bytes(place: Place) -> None:
    named_in(place, "amd64", {"one": "1"})
    named_in(place, "arm64", {"two": "2"})
    dry = place.publish("--dry-run", "--json")
    assert dry.code == 0, dry.err
    with pytest.raises(place.ecr.exceptions.RepositoryNotFoundException):
        place.images()
    assert place.s3.list_objects_v2(Bucket="jobs")["KeyCount"] == 0
    told = json.loads(dry.out)
    counted = Counter(call["call"] for call in told)
    assert counted["CreateRepository"] == 1
    seen = seen_by(place.aws)
    done = place.publish("--json")
    assert done.code == 0, done.err
    to = Counter(
        (method, path.split("/")[4], "mount=" in path)
        for method, path in seen
        if path.startswith("/v2/team/jobs/")
    )
    assert counted["MountBlob"] == to["POST", "blobs", True] > 0
    assert counted["UploadBlob"] == to["POST", "blobs", False] > 0
    assert counted["PutManifest"] == to["PUT", "manifests", False]
    assert counted["HeadBlob"] == to["HEAD", "blobs", False]
    assert counted["HeadManifest"] == to["HEAD", "manifests", False]
    keys = {call["uri"] for call in told if call["call"] == "PutObject"}
    made = place.s3.list_objects_v2(Bucket="jobs")["Contents"]
    assert keys == {f"s3://jobs/{one['Key']}" for one in made}


def test_an_image_of_the_engine_is_sent(place: Place) -> None:
    record = pack_into(place.folder / "dist")
    short = str(reference(None, record, f"sha256:{'0' * 64}", alone=True)).removeprefix(LOCAL)
    made = Image(layers=[place.noise])
    path = write_tar(place.folder / "image.tar", docker_files(made))
    loaded = docker("load", "--quiet", "--input", str(path)).split()[-1]
    docker("tag", loaded, short)
    image = RecordedImage(
        base="scratch",
        base_digest="",
        digest="sha256:" + "0" * 64,
        config_digest=digest(made.document()),
        size=1,
    )
    try:
        write_record(place.folder / "dist", record, images=(image,))
        done = place.publish()
        assert done.code == 0, done.err
        (known,) = place.record().images
        assert known.reference == f"{ECR}/team/jobs@{next(iter(place.images().values()))}"
        wrong = replace(image, config_digest="sha256:" + "1" * 64)
        write_record(place.folder / "dist", record, images=(wrong,))
        done = place.publish()
        assert (done.code, "is not the one that was recorded" in done.error[0]) == (2, True)
    finally:
        docker("image", "rm", "--force", short, loaded)


def test_what_was_built_into_ecr_is_found_there(place: Place, index: Index) -> None:
    """Nobody has logged in with Docker."""
    index.wheel("fruit")
    root = make_project(place.folder / "project", dependencies=("fruit",))
    place.ecr.create_repository(repositoryName="team/jobs")
    base = write_layout(place.folder / "base", layout(BASE))
    words = ("image", "build", "--base-image", base, "--push", f"{ECR}/team/jobs:v1")
    built = place.packager(*words, "--arch", "amd64", cwd=root)
    assert built.code == 0, built.err
    publish = ("publish", "--s3-uri", "s3://jobs/b", "--repository", "team/jobs", "--json")
    done = place.packager(*publish, cwd=root)
    assert done.code == 0, done.err
    (told,) = json.loads(done.out)
    assert [image["reference"] for image in told["images"]] == [built.out.strip()]
    assert all(image["present"] and image["sent"] == 0 for image in told["images"])


@pytest.mark.network
def test_the_sample_app_with_archives_and_both_images(place: Place) -> None:
    """As a pipeline does it: build, publish, let pull, verify; and the same again."""
    root = place.folder / "sample_app"
    shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    base = write_layout(place.folder / "base", layout(BASE, replace(BASE, architecture="arm64")))
    place.ecr.create_repository(repositoryName="team/jobs", imageTagMutability="IMMUTABLE")
    build = ("image", "build", "--arch", "all", "--base-image", base, "--clean-room", "off")
    built = place.packager(*build, "--push", f"{ECR}/team/jobs", cwd=root)
    assert built.code == 0, built.err
    publish = ("publish", "--s3-uri", "s3://jobs/a", "--repository", "team/jobs")
    done = place.packager(*publish, "--application", "all", cwd=root)
    assert done.code == 0, done.err
    records = done.out.split()
    assert len(records) == len(built.out.split()) == len(place.images()) == 2
    for uri in (*records, *built.out.split()):
        assert place.packager("verify", uri, cwd=root).code == 0
    platforms = set()
    for pushed in built.out.split():
        docker("login", "--username", "AWS", "--password", PASSWORD, ECR)
        docker("pull", "--quiet", pushed)
        platforms.add(docker("inspect", "--format", "{{.Os}}/{{.Architecture}}", pushed).strip())
        docker("image", "rm", pushed)
    assert platforms == {"linux/amd64", "linux/arm64"}
    conf = place.packager("conf", "--arch", "arm64", cwd=root)
    assert "s3://jobs/a/" in conf.out
    again = place.packager(*publish, "--application", "all", cwd=root)
    assert (again.out, "Nothing to send" in again.err) == (done.out, True)


def test_a_registry_that_fails_in_the_middle_leaves_no_record(place: Place) -> None:
    """Its connection is gone whenever a manifest is to be written, until it is well again."""
    named_in(place, "amd64")
    before = place.record()

    def drop(handler: Handler) -> bool:
        if handler.command != "PUT" or "/team/jobs/manifests/" not in handler.path:
            return False
        handler.connection.close()
        handler.close_connection = True
        return True

    place.aws.faults.append(drop)
    done = place.publish()
    assert done.code == 4, done.err
    assert place.record() == before
    assert place.s3.list_objects_v2(Bucket="jobs")["KeyCount"] == 0
    assert place.images() == {}
    place.aws.faults.clear()
    assert place.publish().code == 0
    assert place.record().images[0].reference.startswith(f"{ECR}/team/jobs@")


def test_images_of_other_accounts_and_old_ones(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promoted with their records, and pruned with them, but for those that packager has not made."""
    named_in(place, "amd64")
    assert place.publish().code == 0
    first = place.record()
    words = ("promote", "--to", "s3://jobs/prod", "--to-repository", "team/prod", "--out", "prod")
    done = place.packager(*words, cwd=place.folder)
    assert done.code == 0, done.err
    moved = from_text((place.folder / "prod" / first.name).read_text(encoding="utf-8"), "it")
    (digest_,) = place.images("team/prod").values()
    assert moved.images[0].reference == f"{ECR}/team/prod@{digest_}"
    assert moved.images[0].digest == first.images[0].digest
    time.sleep(1 - time.time() % 1)  # S3 tells times in seconds
    named_in(place, "amd64", {"app": "2"})
    assert place.publish().code == 0
    mine = write_layout(place.folder / "mine", layout(Image(layers=[{"x": "y"}], compress=gzipped)))
    assert place.packager("image", "push", mine, "team/jobs:mine", cwd=place.folder).code == 0
    moment = time.time() + 30 * 86_400
    monkeypatch.setattr("packager.adapters.clock.now", lambda: moment)
    with rig_emr.serve(place.aws) as (_, endpoint):
        monkeypatch.setenv(rig_emr.VARIABLE, endpoint)
        prune = ("prune", "--s3-uri", "s3://jobs/a", "--repository", "team/jobs", "--keep", "1")
        assert len(place.images()) == 3
        shown = place.packager(*prune, cwd=place.folder)
        assert (shown.code, len(place.images())) == (0, 3), shown.err
        done = place.packager(*prune, "--yes", cwd=place.folder)
    assert done.code == 0, done.err
    assert first.images[0].reference in done.out.splitlines()
    kept = set(place.images().values())
    assert kept >= {place.record().images[0].digest}
    assert (len(kept), "mine-amd64" in place.images()) == (2, True)


def test_the_readmes_commands_work_as_they_are_written(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocks = in_an_account((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) == 3
    for bucket in ("my-bucket", "prod-bucket"):
        place.s3.create_bucket(Bucket=bucket)
    (tmp_path / "aws").write_text(
        "[profile prod]\nregion = us-east-1\naws_access_key_id = of\naws_secret_access_key = prod\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    (tmp_path / "pyproject.toml").write_text(
        '[tool.packager]\nrelease = "emr-7.13.0"\ns3-uri = "s3://my-bucket/jobs"\n',
        encoding="utf-8",
    )
    named_in(place, "amd64")
    saved = Image(layers=[place.noise], compress=gzipped)
    docker("load", "--input", str(write_tar(tmp_path / "jobs.tar", docker_files(saved, "jobs:1"))))
    with rig_emr.serve(place.aws) as (_, endpoint):
        monkeypatch.setenv(rig_emr.VARIABLE, endpoint)
        try:
            for block in blocks:
                for line in block.splitlines():
                    name, *words = shlex.split(line, comments=True)
                    assert name == "packager"
                    done = place.packager(*words, cwd=tmp_path)
                    assert done.code == 0, f"{line}\n{done.err}"
        finally:
            docker("image", "rm", "--force", "jobs:1")
    here, there = (
        place.record(),
        from_text((tmp_path / "prod" / place.record().name).read_text(encoding="utf-8"), "it"),
    )
    assert here.images[0].reference.startswith(f"{ECR}/team/app@")
    assert there.locations[here.name].startswith("s3://prod-bucket/jobs/")
    policy = place.ecr.get_repository_policy(repositoryName="team/app")["policyText"]
    assert "/applications/*" in policy


def test_nothing_of_what_failed_is_sent(place: Place) -> None:
    named_in(place, "amd64")
    record = place.record()
    write_record(place.folder / "dist", record, report=FAILED)
    assert place.publish().code == 1
    with pytest.raises(place.ecr.exceptions.RepositoryNotFoundException):
        place.images()
    assert place.publish("--waive", "ARC008=it is ours").code == 0
    assert place.record().report["findings"][0]["severity"] == "waived"


def test_without_a_repository_images_stay_where_they_are(place: Place) -> None:
    named_in(place, "amd64")
    words = ("publish", "dist", "--s3-uri", "s3://jobs/a")
    done = place.packager(*words, cwd=place.folder)
    assert done.code == 0, done.err
    assert "there already" in done.err
    reference = place.record().images[0].reference
    place.ecr.delete_repository(repositoryName="team/built", force=True)
    done = place.packager(*words, cwd=place.folder)
    assert (done.code, done.error[0]) == (4, f"the image {reference} is not there")
    write_record(
        place.folder / "dist",
        place.record(),
        images=(replace(place.record().images[0], reference=""),),
    )
    done = place.packager(*words, cwd=place.folder)
    assert (done.code, "stays in the engine" in done.err) == (0, True)


def test_a_repository_elsewhere_is_refused(place: Place) -> None:
    named_in(place, "amd64")
    elsewhere = ECR.replace("us-east-1", "eu-west-1")
    done = place.publish("--repository", f"{elsewhere}/team/jobs")
    assert (done.code, "is in eu-west-1, and the jobs in us-east-1" in done.error[0]) == (2, True)


def test_an_application_that_is_denied_is_told_before_anything_is_sent(place: Place) -> None:
    named_in(place, "amd64")
    place.ecr.create_repository(repositoryName="team/jobs")
    deny = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage"}],
    }
    place.ecr.set_repository_policy(repositoryName="team/jobs", policyText=json.dumps(deny))
    done = place.publish("--application", "all")
    assert (done.code, "can not pull" in done.error[0]) == (1, True)
    assert place.images() == {}
