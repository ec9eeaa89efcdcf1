"""The client of registries: against a real one, and against servers on their worst days."""

import hashlib
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.fetch import Patience
from packager.adapters.registry.auth import Login
from packager.adapters.registry.client import (
    Blob,
    RegistryClient,
    blob_of_bytes,
    blob_of_file,
    registry_client,
)
from packager.adapters.registry.pulls import describe, fetch_layout
from packager.adapters.registry.tokens import Tokens
from packager.adapters.registry.wire import Wire
from packager.errors import CommandError, ConfigError, PackagerError
from packager.manifests import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Document
from packager.oci import read_image
from packager.references import Reference, parse_reference
from tests.mirror import Mirror, breaks_off, head, mirror, says, stalls
from tests.rig.registry import Registry

SHORT = Patience(connect_s=0.5, silence_s=0.5, tries=3, pause_s=0.001, longest_pause_s=0.2)
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = os.urandom(3_000_000)


def as_aws(registry: Registry) -> RegistryClient:
    login = Login(user=registry.user, password=registry.password)
    return registry_client({"SSL_CERT_FILE": str(registry.authority)}, logins=lambda _: login)


def document(value: Any, type_: str = DOCKER_MANIFEST) -> Document:
    return Document(media_type=type_, content=json.dumps(value).encode())


def push(client: RegistryClient, reference: Reference, arch: str) -> Document:
    """An image of one layer that is no tar, which registries do not mind."""
    layer = blob_of_bytes(LAYER)
    told = {
        "os": "linux",
        "architecture": arch,
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    }
    config = blob_of_bytes(json.dumps(told).encode())
    for blob in (layer, config):
        client.put_blob(reference, blob)
    manifest = document(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": described(config, DOCKER_CONFIG).document(),
            "layers": [described(layer, DOCKER_LAYER).document()],
        }
    )
    client.put_manifest(reference, manifest)
    return manifest


def described(blob: Blob, type_: str) -> Descriptor:
    return Descriptor(media_type=type_, digest=blob.digest, size=blob.size)


# A real registry.


@pytest.mark.docker
def test_what_is_pushed_comes_back(registry: Registry, tmp_path: Path) -> None:
    client = as_aws(registry)
    reference = parse_reference(f"{registry.host}/team/app:v1")
    assert client.find_manifest(reference) is None
    manifest = push(client, reference, "arm64")
    found = client.find_manifest(reference)
    assert found == manifest.descriptor
    assert client.manifest(reference.at(manifest.digest)) == manifest

    image = describe(client, reference, "linux/arm64")
    assert image.manifest.size == len(LAYER)
    fetch_layout(client, image, tmp_path)
    read = read_image(tmp_path, "linux/arm64")
    assert b"".join(read.chunks(read.layers[0])) == LAYER
    assert read.digest == manifest.digest


@pytest.mark.docker
def test_a_blob_is_mounted_from_another_repository(registry: Registry) -> None:
    client = as_aws(registry)
    blob = blob_of_bytes(os.urandom(2000))
    here, there = (parse_reference(f"{registry.host}/mounts/{name}") for name in ("here", "there"))
    assert client.put_blob(there, blob)
    assert not client.has_blob(here, blob.digest)
    assert not client.mount_blob(here, "sha256:" + "0" * 64, "mounts/there")
    assert client.mount_blob(here, blob.digest, "mounts/there")
    assert client.has_blob(here, blob.digest)
    assert not client.put_blob(here, blob, mount_from="mounts/there")


@pytest.mark.docker
def test_an_index_leads_to_the_platform_or_says_what_it_has(registry: Registry) -> None:
    client = as_aws(registry)
    reference = parse_reference(f"{registry.host}/indexed:v1")
    manifests = []
    for arch in ("amd64", "arm64"):
        manifest = push(client, reference.tagged(arch), arch)
        platform = {"platform": {"os": "linux", "architecture": arch}}
        manifests.append(manifest.descriptor.document() | platform)
    client.put_manifest(reference, document({"schemaVersion": 2, "manifests": manifests}, INDEX))
    image = describe(client, reference, "linux/arm64")
    assert image.reference.digest == manifests[1]["digest"]
    assert image.platforms == ("linux/amd64", "linux/arm64")
    with pytest.raises(ConfigError, match="no image for linux/s390x"):
        describe(client, reference, "linux/s390x")
    with pytest.raises(ConfigError, match="no image for linux/arm64"):
        describe(client, reference.tagged("amd64"), "linux/arm64")


