"""`packager image push`: a real registry behind ECR's own behaviour, and its bad days."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.aws import ecr as adapter
from packager.adapters.registry.auth import Login
from packager.policies.people import pusher
from packager.policies.scope import Repository, Scope
from tests import awsfront
from tests.command import Command, Outcome
from tests.images import Image, gzipped, layout, write_layout
from tests.rig.aws import REGION, Aws, client
from tests.rig.ecr import Fault, Handler
from tests.rig.engine import docker
from tests.rig.registry import PASSWORD

pytestmark = pytest.mark.docker

BASE = {"base": "".join(chr(33 + n % 90) for n in os.urandom(400_000))}
"""Which does not get much smaller."""

Push = Callable[..., Outcome]


@pytest.fixture
def ecr(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    address = aws.endpoint.removeprefix("http://").partition(":")[0]
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("NO_PROXY", f"{address},{aws.registry.host}")
    return client(aws, "ecr")


@pytest.fixture
def name(ecr: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A repository of the test's own, which nobody has made yet."""
    name = f"push/t{abs(hash(request.node.name)):x}"
    yield name
    for repository in ecr.describe_repositories()["repositories"]:
        if repository["repositoryName"].startswith("push/"):
            ecr.delete_repository(repositoryName=repository["repositoryName"], force=True)


@pytest.fixture
def faults(aws: Aws) -> Iterator[list[Fault]]:
    yield aws.faults
    aws.faults.clear()


@pytest.fixture
def push(ecr: Any, packager: Command, tmp_path: Path) -> Push:
    return lambda *words: packager("image", "push", *words, cwd=tmp_path)


def image(where: Path, *files: dict[str, Any], arch: str = "amd64") -> Path:
    made = Image(layers=[BASE, *files], architecture=arch, compress=gzipped)
    return write_layout(where, layout(made))


def require_pulls(reference: str) -> None:
    """As Docker does it, which reads everything."""
    docker("login", "--username", "AWS", "--password", PASSWORD, reference.partition("/")[0])
    docker("pull", "--quiet", reference)
    docker("image", "rm", reference)


def requests_of(faults: list[Fault]) -> list[str]:
    seen: list[str] = []

    def watch(handler: Handler) -> bool:
        seen.append(handler.command)
        return False

    faults.append(watch)
    return seen


def test_a_repository_is_made_and_the_image_read_back(
    ecr: Any, push: Push, name: str, tmp_path: Path
) -> None:
    path = image(tmp_path / "one", {"app": "1"})
    done = push(path, f"{name}:v1")
    assert done.code == 0, done.err
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    (known,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert known["imageTags"] == ["v1-amd64"]
    uri = repository["repositoryUri"]
    assert done.out == f"{uri}@{known['imageDigest']}\n"
    assert f"{name}: created" in done.err
    require_pulls(done.out.strip())


def test_a_second_push_sends_nothing(
    push: Push, name: str, faults: list[Fault], tmp_path: Path
) -> None:
    path = image(tmp_path / "one")
    first = push(path, name)
    seen = requests_of(faults)
    again = push(path, name)
    assert (again.code, again.out) == (0, first.out)
    assert "is there already" in again.err
    assert set(seen) == {"HEAD"}


def test_only_new_layers_are_sent(push: Push, name: str, tmp_path: Path) -> None:
    push(image(tmp_path / "one"), name)
    done = push(image(tmp_path / "two", {"app": "2"}), name, "--json")
    (told,) = json.loads(done.out)
    assert 0 < told["sent"] < 2_000
    assert told["size"] > 200_000


def test_each_architecture_has_a_tag_of_its_own(
    ecr: Any, push: Push, name: str, tmp_path: Path
) -> None:
    both = [
        Image(layers=[BASE], architecture=arch, compress=gzipped) for arch in ("amd64", "arm64")
    ]
    path = write_layout(tmp_path / "both", layout(*both))
    done = push(path, f"{name}:v1", "--arch", "all")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    details = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert sorted(tag for one in details for tag in one["imageTags"]) == ["v1-amd64", "v1-arm64"]
    assert {one["imageManifestMediaType"].rpartition(".")[2] for one in details} == {"v1+json"}


def test_an_image_of_the_engine_goes_as_well(push: Push, name: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY noise /\n", encoding="utf-8")
    (tmp_path / "noise").write_bytes(os.urandom(50_000))
    tag = f"packager-test-push:{name[-8:]}"
    docker("build", "--quiet", "--provenance=false", f"--tag={tag}", str(tmp_path))
    try:
        done = push(tag, f"{name}:v1")
        assert done.code == 0, done.err
        require_pulls(done.out.strip())
    finally:
        docker("image", "rm", tag)


def test_a_tag_that_is_taken_is_told_and_kept(
    ecr: Any, push: Push, name: str, tmp_path: Path
) -> None:
    push(image(tmp_path / "one"), f"{name}:v1")
    done = push(image(tmp_path / "two", {"app": "2"}), f"{name}:v1")
    assert done.code == 2
    assert done.error[0] == f"the tag v1-amd64 of {name} is another image"
    assert len(ecr.describe_images(repositoryName=name)["imageDetails"]) == 1


def test_a_repository_that_is_set_up_otherwise_is_left_so(
    ecr: Any, push: Push, name: str, tmp_path: Path
) -> None:
    ecr.create_repository(repositoryName=name)
    done = push(image(tmp_path / "one"), name)
    assert done.code == 0
    assert f"note: {name} is not as set up: tags are MUTABLE" in done.err
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "MUTABLE"


def test_settings_make_the_repository(ecr: Any, push: Push, name: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'a'\nversion = '1'\n[tool.packager.ecr]\n"
        f"repository = '{name}'\nimmutable-tags = false\nexpire-untagged-days = 7\n",
        encoding="utf-8",
    )
    assert push(image(tmp_path / "one")).code == 0
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "MUTABLE"
    rules = json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])
    assert rules["rules"][0]["selection"]["countNumber"] == 7
    assert "note" not in push(image(tmp_path / "one")).err


