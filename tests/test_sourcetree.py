"""Which files of a folder are packed, and when its digest changes, on trees made by hand."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.errors import ConfigError
from packager.project import LOCKS, find_project
from packager.sourcetree import MADE_AT_TOP, MADE_BY_TOOLS, app_files, source_digest
from tests.test_project import PYPROJECT, tree


def packed(root: Path, *exclude: str) -> list[str]:
    return [str(path) for path in app_files(find_project(root, root), exclude)]


def test_what_tools_made_is_left_out_of_a_folder(tmp_path: Path) -> None:
    tree(tmp_path, ("main.py", "jobs/__init__.py", "jobs/data/table.csv", "README.md"))
    tree(tmp_path, tuple(f"{name}/x.py" for name in MADE_AT_TOP | MADE_BY_TOOLS))
    tree(tmp_path, tuple(f"jobs/{name}/x.py" for name in MADE_BY_TOOLS))
    tree(tmp_path, ("my-venv/pyvenv.cfg", "my-venv/x.py", "jobs/py3/pyvenv.cfg", "jobs/py3/x.py"))
    tree(tmp_path, (".env", ".git/config", ".mypy_cache/x", "jobs/.cache/x", "jobs/.hidden"))
    tree(tmp_path, ("jobs.egg-info/PKG-INFO", "jobs/x.pyc"))
    tree(tmp_path, ("pyproject.toml", "setup.cfg", "tox.ini", "requirements-dev.txt", *LOCKS))
    assert packed(tmp_path) == ["README.md", "jobs/__init__.py", "jobs/data/table.csv", "main.py"]


def test_a_package_may_be_called_as_what_tools_make(tmp_path: Path) -> None:
    names = tuple(f"jobs/{name}/x.py" for name in sorted(MADE_AT_TOP))
    tree(tmp_path, (*names, "jobs/requirements.txt", "main.py"))
    assert packed(tmp_path) == sorted([*names, "jobs/requirements.txt", "main.py"])


def test_links_that_lead_outside_are_left_out(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", ("secret.py", "pkg/x.py"))
    root = tree(tmp_path / "root", ("main.py",))
    (root / "secret.py").symlink_to(outside / "secret.py")
    (root / "pkg").symlink_to(outside / "pkg")
    (root / "dangling.py").symlink_to("gone.py")
    assert packed(root) == ["main.py"]


def test_links_inside_are_followed_but_not_round(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", ("main.py", "common/x.py", "jobs/a.py"))
    (root / "jobs" / "b.py").symlink_to("a.py")
    (root / "jobs" / "common").symlink_to("../common")
    (root / "jobs" / "round").symlink_to("..")
    (root / "itself").symlink_to("itself")
    assert packed(root) == ["common/x.py", "jobs/a.py", "jobs/b.py", "jobs/common/x.py", "main.py"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("tests", ["a/b.csv", "a/b.py", "main.py"]),
        ("tests/", ["a/b.csv", "a/b.py", "main.py"]),
        ("./a/", ["main.py", "tests/t.py"]),
        ("*.py", ["a/b.csv"]),
        ("a/*.csv", ["a/b.py", "main.py", "tests/t.py"]),
        ("main.py", ["a/b.csv", "a/b.py", "tests/t.py"]),
        ("tes", ["a/b.csv", "a/b.py", "main.py", "tests/t.py"]),
        ("b.py", ["a/b.csv", "a/b.py", "main.py", "tests/t.py"]),
    ],
)
def test_patterns_leave_files_and_folders_out(
    tmp_path: Path, pattern: str, left: list[str]
) -> None:
    tree(tmp_path, ("main.py", "a/b.py", "a/b.csv", "tests/t.py"))
    assert packed(tmp_path, pattern) == left


def test_of_one_file_that_is_a_project_nothing_else_is_packed(tmp_path: Path) -> None:
    tree(tmp_path, ("My Job.py", "other.py"))
    project = find_project(tmp_path / "My Job.py", tmp_path)
    assert [str(path) for path in app_files(project)] == ["My Job.py"]


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with a folder that this user may not look into, and one that shows names alone."""
    root = tree(tmp_path / "root", ("main.py", "locked/a.py", "listed/b.py", "jobs/c.py"))

    def refusal(path: str) -> PermissionError:
        return PermissionError(errno.EACCES, "Permission denied", path)

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "locked":
            raise refusal(path)
        return original_scandir(path)

    def stat(path: Path, **how: bool) -> os.stat_result:
        if path.parent.name == "listed":
            raise refusal(str(path))
        return original_stat(path, **how)

    original_scandir, original_stat = os.scandir, Path.stat
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "stat", stat)
    return root


