"""Runs the very archives on a real Spark on this machine: a master, workers, and no Docker.

The workers' executors unpack `spark.archives` themselves, as on EMR Serverless. What Spark's
standalone mode does differently is made up for here: EMR Serverless unpacks the archives beside the
driver as well, and `spark.emr-serverless.driverEnv.*` means nothing to anybody else.
"""

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packager.adapters import process
from packager.errors import CommandError, ConfigError, ToolError, ValidationFailedError

ENVIRONMENT: Final = "environment"
INTERPRETER: Final = f"./{ENVIRONMENT}/bin/python"
WORKER_MEMORY: Final = "1g"
START_TIMEOUT_S: Final = 90.0
"""For the master and the workers to be there, on a machine that is busy with something else."""
TAIL_LINES: Final = 30

DRIVER_ENV: Final = "spark.emr-serverless.driverEnv."
EMR_ONLY: Final = "spark.emr-serverless."
PYTHON_KEYS: Final = frozenset(
    {
        "spark.executorEnv.PYSPARK_PYTHON",
        "spark.pyspark.python",
        "spark.pyspark.driver.python",
        f"{DRIVER_ENV}PYSPARK_PYTHON",
        f"{DRIVER_ENV}PYSPARK_DRIVER_PYTHON",
    }
)
OUR_KEYS: Final = frozenset({"spark.master", "spark.submit.deployMode"})
COUNT_KEYS: Final = frozenset({"spark.executor.cores", "spark.driver.cores", "spark.task.cpus"})
MEMORY_KEYS: Final = frozenset({"spark.executor.memory", "spark.driver.memory"})

KEPT_VARIABLES: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|TZ|LANG|LC_.*|AWS_.*|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|(https?|no|all)_proxy",
    re.IGNORECASE,
)
"""What a job sees of the caller's environment.

Anything else (PYTHONPATH!) is not on EMR either, and would let a job pass here that fails there."""


# Spark 3.3 logs to standard output unless told otherwise (measured with 3.3.2), where the job's own
# words belong. The rest is as in every Spark's defaults.
LOGGING: Final = """\
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkHome:
    """A Spark with `bin/spark-submit` and jars."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConf:
    """A job's configuration, translated for a small standalone cluster."""

    confs: tuple[tuple[str, str], ...]
    driver_env: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    """What is different from EMR Serverless, one line each."""


def find_spark(
    env: Mapping[str, str],
    explicit: Path | None = None,
    *,
    wanted: str,
    say: Callable[[str], None],
) -> SparkHome:
    """The Spark to run on; `wanted` is the release's version, and another one is a warning.

    A home that was named, by `explicit` or SPARK_HOME, is used or refused, never passed over.
    """
    fix = f"uv pip install pyspark=={wanted}"
    found: SparkHome | None = None
    if explicit is not None:
        if (found := _spark_at(explicit)) is None:
            raise ConfigError(f"{explicit} is not a Spark home", why=_NOT_A_HOME)
    elif named := env.get("SPARK_HOME"):
        if (found := _spark_at(Path(named))) is None:
            raise ToolError(
                f"SPARK_HOME is {named}, which is not a Spark home",
                why=_NOT_A_HOME,
                fix="unset SPARK_HOME, or let it name a Spark",
            )
    else:
        found = next((home for path in _likely_homes(env) if (home := _spark_at(path))), None)
    if found is None:
        raise ToolError(
            "no Spark was found on this machine",
            why="SPARK_HOME is not set, pyspark is not installed, spark-submit is not on PATH",
            fix=fix,
        )
    if _minor(found.version) != _minor(wanted):
        say(
            f"warning: Spark {found.version} at {found.path} stands in for {wanted}, "
            f"which the release has; for that one: {fix}"
        )
    return found


_NOT_A_HOME: Final = "it has no bin/spark-submit with jars/spark-core_*.jar beside it"


def _likely_homes(env: Mapping[str, str]) -> Iterator[Path]:
    spec = importlib.util.find_spec("pyspark")
    if spec is not None:
        yield from map(Path, spec.submodule_search_locations or ())
    if submit := shutil.which("spark-submit", path=env.get("PATH", "")):
        # A link into a Spark, or the copy that an installed pyspark puts among the scripts.
        prefix = Path(submit).resolve().parent.parent
        yield prefix
        yield from sorted(prefix.glob("lib/python3*/*-packages/pyspark"))


