"""Spark configuration of packed archives. Pure.

The only place that knows Spark's keys; `packager.emitters` writes them in the forms people use.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from packager.errors import ConfigError
from packager.releases import Limits

ENVIRONMENT: Final = "environment"
APP: Final = "app"
PYTHON: Final = f"./{ENVIRONMENT}/bin/python"

ARCHIVES: Final = "spark.archives"
PYTHON_KEYS: Final = (
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON",
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON",
    "spark.executorEnv.PYSPARK_PYTHON",
)
"""All three, always: without the second, executors fall back to the release's Python (the driver
tells them which to use), and the third is what the EMR Serverless User Guide asks for."""

OVERRIDING: Final = ("spark.pyspark.python", "spark.pyspark.driver.python")
"""Spark takes these before any environment variable, so they would undo `PYTHON_KEYS`."""

_KEY: Final = re.compile(r"[A-Za-z0-9_.\-$/:]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkConf:
    """Ordered Spark properties; the order is what users diff."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that an emitter may need."""

    conf: SparkConf
    entry_point: str | None
    arguments: tuple[str, ...]
    name: str
    release: str
    architecture: str
    """EMR's name of it, e.g. `ARM64`."""
    limits: Limits
    choices: tuple[str, ...] = ()
    """Names of the entry points there are; of several, one has to be chosen."""
    application: str | None = None
    """ID of the EMR Serverless application; forms leave room for it where it is not known."""
    role: str | None = None
    """ARN of the role that the job runs as; likewise."""
    statements: tuple[Mapping[str, Any], ...] = ()
    """What the job may do, as statements of an IAM policy. Forms that can make roles make one of
    it; without any, they ask for the ARN of a role."""
    image: str | None = None
    """Custom image of the application, where the job's Python is in one."""
    schedule: str | None = None
    """When to run, as EventBridge Scheduler writes it: `cron(0 6 * * ? *)`, `rate(1 hour)`."""


def local_uri(path: str) -> str:
    """An absolute path as Spark resolves it: as it is, or as a `file:` URI where it needs escapes.

    Commas separate archives and `#` names them, blanks end a word: none may stand in the text.
    Raise `ConfigError` for a comma, since Spark takes escapes back before it separates.
    """
    if "," in path:
        raise ConfigError(
            f"Spark can not read archives at {path}",
            why="it separates archives by commas, even where one is escaped",
            fix="move them to a folder without a comma, or name their place with --s3-uri",
        )
    plain = quote(path, safe="/._-~+=@")
    return path if plain == path else f"file://{plain}"


def conf_for_archives(archives: Sequence[tuple[str, str]], extra: Mapping[str, str]) -> SparkConf:
    """Properties that make driver and executors use the Python in `archives` (alias, URI).

    `extra` is the user's; lists are joined. Raise `ConfigError` where it contradicts ours, naming
    both.
    """
    ours = {
        ARCHIVES: ",".join(f"{uri}#{alias}" for alias, uri in archives),
        **dict.fromkeys(PYTHON_KEYS, PYTHON),
    }
    for key, value in extra.items():
        if not _KEY.fullmatch(key) or not key.startswith("spark."):
            raise ConfigError(
                f"{key!r} is not a Spark property",
                why="it comes from [tool.packager.conf] or --conf",
                fix="write the full key, as in spark.executor.memory",
            )
        if key in OVERRIDING:
            raise ConfigError(
                f"{key} = {value!r} would undo {PYTHON_KEYS[1]} = {PYTHON!r}",
                why="Spark takes this property before the environment variable",
                fix=f"remove {key} from your configuration",
            )
        if key == ARCHIVES:
            _refuse_same_alias(value, ours[ARCHIVES])
            ours[key] = ",".join(filter(None, (ours[key], value)))
        elif key in ours and ours[key] != value:
            raise ConfigError(
                f"{key} is set twice: {value!r} by you, {ours[key]!r} by packager",
                why="the archive's Python is used only with packager's value",
                fix=f"remove {key} from your configuration",
            )
        else:
            ours[key] = value
    return SparkConf(entries=tuple(ours.items()))


def _refuse_same_alias(theirs: str, ours: str) -> None:
    taken = {part.rpartition("#")[2] for part in ours.split(",")}
    for part in theirs.split(","):
        if "#" in part and (alias := part.rpartition("#")[2]) in taken:
            raise ConfigError(
                f"{ARCHIVES} unpacks two archives as #{alias}: {part} and packager's own",
                fix=f"give yours another name than {', '.join(sorted(taken))}",
            )


def require_entry_point(job: Job) -> str:
    """Raise `ConfigError` where there is none, or one of several has to be chosen."""
    if job.entry_point is not None:
        return job.entry_point
    if job.choices:
        raise ConfigError(
            f"{len(job.choices)} entry points are packed, and none is chosen",
            why=f"there are {', '.join(job.choices)}",
            fix=f"choose one: --entry-point {job.choices[0]}",
        )
    raise ConfigError(
        "no entry point is known",
        why="a job starts with a script",
        fix="set `entry-point` in [tool.packager], or --entry-point, and pack again",
    )
