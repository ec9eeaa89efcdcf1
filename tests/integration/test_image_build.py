"""Custom images: put together in a registry without an engine, or given to one."""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.imagebases import base_in_file
from packager.adapters.registry.auth import Login
from packager.adapters.registry.client import RegistryClient, blob_of_bytes, registry_client
from packager.adapters.registry.pulls import describe, fetch_layout
from packager.images import observe
from packager.manifests import Document
from packager.oci import files_in, read_image
from packager.record import from_text
from packager.references import parse_reference
from tests.command import Command
from tests.images import (
    CONFIG,
    Image,
    Made,
    digest,
    docker_files,
    folder,
    gzipped,
    layout,
    write_layout,
    write_tar,
)
from tests.index import Index
from tests.integration.test_pack import make_project
from tests.rig.engine import docker
from tests.rig.registry import Registry

pytestmark = pytest.mark.docker

PASSWD = "root:x:0:0::/root:/bin/sh\nhadoop:x:999:999::/home/hadoop:/bin/sh\n"
BASE = Image(
    layers=[
        {
            "etc": folder(),
            "etc/passwd": PASSWD,
            "etc/group": "hadoop:x:999:\n",
            "usr": folder(),
            "opt": folder(),
        },
        {"usr/lib": folder(), "usr/lib/random": Made(text=os.urandom(200_000))},
    ],
    config={
        **CONFIG,
        "Labels": {"com.amazon.release": "7.13.0"},
        "Healthcheck": {"Test": ["NONE"]},
    },
    compress=gzipped,
    history=[{"created_by": "amazon"}, {"created_by": "spark"}],
)
SITE = "opt/packager/environment/lib/python3.11/site-packages"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A registry with a base image for both architectures, and a project to put on it."""

    registry: Registry
    client: RegistryClient
    base: str
    project: Path

    def reference(self, name: str) -> str:
        return f"{self.registry.host}/{name}"

    def build(self, packager: Command, *arguments: str, base: str | None = None) -> Any:
        named = ("--base-image", base or self.base)
        return packager("image", "build", *named, *arguments, cwd=self.project)


@pytest.fixture
def place(
    registry: Registry, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    other = Image(**{**vars(BASE), "architecture": "arm64"})
    return place_of(registry, index, tmp_path, monkeypatch, BASE, other)


def place_of(
    registry: Registry,
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *bases: Image,
) -> Place:
    config = tmp_path / "docker"
    config.mkdir()
    entry = {"username": registry.user, "password": registry.password}
    (config / "config.json").write_text(json.dumps({"auths": {registry.host: entry}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.authority))
    login = Login(user=registry.user, password=registry.password)
    client = registry_client({"SSL_CERT_FILE": str(registry.authority)}, logins=lambda _: login)
    name = f"{registry.host}/bases/{tmp_path.name.lower()}"
    push_image(client, f"{name}:all", *bases)
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    return Place(registry=registry, client=client, base=f"{name}:all", project=root)


def push_image(client: RegistryClient, name: str, *images: Image) -> str:
    """Images as they lie in a layout, one or an index of several."""
    reference = parse_reference(name)
    files = layout(*images)
    described = json.loads(files["index.json"])["manifests"]
    blobs = {
        f"sha256:{path.rpartition('/')[2]}": data
        for path, data in files.items()
        if path.startswith("blobs/")
    }
    tops = {one["digest"]: one["mediaType"] for one in described}
    for key, data in blobs.items():
        if key not in tops:
            client.put_blob(reference, blob_of_bytes(data))
    for key, type_ in tops.items():
        client.put_manifest(reference.at(key), Document(media_type=type_, content=blobs[key]))
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": described}
    top = (
        Document(media_type=INDEX, content=json.dumps(index).encode())
        if len(described) > 1
        else Document(media_type=described[0]["mediaType"], content=blobs[described[0]["digest"]])
    )
    return client.put_manifest(reference, top)


INDEX = "application/vnd.oci.image.index.v1+json"


def test_both_architectures_are_pushed_without_an_engine(
    place: Place, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nothing.sock")
    got = place.build(packager, "--arch", "all", "--push", f"{place.reference('team/shop')}:v1")

    assert got.code == 0, got.err
    lines = got.out.splitlines()
    assert len(lines) == 2
    for line, arch in zip(lines, ("amd64", "arm64"), strict=True):
        tag = parse_reference(f"{place.reference('team/shop')}:v1-{arch}")
        there = place.client.manifest(tag)
        assert line == f"{tag.name}@{there.digest}"
        assert there.media_type == "application/vnd.docker.distribution.manifest.v2+json"
        where = tmp_path / arch
        fetch_layout(place.client, describe(place.client, tag, f"linux/{arch}"), where)
        below = tmp_path / f"{arch}-base"
        base = describe(place.client, parse_reference(place.base), f"linux/{arch}")
        fetch_layout(place.client, base, below)
        facts = observe(files_in(where), f"linux/{arch}", name="it", base=(files_in(below), "base"))
        assert facts.base is not None
        assert (facts.base.is_below, facts.base.changes) == (True, ())
        nodes = facts.tree.nodes
        assert {f"{SITE}/fruit/__init__.py", "opt/packager/app/shop/__init__.py"} <= nodes.keys()
        assert nodes["opt/packager/environment/bin/python"].entry.link == "/usr/bin/python3.11"
        assert f"{SITE}/packager-pyspark.pth" in nodes
        folders = [n.entry for n in nodes.values() if n.entry.kind == "directory"]
        assert {(entry.mode & 0o777, entry.uid) for entry in folders} == {(0o755, 0)}
        assert facts.config.user == "hadoop:hadoop"
        assert facts.config.entrypoint == ("/usr/bin/entrypoint.sh",)
        assert facts.config.variable("SPARK_HOME") == "/usr/lib/spark"
        assert facts.config.variable("PYSPARK_PYTHON") == "/opt/packager/environment/bin/python"
        assert facts.config.labels["com.amazon.release"] == "7.13.0"
        assert facts.config.labels["org.opencontainers.image.base.digest"] == base.reference.digest
        document = json.loads(
            place.client.read_blob(
                tag, describe(place.client, tag, f"linux/{arch}").manifest.config
            )
        )
        assert document["config"]["Healthcheck"] == {"Test": ["NONE"]}
        text = (place.project / "dist" / f"shop-emr-7.13.0-{arch}.packager.json").read_text()
        (image,) = from_text(text, "it").images
        assert (image.reference, image.digest) == (line, there.digest)
        assert (image.base, image.base_digest) == (place.base, base.reference.digest)


def test_the_same_project_is_the_same_image_and_a_code_change_sends_little(
    place: Place, packager: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def built(*arguments: str) -> dict[str, Any]:
        got = place.build(packager, "--json", "--push", place.reference("again/shop"), *arguments)
        assert got.code == 0, got.err
        (document,) = json.loads(got.out)
        return dict(document)

    first = built()
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "another store"))
    again = built()
    assert again["reference"] == first["reference"]
    assert (first["uploaded"] > 2000, again["uploaded"]) == (True, 0)
    (place.project / "shop" / "__init__.py").write_text("def main():\n    print('changed')\n")
    changed = built()
    assert changed["digest"] != first["digest"]
    assert changed["tag"] != first["tag"]
    assert 0 < changed["uploaded"] < first["uploaded"]
    assert changed["base_digest"] == first["base_digest"]


def test_layers_of_a_base_in_the_same_registry_are_not_sent(
    place: Place, packager: Command
) -> None:
    got = place.build(packager, "--json", "--push", f"{place.reference('mounted/shop')}:v1")
    (document,) = json.loads(got.out)
    base = describe(place.client, parse_reference(place.base), "linux/amd64").manifest.size
    assert base > 200_000
    assert document["uploaded"] < 20_000
    assert f"{base / 1e6:.1f} MB mounted" in got.err


def test_a_base_of_another_registry_or_a_file_is_sent_once(
    place: Place, packager: Command, tmp_path: Path
) -> None:
    file = write_layout(tmp_path / "base", layout(BASE))
    named = f"{place.reference('carried/shop')}:v1"
    got = place.build(packager, "--json", "--push", named, base=str(file))
    assert got.code == 0, got.err
    (document,) = json.loads(got.out)
    # The rig's registry knows the blobs from elsewhere, but nobody has told it to share them.
    assert document["uploaded"] > 200_000
    reference = parse_reference(named)
    image = describe(place.client, reference, "linux/amd64")
    assert image.reference.digest == document["digest"]
    again = place.build(packager, "--json", "--push", f"{named}2", base=str(file))
    assert json.loads(again.out)[0]["uploaded"] == 0


def test_a_record_of_an_earlier_job_becomes_an_image(place: Place, packager: Command) -> None:
    assert packager("pack", cwd=place.project).code == 0
    record = place.project / "dist" / "shop-emr-7.13.0-amd64.packager.json"
    got = place.build(packager, str(record), "--push", f"{place.reference('record/shop')}:v1")
    assert got.code == 0, got.err
    archive = next((place.project / "dist").glob("*environment*.tar.gz"))
    archive.write_bytes(archive.read_bytes() + b"x")
    got = place.build(packager, str(record), "--push", f"{place.reference('record/shop')}:v2")
    assert got.code == 2
    assert "is not what the record" in got.error[0]


def zstd(image: Image) -> dict[str, bytes]:
    """Said to be compressed by zstd; nobody looks into it."""
    files = dict(layout(image))
    index = json.loads(files["index.json"])
    (one,) = index["manifests"]
    manifest = json.loads(files.pop(f"blobs/sha256/{one['digest'][7:]}"))
    for layer in manifest["layers"]:
        layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"
    text = json.dumps(manifest).encode()
    one["digest"], one["size"] = digest(text), len(text)
    return {
        **files,
        f"blobs/sha256/{digest(text)[7:]}": text,
        "index.json": json.dumps(index).encode(),
    }


WRONG: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "another architecture": (
        lambda: dict(layout(Image(**{**vars(BASE), "architecture": "s390x"}))),
        "is for linux/s390x",
    ),
    "no hadoop": (lambda: dict(layout(BASE.over(User="root"))), "does not end as the user hadoop"),
    "nobody": (lambda: dict(layout(BASE.over(User=""))), "does not end as the user hadoop"),
    "zstd": (lambda: zstd(BASE), "compressed with zstd"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_base_that_can_not_be_is_told(
    wrong: str, place: Place, packager: Command, tmp_path: Path
) -> None:
    make, told = WRONG[wrong]
    file = write_layout(tmp_path / "base", make())
    named = f"{place.reference('wrong/shop')}:v1"
    got = place.build(packager, "--push", named, base=str(file))
    assert got.code == 2
    assert told in got.error[0]
    assert got.error[2]
    assert place.client.find_manifest(parse_reference(named)) is None


def test_an_index_without_the_platform_is_told(place: Place, packager: Command) -> None:
    name = f"{place.reference('half/base')}:v1"
    twice = Image(**{**vars(BASE), "architecture": "s390x"})
    push_image(place.client, name, BASE, twice)
    got = place.build(
        packager, "--arch", "arm64", "--push", f"{place.reference('half/shop')}:v1", base=name
    )
    assert got.code == 2
    assert "has no image for linux/arm64" in got.error[0]
    assert "linux/amd64, linux/s390x" in got.error[1]


def test_variables_labels_and_files_of_the_project(
    place: Place, packager: Command, tmp_path: Path
) -> None:
    (place.project / "driver.jar").write_bytes(b"PK a jar")
    (place.project / "log.properties").write_text("level = warn")
    table = (
        "[tool.packager.image]\n"
        'env = { MODE = "prod" }\nlabels = { team = "data" }\njars = ["driver.jar"]\n'
        'files = { "log.properties" = "/etc/spark/log.properties" }\n'
    )
    text = (place.project / "pyproject.toml").read_text()
    (place.project / "pyproject.toml").write_text(f"{text}\n{table}")
    named = f"{place.reference('settings/shop')}:v1"
    got = place.build(packager, "--push", named)
    assert got.code == 0, got.err
    where = tmp_path / "image"
    image = describe(place.client, parse_reference(named), "linux/amd64")
    fetch_layout(place.client, image, where)
    facts = observe(files_in(where), "linux/amd64", name="it")
    assert facts.config.variable("MODE") == "prod"
    assert facts.config.labels["team"] == "data"
    nodes = facts.tree.nodes
    assert nodes["usr/lib/spark/jars/driver.jar"].entry.size == 8
    assert nodes["etc/spark/log.properties"].entry.mode & 0o777 == 0o644
    for line, what in (
        ('env = { JAVA_HOME = "/x" }', "JAVA_HOME of the image has to stay"),
        ('env = { PYSPARK_PYTHON = "/x" }', "PYSPARK_PYTHON is set by packager"),
        ('jars = ["no.jar"]', "there is no file"),
        ('files = { "main.py" = "x" }', "is no place for main.py"),
        ('enw = { A = "x" }', "has no key 'enw'"),
    ):
        (place.project / "pyproject.toml").write_text(f"{text}\n[tool.packager.image]\n{line}\n")
        got = place.build(packager, "--push", named)
        assert (got.code, what in got.error[0]) == (2, True), got.err


def test_a_layout_of_an_image_has_all_that_a_base_needs(tmp_path: Path) -> None:
    file = write_layout(tmp_path / "base", layout(BASE))
    base = base_in_file(file, "linux/amd64")
    image = read_image(file, "linux/amd64")
    assert base.image.digest == image.digest
    for layer, tar in zip(base.image.layers, BASE.tars(), strict=True):
        path = base.fetch(layer, tmp_path / "layer")
        assert gzip.decompress(path.read_bytes()) == tar


def test_a_file_is_no_base_for_an_engine(place: Place, packager: Command, tmp_path: Path) -> None:
    file = write_layout(tmp_path / "base", layout(BASE))
    got = place.build(packager, base=str(file))
    assert got.code == 2
    assert "is a file, and the engine does not have its layers" in got.error[0]
    assert "--push" in got.error[2]


def test_a_base_that_only_the_engine_has_is_told(
    place: Place, packager: Command, tmp_path: Path
) -> None:
    name = place.reference("engine/only:1")
    docker("load", "--input", str(write_tar(tmp_path / "base.tar", docker_files(BASE, name))))
    try:
        got = place.build(packager, "--push", place.reference("engine/shop"), base=name)
    finally:
        docker("image", "rm", "--force", name)
    assert got.code == 4
    assert "the engine has it" in got.error[1]
    assert f"docker save {name} -o base.tar" in got.error[2]


@pytest.mark.usefixtures("known_base")
def test_an_engine_gets_what_it_lacks_and_the_image_runs(
    packager: Command, index: Index, base_image: str, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    command = ("image", "build", "--base-image", base_image, "--clean-room", "off", "--json")
    got = packager(*command, cwd=root)
    assert got.code == 0, got.err
    (document,) = json.loads(got.out)
    name = document["reference"]
    try:
        assert name.startswith("shop:emr-7.13.0-amd64-")
        asks = "import fruit, pyspark, shop, getpass; print(pyspark.__file__, getpass.getuser())"
        ran = docker(
            "run",
            "--rm",
            "--network=none",
            "--entrypoint=sh",
            name,
            "-c",
            f'$PYSPARK_PYTHON -c "{asks}"',
        )
        assert ran.split() == ["/usr/lib/spark/python/pyspark/__init__.py", "hadoop"]
        again = json.loads(packager(*command, cwd=root).out)
        assert again == [{**document, "uploaded": 0}]
        judged = packager(
            "image",
            "validate",
            name,
            "--release",
            "emr-7.13.0",
            "--base-image",
            base_image,
            cwd=root,
        )
        assert judged.code == 0, judged.out
    finally:
        docker("image", "rm", "--force", name)
    text = (root / "dist" / "shop-emr-7.13.0-amd64.packager.json").read_text()
    (image,) = from_text(text, "it").images
    assert (image.reference, image.base) == ("", base_image)
