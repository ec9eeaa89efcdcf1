"""StartJobRun: what a job is asked to be, beyond its code and its Spark properties. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from packager.errors import ConfigError
from packager.jobs.applications import default_properties
from packager.jobs.rules import rules, version_of
from packager.jobs.tables import choice, flag, number, read_table, s3_uri, string_map, text, texts

SPARK_DEFAULTS: Final = "spark-defaults"
MODES: Final = ("BATCH", "STREAMING")


def _mode(value: object) -> str:
    return str(choice(*MODES)(str(value).upper()))


def _role(value: object) -> str:
    role = text(value)
    # BOTO IAMRoleArn.
    if not re.fullmatch(r"arn:aws[a-zA-Z0-9-]*:iam::[0-9]{12}:role/([!-\x7F]+/)?[\w+=,.@-]+", role):
        raise ValueError("the ARN of a role, as in arn:aws:iam::123456789012:role/job")
    return role


def _prometheus(value: object) -> str:
    url = text(value)
    # BOTO PrometheusUrlString.
    if not re.fullmatch(
        r"https://aps-workspaces\.[a-z]{2}-[a-z-]{1,20}-[1-9]\.amazonaws(\.[0-9A-Za-z]{2,4})+"
        r"/workspaces/[-_.0-9A-Za-z]{1,100}/api/v1/remote_write",
        url,
    ):
        raise ValueError(
            "an address of Amazon Managed Service for Prometheus, as in https://aps-workspaces"
            ".us-east-1.amazonaws.com/workspaces/ws-…/api/v1/remote_write"
        )
    return url


def _disk_key(value: object) -> str:
    arn = text(value)
    # BOTO EncryptionKeyArn.
    if not re.fullmatch(r"arn:aws[a-zA-Z0-9-]*:kms:[a-zA-Z0-9-]*:[0-9]{12}:key/[a-zA-Z0-9-]+", arn):
        raise ValueError("the ARN of a key, as in arn:aws:kms:us-east-1:123456789012:key/ID")
    return arn


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """[tool.packager.run], and the flags of `packager run`."""

    application: str | None = None
    """ID or name."""
    role: str | None = None
    """ARN that the job runs as."""
    name: str | None = None
    mode: str | None = None
    timeout_minutes: int | None = None
    max_attempts: int | None = None
    """Of a batch job: 1 is no retry."""
    max_failures_per_hour: int | None = None
    """Of a streaming job, before it is given up."""
    log_uri: str | None = None
    log_key: str | None = None
    """ARN of the KMS key that encrypts logs in S3."""
    log_group: str | None = None
    """Of CloudWatch."""
    log_stream_prefix: str | None = None
    log_executors: bool = False
    """Whether CloudWatch gets the executors' logs, too: by default only the driver's."""
    managed_logs: bool | None = None
    """Whether AWS keeps logs for 30 days, by default yes."""
    prometheus_url: str | None = None
    """Where Amazon Managed Service for Prometheus takes Spark's metrics."""
    disk_key: str | None = None
    """ARN of the KMS key that encrypts the workers' disks, in place of AWS's own."""
    disk_context: Mapping[str, str] = field(default_factory=dict)
    """Encryption context that the key is used with."""
    session_policy: str | None = None
    """JSON that narrows what the role may do for this run."""
    session_policy_arns: tuple[str, ...] = ()
    flex: bool | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    client_token: str | None = None


READERS: Final = {
    "application": text,
    "role": _role,
    "name": text,
    "mode": _mode,
    "timeout-minutes": number(0, 1_000_000),
    "max-attempts": number(1, 1_000),
    "max-failures-per-hour": number(1, 1_000),
    "log-uri": s3_uri,
    "log-key": text,
    "log-group": text,
    "log-stream-prefix": text,
    "log-executors": flag,
    "managed-logs": flag,
    "prometheus-url": _prometheus,
    "disk-key": _disk_key,
    "disk-context": string_map,
    "session-policy": text,
    "session-policy-arns": texts,
    "flex": flag,
    "tags": string_map,
    "client-token": text,
}


