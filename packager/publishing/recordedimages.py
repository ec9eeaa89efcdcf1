"""Images that records name: they go to a repository, and the records get to know where they are.

One that is there already is left alone. One that is elsewhere, in an engine or in another
repository, is sent if it is the one that was recorded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from packager.errors import CommandError, ConfigError
from packager.publishing.addresses import (
    Repository,
    RepositoryAddress,
    application_arn,
)
from packager.publishing.calls import Call
from packager.publishing.granting import (
    Change,
    Policies,
    grant,
    judge_all,
    plan,
    require_pulls,
)
from packager.publishing.imagecalls import calls_to_push
from packager.publishing.imagecontent import ImageContent
from packager.publishing.images import (
    Prepared,
    Pushed,
    Registry,
    Repositories,
    prepare,
    push_image,
    require_free,
    tag_for,
)
from packager.publishing.policy import Wish
from packager.publishing.repositories import RepositorySettings
from packager.publishing.store import Meter
from packager.record import Record, RecordedImage
from packager.references import Reference, parse_reference


class Origins(Protocol):
    """Where images are before they are published."""

    def opened(self, record: Record, image: RecordedImage) -> AbstractContextManager[ImageContent]:
        """What an image consists of, for as long as the context lasts.

        Raise `PackagerError` where it is not there any more.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A repository, as it is wanted."""

    address: RepositoryAddress
    settings: RepositorySettings
    lifecycle: Mapping[str, Any] | None = None
    applications: tuple[str, ...] = ()
    """Who is to pull from it: IDs, ARNs, or `all`; nobody's right is touched without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """ECR, as far as images of records need it."""

    repositories: Repositories
    policies: Policies
    wait: Callable[[int], None]
    """Between attempts to write a policy that somebody else writes, too."""
    registry: Registry
    repository_of: Callable[[Mapping[str, Any]], Repository]
    repository_to_be: Callable[[RepositoryAddress], Repository]
    """How one that is missing will be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What became of an image of a record."""

    image: RecordedImage
    """With where it is."""
    pushed: Pushed | None
    """None for one that was found where the record says that it is."""

    @property
    def sent(self) -> int:
        """Bytes."""
        return self.pushed.sent if self.pushed else 0

    @property
    def new(self) -> bool:
        return self.pushed is not None and not self.pushed.present

    def line(self) -> str:
        """For people."""
        size = f"{self.image.size / 1e6:9.2f} MB"
        if not self.image.reference:
            return f"{size}  {self.image.digest}  in the engine only"
        state = f"{self.sent / 1e6:.2f} MB sent" if self.new else "there already"
        return f"{size}  {self.image.reference}  {state}"

    def told(self) -> dict[str, Any]:
        """For programs."""
        return {
            "reference": self.image.reference,
            "tag": self.pushed.tag if self.pushed else None,
            "size": self.image.size,
            "present": not self.new,
            "sent": self.sent,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A repository that is there and open to those who are to pull from it."""

    repository: Repository
    prepared: Prepared
    change: Change | None


def tag_of(record: Record, image: RecordedImage, content: ImageContent, tag: str | None) -> str:
    """What an image is called; if nobody says otherwise, never the same for two."""
    if tag is None:
        return f"{record.release}-{record.arch}-{content.digest.removeprefix('sha256:')[:12]}"
    return "-".join(filter(None, (tag_for(tag, content.platform), image.role)))


def require_region(to: Destination, region: str) -> None:
    """Raise `ConfigError` for a repository elsewhere than the jobs.

    UG, "Considerations and limitations" of custom images: of the application's own Region.
    """
    if to.address.region not in {None, region}:
        raise ConfigError(
            f"the repository {to.address.name} is in {to.address.region}, and the jobs in {region}",
            why="an application takes images of its own Region only",
            fix=f"take a repository in {region}, or --region {to.address.region} if the jobs run"
            " there",
        )


def require_there(image: RecordedImage, registry: Registry) -> None:
    """Raise `CommandError` where an image is not at its place any more."""
    if registry.find(parse_reference(image.reference)) is None:
        raise CommandError(
            f"the image {image.reference} is not there",
            why="the record names it, and somebody has removed it since",
            fix="push it again: packager image build --push; or name a repository with"
            " --repository, and it is sent there from the engine",
        )


def open_repository(cloud: Cloud, to: Destination) -> Opened:
    """Make the repository if it is missing, and let those pull from it who are to.

    Raise `ValidationFailedError` where they can not all the same, for somebody else denies it.
    """
    prepared = prepare(
        cloud.repositories,
        to.address,
        to.settings,
        to.lifecycle,
        repository_of=cloud.repository_of,
    )
    repository = cloud.repository_of(prepared.told)
    change = None
    if to.applications:
        wanted = wish(repository, to.applications)
        change = grant(cloud.policies, repository, wanted, wait=cloud.wait)
        require_pulls(judge_all(change.after, repository, wanted.applications), repository.name)
    return Opened(repository=repository, prepared=prepared, change=change)


def wish(repository: Repository, applications: Sequence[str]) -> Wish:
    """Raise `ConfigError` for what is no application, or one of another Region."""
    return Wish(applications=tuple(application_arn(text, repository) for text in applications))


def place_images(
    records: Sequence[Record],
    opened: Opened,
    cloud: Cloud,
    origins: Origins,
    *,
    tag: str | None,
    meter: Meter,
) -> dict[str, tuple[Placed, ...]]:
    """Bring the images of all records to a repository; by the records' names."""
    done: dict[str, tuple[Placed, ...]] = {}
    for record in records:
        placed = []
        for image in record.images:
            if _is_in(image, opened.repository, cloud.registry):
                placed.append(Placed(image=image, pushed=None))
                continue
            with origins.opened(record, image) as content:
                _require_recorded(content, record, image)
                meter.expect(content.size)
                pushed = push_image(
                    cloud.registry,
                    cloud.repositories,
                    opened.repository,
                    content,
                    tag=tag_of(record, image, content, tag),
                    immutable=opened.prepared.immutable,
                    moved=meter.moved,
                )
            changed = _moved(image, content, pushed.reference)
            placed.append(Placed(image=changed, pushed=pushed))
        done[record.name] = tuple(placed)
    return done


def planned_images(
    records: Sequence[Record], to: Destination, cloud: Cloud, origins: Origins
) -> tuple[tuple[Call, ...], dict[str, tuple[RecordedImage, ...]]]:
    """The calls that `open_repository` and `place_images` would make, and what they would lead to.

    Only what reads is asked.
    """
    told = cloud.repositories.describe(to.address)
    there = None if told is None else cloud.repository_of(told)
    repository = there or cloud.repository_to_be(to.address)
    calls = [Call(name="DescribeRepositories", uri=repository.uri)]
    if there is None:
        calls.append(Call(name="CreateRepository", uri=repository.uri))
    if to.lifecycle is not None:
        name = "PutLifecyclePolicy" if there is None else "GetLifecyclePolicy"
        calls.append(Call(name=name, uri=repository.uri))
    if to.applications:
        calls += _calls_to_grant(cloud, repository, to.applications, there=there is not None)
    calls.append(Call(name="GetAuthorizationToken", uri=repository.host))
    immutable = (
        Prepared(told=told, created=False, notes=()).immutable
        if told
        else to.settings.immutable_tags
    )
    sent: set[str] = set()
    images: dict[str, list[RecordedImage]] = {}
    for record in records:
        then = images.setdefault(record.name, [])
        for image in record.images:
            if image.reference and parse_reference(image.reference).name == repository.uri:
                calls.append(Call(name="HeadManifest", uri=image.reference))
                if there is not None and _is_in(image, repository, cloud.registry):
                    then.append(image)
                    continue
            with origins.opened(record, image) as content:
                _require_recorded(content, record, image)
                tag = tag_of(record, image, content, to.address.tag)
                reference = parse_reference(repository.uri).tagged(tag)
                registry = None if there is None else cloud.registry
                present = registry is not None and require_free(
                    registry, reference, content.digest, immutable=immutable
                )
                lacks = _lacks(registry, reference, sent)
                calls += calls_to_push(reference, content, lacks, present=present)
                sent |= {layer.descriptor.digest for layer in content.layers}
                then.append(_moved(image, content, str(reference.at(content.digest))))
    return tuple(calls), {name: tuple(of) for name, of in images.items()}


def _moved(image: RecordedImage, content: ImageContent, reference: str) -> RecordedImage:
    return replace(image, reference=reference, digest=content.digest, size=content.size)


def _lacks(
    registry: Registry | None, reference: Reference, sent: set[str]
) -> Callable[[str], bool]:
    """Whether a blob has to be sent, where those that are `sent` are going there already."""

    def lacks(digest: str) -> bool:
        return digest not in sent and (registry is None or not registry.has_blob(reference, digest))

    return lacks


def _calls_to_grant(
    cloud: Cloud, repository: Repository, applications: Sequence[str], *, there: bool
) -> Iterator[Call]:
    yield Call(name="GetRepositoryPolicy", uri=repository.uri)
    if not there or plan(cloud.policies, repository, wish(repository, applications)).needed:
        yield Call(name="SetRepositoryPolicy", uri=repository.uri)
        yield Call(name="GetRepositoryPolicy", uri=repository.uri)


def _is_in(image: RecordedImage, repository: Repository, registry: Registry) -> bool:
    if not image.reference:
        return False
    reference = parse_reference(image.reference)
    return reference.name == repository.uri and registry.find(reference) is not None


def _require_recorded(content: ImageContent, record: Record, image: RecordedImage) -> None:
    """Manifests may differ by how layers are compressed; what is in the image may not."""
    if content.config.digest != image.config_digest:
        raise ConfigError(
            f"the image of {record.name} is not the one that was recorded",
            why=f"its configuration is {content.config.digest[:19]},"
            f" the record's {image.config_digest[:19]}",
            fix="make it again: packager image build",
        )
