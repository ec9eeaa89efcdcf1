"""ECR's own API: repositories and their policies. Images go through the registry's protocol."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from packager.adapters.aws.failures import code_of, explained
from packager.adapters.aws.session import Session
from packager.adapters.registry.auth import Login, Logins, docker_logins
from packager.adapters.registry.client import RegistryClient, registry_client
from packager.adapters.registry.pushes import Pusher
from packager.errors import ConfigError
from packager.publishing.addresses import (
    Repository,
    RepositoryAddress,
    region_of_host,
    repository_of_arn,
)
from packager.publishing.recordedimages import Cloud
from packager.publishing.repositories import RepositorySettings, creation

FIRST_PAUSE_S = 0.25


def pause(attempt: int) -> None:
    """Between attempts to write what somebody else writes, too."""
    time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecr:
    """One Region's. Every function raises `CommandError` where a call fails or is denied."""

    client: Any
    """botocore's."""
    region: str

    def find(self, address: RepositoryAddress) -> Repository | None:
        """None where there is no repository of that name."""
        found = self.describe(address)
        if found is None:
            return None
        return repository_of(found)

    def describe(self, address: RepositoryAddress) -> Any | None:
        """All that ECR says of a repository; None where there is none of that name."""
        from botocore.exceptions import ClientError

        asked = {"registryId": address.account} if address.account else {}
        where = f"arn:*:ecr:{self.region}:{address.account or '*'}:repository/{address.name}"
        with explained(
            f"ECR does not tell of the repository {address.name}",
            permission=f"ecr:DescribeRepositories on {where}",
        ):
            try:
                said = self.client.describe_repositories(repositoryNames=[address.name], **asked)
            except ClientError as error:
                if code_of(error) == "RepositoryNotFoundException":
                    return None
                raise
        return said["repositories"][0]

    def require(self, address: RepositoryAddress) -> Repository:
        """Raise `ConfigError` where there is no repository of that name."""
        found = self.find(address)
        if found is None:
            raise ConfigError(
                f"there is no repository {address.name} in {self.region}",
                why=f"ECR of the account {address.account} has none"
                if address.account
                else "ECR of this account has none",
                fix="look at the name and --region, or let `packager publish` create it",
            )
        return found

    def create(
        self,
        address: RepositoryAddress,
        wanted: RepositorySettings,
        lifecycle: Mapping[str, Any] | None,
    ) -> Any:
        """Make a repository; or tell of the one that somebody has made meanwhile."""
        from botocore.exceptions import ClientError

        arn = f"arn:*:ecr:{self.region}:{address.account or '*'}:repository/{address.name}"
        asked = {"registryId": address.account} if address.account else {}
        with explained(
            f"the repository {address.name} can not be created",
            permission=f"ecr:CreateRepository on {arn}",
        ):
            try:
                made = self.client.create_repository(
                    repositoryName=address.name, **creation(wanted), **asked
                )["repository"]
            except ClientError as error:
                if code_of(error) != "RepositoryAlreadyExistsException":
                    raise
                return self.describe(address)
        if lifecycle is not None:
            with explained(
                f"the lifecycle policy of {address.name} can not be written",
                permission=f"ecr:PutLifecyclePolicy on {arn}",
            ):
                self.client.put_lifecycle_policy(
                    registryId=made["registryId"],
                    repositoryName=address.name,
                    lifecyclePolicyText=json.dumps(lifecycle),
                )
        return made

    def lifecycle(self, repository: Repository) -> Any:
        """The lifecycle policy; None where there is none."""
        from botocore.exceptions import ClientError

        with explained(
            f"the lifecycle policy of {repository.name} can not be read",
            permission=f"ecr:GetLifecyclePolicy on {repository.arn}",
        ):
            try:
                said = self.client.get_lifecycle_policy(
                    registryId=repository.account, repositoryName=repository.name
                )
            except ClientError as error:
                if code_of(error) == "LifecyclePolicyNotFoundException":
                    return None
                raise
        return json.loads(said["lifecyclePolicyText"])

    # Images

    def image_digest(self, repository: Repository, tag: str) -> str | None:
        """What a tag stands for; None for a tag that is not there, or where it may not be known.

        Who may push needs no right to look: the registry itself has said the same before.
        """
        from botocore.exceptions import ClientError

        with explained(f"ECR does not tell of {repository.name}:{tag}"):
            try:
                said = self.client.describe_images(
                    registryId=repository.account,
                    repositoryName=repository.name,
                    imageIds=[{"imageTag": tag}],
                )
            except ClientError as error:
                if code_of(error) in {"ImageNotFoundException", "AccessDeniedException"}:
                    return None
                raise
        return str(said["imageDetails"][0]["imageDigest"])

    def login(self, host: str) -> Login:
        """A password for twelve hours, which is kept in memory only; a new one at every call."""
        with explained(
            f"no password for {host} can be had", permission="ecr:GetAuthorizationToken on *"
        ):
            said = self.client.get_authorization_token()
        token = said["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        return Login(user=user, password=password)

    # Policies

    def read(self, repository: Repository) -> str | None:
        """The policy's text; None where there is none."""
        from botocore.exceptions import ClientError

        with explained(
            f"the policy of {repository.name} can not be read",
            permission=f"ecr:GetRepositoryPolicy on {repository.arn}",
        ):
            try:
                said = self.client.get_repository_policy(
                    registryId=repository.account, repositoryName=repository.name
                )
            except ClientError as error:
                if code_of(error) == "RepositoryPolicyNotFoundException":
                    return None
                raise
        return str(said["policyText"])

    def write(self, repository: Repository, text: str) -> None:
        with explained(
            f"the policy of {repository.name} can not be written",
            permission=f"ecr:SetRepositoryPolicy on {repository.arn}",
        ):
            self.client.set_repository_policy(
                registryId=repository.account, repositoryName=repository.name, policyText=text
            )


def ecr_of(session: Session, address: RepositoryAddress | None = None) -> Ecr:
    """In the Region that the repository's address names, else in the session's."""
    region = (address.region if address else None) or session.region
    return Ecr(client=session.client("ecr", region=region), region=region)


def repository_of(told: Mapping[str, Any]) -> Repository:
    """As DescribeRepositories tells of it."""
    return repository_of_arn(told["repositoryArn"], told["repositoryUri"])


def repository_to_be(session: Session, ecr: Ecr, address: RepositoryAddress) -> Repository:
    """One that is missing, as it will be called. Raise `CommandError` where nobody is known."""
    account = address.account or session.account()
    partition = session.partition_of(ecr.region)
    ending = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    host = address.host or f"{account}.dkr.ecr.{ecr.region}.{ending}"
    return Repository(
        partition=partition,
        region=ecr.region,
        account=account,
        name=address.name,
        uri=f"{host}/{address.name}",
    )


def logins_to(open_: Callable[[], Session], env: Mapping[str, str]) -> Logins:
    """What `docker login` left; and for ECR, where it left nothing, a password of our own."""
    stored = docker_logins(env)
    return lambda host: (
        stored(host) or (_own_login(open_(), host) if region_of_host(host) else None)
    )


def logins_of(session: Session, env: Mapping[str, str]) -> Logins:
    """For ECR a password of the session's, for others what `docker login` left."""
    stored = docker_logins(env)
    return lambda host: _own_login(session, host) if region_of_host(host) else stored(host)


def _own_login(session: Session, host: str) -> Login:
    region = region_of_host(host)
    return Ecr(client=session.client("ecr", region=region), region=str(region)).login(host)


def cloud_of(session: Session, address: RepositoryAddress | None, client: RegistryClient) -> Cloud:
    """ECR for the images of records, where `address` is or in the session's Region."""
    ecr = ecr_of(session, address)
    return Cloud(
        repositories=ecr,
        policies=ecr,
        wait=pause,
        registry=Pusher(client=client),
        repository_of=repository_of,
        repository_to_be=lambda missing: repository_to_be(session, ecr, missing),
    )


def pusher_of(ecr: Ecr, repository: Repository, env: Mapping[str, str]) -> Pusher:
    """The repository's registry, with a password for it and for no other host."""

    def login(host: str) -> Login | None:
        return ecr.login(host) if host == repository.host else None

    return Pusher(client=registry_client(env, logins=login))
