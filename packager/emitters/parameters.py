"""`sparkSubmitParameters`, and the classification that holds what can not stand there. Pure."""

from collections.abc import Sequence
from typing import Any

from packager.errors import ConfigError
from packager.releases import Limits
from packager.sparkconf import Job

Entries = Sequence[tuple[str, str]]


def spark_submit(job: Job) -> str:
    """`--conf key=value …`. Raise `ConfigError` for what can not be written so."""
    refuse_classifications(job, "as Spark properties")
    for key, value in job.conf.entries:
        if not fits_a_word(value):
            raise ConfigError(
                f"{key} can not be written in sparkSubmitParameters: {value!r}",
                why="blanks, quotes, backslashes and empty values: EMR documents no way to write"
                " them there",
                fix="use `--format start-job-run`, which moves them to the `spark-defaults`"
                " classification, or `--format spark-defaults-json`",
            )
    return submit_parameters(job.conf.entries, job.limits)


def fits_a_word(value: str) -> bool:
    """Whether a value survives the splitting of sparkSubmitParameters.

    EMR splits this text itself and documents no quoting; `shlex.quote` would put every value with
    a `#` in quotes. So what could be split is kept out, not guessed at.
    """
    return bool(value) and not any(c.isspace() or c in "'\"\\" for c in value)


def submit_parameters(entries: Entries, limits: Limits) -> str:
    """The text of `entries`, all of whose values fit. Raise `ConfigError` where it is too long."""
    text = " ".join(f"--conf {key}={value}" for key, value in entries)
    if len(text) > limits.spark_submit_parameters_chars:
        raise ConfigError(
            f"sparkSubmitParameters are {len(text)} characters long",
            why=f"the API takes {limits.spark_submit_parameters_chars}",
            fix="move properties to the application's configuration",
        )
    return text


def refuse_classifications(job: Job, where: str) -> None:
    """Raise `ConfigError` for a job that needs more than Spark properties."""
    if job.classifications:
        raise ConfigError(
            f"the classification {', '.join(job.classifications)} can not be written {where}",
            why="its properties are no Spark properties; the preset dynamic-allocation sets one",
            fix="use `--format start-job-run` or `--format spark-defaults-json`",
        )


def divided(job: Job) -> tuple[Entries, Entries]:
    """A job's properties: those for sparkSubmitParameters, and those for a classification."""
    fitting = [(k, v) for k, v in job.conf.entries if fits_a_word(v)]
    return fitting, [(k, v) for k, v in job.conf.entries if not fits_a_word(v)]


def moved_note(job: Job) -> str:
    """What a user has to know where properties go to a classification; empty where none does."""
    _, moved = divided(job)
    if not moved:
        return ""
    own = (
        "before emr-spark-8.1.0 it replaces the application's own"
        if job.replaced is None
        else "the application's own is written into it where it would be replaced"
    )
    return (
        f"{', '.join(key for key, _ in moved)}: can not be written in sparkSubmitParameters, so"
        f" the job brings a `spark-defaults` classification; {own}"
    )


def spark_defaults(entries: Entries, limits: Limits) -> list[dict[str, Any]]:
    """`applicationConfiguration`. Raise `ConfigError` for what the API would not take."""
    if len(entries) > limits.spark_defaults_properties:
        raise ConfigError(
            f"{len(entries)} properties in one classification",
            why=f"the API takes {limits.spark_defaults_properties}",
            fix="use `--format spark-submit`",
        )
    for key, value in entries:
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
    return [{"classification": "spark-defaults", "properties": dict(entries)}]
