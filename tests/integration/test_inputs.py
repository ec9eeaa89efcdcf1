"""Projects as other tools lock them, with real uv and an index of this test's own."""

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.command import Command, Outcome
from tests.foreign import SAMPLES, locked_project
from tests.index import BACKEND, Index

pytestmark = pytest.mark.tools


def packages(root: Path) -> set[str]:
    """What the environment has, and the app beside it."""
    found = set()
    for path in (root / "dist").glob("*.tar.gz"):
        with tarfile.open(path) as tar:
            found |= {
                m[1] for n in tar.getnames() if (m := re.search(r"([^/]+)\.dist-info/METADATA$", n))
            }
    return found


def pack(packager: Command, root: Path, *more: str) -> Outcome:
    return packager("pack", "--release", "emr-7.13.0", *more, cwd=root)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lock_of_another_tool_is_packed(
    packager: Command, index: Index, tmp_path: Path, name: str
) -> None:
    root = locked_project(tmp_path / "project", index, name)
    got = pack(packager, root, "--locked", "--arch", "all")
    assert got.code == 0, got.err
    app = set() if name == "Pipfile.lock" else {"shop-1.0"}
    assert packages(root) == {"fruit-1.0", "old-2.0", "seed-1.1"} | app
    asked = len(index.requests)
    assert pack(packager, root, "--arch", "all").code == 0
    assert len(index.requests) == asked, "what hashes settle is asked for once"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_of_another_hash_is_refused(
    packager: Command, index: Index, tmp_path: Path, name: str
) -> None:
    root = locked_project(tmp_path / "project", index, name)
    index.wheel("fruit", files={"fruit.py": "evil = True"})
    got = pack(packager, root)
    assert got.code == 2
    assert got.error[0] == f"the hashes of fruit 1.0 in {root / name} do not match"
    assert not (root / "dist").exists() or not list((root / "dist").iterdir())


