"""A project's own tests in a container: what goes in, what is left out, what an ending means."""

import io
import json
import runpy
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from packager.errors import CommandError, ConfigError, PackagerError, ValidationFailedError
from packager.pipeline import pack
from packager.project import find_project
from packager.recorded import Found, records_in
from packager.settings import Settings
from packager.target import Target
from packager.testruns.dependencies import wanted
from packager.testruns.run import Asked, Place, run_tests, subjects
from packager.testruns.suite import Ended, Suite, complaint, numbered, verdict
from packager.testruns.tree import files_for_tests, write_tree
from tests.fakes import World, lock_text, world
from tests.index import make_wheel

PROGRAM = Path(__file__).parents[1] / "packager" / "data" / "suite.py"
SETTINGS = Settings(release="emr-7.13.0", base_image="base:1")
SUITE = Suite(
    archives=(), site=Path("site"), tree=Path("tree"), python="/env/python", arguments=("-k", "x y")
)


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


# What is run.


def test_pytest_gets_its_arguments_as_they_are() -> None:
    *timeout, python, _, _, program, told = SUITE.command
    assert timeout == ["timeout", "--kill-after=10", "1800"]
    assert (python, program) == ("/env/python", "/tmp/packager/suite.py")  # noqa: S108
    assert json.loads(told)["arguments"] == ["-k", "x y"]
    assert json.loads(told)["junit"] is None
    asked = replace(SUITE, junit=True, coverage=True, limit_s=5)
    assert asked.command[2] == "5"
    assert json.loads(asked.command[-1])["coverage"] == "/tmp/packager-tests/coverage.xml"  # noqa: S108


def test_only_what_is_named_gets_into_the_environment() -> None:
    named = replace(SUITE, variables=(("MODE", "quick"),))
    assert named.environment == {
        "MODE": "quick",
        "PYSPARK_PYTHON": "/env/python",
        "PYSPARK_DRIVER_PYTHON": "/env/python",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "localhost",
    }


@pytest.mark.parametrize(
    ("status", "kind", "part"),
    [
        (1, ValidationFailedError, "tests failed"),
        (2, ValidationFailedError, "could not be imported"),
        (3, CommandError, "it ended with 3: boom"),
        (4, ConfigError, "boom"),
        (5, ValidationFailedError, "--pyargs"),
        (124, ValidationFailedError, "did not end within 1800 s"),
        (137, ValidationFailedError, "want of memory"),
        (139, CommandError, "it ended with 139"),
    ],
)
def test_every_ending_means_something(status: int, kind: type[PackagerError], part: str) -> None:
    error = verdict(Ended(status=status, said="boom"), SUITE)
    assert type(error) is kind
    assert part in f"{error.what} {error.why} {error.fix}"


def test_only_zero_means_that_all_is_well() -> None:
    assert verdict(Ended(status=0), SUITE) is None


def test_of_complaints_the_error_is_told() -> None:
    usage = "ERROR: usage: pytest\npytest: error: unrecognized arguments: -z\n  rootdir: /tmp\n"
    assert complaint(usage) == "pytest: error: unrecognized arguments: -z"
    assert complaint("one\n two\n\n") == "two"
    assert complaint("") == ""


def test_reports_of_several_architectures_do_not_overwrite_each_other() -> None:
    file = Path("out/junit.xml")
    assert numbered(file, "arm64", ["arm64"]) == file
    assert numbered(file, "arm64", ["amd64", "arm64"]) == Path("out/junit-arm64.xml")


# What goes in.


def test_hidden_files_and_what_tools_made_stay_where_they_are(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "pyproject.toml": "[project]\nname = 'shop'\n",
            "tests/test_a.py": "",
            "tests/data/a.csv": "1",
            "src/shop/__init__.py": "",
            ".env": "AWS_SECRET_ACCESS_KEY=x",
            ".aws/credentials": "x",
            ".coveragerc": "",
            ".venv/pyvenv.cfg": "",
            "dist/old.tar.gz": "",
            "archives/environment.tar.gz": "",
            "tests/__pycache__/test_a.pyc": "",
        },
    )
    paths = files_for_tests(find_project(root, tmp_path), root / "archives")
    assert list(map(str, paths)) == [
        ".coveragerc",
        "pyproject.toml",
        "src/shop/__init__.py",
        "tests/data/a.csv",
        "tests/test_a.py",
    ]
    (root / "tests/test_a.py").chmod(0o700)
    buffer = io.BytesIO()
    write_tree(root, paths, buffer)
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        assert [(m.name, m.mode, m.uid, m.uname) for m in tar][-1] == (
            "tests/test_a.py",
            0o744,
            0,
            "",
        )
    (root / "tests/test_a.py").unlink()
    with pytest.raises(ConfigError, match=r"test_a\.py can not be read"):
        write_tree(root, paths, io.BytesIO())


