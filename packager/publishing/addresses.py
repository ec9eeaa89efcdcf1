"""How AWS names repositories of images and the applications that use them. Pure.

EMR Serverless takes fewer names of repositories than ECR does (`imageUri` of its API), and only
images of the application's own Region (UG: "Considerations and limitations" of custom images).
"""

import re
from dataclasses import dataclass
from typing import Final

from packager.errors import ConfigError

_HOST: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<suffix>[a-z0-9.]+)"
)
_ECR_NAME: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_EMR_NAME: Final = re.compile(r"[a-z0-9]+(?:[-._][a-z0-9]+)*")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_REPOSITORY_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z-]+):ecr:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":repository/(?P<name>.+)"
)
_APPLICATION_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z-]+):emr-serverless:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":/applications/(?P<id>[0-9a-z]+|\*)"
)
_APPLICATION_ID: Final = re.compile(r"[0-9a-z]{1,64}")

NAMES_FIX: Final = (
    "write a name as in team/app, or the whole address as in"
    " 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryAddress:
    """A repository as a user names it: what is not said is that of the session."""

    name: str
    account: str | None = None
    region: str | None = None
    host: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that is there, by the ARN that ECR gives it."""

    partition: str
    region: str
    account: str
    name: str
    uri: str
    """Address for Docker, without a tag."""

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:ecr:{self.region}:{self.account}:repository/{self.name}"

    @property
    def host(self) -> str:
        return self.uri.partition("/")[0]


def parse_repository(text: str) -> RepositoryAddress:
    """A name, an address with or without a tag, or an ARN. Raise `ConfigError` for others."""
    if arn := _REPOSITORY_ARN.fullmatch(text):
        _require_usable(arn["name"], text)
        return RepositoryAddress(name=arn["name"], account=arn["account"], region=arn["region"])
    plain = text.removeprefix("https://")
    first, slash, rest = plain.partition("/")
    host = _HOST.fullmatch(first)
    # Names of repositories may have dots as well, but do not end like those of hosts.
    if host is None and slash and re.search(r":|\.(?:aws|cn|com|dev|io|net|org)$", first):
        raise ConfigError(
            f"{text} is not a private repository of ECR",
            why="EMR Serverless takes images from there only",
            fix=NAMES_FIX,
        )
    path = rest if host else plain
    path, _, digest = path.partition("@")
    name, colon, tag = path.partition(":")
    _require_usable(name, text)
    if digest or (colon and not _TAG.fullmatch(tag)):
        raise ConfigError(
            f"{text} is not the name of a repository",
            why=f"{digest!r} names one image of it" if digest else f"{tag!r} can be no tag",
            fix=NAMES_FIX,
        )
    if host is None:
        return RepositoryAddress(name=name, tag=tag or None)
    return RepositoryAddress(
        name=name,
        account=host["account"],
        region=host["region"],
        host=first,
        tag=tag or None,
    )


def _require_usable(name: str, text: str) -> None:
    parts = name.split("/")
    if not 2 <= len(name) <= 256 or not all(_ECR_NAME.fullmatch(part) for part in parts):
        raise ConfigError(
            f"{text} is not the name of a repository",
            why="names have 2 to 256 small letters, digits, and single . _ - / between them",
            fix=NAMES_FIX,
        )
    if not all(_EMR_NAME.fullmatch(part) for part in parts):
        raise ConfigError(
            f"EMR Serverless takes no image from a repository with the name {name}",
            why="ECR allows __ and -- in names, the imageUri of an application does not",
            fix="choose a name with single . _ - only",
        )


def region_of_host(host: str) -> str | None:
    """Of a registry of ECR; None for every other host."""
    found = _HOST.fullmatch(host)
    return found["region"] if found else None


def repository_of_arn(arn: str, uri: str) -> Repository:
    """What ECR says of a repository. Raise `ValueError` for what is not of ECR."""
    found = _REPOSITORY_ARN.fullmatch(arn)
    if found is None:
        raise ValueError(f"{arn!r} is not the ARN of a repository")
    return Repository(**found.groupdict(), uri=uri)


ALL: Final = "all"
"""Every application of the account, where they are named."""


def application_arn(text: str, repository: Repository) -> str:
    """The ARN of an application, given by its ARN or, in the repository's account, by its id.

    `all` stands for every one of that account. Raise `ConfigError` for others, and for one that
    could not use the repository's images.
    """
    if text == ALL:
        return every_application(repository)
    if _APPLICATION_ID.fullmatch(text):
        return every_application(repository).removesuffix("*") + text
    found = _APPLICATION_ARN.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{text} is not an application of EMR Serverless",
            why="its ARN ends in :/applications/ID",
            fix="give the id, as in 00f1abcdexample, or the ARN as get-application prints it",
        )
    for what, theirs, ours in (
        ("partition", found["partition"], repository.partition),
        ("Region", found["region"], repository.region),
    ):
        if theirs != ours:
            raise ConfigError(
                f"the application is in {theirs}, the repository {repository.name} in {ours}",
                why=f"an application takes images of its own {what} only",
                fix=f"push the image to a repository in {theirs}",
            )
    return text


def every_application(repository: Repository) -> str:
    """The pattern of all applications of the repository's account and Region."""
    return (
        f"arn:{repository.partition}:emr-serverless:{repository.region}"
        f":{repository.account}:/applications/*"
    )


def account_root(account: str, repository: Repository) -> str:
    """The principal that stands for a whole account. Raise `ConfigError` for no account's number.

    Who of it may in the end is up to that account's own policies.
    """
    if not re.fullmatch(r"\d{12}", account):
        raise ConfigError(f"{account} is not an account of AWS", fix="write its twelve digits")
    return f"arn:{repository.partition}:iam::{account}:root"
