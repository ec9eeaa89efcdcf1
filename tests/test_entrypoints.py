"""What starts a job: which scripts and functions, and which of several."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from packager.entrypoints import EntryPoint, chosen, entry_points, require_module
from packager.errors import ConfigError
from packager.project import Project, find_project
from packager.record import Artifact, Record, from_text, to_text
from tests.test_project import found
from tests.test_record import RECORD

SCRIPTS = '[project]\nname = "shop"\n[project.scripts]\nshop-daily = "shop.jobs:daily"\nodd = 1\n'


@pytest.fixture
def jobs(tmp_path: Path) -> Project:
    return found(tmp_path / "jobs", ("main.py", "other.py", "src/deep.py"))


def named(project: Project, *settings: str) -> list[tuple[str, Path | None]]:
    return [(point.name, point.file) for point in entry_points(project, settings)]


def refused(project: Project, setting: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        entry_points(project, [setting])
    return caught.value


# Scripts.


@pytest.mark.parametrize("setting", ["main.py", "./src/../main.py"])
def test_a_script_is_relative_to_the_project(jobs: Project, setting: str) -> None:
    assert named(jobs, setting) == [("main.py", jobs.root / "main.py")]
    deep = jobs.root / "src" / "deep.py"
    assert named(jobs, str(deep)) == [("src/deep.py", deep)]


def test_a_folder_needs_none_and_a_file_is_its_own(jobs: Project) -> None:
    assert entry_points(jobs, ()) == ()
    file = jobs.root / "main.py"
    assert named(find_project(file, jobs.root)) == [("main.py", file)]


def test_several_come_once_in_the_order_given(jobs: Project) -> None:
    points = named(jobs, "src/deep.py", "main.py", "./main.py")
    assert [name for name, _ in points] == ["src/deep.py", "main.py"]


@pytest.mark.parametrize("setting", ["mian.py", "src"])
def test_what_is_no_file_is_refused(jobs: Project, setting: str) -> None:
    error = refused(jobs, setting)
    assert error.what == f"the entry point {setting} does not exist"
    assert error.why.endswith("main.py, other.py")


def test_what_lies_outside_is_refused(jobs: Project) -> None:
    outside = jobs.root.parent / "outside.py"
    outside.touch()
    (jobs.root / "link.py").symlink_to(outside)
    for setting in ("../outside.py", str(outside), "link.py"):
        error = refused(jobs, setting)
        assert error.what == f"the entry point {setting} lies outside the project"


def test_a_link_inside_is_fine(jobs: Project) -> None:
    (jobs.root / "link.py").symlink_to("main.py")
    assert named(jobs, "link.py") == [("link.py", jobs.root / "link.py")]


# Functions.


def test_a_function_is_named_by_itself_or_by_its_command(tmp_path: Path) -> None:
    project = found(tmp_path / "shop", {"pyproject.toml": SCRIPTS})
    function = EntryPoint(name="shop.jobs:daily", module="shop.jobs", function="daily")
    for setting in ("shop.jobs:daily", "shop.jobs : daily"):
        assert entry_points(project, [setting]) == (function,)
    assert function.stem == "shop-jobs-daily"
    assert entry_points(project, ["shop-daily"]) == (replace(function, name="shop-daily"),)
    assert refused(project, "shop-dayly").why.endswith("commands in [project.scripts]: shop-daily")


@pytest.mark.parametrize("setting", ["shop:", ":main", "shop:1", "shop.:main", "a b:c", "odd"])
def test_what_names_no_function_is_a_file_that_does_not_exist(tmp_path: Path, setting: str) -> None:
    project = found(tmp_path / "shop", {"pyproject.toml": SCRIPTS})
    assert refused(project, setting).what == f"the entry point {setting} does not exist"


def test_one_file_has_no_functions_to_call(jobs: Project) -> None:
    project = find_project(jobs.root / "main.py", jobs.root)
    assert "the project is one file" in refused(project, "main:run").what


@pytest.mark.parametrize("function", ["main", "Jobs.main"])
@pytest.mark.parametrize(("result", "status"), [("None", 0), ("3", 3)])
def test_the_script_ends_as_the_function_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, result: str, status: int
) -> None:
    name = f"jobs_{function.replace('.', '_').lower()}_{status}"
    (tmp_path / f"{name}.py").write_text(
        f"def main():\n    return {result}\n\nclass Jobs:\n    main = staticmethod(main)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    script = EntryPoint(name="x", module=name, function=function).script()
    with pytest.raises(SystemExit) as caught:
        exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})  # noqa: S102
    assert (caught.value.code or 0) == status
    exec(compile(script, "script.py", "exec"), {"__name__": "imported"})  # noqa: S102
    del sys.modules[name]


@pytest.mark.parametrize("path", ["shop/jobs.py", "shop/jobs/__init__.py", "shop/jobs.abi3.so"])
def test_the_module_must_be_packed(path: str) -> None:
    point = EntryPoint(name="shop.jobs:daily", module="shop.jobs", function="daily")
    require_module(point, [path], [""])
    require_module(point, [f"lib/{path}"], ["", "lib/"])
    for elsewhere in (f"lib/{path}", "shop/jobs2.py", "shop/__init__.py"):
        with pytest.raises(ConfigError) as caught:
            require_module(point, [elsewhere], [""])
        assert caught.value.what == "the entry point shop.jobs:daily has no module shop.jobs"


# Which of several.


def recorded(*names: str) -> Record:
    archives = [a for a in RECORD.artifacts if a.kind != "entry-point"]
    points = [
        Artifact(
            kind="entry-point", file=f"x-{n}.py", sha256=f"{n}" * 64, size=1, unpacked=1, name=name
        )
        for n, name in enumerate(names)
    ]
    return replace(RECORD, artifacts=(*archives, *points))


SEVERAL = recorded("jobs/daily.py", "jobs/hourly.py", "old/hourly.py", "shop.jobs:weekly")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("jobs/hourly.py", 1),
        ("old/hourly.py", 2),
        ("daily.py", 0),
        ("daily", 0),
        ("shop.jobs:weekly", 3),
        ("weekly", 3),
        ("shop.jobs", 3),
        ("x-1.py", 1),
    ],
)
def test_a_name_chooses(name: str, number: int) -> None:
    assert chosen(SEVERAL, name) == SEVERAL.entry_points[number]


def test_without_a_name_the_one_there_is() -> None:
    assert chosen(SEVERAL, None) is None
    assert chosen(recorded(), None) is None
    one = recorded("main.py")
    assert chosen(one, None) == chosen(one, "main") == one.entry_points[0]


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("hourly", "several entry points 'hourly'", "write its name in full"),
        ("dayly", "no entry point 'dayly'", "did you mean 'daily'?"),
        ("zzz", "no entry point 'zzz'", "choose one of them, or pack again with it"),
    ],
)
def test_a_name_that_does_not_choose_is_told(name: str, what: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(SEVERAL, name)
    assert caught.value.what == f"{SEVERAL.name} has {what}"
    assert "jobs/daily.py, jobs/hourly.py, old/hourly.py, shop.jobs:weekly" in caught.value.why
    assert caught.value.fix == fix


def test_records_from_before_there_were_names_read() -> None:
    assert '"name": ""' not in to_text(RECORD)
    old = from_text(to_text(RECORD), "")
    assert old.entry_points[0].name == ""
    assert chosen(old, None) == chosen(old, "main-555555555555.py") == old.entry_points[0]
    assert from_text(to_text(SEVERAL), "") == SEVERAL
