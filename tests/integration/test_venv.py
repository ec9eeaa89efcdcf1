"""`packager pack --venv`, as it is typed."""

import json
from pathlib import Path

import pytest

from tests.command import Command
from tests.integration.test_pack import make_project
from tests.test_trees import install, write

pytestmark = pytest.mark.tools

RELEASE = ("--release", "emr-7.13.0")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    root = tmp_path / "place" / ".venv"
    install(root, "fruit", scripts=("fruit",))
    return write(root, {"pyvenv.cfg": "home = /usr/bin\n"})


def test_an_environment_without_a_project(packager: Command, venv: Path) -> None:
    write(venv.parent, {"notes.py": "print('no part of it')\n"})
    outcome = packager("pack", "--venv", ".venv", *RELEASE, "--json", cwd=venv.parent)
    assert outcome.code == 0, outcome.err
    (document,) = json.loads(outcome.out)
    assert document["passed"]
    assert "#app" not in document["conf"]["spark.archives"]
    assert Path(document["record"]) == venv.parent / "dist" / "place-emr-7.13.0-amd64.packager.json"
    assert packager("validate", "dist", cwd=venv.parent).code == 0
    assert "fruit" in packager("inspect", "dist", cwd=venv.parent).out


def test_an_environment_and_a_project(packager: Command, venv: Path, tmp_path: Path) -> None:
    root = make_project(tmp_path / "shop", dependencies=("not-installed",))
    outcome = packager("pack", "../shop", "--venv", ".venv", cwd=venv.parent)
    assert outcome.code == 0, outcome.err
    assert "environment-py311-amd64-" in outcome.out
    assert "#environment," in outcome.out
    assert "#app" in outcome.out
    assert "shop/dist/main-" in outcome.err
    # And as a key of the project's, which names it from there.
    (root / ".venv").symlink_to(venv)
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(f'{text}venv = ".venv"\n')
    again = packager("pack", cwd=root / "shop")
    assert (again.code, again.out) == (0, outcome.out), again.err


def test_what_is_no_environment_ends_with_2_and_leaves_nothing(
    packager: Command, tmp_path: Path
) -> None:
    outcome = packager("pack", "--venv", "nowhere", *RELEASE, cwd=tmp_path)
    assert outcome.code == 2
    what, why, fix = outcome.error
    assert what == f"{tmp_path / 'nowhere'} is not a virtual environment"
    assert why == "it does not exist"
    assert fix
    assert not (tmp_path / "dist").exists()
    explained = packager("pack", "--venv", "nowhere", *RELEASE, "--explain", cwd=tmp_path)
    assert "is not a virtual environment" in explained.out
