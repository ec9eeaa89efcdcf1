"""Virtual environments packed as they are: which are taken, with what beside them, and what is said."""

import errno
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from packager.checks import CHECKS
from packager.errors import ConfigError
from packager.explain import explanation
from packager.making import Packed
from packager.pipeline import pack
from packager.project import Project, environment_alone, find_project
from packager.record import RecordedWheel
from packager.releases import known_releases
from packager.settings import Settings
from packager.venvs import find_venv, name_of, read_venv, require_python
from tests.archives import SITE, TARGET, direct_url
from tests.fakes import World, world
from tests.index import make_wheel
from tests.test_trees import HASH, install, paths, write


@pytest.fixture
def outside(tmp_path: Path) -> World:
    return world(tmp_path / "store")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    root = tmp_path / "place" / ".venv"
    install(root, "fruit", scripts=("fruit",))
    return write(root, {"pyvenv.cfg": "home = /usr/bin\ncommand = a = b\n", "bin/activate": ""})


def project(root: Path, *, built: World | None = None) -> Project:
    """A folder's files, or with `built` a project that makes a wheel."""
    write(root, {"main.py": "import shop\n", "shop/__init__.py": "APP = 1\n"})
    text = '[project]\nname = "shop"\nversion = "1.0"\n'
    if built is not None:
        text += "[build-system]\nrequires = []\n"
        built.builder.makes[root.name] = lambda: make_wheel(root.parent / "built", "shop")
    write(root, {"pyproject.toml": text})
    return find_project(root, root)


def packed(of: Project, outside: World, venv: Path, **options: Any) -> Packed:
    options = {"release": "emr-7.13.0", "venv": str(venv), **options}
    (result,) = pack(of, Settings(**options), outside.ports, outside.said.append)
    return result


def names(result: Packed, kind: str = "environment") -> list[str]:
    (file,) = (a.file for a in result.record.artifacts if a.kind == kind)
    with tarfile.open(result.path.parent / file) as archive:
        found = archive.getnames()
    assert len(set(found)) == len(found)
    return [name for name in found if ".dist-info/" not in name]


SKELETON = ["bin/python", "bin/python3", "bin/python3.11"]


