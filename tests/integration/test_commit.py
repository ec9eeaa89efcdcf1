"""The commit in a record: where a project was when it was packed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from packager.adapters.worktree import commit_of
from tests.command import Command
from tests.index import Index
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.tools

WHO = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "A"), ("EMAIL", "a@b.example"), ("DATE", "2026-01-01T00:00:00Z"))
}


def git(folder: Path, *arguments: str) -> str:
    env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True)
    return done.stdout.decode().strip()


def committed(folder: Path) -> str:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return git(folder, "rev-parse", "HEAD")


def test_a_record_names_the_commit_however_often_it_is_packed(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project")
    head = committed(root)
    record = root / "dist" / "shop-emr-7.13.0-amd64.packager.json"
    texts = []
    for _ in range(2):  # the archives of the first are files that git does not know
        assert packager("pack", cwd=root).code == 0
        texts.append(record.read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["commit"] == head
    (sbom,) = (root / "dist").glob("*.cdx.json")
    assert {"name": "packager:commit", "value": head} in json.loads(sbom.read_text())["metadata"][
        "properties"
    ]
    assert packager("validate", cwd=root).code == 0

    (root / "main.py").write_text("import shop  # changed\n")
    assert packager("pack", cwd=root).code == 0
    assert json.loads(record.read_text())["commit"] == f"{head}-dirty"


def test_changes_elsewhere_in_the_repository_do_not_count(tmp_path: Path) -> None:
    root = tmp_path / "repository" / "project"
    root.mkdir(parents=True)
    (root / "a.py").touch()
    (root.parent / "other.py").touch()
    head = committed(root.parent)
    (root.parent / "other.py").write_text("changed")
    assert commit_of(root, os.environ) == head
    (root / "a.py").unlink()
    assert commit_of(root, os.environ) == f"{head}-dirty"


def test_a_hooks_environment_does_not_lead_to_its_repository(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    head = committed(tmp_path / "one")
    assert committed(tmp_path / "other") != head
    env = {**os.environ, "GIT_DIR": str(tmp_path / "other" / ".git")}
    assert commit_of(tmp_path / "one", env) == head


def test_without_git_a_work_tree_or_a_commit_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path, os.environ) == ""
    repository = tmp_path / "repository"
    (repository / "project").mkdir(parents=True)
    git(repository, "init", "-q")
    assert commit_of(repository, os.environ) == ""
    (repository / "a").touch()
    committed(repository)
    assert commit_of(repository / "project", os.environ) == ""  # git does not know the folder
    assert commit_of(repository, os.environ)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(repository, os.environ) == ""
