"""What `packager init` adds to folders of every kind, and that it overwrites nothing."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.releases import known_releases
from packager.scaffold import (
    Choices,
    Folder,
    plan,
    require_entry_point,
    suggested_entry_point,
    template,
)
from packager.scaffold.ci import SERVICES
from packager.scaffold.configuration import with_settings
from tests.command import Command

CHOICES = Choices(release=known_releases()["emr-7.13.0"], entry_point="main.py")


def folder(files: Mapping[str, str], **changes: Any) -> Folder:
    fields: dict[str, Any] = {
        "name": "report",
        "is_project": bool(files),
        "packs_itself": True,
        "scripts": tuple(sorted(name for name in files if name.endswith(".py"))),
        "lock": None,
        "settings": {},
        "read": files.get,
    }
    return Folder(**fields | changes)


def states(found: Folder, choices: Choices = CHOICES) -> dict[str, str]:
    return {file.path: file.state for file in plan(found, choices).files}


# What there is to write.


def test_an_empty_folder_gets_a_project() -> None:
    files = {file.path: file for file in plan(folder({}), CHOICES).files}
    assert [*files] == ["main.py", "tests/test_main.py", ".gitignore", "pyproject.toml"]
    assert {file.state for file in files.values()} == {"new"}
    assert tomllib.loads(files["pyproject.toml"].text) == {
        "project": {
            "name": "report",
            "version": "0.1.0",
            "requires-python": ">=3.11",
            "dependencies": [],
        },
        "dependency-groups": {"dev": ["pyspark==3.5.*", "pytest>=8"]},
        "tool": {
            "packager": {"release": "emr-7.13.0", "entry-point": "main.py", "exclude": ["tests"]}
        },
    }
    assert not any(
        "@" in file.text.replace("@udf", "").replace("@pytest", "") for file in files.values()
    )


def test_a_package_gets_settings_an_entry_point_and_a_test() -> None:
    text = '[build-system]\nrequires = ["hatchling"]\n\n[project]\nname = "report"\n'
    found = folder({"pyproject.toml": text}, packs_itself=False)
    assert states(found) == {
        "main.py": "new",
        "tests/test_main.py": "new",
        "pyproject.toml": "changed",
    }
    changed = plan(found, CHOICES).files[-1].text
    assert changed == text + '\n[tool.packager]\nrelease = "emr-7.13.0"\nentry-point = "main.py"\n'


def test_a_script_of_somebodys_own_is_kept_and_gets_no_test() -> None:
    found = folder({"etl.py": "print()"})
    choices = Choices(release=CHOICES.release, entry_point=suggested_entry_point(found))
    assert states(found, choices) == {"etl.py": "kept", "pyproject.toml": "new"}
    assert tomllib.loads(plan(found, choices).files[-1].text) == {
        "tool": {"packager": {"release": "emr-7.13.0", "entry-point": "etl.py"}}
    }


def test_a_run_that_was_killed_goes_on() -> None:
    """Before `pyproject.toml` there is no project, but a script."""
    found = folder({"main.py": template("main.py")})
    assert states(found) == {
        "main.py": "kept",
        "tests/test_main.py": "new",
        "pyproject.toml": "new",
    }


def test_a_project_with_an_entry_point_gets_no_other() -> None:
    text = '[tool.packager]\nentry-point = "jobs/a.py"\n'
    found = folder({"pyproject.toml": text}, settings={"entry-point": "jobs/a.py"})
    (only,) = plan(found, CHOICES).files
    assert only.text == '[tool.packager]\nrelease = "emr-7.13.0"\nentry-point = "jobs/a.py"\n'


def test_a_function_needs_no_script() -> None:
    choices = Choices(release=CHOICES.release, entry_point="report.jobs:daily")
    assert states(folder({"pyproject.toml": ""}), choices) == {"pyproject.toml": "changed"}


def test_a_test_is_named_for_its_script_and_finds_it() -> None:
    choices = Choices(release=CHOICES.release, entry_point="jobs/daily-run.py")
    test = plan(folder({}), choices).files[1]
    assert test.path == "tests/test_daily_run.py"
    assert 'run_module("jobs.daily-run")' in test.text


@pytest.mark.parametrize(
    ("scripts", "suggested"),
    [
        ((), "main.py"),
        (("etl.py",), "etl.py"),
        (("etl.py", "setup.py"), "etl.py"),
        (("a.py", "b.py"), "main.py"),
    ],
)
def test_the_only_script_is_suggested(scripts: tuple[str, ...], suggested: str) -> None:
    assert suggested_entry_point(folder({}, scripts=scripts)) == suggested


@pytest.mark.parametrize("name", ["main.py", "jobs/daily.py", "./main.py", "a.b:c"])
def test_scripts_and_functions_are_entry_points(name: str) -> None:
    assert require_entry_point(name) == name.removeprefix("./")


@pytest.mark.parametrize(
    "name", ["", "main", "main.jar", "/main.py", "../main.py", "a/../../b.py", 'a".py', "a\n.py"]
)
def test_others_are_not(name: str) -> None:
    with pytest.raises(ConfigError, match="is no script of the project"):
        require_entry_point(name)


# Pipelines.


@pytest.mark.parametrize("service", SERVICES)
def test_pipelines_are_added_and_kept(service: str) -> None:
    choices = Choices(release=CHOICES.release, entry_point="main.py", ci=service)
    added = {f.path: f for f in plan(folder({"main.py": ""}), choices).files}
    paths = [pipeline.path for pipeline in SERVICES[service]]
    assert set(paths) <= set(added)
    assert all("@" not in re.sub(r"@\w{40}", "", added[path].text) for path in paths)
    edited = {path: added[path].text + "# mine\n" for path in paths}
    again = plan(folder({"main.py": "", **edited}), choices)
    assert {f.path: f.state for f in again.files if f.path in paths} == dict.fromkeys(paths, "kept")
    assert again.by_hand == ()


@pytest.mark.parametrize("service", ["gitlab", "codebuild"])
def test_a_pipeline_of_somebodys_own_stays_and_ours_stands_beside_it(service: str) -> None:
    choices = Choices(release=CHOICES.release, entry_point="main.py", ci=service)
    (pipeline,) = SERVICES[service]
    done = plan(folder({"main.py": "", pipeline.path: "theirs"}), choices)
    assert pipeline.elsewhere in {f.path for f in done.files}
    assert pipeline.path not in {f.path for f in done.files}
    assert done.by_hand == (pipeline.how,)


def test_the_cache_is_of_the_lock() -> None:
    choices = Choices(release=CHOICES.release, entry_point="main.py", ci="gitlab")
    texts = [f.text for f in plan(folder({"main.py": ""}, lock="uv.lock"), choices).files]
    assert any('files: ["uv.lock"]' in text for text in texts)


def test_a_service_without_a_pipeline_is_told() -> None:
    choices = Choices(release=CHOICES.release, entry_point="main.py", ci="githob")
    with pytest.raises(ConfigError) as caught:
        plan(folder({}), choices)
    assert caught.value.fix == "did you mean 'github'?"


# Settings in a file of others.

PARTS = (
    "# a comment, größer\n",
    '[project]\nname = "a"  # why\ndependencies = [\n  "b",\n]\n',
    "[tool.poetry]\nname = 'a'\n\n\n",
    "[tool.poetry.dependencies]\npython = '^3.11'\n",
    "[[tool.poetry.source]]\nurl = 'https://a'\n",
    "  [ tool . packager ]  # ours\nlayout = 'single'\n",
    '[tool.packager]\nrelease = "emr-7.1.0"\n',
    '[tool.packager.conf]\n"spark.a" = 1\n',
    "[tool.ruff]\nline-length = 100",
)
WANTED: dict[str, str | list[str]] = {
    "release": "emr-7.13.0",
    "entry-point": "größe.py",
    "exclude": ["tests", "a b"],
}


@given(st.lists(st.sampled_from(PARTS), unique=True), st.sampled_from(["\n", "\r\n"]))
def test_lines_are_added_and_no_other_is_touched(parts: list[str], end: str) -> None:
    text = "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)
    text = text.removesuffix("\n").replace("\n", end)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # [tool.packager] twice
    after = with_settings(text, WANTED, "pyproject.toml")
    table = before.get("tool", {}).get("packager", {})
    assert tomllib.loads(after)["tool"]["packager"] == WANTED | table
    assert "\r" not in after.replace("\r\n", "")
    rest = iter(after.splitlines())
    assert all(line in rest for line in text.splitlines()), "lines went, or changed places"
    assert with_settings(after, WANTED, "pyproject.toml") == after


@pytest.mark.parametrize(
    "text",
    [
        'tool.packager.layout = "single"\n',
        'tool = { packager = { layout = "single" } }\n',
        '[tool]\npackager = { layout = "single" }\n',
        '[tool]\npackager.layout = "single"\n',
    ],
)
def test_a_form_that_takes_no_lines_is_told_with_the_lines(text: str) -> None:
    with pytest.raises(ConfigError, match="no line can be added") as caught:
        with_settings(text, {"release": "emr-7.13.0"}, "pyproject.toml")
    assert caught.value.fix == 'add these yourself: release = "emr-7.13.0"'


def test_a_header_in_a_text_is_none() -> None:
    text = 'a = """\n[tool.packager]\n"""\n'
    with pytest.raises(ConfigError, match="no line can be added"):
        with_settings(text, {"release": "emr-7.13.0"}, "pyproject.toml")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[project\n", "is not valid TOML"),
        ("tool = 1\n", "is not a table"),
        ("tool.packager = 1\n", "is not a table"),
    ],
)
def test_a_broken_file_is_told(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        with_settings(text, {"release": "emr-7.13.0"}, "pyproject.toml")


# The command.


def test_it_says_what_it_wrote_and_what_is_next(packager: Command, tmp_path: Path) -> None:
    done = packager("init", "--release", "emr-7.13.0", "--arch", "all", cwd=tmp_path)
    assert (done.code, done.err) == (0, "next: packager pack\n")
    assert done.out == (
        "new      main.py\nnew      tests/test_main.py\nnew      .gitignore\n"
        "new      pyproject.toml\n"
    )
    document = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert document["tool"]["packager"]["arch"] == ["all"]
    assert document["project"]["name"] == tmp_path.name.replace("_", "-")


def test_twice_changes_nothing(packager: Command, tmp_path: Path) -> None:
    assert packager("init", "new/project", cwd=tmp_path).err.endswith("pack new/project\n")
    root = tmp_path / "new" / "project"
    before = {path: (path.read_bytes(), path.stat()) for path in root.rglob("*") if path.is_file()}
    assert len(before) == 4
    again = packager("init", "new/project", "--json", cwd=tmp_path)
    assert again.out.split() == [
        "[",
        "{",
        '"path":',
        '"pyproject.toml",',
        '"state":',
        '"kept"',
        "}",
        "]",
    ]
    assert {path: (path.read_bytes(), path.stat()) for path in before} == before


def test_without_a_release_the_newest_is_taken_and_kept(packager: Command, tmp_path: Path) -> None:
    assert packager("init", "--quiet", cwd=tmp_path).err == ""
    settings = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["packager"]
    newest = [label for label in known_releases() if not label.startswith("emr-spark-")][-1]
    assert settings["release"] == newest


def test_a_broken_pyproject_is_told_and_nothing_written(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    done = packager("init", cwd=tmp_path)
    assert done.code == 2
    assert "pyproject.toml" in done.error[0]
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_what_is_set_is_not_overruled(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.packager]\nrelease = "emr-7.1.0"\n')
    done = packager("init", "--release", "emr-7.13.0", cwd=tmp_path)
    assert done.code == 2
    assert done.error[0] == "`release` of [tool.packager] is set already: 'emr-7.1.0'"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--release", "emr-7.99.0"], "is not a release that packager knows"),
        (["--release", "emr-6.6.0", "--arch", "arm64"], "does not run on arm64"),
        (["--entry-point", "../a.py"], "is no script of the project"),
        (["pyproject.toml"], "is not a folder"),
        (["/proc/none"], "nothing can be written"),
    ],
)
def test_what_can_not_be_is_told_before_anything_is_written(
    packager: Command, tmp_path: Path, arguments: list[str], what: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("# to come\n")
    done = packager("init", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert what in done.error[0]
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_a_pyproject_that_says_nothing_yet_is_kept(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("# to come\n")
    assert packager("init", cwd=tmp_path).code == 0
    text = (tmp_path / "pyproject.toml").read_text()
    assert text.startswith("# to come\n\n[tool.packager]\n")
    assert packager("config", cwd=tmp_path).code == 0


def test_an_entry_point_that_is_a_folder_is_told(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "main.py").mkdir()
    done = packager("init", cwd=tmp_path)
    assert (done.code, done.error[0]) == (2, f"{tmp_path / 'main.py'} is a folder")


def test_a_link_stays_one(packager: Command, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.toml").write_text('[project]\nname = "a"\n')
    root = tmp_path / "root"
    root.mkdir()
    (root / "pyproject.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert packager("init", "root", cwd=tmp_path).code == 0
    assert (root / "pyproject.toml").is_symlink()
    assert "[tool.packager]" in (tmp_path / "elsewhere.toml").read_text()
