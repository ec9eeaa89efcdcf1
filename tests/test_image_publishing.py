"""What a registry gets of an image, and how its repository is made."""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from packager.errors import CommandError, ConfigError
from packager.manifests import DOCKER_LAYER, DOCKER_MANIFEST, Descriptor
from packager.oci import read_image
from packager.publishing.addresses import Repository, RepositoryAddress
from packager.publishing.imagecontent import ImageContent, content_of
from packager.publishing.images import prepare, push_image, tag_for
from packager.publishing.repositories import (
    RepositorySettings,
    creation,
    differences,
    lifecycle_of,
    parse_repository_settings,
)
from packager.references import Reference
from tests.images import Image, docker_files, gzipped, layout, write_layout, write_tar

AMD64 = "linux/amd64"
PLAIN = Image(layers=[{"etc/a": "one"}, {"etc/b": "two"}])
ZIPPED = Image(layers=PLAIN.layers, compress=gzipped)
REPOSITORY = Repository(
    partition="aws",
    region="us-east-1",
    account="123456789012",
    name="team/app",
    uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app",
)


def content(path: Path, scratch: Path, platform: str = AMD64) -> ImageContent:
    scratch.mkdir(exist_ok=True)
    return content_of(read_image(path, platform), scratch)


def whole(made: ImageContent) -> list[bytes]:
    return [b"".join(layer.chunks()) for layer in made.layers]


# What is sent


def test_a_manifest_that_is_fit_stays_as_it_is(tmp_path: Path) -> None:
    path = write_layout(tmp_path / "image", layout(ZIPPED))
    made = content(path, tmp_path / "scratch")
    assert made.digest == read_image(path, AMD64).digest
    for layer, data in zip(made.layers, whole(made), strict=True):
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer.descriptor.digest
        assert len(data) == layer.descriptor.size
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("kind", ["layout", "docker"])
def test_layers_that_are_not_compressed_are(tmp_path: Path, kind: str) -> None:
    if kind == "layout":
        path = write_layout(tmp_path / "image", layout(PLAIN))
    else:
        path = write_tar(tmp_path / "image.tar", docker_files(PLAIN))
    made = content(path, tmp_path / "scratch")
    assert [gzip.decompress(data) for data in whole(made)] == PLAIN.tars()
    manifest = json.loads(made.manifest.content)
    assert manifest["mediaType"] == made.manifest.media_type == DOCKER_MANIFEST
    assert {layer["mediaType"] for layer in manifest["layers"]} == {DOCKER_LAYER}
    config = json.loads(made.config.content)
    assert config["architecture"] == "amd64"
    again = content(path, tmp_path / "again")
    assert again.manifest == made.manifest
    assert whole(again) == whole(made)


def test_one_platform_of_several_is_taken(tmp_path: Path) -> None:
    arm = Image(layers=[{"arm": ""}], architecture="arm64", compress=gzipped)
    path = write_layout(tmp_path / "image", layout(ZIPPED, arm))
    made = content(path, tmp_path / "scratch", "linux/arm64")
    assert made.platform == "linux/arm64"
    assert len(made.layers) == 1
    assert made.manifest.media_type.endswith("manifest.v1+json")


def test_a_layer_that_is_not_its_tar_is_refused(tmp_path: Path) -> None:
    wrong = Image(layers=PLAIN.layers, diff_ids=["sha256:" + "0" * 64] * 2)
    path = write_tar(tmp_path / "image.tar", docker_files(wrong))
    with pytest.raises(ConfigError, match="damaged"):
        content(path, tmp_path / "scratch")


# Where it goes


class Registry:
    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.pushed: list[str] = []
        self.told: str | None = ""
        self.blobs: set[str] = set()

    def find(self, reference: Reference) -> Descriptor | None:
        if reference.tag not in self.tags:
            return None
        return Descriptor(media_type="", digest=self.tags[reference.tag], size=1)

    def has_blob(self, reference: Reference, digest: str) -> bool:
        return str(reference.at(digest)) in self.blobs

    def push(
        self, reference: Reference, content: ImageContent, moved: Callable[[int], None]
    ) -> int:
        self.pushed.append(str(reference))
        self.tags[reference.tag] = content.digest
        moved(content.size)
        return content.size


