"""From a project to archives, over ports that resolve and build nothing."""

import hashlib
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager import __version__
from packager.dockerbuild import Base
from packager.errors import CommandError, ConfigError
from packager.making import Packed
from packager.pipeline import pack
from packager.project import find_project
from packager.record import RecordedBuild, RecordedWheel, from_text
from packager.sbom import sbom_name
from packager.settings import Settings
from tests.fakes import World, lock_text, world
from tests.index import make_sdist, make_wheel
from tests.pythons import BUILD_KEPT, build_entries, make_build

SITE = "lib/python3.11/site-packages"
NATIVE = "cp311-cp311-manylinux_2_17_{}.manylinux2014_{}"
SKELETON = ["bin/python", "bin/python3", "bin/python3.11", "lib64", "pyvenv.cfg"]
BUILT = '[build-system]\nrequires = []\n[project]\nname = "shop"\nversion = "1.0"\n'


@pytest.fixture
def outside(tmp_path: Path) -> World:
    return world(tmp_path / "store")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def folder_project(root: Path, *, requirements: str = "") -> Path:
    files = {"main.py": "import jobs\n", "jobs/__init__.py": "X = 1\n", "jobs/t.csv": "1\n"}
    return write(root, {**files, "requirements.txt": requirements})


def built_project(root: Path, outside: World, *, more: str = "", **wheel: Any) -> Path:
    """A project that is built; its wheel has the one module that lies in it."""
    write(root, {"pyproject.toml": BUILT + more, "shop/__init__.py": "X = 1\n", "main.py": ""})

    def make() -> Path:
        files = {"shop/__init__.py": (root / "shop" / "__init__.py").read_text(encoding="utf-8")}
        return make_wheel(root.parent / "built", "shop", files=files, **wheel)

    outside.builder.makes[root.name] = make
    return root


def packed(root: Path, outside: World, **options: Any) -> tuple[Packed, ...]:
    options = {"release": "emr-7.13.0", **options}
    return pack(find_project(root, root), Settings(**options), outside.ports, outside.said.append)


