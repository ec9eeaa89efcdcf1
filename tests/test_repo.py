"""The rules this repository gives itself, where no linter holds them."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from packager.cli import app
from packager.emitters.forms import EMITTERS
from packager.target import PROVIDED

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "models", "core", "base"}
INDEX_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "ana" + "conda.org")
"""Whoever builds this has an index of their own; a lock that names one works for nobody else."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def lines(*folders: str) -> Iterator[tuple[str, str]]:
    """Lines of code that have a comment, each with its place."""
    for path in sources(*folders):
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            if "#" in line and path != Path(__file__):
                yield f"{path.relative_to(ROOT)}:{number}", line


def silenced(place_and_line: tuple[str, str], word: str) -> bool:
    return re.search(rf"#\s*{word}", place_and_line[1]) is not None


def test_a_silenced_linter_is_named_and_given_a_reason() -> None:
    found = [line for line in lines("packager", "sample_app") if silenced(line, "noqa")]
    assert found
    bad = [
        at for at, line in found if not re.search(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)*  # \w", line)
    ]
    assert bad == []


def test_in_tests_it_is_named() -> None:
    found = [line for line in lines("tests") if silenced(line, "noqa")]
    bad = [at for at, line in found if not re.search(r"# noqa: [A-Z]+\d+", line)]
    assert bad == []


def test_a_silenced_type_checker_is_named() -> None:
    places = lines("packager", "sample_app", "tests")
    found = [line for line in places if silenced(line, "type: ?ignore")]
    assert found
    bad = [at for at, line in found if not re.search(r"# type: ignore\[[a-z,-]+\]", line)]
    assert bad == []


def test_every_module_is_named_for_what_it_knows() -> None:
    names = {path.stem for path in sources("packager", "sample_app", "tests")}
    assert names & NAMELESS == set()


def modules() -> set[str]:
    """Ours, a package being one module."""
    found = {p.stem if p.is_file() else p.name for p in (ROOT / "packager").iterdir()}
    kept = {name for name in found if (ROOT / "packager" / f"{name}.py").is_file()}
    kept |= {p.parent.name for p in (ROOT / "packager").glob("*/__init__.py")}
    return {f"packager.{name}" for name in kept - {"__init__"}}


def contracts() -> dict[str, dict[str, list[str]]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {c["name"]: c for c in document["tool"]["importlinter"]["contracts"]}


def test_every_module_has_its_layer() -> None:
    layers = {name for row in contracts()["layers"]["layers"] for name in row.split(" | ")}
    assert layers == modules()


def test_the_names_uv_leaves_out_are_those_we_do() -> None:
    """`uv` reads the file, so that it never looks at Spark's own packages."""
    text = (ROOT / "packager" / "data" / "provided.txt").read_text(encoding="utf-8")
    assert text.splitlines() == sorted(PROVIDED)


def test_every_form_of_the_configuration_has_a_golden_text_and_no_other_is_kept() -> None:
    found = {path.stem.removeprefix("conf-") for path in GOLDEN.glob("conf-*.txt")}
    assert found == set(EMITTERS)


# With programs of this machine.


@pytest.mark.tools
def test_imports_go_one_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.tools
def test_no_tracked_file_names_a_package_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    texts = {path: path.read_bytes() for path in paths if path.is_file()}
    assert ROOT / "pyproject.toml" in texts
    bad = [p for p, text in texts.items() for host in INDEX_HOSTS if host.encode() in text]
    assert bad == []


LATE = (
    "docker",
    "requests",
    "urllib3",
    "packaging",
    "elftools",
    "deflate",
    "build",
    "uv",
    "platformdirs",
)
PROBE = """
import contextlib, io, json, sys
from packager.__main__ import main
sys.argv = ["packager", "--help"]
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
    main()
print(json.dumps([out.getvalue(), sorted(sys.modules)]))
"""


@pytest.mark.tools
def test_help_waits_for_nothing_that_only_commands_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, cwd=ROOT
    )
    text, loaded = json.loads(done.stdout)
    assert "pack" in text
    assert "packager.cli" in loaded
    assert {name.partition(".")[0] for name in loaded} & set(LATE) == set()


def test_help_says_what_each_command_is_for_in_one_whole_line() -> None:
    program = typer.main.get_command(app)
    assert isinstance(program, TyperGroup)
    groups = [program, *(c for c in program.commands.values() if isinstance(c, TyperGroup))]
    assert len(groups) == 3
    for group in groups:
        for command in group.commands.values():
            assert not command.get_short_help_str(66).endswith("..."), command.name


@pytest.mark.tools
@pytest.mark.network
def test_the_wheel_has_what_packager_reads_and_nothing_of_its_tests(tmp_path: Path) -> None:
    command = ["uv", "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    command[0] = str(Path(sys.executable).parent / "uv")
    subprocess.run(command, cwd=tmp_path, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        names = set(built.namelist())
    read = {p for p in (ROOT / "packager" / "data").iterdir() if p.is_file()}
    expected = {f"packager/data/{path.name}" for path in read}
    recipes = (path for path in (ROOT / "dockerfiles").rglob("*") if path.is_file())
    expected |= {f"packager/{path.relative_to(ROOT)}" for path in recipes}
    expected |= {f"{path.relative_to(ROOT)}" for path in sources("packager")}
    assert expected | {"packager/py.typed"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"packager"}
