"""Forms that hold the properties alone, one by one. Pure."""

import json
import re
import shlex
from hashlib import sha256

from packager.emitters.parameters import spark_submit
from packager.emitters.text import compact, dump
from packager.errors import ConfigError
from packager.sparkconf import Job


def json_(job: Job) -> str:
    return dump(dict(job.conf.entries))


def yaml(job: Job) -> str:
    """Flat keys; every value is a text in double quotes, so that `2` and `yes` stay texts."""
    lines = [f"{_yaml_key(key)}: {_yaml_text(value)}" for key, value in job.conf.entries]
    return "\n".join(lines) or "{}"


def _yaml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.\-]*", key) else _yaml_text(key)


def _yaml_text(value: str) -> str:
    # JSON's escapes are YAML's, but YAML allows fewer characters to stand for themselves.
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]",
        lambda match: f"\\u{ord(match[0]):04x}",
        json.dumps(value, ensure_ascii=False),
    )


def conf_args(job: Job) -> str:
    """A JSON list of `--conf`, `key=value`: arguments that are passed on without a shell."""
    return dump([word for key, value in job.conf.entries for word in ("--conf", f"{key}={value}")])


def spark_defaults(job: Job) -> str:
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


def _outputs(job: Job) -> dict[str, str]:
    """What a step of CI hands to the next; a job without an entry point has none of it."""
    outputs = {
        "spark-submit-parameters": spark_submit(job),
        "entry-point": job.entry_point or "",
        "entry-point-arguments": compact(list(job.arguments)),
        "job-name": job.name,
        "release-label": job.release,
        "architecture": job.architecture,
    }
    match job.images:
        case None:
            return outputs
        case str():
            return outputs | {"image": job.images}
        case _:
            return outputs | {f"{worker}-image": uri for worker, uri in job.images.items()}


def env(job: Job) -> str:
    """Assignments that a shell reads: `eval "$(packager conf -f env)"`."""
    return "\n".join(
        f"{key.upper().replace('-', '_')}={shlex.quote(value)}"
        for key, value in _outputs(job).items()
    )


def github_output(job: Job) -> str:
    """Lines for `$GITHUB_OUTPUT`; those of several lines end with a mark that is not in them."""
    lines = []
    for key, value in _outputs(job).items():
        if "\n" in value or "\r" in value:
            mark = f"end-{sha256(value.encode('utf-8', 'backslashreplace')).hexdigest()[:16]}"
            lines += [f"{key}<<{mark}", value, mark]
        else:
            lines.append(f"{key}={value}")
    return "\n".join(lines)
