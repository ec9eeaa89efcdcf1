"""What jobs have to reach, as options say it and records know it; for policies and roles."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.policies.scope import Artifact, Bucket
    from packager.record import Record
    from packager.settings import Settings

Texts = list[str] | None
Read = Annotated[Texts, typer.Option("--read", metavar="URI", help="Data in S3 that jobs read.")]
Write = Annotated[
    Texts, typer.Option("--write", metavar="URI", help="Data in S3 that jobs read and write.")
]
Glue = Annotated[
    Texts, typer.Option("--glue", metavar="DATABASE", help="Glue database that jobs read.")
]
GlueWrite = Annotated[
    Texts,
    typer.Option("--glue-write", metavar="DATABASE", help="One whose tables they change."),
]
KmsKey = Annotated[
    Texts, typer.Option("--kms-key", metavar="ARN", help="Key that encrypts any of this.")
]


def data_of(
    read: Texts, write: Texts, glue: Texts, glue_write: Texts, kms_key: Texts
) -> dict[str, Any]:
    """Fields of a `Scope`. Raise `ConfigError` for what can not be."""
    from packager.policies import scope as names

    return {
        "reads": tuple(names.parse_bucket(uri, "--read") for uri in read or ()),
        "writes": tuple(names.parse_bucket(uri, "--write") for uri in write or ()),
        "databases": tuple(names.parse_database(name) for name in glue or ()),
        "written_databases": tuple(names.parse_database(name) for name in glue_write or ()),
        "keys": tuple(names.parse_key(arn) for arn in kms_key or ()),
    }


def artifacts_of(records: "Sequence[Record]", *, in_image: bool = False) -> "tuple[Artifact, ...]":
    """What jobs read of them: with an image, which EMR itself pulls, only the entry points."""
    from packager.policies.scope import Artifact

    return tuple(
        Artifact(file=artifact.file, digest=artifact.sha256[:12])
        for record in records
        for artifact in (record.entry_points if in_image else record.artifacts)
    )


def place_of(settings: "Settings", records: "Sequence[Record]") -> "Bucket | None":
    """Where the artifacts are: as it is set, or as the records say that were published."""
    from packager.policies.scope import parse_bucket

    if settings.s3_uri:
        return parse_bucket(settings.s3_uri, "--s3-uri")
    places = {
        record.locations[artifact.file].rpartition("/")[0]
        for record in records
        if record.published
        for artifact in record.artifacts
    }
    if len(places) > 1:
        raise ConfigError(
            f"the records were published to {len(places)} places",
            why=", ".join(sorted(places)),
            fix="name one with --s3-uri, or one record with --record",
        )
    return parse_bucket(places.pop(), "the record's location") if places else None


def own_role(
    record: "Record",
    settings: "Settings",
    data: dict[str, Any],
    monitoring: Mapping[str, Any],
    *,
    in_image: bool,
) -> tuple[dict[str, Any], ...]:
    """Statements of a role for the record's job, wherever its template is deployed.

    `monitoring` is the application's `monitoringConfiguration`: the job writes its logs there.
    Raise `ConfigError` where it is not known where the artifacts are, and for too much.
    """
    import json

    from packager.policies.grammar import INLINE_CHARS, require_size
    from packager.policies.job import runtime_role
    from packager.policies.scope import HERE, Scope, parse_bucket, parse_log_group

    log_uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri")
    log_group = monitoring.get("cloudWatchLoggingConfiguration", {}).get("logGroupName")
    scope = Scope(
        region=HERE["region"],
        account=HERE["account"],
        s3=place_of(settings, (record,)),
        artifacts=artifacts_of((record,), in_image=in_image),
        logs=parse_bucket(log_uri, "log-uri") if log_uri else None,
        log_group=parse_log_group(log_group) if log_group else None,
        **data,
    )
    document = runtime_role(scope).to_json()
    require_size(json.dumps(document, ensure_ascii=False), INLINE_CHARS)
    return tuple(document["Statement"])
