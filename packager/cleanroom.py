"""The clean room: what is run in the release's own image to try archives out, and what it says.

Pure: programs and answers; an adapter brings them to an engine and back. The two programs that run
inside are `data/room.py` and `data/room_job.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal, cast

HOME: Final = "/home/hadoop"
"""Where EMR Serverless starts drivers and executors."""
USER: Final = "hadoop"
FOLDER: Final = PurePosixPath("/tmp/packager")  # noqa: S108  # of a container, not of this machine
PROGRAMS: Final = {"room.py": "room.py", "room_job.py": "job.py"}
"""Files of `packager/data`, and what they are called in the room."""
PYTHON: Final = "./environment/bin/python"
"""As EMR Serverless is told to start it, relative to the folder that the archives unpack in."""
SPARK_HOME: Final = "/usr/lib/spark"

ALONE: Final = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
"""Without a network Spark cannot find out who it is."""

TIMED_OUT: Final = (124, 137)
"""Statuses of `timeout`, without and with `--kill-after`."""
_ANSWERS: Final = ("packager-room: ", "packager-job: ")
_UNPACK: Final = 'mkdir -p "$1" && tar -xzf "$2" -C "$1"'
# The compiler that starts at once, since the job is over before the better one pays.
_JAVA_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds; more where every instruction is emulated."""

    unpack: int
    task: int
    """For one import, or the start of one script."""
    imports: int
    job: int

    @property
    def all(self) -> int:
        """After which a room that nobody waits for any more ends by itself."""
        return self.unpack * 3 + self.imports + self.job + 120


NATIVE: Final = Limits(unpack=600, task=120, imports=900, job=600)
EMULATED: Final = Limits(unpack=1200, task=300, imports=2700, job=1800)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that does not work in the room."""

    kind: Literal["module", "script", "launcher"]
    """An import, what a console script calls, or the start of the script itself."""
    name: str
    distribution: str
    """Empty for a package of a project that is only files."""
    how: str
    """`raised`, `crashed`, `hung` or `launch`."""
    error: str
    target: str = ""
    """What a script calls, as `module:attribute`."""
    missing: str = ""
    """The module that could not be found, where that is the cause."""
    trace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How the Spark job went."""

    problem: str
    """Empty if it worked."""
    pandas: str = ""
    """Why functions on pandas data do not work; empty if they do, or there is no pandas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFacts:
    """What was seen in the room; nothing after the first of its steps that failed."""

    image: str
    digest: str
    platform: str
    emulated: bool
    archive: str
    """Name of the environment's file."""
    problem: str = ""
    """Why an archive does not unpack or its interpreter does not start; empty if they do."""
    python: str = ""
    """Its whole version."""
    modules: int = 0
    scripts: int = 0
    failures: tuple[Failure, ...] = ()
    job: JobOutcome | None = None
    """None where the image has no Spark."""


def unpack(kind: str, file: PurePosixPath) -> tuple[str, ...]:
    """With `tar` and as the job's user, as Spark does it."""
    return ("sh", "-c", _UNPACK, "unpack", kind, str(file))


def try_out(kinds: Sequence[str], limits: Limits) -> tuple[str, ...]:
    """The program that imports and starts everything; see `data/room.py`."""
    folders = [kind for kind in kinds if kind != "python"]  # the interpreter's own library
    return (PYTHON, "-B", str(FOLDER / "room.py"), str(limits.task), *folders)


def spark_job(submit: str, limits: Limits) -> tuple[str, ...]:
    return (
        *("timeout", "--kill-after=10", str(limits.job)),
        submit,
        *("--master", "local[2]"),
        *("--driver-memory", "1g"),
        *("--driver-java-options", _JAVA_OPTIONS),
        *("--conf", "spark.ui.enabled=false"),
        *("--conf", "spark.driver.bindAddress=127.0.0.1"),
        *("--conf", "spark.driver.host=127.0.0.1"),
        str(FOLDER / "job.py"),
    )


def job_environment() -> Mapping[str, str]:
    """What EMR Serverless makes of the configuration that packager prints."""
    return {"PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON}


def answer(stdout: str) -> Mapping[str, Any] | None:
    """What one of the programs found, if it came that far."""
    for line in reversed(stdout.splitlines()):
        for mark in _ANSWERS:
            if line.startswith(mark):
                return cast("Mapping[str, Any]", json.loads(line.removeprefix(mark)))
    return None


def failures_of(told: Mapping[str, Any]) -> tuple[Failure, ...]:
    return tuple(
        Failure(
            kind=item["kind"],
            name=item["name"],
            distribution=item["distribution"],
            how=item["how"],
            error=item["error"],
            target=item.get("target", ""),
            missing=item.get("missing") or "",
            trace=tuple(item.get("trace", ())),
        )
        for item in told["failures"]
    )


def job_outcome(returncode: int, stdout: str, stderr: str) -> JobOutcome:
    told = answer(stdout)
    if returncode in TIMED_OUT:
        return JobOutcome(problem="it did not end")
    if told is None or returncode != 0:
        return JobOutcome(problem=spark_error(f"{stdout}\n{stderr}") or f"exit status {returncode}")
    inside = f"{HOME}/environment/"
    strangers = [w for w in (told["driver"], *told["workers"]) if not w.startswith(inside)]
    if strangers:
        return JobOutcome(problem=f"it ran with another Python: {', '.join(strangers)}")
    if told["squares"] != [0, 1, 4, 9]:
        return JobOutcome(problem=f"it gave {told['squares']} for the squares of 0 to 3")
    return JobOutcome(problem="", pandas=told["pandas"] or "")


_NOISE: Final = ("\tat ", " INFO ", " WARN ", "  File ", "... ", "Traceback ", "Driver stacktrace")


def spark_error(text: str) -> str:
    """The line of a log that says the most: the innermost cause that somebody can act on."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not any(noise in f"{line} " for noise in _NOISE)]
    for marks in (("Error: ", "Cannot run program"), ("Exception: ",), ("Exception", "ERROR")):
        found = [line for line in told if any(mark in line for mark in marks)]
        # Java wraps what Python raised, and logs it more than once.
        plain = [line for line in found if "py4j" not in line and " ERROR " not in line]
        if best := (plain or found):
            return best[-1][:500]
    return told[-1][:500] if told else ""


def to_json(facts: RoomFacts) -> str:
    return json.dumps(asdict(facts), sort_keys=True)


def from_json(text: str) -> RoomFacts | None:
    """Inverse of `to_json`; None for what another version wrote."""
    try:
        told = json.loads(text)
        job = told.pop("job")
        found = [
            Failure(**{**item, "trace": tuple(item["trace"])}) for item in told.pop("failures")
        ]
        return RoomFacts(
            **told, failures=tuple(found), job=None if job is None else JobOutcome(**job)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
