"""What a project is and what it asks for, on trees made by hand."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.project import (
    LOCKS,
    Project,
    find_project,
    other_locks,
    plain_name,
    read_text,
    read_toml,
)

PYPROJECT = '[project]\nname = "thing"\nversion = "1.0"\n'


def tree(root: Path, files: Mapping[str, str] | tuple[str, ...]) -> Path:
    """Write files under `root`; of names alone, empty ones."""
    contents = files if isinstance(files, Mapping) else dict.fromkeys(files, "")
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def found(root: Path, files: Mapping[str, str] | tuple[str, ...]) -> Project:
    return find_project(tree(root, files), root)


def refused(root: Path, files: Mapping[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        found(root, files)
    return caught.value


# What is found, and where.


@pytest.mark.parametrize(
    ("files", "lock", "app"),
    [
        (("pyproject.toml", "uv.lock", "pylock.toml", "requirements.txt"), "uv.lock", "wheel"),
        (("pyproject.toml", "pylock.toml", "requirements.txt"), "pylock.toml", "wheel"),
        (("pyproject.toml", "requirements.txt", "setup.py"), "requirements.txt", "wheel"),
        (("pyproject.toml", "setup.py"), "pyproject.toml", "wheel"),
        (("setup.py",), "setup.py", "wheel"),
        (("requirements.txt", "setup.py"), "requirements.txt", "wheel"),
        (("requirements.txt",), "requirements.txt", "folder"),
        (("requirements.txt", "job.py"), "requirements.txt", "folder"),
        (("job.py",), None, "folder"),
    ],
)
def test_the_first_lock_of_the_order_is_taken(
    tmp_path: Path, files: tuple[str, ...], lock: str | None, app: str
) -> None:
    contents = dict.fromkeys(files, "")
    if "pyproject.toml" in files:
        contents["pyproject.toml"] = PYPROJECT + "[build-system]\nrequires = []\n"
    project = found(tmp_path, contents)
    assert project.lock == (tmp_path / lock if lock else None)
    assert (project.lock_kind, project.app) == (lock, app)


def test_a_pyproject_without_a_build_system_is_a_folder(tmp_path: Path) -> None:
    project = found(tmp_path, {"pyproject.toml": PYPROJECT})
    assert (project.app, project.lock_kind, project.dynamic) == ("folder", "pyproject.toml", False)


def test_a_pyproject_with_settings_alone_pins_nothing(tmp_path: Path) -> None:
    project = found(tmp_path, {"pyproject.toml": '[tool.packager]\nrelease = "emr-7.13.0"\n'})
    assert (project.app, project.lock) == ("folder", None)
    assert project.settings == {"release": "emr-7.13.0"}


def test_all_that_is_known_of_a_project(tmp_path: Path) -> None:
    text = (
        '[build-system]\nrequires = ["hatchling"]\n'
        '[project]\nname = "My_Thing"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
        "[tool.packager]\npython = '3.9'\n"
    )
    project = found(tmp_path, {"pyproject.toml": text})
    assert project == Project(
        root=tmp_path,
        name="my-thing",
        version="1.0",
        requires_python=project.requires_python,
        app="wheel",
        file=None,
        lock=tmp_path / "pyproject.toml",
        lock_kind="pyproject.toml",
        dynamic=False,
        requirements=(),
        settings={"python": "3.9"},
    )
    assert str(project.requires_python) == ">=3.9"


@pytest.mark.parametrize(
    ("files", "dynamic"),
    [
        ({"pyproject.toml": '[project]\nname = "x"\ndynamic = ["version"]\n'}, True),
        ({"pyproject.toml": "[build-system]\nrequires = []\n"}, True),
        ({"setup.py": ""}, True),
        ({"pyproject.toml": PYPROJECT}, False),
    ],
)
def test_what_the_backend_decides_is_dynamic(
    tmp_path: Path, files: Mapping[str, str], dynamic: bool
) -> None:
    assert found(tmp_path, files).dynamic is dynamic


def test_the_nearest_pyproject_upwards_is_the_project(tmp_path: Path) -> None:
    tree(tmp_path, {"pyproject.toml": PYPROJECT, "a/pyproject.toml": PYPROJECT, "a/b/c/x.py": ""})
    assert find_project(None, tmp_path / "a" / "b" / "c").root == tmp_path / "a"


def test_a_path_that_is_given_is_the_project_itself(tmp_path: Path) -> None:
    tree(tmp_path, {"pyproject.toml": PYPROJECT, "jobs/x.py": "", "docs/y.md": ""})
    project = find_project(Path("jobs"), tmp_path)
    assert (project.root, project.name, project.lock) == (tmp_path / "jobs", "jobs", None)
    with pytest.raises(ConfigError, match="is not a Python project"):
        find_project(Path("docs"), tmp_path)


def test_without_a_pyproject_upwards_this_folder_is(tmp_path: Path) -> None:
    tree(tmp_path, {"requirements.txt": "", "a/x.py": ""})
    assert find_project(None, tmp_path / "a").root == tmp_path / "a"


def test_nothing_deeper_in_the_tree_decides_anything(tmp_path: Path) -> None:
    inner = ("pyproject.toml", "uv.lock", "pylock.toml", "requirements.txt", "setup.py")
    project = found(tmp_path, ("job.py", *(f"inner/{name}" for name in inner)))
    assert (project.app, project.lock, project.root) == ("folder", None, tmp_path)


def test_a_folder_is_found_by_a_roundabout_path(tmp_path: Path) -> None:
    tree(tmp_path, ("a/x.py", "b/y.py"))
    assert find_project(Path("../a/./../b"), tmp_path / "a").root == tmp_path / "b"


def test_one_file_is_a_project(tmp_path: Path) -> None:
    tree(tmp_path, {"pyproject.toml": PYPROJECT, "My Job.py": "", "other.py": ""})
    project = find_project(Path("My Job.py"), tmp_path)
    assert (project.app, project.name, project.lock) == ("file", "my-job", None)
    assert project.file == tmp_path / "My Job.py"


@pytest.mark.parametrize(
    ("name", "what"),
    [("gone", "does not exist"), ("notes.txt", "is not a folder or a .py file")],
)
def test_a_path_that_is_no_project_is_refused(tmp_path: Path, name: str, what: str) -> None:
    tree(tmp_path, ("notes.txt",))
    with pytest.raises(ConfigError) as caught:
        find_project(Path(name), tmp_path)
    assert caught.value.what == f"{tmp_path / name} {what}"


def test_locks_are_looked_for_in_one_order(tmp_path: Path) -> None:
    for name in reversed(LOCKS):
        tree(tmp_path, {"pyproject.toml": PYPROJECT, name: ""})
        project = find_project(tmp_path, tmp_path)
        assert (project.lock, project.lock_kind) == (tmp_path / name, name)
        assert other_locks(project) == LOCKS[LOCKS.index(name) + 1 :]


def test_poetry_names_a_project_and_may_not_build_it(tmp_path: Path) -> None:
    text = "[build-system]\n[tool.poetry]\nname = 'My_Shop'\n"
    project = found(tmp_path / "a", {"pyproject.toml": text})
    assert (project.name, project.app) == ("my-shop", "wheel")
    project = found(tmp_path / "b", {"pyproject.toml": text + "package-mode = false\n"})
    assert project.app == "folder"


# Names.


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("My_Job.v2", "my-job-v2"),
        ('my job\'s "best"', "my-job-s-best"),
        ("Prüfung", "prufung"),
        ("Crème brûlée", "creme-brulee"),
        ("  --x--  ", "x"),
        ("日本", "app"),
        ("", "app"),
        ("../../etc", "etc"),
    ],
)
def test_names_become_plain(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_a_plain_name_is_safe_in_file_names_and_s3_keys(name: str) -> None:
    plain = plain_name(name)
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert plain.strip("-") == plain != ""
    assert plain_name(plain) == plain


def test_folders_and_projects_are_named_plainly(tmp_path: Path) -> None:
    assert found(tmp_path / "Mein Prüf-Job", ("job.py",)).name == "mein-pruf-job"
    decomposed = unicodedata.normalize("NFD", "é")
    project = found(tmp_path / "b", {"pyproject.toml": f'[project]\nname = "x{decomposed}"\n'})
    assert project.name == "xe"


# Files that are broken.


def test_a_broken_pyproject_is_told_with_line_and_column(tmp_path: Path) -> None:
    error = refused(tmp_path, {"pyproject.toml": '[project]\nname = "x\n'})
    assert error.what == f"{tmp_path / 'pyproject.toml'} is not valid TOML"
    assert "line 2, column 10" in error.why


def test_one_that_ends_too_early_is_told_with_its_last_line(tmp_path: Path) -> None:
    error = refused(tmp_path, {"pyproject.toml": "[project]\ndependencies = ["})
    assert "line 2" in error.why


@pytest.mark.parametrize("read", [read_toml, read_text])
def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path, read: object) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError) as caught:
        read(path)  # type: ignore[operator]  # either of two functions of one argument
    assert caught.value.what == f"{path} can not be read"
    assert "0xff" in caught.value.why


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("project = 1\n", "`project` is not a table"),
        ("[project]\nname = 1\n", "project.name is not a text"),
        ("tool = []\n", "`tool` is not a table"),
        ("tool.packager = 'x'\n", "`tool.packager` is not a table"),
        ("[project]\nrequires-python = 3.9\n", "project.requires-python is not a version"),
        ("[project]\nrequires-python = ['>=3.9']\n", "project.requires-python is not a version"),
        ("[project]\nrequires-python = 'three'\n", "project.requires-python is not a version"),
    ],
)
def test_values_of_a_wrong_type_are_told_with_their_place(
    tmp_path: Path, text: str, what: str
) -> None:
    error = refused(tmp_path, {"pyproject.toml": text})
    assert error.what.startswith(f"{tmp_path / 'pyproject.toml'}: {what}")


@pytest.mark.parametrize(
    ("value", "texts"), [('["a", "b>1"]', ("a", "b>1")), ("[1, 'a']", ("a",)), ("'a'", ())]
)
def test_dependencies_are_known_as_written(
    tmp_path: Path, value: str, texts: tuple[str, ...]
) -> None:
    text = f"{PYPROJECT}dependencies = {value}\n"
    assert found(tmp_path, {"pyproject.toml": text}).requirements == texts


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = " + "[" * 100_000, "it is nested too deeply"),
        ("a = " + "9" * 5000, "a number in it has too many digits"),
    ],
)
def test_what_no_parser_takes_is_no_toml(tmp_path: Path, text: str, why: str) -> None:
    error = refused(tmp_path, {"pyproject.toml": text})
    assert (error.what, error.why) == (f"{tmp_path / 'pyproject.toml'} is not valid TOML", why)