def test_an_environment_alone_is_packed_under_the_name_of_its_place(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    result = packed(environment_alone(name_of(venv), tmp_path), outside, venv)
    files = ["lib64", "pyvenv.cfg", "bin/fruit", f"{SITE}/fruit/__init__.py"]
    assert names(result) == [*SKELETON, *files]
    record = result.record
    assert (record.project, record.builder, record.lock, record.commit) == (
        "place",
        "venv",
        None,
        "",
    )
    assert record.wheels == (
        RecordedWheel(
            name="fruit", version="1.0", filename="fruit-1.0-py3-none-any.whl", sha256=None
        ),
    )
    assert [a.kind for a in record.artifacts] == ["environment"]
    assert result.report.passed
    assert result.report.checked == tuple(CHECKS)


def test_the_project_is_packed_beside_it_and_not_in_it(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    """As after `uv sync`, which installs the project as a link to its folder."""
    of = project(tmp_path / "shop", built=outside)
    away = direct_url(of.root.as_uri(), editable=True)
    install(venv, "shop", {"_editable_impl_shop.pth": f"{of.root}\n"}, url=away, scripts=("shop",))
    result = packed(of, outside, venv)
    link = f"{SITE}/packager-app.pth"
    files = [link, "lib64", "pyvenv.cfg", "bin/fruit", f"{SITE}/fruit/__init__.py"]
    assert names(result) == [*SKELETON, *files]
    assert names(result, "app") == ["shop/__init__.py"]
    assert [w.name for w in result.record.wheels] == ["fruit", "shop"]


def test_in_a_single_layer_the_projects_own_files_come_first(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    write(venv, {f"{SITE}/shop/__init__.py": "OLD = 1\n", f"{SITE}/shop/more.py": ""})
    result = packed(project(tmp_path / "shop"), outside, venv, layout="single")
    assert [n for n in names(result) if "/shop/" in n or "main" in n] == [
        f"{SITE}/shop/more.py",
        f"{SITE}/main.py",
        f"{SITE}/shop/__init__.py",
    ]
    archive = result.path.parent / result.record.artifacts[0].file
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"{SITE}/shop/__init__.py")
        assert file is not None
        assert file.read() == b"APP = 1\n"


def test_locks_play_no_part(tmp_path: Path, venv: Path, outside: World) -> None:
    of = project(write(tmp_path / "shop", {"requirements.txt": "no such thing at all"}))
    result = packed(of, outside, venv, extras=("x",), origins={"extras": "pyproject.toml"})
    assert result.record.lock is None
    assert outside.resolver.compiled == []


@pytest.mark.parametrize(
    ("options", "name"),
    [({"locked": True}, "locked"), ({"extras": ("x",), "origins": {"extras": "flag"}}, "extras")],
)
def test_what_only_locks_have_can_not_be_asked_for(
    tmp_path: Path, venv: Path, outside: World, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigError, match=f"`venv` and `{name}` exclude each other"):
        packed(environment_alone("x", tmp_path), outside, venv, **options)


def test_what_is_left_out_and_what_is_nobodys_is_said(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    for name in ("pip", "setuptools", "pyspark"):
        install(venv, name)
    install(venv, "holey", rows=[("holey/gone.py", HASH)])
    write(venv, {f"{SITE}/mine.py": "", "pyvenv.cfg": "Include-System-Site-Packages=True\n"})
    result = packed(environment_alone("x", tmp_path), outside, venv)
    assert outside.said == [
        f"{venv} sees the packages of the system too, which are not packed",
        "Left out pip, setuptools: they make environments, and no package requires them",
        f"Packed too, though of no package: `{SITE}/mine.py`",
        f"Not there, though its package has it: `{SITE}/holey/gone.py`",
        "Left out pyspark: EMR brings its own, which a copy would shadow",
    ]
    assert result.record.dropped == ("pyspark",)


def test_what_a_package_lacks_is_found_by_the_checks(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    install(venv, "needy", requires=("absent",))
    report = packed(environment_alone("x", tmp_path), outside, venv).report
    assert [f.check for f in report.findings if f.severity == "error"] == ["ARC010"]


def test_the_same_packages_elsewhere_give_the_same_bytes(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    other = tmp_path / "another place" / "env"
    install(other, "fruit", scripts=("fruit",), by="uv")
    write(other, {"pyvenv.cfg": "home = /opt\n", f"{SITE}/fruit/__pycache__/x.pyc": "x"})
    here = environment_alone("x", tmp_path)
    files = {packed(here, outside, path).record.artifacts[0].file for path in (venv, other, venv)}
    assert len(files) == 1


def test_nothing_is_read_or_written_where_nothing_changed(
    tmp_path: Path, venv: Path, outside: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(venv, "needy", requires=("absent",))
    here = environment_alone("x", tmp_path)

    def archive(result: Packed) -> Path:
        return result.path.parent / result.record.artifacts[0].file

    def refuse(files: object) -> None:
        raise AssertionError(files)

    first = packed(here, outside, venv)
    assert first.report.findings
    before = archive(first).stat()
    with monkeypatch.context() as patch:
        patch.setattr("packager.layers.file_parts", refuse)
        again = packed(here, outside, venv)
    assert again == first
    assert archive(again).stat() == before
    for known in (tmp_path / "store" / "seen").iterdir():
        known.write_text("spoiled")
    assert packed(here, outside, venv) == first
    write(venv, {f"{SITE}/needy/__init__.py": "CHANGED = 1\n"})
    assert archive(packed(here, outside, venv)) != archive(first)


def test_an_entry_point_may_be_a_function_of_what_is_installed(
    tmp_path: Path, venv: Path, outside: World
) -> None:
    result = packed(project(tmp_path / "shop"), outside, venv, entry_point=("fruit:main",))
    assert result.record.artifact("entry-point") is not None
    with pytest.raises(ConfigError, match="absent"):
        packed(project(tmp_path / "shop"), outside, venv, entry_point=("absent:main",))


def test_it_is_explained(tmp_path: Path, venv: Path) -> None:
    settings = Settings(release="emr-7.13.0", venv=str(venv))
    text = explanation(environment_alone("x", tmp_path), settings)
    assert f"dependencies  those installed in {venv}, Python 3.11\n" in text
    assert "app           none, for there is no project here\n" in text
    (venv / "pyvenv.cfg").unlink()
    text = explanation(environment_alone("x", tmp_path), settings)
    assert f"dependencies  none: {venv} is not a virtual environment\n" in text


# What is no virtual environment, or not one for the target.


def not_found(root: Path) -> tuple[str, str]:
    with pytest.raises(ConfigError, match="is not a virtual environment") as caught:
        find_venv(root)
    return caught.value.why, caught.value.fix


def test_what_is_no_environment_is_told_with_the_one_that_is_meant(
    tmp_path: Path, venv: Path
) -> None:
    write(venv, {"bin/python": ""})
    assert not_found(tmp_path / "nowhere")[0] == "it does not exist"
    assert not_found(tmp_path)[0] == "it has no pyvenv.cfg"
    assert "python -m venv" in not_found(tmp_path)[1]
    assert not_found(venv.parent)[1] == f"name the environment in it: --venv {venv}"
    why, fix = not_found(venv / "bin" / "python")
    assert fix == f"name its folder: --venv {venv}"
    assert "Not a directory" in why
    assert not_found(write(tmp_path / "empty", {"pyvenv.cfg": ""}))[0] == "it has no lib"


def test_a_conda_environment_is_left_to_conda_pack(venv: Path) -> None:
    (venv / "conda-meta").mkdir()
    with pytest.raises(ConfigError, match="is a conda environment") as caught:
        find_venv(venv)
    assert "conda-pack" in caught.value.fix


def test_an_environment_has_one_python(venv: Path) -> None:
    (venv / "lib" / "python3.9").mkdir()
    with pytest.raises(ConfigError, match="several Pythons"):
        find_venv(venv)
    os.rename(venv / "lib", venv / "gone")  # noqa: PTH104
    (venv / "lib" / "pypy3.9").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no Python that EMR could run"):
        find_venv(venv)


@pytest.mark.parametrize(
    ("python", "fix"),
    [
        ("3.9", ", or take that of the environment: --python 3.9"),
        ("3.7", ", or choose a release that runs 3.7: emr-6.15.0"),
        ("3.12", ", or bundle that of the environment: --python 3.12"),
        ("3.5", ""),
    ],
)
def test_its_python_is_the_targets(venv: Path, python: str, fix: str) -> None:
    require_python(find_venv(venv), TARGET, known_releases())
    (venv / "lib" / "python3.11").rename(venv / "lib" / f"python{python}")
    with pytest.raises(ConfigError, match=f"has Python {python}, emr-7.13.0 runs 3.11") as caught:
        require_python(find_venv(venv), TARGET, known_releases())
    assert caught.value.fix == (
        f"make the environment with Python 3.11: uv venv --python 3.11{fix}"
    )


def test_editable_installs_that_venv_pack_passes_over_are_refused(venv: Path) -> None:
    away = direct_url("file:///home/me/other", editable=True)
    finder = {"__editable__.other.pth": "import f\n", "f.py": "MAPPING = {'other': '/home/me'}\n"}
    install(venv, "other", finder, url=away)
    with pytest.raises(ConfigError, match="editable installs: `other`"):
        read_venv(find_venv(venv), TARGET)
    assert f"{SITE}/fruit/__init__.py" in paths(
        read_venv(find_venv(venv), TARGET, without=("other",))
    )


def test_a_folder_that_can_not_be_read_is_not_passed_by(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, scandir = str(venv / SITE / "fruit"), os.scandir

    def scan(path: str) -> object:  # as for anyone but root, who runs tests too
        if os.fspath(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", locked)
        return scandir(path)

    monkeypatch.setattr("os.scandir", scan)
    with pytest.raises(ConfigError, match=f"{locked} can not be read") as caught:
        read_venv(find_venv(venv), TARGET)
    assert caught.value.why == "Permission denied"


def test_what_can_not_be_read_is_named(venv: Path) -> None:
    (venv / SITE / "fruit" / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="links that lead out of it, or nowhere"):
        read_venv(find_venv(venv), TARGET)


@pytest.mark.parametrize("name", ["job", ".venv", "venv", "env"])
def test_its_name_is_that_of_its_folder_or_of_the_one_around(tmp_path: Path, name: str) -> None:
    assert name_of(tmp_path / "place" / name) == ("job" if name == "job" else "place")
