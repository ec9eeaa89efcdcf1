"""What runs inside the clean room, here on environments with faults, with every Python there is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "packager" / "data" / "room.py"
PYTHONS = (sys.executable, *map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))))
"""This one, and those that pyenv has; the release's own runs in the room itself."""

pytestmark = pytest.mark.tools


class Environment:
    """A virtual environment made by hand, with distributions of a few files."""

    def __init__(self, root: Path, python: str) -> None:
        version = subprocess.run(
            [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        self.root = root
        self.site = root / "environment" / "lib" / f"python{version}" / "site-packages"
        self.site.mkdir(parents=True)
        self.python = root / "environment" / "bin" / "python"
        self.python.parent.mkdir()
        self.python.symlink_to(python)
        home = Path(python).resolve().parent
        (root / "environment" / "pyvenv.cfg").write_text(f"home = {home}\n")

    def add(
        self, name: str, files: dict[str, str], scripts: dict[str, str] | None = None
    ) -> "Environment":
        info = f"{name}-1.0.dist-info"
        entry_points = "".join(f"{k} = {v}\n" for k, v in (scripts or {}).items())
        own = {f"{info}/entry_points.txt": f"[console_scripts]\n{entry_points}", **files}
        own[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*own, f"{info}/RECORD"])
        for path, text in own.items():
            (self.site / path).parent.mkdir(parents=True, exist_ok=True)
            (self.site / path).write_text(text)
        for script in scripts or {}:
            launcher = self.python.parent / script
            launcher.write_text(f"#!{self.python}\nraise SystemExit('this must not run')\n")
            launcher.chmod(0o755)
        return self

    def tried(self, *folders: str, limit: str = "20") -> dict[str, Any]:
        done = subprocess.run(
            [self.python, "-B", PROGRAM, limit, *(folders or ("environment",))],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        mark, _, answer = done.stdout.splitlines()[-1].partition(": ")
        assert mark == "packager-room"
        told: dict[str, Any] = json.loads(answer)
        return told

    def failed(self, **options: str) -> dict[str, str]:
        return {f["name"]: f["error"] for f in self.tried(**options)["failures"]}


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(tmp_path, sys.executable)


@pytest.mark.parametrize("python", PYTHONS)
def test_it_works_with_every_python(tmp_path: Path, python: str) -> None:
    env = Environment(tmp_path, python)
    env.add("good", {"good/__init__.py": "main = print"}, {"good": "good:main"})
    env.add("bad", {"bad.py": "import nowhere"})
    told = env.tried()
    assert (told["modules"], told["scripts"]) == (2, 1)
    assert [(f["name"], f["missing"]) for f in told["failures"]] == [("bad", "nowhere")]


def test_each_way_to_fail_is_a_failure_of_its_own(env: Environment) -> None:
    env.add("raises", {"raises.py": "import ctypes\nctypes.CDLL('libnowhere.so.1')"})
    env.add("crashes", {"crashes/__init__.py": "import ctypes\nctypes.string_at(0)"})
    env.add("exits", {"exits.py": "raise SystemExit(3)"})
    env.add("leaves", {"leaves.py": "import os\nos._exit(0)"})
    env.add("works", {"works.py": ""})
    env.add("zz", {"zz.py": "import nowhere"})
    failed = env.failed()
    assert list(failed) == ["crashes", "exits", "leaves", "raises", "zz"]
    assert failed["crashes"] == "the process was killed by SIGSEGV"
    assert failed["exits"] == "SystemExit: 3"
    assert failed["leaves"] == "the process ended with exit status 0"
    assert failed["raises"].startswith("OSError: libnowhere.so.1: cannot open shared object file")
    assert failed["zz"] == "ModuleNotFoundError: No module named 'nowhere'"


def test_one_that_hangs_costs_no_one_else(env: Environment) -> None:
    env.add("a", {"a.py": ""})
    env.add("hangs", {"hangs.py": "import threading\nthreading.Event().wait()"})
    env.add("zz", {"zz.py": "import nowhere"})
    assert env.failed(limit="1") == {
        "hangs": "it took longer than 1 s",
        "zz": "ModuleNotFoundError: No module named 'nowhere'",
    }


def test_what_fails_only_after_another_is_no_failure(env: Environment) -> None:
    env.add("a", {"a.py": "import sys\nsys.modules['json'] = None"})
    env.add("b", {"b.py": "import json"})
    assert env.failed() == {}


def test_what_is_printed_at_start_up_is_no_answer(env: Environment) -> None:
    env.add("loud", {"loud.py": "print('null')\nimport os\nos.write(1, b'{}')"}, {"l": "loud:os"})
    (env.site / "loud.pth").write_text("import sys; print('hello')\n")
    told = env.tried()
    assert (told["modules"], told["failures"]) == (1, [])


def test_what_is_not_for_importing_is_not_imported(env: Environment) -> None:
    text = "raise RuntimeError"
    env.add(
        "odd",
        {
            "odd.libs/x.py": text,
            "_private/__init__.py": text,
            "tests/__init__.py": text,
            "docs/conf.py": text,
            "data/table.csv": "",
            "libodd.so": "",
            "class.py": text,
            "../../../bin/odd.py": text,
            "space/inner/__init__.py": "",
        },
    )
    told = env.tried()
    assert (told["modules"], told["failures"]) == (1, [])  # space.inner: `space` is no package


def test_compiled_modules_are_imported_even_if_private(env: Environment) -> None:
    env.add("fast", {"_fast.abi3.so": "not a library"})
    assert "_fast" in env.failed()


def test_scripts_are_loaded_and_started_but_never_run(env: Environment) -> None:
    env.add(
        "app",
        {"app/__init__.py": "", "app/cli.py": "class Command:\n    main = print"},
        {"good": "app.cli:Command.main", "gone": "app.cli:nothing", "nowhere": "app.nowhere:main"},
    )
    assert env.failed() == {
        "gone": "AttributeError: module 'app.cli' has no attribute 'nothing'",
        "nowhere": "ModuleNotFoundError: No module named 'app.nowhere'",
    }


def test_a_script_that_another_python_would_run_is_told(env: Environment) -> None:
    env.add("app", {"app.py": "main = print"}, {"a": "app:main", "b": "app:main", "c": "app:main"})
    bin_ = env.python.parent
    (bin_ / "a").write_text(f"#!{sys.base_prefix}/bin/python3\n")
    (bin_ / "b").write_text("#!/nowhere/python\n")
    (bin_ / "c").unlink()
    failed = env.failed()
    assert failed["a"].startswith("it starts the Python of ")
    assert "No such file" in failed["b"]
    assert failed["c"] == "it is not there"


def test_extras_are_not_asked_for(env: Environment) -> None:
    env.add("app", {"app.py": ""}, {"extra": "app:nothing [cli]"})
    assert env.tried()["scripts"] == 0


def test_packages_of_a_project_that_is_only_files_are_imported_its_scripts_are_not(
    env: Environment,
) -> None:
    for path in ("jobs/__init__.py", "broken/__init__.py", "main.py", "notes/x.txt"):
        (env.root / "app" / path).parent.mkdir(parents=True, exist_ok=True)
        (env.root / "app" / path).write_text("import nowhere" if "jobs" not in path else "")
    (env.site / "app.pth").write_text("../../../../app\n")
    told = env.tried("environment", "app")
    assert told["modules"] == 2
    assert [f["name"] for f in told["failures"]] == ["broken"]


def test_an_egg_without_a_record_has_a_list(env: Environment) -> None:
    (env.site / "old.py").write_text("import nowhere")
    (env.site / "old-1.0.egg-info").mkdir()
    (env.site / "old-1.0.egg-info" / "top_level.txt").write_text("old\n_private\n")
    assert list(env.failed()) == ["old"]
