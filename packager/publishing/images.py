"""Images go to a repository: made if it is missing, sent if they are not there, and read back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from packager.errors import CommandError, ConfigError
from packager.manifests import Descriptor
from packager.publishing.addresses import Repository, RepositoryAddress
from packager.publishing.imagecontent import ImageContent
from packager.publishing.repositories import RepositorySettings, differences
from packager.references import Reference

TAKEN: Final = ("TAG_INVALID", "ImageTagAlreadyExistsException")
"""What registries call it that a tag can not be moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of an image."""

    reference: str
    """By digest: what applications are given."""
    tag: str
    platform: str
    size: int
    """Bytes of its layers."""
    sent: int
    """Bytes of blobs that went over the network."""
    present: bool
    """Whether the tag stood for this very image before."""


class Repositories(Protocol):
    """ECR's own API. All raise `CommandError` where a call fails or is denied."""

    def describe(self, address: RepositoryAddress) -> Mapping[str, Any] | None: ...

    def create(
        self,
        address: RepositoryAddress,
        wanted: RepositorySettings,
        lifecycle: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        """Make it; or tell of the one that somebody has made meanwhile."""

    def lifecycle(self, repository: Repository) -> Mapping[str, Any] | None: ...

    def image_digest(self, repository: Repository, tag: str) -> str | None:
        """What ECR says that a tag stands for; None for a tag that it does not have."""


class Registry(Protocol):
    """Where the images themselves go. All raise `CommandError` where it fails or refuses."""

    def find(self, reference: Reference) -> Descriptor | None: ...

    def has_blob(self, reference: Reference, digest: str) -> bool: ...

    def push(
        self, reference: Reference, content: ImageContent, moved: Callable[[int], None]
    ) -> int:
        """Send what it does not have yet, and the manifest last; bytes that were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A repository that is there, or would be."""

    told: Mapping[str, Any]
    """As DescribeRepositories tells of it."""
    created: bool
    notes: tuple[str, ...]
    """How it differs from what is set up."""

    @property
    def immutable(self) -> bool:
        return str(self.told.get("imageTagMutability")).startswith("IMMUTABLE")


def prepare(
    repositories: Repositories,
    address: RepositoryAddress,
    wanted: RepositorySettings,
    lifecycle: Mapping[str, Any] | None,
    *,
    repository_of: Callable[[Mapping[str, Any]], Repository],
) -> Prepared:
    """Make the repository if it is missing; change nothing of one that is there."""
    told = repositories.describe(address)
    if told is None:
        made = repositories.create(address, wanted, lifecycle)
        return Prepared(told=made, created=True, notes=())
    as_wanted = lifecycle is None or repositories.lifecycle(repository_of(told)) == lifecycle
    return Prepared(told=told, created=False, notes=differences(told, wanted, lifecycle=as_wanted))


def tag_for(tag: str, platform: str) -> str:
    """One for each architecture, so that no index is needed."""
    arch = platform.rpartition("/")[2]
    return tag if arch in tag.split("-") else f"{tag}-{arch}"


def require_free(registry: Registry, reference: Reference, digest: str, *, immutable: bool) -> bool:
    """Whether the tag stands for this image already.

    Raise `ConfigError` where it stands for another one for ever.
    """
    found = registry.find(reference)
    if found is None:
        return False
    if found.digest == digest:
        return True
    if immutable:
        raise ConfigError(
            f"the tag {reference.tag} of {reference.repository} is another image",
            why=f"it is {found.digest[:19]}, this one is {digest[:19]}, and tags of the repository"
            " can not be moved",
            fix="choose another tag, or none: then it is named by its content",
        )
    return False


def push_image(
    registry: Registry,
    repositories: Repositories,
    repository: Repository,
    content: ImageContent,
    *,
    tag: str | None,
    immutable: bool,
    moved: Callable[[int], None] = lambda _: None,
) -> Pushed:
    """Send one image, and hold what the registry and ECR then say against its digest.

    `tag` is without the architecture; without one, the content names it.
    """
    own = tag_for(tag or content.digest.removeprefix("sha256:")[:12], content.platform)
    host = repository.host
    reference = Reference(host=host, repository=repository.name).tagged(own)
    present = require_free(registry, reference, content.digest, immutable=immutable)
    sent = 0
    if not present:
        try:
            sent = registry.push(reference, content, moved)
        except CommandError as error:
            # Somebody else may have pushed the same at the same time, and that is as good.
            if error.code not in TAKEN or not require_free(
                registry, reference, content.digest, immutable=True
            ):
                raise
            present = True
    told = repositories.image_digest(repository, own)
    if told is not None and told != content.digest:
        raise CommandError(
            f"{reference} is not what was pushed",
            why=f"pushed was {content.digest}, and ECR says {told}: somebody else may have pushed"
            " to the same tag",
            fix="push again, or use the digest, which nobody can move",
        )
    return Pushed(
        reference=str(reference.at(content.digest)),
        tag=own,
        platform=content.platform,
        size=content.size,
        sent=sent,
        present=present,
    )


def push_images(
    registry: Registry,
    repositories: Repositories,
    repository: Repository,
    contents: Sequence[ImageContent],
    *,
    tag: str | None,
    immutable: bool,
    moved: Callable[[int], None] = lambda _: None,
) -> tuple[Pushed, ...]:
    """One after the other; each sends its own layers at the same time."""
    return tuple(
        push_image(
            registry,
            repositories,
            repository,
            content,
            tag=tag,
            immutable=immutable,
            moved=moved,
        )
        for content in contents
    )
