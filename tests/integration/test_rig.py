"""The rig itself: that it is as the release, that it runs Spark, and that it comes and goes."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from packager.releases import known_releases
from tests.rig import stand_in
from tests.rig.aws import Aws, client
from tests.rig.commands import RigError
from tests.rig.engine import (
    Engine,
    answers,
    bring_up,
    docker,
    engine_under,
    lacking,
    pid_of_daemon,
    pidfiles,
    stop,
)
from tests.rig.registry import Registry

ROOT = Path(__file__).parents[2]


def in_image(image: str, *command: str, arch: str = "amd64") -> str:
    # Without a network, Java finds no address for any other name.
    alone = ("--network=none", "--hostname=localhost")
    return docker("run", "--rm", *alone, f"--platform=linux/{arch}", image, *command)


def rig(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.rig", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.docker
def test_when_all_is_there_it_comes_up_at_once(base_image: str) -> None:
    started = time.monotonic()
    done = rig("up")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"engine: ready\nregistry: ready\n{base_image}: ready\n"
    assert time.monotonic() - started < 10  # about half a second; two minutes if anything is made


@pytest.mark.tools
def test_status_says_what_is_missing(tmp_path: Path) -> None:
    done = rig("status", "--engine-root", str(tmp_path))
    assert done.returncode == 1
    assert re.match(r"engine: (`docker info` failed: .+|there is no docker command)\n", done.stdout)
    assert f"\n{stand_in.image()}: there is no image" in done.stdout


@pytest.mark.tools
@pytest.mark.parametrize(("ci", "outcome"), [("true", "error"), ("", "skipped")])
def test_without_an_engine_tests_fail_in_ci_and_are_skipped_elsewhere(
    tmp_path: Path, ci: str, outcome: str
) -> None:
    chosen = f"{__file__}::{test_it_runs_a_job_of_pyspark.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", chosen],
        cwd=ROOT,
        env={**os.environ, "CI": ci, "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"1 {outcome}" in done.stdout
    assert "python3 -m tests.rig up" in done.stdout


@pytest.mark.docker
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_the_stand_in_has_what_the_release_is_known_to_have(base_image: str, arch: str) -> None:
    release = known_releases()[stand_in.RELEASE]
    interpreter = release.interpreter(release.python)
    assert interpreter is not None
    script = f"""
        uname -m; id -un; pwd; readlink -f $JAVA_HOME/bin/java
        sed -n "s/^__version__.* = '\\(.*\\)'/\\1/p" $SPARK_HOME/python/pyspark/version.py
        {interpreter.path} -c 'import sys, ssl; print(*sys.version_info[:2], sep=".")'
    """
    told = in_image(base_image, "sh", "-c", script, arch=arch).splitlines()
    assert told == [
        {"amd64": "x86_64", "arm64": "aarch64"}[arch],
        "hadoop",
        "/home/hadoop",
        f"/usr/lib/jvm/java-{release.java}-openjdk-{arch}/bin/java",
        release.spark,
        release.python,
    ]


@pytest.mark.docker
def test_it_runs_a_job_of_pyspark(base_image: str) -> None:
    """Not on arm64: under emulation that takes a minute, and the clean room's tests have one."""
    job = "/usr/lib/spark/examples/src/main/python/pi.py"
    told = in_image(base_image, "spark-submit", "--master=local[1]", job, "1")
    assert "Pi is roughly 3." in told


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = engine_under(tmp_path_factory.mktemp("second"))  # paths of sockets have to be short
    yield engine
    stop(engine)


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine")


@AS_ROOT
@pytest.mark.docker
def test_an_engine_comes_up_goes_down_and_comes_up_again(second: Engine) -> None:
    assert "Cannot connect" in lacking(second)
    bridge = Path("/sys/class/net/docker0/ifindex")  # The machine's engine's, not ours to touch.
    before = bridge.read_text(encoding="ascii") if bridge.exists() else None
    bring_up(second)
    assert lacking(second) == ""
    assert (bridge.read_text(encoding="ascii") if bridge.exists() else None) == before
    assert stop(second)
    assert not answers(second)
    assert not stop(second)
    bring_up(second)
    assert lacking(second) == ""


