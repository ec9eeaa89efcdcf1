"""ECR's own API: repositories and their policies. Images go through the registry's protocol."""

import time
from dataclasses import dataclass
from typing import Any

from packager.adapters.aws.failures import code_of, explained
from packager.adapters.aws.session import Session
from packager.errors import ConfigError
from packager.publishing.addresses import Repository, RepositoryAddress, repository_of_arn

FIRST_PAUSE_S = 0.25


def pause(attempt: int) -> None:
    """Between attempts to write what somebody else writes, too."""
    time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecr:
    """One Region's. Every function raises `CommandError` where a call fails or is denied."""

    client: Any
    """boto3's."""
    region: str

    def find(self, address: RepositoryAddress) -> Repository | None:
        """None where there is no repository of that name."""
        found = self.describe(address)
        if found is None:
            return None
        return repository_of_arn(found["repositoryArn"], found["repositoryUri"])

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
