"""Engines that are not the one of this machine's socket: behind ssh, in a context, other builders."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from packager.adapters.containers import Upload, container
from packager.adapters.engine import connect
from tests.command import Command
from tests.images import docker_files, write_tar
from tests.index import Index
from tests.integration.test_image_build import BASE
from tests.integration.test_pack import artifact, make_project
from tests.rig import buildkit
from tests.rig.engine import MACHINES_OWN, Engine, bring_up, docker, engine_under, stop

pytestmark = pytest.mark.docker

SSH = """\
#!/bin/sh
# As ssh to a machine that is called `near` and is this one.
echo "$@" >> "{log}"
while [ "$1" != -- ]; do shift; done
shift
[ "$1" = near ] || {{ echo "ssh: Could not resolve hostname $1: Name or service not known" >&2; exit 255; }}
shift
unset DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG
exec sh -c "$*"
"""


@pytest.fixture
def project(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, base_image: str) -> Path:
    index.wheel("fruit")
    monkeypatch.setenv("PACKAGER_BASE_IMAGE", base_image)
    monkeypatch.setenv("PACKAGER_BUILDER", "docker")
    return make_project(tmp_path / "a project", dependencies=("fruit",))


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tells what it was started with."""
    program, log = tmp_path / "bin" / "ssh", tmp_path / "ssh.log"
    program.parent.mkdir()
    program.write_text(SSH.format(log=log), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


@pytest.fixture
def context(tmp_path: Path, ssh: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The docker context that is used leads through ssh."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    docker("context", "create", "far", "--docker", "host=ssh://near")
    docker("context", "use", "far")
    return ssh


def test_a_context_that_leads_through_ssh_builds(
    context: Path, project: Path, packager: Command
) -> None:
    done = packager("pack", cwd=project)
    assert done.code == 0, done.err
    assert "Installing one wheel for linux/amd64" in done.err
    assert artifact(project / "dist", "environment").is_file()
    # By packager and by the `docker` command alike, and nobody was asked for anything else.
    started = context.read_text(encoding="utf-8").splitlines()
    assert {line.partition(" -- ")[2] for line in started} == {"near docker system dial-stdio"}
    assert len({line.partition(" -- ")[0] for line in started}) == 2


def test_programs_run_one_after_the_other_behind_ssh(
    ssh: Path, base_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that end after a program's output are not used again."""
    monkeypatch.setenv("DOCKER_HOST", "ssh://somebody@near:2222")
    engine = connect(os.environ)
    with container(
        engine, base_image, "linux/amd64", purpose="test-ssh", lifetime_s=300, user="root"
    ) as room:
        room.put([Upload(path=PurePosixPath("a"), source=bytes(3 << 20))], "/tmp")  # noqa: S108
        for number in range(5):
            done = room.execute(["sh", "-c", f"wc -c < /tmp/a; exit {number}"], timeout_s=100)
            assert (done.stdout.strip(), done.returncode) == (str(3 << 20), number)
        assert room.get("/tmp/a", limit=4 << 20) == bytes(3 << 20)  # noqa: S108
    first = ssh.read_text(encoding="utf-8").splitlines()[0]
    assert "-l somebody -p 2222 -- near" in first


def test_what_ssh_says_is_told(
    ssh: Path, project: Path, packager: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@elsewhere:2222")
    done = packager("pack", cwd=project)
    assert (done.code, done.error) == (
        3,
        (
            "no container engine answers at ssh://me@elsewhere:2222 (DOCKER_HOST)",
            "ssh: Could not resolve hostname elsewhere: Name or service not known",
            "make this work: ssh -p 2222 me@elsewhere docker version",
        ),
    )


def use_builder(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(folder / "buildx"))
    docker("buildx", "create", "--name=elsewhere", "--driver=remote", address)
    monkeypatch.setenv("BUILDX_BUILDER", "elsewhere")


def test_a_named_builder_builds(
    tmp_path: Path,
    project: Path,
    base_image: str,
    packager: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What was built on once by its name is found by its digest too, as in a registry.
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nLABEL a=b\n")
    docker("buildx", "build", "--quiet", "--output=type=cacheonly", str(tmp_path))
    with buildkit.serve() as (address, came):
        use_builder(address, tmp_path, monkeypatch)
        done = packager("pack", cwd=project)
    assert done.code == 0, done.err
    assert b"HTTP/1.1 101 Switching Protocols" in came
    assert artifact(project / "dist", "environment").is_file()


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine without any image, and without a network."""
    engine = engine_under(tmp_path_factory.mktemp("second"))  # paths of sockets have to be short
    bring_up(engine)
    yield engine
    stop(engine)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine")
def test_a_builder_that_has_not_the_engines_images_is_told_of(
    tmp_path: Path,
    second: Engine,
    project: Path,
    base_image: str,
    packager: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with buildkit.serve(second.socket) as (address, _):
        use_builder(address, tmp_path, monkeypatch)
        done = packager("pack", cwd=project)
    what, why, fix = done.error
    assert (done.code, what) == (2, f"the builder can not have the base image {base_image}")
    assert "the engine has it, but the builder" in why
    assert "BUILDX_BUILDER=default" in fix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine")
@pytest.mark.parametrize("command", [("pack",), ("image", "build", "--clean-room=off")])
def test_a_builder_s_own_image_of_the_base_s_name_is_not_taken_for_it(
    command: tuple[str, ...],
    tmp_path: Path,
    second: Engine,
    project: Path,
    packager: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"packager-tests/of-one-name:{os.getpid()}"
    for engine, files in ((MACHINES_OWN, {"opt/a": "a"}), (second, {"opt/b": "b"})):
        tar = write_tar(tmp_path / "base.tar", docker_files(BASE.over(files), name))
        docker("load", "--input", str(tar), engine=engine)
    if command[0] == "image":  # what is packed for it is packed without Docker
        monkeypatch.setenv("PACKAGER_BUILDER", "wheels")
        text = (project / "pyproject.toml").read_text()
        table = '[tool.packager.image]\ncommands = ["true"]\n'
        (project / "pyproject.toml").write_text(f"{text}\n{table}")
    try:
        with buildkit.serve(second.socket) as (address, came):
            use_builder(address, tmp_path, monkeypatch)
            done = packager(*command, "--base-image", name, cwd=project)
        assert came
        what, _, fix = done.error
        assert (done.code, what) == (2, f"the builder can not have the base image {name}")
        assert "BUILDX_BUILDER=default" in fix
    finally:
        docker("image", "rm", "--force", name)
