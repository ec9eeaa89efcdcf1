"""Images that are given to an engine: only what it lacks, and whole images all the same."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packager.adapters.imageload import GIVEN
from packager.adapters.seals import signed
from packager.images import observe
from packager.oci import files_in
from tests.command import Command
from tests.images import docker_files, write_tar
from tests.index import Index
from tests.integration.test_image_build import BASE
from tests.integration.test_pack import make_project
from tests.rig.engine import MACHINES_OWN, Engine, docker, engine_under, start, stop

pytestmark = pytest.mark.docker

NOISE = os.urandom(100_000)
SAME = {"opt/same": "twice"}


@pytest.fixture(scope="module", params=["containerd", "classic"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """One whose images lie in containerd's store, and one that keeps them in its own."""
    if request.param == "containerd":
        yield MACHINES_OWN
        return
    if os.geteuid() != 0:
        pytest.skip("only root can start an engine")
    classic = engine_under(tmp_path_factory.mktemp("classic"))
    classic.settings.write_text("{}", encoding="utf-8")
    start(classic)
    yield classic
    stop(classic)


@pytest.fixture
def base(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In it a layer is there twice, as the empty ones of `WORKDIR` often are."""
    if engine is not MACHINES_OWN:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.socket}")
    name = f"packager-tests/load-base:{os.getpid()}"
    files = docker_files(BASE.over(SAME, SAME), name)
    docker("load", "--input", str(write_tar(tmp_path / "base.tar", files)), engine=engine)
    yield name
    docker("image", "rm", "--force", name, engine=engine)


@pytest.fixture
def project(index: Index, tmp_path: Path) -> Path:
    index.wheel("fruit", files={"fruit/__init__.py": "", "fruit/noise.bin": NOISE})
    return make_project(tmp_path / "project", dependencies=("fruit",))


class Builder:
    """Builds the project's image and removes it in the end."""

    def __init__(self, packager: Command, project: Path, base: str, engine: Engine) -> None:
        self.command, self.project, self.base, self.engine = packager, project, base, engine
        self.names: list[str] = []

    def __call__(self, code: str = "") -> dict[str, Any]:
        if code:
            (self.project / "shop" / "__init__.py").write_text(code)
        words = ("image", "build", "--base-image", self.base, "--clean-room=off", "--json")
        got = self.command(*words, cwd=self.project)
        assert got.code == 0, got.err
        (document,) = json.loads(got.out)
        self.names.append(document["reference"])
        return dict(document)

    def remove(self) -> None:
        if self.names:
            docker("image", "rm", "--force", *self.names, engine=self.engine)
        self.names.clear()

    def saved(self, name: str) -> Any:
        tar = self.project.parent / "saved.tar"
        docker("save", "--output", str(tar), name, engine=self.engine)
        return observe(files_in(tar), "linux/amd64", name=name)


@pytest.fixture
def build(packager: Command, project: Path, base: str, engine: Engine) -> Iterator[Builder]:
    builder = Builder(packager, project, base, engine)
    yield builder
    builder.remove()


def test_a_code_change_gives_the_engine_little(build: Builder) -> None:
    first = build("def main():\n    print('one')\n")
    again = build()
    changed = build("def main():\n    print('two')\n")

    assert (first["uploaded"] > len(NOISE), again["uploaded"]) == (True, 0)
    assert again == {**first, "uploaded": 0}
    assert 0 < changed["uploaded"] < 10_000
    facts = build.saved(changed["reference"])
    assert "opt/packager/app/shop/__init__.py" in facts.tree.nodes
    noise = next(node for path, node in facts.tree.nodes.items() if path.endswith("noise.bin"))
    assert noise.entry.size == len(NOISE)


def test_layers_of_an_image_on_another_base_are_known_by_their_digests(
    build: Builder, engine: Engine, tmp_path: Path
) -> None:
    first = build()
    other = f"{build.base}-other"
    files = docker_files(BASE.over({"opt/other": "x"}), other)
    docker("load", "--input", str(write_tar(tmp_path / "other.tar", files)), engine=engine)
    build.base, base = other, build.base
    try:
        second = build()
        # Another store knows layers by all that lies below them.
        sent = 0 if engine is MACHINES_OWN else first["uploaded"]
        assert second["uploaded"] == sent
        docker("image", "rm", "--force", first["reference"], base, engine=engine)
        assert build.saved(second["reference"]).tree.nodes.keys() >= {"opt/other"}
    finally:
        docker("image", "rm", "--force", other, engine=engine)


def test_what_the_engine_has_lost_is_given_again(build: Builder) -> None:
    first = build()
    build.remove()
    assert build()["uploaded"] == first["uploaded"]


def test_an_engine_that_has_not_what_it_is_taken_to_have_gets_all(
    build: Builder, engine: Engine, tmp_path: Path
) -> None:
    first = build()
    build.remove()
    # The store takes the base for an image that had these layers.
    base = docker("image", "inspect", "--format={{.Id}}", build.base, engine=engine).strip()
    known = list((tmp_path / "store" / GIVEN).iterdir())
    assert known
    for file in known:
        file.write_text(signed(base), encoding="utf-8")
    assert build()["uploaded"] == first["uploaded"]
    build.saved(first["reference"])


@pytest.mark.parametrize("engine", ["classic"], indirect=True)
def test_a_builder_without_layouts_is_told_how_to_get_them(
    build: Builder, project: Path, packager: Command
) -> None:
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(f'{text}\n[tool.packager.image]\ncommands = ["true"]\n')
    words = ("image", "build", "--base-image", build.base, "--clean-room=off")
    got = packager(*words, cwd=project)
    assert (got.code, got.error[0]) == (3, "the engine's builder can not give what it has built")
    assert "containerd-snapshotter" in got.error[2]


def test_commands_run_on_a_base_that_was_built_here(
    packager: Command, project: Path, small_base: str, tmp_path: Path
) -> None:
    name = f"packager-tests/built-here:{os.getpid()}"
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {small_base}\nLABEL made={tmp_path.name}-{os.getpid()}\n"
    )
    docker(
        "buildx", "build", "--load", "--quiet", "--provenance=false", f"--tag={name}", str(folder)
    )
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(
        f'{text}\n[tool.packager.image]\ncommands = ["touch /x"]\n'
    )
    got = packager("image", "build", "--base-image", name, "--clean-room=off", cwd=project)
    docker("image", "rm", "--force", name, *got.out.split())
    assert got.code == 0, got.err
