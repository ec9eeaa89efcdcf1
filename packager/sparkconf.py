"""Spark configuration of packed archives, and the forms in which people use it. Pure.

The only place that knows Spark's keys. Adding a form is one function and one row in EMITTERS.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
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


def _spark_submit(job: Job) -> str:
    # EMR splits this text itself and documents no quoting; `shlex.quote` would put every value
    # with a `#` in quotes. So what could be split is refused, not guessed at.
    for key, value in job.conf.entries:
        if not value or any(c.isspace() or c in "'\"\\" for c in value):
            raise ConfigError(
                f"{key} can not be written in sparkSubmitParameters: {value!r}",
                why="blanks, quotes, backslashes and empty values: EMR documents no way to write"
                " them there",
                fix="use `--format spark-defaults-json`, which has room for any text",
            )
    text = " ".join(f"--conf {key}={value}" for key, value in job.conf.entries)
    if len(text) > job.limits.spark_submit_parameters_chars:
        raise ConfigError(
            f"sparkSubmitParameters are {len(text)} characters long",
            why=f"the API takes {job.limits.spark_submit_parameters_chars}",
            fix="move properties to the application's configuration",
        )
    return text


def _json(job: Job) -> str:
    return _dump(dict(job.conf.entries))


def _spark_defaults(job: Job) -> str:
    """`java.util.Properties`, which Spark reads as UTF-8; key and value part at the first blank."""
    return "\n".join(
        key.replace(":", "\\:") + " " + _properties_value(value) for key, value in job.conf.entries
    )


def _properties_value(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    escaped = escaped.replace("\t", "\\t").replace("\f", "\\f")
    if value.startswith(("=", ":")):  # else it would be taken for the end of the key
        escaped = f"\\{escaped}"
    if value and min(value[0], value[-1]) <= " ":
        raise ConfigError(
            f"{value!r} begins or ends with a blank",
            why="Spark trims the values it reads from a properties file",
            fix="use `--format json`",
        )
    return escaped


def _classification(job: Job) -> list[dict[str, Any]]:
    limits = job.limits
    if len(job.conf.entries) > limits.spark_defaults_properties:
        raise ConfigError(
            f"{len(job.conf.entries)} properties in one classification",
            why=f"the API takes {limits.spark_defaults_properties}",
            fix="use `--format spark-submit`",
        )
    for key, value in job.conf.entries:
        if len(key) > limits.spark_defaults_key_chars:
            raise ConfigError(
                f"the property {key} has a name of {len(key)} characters",
                why="a property of applicationConfiguration takes"
                f" {limits.spark_defaults_key_chars}",
                fix="use `--format spark-submit`, whose text may be longer",
            )
        if len(value) > limits.spark_defaults_value_chars:
            raise ConfigError(
                f"the value of {key} is {len(value)} characters long",
                why="a property of applicationConfiguration takes"
                f" {limits.spark_defaults_value_chars}",
                fix="use `--format spark-submit`, whose text may be longer",
            )
    return [{"classification": "spark-defaults", "properties": dict(job.conf.entries)}]


def _spark_defaults_json(job: Job) -> str:
    return _dump({"applicationConfiguration": _classification(job)})


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


def _start_job_run(job: Job) -> str:
    limits = job.limits
    entry_point = require_entry_point(job)
    if len(entry_point) > limits.entry_point_chars:
        raise ConfigError(
            f"the entry point's location is {len(entry_point)} characters long",
            why=f"the API takes {limits.entry_point_chars}",
            fix="use a shorter --s3-uri",
        )
    if len(job.arguments) > limits.entry_point_arguments_items:
        raise ConfigError(
            f"{len(job.arguments)} arguments",
            why=f"the API takes {limits.entry_point_arguments_items}",
            fix="pass the location of a file instead",
        )
    if len(job.name) > limits.job_name_chars:
        raise ConfigError(
            f"the job's name is {len(job.name)} characters long",
            why=f"the API takes {limits.job_name_chars}",
            fix="give the project a shorter name",
        )
    submit: dict[str, Any] = {"entryPoint": entry_point}
    if job.arguments:
        submit["entryPointArguments"] = list(job.arguments)
    submit["sparkSubmitParameters"] = _spark_submit(job)
    return _dump({"name": job.name, "jobDriver": {"sparkSubmit": submit}})


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


EMITTERS: Final[Mapping[str, Callable[[Job], str]]] = {
    "spark-submit": _spark_submit,
    "json": _json,
    "spark-defaults": _spark_defaults,
    "spark-defaults-json": _spark_defaults_json,
    "start-job-run": _start_job_run,
}


def emitter(name: str) -> Callable[[Job], str]:
    """Raise `ConfigError` for a form packager does not write."""
    if name not in EMITTERS:
        near = difflib.get_close_matches(name, EMITTERS, n=1)
        raise ConfigError(
            f"{name!r} is not a format",
            why=f"known: {', '.join(EMITTERS)}",
            fix=f"did you mean {near[0]!r}?" if near else "use one of these",
        )
    return EMITTERS[name]
