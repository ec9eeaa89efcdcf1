"""An image as observed: its configuration, its tree, and how it differs from its base. No opinion.

Pure but for the files that it is given.
"""

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from packager.contents import PROTECTED_FOLDERS
from packager.errors import ConfigError
from packager.layershelf import Shelf
from packager.layertree import LayerIndex, Node, Tree, merge, read_layer
from packager.oci import Blobs, ImageConfig, Layer, OciImage, image_in

Difference = Literal["removed", "content", "mode", "owner", "kind", "link"]
READERS: Final = 3
"""Layers that are read at a time; each has a few megabytes in memory."""


class Change(NamedTuple):
    """A file of the base that is not as it was."""

    path: str
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who a name is in the image's own files."""

    uid: int
    gids: frozenset[int]
    home: str
    shell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """The image it is said to be made from, and what became of it."""

    name: str
    config: ImageConfig
    is_below: bool
    """Whether the image's first layers are the base's."""
    changes: tuple[Change, ...]
    """In the directories that are to stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """One image of one platform."""

    name: str
    config: ImageConfig
    tree: Tree
    layers: tuple[LayerIndex, ...]
    size: int
    """Bytes of all layers, as they are kept in the file; compressed if they are so."""
    unpacked: int
    """Bytes of the files of all layers, those that are hidden included."""
    platforms: tuple[str, ...]
    attested: bool
    own: int
    """Number of the first layer that is not the base's; 0 where no base is known."""
    base: BaseFacts | None
    layer_sizes: tuple[int, ...] = ()
    """Bytes of each layer, as `size` counts them."""
    read: bool = True
    """Whether its layers were looked into; else there is no tree."""

    def account(self, name: str) -> Account | None:
        """A user by name, or None if the image does not know it."""
        for row in _rows(self.tree, "etc/passwd"):
            if row[0] == name and len(row) >= 6 and row[2].isdecimal() and row[3].isdecimal():
                gids = {
                    int(group[2])
                    for group in _rows(self.tree, "etc/group")
                    if len(group) >= 4 and group[2].isdecimal() and name in group[3].split(",")
                }
                return Account(
                    uid=int(row[2]),
                    gids=frozenset({int(row[3]), *gids}),
                    home=row[5],
                    shell=(*row, "")[6],
                )
        return None

    def group(self, name: str) -> int | None:
        """Number of a group by name."""
        for row in _rows(self.tree, "etc/group"):
            if row[0] == name and len(row) >= 3 and row[2].isdecimal():
                return int(row[2])
        return None

    def expanded(self, path: str) -> str | None:
        """A path with the image's variables in it; None where one is not set."""
        lacking = False

        def value(match: re.Match[str]) -> str:
            nonlocal lacking
            found = self.config.variable(match[1])
            lacking = lacking or not found
            return found or ""

        expanded = re.sub(r"\$([A-Z_]+)", value, path)
        return None if lacking else expanded

    @property
    def own_secrets(self) -> Iterator[tuple[str, str]]:
        """Path and kind of credentials in files of layers above the base, deleted ones included."""
        return (found for layer in self.layers[self.own :] for found in layer.secrets)


def _rows(tree: Tree, path: str) -> Iterator[list[str]]:
    text = tree.texts.get(path, b"").decode("utf-8", "replace")
    return (line.split(":") for line in text.splitlines() if line and not line.startswith("#"))


def observe(
    files: Blobs,
    platform: str,
    *,
    name: str,
    base: tuple[Blobs, str] | None = None,
    shelf: Shelf | None = None,
) -> ImageFacts:
    """Read the image in `files`, and the one that it is to be compared with, with its name.

    Layers that are on the shelf are not read. Raise `ConfigError` for what is not a whole image of
    that platform.
    """
    image = image_in(files, platform)
    layers = _read(image, shelf)
    tree = merge(layers)
    own, base_facts = 0, None
    if base is not None:
        base_files, base_name = base
        below = image_in(base_files, platform)
        if below.config.platform != image.config.platform:
            raise ConfigError(
                f"{base_name} is for {below.config.platform}",
                why=f"it is to be compared with {name}, which is for {image.config.platform}",
                fix="name the base image of the same architecture",
            )
        count = len(below.config.diff_ids)
        is_below = image.config.diff_ids[:count] == below.config.diff_ids
        # Equal layers have equal indexes.
        base_layers = layers[:count] if is_below else _read(below, shelf)
        own = count if is_below else 0
        base_facts = BaseFacts(
            name=base_name,
            config=below.config,
            is_below=is_below,
            changes=_changes(tree, merge(base_layers)),
        )
    return ImageFacts(
        name=name,
        config=image.config,
        tree=tree,
        layers=layers,
        size=image.size,
        unpacked=sum(entry.size for layer in layers for entry in layer.entries.values()),
        platforms=image.platforms,
        attested=image.attested,
        own=own,
        base=base_facts,
        layer_sizes=tuple(layer.size for layer in image.layers),
    )


def observe_documents(image: OciImage, *, name: str) -> ImageFacts:
    """What an image says of itself, without a look into any layer."""
    return ImageFacts(
        name=name,
        config=image.config,
        tree=Tree({}, {}),
        layers=(),
        size=image.size,
        unpacked=0,
        platforms=image.platforms,
        attested=image.attested,
        own=0,
        base=None,
        layer_sizes=tuple(layer.size for layer in image.layers),
        read=False,
    )


def _read(image: OciImage, shelf: Shelf | None) -> tuple[LayerIndex, ...]:
    with ThreadPoolExecutor(READERS) as pool:
        try:
            return tuple(pool.map(lambda layer: _index(image, layer, shelf), image.layers))
        except BaseException:  # else the others would come to their ends first
            image.blobs.stop()
            pool.shutdown(cancel_futures=True)
            raise


def _index(image: OciImage, layer: Layer, shelf: Shelf | None) -> LayerIndex:
    known = None if shelf is None else shelf.index(layer)
    if known is not None and (image.blobs.holds or _is_sound(image, layer)):
        return known
    found = read_layer(image, layer)
    if shelf is not None:
        shelf.keep(found)
    return found.content


def _is_sound(image: OciImage, layer: Layer) -> bool:
    """Whether a known layer is in the file as its digest says. Raise `ConfigError` if it is not."""
    hashed, size = hashlib.sha256(), 0
    for chunk in image.chunks(layer):
        hashed.update(chunk)
        size += len(chunk)
    digest = f"sha256:{hashed.hexdigest()}"
    image.hold(layer, digest, size)
    return layer.digest != "" or digest == layer.diff_id


def _changes(tree: Tree, base: Tree) -> tuple[Change, ...]:
    """What is not as the base has it."""
    changes: list[Change] = []
    for folder in PROTECTED_FOLDERS:
        for path, old in base.below(folder):
            new = tree.nodes.get(path)
            difference = "removed" if new is None else _difference(old, new)
            if difference is not None:
                changes.append(Change(path, difference))
    return tuple(sorted(changes))


def _difference(old: Node, new: Node) -> Difference | None:
    was, is_ = old.entry, new.entry
    if was.kind != is_.kind:
        return "kind"
    if was.size != is_.size or was.sha256 != is_.sha256:
        return "content"
    if was.link != is_.link:
        return "link"
    if was.kind != "symlink" and was.mode != is_.mode:
        return "mode"
    if (was.uid, was.gid) != (is_.uid, is_.gid):
        return "owner"
    return None