@pytest.mark.docker
def test_who_is_not_known_is_told_how_to_log_in(registry: Registry, tmp_path: Path) -> None:
    env = {"SSL_CERT_FILE": str(registry.authority), "DOCKER_CONFIG": str(tmp_path)}
    reference = parse_reference(f"{registry.host}/team/app:v1")
    with pytest.raises(CommandError, match="does not know who asks") as error:
        registry_client(env).manifest(reference)
    assert error.value.fix == f"docker login {registry.host}"
    wrong = registry_client(env, logins=lambda _: Login(user="AWS", password="hunter2"))
    with pytest.raises(CommandError, match="does not know who asks") as error:
        wrong.manifest(reference)
    assert "hunter2" not in f"{error.value.what} {error.value.why} {error.value.fix}"


@pytest.mark.docker
def test_a_credential_helper_is_asked(registry: Registry, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-rig"
    answer = json.dumps({"Username": registry.user, "Secret": registry.password})
    helper.write_text(
        f"#!/bin/sh\nread host; [ $host = {registry.host} ] || exit 1\necho '{answer}'\n",
        encoding="utf-8",
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config.json").write_text('{"credsStore": "rig"}', encoding="utf-8")
    env = {
        "SSL_CERT_FILE": str(registry.authority),
        "DOCKER_CONFIG": str(tmp_path),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    reference = parse_reference(f"{registry.host}/nothing/here:v1")
    assert registry_client(env).find_manifest(reference) is None
    (tmp_path / "config.json").write_text('{"credsStore": "lost"}', encoding="utf-8")
    with pytest.raises(PackagerError, match="docker-credential-lost is missing"):
        registry_client(env).find_manifest(reference)


@pytest.mark.docker
def test_an_authority_nobody_knows_is_not_believed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("packager.adapters.registry.wire.CERTIFICATES", tmp_path)
    reference = parse_reference(f"{registry.host}/team/app:v1")
    with pytest.raises(CommandError) as error:
        registry_client({}).find_manifest(reference)
    assert "is not trusted" in error.value.why
    assert "SSL_CERT_FILE" in error.value.fix


# Servers on their worst days.


def asking(
    served: Mirror, logins: dict[str, Login] | None = None
) -> tuple[RegistryClient, Reference]:
    host = served.url.partition("://")[2]
    wire = Wire(patience=SHORT)
    client = RegistryClient(
        wire=wire, tokens=Tokens(wire=wire, logins=(logins or {}).get), roots={host: served.url}
    )
    return client, parse_reference(f"{host}/team/app:v1")


BODY = b'{"layers": []}'
MANIFEST = says(200, BODY, f"Content-Type: {DOCKER_MANIFEST}")
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
PASSING = {
    "a fault": says(500),
    "overload": says(503, b"", "Retry-After: 0"),
    "too many questions": says(429, b"", "Retry-After: 0"),
    "no answer": breaks_off(),
    "half an answer": breaks_off(head(200, "Content-Length: 100") + b"{"),
    "silence": stalls(),
    "silence in the middle": stalls(head(200, "Content-Length: 100") + b"{"),
    "damage": says(200, b"other", f"Docker-Content-Digest: {DIGEST}"),
}


@pytest.mark.tools
@pytest.mark.parametrize("first", PASSING)
def test_what_passes_is_waited_for(first: str) -> None:
    with mirror(PASSING[first], MANIFEST) as served:
        client, reference = asking(served)
        assert client.manifest(reference).digest == DIGEST
        assert len(served.requests) == 2


@pytest.mark.tools
@pytest.mark.parametrize(
    ("answer", "told", "fix"),
    [
        (says(500), "answers 500; tried 3 times", "try again later"),
        (says(429), "answers 429; tried 3 times", "log in"),
        (says(429, b"", "Retry-After: 3600"), "answers 429", "log in"),
        (stalls(), "sent nothing for 0.5 s; tried 3 times", "network"),
        (breaks_off(), "broke the connection off", "network"),
        (says(200, b"x", f"Docker-Content-Digest: {DIGEST}"), "should have sha256:", "network"),
        (says(302, b"", "Location: /v2/"), "redirects without end", "network"),
    ],
    ids=["fault", "often", "hours", "silence", "nothing", "damage", "redirects"],
)
def test_what_does_not_pass_ends_with_what_it_was(answer: Any, told: str, fix: str) -> None:
    with mirror(answer) as served:
        client, reference = asking(served)
        with pytest.raises(CommandError, match="reading the manifest of") as error:
            client.manifest(reference)
    assert told in error.value.why
    assert fix in error.value.fix


@pytest.mark.tools
def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    wire = Wire(patience=SHORT)
    client = RegistryClient(wire=wire, tokens=Tokens(wire=wire, logins=lambda _: None))
    with pytest.raises(CommandError) as error:
        client.find_manifest(parse_reference(f"127.0.0.1:{port}/a"))
    assert "no connection to 127.0.0.1" in error.value.why


@pytest.mark.tools
def test_a_dropped_blob_is_gone_on_with_and_checked(tmp_path: Path) -> None:
    content = LAYER[:2_500_000]
    blob = described(blob_of_bytes(content), DOCKER_LAYER)
    whole = head(200, f"Content-Length: {len(content)}")
    rest = says(206, content[9000:], f"Content-Range: bytes 9000-{len(content) - 1}/{len(content)}")
    with mirror(breaks_off(whole + content[:9000]), rest) as served:
        client, reference = asking(served)
        came: list[int] = []
        client.download_blob(reference, blob, tmp_path / "blob", came=came.append)
    assert (tmp_path / "blob").read_bytes() == content
    assert "Range: bytes=9000-" in served.requests[1]
    assert sum(came) == len(content)


@pytest.mark.tools
def test_a_blob_that_is_not_what_it_says_is_thrown_away(tmp_path: Path) -> None:
    blob = described(blob_of_bytes(b"right"), DOCKER_LAYER)
    with mirror(says(200, b"wrong")) as served:
        client, reference = asking(served)
        with pytest.raises(CommandError) as error:
            client.download_blob(reference, blob, tmp_path / "blob")
    assert "its digest is" in error.value.why
    assert not (tmp_path / "blob").exists()


@pytest.mark.tools
def test_a_token_is_fetched_where_the_registry_sends_us_and_only_there() -> None:
    with mirror(says(200, b"elsewhere")) as elsewhere, mirror() as served:
        realm = f'Bearer realm="{served.url}/token",service="s"'
        answers = [
            says(401, b"", f"WWW-Authenticate: {realm}"),
            says(200, b'{"token": "tok"}'),
            says(307, b"", f"Location: {elsewhere.url}/blob"),
        ]
        served.answers = answers
        login = Login(user="me", password="secret")
        client, reference = asking(served, {served.url.partition("://")[2]: login})
        content = b"elsewhere"
        assert (
            client.read_blob(reference, described(blob_of_bytes(content), DOCKER_LAYER)) == content
        )
    token = served.requests[1]
    assert "GET /token?service=s&scope=repository%3Ateam%2Fapp%3Apull" in token
    assert "Authorization: Basic" in token
    assert "Authorization: Bearer tok" in served.requests[2]
    assert "Authorization" not in elsewhere.requests[0]


@pytest.mark.tools
def test_a_login_of_yesterday_does_not_keep_us_from_what_anybody_may_read() -> None:
    with mirror() as served:
        served.answers = [
            says(401, b"", f'WWW-Authenticate: Bearer realm="{served.url}/token"'),
            says(403),
            says(200, b'{"access_token": "tok"}'),
            MANIFEST,
        ]
        login = Login(user="me", password="old")
        client, reference = asking(served, {served.url.partition("://")[2]: login})
        assert client.manifest(reference).digest == DIGEST


@pytest.mark.tools
def test_an_upload_that_broke_off_goes_on_where_it_ended(tmp_path: Path) -> None:
    content = LAYER
    path = tmp_path / "layer"
    path.write_bytes(content)
    got: list[bytes] = []

    def takes(size: int) -> Any:
        def answer(_: Mirror, client: socket.socket) -> None:
            left = size
            while left and (piece := client.recv(left)):
                got.append(piece)
                left -= len(piece)
            if size >= len(content) - 1_000_000:
                client.sendall(head(202, "Location: /up/2", "Content-Length: 0"))

        return answer

    with mirror() as served:
        served.answers = [
            says(202, b"", "Location: /up/1"),
            takes(1_000_000),
            says(204, b"", "Location: /up/1", "Range: 0-999999"),
            takes(len(content) - 1_000_000),
            says(201),
        ]
        client, reference = asking(served)
        digest = blob_of_bytes(content).digest
        assert client.put_blob(reference, blob_of_file(path, digest))
    assert b"".join(got) == content
    assert "Content-Range: 1000000-2999999" in served.requests[3]
    assert f"PUT /up/2?digest=sha256%3A{digest[7:]}" in served.requests[4]


@pytest.mark.tools
def test_a_tag_that_somebody_else_moved_is_noticed() -> None:
    other = says(200, b"", f"Docker-Content-Digest: sha256:{'0' * 64}")
    with mirror(says(201), other) as served:
        client, reference = asking(served)
        with pytest.raises(CommandError, match="is not what was pushed"):
            client.put_manifest(reference, document({}))


@pytest.mark.tools
def test_passwords_go_nowhere_that_is_not_secret() -> None:
    with mirror() as served:
        served.answers = [says(401, b"", 'WWW-Authenticate: Bearer realm="http://127.0.0.1:1/t"')]
        wire = Wire(patience=SHORT)
        host = "registry.example"
        client = RegistryClient(
            wire=wire,
            tokens=Tokens(wire=wire, logins=lambda _: Login(user="a", password="b")),
            roots={host: served.url},
        )
        challenged = client.tokens.challenged
        with pytest.raises(Exception, match="nothing is secret"):
            challenged(
                parse_reference(f"{host}/a"),
                "repository:a:pull",
                'Bearer realm="http://127.0.0.1:1/t"',
                used="",
            )
