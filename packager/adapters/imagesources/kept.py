"""An image of which only documents are at hand, since its layers are known."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from packager.errors import CommandError, ConfigError
from packager.layershelf import Shelf
from packager.oci import LARGEST_DOCUMENT_BYTES, Blobs, OciImage, image_in

DOCUMENTS: Final = "image-documents"
"""Where the store keeps an image's documents, by what the engine calls it and the platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Documents by name, sizes of layers that are known, and whatever else was brought."""

    where: str
    mend: str
    documents: Mapping[str, bytes] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    brought: Blobs | None = None
    holds: bool = True
    seen: dict[str, bytes] = field(default_factory=dict)
    """Documents that somebody asked for."""

    def size(self, name: str) -> int | None:
        if name in self.documents:
            return len(self.documents[name])
        if name in self.sizes:
            return self.sizes[name]
        return None if self.brought is None else self.brought.size(name)

    def chunks(self, name: str) -> Iterator[bytes]:
        if name in self.documents:
            self.seen[name] = self.documents[name]
            yield self.documents[name]
        elif self.brought is not None and self.brought.size(name) is not None:
            size = self.brought.size(name) or 0
            if size > LARGEST_DOCUMENT_BYTES:
                yield from self.brought.chunks(name)
            else:
                self.seen[name] = b"".join(self.brought.chunks(name))
                yield self.seen[name]
        else:  # it was known a moment ago
            raise CommandError(
                f"what is known of {name} in {self.where} was removed meanwhile",
                why="somebody prunes the store",
                fix="try it again",
            )

    def stop(self) -> None:
        """What is read here is at hand."""


def is_whole(files: Kept, platform: str, shelf: Shelf) -> bool:
    """Whether every layer that is not there is known."""
    image = image_in(files, platform)
    return all(
        shelf.index(layer) is not None
        for layer in image.layers
        if files.brought is None or files.brought.size(layer.file) is None
    )


def remember(
    files: Kept, platform: str, identity: str, remember_: Callable[[str, str, str], None]
) -> None:
    """Keep the documents of an image that the engine calls `identity`."""
    files.seen.clear()
    image = image_in(files, platform)
    documents = {name: text.decode() for name, text in files.seen.items()}
    text = json.dumps({"documents": documents, "sizes": _sizes(image)})
    remember_(DOCUMENTS, _key(identity, platform), text)


def recalled(
    identity: str,
    platform: str,
    shelf: Shelf,
    recall: Callable[[str, str], str | None],
    *,
    where: str,
    mend: str,
) -> Kept | None:
    """The image, if its documents and all its layers are known."""
    try:
        told = json.loads(recall(DOCUMENTS, _key(identity, platform)) or "")
        documents = {name: document.encode() for name, document in told["documents"].items()}
        kept = Kept(where=where, mend=mend, documents=documents, sizes=told["sizes"])
        return kept if is_whole(kept, platform, shelf) else None
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError):  # of another version
        return None


def _sizes(image: OciImage) -> Mapping[str, int]:
    return {layer.file: layer.size for layer in image.layers}


def _key(identity: str, platform: str) -> str:
    return f"{identity.rpartition(':')[2]}-{platform.replace('/', '-')}"