def run_options(table: Mapping[str, Any], flags: Mapping[str, Any]) -> RunOptions:
    """Flags go before the table; tags are joined. Raise `ConfigError` for what can not be."""
    known = {f.name.replace("_", "-") for f in fields(RunOptions)}
    assert known == set(READERS)  # noqa: S101  # each option is read by one reader
    said = {key.replace("_", "-"): value for key, value in flags.items() if value not in (None, ())}
    tags = {**string_map(table.get("tags", {})), **said.pop("tags", {})} if "tags" in said else None
    values = read_table("run", {**table, **said}, READERS, flags=said)
    options = RunOptions(**{key.replace("-", "_"): value for key, value in values.items()})
    return options if tags is None else replace(options, tags=tags)


def complete(
    base: Mapping[str, Any],
    options: RunOptions,
    *,
    release: str,
    application_conf: Mapping[str, str],
) -> dict[str, Any]:
    """A StartJobRun request, from one that has the job's code and Spark properties.

    `application_conf` are the properties of the application's own `spark-defaults`. Where the job
    brings such a classification, they are written into it: before emr-spark-8.1.0 it takes the
    application's place. Raise `ConfigError` for what the release does not do.
    """
    fields = run_fields(options, release)
    overrides = {
        **base.get("configurationOverrides", {}),
        **fields.pop("configurationOverrides", {}),
    }
    request: dict[str, Any] = {**base, **fields}
    if options.client_token is not None:
        request["clientToken"] = options.client_token
    if configuration := overrides.get("applicationConfiguration"):
        replaces = classifications_replace(release)
        overrides["applicationConfiguration"] = [
            _with_defaults(c, application_conf) if replaces else c for c in configuration
        ]
    if overrides:
        request["configurationOverrides"] = overrides
    return request


def run_fields(options: RunOptions, release: str) -> dict[str, Any]:
    """What a StartJobRun request has of the options, whenever it is sent.

    Not who runs it where, and no token: the same one would start one run only. Raise `ConfigError`
    for what the release does not do.
    """
    _require_allowed(options, release)
    overrides = {
        "monitoringConfiguration": monitoring_of(options),
        "diskEncryptionConfiguration": disk_encryption_of(options),
    }
    optional = {
        "name": options.name,
        "mode": options.mode if options.mode == "STREAMING" else None,
        "executionTimeoutMinutes": options.timeout_minutes,
        "retryPolicy": _retry_policy(options),
        "executionIamPolicy": _session_policy(options),
        "tags": dict(options.tags) or None,
        "flexExecution": None if options.flex is None else {"enabled": options.flex},
        "configurationOverrides": {key: value for key, value in overrides.items() if value} or None,
    }
    return {key: value for key, value in optional.items() if value is not None}


def classifications_replace(release: str) -> bool:
    """Whether a job's classification takes the place of the application's, not only of its keys."""
    return version_of(release) < rules().classifications_merge_since


def replaced_properties(application: Mapping[str, Any], release: str) -> dict[str, str]:
    """Spark properties of an application that a job's own classification would take away."""
    return default_properties(application) if classifications_replace(release) else {}


def _with_defaults(
    classification: Mapping[str, Any], defaults: Mapping[str, str]
) -> Mapping[str, Any]:
    if classification["classification"] != SPARK_DEFAULTS:
        return classification
    return {**classification, "properties": {**defaults, **classification["properties"]}}


def _retry_policy(options: RunOptions) -> dict[str, int] | None:
    named = {
        "maxAttempts": options.max_attempts,
        "maxFailedAttemptsPerHour": options.max_failures_per_hour,
    }
    return {key: value for key, value in named.items() if value is not None} or None


def _session_policy(options: RunOptions) -> dict[str, Any] | None:
    policy: dict[str, Any] = {}
    if options.session_policy is not None:
        policy["policy"] = options.session_policy
    if options.session_policy_arns:
        policy["policyArns"] = list(options.session_policy_arns)
    return policy or None


