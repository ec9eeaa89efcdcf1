"""The README's way from an empty folder to a job that has run, as it is written there."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.registry.auth import Login
from packager.adapters.registry.client import registry_client
from tests.index import Index
from tests.integration.test_image_build import BASE, push_image
from tests.rig.aws import ACCOUNT, ECR, Aws, client
from tests.rig.emrserverless import server as rig_emr
from tests.rig.emrserverless.plans import Line, Plan
from tests.rig.emrserverless.service import Service

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
REPOSITORY = "team/orders"


SPEED = 50
"""How much faster time passes for EMR Serverless, and for who waits for it."""

PACKAGER = f"""\
#!{sys.executable}
import time
from packager.adapters import clock

class Fast:
    def monotonic(self):
        return time.monotonic() * {SPEED}

    def sleep(self, seconds):
        time.sleep(seconds / {SPEED})

clock.SteadyClock = Fast
from packager.__main__ import main
main()
"""


@contextmanager
def passing(service: Service) -> Iterator[None]:
    ended = threading.Event()

    def pass_time() -> None:
        while not ended.wait(0.1):
            service.advance(0.1 * SPEED)

    thread = threading.Thread(target=pass_time)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def account(aws: Aws, index: Index, tmp_path: Path) -> Iterator[tuple[Service, dict[str, str]]]:
    """An account with a bucket, a repository and EMR Serverless, and how one is told of it."""
    address = aws.endpoint.removeprefix("http://").partition(":")[0]
    for name in (REPOSITORY, "base"):
        client(aws, "ecr").create_repository(repositoryName=name)
    client(aws, "s3").create_bucket(Bucket="my-bucket")
    login = Login(user="AWS", password=aws.registry.password)
    trusting = {"SSL_CERT_FILE": str(aws.registry.authority), "NO_PROXY": ECR}
    push_image(registry_client(trusting, logins=lambda _: login), f"{ECR}/base:1", BASE)
    docker = tmp_path / "docker"
    docker.mkdir()
    entry = {"username": login.user, "password": login.password}
    (docker / "config.json").write_text(json.dumps({"auths": {ECR: entry}}))
    program = tmp_path / "bin" / "packager"
    program.parent.mkdir()
    program.write_text(PACKAGER)
    program.chmod(0o755)
    ends = Plan(lines=(Line(at=1, text="it 2\nruns 2\n"),))
    with rig_emr.serve(aws, plans=[ends, ends, Plan(hangs_in="RUNNING")]) as (service, endpoint):
        yield (
            service,
            {
                **os.environ,
                **aws.environment(),
                **trusting,
                rig_emr.VARIABLE: endpoint,
                "NO_PROXY": f"127.0.0.1,{address},{ECR}",
                "DOCKER_CONFIG": str(docker),
                "PACKAGER_BASE_IMAGE": f"{ECR}/base:1",
                "PATH": f"{program.parent}:{BIN}:{os.environ['PATH']}",
            },
        )
    for name in (REPOSITORY, "base"):
        client(aws, "ecr").delete_repository(repositoryName=name, force=True)


def script() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"(?s)<!-- the whole way -->\n```sh\n(.*?)```", text)
    return str(found)


def test_the_whole_way_is_as_the_readme_shows_it(
    aws: Aws, account: tuple[Service, dict[str, str]], tmp_path: Path
) -> None:
    service, env = account
    with passing(service):
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script()],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr

    # The output of the first run, of the second, and nothing of it twice.
    assert done.stdout.count("it 2\nruns 2\n") == 2
    assert re.search(r"(?m)^cost: \d+\.\d+ USD at the prices ", done.stderr), done.stderr
    assert re.search(r"(?m)^00run00000001 +\S+ \S+ UTC +SUCCESS", done.stdout), done.stdout
    assert re.search(r"(?m)^00run00000002 CANCEL", done.stdout), done.stdout

    (application,) = service.asked("CreateApplication")
    image = application["imageConfiguration"]["imageUri"]
    assert image.startswith(f"{ECR}/{REPOSITORY}@sha256:")
    first, second, _ = service.asked("StartJobRun")
    submit = first["jobDriver"]["sparkSubmit"]
    assert "spark.archives" not in submit["sparkSubmitParameters"], "it is in the image"
    assert second["jobDriver"]["sparkSubmit"]["entryPointArguments"] == [
        "--output",
        "s3://my-bucket/counts",
    ]
    key = submit["entryPoint"].removeprefix("s3://my-bucket/")
    s3 = client(aws, "s3")
    assert b"count_words" in s3.get_object(Bucket="my-bucket", Key=key)["Body"].read()
    assert first["executionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/OrdersJob"
    assert service.applications == {}, "the last line takes it away"
    policy = client(aws, "ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"]
    assert sources(json.loads(policy)) == [
        "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00app00000000"
    ]


def sources(policy: dict[str, Any]) -> list[str]:
    """For whom EMR Serverless may pull."""
    found: list[str] = []
    for statement in policy["Statement"]:
        for keys in statement.get("Condition", {}).values():
            said = keys.get("aws:SourceArn", [])
            found += [said] if isinstance(said, str) else said
    return found