def _spark_at(path: Path) -> SparkHome | None:
    cores = sorted(path.glob("jars/spark-core_*.jar"))
    if not cores or not (path / "bin" / "spark-submit").is_file():
        return None
    version = cores[0].stem.partition("-core_")[2].partition("-")[2]
    release = path / "RELEASE"
    # A distribution has this file, an installed pyspark has not; it begins with `Spark 3.5.6 (`.
    said = release.read_text(encoding="utf-8") if release.is_file() else ""
    if words := re.match(r"Spark (\S+)", said):
        version = words[1]
    return SparkHome(path=path.absolute(), version=version)


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


def find_java(env: Mapping[str, str]) -> Path:
    """The home of a Java that runs (what JAVA_HOME should be), asked of that Java itself.

    A `java` on PATH may be a version manager's shim, or macOS' offer to install one.
    """
    fix = "install a Java runtime (17 suits Spark 3.3 and later), or set JAVA_HOME to one"
    home = env.get("JAVA_HOME")
    program = str(Path(home, "bin", "java")) if home else "java"
    try:
        said = process.run(
            [program, "-XshowSettings:properties", "-version"],
            env=base_environment(env),
            timeout_s=60,
            fix=fix,
        )
    except (ToolError, CommandError) as error:
        raise ToolError(
            "no Java that runs was found on this machine",
            why=f"Spark needs one (3.5: Java 8, 11 or 17; 4: Java 17 or 21). {error.what}",
            fix=fix,
        ) from error
    where = re.search(r"^\s*java\.home = (.+)$", said.stderr, re.MULTILINE)
    if where is None:
        raise ToolError(f"`{program}` does not say where it is installed", fix=fix)
    return Path(where[1].strip())


def run_local(
    archives: Mapping[str, Path],
    entry_point: Path,
    arguments: Sequence[str],
    *,
    conf: Sequence[tuple[str, str]],
    spark: SparkHome,
    java: Path,
    python: str,
    env: Mapping[str, str],
    say: Callable[[str], None],
    out: Callable[[str], None],
    workers: int = 2,
    verbose: bool = False,
) -> int:
    """Run a job on a cluster that lives as long as this call; return spark-submit's exit status.

    `archives` are keyed by alias. `out` gets what the driver's Python prints, both its stdout and
    its stderr: Spark joins them, here and on EMR. `say` gets everything else. `python` is the
    minor version the archives were made for.
    """
    if not entry_point.is_file():
        raise ConfigError(f"{entry_point} is not a file", fix="name the script of the job")
    local = local_conf(conf, aliases=archives, workers=workers)
    for note in local.notes:
        say(note)
    with (
        process.terminations_interrupt(),
        tempfile.TemporaryDirectory(prefix="packager-run-") as temporary,
    ):
        root = Path(temporary).resolve()
        driver = root / "driver"
        base = _lay_out(root, spark=spark, java=java, workers=workers, env=env)
        say(f"Spark {spark.version}: a master and {workers} workers on this machine")
        with _cluster(root, spark=spark, workers=workers, env=base) as (master, url):
            for alias, archive in archives.items():
                unpack(archive, driver / alias, env=base)
            chosen = choose_interpreter(driver, python=python, stand_in=root / "stand-in", env=env)
            for note in chosen.notes:
                say(note)
            _await_log(master, "Registering worker", times=workers)
            argv = _submit_command(
                spark,
                url=url,
                links=_linked(archives, root / "archives"),
                confs=(*local.confs, ("spark.executorEnv.PYSPARK_PYTHON", chosen.path)),
                # The script alone, as EMR fetches it: what lies beside it must not be importable.
                script=Path(shutil.copy2(entry_point, root / "entry")),
                arguments=arguments,
            )
            driver_env = dict(local.driver_env) | {
                "PYSPARK_PYTHON": chosen.path,
                "PYSPARK_DRIVER_PYTHON": chosen.path,
            }
            log: deque[str] = deque(maxlen=1000)
            status = process.stream(
                argv,
                out=out,
                err=say if verbose else log.append,
                cwd=driver,
                env=base | driver_env,
            )
        if status != 0:
            _explain(status, log=log, root=root, say=say)
    return status


