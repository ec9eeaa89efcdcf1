"""Local runs: the choices around them with planted programs, and then real jobs on a real Spark."""

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from packager.adapters import process, spark
from packager.adapters.spark import LocalConf, SparkHome
from packager.errors import CommandError, ConfigError, ToolError, ValidationFailedError

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
PACKAGES = f"lib/python{PYTHON}/site-packages"
SPARK_VERSION = "3.5.6"


def planted(path: Path, text: str = "", *, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def program(path: Path, script: str) -> Path:
    return planted(path, f"#!/bin/sh\n{script}\n", mode=0o755)


def archive(path: Path, files: Mapping[str, str], links: Mapping[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return path


def environment(path: Path, *, interpreter: str) -> Path:
    """As packager makes it: an interpreter that the release has, and a layer for the app."""
    return archive(
        path,
        {
            "pyvenv.cfg": f"home = {Path(interpreter).parent}\ninclude-system-site-packages = false\n",
            f"{PACKAGES}/tiny_dependency.py": "",
            f"{PACKAGES}/app.pth": "../../../../app\n",
        },
        {"bin/python": "python3", "bin/python3": interpreter},
    )


def real_interpreter() -> str:
    """Of the Python that runs the tests, and no virtual environment's."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


# --- Finding Spark and Java ----------------------------------------------------------------------


def spark_home(path: Path, version: str = SPARK_VERSION) -> Path:
    program(path / "bin" / "spark-submit", "exit 1")
    planted(path / "jars" / f"spark-core_2.12-{version}.jar")
    return path


def find(
    env: Mapping[str, str], explicit: Path | None = None, wanted: str = SPARK_VERSION
) -> tuple[SparkHome, list[str]]:
    said: list[str] = []
    return spark.find_spark(env, explicit, wanted=wanted, say=said.append), said


def test_the_named_spark_comes_before_spark_home(tmp_path: Path) -> None:
    one, two = spark_home(tmp_path / "one"), spark_home(tmp_path / "two", "3.5.8")
    env = {"SPARK_HOME": str(two)}
    assert find(env, one) == (SparkHome(path=one, version=SPARK_VERSION), [])
    assert find(env) == (SparkHome(path=two, version="3.5.8"), [])


def test_a_spark_that_was_named_is_never_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a Spark home"):
        find({}, tmp_path)
    with pytest.raises(ToolError, match=r"^SPARK_HOME is .*, which is not a Spark home"):
        find({"SPARK_HOME": str(tmp_path)})


def test_the_release_file_knows_better_than_the_jars(tmp_path: Path) -> None:
    home = spark_home(tmp_path)
    planted(home / "RELEASE", "Spark 3.5.6.vendor (git revision 303c) built for Hadoop 3.3.4\n")
    assert find({}, home)[0].version == "3.5.6.vendor"


def test_another_minor_version_is_said_but_used(tmp_path: Path) -> None:
    home, said = find({}, spark_home(tmp_path), wanted="3.3.2")
    assert home.version == SPARK_VERSION
    [warning] = said
    assert warning.startswith(f"warning: Spark 3.5.6 at {tmp_path} stands in for 3.3.2")
    assert warning.endswith(": uv pip install pyspark==3.3.2")


@pytest.fixture
def no_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


@pytest.mark.usefixtures("no_pyspark")
@pytest.mark.parametrize("home", ["venv/lib/python3.9/site-packages/pyspark", "venv"])
def test_spark_submit_on_path_leads_to_its_home(home: str, tmp_path: Path) -> None:
    spark_home(tmp_path / home)
    program(tmp_path / "venv" / "bin" / "spark-submit", "exit 1")
    assert find({"PATH": f"{tmp_path}/venv/bin"})[0].path == tmp_path / home


@pytest.mark.usefixtures("no_pyspark")
def test_no_spark_names_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no Spark was found") as caught:
        find({"PATH": str(tmp_path)}, wanted="3.3.1")
    assert caught.value.fix == "uv pip install pyspark==3.3.1"


JAVA = 'echo "    java.home = {home}" >&2'


@pytest.mark.tools
@pytest.mark.parametrize("variable", ["JAVA_HOME", "PATH"])
def test_java_itself_says_where_it_is(variable: str, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "java", JAVA.format(home="/opt/a java"))
    value = tmp_path if variable == "JAVA_HOME" else tmp_path / "bin"
    assert spark.find_java({variable: str(value)}) == Path("/opt/a java")


@pytest.mark.tools
def test_a_java_that_only_offers_to_install_one_is_none(tmp_path: Path) -> None:
    program(tmp_path / "java", "echo 'please install' >&2; exit 1")
    with pytest.raises(ToolError, match="no Java that runs") as caught:
        spark.find_java({"PATH": str(tmp_path)})
    assert "Java 17" in caught.value.why
    assert "install a Java runtime (17" in caught.value.fix


@pytest.mark.tools
def test_no_java_at_all_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no Java that runs") as caught:
        spark.find_java({"PATH": str(tmp_path)})
    assert "`java` was not found" in caught.value.why


# --- Translating the configuration ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "here"),
    [
        ("spark.executor.memory", "4g", "1g"),
        ("spark.executor.memory", "1025m", "1g"),
        ("spark.executor.memory", "2048", "1g"),
        ("spark.executor.memory", "1TB", "1g"),
        ("spark.executor.memory", "1024m", "1024m"),
        ("spark.executor.memory", "512m", "512m"),
        ("spark.executor.memory", "nonsense", "nonsense"),
        ("spark.driver.memory", "16g", "1g"),
        ("spark.executor.cores", "4", "1"),
        ("spark.driver.cores", "2", "1"),
        ("spark.task.cpus", "2", "1"),
        ("spark.executor.instances", "10", "2"),
        ("spark.executor.instances", "1", "1"),
        ("spark.sql.shuffle.partitions", "400", "400"),
    ],
)
def test_sizes_are_capped_at_what_local_workers_have(key: str, value: str, here: str) -> None:
    said = (f"{key} is {here} here, not {value}: local workers are small",)
    assert spark.local_conf([(key, value)], aliases=(), workers=2) == LocalConf(
        confs=((key, here),), driver_env=(), notes=() if value == here else said
    )


def test_only_what_emr_alone_knows_is_left_out() -> None:
    conf = [
        ("spark.archives", "s3://b/env.tar.gz#environment, s3://b/more.tar.gz#more"),
        ("spark.emr-serverless.driverEnv.STAGE", "a=b c"),
        ("spark.emr-serverless.driverEnv.PYSPARK_PYTHON", "./environment/bin/python"),
        ("spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON", "./environment/bin/python"),
        ("spark.executorEnv.PYSPARK_PYTHON", "./environment/bin/python"),
        ("spark.executorEnv.STAGE", "test"),
        ("spark.emr-serverless.executor.disk", "100g"),
        ("spark.dynamicAllocation.maxExecutors", "8"),
        ("spark.sql.x", "y"),
        ("spark.sql.x", "z"),
    ]
    left_out = ["s3://b/more.tar.gz#more", conf[6][0], conf[7][0]]
    assert spark.local_conf(conf, aliases={"environment", "app"}, workers=2) == LocalConf(
        confs=(
            ("spark.executorEnv.STAGE", "test"),
            ("spark.sql.x", "y"),
            ("spark.sql.x", "z"),
        ),
        driver_env=(("STAGE", "a=b c"),),
        notes=(f"not used by a local run: {', '.join(left_out)}",),
    )


def test_another_interpreter_than_the_archives_is_refused_aloud() -> None:
    conf = [("spark.pyspark.python", "/usr/bin/python3")]
    local = spark.local_conf(conf, aliases=(), workers=2)
    assert local.notes == (
        "spark.pyspark.python=/usr/bin/python3 is not used here: ./environment/bin/python is",
    )


# --- Choosing the interpreter --------------------------------------------------------------------


def choose(
    tmp_path: Path, packed: Path, *, python: str = PYTHON, path: str = ""
) -> tuple[str, tuple[str, ...]]:
    driver = tmp_path / "driver"
    spark.unpack(packed, driver / "environment", env=os.environ)
    chosen = spark.choose_interpreter(
        driver, python=python, stand_in=tmp_path / "stand-in", env={"PATH": path}
    )
    return chosen.path, chosen.notes


@pytest.mark.tools
def test_an_interpreter_that_is_here_is_used_untouched(tmp_path: Path) -> None:
    packed = environment(tmp_path / "env.tar.gz", interpreter=real_interpreter())
    assert choose(tmp_path, packed) == ("./environment/bin/python", ())


@pytest.mark.tools
def test_a_missing_interpreter_is_stood_in_for(tmp_path: Path) -> None:
    packed = environment(tmp_path / "env.tar.gz", interpreter="/usr/bin/no-such-python")
    # Two shims before it: a version manager's that refuses, and one that is another Python.
    program(tmp_path / "one" / f"python{PYTHON}", "exit 127")
    program(tmp_path / "two" / f"python{PYTHON}", "echo 2.7; echo /usr/bin/python2")
    program(tmp_path / "three" / f"python{PYTHON}", f'exec "{real_interpreter()}" "$@"')
    stand_in, notes = choose(
        tmp_path, packed, path=f"{tmp_path}/one:{tmp_path}/two:{tmp_path}/three"
    )
    assert notes == (
        f"/usr/bin/no-such-python is not on this machine: {real_interpreter()} stands in for it",
    )
    # In any directory with the archives, their packages and nobody else's are seen.
    archive(tmp_path / "app.tar.gz", {"tiny_app.py": ""})
    spark.unpack(tmp_path / "app.tar.gz", tmp_path / "driver" / "app", env=os.environ)
    code = (
        "import importlib.util as u, json, sys; print(json.dumps([u.find_spec(n) and "
        "u.find_spec(n).origin for n in ('tiny_dependency', 'tiny_app', 'pip')]))"
    )
    said = process.run([stand_in, "-c", code], cwd=tmp_path / "driver").stdout
    environment_at = tmp_path / "driver" / "environment" / PACKAGES
    assert json.loads(said) == [
        f"{environment_at}/tiny_dependency.py",
        f"{tmp_path}/driver/app/tiny_app.py",
        None,
    ]


@pytest.mark.tools
def test_the_wrong_version_at_the_right_path_is_stood_in_for(tmp_path: Path) -> None:
    other = program(tmp_path / "usr" / "python3", "echo 3.9; echo /usr/bin/python3.9")
    packed = environment(tmp_path / "env.tar.gz", interpreter=str(other))
    program(tmp_path / "bin" / f"python{PYTHON}", f'exec "{real_interpreter()}" "$@"')
    stand_in, notes = choose(tmp_path, packed, path=f"{tmp_path}/bin")
    assert stand_in == f"{tmp_path}/stand-in/bin/python"
    assert notes == (
        f"{other} is Python 3.9 here, not {PYTHON}: {real_interpreter()} stands in for it",
    )


@pytest.mark.tools
def test_without_any_stand_in_uv_is_named(tmp_path: Path) -> None:
    packed = environment(tmp_path / "env.tar.gz", interpreter="/usr/bin/python9.9")
    with pytest.raises(ToolError, match=r"^/usr/bin/python9\.9, .* is not on this machine$") as no:
        choose(tmp_path, packed, python="9.9")
    assert no.value.fix == "uv python install 9.9"


@pytest.mark.tools
def test_an_interpreter_in_the_archive_that_cannot_run_is_not_replaced(tmp_path: Path) -> None:
    packed = archive(
        tmp_path / "env.tar.gz", {"bin/python3.11": "\x7fELF"}, {"bin/python": "python3.11"}
    )
    with pytest.raises(ValidationFailedError, match="does not run here") as caught:
        choose(tmp_path, packed)
    assert caught.value.why == "it cannot be started"


@pytest.mark.tools
def test_an_archive_without_an_interpreter_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "env.tar.gz", {"venv/bin/python": ""})
    with pytest.raises(ValidationFailedError, match="has no bin/python") as caught:
        choose(tmp_path, packed)
    assert caught.value.why == "at its top it has: venv"


def test_the_callers_shell_does_not_reach_the_job() -> None:
    env = {
        "PATH": "/bin",
        "AWS_PROFILE": "me",
        "https_proxy": "p",
        "LANG": "de_DE.UTF-8",
        "PYTHONPATH": "/project/src",
        "SPARK_HOME": "/s",
        "VIRTUAL_ENV": "/v",
        "UV_INDEX_PASSWORD": "x",
    }
    kept = {name: env[name] for name in ("PATH", "AWS_PROFILE", "https_proxy", "LANG")}
    assert spark.base_environment(env) == kept
    assert spark.base_environment({"LANG": "C"}) == {"LANG": "C", "LC_ALL": "C.UTF-8"}


def test_the_words_that_tell_are_picked_from_a_log() -> None:
    chatter = "26/11/20 13:50:00 INFO SparkContext: Running"
    error = "26/11/20 13:50:00 ERROR Executor: Exception in task"
    log = [chatter, error, "Caused by: this", "\tat org.x.Y$.z(Y.scala:7)", "\t... 9 more", ""]
    assert spark.worth_saying(log) == (error, "Caused by: this")
    assert spark.worth_saying([chatter]) == (chatter,)


# --- Real jobs -----------------------------------------------------------------------------------

JOB = """
import json, os, sys
from pyspark.sql import SparkSession

def where(number):
    import tiny_app, tiny_dependency
    return {"executable": sys.executable, "cwd": os.getcwd(),
            "modules": [tiny_dependency.__file__, tiny_app.__file__]}

spark = SparkSession.builder.getOrCreate()
tasks = spark.sparkContext.parallelize(range(8), 8).map(where).collect()
try:
    import beside_the_script as beside
except ImportError:
    beside = None
print(json.dumps({
    "driver": where(0), "tasks": tasks, "arguments": sys.argv[1:], "stage": os.environ["STAGE"],
    "conf": spark.conf.get("spark.sql.shuffle.partitions"), "beside": beside is not None,
    "path": [os.environ.get("PYTHONPATH", ""), *sys.path],
}))
spark.stop()
"""

FAILING_JOB = """
import sys
from pyspark.sql import SparkSession

def work(number):
    import tiny_dependency, tiny_app
    print("executor:", sys.executable, file=sys.stderr)
    import not_in_the_archive

spark = SparkSession.builder.getOrCreate()
try:
    spark.sparkContext.parallelize(range(2), 2).foreach(work)
except Exception as error:
    print("driver:", sys.executable, "ModuleNotFoundError" in str(error))
    sys.exit(7)
"""

ENDLESS_JOB = """
import os, threading
from pyspark.sql import SparkSession

pipe = os.path.abspath("pipe")
os.mkfifo(pipe)

def work(number):
    with open(pipe, "w") as ready:
        ready.write("up")
    threading.Event().wait()

def tell():
    with open(pipe) as ready:
        print(ready.read(2), flush=True)

threading.Thread(target=tell, daemon=True).start()
spark = SparkSession.builder.getOrCreate()
spark.sparkContext.parallelize(range(1), 1).foreach(work)
"""

RUN = """
import os, sys, tempfile
from pathlib import Path
from packager.adapters import spark
archive, job = sys.argv[1:]
say = lambda line: print(line, flush=True)
spark.run_local(
    {"environment": Path(archive)}, Path(job), [], conf=[], python="%d.%d" % sys.version_info[:2],
    spark=spark.find_spark(os.environ, wanted="3.5.6", say=say), java=spark.find_java(os.environ),
    env=os.environ, say=say, out=say,
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A real Spark and Java, and a directory that would break anybody who splits paths."""

    spark: SparkHome
    java: Path
    root: Path
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def run(
        self, archives: Mapping[str, Path], job: str, arguments: Sequence[str], **conf: str
    ) -> int:
        planted(self.root / "beside_the_script.py")
        return spark.run_local(
            archives,
            planted(self.root / "my job.py", job),
            arguments,
            conf=tuple(conf.items()),
            spark=self.spark,
            java=self.java,
            python=PYTHON,
            # The caller's own modules must not be what makes a job pass.
            env=dict(os.environ) | {"PYTHONPATH": str(self.root)},
            say=self.said.append,
            out=self.printed.append,
        )

    def left_behind(self) -> list[str]:
        """Files of ours, and processes: each has this directory in its environment."""
        left = [path.name for path in self.root.glob("packager-run-*")]
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                text = path.read_bytes()
            except OSError:
                continue
            if os.fsencode(f"{self.root}/packager-run-") in text:
                left.append((path.parent / "cmdline").read_text(encoding="utf-8"))
        return left


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    home = spark.find_spark(os.environ, wanted=SPARK_VERSION, say=print)
    java = spark.find_java(os.environ)
    root = tmp_path / "dir with ü blank"
    root.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    return Rig(spark=home, java=java, root=root)


@pytest.mark.spark
def test_driver_and_executors_run_from_the_archives(rig: Rig) -> None:
    archives = {
        "environment": environment(rig.root / "a,b" / "x.tar.gz", interpreter=real_interpreter()),
        # The same name, and a comma before it: both break a list of plain paths.
        "app": archive(rig.root / "ü" / "x.tar.gz", {"tiny_app.py": ""}),
    }
    status = rig.run(
        archives,
        JOB,
        ["a b", "", "ü", "--conf"],
        **{
            "spark.emr-serverless.driverEnv.STAGE": "a=b c",
            "spark.sql.shuffle.partitions": "3",
            "spark.executor.memory": "8g",
        },
    )
    assert status == 0, rig.said + rig.printed
    [line] = rig.printed
    result = json.loads(line)
    driver, tasks = result["driver"], result["tasks"]
    for process_ in (driver, *tasks):
        cwd = process_["cwd"]
        assert process_["executable"] == f"{cwd}/environment/bin/python"
        assert process_["modules"] == [
            f"{cwd}/environment/{PACKAGES}/tiny_dependency.py",
            f"{cwd}/app/tiny_app.py",
        ]
    executors = {Path(task["cwd"]).parts[-3] for task in tasks}
    assert executors == {"worker-1", "worker-2"}
    assert result["arguments"] == ["a b", "", "ü", "--conf"]
    assert (result["stage"], result["conf"]) == ("a=b c", "3")
    assert not result["beside"]
    assert str(rig.root) not in result["path"]
    assert rig.said == [
        "spark.executor.memory is 1g here, not 8g: local workers are small",
        f"Spark {rig.spark.version}: a master and 2 workers on this machine",
    ]
    assert rig.left_behind() == []


@pytest.mark.spark
def test_a_failing_job_is_explained_also_on_a_stand_in(rig: Rig) -> None:
    archives = {
        "environment": environment(rig.root / "env.tar.gz", interpreter="/usr/bin/no-such-python"),
        "app": archive(rig.root / "app.tar.gz", {"tiny_app.py": ""}),
    }
    assert rig.run(archives, FAILING_JOB, []) == 7, rig.said + rig.printed
    [line] = rig.printed
    assert line.startswith("driver: ")
    assert line.endswith("/stand-in/bin/python True")
    said = "\n".join(rig.said)
    assert "/usr/bin/no-such-python is not on this machine: " in said
    assert "the job failed with exit status 7\nSpark's last words:\n" in said
    _, _, executors = said.partition("\nexecutor ")
    assert "ModuleNotFoundError: No module named 'not_in_the_archive'" in executors
    assert "/stand-in/bin/python" in executors
    assert rig.left_behind() == []


@pytest.mark.spark
def test_an_interrupt_ends_everything(rig: Rig) -> None:
    packed = environment(rig.root / "env.tar.gz", interpreter=real_interpreter())
    job = planted(rig.root / "job.py", ENDLESS_JOB)
    ours = subprocess.Popen(
        [sys.executable, "-c", RUN, packed, job],
        env=dict(os.environ) | {"TMPDIR": str(rig.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with ours:
        assert ours.stdout is not None
        assert "up\n" in iter(ours.stdout.readline, "")
        assert rig.left_behind() != []
        ours.send_signal(signal.SIGINT)
        said, _ = ours.communicate()
    assert ours.returncode == -signal.SIGINT, said
    assert rig.left_behind() == []


@pytest.mark.spark
def test_a_cluster_that_cannot_start_says_why(rig: Rig, tmp_path: Path) -> None:
    broken = tmp_path / "java"
    program(broken / "bin" / "java", "echo 'no room for a heap' >&2; exit 1")
    packed = environment(rig.root / "env.tar.gz", interpreter=real_interpreter())
    with pytest.raises(CommandError, match="ended with exit status 1") as caught:
        spark.run_local(
            {"environment": packed},
            planted(rig.root / "job.py"),
            [],
            conf=(),
            spark=rig.spark,
            java=broken,
            python=PYTHON,
            env=os.environ,
            say=print,
            out=print,
        )
    assert "no room for a heap" in caught.value.why
    assert rig.left_behind() == []