@pytest.mark.parametrize(
    ("text", "groups", "extras"),
    [
        ("[dependency-groups]\ndev = []\nTest = []\n", ("Test",), ()),
        ("[dependency-groups]\nlint = []\n", (), ()),
        ("[project]\nname='a'\n[project.optional-dependencies]\ntests = []\n", (), ("tests",)),
        ("[tool.poetry.group.dev.dependencies]\npytest = '*'\n", ("dev",), ()),
        ("[tool.pdm.dev-dependencies]\ntest = []\n", ("test",), ()),
        ("dependency-groups = 1\n", (), ()),
    ],
)
def test_groups_and_extras_for_tests_are_known_by_their_names(
    tmp_path: Path, text: str, groups: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    project = find_project(write(tmp_path, {"pyproject.toml": text}), tmp_path)
    found = wanted(project, SETTINGS)
    assert (found.groups, found.extras) == (groups, extras)
    named = wanted(project, replace(SETTINGS, test_groups=("mine",)))
    assert (named.groups, named.extras) == (("mine",), ())


@pytest.fixture
def outside(tmp_path: Path) -> World:
    made = world(tmp_path / "store")
    names = ("pytest", "pluggy")
    made.resolver.text_beside = lock_text(*(make_wheel(tmp_path / "w", n) for n in names))
    return made


@dataclass(slots=True)
class FakeBench:
    """An engine whose containers say what went in."""

    env: Mapping[str, str] = field(default_factory=dict)
    has: Mapping[str, str] = field(default_factory=dict)
    suites: list[tuple[Place, Suite, list[str]]] = field(default_factory=list)

    def place(self, image: str, target: Target) -> Place:
        emulated = target.arch.name == "arm64"
        return Place(
            image=image, platform=target.arch.oci_platform, emulated=emulated, env=self.env
        )

    def installed(self, place: Place, python: str, target: Target) -> Mapping[str, str]:
        assert (place.image, python, target.python) == ("mine:1", "/opt/python", "3.11")
        return self.has

    def run(self, place: Place, suite: Suite, *, out: Callable[[bytes], None]) -> Ended:
        with tarfile.open(suite.site) as tar:
            self.suites.append((place, suite, sorted(m.name for m in tar)))
        out(b"1 passed\n")
        return Ended(status=0)


def packed_project(tmp_path: Path, outside: World, settings: Settings = SETTINGS) -> Path:
    files = {
        "main.py": "",
        "shop/__init__.py": "",
        "tests/test_a.py": "",
        "requirements.txt": "",
        "pyproject.toml": "[dependency-groups]\ntest = ['pytest']\n",
    }
    root = write(tmp_path / "shop", files)
    wheel = make_wheel(tmp_path / "w", "fruit")
    outside.resolver.text = lock_text(wheel)
    pack(find_project(root, root), settings, outside.ports, outside.said.append)
    return root


def ran(root: Path, outside: World, bench: FakeBench, found: Found | None, **asked: Any) -> Suite:
    folder = root.parent / "tmp"
    folder.mkdir(exist_ok=True)
    (target,) = SETTINGS.targets()
    suite, _ = run_tests(
        find_project(root, root),
        target,
        found,
        SETTINGS,
        Asked(**asked),
        ports=outside.ports,
        bench=bench,
        folder=folder,
        say=outside.said.append,
        out=lambda _: None,
    )
    return suite


def test_the_very_archives_are_tested_and_what_tests_need_is_beside_them(
    tmp_path: Path, outside: World
) -> None:
    root = packed_project(tmp_path, outside)
    (found,) = records_in(root / "dist")
    bench = FakeBench()
    suite = ran(root, outside, bench, found, coverage=True)
    assert [(a.kind, a.path.parent) for a in suite.archives] == [
        ("environment", root / "dist"),
        ("app", root / "dist"),
    ]
    assert outside.resolver.asked_beside == [(("fruit==1.0",), ("pytest", "pytest-cov", "test"))]
    ((place, _, site),) = bench.suites
    assert place.image == "base:1"
    assert "pytest/__init__.py" in site
    assert suite.limit_s == 1800
    assert "Tests need 2 packages besides what is packed (group test)" in outside.said
    app = found.path(found.record.archives[1])
    app.write_bytes(b"")
    with pytest.raises(ConfigError, match="is not what the record"):
        ran(root, outside, bench, found)


def test_what_is_packed_is_not_brought_again(tmp_path: Path, outside: World) -> None:
    """Whatever the resolver answers, the environment's own comes first."""
    root = packed_project(tmp_path, outside)
    (found,) = records_in(root / "dist")
    wheels = (make_wheel(tmp_path / "w", n, version="2.0") for n in ("fruit", "pytest"))
    outside.resolver.text_beside = lock_text(*wheels)
    bench = FakeBench()
    ran(root, outside, bench, found)
    ((_, _, site),) = bench.suites
    assert not [name for name in site if name.startswith("fruit")]


def test_a_lock_with_groups_decides_and_pytest_is_added_if_it_lacks(
    tmp_path: Path, outside: World
) -> None:
    root = packed_project(tmp_path, outside)
    (found,) = records_in(root / "dist")
    (root / "requirements.txt").unlink()
    write(root, {"uv.lock": ""})
    helper = make_wheel(tmp_path / "w", "helper", version="3.0")
    outside.resolver.text = lock_text(helper)
    bench = FakeBench()
    ran(root, outside, bench, found)
    assert outside.resolver.exported == [("uv.lock", "test")]
    assert outside.resolver.asked_beside == [(("fruit==1.0", "helper==3.0"), ("pytest",))]
    ((_, _, site),) = bench.suites
    assert {"helper/__init__.py", "pytest/__init__.py"} <= set(site)


def test_a_custom_image_has_the_environment(tmp_path: Path, outside: World) -> None:
    root = packed_project(tmp_path, outside)
    bench = FakeBench(env={"PYSPARK_PYTHON": "/opt/python"}, has={"fruit": "1.5"})
    suite = ran(root, outside, bench, None, image="mine:1", limit_s=7)
    assert (suite.archives, suite.python, suite.limit_s) == ((), "/opt/python", 7)
    assert outside.resolver.asked_beside == [(("fruit==1.5",), ("pytest", "test"))]


def test_records_are_chosen_by_architecture_and_else_by_machine(
    tmp_path: Path, outside: World
) -> None:
    both = replace(SETTINGS, arch=("all",))
    out = packed_project(tmp_path, outside, both) / "dist"

    def chosen(settings: Settings, **options: Any) -> list[str]:
        record = options.pop("record", None)
        return [t.arch.name for t, _ in subjects(record, out, settings, **options)]

    assert chosen(both, named=True, machine="amd64") == ["amd64", "arm64"]
    assert chosen(SETTINGS, named=False, machine="arm64") == ["arm64"]
    record = next(out.glob("*-arm64.packager.json"))
    assert chosen(SETTINGS, named=False, machine="amd64", record=record) == ["arm64"]
    with pytest.raises(ConfigError, match="has 2 fitting records"):
        chosen(SETTINGS, named=False, machine="riscv64")
    record.unlink()
    assert chosen(SETTINGS, named=False, machine="arm64") == ["amd64"]
    with pytest.raises(ConfigError, match="has no fitting record"):
        chosen(both, named=True, machine="amd64")


# What takes whose place, as the program in the container decides it.


def same_as_packed(tree: Path, *places: Path) -> tuple[dict[str, str], list[str]]:
    program = runpy.run_path(str(PROGRAM))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree)
        found: tuple[dict[str, str], list[str]] = program["same_as_packed"](
            [str(place) for place in places]
        )
    return found