def refused(root: Path, outside: World, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        packed(root, outside, **options)
    return caught.value


def archive(item: Packed, kind: Any) -> Path:
    artifact = item.record.artifact(kind)
    assert artifact is not None
    path = item.path.parent / artifact.file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
    assert path.stat().st_size == artifact.size
    return path


def contents(path: Path) -> dict[str, str]:
    """Members of an archive: texts of its files, and where its links lead."""
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            found[member.name] = file.read().decode() if file else f"-> {member.linkname}"
        return found


def kinds(item: Packed) -> list[str]:
    return [artifact.kind for artifact in item.record.artifacts]


def without_metadata(names: Sequence[str] | Mapping[str, str]) -> list[str]:
    return sorted(name for name in names if ".dist-info/" not in name)


# What is packed.


def test_a_project_that_is_built_is_packed_in_two_layers(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = built_project(tmp_path / "shop", outside, requires=["fruit"])
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"))
    (item,) = packed(root, outside, entry_point=("main.py",))
    assert item.report.passed
    assert kinds(item) == ["environment", "app", "entry-point"]
    environment = contents(archive(item, "environment"))
    link = f"{SITE}/packager-app.pth"
    assert without_metadata(environment) == sorted([*SKELETON, f"{SITE}/fruit/__init__.py", link])
    assert environment["bin/python"] == "-> /usr/bin/python3.11"
    assert environment[link] == "../../../../app\n"
    app = contents(archive(item, "app"))
    assert without_metadata(app) == ["shop/__init__.py"]
    assert app["shop/__init__.py"] == "X = 1\n"
    assert archive(item, "entry-point").read_text(encoding="utf-8") == ""


def test_or_in_one(tmp_path: Path, outside: World, wheels: Path) -> None:
    root = built_project(tmp_path / "shop", outside)
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"))
    (item,) = packed(root, outside, layout="single")
    assert item.report.passed
    assert kinds(item) == ["environment"]
    assert without_metadata(contents(archive(item, "environment"))) == sorted(
        [*SKELETON, f"{SITE}/fruit/__init__.py", f"{SITE}/shop/__init__.py"]
    )


def bundling(tmp_path: Path, outside: World, name: str = "shop") -> Path:
    build = tmp_path / "builds" / "cpython-3.12.1-x86_64-install_only_stripped.tar.gz"
    outside.pythons.archives["3.12"] = make_build(build, build_entries())
    return built_project(tmp_path / name, outside)


def test_a_python_that_the_release_lacks_is_a_layer_of_its_own(
    tmp_path: Path, outside: World
) -> None:
    (item,) = packed(bundling(tmp_path, outside), outside, python="3.12")
    assert item.report.passed
    assert kinds(item) == ["environment", "app", "python"]
    assert outside.said == ["Python 3.12 is bundled: emr-7.13.0 has 3.11, 3.9"]
    environment = contents(archive(item, "environment"))
    assert environment["bin/python"] == "-> ../../python/bin/python3.12"
    assert "pyvenv.cfg" not in environment
    start = f"{SITE}/packager_python".replace("3.11", "3.12")
    python = archive(item, "python")
    with tarfile.open(python) as tar:
        assert sorted(tar.getnames()) == sorted(
            [*BUILD_KEPT, f"{start}.pth", f"{start}.py", "lib64"]
        )
    assert python.name.startswith("python-3.12.1-amd64-")
    build = outside.pythons.archives["3.12"]
    assert item.record.interpreter == RecordedBuild(
        version="3.12.1",
        filename=build.name,
        sha256=hashlib.sha256(build.read_bytes()).hexdigest(),
    )


def test_all_projects_share_a_bundled_python(tmp_path: Path, outside: World) -> None:
    first, second = (
        packed(bundling(tmp_path, outside, name), outside, python="3.12")[0]
        for name in ("shop", "bakery")
    )
    assert archive(first, "python").name == archive(second, "python").name
    assert archive(first, "python").read_bytes() == archive(second, "python").read_bytes()


def test_a_bundled_python_is_compressed_once(tmp_path: Path, outside: World) -> None:
    root = bundling(tmp_path, outside)
    (first,) = packed(root, outside, python="3.12")
    made = archive(first, "python")
    data = made.read_bytes()
    made.unlink()
    (deflated,) = (tmp_path / "store" / "environments").glob("*/files")
    before = deflated.stat()
    (again,) = packed(root, outside, python="3.12")
    assert archive(again, "python").read_bytes() == data
    after = deflated.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", ["files", "facts"])
def test_what_was_compressed_is_made_again_if_it_is_damaged(
    tmp_path: Path, outside: World, name: str
) -> None:
    root = bundling(tmp_path, outside)
    (first,) = packed(root, outside, python="3.12")
    data = archive(first, "python").read_bytes()
    archive(first, "python").unlink()
    (damaged,) = (tmp_path / "store" / "environments").glob(f"*/{name}")
    damaged.write_bytes(b"{}")
    (again,) = packed(root, outside, python="3.12")
    assert archive(again, "python").read_bytes() == data


def test_in_one_layer_the_bundled_python_is_the_environment(tmp_path: Path, outside: World) -> None:
    (item,) = packed(bundling(tmp_path, outside), outside, python="3.12", layout="single")
    assert item.report.passed
    assert kinds(item) == ["environment"]
    with tarfile.open(archive(item, "environment")) as tar:
        names = tar.getnames()
        assert tar.getmember("bin/python").linkname == "python3.12"
    assert len(names) == len(set(names))
    assert {*BUILD_KEPT, "lib/python3.12/site-packages/shop/__init__.py"} <= {*names}


def test_a_folder_is_packed_as_it_is(tmp_path: Path, outside: World) -> None:
    root = folder_project(tmp_path / "jobs")
    (root / "jobs" / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (root / "jobs" / "run.sh").chmod(0o700)
    (item,) = packed(root, outside, entry_point=("main.py",), exclude=("*.csv",))
    assert item.report.passed
    app = archive(item, "app")
    assert list(contents(app)) == ["jobs/__init__.py", "jobs/run.sh", "main.py"]
    with tarfile.open(app) as tar:
        assert [oct(member.mode) for member in tar] == ["0o644", "0o755", "0o644"]
    assert outside.builder.built == []


def test_a_folder_in_one_layer_lies_among_the_packages(tmp_path: Path, outside: World) -> None:
    (item,) = packed(folder_project(tmp_path / "jobs"), outside, layout="single")
    assert kinds(item) == ["environment"]
    names = contents(archive(item, "environment"))
    assert {f"{SITE}/jobs/__init__.py", f"{SITE}/jobs/t.csv", f"{SITE}/main.py"} <= names.keys()
    assert f"{SITE}/packager-app.pth" not in names


def test_a_file_is_its_entry_point_and_needs_no_app(tmp_path: Path, outside: World) -> None:
    root = write(tmp_path / "jobs", {"My Job.py": "print(1)\n", "other.py": ""})
    (item,) = packed(root / "My Job.py", outside)
    assert kinds(item) == ["environment", "entry-point"]
    assert sorted(contents(archive(item, "environment"))) == sorted(SKELETON)
    script = archive(item, "entry-point")
    assert script.name.startswith("my-job-")
    assert script.read_text(encoding="utf-8") == "print(1)\n"
    assert outside.resolver.compiled == []


def test_several_entry_points_are_copied_and_functions_get_a_script(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = built_project(tmp_path / "shop", outside, requires=["fruit"])
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"))
    write(root, {"jobs/main.py": "print(2)\n"})
    named = ("main.py", "jobs/main.py", "shop:run", "fruit:run")
    for layout in ("layers", "single"):
        (item,) = packed(root, outside, entry_point=named, layout=layout)
        points = item.record.entry_points
        assert tuple(point.name for point in points) == named
        texts = [(item.path.parent / point.file).read_text() for point in points]
        assert texts[:2] == ["", "print(2)\n"]
        assert "from shop import run\n" in texts[2]
        assert points[2].file.startswith("shop-run-")
    error = refused(root, outside, entry_point=("shop.gone:run",), out="again")
    assert error.what == "the entry point shop.gone:run has no module shop.gone"
    assert list((root / "again").iterdir()) == []


def test_what_was_packed_before_is_not_packed_again(tmp_path: Path, outside: World) -> None:
    root = folder_project(tmp_path / "jobs")
    first = packed(root, outside, out="made here")
    assert packed(root, outside, out="made here") == first
    assert refused(root, outside, out="./").what.startswith("the archives of a folder can not lie")


def test_a_project_that_its_own_lock_names_is_the_app_and_no_dependency(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = built_project(tmp_path / "shop", outside)
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"), folders=[root])
    write(root, {"requirements.txt": "-e .\nfruit\n"})
    (item,) = packed(root, outside)
    assert [wheel.name for wheel in item.record.wheels] == ["fruit", "shop"]
    assert f"{SITE}/shop/__init__.py" not in contents(archive(item, "environment"))
    assert outside.builder.built == ["shop"]


# What changes when.


def test_a_code_change_leaves_the_environment_as_it_was(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = built_project(tmp_path / "shop", outside)
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"))
    (before,) = packed(root, outside)
    write(root, {"shop/__init__.py": "X = 2\n"})
    (after,) = packed(root, outside)
    assert archive(before, "environment") == archive(after, "environment")
    assert archive(before, "app") != archive(after, "app")
    assert len(set(outside.builder.keys)) == 2


def test_the_same_code_is_built_under_the_same_key(tmp_path: Path, outside: World) -> None:
    root = built_project(tmp_path / "shop", outside)
    packed(root, outside)
    packed(root, outside)
    assert len(set(outside.builder.keys)) == 1
    assert outside.builder.keys[0] is not None


def test_a_dynamic_project_is_built_every_time(tmp_path: Path, outside: World) -> None:
    root = built_project(tmp_path / "shop", outside, more='dynamic = ["readme"]\n')
    packed(root, outside)
    assert outside.builder.keys == [None]


def test_both_architectures_share_the_app(tmp_path: Path, outside: World, wheels: Path) -> None:
    root = built_project(tmp_path / "shop", outside)
    machines = ("x86_64", "aarch64")
    native = [make_wheel(wheels, "seed", tag=NATIVE.format(m, m)) for m in machines]
    outside.resolver.text = lock_text(*native, make_wheel(wheels, "fruit"))
    amd64, arm64 = packed(root, outside, arch=("all",))
    assert archive(amd64, "app") == archive(arm64, "app")
    assert archive(amd64, "environment") != archive(arm64, "environment")
    assert [(i.record.arch, i.record.wheels[1].filename) for i in (amd64, arm64)] == [
        ("amd64", native[0].name),
        ("arm64", native[1].name),
    ]
    assert outside.builder.built == ["shop"]
    assert sorted(arch for _, arch in outside.resolver.compiled) == ["amd64", "arm64"]


def test_the_same_input_gives_the_same_bytes_wherever_it_is_packed(tmp_path: Path) -> None:
    results = []
    for name in ("here", "there/deeper"):
        place = tmp_path / name
        outside = world(place / "store")
        root = built_project(place / "shop", outside)
        outside.resolver.text = lock_text(make_wheel(place / "wheels", "fruit"))
        (item,) = packed(root, outside, entry_point=("main.py",), out="../out")
        results.append({path.name: path.read_bytes() for path in (place / "out").iterdir()})
        assert str(tmp_path) not in item.path.read_text(encoding="utf-8")
    assert results[0] == results[1]
    assert len(results[0]) == 5


# What two wheels bring.


def test_the_same_file_in_two_wheels_is_packed_once(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    files = {"shared/__init__.py": "", "shared/data.txt": "same"}
    outside.resolver.text = lock_text(*(make_wheel(wheels, n, files=files) for n in ("a", "b")))
    (item,) = packed(folder_project(tmp_path / "jobs", requirements="a\nb\n"), outside)
    assert item.report.passed
    with tarfile.open(archive(item, "environment")) as tar:
        assert tar.getnames().count(f"{SITE}/shared/data.txt") == 1
    assert [line for line in outside.said if "kept" in line] == []


def test_another_file_of_the_same_name_is_told(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    outside.resolver.text = lock_text(
        make_wheel(wheels, "a", files={"shared/x.txt": "of a"}),
        make_wheel(wheels, "b", files={"shared/x.txt": "of b", "shared/y.txt": "of b"}),
    )
    (item,) = packed(folder_project(tmp_path / "jobs", requirements="a\nb\n"), outside)
    names = contents(archive(item, "environment"))
    assert (names[f"{SITE}/shared/x.txt"], names[f"{SITE}/shared/y.txt"]) == ("of a", "of b")
    assert [line for line in outside.said if "kept" in line] == [
        (
            f"{SITE}/shared/x.txt: kept that of a-1.0-py3-none-any.whl,"
            " b-1.0-py3-none-any.whl has another"
        )
    ]


def test_what_emr_brings_is_left_out_and_told(tmp_path: Path, outside: World, wheels: Path) -> None:
    outside.resolver.text = lock_text(
        make_wheel(wheels, "py4j"), make_sdist(wheels, "pyspark", "3.5.6", {})
    )
    (item,) = packed(folder_project(tmp_path / "jobs", requirements="pyspark\n"), outside)
    assert item.record.dropped == ("py4j", "pyspark")
    assert item.record.wheels == ()
    assert [line.split(":")[0] for line in outside.said] == ["Left out py4j", "Left out pyspark"]


@pytest.mark.parametrize("lock", ["requirements.txt", "pyproject.toml"])
def test_and_told_where_the_resolver_was_not_to_look_at_it(
    tmp_path: Path, outside: World, lock: str
) -> None:
    root = folder_project(tmp_path / "jobs", requirements="pyspark>=3\n")
    if lock == "pyproject.toml":
        (root / "requirements.txt").unlink()
        text = '[project]\nname = "jobs"\nversion = "1"\ndependencies = ["pyspark>=3"]\n'
        write(root, {lock: text})
    (item,) = packed(root, outside)
    assert item.record.dropped == ("pyspark",)
    assert [line.split(":")[0] for line in outside.said] == ["Left out pyspark"]


def test_a_file_of_the_project_stands_before_that_of_a_wheel(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    outside.resolver.text = lock_text(make_wheel(wheels, "jobs", files={"jobs/t.csv": "2\n"}))
    root = folder_project(tmp_path / "jobs", requirements="jobs\n")
    (item,) = packed(root, outside, layout="single")
    assert item.report.passed
    assert contents(archive(item, "environment"))[f"{SITE}/jobs/t.csv"] == "1\n"
    assert outside.said[-1] == (
        f"{SITE}/jobs/t.csv: kept that of the project, jobs-1.0-py3-none-any.whl has another"
    )


def test_files_of_every_size_arrive_whole(
    tmp_path: Path, outside: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = (0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 70_000)
    files = {f"data/{size}.txt": "".join(map(str, range(size)))[:size] for size in sizes}
    root = write(folder_project(tmp_path / "jobs"), files)
    monkeypatch.setattr("packager.layers.TOGETHER", 1024)
    (item,) = packed(root, outside)
    assert item.report.passed
    found = contents(archive(item, "app"))
    assert {name: found[name] for name in files} == files
    monkeypatch.undo()
    (again,) = packed(root, outside)
    assert sorted(contents(archive(again, "app"))) == sorted(found)


# The record and the report.


def test_the_record_says_what_was_made_of_what(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = built_project(tmp_path / "shop", outside)
    write(root, {"uv.lock": "version = 1\n"})
    fruit = make_wheel(wheels, "fruit")
    outside.resolver.text = lock_text(fruit)
    (item,) = packed(root, outside, conf={"spark.executor.memory": "2g"}, arch=("arm64",))
    record = item.record
    assert item.path.name == "shop-emr-7.13.0-arm64.packager.json"
    assert from_text(item.path.read_text(encoding="utf-8"), "") == record
    assert replace(record, artifacts=(), report={}, wheels=()) == replace(
        record,
        tool=f"packager {__version__}",
        project="shop",
        version="1.0",
        release="emr-7.13.0",
        arch="arm64",
        python="3.11",
        layout="layers",
        builder="wheels",
        lock="uv.lock",
        lock_sha256=hashlib.sha256(b"version = 1\n").hexdigest(),
        dropped=(),
        conf={"spark.executor.memory": "2g"},
        artifacts=(),
        report={},
        wheels=(),
    )
    assert record.wheels == (
        RecordedWheel(
            name="fruit",
            version="1.0",
            filename=fruit.name,
            sha256=hashlib.sha256(fruit.read_bytes()).hexdigest(),
        ),
        # Built here, so its bytes may carry times.
        RecordedWheel(
            name="shop", version="1.0", filename="shop-1.0-py3-none-any.whl", sha256=None
        ),
    )
    assert record.report == item.report.to_json()


def test_a_failed_check_is_reported_and_the_archives_are_there_to_look_at(
    tmp_path: Path, outside: World
) -> None:
    root = built_project(tmp_path / "shop", outside, requires=["fruit>=2"])
    (item,) = packed(root, outside)
    assert not item.report.passed
    assert ["fruit" in error.what for error in item.report.errors] == [True]
    assert from_text(item.path.read_text(encoding="utf-8"), "").report["passed"] is False
    assert archive(item, "app").is_file()


def test_nothing_else_is_left_in_the_output_folder(tmp_path: Path, outside: World) -> None:
    root = folder_project(tmp_path / "jobs")
    (item,) = packed(root, outside, entry_point=("main.py",))
    made = {artifact.file for artifact in item.record.artifacts}
    made |= {item.path.name, sbom_name(item.record)}
    assert {path.name for path in (root / "dist").iterdir()} == made
    assert {oct(path.stat().st_mode & 0o777) for path in (root / "dist").iterdir()} == {"0o644"}


# Sources.


def sdist_project(tmp_path: Path, outside: World, *, url: bool = False) -> Path:
    sdist = make_sdist(tmp_path / "wheels", "seed", "1.0", {})
    text = lock_text(sdist)
    if url:
        text = text.replace("path = ", "url = ").replace(str(tmp_path), "https://index.test")
    outside.resolver.text = text
    return folder_project(tmp_path / "jobs", requirements="seed\n")


def test_a_source_that_gives_a_pure_wheel_is_built(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    outside.builder.makes["seed"] = lambda: make_wheel(wheels, "seed")
    (item,) = packed(sdist_project(tmp_path, outside, url=True), outside)
    assert f"{SITE}/seed/__init__.py" in contents(archive(item, "environment"))
    assert [(wheel.name, wheel.sha256) for wheel in item.record.wheels] == [("seed", None)]


def test_a_source_that_is_compiled_is_missing(tmp_path: Path, outside: World, wheels: Path) -> None:
    tag = "cp311-cp311-linux_x86_64"
    outside.builder.makes["seed"] = lambda: make_wheel(wheels, "seed", tag=tag)
    error = refused(sdist_project(tmp_path, outside), outside)
    assert error.what == "no wheel for the target: seed"
    assert error.why == (
        "seed 1.0 for emr-7.13.0 amd64 Python 3.11:"
        " it has no wheel, and its source is compiled: it was built for linux_x86_64"
    )


def test_a_source_that_can_not_be_built_is_missing(tmp_path: Path, outside: World) -> None:
    def fail() -> Path:
        raise CommandError("the wheel of seed can not be built", why="no compiler")

    outside.builder.makes["seed"] = fail
    error = refused(sdist_project(tmp_path, outside), outside)
    assert error.why.endswith("and its source can not be built here: no compiler")


def test_a_source_that_others_have_compiled_wheels_of_is_not_even_built(
    tmp_path: Path, outside: World
) -> None:
    outside.resolver.wheels = {"seed": ("seed-1.0-cp311-cp311-win_amd64.whl",)}
    error = refused(sdist_project(tmp_path, outside, url=True), outside)
    assert error.why.endswith("there are cp311-cp311-win_amd64")
    assert outside.builder.built == []


def test_a_folder_that_a_lock_names_is_built(tmp_path: Path, outside: World, wheels: Path) -> None:
    outside.builder.makes["common"] = lambda: make_wheel(wheels, "common")
    outside.resolver.text = lock_text(folders=[tmp_path / "common"])
    (item,) = packed(folder_project(tmp_path / "jobs", requirements="../common\n"), outside)
    assert [wheel.name for wheel in item.record.wheels] == ["common"]


# What ends a pack before anything is written.


def test_everything_that_is_missing_is_told_at_once_and_nothing_is_written(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    outside.resolver.text = lock_text(
        make_wheel(wheels, "seed", tag=NATIVE.format("x86_64", "x86_64")),
        make_wheel(wheels, "mac", tag="cp311-cp311-macosx_11_0_arm64"),
        make_wheel(wheels, "good"),
    )
    root = folder_project(tmp_path / "jobs", requirements="seed\nmac\ngood\n")
    error = refused(root, outside, arch=("all",))
    assert error.what == "no wheel for the target: mac, seed"
    assert [line.split(":")[0].strip() for line in error.why.splitlines()] == [
        "mac 1.0 for emr-7.13.0 amd64 Python 3.11",
        "mac 1.0 for emr-7.13.0 arm64 Python 3.11",
        "seed 1.0 for emr-7.13.0 arm64 Python 3.11",
    ]
    assert list((root / "dist").iterdir()) == []


def test_a_project_whose_wheel_is_compiled_is_refused(tmp_path: Path, outside: World) -> None:
    root = built_project(tmp_path / "shop", outside, tag="cp311-cp311-linux_x86_64")
    error = refused(root, outside)
    assert error.what == ("the wheel of shop is compiled: shop-1.0-cp311-cp311-linux_x86_64.whl")
    assert list((root / "dist").iterdir()) == []


@pytest.mark.parametrize("wanted", ["<3.11", ">=3.12", "==3.9.*"])
def test_a_python_the_project_excludes_is_refused_first(
    tmp_path: Path, outside: World, wanted: str
) -> None:
    root = built_project(tmp_path / "shop", outside, more=f'requires-python = "{wanted}"\n')
    error = refused(root, outside)
    assert error.what == f"shop requires Python {wanted}, emr-7.13.0 runs 3.11"
    assert "the release has Python 3.11, 3.9" in error.why
    assert (outside.resolver.compiled, outside.builder.built) == ([], [])
    assert not (root / "dist").exists()


@pytest.mark.parametrize("wanted", [">=3.11.4", "~=3.9", ">=3.9,!=3.11.0", "<3.12"])
def test_a_python_that_some_patch_level_of_satisfies_is_fine(
    tmp_path: Path, outside: World, wanted: str
) -> None:
    more = f'requires-python = "{wanted}"\n'
    assert packed(built_project(tmp_path / "shop", outside, more=more), outside)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"release": None}, "no EMR release is given"),
        (
            {"release": "emr-spark-8.0-preview"},
            "the C library of emr-spark-8.0-preview is not known",
        ),
        ({"entry_point": ("gone.py",)}, "the entry point gone.py does not exist"),
        ({"extras": ("a",)}, "extras and groups can not be chosen here"),
        ({"groups": ("a",)}, "extras and groups can not be chosen here"),
    ],
)
def test_what_can_not_be_is_said_before_anything_is_resolved(
    tmp_path: Path, outside: World, options: dict[str, Any], what: str
) -> None:
    root = folder_project(tmp_path / "jobs", requirements="a\n")
    assert refused(root, outside, **options).what == what
    assert outside.resolver.compiled == []


def test_an_output_folder_that_can_not_be_written_is_refused_first(
    tmp_path: Path, outside: World
) -> None:
    root = folder_project(tmp_path / "jobs", requirements="a\n")
    error = refused(root, outside, out="main.py/dist")
    assert error.what == f"nothing can be written to {root / 'main.py' / 'dist'}"
    assert outside.resolver.compiled == []


def test_an_error_ends_what_other_threads_do(tmp_path: Path, outside: World) -> None:
    outside.resolver.error = CommandError("a package index can not be reached")
    root = folder_project(tmp_path / "jobs", requirements="a\n")
    with pytest.raises(CommandError, match="index can not be reached"):
        packed(root, outside, arch=("all",))
    assert outside.stopped == 1


# How each lock is read.


def test_a_uv_lock_is_exported_with_extras_and_groups(tmp_path: Path, outside: World) -> None:
    root = write(folder_project(tmp_path / "jobs"), {"uv.lock": "version = 1\n"})
    packed(root, outside, extras=("plots",), groups=("prod",))
    assert outside.resolver.exported == [("uv.lock", "plots", "prod")]


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_a_broken_lock_is_told_with_its_line(tmp_path: Path, outside: World, name: str) -> None:
    root = write(folder_project(tmp_path / "jobs"), {name: "version = 1\nx = [\n"})
    error = refused(root, outside)
    assert error.what == f"{root / name} is not valid TOML"
    assert "line 2" in error.why
    assert outside.resolver.exported == []


def test_a_pylock_is_read_without_a_resolver(tmp_path: Path, outside: World, wheels: Path) -> None:
    text = lock_text(make_wheel(wheels, "fruit"))
    root = write(folder_project(tmp_path / "jobs"), {"pylock.toml": text})
    (item,) = packed(root, outside)
    assert [wheel.name for wheel in item.record.wheels] == ["fruit"]
    assert (outside.resolver.compiled, outside.resolver.exported) == ([], [])


def test_a_project_without_a_lock_is_resolved_for_its_target(
    tmp_path: Path, outside: World
) -> None:
    packed(built_project(tmp_path / "shop", outside), outside, extras=("plots",))
    assert outside.resolver.compiled == [(("pyproject.toml", "plots"), "amd64")]


@pytest.fixture
def hashed(tmp_path: Path, outside: World, wheels: Path) -> Callable[[str], Path]:
    """A project whose requirement has a hash, with a comment."""
    fruit = make_wheel(wheels, "fruit")
    outside.resolver.text = lock_text(fruit)
    sha256 = hashlib.sha256(fruit.read_bytes()).hexdigest()

    def make(comment: str) -> Path:
        line = f"fruit==1.0 --hash=sha256:{sha256}  # {comment}\n"
        return folder_project(tmp_path / "jobs", requirements=line)

    return make


def test_requirements_with_hashes_are_resolved_once(
    outside: World, hashed: Callable[[str], Path]
) -> None:
    first = packed(hashed("a"), outside)
    again = packed(hashed("b"), outside)
    assert len(outside.resolver.compiled) == 1
    assert [i.record.artifacts for i in first] == [i.record.artifacts for i in again]
    packed(hashed("c"), outside, arch=("arm64",))
    packed(hashed("c"), outside, python="3.9")
    assert len(outside.resolver.compiled) == 3


def test_and_anew_when_a_line_changes(outside: World, hashed: Callable[[str], Path]) -> None:
    root = hashed("a")
    packed(root, outside)
    text = (root / "requirements.txt").read_text(encoding="utf-8")
    write(root, {"requirements.txt": text + "--prefer-binary\n"})
    packed(root, outside)
    assert len(outside.resolver.compiled) == 2


def test_requirements_without_hashes_are_resolved_every_time(
    tmp_path: Path, outside: World
) -> None:
    root = folder_project(tmp_path / "jobs", requirements="fruit\n")
    packed(root, outside)
    packed(root, outside)
    assert len(outside.resolver.compiled) == 2


def test_a_wheel_with_another_hash_than_the_file_allows_is_refused(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"))
    root = folder_project(tmp_path / "jobs", requirements=f"fruit --hash=sha256:{'0' * 64}\n")
    error = refused(root, outside)
    assert error.what == f"the hashes of fruit 1.0 in {root / 'requirements.txt'} do not match"


# What Docker compiles.

COMPILED = "cp311-cp311-linux_{}"
BASE = Base(reference="", digest="sha256:" + "1" * 64, local=True)


def with_docker(outside: World, wheels: Path, *names: str) -> None:
    """An engine that compiles `names` for both architectures."""
    outside.docker.base = BASE
    for name in names:
        for arch in ("amd64", "arm64"):
            tag = COMPILED.format({"amd64": "x86_64", "arm64": "aarch64"}[arch])

            def make(name: str = name, arch: str = arch, tag: str = tag) -> Path:
                return make_wheel(wheels / f"compiled-{arch}", name, tag=tag)

            outside.builder.makes[f"{name} {arch}"] = make


def compiled_project(tmp_path: Path, outside: World, wheels: Path) -> Path:
    """A project that needs a pure wheel, and a source whose wheel is compiled."""
    sdist = make_sdist(wheels, "quick", "1.0", {"pyproject.toml": ""})
    pure = make_wheel(wheels, "fruit")
    outside.resolver.text = lock_text(pure, sdist)
    outside.builder.makes["quick"] = lambda: make_wheel(
        wheels / "here", "quick", tag="cp311-cp311-linux_x86_64"
    )
    return folder_project(tmp_path / "project", requirements="fruit\nquick\n")


def test_docker_compiles_what_has_no_wheel_and_nothing_else(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = compiled_project(tmp_path, outside, wheels)
    with_docker(outside, wheels, "quick")
    both = packed(root, outside, arch=("all",), base_image="spark:1")
    assert sorted(outside.docker.compiled_for) == [("amd64", "quick"), ("arm64", "quick")]
    for item in both:
        assert item.record.builder == "wheels"
        assert item.record.base_image == f"spark:1@{BASE.digest}"
        assert {w.name for w in item.record.wheels} == {"fruit", "quick"}


def test_no_engine_is_asked_where_every_wheel_fits(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    with_docker(outside, wheels)
    outside.resolver.text = lock_text(make_wheel(wheels, "fruit"))
    root = folder_project(tmp_path / "project", requirements="fruit\n")
    (item,) = packed(root, outside)
    assert item.record.base_image == ""
    assert outside.docker.compiled_for == []


def test_without_an_engine_it_is_named_as_a_way_out(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = compiled_project(tmp_path, outside, wheels)
    error = refused(root, outside)
    assert error.what == "no wheel for the target: quick"
    assert error.fix.endswith(
        "or let Docker compile it, for which no container engine is running here"
    )


def test_the_wheels_builder_asks_no_engine(tmp_path: Path, outside: World, wheels: Path) -> None:
    root = compiled_project(tmp_path, outside, wheels)
    with_docker(outside, wheels, "quick")
    error = refused(root, outside, builder="wheels")
    assert "Docker" not in error.fix
    assert outside.docker.compiled_for == []


def test_a_package_without_a_source_keeps_docker_out(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = compiled_project(tmp_path, outside, wheels)
    with_docker(outside, wheels, "quick")
    outside.resolver.text = lock_text(
        make_sdist(wheels, "quick", "1.0", {"pyproject.toml": ""}),
        make_wheel(wheels, "gone", tag="cp39-cp39-win_amd64"),
    )
    assert refused(root, outside).what == "no wheel for the target: gone, quick"
    assert outside.docker.compiled_for == []


def test_a_package_with_wheels_for_others_alone_is_compiled_from_its_source(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    with_docker(outside, wheels, "quick")
    outside.resolver.text = lock_text(
        make_sdist(wheels, "quick", "1.0", {"pyproject.toml": ""}),
        make_wheel(wheels, "quick", tag="cp311-cp311-win_amd64"),
    )
    root = folder_project(tmp_path / "project", requirements="quick\n")
    (item,) = packed(root, outside)
    assert [w.filename for w in item.record.wheels] == ["quick-1.0-cp311-cp311-linux_x86_64.whl"]


def test_the_project_s_own_compiled_wheel_becomes_an_app_for_each_architecture(
    tmp_path: Path, outside: World, wheels: Path
) -> None:
    root = built_project(tmp_path / "project", outside, tag="cp311-cp311-linux_x86_64")
    with_docker(outside, wheels, "shop")
    names = [archive(item, "app").name for item in packed(root, outside, arch=("all",))]
    assert [name.rpartition("-")[0] for name in names] == [
        "shop-app-py311-amd64",
        "shop-app-py311-arm64",
    ]


def test_without_an_engine_a_compiled_project_is_refused_as_before(
    tmp_path: Path, outside: World
) -> None:
    root = built_project(tmp_path / "project", outside, tag="cp311-cp311-linux_x86_64")
    error = refused(root, outside)
    assert "is compiled" in error.what
    assert error.fix.endswith("for which no container engine is running here")
