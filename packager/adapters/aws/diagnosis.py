"""An account as `packager doctor` looks at it: read calls only, each with the permission's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from packager.adapters.aws.ecr import ecr_of
from packager.adapters.aws.failures import code_of, explained
from packager.adapters.aws.session import Session
from packager.documents import parse_json
from packager.errors import CommandError, ConfigError
from packager.publishing.addresses import Repository, RepositoryAddress

NOT_THERE = frozenset(
    {"404", "NoSuchBucket", "NotFound", "NoSuchEntity", "ResourceNotFoundException"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAccount:
    """Implements `doctor.account.Account`."""

    session: Session
    owner: str | None = None
    """Number of the account that the bucket has to be of."""

    @property
    def region(self) -> str:
        return self.session.region

    @property
    def partition(self) -> str:
        return self.session.partition

    def identity(self) -> tuple[str, str]:
        return self.session.identity()

    def bucket_region(self, bucket: str) -> str | None:
        from botocore.exceptions import ClientError

        arn = f"arn:{self.partition}:s3:::{bucket}"
        owner = {"ExpectedBucketOwner": self.owner} if self.owner else {}
        with explained(
            f"the bucket {bucket} can not be looked at",
            permission=f"s3:ListBucket on {arn}"
            + (f"; or it is not of the account {self.owner}" if self.owner else ""),
        ):
            try:
                said = self.session.client("s3").head_bucket(Bucket=bucket, **owner)
            except ClientError as error:
                if code_of(error) in NOT_THERE:
                    raise ConfigError(
                        f"there is no bucket {bucket}",
                        fix="correct s3-uri, or make it: aws s3api create-bucket",
                    ) from error
                if code_of(error) not in {"301", "PermanentRedirect"}:
                    raise
                said = error.response
        headers = said["ResponseMetadata"].get("HTTPHeaders", {})
        told = said.get("BucketRegion") or headers.get("x-amz-bucket-region")
        return str(told) if told else None

    def repository(self, address: RepositoryAddress) -> Repository | None:
        return ecr_of(self.session, address).find(address)

    def policy(self, repository: Repository) -> str | None:
        address = RepositoryAddress(name=repository.name, region=repository.region)
        return ecr_of(self.session, address).read(repository)

    def trust(self, role: str) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        name = role.rpartition("/")[2]
        with explained(
            f"the role {name} can not be looked at", permission=f"iam:GetRole on {role}"
        ):
            try:
                said = self.session.client("iam").get_role(RoleName=name)
            except ClientError as error:
                if code_of(error) not in NOT_THERE:
                    raise
                raise ConfigError(
                    f"there is no role {name}",
                    fix="correct the name, or make it: packager policy --create",
                ) from error
        document = said["Role"]["AssumeRolePolicyDocument"]
        if isinstance(document, str):
            try:
                document = parse_json(unquote(document))
            except ValueError as error:
                raise CommandError(
                    f"the trust policy of {name} can not be read", why=str(error)
                ) from error
        return dict(document)

    def application(self, identity: str) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        with explained(
            f"the application {identity} can not be looked at",
            permission=f"emr-serverless:GetApplication on application {identity}",
        ):
            try:
                said = self.session.client("emr-serverless").get_application(applicationId=identity)
            except ClientError as error:
                if code_of(error) not in NOT_THERE:
                    raise
                raise ConfigError(
                    f"there is no application {identity} in {self.region}",
                    fix="look at its id and --region, or make it: packager deploy",
                ) from error
        return dict(said["application"])
