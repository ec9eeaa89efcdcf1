"""What a policy is about: an account and the names in it, as ARNs of their partition. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packager.errors import ConfigError
from packager.policies.grammar import literal

PARTITIONS: Final = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
"""Beginnings of Regions and their partitions; others are `aws`. Isolated partitions have other
service principals, which nobody has published: they are refused."""

HERE: Final[Mapping[str, str]] = {
    name: f"\0{name}\0" for name in ("partition", "region", "account")
}
"""What stands in ARNs for the place where a template is deployed. Whoever writes the template puts
its own words there; no name has such characters."""

_REGION: Final = re.compile(r"(cn|us-gov|us|eu|ap|ca|sa|me|mx|af|il)-[a-z]+-\d")
_ACCOUNT: Final = re.compile(r"\d{12}")
_APPLICATION: Final = re.compile(r"[0-9a-z]{1,64}")  # botocore's pattern of `applicationId`
_APPLICATION_ARN: Final = re.compile(
    r"arn:[a-z-]+:emr-serverless:([a-z0-9-]+):(\d{12}):/applications/([0-9a-z]{1,64})"
)
_ROLE: Final = re.compile(r"(?:/?[\w+=,.@/-]+/)?[\w+=,.@-]{1,64}", re.ASCII)
_ROLE_ARN: Final = re.compile(r"arn:([a-z-]+):iam::(\d{12}):role/(.+)")
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_REGISTRY: Final = re.compile(
    r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?:[:@].*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A place in S3."""

    name: str
    prefix: str = ""
    """Without a slash at either end."""

    def key(self, pattern: str) -> str:
        """`pattern`, in IAM's language, below the prefix."""
        return f"{literal(self.prefix)}/{pattern}" if self.prefix else pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that jobs read."""

    file: str
    digest: str
    """The part of its name that changes with its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of ECR, which may be another account's."""

    account: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """All that a policy may be about. What is empty, nothing is granted on."""

    region: str
    account: str
    application: str | None = None
    """Its id; None for every application of the account in the Region."""
    role: str | None = None
    """Name of the jobs' runtime role, with its path."""
    s3: Bucket | None = None
    """Where the artifacts are published."""
    artifacts: tuple[Artifact, ...] = ()
    exact: bool = False
    """Only these very artifacts, not what the next packs make of the same project."""
    logs: Bucket | None = None
    log_group: str | None = None
    reads: tuple[Bucket, ...] = ()
    writes: tuple[Bucket, ...] = ()
    """Data of the jobs."""
    databases: tuple[str, ...] = ()
    written_databases: tuple[str, ...] = ()
    """Of the Glue Data Catalog."""
    keys: tuple[str, ...] = ()
    """ARNs of the KMS keys that encrypt any of this."""
    repository: Repository | None = None

    @property
    def partition(self) -> str:
        return partition_of(self.region)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def object_arn(self, bucket: Bucket, pattern: str = "*") -> str:
        return f"arn:{self.partition}:s3:::{bucket.name}/{bucket.key(pattern)}"

    def bucket_arn(self, bucket: Bucket) -> str:
        return f"arn:{self.partition}:s3:::{bucket.name}"

    @property
    def application_arn(self) -> str:
        return self.arn("emr-serverless", f"/applications/{self.application or '*'}")

    @property
    def role_arn(self) -> str:
        """Raise `ConfigError` where no role is given."""
        if self.role is None:
            raise ConfigError(
                "no runtime role is given",
                why="who starts a job passes its role to EMR Serverless",
                fix="name it: --role NAME",
            )
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role}"


def partition_of(region: str) -> str:
    if region == HERE["region"]:
        return HERE["partition"]
    return next((name for start, name in PARTITIONS if region.startswith(start)), "aws")


def parse_bucket(uri: str, option: str) -> Bucket:
    """Raise `ConfigError` for what is no location in S3."""
    name, _, prefix = uri.removeprefix("s3://").partition("/")
    # The pattern is S3's for buckets of today; one with other characters would open the ARN.
    if not uri.startswith("s3://") or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ConfigError(
            f"{option} {uri!r} is not a location in S3",
            why="a bucket's name has 3 to 63 small letters, digits, dots and hyphens",
            fix="write it as in s3://bucket/prefix",
        )
    return Bucket(name=name, prefix=prefix.strip("/"))


def parse_account(text: str, option: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise ConfigError(f"{option} {text!r} is not an account", fix="write its twelve digits")
    return text


def parse_region(text: str, option: str) -> str:
    if not _REGION.fullmatch(text):
        raise ConfigError(
            f"{option} {text!r} is not a Region that policies can be written for",
            why="its partition decides the ARNs; known are aws, aws-cn and aws-us-gov",
            fix="write it as in eu-central-1",
        )
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the user gave as a name or an ARN: the name, and what the ARN says of its place."""

    name: str
    account: str | None = None
    region: str | None = None


def parse_application(text: str) -> Named:
    """An application's id, or its ARN."""
    if match := _APPLICATION_ARN.fullmatch(text):
        return Named(name=match[3], account=match[2], region=match[1])
    if not _APPLICATION.fullmatch(text):
        raise ConfigError(
            f"--application {text!r} is not an application",
            fix="give its id, as in 00abcdefghij1234, or its ARN",
        )
    return Named(name=text)


def parse_role(text: str) -> Named:
    """A role's name, with its path if it has one, or its ARN."""
    if match := _ROLE_ARN.fullmatch(text):
        return Named(name=parse_role(match[3]).name, account=match[2])
    if not _ROLE.fullmatch(text):
        raise ConfigError(
            f"--role {text!r} is not a role", fix="give its name, as in EmrJobs, or its ARN"
        )
    return Named(name=text.strip("/"))


def parse_repository(text: str) -> Named:
    """A repository's name, or the reference of an image in ECR."""
    match = _REGISTRY.fullmatch(text)
    named = Named(name=match[3], account=match[1], region=match[2]) if match else Named(name=text)
    if not _REPOSITORY.fullmatch(named.name):
        raise ConfigError(
            f"--repository {text!r} is not a repository of ECR",
            fix="give its name, or ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME",
        )
    return named


def parse_key(text: str) -> str:
    if not re.fullmatch(r"arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[\w-]+", text):
        raise ConfigError(
            f"--kms-key {text!r} is not the ARN of a key",
            why="policies name keys, not aliases",
            fix="write it as in arn:aws:kms:REGION:ACCOUNT:key/ID",
        )
    return text


def parse_log_group(text: str) -> str:
    if not re.fullmatch(r"[\w./#-]{1,512}", text, re.ASCII):  # botocore's pattern of `logGroupName`
        raise ConfigError(
            f"--log-group {text!r} is not a log group", fix="write it as in /aws/emr-serverless"
        )
    return text


def parse_database(text: str) -> str:
    """Of the Glue Data Catalog, whose names are in small letters for Spark."""
    if not re.fullmatch(r"[a-z0-9_-]{1,255}", text):
        raise ConfigError(f"{text!r} is not a database of Glue", fix="write it as in sales_2026")
    return text


def parse_policy_name(text: str) -> str:
    if not re.fullmatch(r"[\w+=,.@-]{1,128}", text, re.ASCII):
        raise ConfigError(f"--create {text!r} is not a name for a policy", fix="write EmrSubmitter")
    return text
