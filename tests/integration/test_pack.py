"""The main way, with real uv, real build backends and an index of this test's own."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.command import Command
from tests.index import BACKEND, Index, make_sdist, make_wheel

pytestmark = pytest.mark.tools


def make_project(
    root: Path,
    *,
    dependencies: tuple[str, ...] = (),
    name: str = "shop",
    tag: str = "py3-none-any",
    more: str = "",
    tool: str = 'release = "emr-7.13.0"\nentry-point = "main.py"\n',
) -> Path:
    (root / name).mkdir(parents=True)
    (root / name / "__init__.py").write_text("def main():\n    print('from the shop')\n")
    (root / name / "prices.json").write_text('{"apple": 3}')
    (root / "main.py").write_text("import shop\n")
    (root / "backend.py").write_text(BACKEND.format(name=name, version="1.0", tag=tag))
    (root / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\nrequires-python = ">=3.7"\n'
        f"dependencies = {list(dependencies)}\n{more}\n"
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f"[tool.packager]\n{tool}"
    )
    return root


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as tar:
        return {member.name: member for member in tar}


def artifact(folder: Path, kind: str, arch: str = "amd64") -> Path:
    record = next(folder.glob(f"*-{arch}.packager.json"))
    found = json.loads(record.read_text())["artifacts"]
    return folder / str(next(a["file"] for a in found if a["kind"] == kind))


def test_a_project_becomes_archives_for_both_architectures_with_one_command(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel(
        "fruit", requires=["seed>=1; python_version >= '3.8'", "nut; sys_platform == 'win32'"]
    )
    index.wheel("seed", "1.1", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
    index.wheel("seed", "1.1", tag="cp311-cp311-manylinux_2_28_aarch64")
    index.wheel("seed", "1.1", tag="cp311-cp311-macosx_11_0_arm64")
    root = make_project(tmp_path / "project", dependencies=("fruit", "pyspark>=3"))

    got = packager("pack", "--arch", "all", cwd=root)

    assert (got.code, got.err.count("passed")) == (0, 2), got.err
    site = "lib/python3.11/site-packages"
    environment = members(artifact(root / "dist", "environment"))
    assert environment["bin/python"].linkname == "/usr/bin/python3.11"
    assert {f"{site}/fruit/__init__.py", f"{site}/seed/__init__.py"} <= environment.keys()
    app = members(artifact(root / "dist", "app"))
    assert {"shop/__init__.py", "shop/prices.json", "bin/shop"} <= app.keys()
    assert artifact(root / "dist", "app") == artifact(root / "dist", "app", "arm64")
    lines = got.out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("--conf spark.archives=") for line in lines)
    assert "py311-arm64" in lines[1]


def test_a_code_change_leaves_the_environment_as_it_was(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    assert packager("pack", cwd=root).code == 0
    before = artifact(root / "dist", "environment"), artifact(root / "dist", "app")
    (root / "shop" / "__init__.py").write_text("def main():\n    print('changed')\n")
    assert packager("pack", cwd=root).code == 0
    after = artifact(root / "dist", "environment"), artifact(root / "dist", "app")
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_second_pack_gives_the_same_files_and_asks_for_no_wheel(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    assert packager("pack", cwd=root).code == 0
    before = {path: path.read_bytes() for path in (root / "dist").iterdir()}
    index.requests.clear()
    assert packager("pack", cwd=root).code == 0
    assert {path: path.read_bytes() for path in (root / "dist").iterdir()} == before
    assert [r for r in index.requests if r.endswith(".whl")] == []


def test_one_layer_holds_everything(packager: Command, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    got = packager("pack", "--layout", "single", cwd=root)
    assert got.code == 0, got.err
    environment = members(artifact(root / "dist", "environment"))
    assert "lib/python3.11/site-packages/shop/prices.json" in environment
    assert "bin/shop" in environment
    assert "#app" not in got.out


def test_extras_and_groups_are_chosen(packager: Command, index: Index, tmp_path: Path) -> None:
    for name in ("fruit", "nut", "berry"):
        index.wheel(name)
    more = '[project.optional-dependencies]\nnuts = ["nut"]\n[dependency-groups]\nmore = ["berry"]'
    root = make_project(tmp_path / "project", dependencies=("fruit",), more=more)
    assert packager("pack", cwd=root).code == 0
    site = "lib/python3.11/site-packages"
    assert f"{site}/nut/__init__.py" not in members(artifact(root / "dist", "environment"))
    assert packager("pack", "--extra", "nuts", "--group", "more", cwd=root).code == 0
    names = members(artifact(root / "dist", "environment")).keys()
    assert {f"{site}/{n}/__init__.py" for n in ("fruit", "nut", "berry")} <= names


@pytest.mark.parametrize(
    ("release", "python", "link"),
    [
        ("emr-6.15.0", "3.7", "/usr/bin/python3"),
        ("emr-7.9.0", "3.9", "/usr/bin/python3"),
        ("emr-7.14.0", "3.11", "/usr/bin/python3.11"),
        ("emr-spark-8.1.0", "3.11", "/usr/bin/python3.11"),
    ],
)
def test_every_python_of_the_table_is_packed_for(
    packager: Command, index: Index, tmp_path: Path, release: str, python: str, link: str
) -> None:
    tag = f"cp{python.replace('.', '')}"
    index.wheel("seed", tag=f"{tag}-{tag}{'m' if python == '3.7' else ''}-manylinux2014_aarch64")
    index.wheel("seed", tag="cp312-cp312-manylinux2014_aarch64")
    root = make_project(tmp_path / "project", dependencies=("seed",))
    got = packager("pack", "--release", release, "--arch", "arm64", cwd=root)
    assert got.code == 0, got.err
    environment = members(artifact(root / "dist", "environment", "arm64"))
    assert f"lib/python{python}/site-packages/seed/__init__.py" in environment
    assert environment["bin/python"].linkname == link


def test_a_uv_lock_is_taken_as_it_is(packager: Command, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit", "1.0")
    root = make_project(tmp_path / "project", dependencies=("fruit", "pyspark"))
    make_sdist(
        index.folder,
        "pyspark",
        "3.5.6",
        {"pyproject.toml": "[project]\nname='pyspark'\nversion='3.5.6'\n"},
    )
    uv(root, "lock")
    index.wheel("fruit", "2.0")
    got = packager("pack", cwd=root)
    assert got.code == 0, got.err
    assert "Left out pyspark" in got.err
    names = members(artifact(root / "dist", "environment")).keys()
    assert "lib/python3.11/site-packages/fruit-1.0.dist-info/METADATA" in names


def test_an_old_uv_lock_is_said_to_be_old(packager: Command, index: Index, tmp_path: Path) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project")
    uv(root, "lock")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(
        text.replace("dependencies = []", "dependencies = ['fruit']")
    )
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert got.error[0].endswith("uv.lock is older than pyproject.toml")
    assert got.error[2] == "run `uv lock`"


def test_a_pylock_is_selected_from_for_the_target(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("seed", tag="cp311-cp311-manylinux_2_17_x86_64")
    index.wheel("seed", tag="cp311-cp311-manylinux_2_17_aarch64")
    index.wheel("nut")
    root = make_project(tmp_path / "project", dependencies=("seed", "nut; sys_platform == 'win32'"))
    uv(root, "lock")
    uv(root, "export", "--format", "pylock.toml", "--no-emit-project", "-o", "pylock.toml")
    (root / "uv.lock").unlink()
    got = packager("pack", "--arch", "all", cwd=root)
    assert got.code == 0, got.err
    record = json.loads(next((root / "dist").glob("*arm64.packager.json")).read_text())
    assert [w["filename"] for w in record["wheels"] if w["name"] != "shop"] == [
        "seed-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"
    ]


def test_requirements_with_includes_constraints_wheels_and_folders(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit", "1.0")
    index.wheel("fruit", "2.0")
    index.wheel("nut", requires=["fruit"])
    root = tmp_path / "project"
    make_wheel(root / "wheels", "local", files={"local/__init__.py": "", "local/data.txt": "x"})
    make_project(root / "libs" / "shop")
    (root / "main.py").write_text("import fruit\n")
    (root / "helper.py").write_text("")
    (root / "requirements.txt").write_text(
        "-r more.txt\n-c limits.txt\n./wheels/local-1.0-py3-none-any.whl\n./libs/shop\n"
    )
    (root / "more.txt").write_text("nut; python_version >= '3.8'\n")
    (root / "limits.txt").write_text("fruit<2\n")
    got = packager("pack", "--release", "emr-7.13.0", "--entry-point", "main.py", cwd=root)
    assert got.code == 0, got.err
    names = members(artifact(root / "dist", "environment")).keys()
    site = "lib/python3.11/site-packages"
    assert {f"{site}/fruit-1.0.dist-info/METADATA", f"{site}/local/data.txt"} <= names
    assert {f"{site}/shop/prices.json", "bin/shop"} <= names
    app = members(artifact(root / "dist", "app")).keys()
    assert "helper.py" in app
    assert "requirements.txt" not in app


def test_hashes_in_requirements_are_enforced(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = tmp_path / "project"
    root.mkdir()
    (root / "main.py").write_text("")
    (root / "in.txt").write_text("fruit\n")
    uv(root, "pip", "compile", "in.txt", "--generate-hashes", "-o", "requirements.txt")
    arguments = ("pack", "--release", "emr-7.13.0")
    assert packager(*arguments, cwd=root).code == 0
    text = (root / "requirements.txt").read_text()
    digest = text.partition("sha256:")[2][:64]
    (root / "requirements.txt").write_text(text.replace(digest, "0" * 64))
    before = {path: path.read_bytes() for path in (root / "dist").iterdir()}
    got = packager(*arguments, cwd=root)
    assert got.code == 2
    assert got.error[0].startswith("the hashes of fruit 1.0 in")
    assert {path: path.read_bytes() for path in (root / "dist").iterdir()} == before


def test_a_wheel_that_changed_on_the_index_is_refused(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    uv(root, "lock")
    index.wheel("fruit", files={"fruit/__init__.py": "changed = True\n"})
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert got.error[0] == "fruit-1.0-py3-none-any.whl does not have the hash that the lock gives"
    assert list((root / "dist").iterdir()) == []


def test_a_setup_py_and_a_folder_and_a_single_file(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    folder = tmp_path / "folder"
    (folder / "lib" / "data").mkdir(parents=True)
    (folder / "job.py").write_text("import lib\n")
    (folder / "lib" / "__init__.py").write_text("")
    (folder / "lib" / "data" / "x.csv").write_text("1,2\n")
    (folder / ".env").write_text("SECRET=1")
    got = packager("pack", folder, "-r", "emr-7.13.0", "-e", "job.py", cwd=tmp_path)
    assert got.code == 0, got.err
    assert members(artifact(folder / "dist", "app")).keys() == {
        "job.py",
        "lib/__init__.py",
        "lib/data/x.csv",
    }
    got = packager("pack", folder / "job.py", "-r", "emr-7.13.0", "-o", "out", cwd=tmp_path)
    assert got.code == 0, got.err
    record = json.loads(next((folder / "out").glob("*.packager.json")).read_text())
    assert [a["kind"] for a in record["artifacts"]] == ["environment", "entry-point"]


def test_a_pure_source_archive_is_built(packager: Command, index: Index, tmp_path: Path) -> None:
    project = make_project(tmp_path / "source", name="nut")
    files = {str(p.relative_to(project)): p.read_text() for p in project.rglob("*") if p.is_file()}
    make_sdist(index.folder, "nut", "1.0", files)
    root = make_project(tmp_path / "project", dependencies=("nut",))
    got = packager("pack", cwd=root)
    assert got.code == 0, got.err
    names = members(artifact(root / "dist", "environment")).keys()
    assert "lib/python3.11/site-packages/nut/prices.json" in names
    got = packager("pack", cwd=root)
    assert "from its source" not in got.err


def test_the_archives_do_not_depend_on_who_packs_where(index: Index, tmp_path: Path) -> None:
    index.wheel("fruit", entry_points={"fruit": "fruit:main"})
    digests = []
    for number, (zone, locale, umask) in enumerate(
        [("UTC", "C", 0o022), ("Asia/Tokyo", "C.UTF-8", 0o077)]
    ):
        root = make_project(tmp_path / f"{number} ü" / "project", dependencies=("fruit",))
        env = os.environ | {
            "TZ": zone,
            "LC_ALL": locale,
            "PYTHONHASHSEED": str(number + 1),
            "PACKAGER_CACHE_DIR": str(tmp_path / f"store-{number}"),
        }
        subprocess.run(
            [sys.executable, "-m", "packager", "pack", "--arch", "all", "--quiet"],
            cwd=root,
            env=env,
            check=True,
            umask=umask,
            stdout=subprocess.DEVNULL,
        )
        digests.append({p.name: p.read_bytes() for p in (root / "dist").iterdir()})
    assert digests[0] == digests[1]
    assert len(digests[0]) == 8


def uv(root: Path, *arguments: str) -> None:
    from uv import find_uv_bin

    subprocess.run(
        [find_uv_bin(), *arguments, "--quiet", "--python", sys.executable], cwd=root, check=True
    )


def test_an_archive_that_is_there_is_left_alone_and_a_damaged_one_is_made_again(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    index.wheel("fruit")
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    assert packager("pack", cwd=root).code == 0
    environment = artifact(root / "dist", "environment")
    good, first = environment.read_bytes(), environment.stat()
    assert packager("pack", cwd=root).code == 0
    assert environment.stat().st_ino == first.st_ino
    environment.write_bytes(good[:-1] + b"x")
    assert packager("pack", cwd=root).code == 0
    assert environment.read_bytes() == good
    environment.unlink()
    assert packager("pack", cwd=root).code == 0
    assert environment.read_bytes() == good


def test_wheels_of_a_folder_are_found(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "my wheels"
    make_wheel(wheels, "nut")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    root = make_project(tmp_path / "project", dependencies=("nut",))
    got = packager("pack", cwd=root)
    assert got.code == 0, got.err
    names = members(artifact(root / "dist", "environment")).keys()
    assert "lib/python3.11/site-packages/nut/__init__.py" in names


def test_of_several_entry_points_conf_and_run_take_the_one_that_is_named(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    tool = 'release = "emr-7.13.0"\nentry-point = ["main.py", "shop:main"]\n'
    root = make_project(tmp_path / "project", tool=tool)
    assert packager("pack", cwd=root).code == 0
    start = ("conf", "--format", "start-job-run", "--s3-uri", "s3://bucket")
    got = packager(*start, cwd=root)
    assert (got.code, got.error[1]) == (2, "there are main.py, shop:main")
    got = packager("run", "--local", cwd=root)
    assert (got.code, got.error[2]) == (2, "choose one: --entry-point main.py")
    got = packager(*start, "--entry-point", "shop", cwd=root)
    request = json.loads(got.out)
    assert request["name"] == "shop shop:main"
    script = request["jobDriver"]["sparkSubmit"]["entryPoint"].removeprefix("s3://bucket/")
    assert "from shop import main" in (root / "dist" / script).read_text()
    assert packager("validate", cwd=root).code == 0
    assert packager("conf", cwd=root).code == 0
