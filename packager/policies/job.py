"""What jobs may do, and who may be their role. Pure.

The job's image is pulled by EMR Serverless itself, and references to secrets are resolved by it:
the role needs neither ECR nor Secrets Manager (UG: "Using custom images", "Secrets Manager").
"""

from typing import Final

from packager.errors import ConfigError
from packager.policies.grammar import Policy, Statement, literal
from packager.policies.scope import Bucket, Scope

PRINCIPAL: Final = "emr-serverless.amazonaws.com"
"""In every partition: docs.amazonaws.cn names the same one, without `.cn`."""

READ_TABLES: Final = (
    "glue:GetDatabase",
    "glue:GetDatabases",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
    "glue:GetUserDefinedFunctions",
)
WRITE_TABLES: Final = (
    "glue:BatchCreatePartition",
    "glue:CreatePartition",
    "glue:CreateTable",
    "glue:DeleteTable",
    "glue:UpdateTable",
)
"""Both together are what the UG's sample grants on `*`, without the making of databases."""


def trust(scope: Scope) -> Policy:
    """Let EMR Serverless, on behalf of this account's applications only, be the role.

    The guide's own has no conditions, so anybody's application could be made to use the role
    (the confused deputy); its keys are those that the guide uses for images, keys and secrets.
    """
    return Policy(
        statements=(
            Statement(
                sid="EmrServerlessJobs",
                service=PRINCIPAL,
                actions=("sts:AssumeRole",),
                condition=from_applications(scope, account=True),
            ),
        )
    )


def from_applications(
    scope: Scope, *, account: bool = False
) -> dict[str, dict[str, str | tuple[str, ...]]]:
    """The condition that EMR Serverless acts for these applications."""
    exact: dict[str, str | tuple[str, ...]] = {}
    if account:
        exact["aws:SourceAccount"] = scope.account
    if scope.application is not None:
        return {"StringEquals": {**exact, "aws:SourceArn": scope.application_arn}}
    like: dict[str, dict[str, str | tuple[str, ...]]] = {
        "ArnLike": {"aws:SourceArn": scope.application_arn}
    }
    return {"StringEquals": exact, **like} if exact else like


def runtime_role(scope: Scope) -> Policy:
    """Let jobs read what they are made of, write logs, and reach the data that is named."""
    statements = [*_artifacts(scope), *_data(scope), *_catalog(scope)]
    if scope.logs is not None:  # UG: "Logging for EMR Serverless with Amazon S3 buckets"
        statements.append(
            Statement(
                sid="WriteLogs",
                actions=("s3:PutObject",),
                resources=(scope.object_arn(scope.logs, "applications/*"),),
            )
        )
    if scope.log_group is not None:
        statements += _cloudwatch(scope, scope.log_group)
    if scope.keys:  # UG: "Encrypting logs", and S3 for objects under SSE-KMS
        statements.append(
            Statement(
                sid="UseKeys",
                actions=("kms:Decrypt", "kms:GenerateDataKey"),
                resources=scope.keys,
            )
        )
    return Policy(statements=tuple(statements))


def _artifacts(scope: Scope) -> list[Statement]:
    if scope.s3 is None:
        raise ConfigError(
            "where the artifacts are is not known",
            why="the role's first permission is to read them",
            fix="set s3-uri in [tool.packager], or give --s3-uri",
        )
    patterns = [
        literal(a.file) if scope.exact else literal(a.file).replace(a.digest, "*")
        for a in scope.artifacts
    ]
    return [
        Statement(
            sid="ReadArtifacts",
            actions=("s3:GetObject",),
            resources=tuple(
                dict.fromkeys(scope.object_arn(scope.s3, p) for p in patterns or ["*"])
            ),
        ),
        # Without it, an object that is not there looks like one that is forbidden.
        listing(scope, "ListArtifacts", (scope.s3,)),
    ]


