"""What runs in images, and what else a project gives them: by BuildKit, on a base with a shell."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.fetch import Fetcher
from packager.adapters.imagebases import base_in_registry
from packager.adapters.imagestage import staged
from packager.adapters.registry.pulls import describe, fetch_layout
from packager.adapters.store import Store
from packager.errors import ConfigError
from packager.imagebuild.options import image_options
from packager.images import ImageFacts, observe
from packager.oci import files_in
from packager.record import RecordedImage, from_text
from packager.references import parse_reference
from tests.command import Command, Outcome
from tests.images import program, programs, symlink
from tests.index import Index
from tests.integration.test_image_build import BASE, Place, place_of, push_image
from tests.rig.engine import docker
from tests.rig.registry import Registry

pytestmark = pytest.mark.docker

INSTALLER = b"""#!/bin/sh
case "$*" in *no-such*)
    echo "No match for argument: no-such"
    echo "Error: Unable to find a match: no-such" >&2
    exit 1
esac
echo "$@" >> /etc/installed
"""
"""In place of a package manager: keeps what it was asked for, and fails as dnf does."""


SHELL = {"bin": symlink("usr/bin"), "usr/bin/dnf": program(INSTALLER)}


@pytest.fixture
def place(
    registry: Registry, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    base = BASE.over({**SHELL, **programs("sh")})
    return place_of(registry, index, tmp_path, monkeypatch, base)


Push = Callable[..., Outcome]


@pytest.fixture
def push(place: Place, packager: Command) -> Push:
    """Build with a table of settings, and push."""
    project = place.project / "pyproject.toml"
    plain = project.read_text()

    def pushed(name: str, table: str, *more: str, base: str | None = None) -> Outcome:
        project.write_text(f"{plain}\n[tool.packager.image]\n{table}")
        found: Outcome = place.build(
            packager, "--push", place.reference(name), *more, base=base or place.base
        )
        return found

    return pushed


def facts_of(place: Place, line: str, folder: Path) -> ImageFacts:
    """What was pushed, beside its base."""
    image = describe(place.client, parse_reference(line.strip()), "linux/amd64")
    base = describe(place.client, parse_reference(place.base), "linux/amd64")
    for one, where in ((image, folder / "image"), (base, folder / "base")):
        fetch_layout(place.client, one, where)
    below = (files_in(folder / "base"), "base")
    return observe(files_in(folder / "image"), "linux/amd64", name="it", base=below)


def recorded(place: Place) -> tuple[RecordedImage, ...]:
    text = (place.project / "dist" / "shop-emr-7.13.0-amd64.packager.json").read_text()
    return from_text(text, "it").images


def entries(facts: ImageFacts) -> dict[str, Any]:
    return {path: node.entry for path, node in facts.tree.nodes.items()}


TABLE = """\
packages = ["libgomp", "java-21-amazon-corretto"]
commands = ["echo hello > /etc/greeting; : > \'/etc/a b\'"]
env = { GREETING = "a $HOME and \\"quotes\\" \\\\ back" }
labels = { "team name" = "data" }
files = { "main.py" = "/etc/spark/conf/a file.py" }
"""


def test_packages_and_commands_run_in_the_base_once(
    place: Place, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = push("stages/shop", TABLE)
    assert got.code == 0, got.err
    assert "Running packages and commands" in got.err
    facts = facts_of(place, got.out, tmp_path)
    assert facts.base is not None
    assert facts.base.is_below
    assert {"etc/greeting", "etc/a b", "etc/installed"} <= facts.tree.nodes.keys()
    assert facts.config.user == "hadoop:hadoop"
    assert facts.config.entrypoint == facts.base.config.entrypoint
    assert facts.config.variable("GREETING") == 'a $HOME and "quotes" \\ back'
    # What was damaged is made again, and is the same.
    (stage,) = (tmp_path / "store" / "image-stages").iterdir()
    layer = max(stage.iterdir(), key=lambda path: path.stat().st_size)
    layer.write_bytes(layer.read_bytes()[:-1] + b"x")
    mended = push("stages/shop", TABLE)
    assert "Running packages and commands" in mended.err
    assert mended.out == got.out
    # What was made is kept: a change of code needs no engine any more.
    monkeypatch.setenv("DOCKER_HOST", "unix:///nothing.sock")
    (place.project / "shop" / "__init__.py").write_text("def main():\n    print('new')\n")
    changed = push("stages/shop", TABLE, "--json")
    assert changed.code == 0, changed.err
    (document,) = json.loads(changed.out)
    assert document["reference"] != got.out.strip()
    assert document["uploaded"] < 20_000


def test_commands_that_do_the_same_make_the_same_image(
    push: Push, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = push("same/shop", TABLE)
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "another, store"))
    again = push("same/shop", TABLE, "--no-cache")
    assert (first.code, again.code) == (0, 0), again.err
    assert "Running packages and commands" in again.err
    assert again.out == first.out


def test_a_dockerfile_that_was_written_out_makes_the_same_files(
    place: Place, push: Push, packager: Command, tmp_path: Path
) -> None:
    ours = push("ejected/shop", TABLE)
    assert ours.code == 0, ours.err
    wrote = packager(
        "image", "eject", "--base-image", place.base, "-o", "Dockerfile", cwd=place.project
    )
    assert wrote.code == 0, wrote.err
    theirs = push("ejected/shop", TABLE, "--file", "Dockerfile")
    assert theirs.code == 0, theirs.err
    one = facts_of(place, ours.out, tmp_path / "one")
    two = facts_of(place, theirs.out, tmp_path / "two")
    assert entries(one) == entries(two)
    assert dict(one.config.env) == dict(two.config.env)
    assert one.config.labels == two.config.labels
    assert (one.config.user, one.config.entrypoint) == (two.config.user, two.config.entrypoint)
    (image,) = recorded(place)
    assert image.reference == theirs.out.strip()
    assert push("ejected/shop", TABLE, "--file", "Dockerfile", "--no-cache").out == theirs.out
    kept = packager("image", "eject", "-o", "Dockerfile", cwd=place.project)
    assert (kept.code, "is there already" in kept.error[0]) == (2, True)


def test_a_dockerfile_of_ones_own_gets_the_environment_as_a_context(
    place: Place, push: Push, tmp_path: Path
) -> None:
    (place.project / "own.Dockerfile").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS tools\nUSER root\nRUN echo a > /tool\n"
        "FROM ${BASE_IMAGE}\nCOPY --from=tools /tool /opt/tool\nCOPY main.py /opt/main.py\n"
        "COPY --from=environment /opt/packager /opt/packager\n"
        "ENV PYSPARK_PYTHON=/opt/packager/environment/bin/python3\n"
    )
    got = push("own/shop", 'env = { A = "not told" }\n', "--file", "own.Dockerfile")
    assert got.code == 0, got.err
    facts = facts_of(place, got.out, tmp_path)
    nodes = facts.tree.nodes
    assert {"opt/tool", "opt/main.py", "opt/packager/app/shop/__init__.py"} <= nodes.keys()
    assert facts.config.variable("A") is None
    assert facts.config.variable("PYSPARK_PYTHON") == "/opt/packager/environment/bin/python3"
    assert facts.config.variable("PYSPARK_DRIVER_PYTHON") == "/opt/packager/environment/bin/python"


WRONG = {
    "another base": ("FROM scratch\nCOPY main.py /\nUSER hadoop\n", 2, "does not build on"),
    "another user": ("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nUSER root\n", 2, "as the user hadoop"),
    "a step that fails": ("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN no-such\n", 4, "no-such: not"),
    "no Dockerfile": ("FROMM x\n", 4, "unknown instruction"),
    "flattened": (
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS x\nFROM scratch\nCOPY --from=x / /\nUSER hadoop\n",
        2,
        "does not build on",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_dockerfile_that_is_none_for_emr_is_told(wrong: str, place: Place, push: Push) -> None:
    text, code, told = WRONG[wrong]
    (place.project / "Dockerfile").write_text(text)
    got = push("wrong/own", "", "--file", "Dockerfile")
    assert got.code == code, got.err
    assert told in got.err
    assert got.error[2]


def test_a_command_that_fails_is_told_in_its_own_words(place: Place, push: Push) -> None:
    got = push("wrong/shop", 'commands = ["echo gone wrong >&2; exit 3"]\n')
    assert got.code == 4
    assert "gone wrong" in got.error[1]
    assert "`packages` or `commands`" in got.error[2]
    name = parse_reference(place.reference("wrong/shop:v1"))
    assert place.client.find_manifest(name) is None


def test_a_package_that_the_system_does_not_know_is_named(push: Push) -> None:
    got = push("wrong/package", 'packages = ["jq", "no-such"]\n')
    assert got.code == 2
    what, why, _ = got.error
    assert what.startswith("the system of ")
    assert what.endswith(" has no package no-such")
    # dnf says so on both streams, and which of them arrives first is not settled.
    assert why in {"No match for argument: no-such", "Error: Unable to find a match: no-such"}


def test_what_a_builder_made_of_another_base_is_refused(
    place: Place, registry: Registry, tmp_path: Path
) -> None:
    base = base_in_registry(place.client, place.base, "linux/amd64")
    other = f"{place.base}-other"
    digest = push_image(place.client, other, BASE.over({**SHELL, **programs("sh", "rm")}))
    wrong = replace(base, build_from=f"{other}@{digest}")
    store = Store(root=tmp_path / "store", fetcher=Fetcher(), say=lambda _: None)
    options = image_options({"commands": ["true"]}, place.project, role="", machine="x86_64")
    with pytest.raises(ConfigError, match="another image by the name"):
        staged(wrong, "linux/amd64", options, store, os.environ, fresh=False)


def test_without_an_engine_commands_are_told_to_need_one(
    push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nothing.sock")
    got = push("none/shop", 'commands = ["true"]\n')
    assert got.code == 3
    assert "/nothing.sock" in got.err


def test_an_engine_gets_what_commands_left(place: Place, packager: Command) -> None:
    docker("--config", str(place.project.parent / "docker"), "pull", "--quiet", place.base)
    project = place.project / "pyproject.toml"
    table = '[tool.packager.image]\ncommands = ["echo hello > /etc/greeting"]\n'
    project.write_text(f"{project.read_text()}\n{table}")
    got = place.build(packager)
    assert got.code == 0, got.err
    name = got.out.strip()
    try:
        asks = "read said < /etc/greeting; echo $said $PYSPARK_PYTHON"
        ran = docker("run", "--rm", "--network=none", "--entrypoint=/bin/sh", name, "-c", asks)
        assert ran.split() == ["hello", "/opt/packager/environment/bin/python"]
    finally:
        docker("image", "rm", "--force", name, place.base)


def test_driver_and_executors_may_have_images_of_their_own(
    place: Place, push: Push, packager: Command, tmp_path: Path
) -> None:
    table = (
        'env = { A = "all" }\njava = "/opt/jdk-{machine}"\n[tool.packager.image.executor]\n'
        'env = { B = "executor" }\njava = "/opt/other"\n'
    )
    got = push("roles/shop:v1", table, "--json")
    assert got.code == 0, got.err
    driver, executor = json.loads(got.out)
    assert (driver["role"], executor["role"]) == ("driver", "executor")
    assert driver["tag"].endswith(":v1-driver")
    assert executor["tag"].endswith(":v1-executor")
    facts = facts_of(place, executor["reference"], tmp_path / "e")
    assert (facts.config.variable("A"), facts.config.variable("B")) == ("all", "executor")
    assert facts_of(place, driver["reference"], tmp_path / "d").config.variable("B") is None
    assert facts.config.variable("JAVA_HOME") == "/etc/alternatives/jre"
    images = recorded(place)
    assert [(i.role, i.reference, i.java) for i in images] == [
        ("driver", driver["reference"], "/opt/jdk-x86_64"),
        ("executor", executor["reference"], "/opt/other"),
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A repository of Maven: its address and its folder."""
    folder = tmp_path / "maven"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """The tests read stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/releases", folder / "releases"
    server.shutdown()
    thread.join()
    server.server_close()


def test_jars_of_a_repository_are_those_that_are_pinned(
    place: Place, push: Push, repository: tuple[str, Path], tmp_path: Path
) -> None:
    address, folder = repository
    jar = folder / "org/postgresql/postgresql/42.7.4/postgresql-42.7.4.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"PK a driver")
    sha256 = hashlib.sha256(b"PK a driver").hexdigest()

    def table(pin: str, coordinates: str = "org.postgresql:postgresql:42.7.4") -> str:
        return (
            f'maven-repository = "{address}"\n'
            f'jars = [{{ maven = "{coordinates}", sha256 = "{pin}" }}]\n'
        )

    wrong = push("maven/shop", table("0" * 64))
    assert wrong.code == 4
    assert "is not the jar that the project pins" in wrong.error[0]
    assert sha256 in wrong.error[1]
    got = push("maven/shop", table(sha256))
    assert got.code == 0, got.err
    facts = facts_of(place, got.out, tmp_path / "image")
    assert facts.tree.nodes["usr/lib/spark/jars/postgresql-42.7.4.jar"].entry.size == 11
    jar.unlink()  # the store has it
    assert push("maven/shop", table(sha256)).out == got.out
    for pin, coordinates, code, told in (
        ("1" * 64, "org.postgresql:none:1", 4, "can not be downloaded"),
        (sha256, "postgresql", 2, "no coordinates of Maven"),
        ("12", "org.postgresql:none:1", 2, "has no SHA-256"),
    ):
        got = push("maven/shop", table(pin, coordinates))
        assert (got.code, told in got.error[0]) == (code, True), got.err
    unknown = push("maven/shop", table(sha256).partition("\n")[2])
    assert (unknown.code, "nobody says where" in unknown.error[0]) == (2, True)