def test_what_may_not_be_read_is_told_and_can_be_left_out(closed: Path) -> None:
    for name, others in (("locked", ("listed",)), ("listed/b.py", ("lock*",))):
        with pytest.raises(ConfigError, match=f"{name} can not be read") as caught:
            packed(closed, *others)
        assert caught.value.why == "Permission denied"
        assert caught.value.fix.endswith(f"--exclude {name}")
    assert packed(closed, "locked", "listed") == ["jobs/c.py", "main.py"]


def test_the_digest_sees_that_something_may_be_read_now(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source_digest(closed)
    assert source_digest(closed) == before
    monkeypatch.undo()
    assert source_digest(closed) != before


# The digest of a source tree.


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tree(tmp_path / "source", {"pyproject.toml": PYPROJECT, "src/a.py": "a", "b.py": "b"})


def test_the_digest_changes_with_content_name_and_mode(source: Path) -> None:
    digests = [source_digest(source)]
    (source / "b.py").write_text("c", encoding="utf-8")
    digests.append(source_digest(source))
    (source / "b.py").rename(source / "c.py")
    digests.append(source_digest(source))
    (source / "c.py").chmod(0o755)
    digests.append(source_digest(source))
    (source / "c.py").unlink()
    digests.append(source_digest(source))
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    "name", [".gitignore", "src/build/x.py", "src/env/x.py", "src/.data/x", "setup.cfg", "uv.lock"]
)
def test_the_digest_sees_whatever_a_build_may_read(source: Path, name: str) -> None:
    """A wheel that is taken for the old one would leave a change out of the job."""
    before = source_digest(source)
    tree(source, (name,))
    assert source_digest(source) != before


def test_the_digest_sees_through_links(source: Path) -> None:
    outside = source.parent / "outside.py"
    outside.write_text("1", encoding="utf-8")
    (source / "link.py").symlink_to(outside)
    before = source_digest(source)
    outside.write_text("2", encoding="utf-8")
    assert source_digest(source) != before


def test_the_digest_does_not_change_with_times_place_and_what_tools_make(
    source: Path, tmp_path: Path
) -> None:
    before = source_digest(source)
    os.utime(source / "b.py", (1, 1))
    (source / "b.py").chmod(0o600)
    tree(source, ("dist/x.whl", "build/x.py", ".git/HEAD", ".venv/x.py", "src/x.egg-info/y"))
    tree(source, ("src/__pycache__/a.pyc", "v/pyvenv.cfg", ".mypy_cache/x"))
    assert source_digest(source) == before
    assert source_digest(source.rename(tmp_path / "elsewhere")) == before


def test_large_files_are_told_apart_by_size_and_time(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read a data set again for every pack would cost more than a build."""
    monkeypatch.setattr("packager.sourcetree.LARGE", 0)
    os.utime(source / "b.py", (1, 1))
    before = source_digest(source)
    os.utime(source / "b.py", (2, 2))
    later = source_digest(source)
    (source / "b.py").write_text("longer", encoding="utf-8")
    os.utime(source / "b.py", (2, 2))
    assert len({before, later, source_digest(source)}) == 3
