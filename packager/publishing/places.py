"""Where things are in S3, as values; only here are keys put together."""

from dataclasses import dataclass
from typing import Final

from packager.errors import ConfigError

ARRIVING: Final = ".arriving"
"""Folder for what has no name yet, since its content is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An object, or a folder of them."""

    bucket: str
    key: str
    """Without a slash at its beginning or end."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"

    @property
    def folder(self) -> "Place":
        """Where it lies."""
        return Place(bucket=self.bucket, key=self.key.rpartition("/")[0])

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:s3:::{self.bucket}{'/' if self.key else ''}{self.key}"

    def __truediv__(self, name: str) -> "Place":
        return Place(bucket=self.bucket, key=f"{self.key}/{name}" if self.key else name)


def parse_place(uri: str) -> Place:
    """Raise `ConfigError` for what is no S3 URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise ConfigError(f"{uri!r} is no place in S3", fix="write it as in s3://bucket/prefix")
    return Place(bucket=bucket, key=key.rstrip("/"))


def named_by_content(name: str, sha256: str) -> str:
    """The name of a file that is not named so, with its hash before its endings."""
    for ending in (".packager.json", ".cdx.json"):
        if name.endswith(ending):
            return f"{name.removesuffix(ending)}-{sha256[:12]}{ending}"
    raise ValueError(name)