def test_a_package_that_no_index_has_is_told(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = locked_project(tmp_path / "project", index, "pdm.lock")
    next(index.folder.glob("seed-1.1-*")).unlink()
    got = pack(packager, root)
    assert got.code == 2
    assert "seed" in got.error[1]


def test_explain_builds_nothing(packager: Command, index: Index, tmp_path: Path) -> None:
    root = locked_project(tmp_path / "project", index, "poetry.lock")
    (root / "requirements.txt").write_text("fruit\n")
    got = pack(packager, root, "--explain")
    assert got.code == 0
    assert "dependencies  poetry.lock, as it pins them\nignored       requirements.txt\n" in got.out
    assert (got.err, index.requests, (root / "dist").exists()) == ("", [], False)


def test_without_a_lock_locked_is_refused(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = locked_project(tmp_path / "project", index, "pdm.lock")
    (root / "pdm.lock").unlink()
    monkeypatch.setenv("PACKAGER_LOCKED", "1")
    got = pack(packager, root)
    assert got.code == 2
    assert got.error[2] == "uv lock"
    assert index.requests == []


# Repositories, folders and archives beside the project.

MODULE = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"


def make_package(root: Path, name: str, *, dynamic: bool = False) -> Path:
    """A package that is built by a backend of its own."""
    (root / name).mkdir(parents=True)
    (root / name / "__init__.py").write_text(f"NAME = {name!r}\n")
    (root / "backend.py").write_text(BACKEND.format(name=name, version="1.0", tag="py3-none-any"))
    version = "dynamic = ['version']" if dynamic else "version = '1.0'"
    (root / "pyproject.toml").write_text(f"[project]\nname = '{name}'\n{version}\n{MODULE}")
    return root


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *own, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def make_repository(folder: Path, name: str, *, dynamic: bool = False) -> tuple[str, str]:
    """A bare repository whose head has moved on; its URL, and the commit before."""
    tree = folder / "tree"
    make_package(tree / "python", name, dynamic=dynamic)
    git(tree, "init", "--quiet")
    commits = []
    for text in ("WANTED = True\n", "WANTED = False\n"):
        (tree / "python" / name / "wanted.py").write_text(text)
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", "one")
        commits.append(git(tree, "rev-parse", "HEAD"))
    git(tree, "tag", "v1.0", commits[0])
    git(folder, "clone", "--quiet", "--bare", str(tree), "bare.git")
    return (folder / "bare.git").as_uri(), commits[0]


def locked_to(root: Path, url: str, commit: str, more: str = "") -> Path:
    root.mkdir()
    (root / "main.py").write_text("")
    (root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "tests"\n[[packages]]\nname = "seed"\n'
        f'vcs = {{ type = "git", url = "{url}", commit-id = "{commit}"{more} }}\n'
    )
    return root


def text_of(root: Path, member: str) -> str:
    (path,) = (root / "dist").glob("*environment*.tar.gz")
    with tarfile.open(path) as tar:
        file = tar.extractfile(next(m for m in tar.getmembers() if m.name.endswith(member)))
        assert file is not None
        return file.read().decode()


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_commit_that_is_locked_is_built_and_remembered(
    packager: Command, index: Index, tmp_path: Path, dynamic: bool
) -> None:
    url, commit = make_repository(tmp_path, "seed", dynamic=dynamic)
    root = locked_to(tmp_path / "job", url, commit, ', subdirectory = "python"')
    got = pack(packager, root)
    assert got.code == 0, got.err
    assert text_of(root, "seed/wanted.py") == "WANTED = True\n"
    shutil.rmtree(tmp_path / "bare.git")
    shutil.rmtree(root / "dist")
    assert pack(packager, root).code == 0
    assert packages(root) == {"seed-1.0"}


def test_a_commit_that_is_gone_is_told(packager: Command, index: Index, tmp_path: Path) -> None:
    url, _ = make_repository(tmp_path, "seed")
    root = locked_to(tmp_path / "job", url, "1" * 40)
    got = pack(packager, root)
    assert got.code == 4
    assert got.error[0] == f"the commit {'1' * 40} of {url} can not be had"
    assert "not a tree" in got.error[1]
    assert not (root / "dist").exists() or not list((root / "dist").iterdir())


def test_credentials_of_a_repository_are_shown_to_nobody(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = locked_to(tmp_path / "job", "http://robot:s3cr3t@127.0.0.1:1/x.git", "1" * 40)
    got = pack(packager, root)
    assert got.code == 4
    assert "127.0.0.1:1/x.git can not be had" in got.error[0]
    assert "s3cr3t" not in got.out + got.err


def test_without_git_a_commit_is_refused(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, commit = make_repository(tmp_path, "seed")
    root = locked_to(tmp_path / "job", url, commit)
    monkeypatch.setenv("PATH", str(tmp_path))
    got = pack(packager, root)
    assert got.code == 3
    assert got.error[2].startswith("install git")


def test_a_git_hook_may_call_packager(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, commit = make_repository(tmp_path, "seed")
    root = locked_to(tmp_path / "job", url, commit, ', subdirectory = "python"')
    before = git(tmp_path / "tree", "status", "--porcelain", "--branch")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "tree" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "tree" / ".git" / "index"))
    assert pack(packager, root).code == 0
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert git(tmp_path / "tree", "status", "--porcelain", "--branch") == before


def test_a_commit_that_uv_locked_is_built(packager: Command, index: Index, tmp_path: Path) -> None:
    url, commit = make_repository(tmp_path, "seed")
    root = make_package(tmp_path / "job", "shop")
    with (root / "pyproject.toml").open("a") as file:
        file.write(
            "[dependency-groups]\njob = ['seed']\n[tool.uv.sources]\n"
            f"seed = {{ git = '{url}', rev = '{commit}', subdirectory = 'python' }}\n"
        )
    uv(root, "lock")
    got = pack(packager, root, "--group", "job", "--locked")
    assert got.code == 0, got.err
    assert packages(root) == {"shop-1.0", "seed-1.0"}
    assert text_of(root, "seed/wanted.py") == "WANTED = True\n"


def uv(root: Path, *arguments: str) -> None:
    from uv import find_uv_bin

    command = [find_uv_bin(), *arguments, "--quiet", "--python", sys.executable]
    subprocess.run(command, cwd=root, check=True)


def test_a_member_of_a_workspace_brings_its_siblings(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = make_package(tmp_path / "space", "shop")
    make_package(root / "libs" / "seed", "seed")
    make_package(root / "libs" / "unused", "unused")
    make_package(tmp_path / "beside", "beside")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(
        text.replace("version =", "dependencies = ['seed', 'beside']\nversion =")
        + "[tool.uv.workspace]\nmembers = ['libs/*']\n[tool.uv.sources]\n"
        "seed = { workspace = true }\nbeside = { path = '../beside', editable = true }\n"
    )
    member = root / "libs" / "seed" / "pyproject.toml"
    member.write_text(member.read_text().replace("version", "dependencies = ['fruit']\nversion"))
    uv(root, "lock")
    got = pack(packager, root, "--locked")
    assert got.code == 0, got.err
    assert packages(root) == {"shop-1.0", "seed-1.0", "fruit-1.0", "beside-1.0"}
    assert text_of(root, "beside/__init__.py") == "NAME = 'beside'\n"


def test_a_workspace_whose_member_changed_is_stale(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = make_package(tmp_path / "space", "shop")
    uv(root, "lock")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace("version", "dependencies=['fruit']\nversion"))
    index.wheel("fruit")
    got = pack(packager, root)
    assert got.code == 2
    assert got.error[0] == f"{root / 'uv.lock'} is older than pyproject.toml"
    assert got.error[2] == "run `uv lock`"


@pytest.mark.parametrize(
    ("kind", "table"),
    [("extra", "project.optional-dependencies"), ("group", "dependency-groups")],
)
def test_what_uv_locked_apart_is_packed_singly_and_told_together(
    packager: Command, index: Index, tmp_path: Path, kind: str, table: str
) -> None:
    for version in ("1.0", "2.0"):
        index.wheel("fruit", version)
    root = make_package(tmp_path / "space", "shop")
    with (root / "pyproject.toml").open("a") as file:
        file.write(
            f"[{table}]\nold = ['fruit==1.0']\nnew = ['fruit==2.0']\n"
            f"[tool.uv]\nconflicts = [[{{ {kind} = 'old' }}, {{ {kind} = 'new' }}]]\n"
        )
    uv(root, "lock")
    got = pack(packager, root, f"--{kind}", "old", f"--{kind}", "new")
    assert got.code == 2
    assert got.error[0] == "of the extras and groups that are chosen, some exclude each other"
    assert "`old`" in got.error[1]
    assert "`new`" in got.error[1]
    assert got.error[2] == "choose those that go together: `extras` and `groups`"
    for name, version in (("old", "1.0"), ("new", "2.0")):
        assert pack(packager, root, f"--{kind}", name).code == 0
        assert packages(root) == {"shop-1.0", f"fruit-{version}"}
        shutil.rmtree(root / "dist")


def test_a_folder_that_a_poetry_lock_names_is_built(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    make_package(tmp_path / "libs" / "seed", "seed")
    root = tmp_path / "job"
    root.mkdir()
    (root / "main.py").write_text("")
    (root / "poetry.lock").write_text(
        '[[package]]\nname = "seed"\nversion = "1.0"\ngroups = ["main"]\nfiles = []\n'
        'develop = true\n[package.source]\ntype = "directory"\nurl = "../libs/seed"\n'
        '[metadata]\nlock-version = "2.1"\n'
    )
    got = pack(packager, root)
    assert got.code == 0, got.err
    assert packages(root) == {"seed-1.0"}


def test_requirements_name_folders_urls_and_commits(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    files = f"{index.url.removesuffix('/simple')}/files"
    wheel = index.wheel("fruit")
    make_package(tmp_path / "libs" / "seed", "seed")
    make_package(tmp_path / "libs" / "nut", "nut")
    url, commit = make_repository(tmp_path, "leaf")
    root = tmp_path / "job"
    root.mkdir()
    (root / "main.py").write_text("")
    (root / "requirements.txt").write_text(
        f"fruit @ {files}/{wheel.name}\n-e ../libs/seed\n../libs/nut\n"
        f"leaf @ git+{url}@{commit}#subdirectory=python\n"
    )
    got = pack(packager, root)
    assert got.code == 0, got.err
    assert packages(root) == {"fruit-1.0", "seed-1.0", "nut-1.0", "leaf-1.0"}
    assert text_of(root, "leaf/wanted.py") == "WANTED = True\n"
