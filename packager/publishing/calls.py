"""The requests that publishing makes, told without making them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packager.publishing.places import Place
from packager.publishing.store import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    name: str
    """As the service names it, e.g. `UploadPart`."""
    uri: str
    size: int = 0
    """Bytes of content that it sends."""
    part: int | None = None

    def __str__(self) -> str:
        part = "" if self.part is None else f" part {self.part}"
        return f"{self.name} {self.uri}{part}" + (f" {self.size:,} bytes" if self.size else "")


def calls_to_look(bucket: str, items: Iterable[Item]) -> Iterator[Call]:
    """What it takes to know which items are there."""
    yield Call(name="HeadBucket", uri=Place(bucket=bucket, key="").uri)
    for item in items:
        yield Call(name="HeadObject", uri=item.place.uri)


def calls_to_put(item: Item) -> Iterator[Call]:
    """What it takes to put one that is not there, and of which no upload was broken off."""
    uri, parts = item.place.uri, item.digests.parts
    if len(parts) == 1:
        yield Call(name="PutObject", uri=uri, size=item.digests.size)
        return
    yield Call(name="ListMultipartUploads", uri=uri)
    yield Call(name="CreateMultipartUpload", uri=uri)
    for part in parts:
        yield Call(name="UploadPart", uri=uri, size=part.size, part=part.number)
    yield Call(name="CompleteMultipartUpload", uri=uri)
    yield Call(name="ListMultipartUploads", uri=uri)  # those of others can not end well any more