def local_conf(
    conf: Sequence[tuple[str, str]], *, aliases: Collection[str], workers: int
) -> LocalConf:
    """Translate a job's configuration; what cannot be had here is capped or left out, and said.

    `aliases` are those of the archives at hand, which take the place of the published ones.
    """
    confs: list[tuple[str, str]] = []
    driver_env: list[tuple[str, str]] = []
    notes: list[str] = []
    left_out: list[str] = []
    for key, value in conf:
        if key in PYTHON_KEYS:
            if value != INTERPRETER:
                notes.append(f"{key}={value} is not used here: {INTERPRETER} is")
        elif key == "spark.archives":
            published = [name.strip() for name in value.split(",") if name.strip()]
            left_out += [name for name in published if name.rpartition("#")[2] not in aliases]
        elif key in OUR_KEYS or key.startswith("spark.dynamicAllocation."):
            left_out.append(key)
        elif key.startswith(DRIVER_ENV):
            driver_env.append((key.removeprefix(DRIVER_ENV), value))
        elif key.startswith(EMR_ONLY):
            left_out.append(key)
        else:
            possible = _capped(key, value, workers=workers)
            if possible != value:
                notes.append(f"{key} is {possible} here, not {value}: local workers are small")
            confs.append((key, possible))
    if left_out:
        notes.append(f"not used by a local run: {', '.join(left_out)}")
    return LocalConf(confs=tuple(confs), driver_env=tuple(driver_env), notes=tuple(notes))


def _capped(key: str, value: str, *, workers: int) -> str:
    if key in MEMORY_KEYS:
        return min(value, WORKER_MEMORY, key=_bytes)
    if key in COUNT_KEYS or key == "spark.executor.instances":
        limit = workers if key == "spark.executor.instances" else 1
        return str(limit) if value.isdecimal() and int(value) > limit else value
    return value


def _bytes(size: str) -> int:
    """As Spark reads memory: mebibytes without a unit. 0 for what Spark will refuse itself."""
    words = re.fullmatch(r"\s*(\d+)\s*([kmgtp]?)b?\s*", size.lower())
    if words is None:
        return 0
    return int(words[1]) << {"k": 10, "": 20, "m": 20, "g": 30, "t": 40, "p": 50}[words[2]]


def base_environment(env: Mapping[str, str]) -> dict[str, str]:
    base = {name: value for name, value in env.items() if KEPT_VARIABLES.fullmatch(name)}
    locale = base.get("LC_ALL") or base.get("LC_CTYPE") or base.get("LANG") or ""
    if "utf" not in locale.lower():
        # In the C locale Java cannot open a file whose name has a letter outside ASCII.
        base["LC_ALL"] = "C.UTF-8"
    return base


