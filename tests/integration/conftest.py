"""What tests with real parts share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import BASE, docker_files, folder, program, programs, write_tar
from tests.rig import aws as rig_aws
from tests.rig import registry as rig_registry
from tests.rig.aws import Aws, Cloud
from tests.rig.emrserverless import server as rig_emr
from tests.rig.emrserverless.service import Service
from tests.rig.engine import docker
from tests.rig.registry import Registry
from tests.s3server import S3Server, serve_s3


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test has a wheel store of its own."""
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "store"))


@pytest.fixture(scope="session")
def base_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("base-store")


@pytest.fixture
def known_base(monkeypatch: pytest.MonkeyPatch, own_store: None, base_store: Path) -> None:
    """A store for all tests that read the whole `base_image`, so that this is done once."""
    del own_store  # another one
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(base_store))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry as ECR has them, for tests with the mark `docker`."""
    with rig_registry.serve(tmp_path_factory.mktemp("registry")) as served:
        yield served


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """S3, ECR and more, for tests with the mark `docker`."""
    with rig_aws.serve(tmp_path_factory.mktemp("aws")) as served:
        yield served


@pytest.fixture(scope="session")
def apis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with rig_aws.serve_apis(tmp_path_factory.mktemp("apis")) as served:
        yield served


@pytest.fixture
def cloud(apis: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """AWS's APIs alone, empty, and what they need in the environment; for the mark `tools`."""
    apis.forget()
    for name, value in apis.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return apis


@pytest.fixture
def emr(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """EMR Serverless beside AWS's other APIs, new for every test, on a clock of its own."""
    with rig_emr.serve(cloud) as (service, endpoint):
        monkeypatch.setenv(rig_emr.VARIABLE, endpoint)
        yield service


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An S3 that verifies what arrives, and fails as it is told to; for the mark `tools`."""
    with serve_s3() as served:
        for name, value in Cloud(endpoint=served.endpoint).environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A base in the engine that checks take for EMR's, small, with a few programs that run.

    For tests with the mark `docker` that need no Spark.
    """
    name = f"packager-tests/small-base:{os.getpid()}"
    saved = tmp_path_factory.mktemp("base") / "base.tar"
    own = ("sh", "bash", "env", "rm", "cp", "chmod", "mkdir", "touch", "sleep", "sed")
    more = {"tmp": folder(0o1777), "usr/lib/spark/bin/spark-submit": program(b"#!/bin/sh\n")}
    image = BASE.over({**programs(*own), **more})
    docker("load", "--input", str(write_tar(saved, docker_files(image, name))))
    yield name
    docker("image", "rm", "--force", name)
