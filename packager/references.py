"""Names of images in registries, as Docker reads them: `host/repository:tag@digest`.

Source: distribution/reference, whose grammar is what registries and engines accept.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from packager.errors import ConfigError

DOCKER_HUB: Final = "docker.io"
LATEST: Final = "latest"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d+)?"
)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image, or a repository, in a registry."""

    host: str
    """With its port, if it has one of its own."""
    repository: str
    tag: str = ""
    digest: str = ""
    """Counts before the tag."""

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """What names the manifest in the repository."""
        return self.digest or self.tag or LATEST

    @property
    def local(self) -> bool:
        """Whether the registry is this machine, for which alone plain HTTP will do."""
        return _LOOPBACK.fullmatch(self.host) is not None

    def at(self, digest: str) -> "Reference":
        """The content of that digest in the same repository."""
        return replace(self, tag="", digest=digest)

    def tagged(self, tag: str) -> "Reference":
        """Raise `ConfigError` for what can be no tag."""
        return replace(self, tag=_checked_tag(tag, str(self)), digest="")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse_reference(text: str) -> Reference:
    """Raise `ConfigError` for what is no name of an image."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, f"{digest!r} is not sha256: and 64 digits", "copy the digest as it is")
    head, colon, tag = rest.rpartition(":")
    if colon and "/" not in tag:
        rest, tag = head, _checked_tag(tag, text)
    else:
        tag = ""
    host, slash, repository = rest.partition("/")
    if not slash or not (host == "localhost" or set(host) & set(".:[") or host != host.lower()):
        host, repository = DOCKER_HUB, rest
    if host in {DOCKER_HUB, f"index.{DOCKER_HUB}"}:
        host = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if not _HOST.fullmatch(host):
        raise _wrong(text, f"{host!r} is not the name of a host", "name it as docker pull does")
    if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
        raise _wrong(
            text,
            "a repository has small letters and digits, joined by . _ - and /",
            "name it as docker pull does: HOST/REPOSITORY:TAG",
        )
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


def _checked_tag(tag: str, text: str) -> str:
    if not _TAG.fullmatch(tag):
        raise _wrong(
            text,
            f"{tag!r} is not a tag: letters, digits, _ . and -, up to 128, not first . or -",
            "choose another tag",
        )
    return tag


def _wrong(text: str, why: str, fix: str) -> ConfigError:
    return ConfigError(f"{text!r} is not the name of an image", why=why, fix=fix)
