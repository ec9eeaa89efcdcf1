"""Spark configuration of packed archives. Pure.

The only place that knows Spark's keys; `packager.emitters` writes them in the forms people use.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from packager.errors import ConfigError
from packager.presets import Preset, Resolved
from packager.releases import Limits

ENVIRONMENT: Final = "environment"
APP: Final = "app"
PYTHON: Final = f"./{ENVIRONMENT}/bin/python"

IMAGE_PYTHON: Final = "/opt/packager/environment/bin/python"

SECRET: Final = "EMR.secret@"  # noqa: S105  # it marks the name of one
"""How a value begins that EMR Serverless takes from AWS Secrets Manager; the name follows."""

ARCHIVES: Final = "spark.archives"
PYTHON_KEYS: Final = (
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON",
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON",
    "spark.executorEnv.PYSPARK_PYTHON",
)
"""All three, always: without the second, executors fall back to the release's Python (the driver
tells them which to use), and the third is what the EMR Serverless User Guide asks for."""

JAVA_KEYS: Final = ("spark.emr-serverless.driverEnv.JAVA_HOME", "spark.executorEnv.JAVA_HOME")

OVERRIDING: Final = ("spark.pyspark.python", "spark.pyspark.driver.python")
"""Spark takes these before any environment variable, so they would undo `PYTHON_KEYS`."""

JOINED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            ARCHIVES,
            "spark.files",
            "spark.jars",
            "spark.jars.excludes",
            "spark.jars.packages",
            "spark.jars.repositories",
            "spark.sql.extensions",
            "spark.submit.pyFiles",
        ),
        ",",
    ),
    **dict.fromkeys(
        (
            "spark.driver.extraClassPath",
            "spark.driver.extraLibraryPath",
            "spark.executor.extraClassPath",
            "spark.executor.extraLibraryPath",
        ),
        ":",
    ),
    **dict.fromkeys(("spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"), " "),
}
"""Properties that hold lists, and what separates them: those of several origins are joined."""

_KEY: Final = re.compile(r"[A-Za-z0-9_.\-$/:]+")

_SECRET_NAME: Final = re.compile(r"@[\w/+=.@-]+-[A-Za-z0-9]{6}\Z", re.ASCII)
"""UG 'Specify secret references': SecretName, a hyphen and six characters."""


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
    it; without any, they ask for the ARN of a role. What `policies.scope.HERE` names in them is
    where the template is deployed."""
    images: str | Mapping[str, str] | None = None
    """Custom image of the application, or one for `driver` and one for `executor`."""
    application_fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of CreateApplication that the project's settings name, for forms that make it."""
    replaced: Mapping[str, str] | None = None
    """Spark properties of the application, which a `spark-defaults` classification of the job takes
    the place of, so that it repeats them; None where they are not known."""
    run_fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of StartJobRun that the project's settings name, for forms that start it."""
    classifications: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Properties that are no Spark properties, by the classification they stand in."""
    notes: tuple[str, ...] = ()
    """What must be so for the job to work, and no property says."""
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


def conf_for_archives(
    archives: Sequence[tuple[str, str]], extra: Mapping[str, str], presets: Sequence[Resolved] = ()
) -> SparkConf:
    """Properties that make driver and executors use the Python in `archives` (alias, URI).

    `extra` is the user's; lists are joined. Raise `ConfigError` where any of these contradict each
    other, naming both.
    """
    ours = {
        ARCHIVES: ",".join(f"{uri}#{alias}" for alias, uri in archives),
        **dict.fromkeys(PYTHON_KEYS, PYTHON),
    }
    if theirs := extra.get(ARCHIVES):
        _refuse_same_alias(theirs, ours[ARCHIVES])
    return _conf(ours, extra, presets)


def conf_for_image(
    extra: Mapping[str, str],
    presets: Sequence[Resolved] = (),
    *,
    driver_java: str = "",
    executor_java: str = "",
) -> SparkConf:
    """Properties that make driver and executors use the Python in packager's image.

    And a JDK of it, where one is named (UG, "Customizing an image": never by JAVA_HOME of the
    image). Raise `ConfigError` as `conf_for_archives` does.
    """
    homes = zip(JAVA_KEYS, (driver_java, executor_java), strict=True)
    java = {key: home for key, home in homes if home}
    return _conf({**dict.fromkeys(PYTHON_KEYS, IMAGE_PYTHON), **java}, extra, presets)


def _conf(
    ours: Mapping[str, str], extra: Mapping[str, str], presets: Sequence[Resolved]
) -> SparkConf:
    for key, value in extra.items():
        _require_key(key)
        if value.startswith(SECRET) and not _SECRET_NAME.search(value):
            raise ConfigError(
                f"{key}: {value!r} does not name a secret as EMR Serverless looks it up",
                why="a secret's name is followed by a hyphen and the six characters of its ARN",
                fix=f"write it as in {SECRET}my-secret-AbCdEf",
            )
        if key in OVERRIDING:
            raise ConfigError(
                f"{key} = {value!r} would undo {PYTHON_KEYS[1]} = {ours[PYTHON_KEYS[1]]!r}",
                why="Spark takes this property before the environment variable",
                fix=f"remove {key} from your configuration",
            )
    sources = [
        ("packager", ours),
        *((f"the preset {made.preset.name}", made.conf) for made in presets),
        ("you", extra),
    ]
    merged = _merged(sources)
    for made in presets:
        _require_needs(made.preset, merged)
    return SparkConf(entries=tuple(merged.items()))


def _require_key(key: str) -> None:
    if not _KEY.fullmatch(key) or not key.startswith("spark."):
        raise ConfigError(
            f"{key!r} is not a Spark property",
            why="it comes from [tool.packager.conf] or --conf",
            fix="write the full key, as in spark.executor.memory",
        )


def _merged(sources: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Properties of several origins. Raise `ConfigError` for one that two set differently."""
    merged: dict[str, str] = {}
    origins: dict[str, str] = {}
    for origin, conf in sources:
        for key, value in conf.items():
            if key not in merged:
                merged[key] = value
                origins[key] = origin
            elif separator := JOINED.get(key):
                merged[key] = _joined(merged[key], value, separator)
            elif merged[key] != value:
                raise _set_twice(key, (origin, value), (origins[key], merged[key]))
    return merged


def _joined(first: str, second: str, separator: str) -> str:
    """Both lists, each part once; options of Java may repeat, so only the same text does not."""
    if separator == " ":
        return first if first == second else " ".join(filter(None, (first, second)))
    parts = [*first.split(separator), *second.split(separator)]
    return separator.join(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _set_twice(key: str, new: tuple[str, str], old: tuple[str, str]) -> ConfigError:
    ours = old[0] == "packager"
    return ConfigError(
        f"{key} is set twice: {new[1]!r} by {new[0]}, {old[1]!r} by {old[0]}",
        why="the archive's Python is used only with packager's value"
        if ours
        else "a property has one value",
        fix=f"remove {key} from your configuration"
        if new[0] == "you"
        else "use one of the two, and set the other's properties with --conf",
    )


def _require_needs(preset: Preset, merged: Mapping[str, str]) -> None:
    for key, example in preset.needs.items():
        if key not in merged:
            raise ConfigError(
                f"the preset {preset.name} needs {key}",
                why="only you know its value",
                fix=f'add it to [tool.packager.conf], as in "{key}" = "{example}", or with --conf',
            )
    for key, reason in preset.refuses.items():
        if key in merged:
            raise ConfigError(
                f"{key} does not go with the preset {preset.name}",
                why=reason,
                fix=f"remove {key}, or the preset",
            )


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