def listing(scope: Scope, sid: str, places: tuple[Bucket, ...]) -> Statement:
    """Let the keys of one or several prefixes of one bucket be listed."""
    (name,) = {place.name for place in places}
    prefixes = [
        text
        for place in places
        if place.prefix
        for text in (literal(place.prefix), f"{literal(place.prefix)}/*")
    ]
    everything = any(not place.prefix for place in places)
    return Statement(
        sid=sid,
        actions=("s3:ListBucket",),
        resources=(scope.bucket_arn(Bucket(name=name)),),
        condition=None
        if everything
        # Without a prefix come HeadBucket, and HeadObject of what is not there: refused, that one
        # would be told that the object is forbidden, and writers that look before would fail.
        else {"StringLikeIfExists": {"s3:prefix": tuple(dict.fromkeys(prefixes))}},
    )


def _data(scope: Scope) -> list[Statement]:
    statements: list[Statement] = []
    if scope.reads:
        statements.append(
            Statement(
                sid="ReadData",
                actions=("s3:GetObject",),
                resources=tuple(scope.object_arn(place) for place in scope.reads),
            )
        )
    if scope.writes:
        statements.append(
            Statement(
                sid="WriteData",
                # Committers rename by copy and delete, and give up uploads that failed.
                actions=(
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:GetObject",
                    "s3:PutObject",
                ),
                resources=tuple(scope.object_arn(place) for place in scope.writes),
            )
        )
    places = (*scope.reads, *scope.writes)
    for number, name in enumerate(dict.fromkeys(place.name for place in places), 1):
        inside = tuple(place for place in places if place.name == name)
        statements.append(listing(scope, f"ListData{number}", inside))
    return statements


def _catalog(scope: Scope) -> list[Statement]:
    def resources(databases: tuple[str, ...]) -> tuple[str, ...]:
        return (
            scope.arn("glue", "catalog"),
            *(
                scope.arn("glue", part)
                for name in databases
                for part in (f"database/{name}", f"table/{name}/*", f"userDefinedFunction/{name}/*")
            ),
        )

    statements: list[Statement] = []
    if scope.databases or scope.written_databases:
        # Spark's Hive client asks for `default` whatever a job uses.
        names = dict.fromkeys(("default", *scope.databases, *scope.written_databases))
        statements.append(
            Statement(sid="ReadTables", actions=READ_TABLES, resources=resources(tuple(names)))
        )
    if scope.written_databases:
        statements.append(
            Statement(
                sid="WriteTables",
                actions=WRITE_TABLES,
                resources=resources(scope.written_databases),
            )
        )
    return statements


def _cloudwatch(scope: Scope, group: str) -> list[Statement]:
    """As in the UG: "Required permissions for logging with CloudWatch"."""
    return [
        Statement(
            sid="FindLogGroups",
            actions=("logs:DescribeLogGroups",),
            resources=(scope.arn("logs", "*"),),
        ),
        Statement(
            sid="WriteLogStreams",
            actions=(
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ),
            resources=(scope.arn("logs", f"log-group:{group}:*"),),
        ),
    ]


def secret(scope: Scope) -> Policy:
    """Hangs on a secret that configurations refer to: `*` is that secret (UG, on secrets)."""
    return Policy(
        statements=(
            Statement(
                sid="EmrServerlessSecret",
                service=PRINCIPAL,
                actions=("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
                resources=("*",),
                condition=from_applications(scope),
            ),
        )
    )


def secret_key(scope: Scope) -> Policy:
    """Joins the policy of the KMS key that encrypts such a secret: `*` is that key."""
    suffix = "amazonaws.com.cn" if scope.partition == "aws-cn" else "amazonaws.com"
    return Policy(
        statements=(
            Statement(
                sid="EmrServerlessSecretKey",
                service=PRINCIPAL,
                actions=("kms:Decrypt", "kms:DescribeKey"),
                resources=("*",),
                condition={
                    "StringEquals": {"kms:ViaService": f"secretsmanager.{scope.region}.{suffix}"}
                },
            ),
        )
    )