def test_packed_modules_are_imported_from_where_they_were_packed(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"shop/__init__.py": "", "shop/a.py": "A", "main.py": "M"})
    write(app, {"tests/test_x.py": "X", "shop/tests/test_y.py": "Y", "shop/new.py": "old"})
    tree = write(
        tmp_path / "tree",
        {
            "src/shop/__init__.py": "",
            "src/shop/a.py": "A",
            "src/shop/new.py": "new",
            "src/shop/tests/test_y.py": "Y",
            "main.py": "M",
            "tests/test_x.py": "X",
            "tests/other.py": "O",
            "examples/shop/a.py": "B",
        },
    )
    packed, changed = same_as_packed(tree, tmp_path / "nothing", app)
    assert packed == {
        "main.py": "main.py",
        "shop/__init__.py": "src/shop/__init__.py",
        "shop/a.py": "src/shop/a.py",
        "shop/tests/test_y.py": "src/shop/tests/test_y.py",
    }
    assert changed == ["src/shop/new.py"]


def test_coverage_names_files_as_the_project_does(tmp_path: Path) -> None:
    report = tmp_path / "coverage.xml"
    report.write_text(
        "<coverage><sources><source>/home/hadoop/app/shop</source></sources>"
        '<class filename="a.py" /><class filename="deep/a.py" /></coverage>'
    )
    packed = {"a.py": "a.py", "shop/a.py": "src/shop/a.py", "shop/deep/a.py": "src/shop/deep/a.py"}
    runpy.run_path(str(PROGRAM))["name_as_in_project"](str(report), packed)
    text = report.read_text()
    assert "<source>.</source>" in text
    assert 'filename="src/shop/a.py"' in text
    assert 'filename="src/shop/deep/a.py"' in text