def _lay_out(
    root: Path, *, spark: SparkHome, java: Path, workers: int, env: Mapping[str, str]
) -> dict[str, str]:
    """Make the directories and Spark's own settings; return the environment for all its parts."""
    for name in ("conf", "driver", "entry", "tmp", "log"):
        (root / name).mkdir()
    temporary = f'"-Djava.io.tmpdir={root / "tmp"}"'
    defaults = {
        # An open master runs what any user of this machine sends it. The secret stands in a file
        # that only we can read, and on no command line.
        "spark.authenticate": "true",
        "spark.authenticate.secret": secrets.token_hex(32),
        "spark.master.rest.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.defaultJavaOptions": temporary,
        "spark.executor.defaultJavaOptions": temporary,
        # The job starts when every executor is there, so that each of them unpacks the archives.
        "spark.cores.max": str(workers),
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    }
    text = "".join(f"{key} {_escaped(value)}\n" for key, value in defaults.items())
    (root / "conf" / "spark-defaults.conf").write_text(text, encoding="utf-8")
    (root / "conf" / "log4j2.properties").write_text(LOGGING, encoding="utf-8")
    return base_environment(env) | {
        "JAVA_HOME": str(java),
        "SPARK_HOME": str(spark.path),
        # Instead of the Spark's own, which may say anything.
        "SPARK_CONF_DIR": str(root / "conf"),
        "SPARK_LOCAL_DIRS": str(root / "tmp"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_DAEMON_JAVA_OPTS": f"{temporary} -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "TMPDIR": str(root / "tmp"),
    }


def _escaped(value: str) -> str:
    """For a Java properties file."""
    return value.replace("\\", "\\\\")


@contextlib.contextmanager
def _cluster(
    root: Path, *, spark: SparkHome, workers: int, env: Mapping[str, str]
) -> Iterator[tuple[process.Child, str]]:
    """A master and workers that need not have registered yet; yields the master and its URL."""
    spark_class = spark.path / "bin" / "spark-class"
    deploy = "org.apache.spark.deploy"
    with contextlib.ExitStack() as stack:

        def start(name: str, *words: str | Path) -> process.Child:
            log = root / "log" / f"{name}.log"
            return stack.enter_context(
                process.background([spark_class, *words], log=log, cwd=root, env=env)
            )

        bind = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        master = start("master", f"{deploy}.master.Master", *bind)
        url = _await_log(master, r"Starting Spark master at (spark://\S+)")
        for number in range(1, workers + 1):
            size = ("--cores", "1", "--memory", WORKER_MEMORY)
            work = ("--work-dir", root / f"worker-{number}")
            start(f"worker-{number}", f"{deploy}.worker.Worker", *bind, *size, *work, url)
        yield master, url


def _await_log(child: process.Child, pattern: str, *, times: int = 1) -> str:
    """Wait until the child has said it so many times; return the first group of the first one."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        # Asked before the log is read: the last words of a dead child are all there then.
        ended = child.returncode()
        said = child.log.read_text(encoding="utf-8", errors="replace")
        found = tuple(re.finditer(pattern, said))
        if len(found) >= times:
            return found[0].group(found[0].re.groups)
        if ended is not None or time.monotonic() > deadline:
            how = "did not start" if ended is None else f"ended with exit status {ended}"
            raise CommandError(
                f"the local Spark cluster {how} (waited for {pattern!r})",
                why="\n".join(worth_saying(said.splitlines())),
            )
        time.sleep(0.05)


def unpack(archive: Path, directory: Path, *, env: Mapping[str, str]) -> None:
    # By tar itself, as Spark does. An absolute path is never taken for `host:path`.
    directory.mkdir(parents=True)
    process.run(["tar", "-xzf", archive.absolute(), "-C", directory], env=env)


def _linked(archives: Mapping[str, Path], directory: Path) -> dict[str, Path]:
    """Links named by alias: Spark refuses two files of one name, and splits names at commas.

    (It decodes URIs before it splits their list, so percent-encoding does not help.)
    """
    directory.mkdir()
    links = {alias: directory / f"{alias}.tar.gz" for alias in archives}
    for alias, link in links.items():
        link.symlink_to(archives[alias].absolute())
    return links


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    path: str
    notes: tuple[str, ...] = ()


def choose_interpreter(
    driver: Path, *, python: str, stand_in: Path, env: Mapping[str, str]
) -> Interpreter:
    """The archive's own interpreter where it runs here, else one that stands in for it."""
    base = base_environment(env)
    inside = driver / INTERPRETER
    if not inside.is_symlink() and not inside.exists():
        unpacked = ", ".join(sorted(path.name for path in driver.glob(f"{ENVIRONMENT}/*")))
        raise ValidationFailedError(
            f"the archive has no bin/python, so there is no {INTERPRETER}",
            why=f"at its top it has: {unpacked or 'nothing'}",
            fix=f"pass the environment's archive as `{ENVIRONMENT}`",
        )
    answer = _ask(inside, env=base)
    if answer is not None and answer.python == python:
        return Interpreter(path=INTERPRETER)
    target = _outside_target(inside, driver)
    if target is None:
        raise ValidationFailedError(
            f"the archive brings an interpreter that does not run here as Python {python}",
            why=f"it says it is {answer.python}" if answer else "it cannot be started",
            fix="run on a machine with the archive's architecture and at least its C library",
        )
    here = f"is Python {answer.python} here, not {python}" if answer else "is not on this machine"
    other = next((found for found in _candidates(python, env) if found.python == python), None)
    if other is None:
        raise ToolError(
            f"{target}, the interpreter of the archive, {here}",
            why=f"no Python {python} that could stand in for it was found",
            fix=f"uv python install {python}",
        )
    _write_stand_in(stand_in, other.executable, python=python)
    return Interpreter(
        path=str(stand_in / "bin" / "python"),
        notes=(f"{target} {here}: {other.executable} stands in for it",),
    )


def _outside_target(link: Path, inside: Path) -> Path | None:
    """Where the chain of links leaves the directory, if it does."""
    for _ in range(40):  # As many as Linux follows.
        if not link.is_symlink():
            return None
        link = Path(os.path.normpath(link.parent / link.readlink()))
        if not link.is_relative_to(inside):
            return link
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    python: str
    executable: Path
    """The real one, even when it was asked through a shim or a virtual environment."""


_QUESTION: Final = (
    'import sys; print("%d.%d" % sys.version_info[:2]);'
    'print(getattr(sys, "_base_executable", None) or sys.executable)'
)


def _ask(program: Path, *, env: Mapping[str, str]) -> _Answer | None:
    try:
        said = process.run([program, "-I", "-c", _QUESTION], env=env, check=False, timeout_s=60)
    except ToolError:
        return None
    lines = said.stdout.splitlines()
    if said.returncode != 0 or len(lines) != 2:
        return None
    return _Answer(python=lines[0], executable=Path(lines[1]))


def _candidates(python: str, env: Mapping[str, str]) -> Iterator[_Answer]:
    base = base_environment(env)
    for directory in env.get("PATH", "").split(os.pathsep):
        program = Path(directory, f"python{python}")
        if directory and program.is_file() and (answer := _ask(program, env=base)):
            yield answer
    try:
        from uv import find_uv_bin

        uv = find_uv_bin()
    except (ImportError, FileNotFoundError):
        return  # Then only PATH is searched; the error that follows names uv.
    found = process.run([uv, "python", "find", "--no-project", python], env=env, check=False)
    program = Path(found.stdout.strip())
    if found.returncode == 0 and program.is_file() and (answer := _ask(program, env=base)):
        yield answer


def _write_stand_in(directory: Path, executable: Path, *, python: str) -> None:
    """Write a virtual environment of `executable` whose packages are those of the archive.

    They are looked for in the working directory, which is another one for the driver and for every
    executor. As in the archive's own environment, no package of `executable` can be seen.
    """
    packages = directory / "lib" / f"python{python}" / "site-packages"
    packages.mkdir(parents=True)
    (directory / "bin").mkdir()
    (directory / "bin" / "python").symlink_to(executable)
    (directory / "pyvenv.cfg").write_text(
        f"home = {executable.parent}\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    there = f'"{ENVIRONMENT}", "lib", "python{python}", "site-packages"'
    (packages / "archive.pth").write_text(
        f"import os, site; site.addsitedir(os.path.join(os.getcwd(), {there}))\n",
        encoding="utf-8",
    )


def _submit_command(
    spark: SparkHome,
    *,
    url: str,
    links: Mapping[str, Path],
    confs: Sequence[tuple[str, str]],
    script: Path,
    arguments: Sequence[str],
) -> tuple[str, ...]:
    located = ",".join(f"{link.as_uri()}#{alias}" for alias, link in links.items())
    words = [f"{key}={value}" for key, value in (*confs, ("spark.archives", located))]
    return (
        str(spark.path / "bin" / "spark-submit"),
        "--master",
        url,
        *(part for word in words for part in ("--conf", word)),
        script.as_uri(),
        *arguments,
    )


def _explain(status: int, *, log: Sequence[str], root: Path, say: Callable[[str], None]) -> None:
    say(f"the job failed with exit status {status}")
    parts = [("Spark's last words", tuple(log))]
    for path in sorted(root.glob("worker-*/app-*/*/stderr")):
        lines = tuple(path.read_text(encoding="utf-8", errors="replace").splitlines())
        # Executors are ended by a signal, and call that an error.
        if any(" ERROR " in line and "RECEIVED SIGNAL" not in line for line in lines):
            parts.append((f"executor {path.parent.name} ({path.parent.parts[-3]})", lines))
    for title, lines in parts:
        if worth := worth_saying(lines):
            say(f"{title}:")
            for line in worth:
                say(f"  {line}")


_CHATTER: Final = re.compile(
    r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d (INFO|DEBUG|TRACE) |\s+at \S+\(.*\)$|\s+\.\.\. \d+ more$|\s*$"
)


def worth_saying(lines: Sequence[str]) -> tuple[str, ...]:
    """The end of a log, without chatter and stack frames unless there is nothing else."""
    telling = [line for line in lines if not _CHATTER.match(line)]
    return tuple((telling or list(lines))[-TAIL_LINES:])
