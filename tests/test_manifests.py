"""Manifests and indexes as registries give them."""

import json
from typing import Any

import pytest

from packager.errors import ConfigError
from packager.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Document,
    choose,
    parse_manifest,
)

INDEX = "application/vnd.oci.image.index.v1+json"
DIGEST = "sha256:" + "b2" * 32


def described(type_: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": type_, "digest": DIGEST, "size": 7, **more}


def document(value: Any, type_: str = DOCKER_MANIFEST) -> Document:
    return Document(media_type=type_, content=json.dumps(value).encode())


def platform(arch: str) -> dict[str, Any]:
    return {"platform": {"os": "linux", "architecture": arch}}


GOOD = {"config": described(DOCKER_CONFIG), "layers": [described(DOCKER_LAYER)] * 2}


def test_the_size_of_an_image_is_that_of_its_layers() -> None:
    assert parse_manifest(document(GOOD), "an image").size == 14


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "a document of it is"),
        ("x", "a document of it is"),
        (GOOD | {"layers": None}, "where a list should be"),
        (GOOD | {"config": described("text/plain")}, "configuration is of the type 'text/plain'"),
        (GOOD | {"layers": [described("text/plain")]}, "a layer of it is of the type"),
        (GOOD | {"config": described(DOCKER_CONFIG, size=-1)}, "no way to name content"),
        (GOOD | {"config": described(DOCKER_CONFIG, digest="md5:1")}, "no way to name content"),
    ],
)
def test_what_is_no_manifest_is_refused(value: Any, why: str) -> None:
    with pytest.raises(ConfigError, match="an image is not an image") as error:
        parse_manifest(document(value), "an image")
    assert why in error.value.why


def test_an_artifact_is_no_image() -> None:
    with pytest.raises(ConfigError) as error:
        parse_manifest(document(GOOD, "application/vnd.cncf.helm"), "a chart")
    assert "helm" in error.value.why


def test_the_platform_is_chosen_and_attestations_are_passed_by() -> None:
    noted = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    index = document(
        {
            "manifests": [
                described(DOCKER_MANIFEST, **platform("arm64") | noted),
                described(DOCKER_MANIFEST, **platform("amd64")),
                described(DOCKER_MANIFEST, **platform("arm64"), digest="sha256:" + "c3" * 32),
            ]
        },
        INDEX,
    )
    assert choose(index, "linux/arm64", "an image").digest == "sha256:" + "c3" * 32


def test_an_index_without_the_platform_says_what_it_has() -> None:
    index = document({"manifests": [described(DOCKER_MANIFEST, **platform("amd64"))]}, INDEX)
    with pytest.raises(ConfigError, match="no image for linux/arm64") as error:
        choose(index, "linux/arm64", "an image")
    assert "linux/amd64" in error.value.why