@AS_ROOT
@pytest.mark.docker
@pytest.mark.parametrize(
    "number",
    [str(os.getpid()), "4194304", "", "no number"],
    ids=["of another program", "of nothing", "empty", "no number"],
)
def test_pid_files_of_the_dead_do_not_keep_an_engine_from_starting(
    second: Engine, number: str
) -> None:
    for path, _ in pidfiles(second):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(number, encoding="ascii")
    bring_up(second)
    assert answers(second)


@AS_ROOT
@pytest.mark.docker
def test_an_engine_comes_up_again_after_it_was_killed(second: Engine) -> None:
    bring_up(second)
    pid = pid_of_daemon(second)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    bring_up(second)
    assert pid_of_daemon(second) not in {None, pid}
    assert stop(second)
    assert str(second.data) not in Path("/proc/mounts").read_text(encoding="utf-8")


@AS_ROOT
@pytest.mark.docker
def test_an_engine_that_cannot_start_says_why(second: Engine) -> None:
    second.settings.write_text("{", encoding="utf-8")
    with pytest.raises(RigError, match="did not start"):
        bring_up(second)
    assert str(second.data) not in Path("/proc/mounts").read_text(encoding="utf-8")


@pytest.mark.docker
def test_an_engine_that_something_else_started_is_left_running(base_image: str) -> None:
    with_no_pid_file = Engine(pidfile=Path("/nonexistent/docker.pid"))
    assert not stop(with_no_pid_file)
    assert answers(with_no_pid_file)


@pytest.mark.docker
def test_a_registry_takes_an_image_and_gives_it_to_who_knows_the_password(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    image = f"{registry.host}/team/app:v1"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    build = ("buildx", "build", "--quiet", "--provenance=false", str(tmp_path))
    docker(*build, f"--tag={image}", "--platform=linux/amd64,linux/arm64")
    try:
        with pytest.raises(RigError, match="no basic auth credentials"):
            docker("push", image)
        with pytest.raises(RigError, match="401 Unauthorized"):
            docker("login", registry.host, "--username", registry.user, "--password", "wrong")
        docker("login", registry.host, "--username", registry.user, "--password", registry.password)
        docker("push", image)
    finally:
        docker("image", "rm", image)
    docker("pull", "--platform=linux/arm64", image)
    docker("image", "rm", image)


@AS_ROOT
@pytest.mark.docker
def test_an_image_goes_to_ecr_as_it_would_to_the_real_one(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    ecr = client(aws, "ecr")
    (granted,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(granted["authorizationToken"]).decode().partition(":")
    assert granted["proxyEndpoint"] == f"https://{aws.registry.host}"
    docker("login", aws.registry.host, "--username", user, "--password", password)

    image = f"{aws.registry.host}/team/app:v1"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY noise /\n", encoding="utf-8")
    (tmp_path / "noise").write_bytes(os.urandom(3 << 20))  # more than goes in one piece
    push = ("buildx", "build", "--push", "--provenance=false", f"--tag={image}", str(tmp_path))
    with pytest.raises(RigError, match="404 Not Found"):
        docker(*push)
    made = ecr.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE")
    assert f"{made['repository']['repositoryUri']}:v1" == image
    docker(*push, f"--metadata-file={tmp_path}/pushed.json")
    pushed = json.loads((tmp_path / "pushed.json").read_text(encoding="utf-8"))
    (known,) = ecr.describe_images(repositoryName="team/app")["imageDetails"]
    assert known["imageDigest"] == pushed["containerimage.digest"]
    assert known["imageTags"] == ["v1"]
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    with pytest.raises(RigError, match="400 Bad Request"):
        docker(*push)
    docker("pull", image)
    docker("image", "rm", image)


@pytest.mark.docker
def test_an_object_goes_to_s3(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="jobs")
    s3.put_object(Bucket="jobs", Key="main.py", Body=b"print()")
    assert s3.get_object(Bucket="jobs", Key="main.py")["Body"].read() == b"print()"