def test_a_dry_run_makes_nothing(ecr: Any, push: Push, name: str, tmp_path: Path) -> None:
    done = push(image(tmp_path / "one"), name, "--dry-run")
    assert done.code == 0
    assert done.out.startswith("linux/amd64 sha256:")
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_repositories(repositoryNames=[name])


def test_the_pushers_policy_allows_all_that_is_asked(
    aws: Aws,
    ecr: Any,
    push: Push,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    with awsfront.serve(aws.endpoint) as front:
        for variable, value in front.environment().items():
            monkeypatch.setenv(variable, value)
        for _ in range(2):
            done = push(image(tmp_path / "one"), name)
            assert done.code == 0, done.err
        asked = {f"ecr:{operation}" for operation in front.asked}
    repository = Repository(account="123456789012", name=name)
    policy = pusher(Scope(region=REGION, account="123456789012", repository=repository))
    allowed = {action for statement in policy.statements for action in statement.actions}
    assert "ecr:DescribeRepositories" in asked
    assert asked <= allowed


# Bad days


def test_a_connection_that_is_dropped_in_a_blob_is_taken_up_again(
    push: Push, name: str, faults: list[Fault], tmp_path: Path
) -> None:
    dropped: list[str] = []

    def drop(handler: Handler) -> bool:
        length = int(handler.headers.get("Content-Length") or 0)
        if dropped or handler.command not in {"PATCH", "PUT"} or length < 100_000:
            return False
        dropped.append(handler.path)
        handler.rfile.read(50_000)
        handler.connection.close()
        handler.close_connection = True
        return True

    faults.append(drop)
    done = push(image(tmp_path / "one"), name)
    assert done.code == 0, done.err
    assert len(dropped) == 1
    require_pulls(done.out.strip())


def test_a_password_that_expires_meanwhile_is_renewed(
    push: Push, name: str, faults: list[Fault], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired: list[str] = []
    stale = Login(user="AWS", password="good until something is sent")
    get = adapter.Ecr.login

    def login(ecr: adapter.Ecr, host: str) -> Login:
        return get(ecr, host) if expired else stale

    monkeypatch.setattr(adapter.Ecr, "login", login)

    def expire(handler: Handler) -> bool:
        if handler.headers["Authorization"] != stale.basic:
            return False
        if handler.command == "HEAD" and not expired:
            valid = Login(user="AWS", password=PASSWORD).basic
            handler.headers.replace_header("Authorization", valid)
            return False
        expired.append(handler.command)
        for _ in handler.body():
            pass
        message = "Your authorization token has expired. Reauthenticate and try again."
        text = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
        handler.send_response(403)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(text)
        return True

    faults.append(expire)
    done = push(image(tmp_path / "one"), name)
    assert done.code == 0, done.err
    assert expired[0] == "POST"
    assert stale.password not in done.err


def test_a_push_that_is_denied_says_what_and_leaves_no_tag(
    ecr: Any, push: Push, name: str, faults: list[Fault], tmp_path: Path
) -> None:
    def deny(handler: Handler) -> bool:
        if handler.command != "POST":
            return False
        for _ in handler.body():
            pass
        message = "User: arn:aws:sts::1:ci is not authorized: ecr:InitiateLayerUpload"
        text = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
        handler.send_response(403)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
        return True

    faults.append(deny)
    done = push(image(tmp_path / "one"), name)
    assert done.code == 4
    assert "ecr:InitiateLayerUpload" in done.error[1]
    assert ecr.describe_images(repositoryName=name)["imageDetails"] == []


def test_two_pushes_at_once_both_end_well(ecr: Any, aws: Aws, name: str, tmp_path: Path) -> None:
    from packager.adapters.aws.session import open_session
    from packager.oci import read_image
    from packager.publishing.addresses import parse_repository
    from packager.publishing.imagecontent import content_of
    from packager.publishing.images import Pushed, prepare, push_image
    from packager.publishing.repositories import RepositorySettings
    from packager.settings import resolve

    path = image(tmp_path / "one", {"app": "1"})
    content = content_of(read_image(path, "linux/amd64"), tmp_path)
    session = open_session(resolve({"region": REGION}, {}, {}, None), os.environ)
    address = parse_repository(name)
    pushed: list[Pushed] = []
    begin = threading.Barrier(2)

    def run() -> None:
        own = adapter.ecr_of(session, address)
        begin.wait()
        ready = prepare(
            own, address, RepositorySettings(), None, repository_of=adapter.repository_of
        )
        repository = adapter.repository_of(ready.told)
        pusher = adapter.pusher_of(own, repository, os.environ)
        pushed.append(
            push_image(pusher, own, repository, content, tag="v1", immutable=ready.immutable)
        )

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pushed) == 2
    assert pushed[0].reference == pushed[1].reference
    assert len(ecr.describe_images(repositoryName=name)["imageDetails"]) == 1