class Ecr:
    """Repositories by name, as DescribeRepositories tells of them."""

    def __init__(self, *, told: Mapping[str, Any] | None = None, digest: str | None = None) -> None:
        self.told = told
        self.digest = digest
        self.rules: Mapping[str, Any] | None = None

    def describe(self, _: RepositoryAddress) -> Mapping[str, Any] | None:
        return self.told

    def create(
        self,
        address: RepositoryAddress,
        wanted: RepositorySettings,
        lifecycle: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        self.told, self.rules = {"repositoryName": address.name, **creation(wanted)}, lifecycle
        return self.told

    def lifecycle(self, _: Repository) -> Mapping[str, Any] | None:
        return self.rules

    def image_digest(self, _: Repository, tag: str) -> str | None:  # noqa: ARG002
        return self.digest


@pytest.fixture
def made(tmp_path: Path) -> ImageContent:
    return content(write_layout(tmp_path / "image", layout(ZIPPED)), tmp_path / "scratch")


def test_an_image_is_named_by_its_content(made: ImageContent) -> None:
    registry = Registry()
    one = push_image(registry, Ecr(), REPOSITORY, made, tag=None, immutable=True)
    assert one.tag == f"{made.digest[7:19]}-amd64"
    assert one.reference == f"{REPOSITORY.uri}@{made.digest}"
    assert registry.pushed == [f"{REPOSITORY.uri}:{one.tag}"]
    again = push_image(registry, Ecr(), REPOSITORY, made, tag=None, immutable=True)
    assert (again.present, again.sent, len(registry.pushed)) == (True, 0, 1)


def test_a_tag_that_can_not_move_is_told_before_anything_is_sent(made: ImageContent) -> None:
    registry = Registry()
    registry.tags["v1-amd64"] = "sha256:" + "0" * 64
    with pytest.raises(ConfigError, match="the tag v1-amd64 of team/app is another image"):
        push_image(registry, Ecr(), REPOSITORY, made, tag="v1", immutable=True)
    assert registry.pushed == []
    assert push_image(registry, Ecr(), REPOSITORY, made, tag="v1", immutable=False).sent


def test_who_comes_second_with_the_same_image_is_content(made: ImageContent) -> None:
    class Taken(Registry):
        others = made.digest

        def push(self, reference: Reference, *_: object) -> int:
            self.tags[reference.tag] = self.others
            raise CommandError("taken", code="TAG_INVALID")

    one = push_image(Taken(), Ecr(), REPOSITORY, made, tag="v1", immutable=True)
    assert one.present
    another = Taken()
    another.others = "sha256:" + "1" * 64
    with pytest.raises(ConfigError, match="is another image"):
        push_image(another, Ecr(), REPOSITORY, made, tag="v1", immutable=True)


def test_what_ecr_says_otherwise_is_an_error(made: ImageContent) -> None:
    with pytest.raises(CommandError, match="is not what was pushed"):
        push_image(Registry(), Ecr(digest="sha256:1"), REPOSITORY, made, tag="v1", immutable=True)
    right = Ecr(digest=made.digest)
    assert push_image(Registry(), right, REPOSITORY, made, tag="v1", immutable=True).sent


def test_a_tag_says_its_architecture_once() -> None:
    assert tag_for("v1", "linux/arm64") == tag_for("v1-arm64", "linux/arm64") == "v1-arm64"


# How repositories are made


ADDRESS = RepositoryAddress(name="team/app")


def prepared(ecr: Ecr, wanted: RepositorySettings, rules: Mapping[str, Any] | None = None) -> Any:
    return prepare(ecr, ADDRESS, wanted, rules, repository_of=lambda _: REPOSITORY)


def test_a_repository_that_is_missing_is_made() -> None:
    wanted = RepositorySettings(encryption="KMS", kms_key="alias/images")
    ready = prepared(Ecr(), wanted)
    assert (ready.created, ready.immutable, ready.notes) == (True, True, ())
    assert creation(wanted) == {
        "imageTagMutability": "IMMUTABLE",
        "imageScanningConfiguration": {"scanOnPush": True},
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/images"},
    }


def test_a_repository_that_is_otherwise_is_told_of_and_left_alone() -> None:
    told = {
        "repositoryName": "team/app",
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
    }
    ecr = Ecr(told=told)
    wanted = RepositorySettings(encryption="KMS", expire_untagged_days=3)
    ready = prepared(ecr, wanted, lifecycle_of(wanted, None))
    assert (ready.created, ready.immutable) == (False, False)
    assert [note.removeprefix("team/app is not as set up: ")[:20] for note in ready.notes] == [
        "tags are MUTABLE, im",
        "scan-on-push is fals",
        "it is encrypted with",
        "its lifecycle policy",
    ]
    assert ecr.told is told


def test_a_repository_as_it_is_wanted_needs_no_note() -> None:
    wanted = RepositorySettings(encryption="KMS", kms_key="1234")
    told = {"repositoryName": "team/app", **creation(wanted)}
    told["imageTagMutability"] = "IMMUTABLE_WITH_EXCLUSION"
    told["encryptionConfiguration"] = {"encryptionType": "KMS", "kmsKey": "arn:…:key/1234"}
    assert differences(told, wanted) == ()


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"imutable-tags": True}, "known: repository"),
        ({"scan-on-push": "yes"}, "true or false"),
        ({"encryption": "aes"}, "AES256, KMS"),
        ({"expire-untagged-days": 0}, "a number of days"),
        ({"expire-untagged-days": True}, "a number of days"),
        ({"repository": ""}, "a text"),
        ({"kms-key": "k"}, "encryption is AES256"),
        ({"lifecycle": "a.json", "expire-untagged-days": 1}, "expire-untagged-days is set"),
    ],
)
def test_settings_that_are_wrong_are_told(table: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_repository_settings(table, "pyproject.toml")
    assert why in caught.value.why


def test_settings_have_their_defaults() -> None:
    wanted = parse_repository_settings({"repository": "a/b", "immutable-tags": False}, "x")
    assert wanted == RepositorySettings(repository="a/b", immutable_tags=False)
    assert lifecycle_of(wanted, None) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"rules": 1}', '{"rules": []}'])
def test_a_lifecycle_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="rules.json"):
        lifecycle_of(RepositorySettings(lifecycle="rules.json"), text)


def test_untagged_images_expire() -> None:
    rules = lifecycle_of(RepositorySettings(expire_untagged_days=9), None)
    assert rules is not None
    assert rules["rules"][0]["selection"]["countNumber"] == 9
    assert lifecycle_of(RepositorySettings(lifecycle="x"), json.dumps(rules)) == rules
