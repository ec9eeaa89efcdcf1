"""What layers were found to have in them, kept by content: a known layer is not read again."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from packager.layertree import Entry, Indexed, LayerIndex
from packager.oci import Layer

FORMAT: Final = "1"
"""Of indexes; another version's are made anew."""
INDEXES: Final = "layers"
"""Where the store keeps indexes, by the digest of a layer's tar."""
TARS: Final = "layer-tars"
"""Where it keeps which tar is in a compressed layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Indexes of layers, in this process and in the store, which may forget any of them."""

    recall: Callable[[str, str], str | None]
    remember: Callable[[str, str, str], None]
    _held: dict[str, LayerIndex] = field(default_factory=dict)
    _tars: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def index(self, layer: Layer) -> LayerIndex | None:
        """None where the layer, or that its bytes are this tar, is not known."""
        if layer.digest not in {"", layer.diff_id} and self.tar(layer.digest) != layer.diff_id:
            return None
        return self.of_tar(layer.diff_id)

    def of_tar(self, diff_id: str) -> LayerIndex | None:
        with self._lock:
            if diff_id in self._held:
                return self._held[diff_id]
        found = from_json(self.recall(INDEXES, _key(diff_id)) or "")
        if found is not None:
            with self._lock:
                self._held[diff_id] = found
        return found

    def tar(self, digest: str) -> str | None:
        """Digest of the tar in a layer of which an index is here; maybe the layer itself."""
        known = self._tars.get(digest) or self.recall(TARS, _key(digest)) or digest
        return known if self.of_tar(known) is not None else None

    def keep(self, found: Indexed) -> None:
        with self._lock:
            self._held[found.diff_id] = found.content
            if found.digest != found.diff_id:
                self._tars[found.digest] = found.diff_id
        self.remember(INDEXES, _key(found.diff_id), to_json(found.content))
        if found.digest != found.diff_id:
            self.remember(TARS, _key(found.digest), found.diff_id)


def _key(digest: str) -> str:
    return digest.removeprefix("sha256:")


def to_json(index: LayerIndex) -> str:
    return json.dumps(
        {
            "format": FORMAT,
            "entries": {path: list(entry) for path, entry in index.entries.items()},
            "hardlinks": dict(index.hardlinks),
            "removed": index.removed,
            "opaque": index.opaque,
            "texts": {path: text.decode("latin-1") for path, text in index.texts.items()},
            "secrets": index.secrets,
        },
        separators=(",", ":"),
    )


def from_json(text: str) -> LayerIndex | None:
    """Inverse of `to_json`; None for what another version wrote."""
    try:
        told = json.loads(text)
        if told["format"] != FORMAT:
            return None
        return LayerIndex(
            entries={path: Entry(*row) for path, row in told["entries"].items()},
            hardlinks=told["hardlinks"],
            removed=tuple(told["removed"]),
            opaque=tuple(told["opaque"]),
            texts={path: text.encode("latin-1") for path, text in told["texts"].items()},
            secrets=tuple((path, kind) for path, kind in told["secrets"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
