"""What is looked at in an account: only what the settings name, and never anything but reading."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from packager.doctor.diagnosis import Look, Point, examine, unseen
from packager.errors import ConfigError, ValidationFailedError
from packager.publishing.addresses import Repository, RepositoryAddress, application_arn
from packager.publishing.evaluation import Request, decide
from packager.publishing.granting import STRANGER, judge_all, require_pulls
from packager.publishing.policy import read_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a project uses; None for what it does not."""

    bucket: str | None = None
    repository: RepositoryAddress | None = None
    role: str | None = None
    """ARN or name of what jobs run as."""
    application: str | None = None
    """ARN or id."""

    @property
    def anything(self) -> bool:
        return any((self.bucket, self.repository, self.role, self.application))


class Account(Protocol):
    """An account of AWS.

    All raise `CommandError` where a call fails, with the permission's name if it is denied.
    """

    @property
    def region(self) -> str: ...

    @property
    def partition(self) -> str: ...

    def identity(self) -> tuple[str, str]:
        """The account's number, and the ARN of who asks."""

    def bucket_region(self, bucket: str) -> str | None:
        """Raise `ConfigError` where there is no such bucket; None where its Region is not told."""

    def repository(self, address: RepositoryAddress) -> Repository | None: ...

    def policy(self, repository: Repository) -> str | None: ...

    def trust(self, role: str) -> Mapping[str, Any]:
        """The role's trust policy. Raise `ConfigError` where there is no such role."""

    def application(self, identity: str) -> Mapping[str, Any]:
        """As GetApplication tells. Raise `ConfigError` where there is none."""


def examine_account(account: Account, wanted: Wanted) -> Iterator[Point]:
    """Look at who asks, and then at all that is wanted."""
    number: list[str] = []

    def who() -> str:
        own, arn = account.identity()
        number.append(own)
        return f"{arn}, in {account.region}"

    needed = "" if wanted.anything else "publishing, images and jobs on AWS"
    identity = examine(Look(area="AWS", name="identity", see=who, purpose=needed))
    yield identity
    for look in _looks(account, wanted):
        if identity.status == "ok":
            yield examine(look)
        else:
            yield unseen(look, "not looked at: nobody is logged in")


def _looks(account: Account, wanted: Wanted) -> Iterator[Look]:
    if bucket := wanted.bucket:
        yield Look(area="AWS", name="bucket", see=lambda: _bucket(account, bucket))
    if address := wanted.repository:
        yield Look(
            area="AWS",
            name="repository",
            see=lambda: _repository(account, address).uri,
        )
        yield Look(
            area="AWS",
            name="pull policy",
            see=lambda: _policy(account, address, wanted.application),
        )
    if role := wanted.role:
        yield Look(area="AWS", name="role", see=lambda: _role(account, role, wanted.application))
    if application := wanted.application:
        yield Look(area="AWS", name="application", see=lambda: _application(account, application))


def _bucket(account: Account, bucket: str) -> str:
    region = account.bucket_region(bucket)
    if region is not None and region != account.region:
        raise ConfigError(
            f"the bucket {bucket} is in {region}, and jobs run in {account.region}",
            why="files that cross Regions are slow and cost money",
            fix=f"--region {region}, or choose another bucket",
        )
    return f"s3://{bucket} in {region or 'a Region that is not told'}"


def _repository(account: Account, address: RepositoryAddress) -> Repository:
    found = account.repository(address)
    if found is None:
        raise ConfigError(
            f"there is no repository {address.name}",
            fix=f"the first push makes it: packager image push IMAGE {address.name}",
        )
    if found.region != account.region:
        raise ConfigError(
            f"the repository {found.name} is in {found.region}, jobs run in {account.region}",
            why="an application takes images of its own Region only",
            fix=f"--region {found.region}, or choose another repository",
        )
    return found


def _policy(account: Account, address: RepositoryAddress, application: str | None) -> str:
    repository = _repository(account, address)
    policy = read_policy(account.policy(repository), repository.name)
    named = (application_arn(application, repository),) if application else ()
    judgements = judge_all(policy, repository, named)
    require_pulls(judgements, repository.name)
    return judgements[0].line()


def _role(account: Account, role: str, application: str | None) -> str:
    trust = _with_statements(account.trust(role))
    number, _ = account.identity()
    own = f"arn:{account.partition}:emr-serverless:{account.region}:{number}:/applications/"
    arn = application if application and ":" in application else own + (application or STRANGER)
    decision = decide(
        trust["Statement"], Request(action="sts:AssumeRole", application=arn, repository=role)
    )
    if decision.verdict in {"denied", "not allowed"}:
        raise ValidationFailedError(
            f"jobs can not run as {role}",
            why=f"statement {decision.statement} of its trust policy denies it"
            if decision.verdict == "denied"
            else "no statement of its trust policy lets emr-serverless.amazonaws.com assume it"
            + (f" for application {application}" if application else ""),
            fix="give it the trust policy that `packager policy` prints",
        )
    return f"{role} trusts emr-serverless.amazonaws.com"


def _with_statements(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """With a list of statements, even where there is one alone."""
    statements = document.get("Statement", [])
    return {**document, "Statement": [statements] if isinstance(statements, dict) else statements}


def _application(account: Account, identity: str) -> str:
    told = account.application(identity.rpartition("/")[2])
    return f"{told.get('name') or identity}: {told['releaseLabel']}, {told['state'].lower()}"