def monitoring_of(options: RunOptions) -> dict[str, Any]:
    """`monitoringConfiguration`; empty where the application's own is to hold."""
    monitoring: dict[str, Any] = {}
    if options.log_uri is not None:
        s3 = {"logUri": options.log_uri}
        if options.log_key is not None:
            s3["encryptionKeyArn"] = options.log_key
        monitoring["s3MonitoringConfiguration"] = s3
    if options.log_group is not None:
        cloudwatch: dict[str, Any] = {"enabled": True, "logGroupName": options.log_group}
        if options.log_stream_prefix is not None:
            cloudwatch["logStreamNamePrefix"] = options.log_stream_prefix
        if options.log_executors:
            cloudwatch["logTypes"] = {
                worker: ["STDOUT", "STDERR"] for worker in ("SPARK_DRIVER", "SPARK_EXECUTOR")
            }
        monitoring["cloudWatchLoggingConfiguration"] = cloudwatch
    if options.managed_logs is not None:
        monitoring["managedPersistenceMonitoringConfiguration"] = {"enabled": options.managed_logs}
    if options.prometheus_url is not None:
        monitoring["prometheusMonitoringConfiguration"] = {"remoteWriteUrl": options.prometheus_url}
    return monitoring


def disk_encryption_of(options: RunOptions) -> dict[str, Any]:
    """`diskEncryptionConfiguration`; empty where disks have AWS's own key.

    Raise `ConfigError` for a context without a key.
    """
    if options.disk_key is None:
        if options.disk_context:
            raise ConfigError(
                "disk-context is set, and disk-key is not",
                why="the context belongs to the use of a key",
                fix="name the key, or leave disk-context out",
            )
        return {}
    context = {"encryptionContext": dict(options.disk_context)} if options.disk_context else {}
    return {**context, "encryptionKeyArn": options.disk_key}


def _require_allowed(options: RunOptions, release: str) -> None:
    rule, version = rules(), version_of(release)
    streaming = options.mode == "STREAMING"
    minutes = options.timeout_minutes
    modes = ".".join(map(str, rule.modes_since))
    wants_modes = streaming or options.max_attempts or options.max_failures_per_hour
    if wants_modes and (0, 0) < version < rule.modes_since:
        raise ConfigError(
            f"{release} knows no streaming mode and no retries",
            why=f"they came with emr-{modes}.0",
            fix="leave mode, max-attempts and max-failures-per-hour out, or use a newer release",
        )
    if streaming and minutes is not None:
        raise ConfigError(
            "a streaming job has no timeout",
            why="it is to run until somebody cancels it",
            fix="leave timeout-minutes out",
        )
    if streaming and options.max_attempts is not None:
        raise ConfigError(
            "max-attempts is for batch jobs",
            why="a streaming job is tried again as long as it does not fail too often",
            fix="use max-failures-per-hour",
        )
    if not streaming and options.max_failures_per_hour is not None:
        raise ConfigError(
            "max-failures-per-hour is for streaming jobs",
            fix="use max-attempts, or --mode streaming",
        )
    for key, value, limit in (
        ("max-attempts", options.max_attempts, rule.attempts_max),
        ("max-failures-per-hour", options.max_failures_per_hour, rule.failures_per_hour_max),
    ):
        if value is not None and value > limit:
            raise ConfigError(f"{key} is {value}", why=f"EMR Serverless takes 1 to {limit}")
    if (
        minutes is not None
        and version >= rule.batch_timeout_since
        and not 1 <= minutes <= rule.batch_timeout_max
    ):
        raise ConfigError(
            f"timeout-minutes is {minutes}",
            why=f"from emr-{'.'.join(map(str, rule.batch_timeout_since))}.0 on a batch job runs"
            f" for 1 to {rule.batch_timeout_max} minutes",
            fix="choose one of these; without any, it is 720",
        )
