"""Trying an image out: which programs are run in it, and what their status and output say. Pure.

What EMR Serverless itself starts is not known, and it ignores the image's entry point. So jobs are
started as anybody would in a container of the image, by `spark-submit`, as the service's user.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from packager.cleanroom import ALONE, answer, spark_error

USER: Final = "hadoop"
FOLDER: Final = "/tmp/packager"  # noqa: S108  # of a container, not of this machine
PROGRAM: Final = "image_trial.py"
"""Of `packager/data`, and of `FOLDER` in the container."""
WRITABLE: Final = ("/tmp", "/var/tmp")  # noqa: S108  # of a container
"""What a read-only container has in memory."""
READ_ONLY: Final = "Read-only file system"
LIMIT_S: Final = 600
EMULATED_LIMIT_S: Final = 1800
_PI: Final = re.compile(r"^Pi is roughly (\d+\.\d+)", re.MULTILINE)
_CLOSE: Final = 0.1
"""The examples throw as many darts as is quick."""
# The compiler that starts at once, since the job is over before the better one pays.
_JAVA_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run in an image."""

    image: str
    platform: str
    spark_home: str
    python: str
    """Real path of the Python that jobs are to run on; empty where it is not known."""
    env: Mapping[str, str]
    """What the service sets, and the image does not."""
    example: tuple[str, ...]
    """Spark's own example that computes Pi, as `spark-submit` takes it; empty without one."""


class Outcome(NamedTuple):
    """How a program went."""

    problem: str
    """Empty if it did what it should."""
    wrote: str = ""
    """What it wanted to write in the image, and could only with a root that is not read-only."""
    ended_after_s: int = 0
    """When it was ended, since it took too long; 0 if it ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFacts:
    """What was seen in containers of an image."""

    image: str
    start: str
    """Why no program starts in it; empty if they do. Then nothing else was tried."""
    pi: Outcome | None = None
    job: Outcome | None = None
    pandas: str | None = None
    """Why functions on pandas data fail, empty if they work, None if that was not tried."""
    lacking: str = ""
    """The package for which it was not."""
    python: str = ""
    """Version of the Python that the job ran on."""
    emulated: bool = False
    """Whether the image is for another architecture than the engine's machine."""


class ImageTrial(Protocol):
    """A place to run programs in images."""

    def try_out(self, plan: Plan) -> TrialFacts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A program's end."""

    returncode: int | None
    """None if it was ended, since it took too long."""
    stdout: str
    stderr: str


def write_program(text: str) -> tuple[str, ...]:
    """Also the first thing that is tried: a shell that starts, and a folder for temporary files."""
    script = 'mkdir -p "$1" && printf %s "$3" > "$1/$2"'
    return ("sh", "-c", script, "sh", FOLDER, PROGRAM, text)


def environment(plan: Plan) -> Mapping[str, str]:
    return {**ALONE, **plan.env}


def pi(plan: Plan) -> tuple[str, ...]:
    return (*_submit(plan), *(plan.example or (f"{FOLDER}/{PROGRAM}", "pi")))


def functions(plan: Plan) -> tuple[str, ...]:
    return (*_submit(plan), f"{FOLDER}/{PROGRAM}", "functions")


def _submit(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.spark_home}/bin/spark-submit",
        *("--master", "local[2]"),
        *("--driver-memory", "1g"),
        *("--driver-java-options", _JAVA_OPTIONS),
        *("--conf", "spark.ui.enabled=false"),
        *("--conf", "spark.driver.bindAddress=127.0.0.1"),
        *("--conf", "spark.driver.host=127.0.0.1"),
        *("--conf", f"spark.sql.warehouse.dir={FOLDER}/warehouse"),
    )


def wrote(done: Completed) -> str:
    """What a program wanted to write where it may not; empty if that did not stop it."""
    if done.returncode == 0:
        return ""
    lines = f"{done.stdout}\n{done.stderr}".splitlines()
    return next((line.strip()[:300] for line in lines if READ_ONLY in line), "")


def pi_problem(done: Completed, limit_s: int) -> str:
    if problem := _problem(done, limit_s):
        return problem
    found = _PI.search(done.stdout)
    if found is None:
        return "it ends well, and does not print `Pi is roughly …`"
    if not math.isclose(float(found[1]), math.pi, abs_tol=_CLOSE):
        return f"it says that Pi is roughly {found[1]}"
    return ""


class Told(NamedTuple):
    """What the job with functions told."""

    problem: str
    pandas: str | None = None
    lacking: str = ""
    python: str = ""


def functions_told(done: Completed, plan: Plan, limit_s: int) -> Told:
    if problem := _problem(done, limit_s):
        return Told(problem)
    told = answer(done.stdout)
    if told is None:
        return Told("it ends well, and does not print its result")
    ran = {path for path, _ in (*told["workers"], told["driver"])}
    if plan.python and ran != {plan.python}:
        return Told(f"it ran on {', '.join(sorted(ran))}, and not on {plan.python}")
    if told["squares"] != [0, 1, 4, 9]:
        return Told(f"it gave {told['squares']} for the squares of 0 to 3")
    return Told("", told["pandas"], told["lacking"], told["python"])


def _problem(done: Completed, limit_s: int) -> str:
    if done.returncode is None:
        return f"it did not end within {limit_s} s"
    if done.returncode != 0:
        said = spark_error(f"{done.stdout}\n{done.stderr}") or "it says nothing"
        return f"{said} (exit status {done.returncode})"
    return ""
