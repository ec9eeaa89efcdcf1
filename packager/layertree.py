"""The file tree of an image: what each layer says, and what is left when they lie on each other.

A layer is read once, as a stream, and becomes an index of some bytes for each file; nothing is
unpacked. Specification: OCI image-spec 1.1, layer.md.
"""

import hashlib
import importlib
import io
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Literal, NamedTuple, cast

from isal import isal_zlib

from packager.elf import ELF_MAGIC
from packager.errors import ConfigError
from packager.oci import Layer, OciImage
from packager.secrets import credentials

Kind = Literal["file", "directory", "symlink", "special"]

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
RESERVED: Final = ".wh..wh."
"""Names of aufs itself, which mean nothing here."""

KEPT_TEXTS: Final = frozenset(("etc/passwd", "etc/group"))
"""Files whose content is kept: they are small, and checks ask for them."""
LARGEST_TEXT_BYTES: Final = 1 << 20
LARGEST_PIECE_BYTES: Final = 4 << 20
_ELF_HEAD_BYTES: Final = 20
_MOST_LINKS: Final = 40
"""As Linux follows."""


class Entry(NamedTuple):
    """What a layer says of a path. A tuple, since images have tens of thousands."""

    kind: Kind
    size: int
    mode: int
    uid: int
    gid: int
    link: str = ""
    """Where a symlink leads, as it is written."""
    machine: int = 0
    """`e_machine` of a file that begins as ELF."""


class Node(NamedTuple):
    """A path of the image, and where its content is."""

    entry: Entry
    layer: int
    source: str
    """The path of its content in that layer: another's for a hard link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerIndex:
    """One layer, as observed."""

    entries: Mapping[str, Entry]
    hardlinks: Mapping[str, str]
    """Path to the path whose file it is too."""
    removed: tuple[str, ...]
    opaque: tuple[str, ...]
    """Directories of which nothing from below is left."""
    texts: Mapping[str, bytes]
    secrets: tuple[tuple[str, str], ...]
    """Path and kind of the credentials in it; never the credentials."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a container sees. Paths are without the slash in front; the root is the empty text."""

    nodes: Mapping[str, Node]
    texts: Mapping[str, bytes]
    _folders: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, path: str) -> str | None:
        """The path that `path` leads to through all links; None where it leads nowhere."""
        return _followed(self.nodes, path)

    def at(self, path: str) -> Node | None:
        """What is found by following `path`."""
        found = self.find(path)
        return self.nodes.get(found) if found else None

    def names(self, path: str) -> tuple[str, ...]:
        """What is in a directory, by name; nothing where there is none."""
        if not self._folders:
            folders: dict[str, list[str]] = {}
            for one in self.nodes:
                folder, _, name = one.rpartition("/")
                folders.setdefault(folder, []).append(name)
            self._folders.update({key: tuple(sorted(names)) for key, names in folders.items()})
        found = self.find(path)
        return () if found is None else self._folders.get(found, ())

    def below(self, path: str) -> Iterator[tuple[str, Node]]:
        """Everything in a directory and below it, by its real path."""
        prefix = f"{path.strip('/')}/"
        return ((one, node) for one, node in self.nodes.items() if one.startswith(prefix))


def read_layer(image: OciImage, layer: Layer) -> LayerIndex:
    """Index a layer. Raise `ConfigError` where it is damaged, or not what its digests say."""
    entries: dict[str, Entry] = {}
    hardlinks: dict[str, str] = {}
    removed: list[str] = []
    opaque: list[str] = []
    texts: dict[str, bytes] = {}
    secrets: dict[str, str] = {}

    def see(path: str, info: tarfile.TarInfo, open_: Callable[[int], bytes]) -> None:
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            opaque.append(folder)
        elif name.startswith(RESERVED):
            return
        elif name.startswith(WHITEOUT):
            removed.append(posixpath.join(folder, name.removeprefix(WHITEOUT)))
        elif info.islnk():
            hardlinks[path] = _path(info.linkname)
            entries.pop(path, None)
        else:
            hardlinks.pop(path, None)
            entries[path] = _observed(path, info, open_, texts, secrets)

    _each_member(image, layer, see)
    return LayerIndex(
        entries=entries,
        hardlinks=hardlinks,
        removed=tuple(removed),
        opaque=tuple(opaque),
        texts=texts,
        secrets=tuple(secrets.items()),
    )


def digests(image: OciImage, nodes: Iterable[Node]) -> Mapping[tuple[int, str], str]:
    """SHA-256 of files by layer and source; each layer that has one of them is read once more."""
    wanted: dict[int, set[str]] = {}
    for node in nodes:
        wanted.setdefault(node.layer, set()).add(node.source)
    found: dict[tuple[int, str], str] = {}
    for number, sources in wanted.items():

        def see(
            path: str,
            info: tarfile.TarInfo,
            open_: Callable[[int], bytes],
            *,
            number: int = number,
            sources: set[str] = sources,
        ) -> None:
            if path in sources and info.isreg():
                hashed = hashlib.sha256()
                while chunk := open_(1 << 20):
                    hashed.update(chunk)
                found[number, path] = hashed.hexdigest()

        _each_member(image, image.layers[number], see)
    return found


def merge(layers: Iterable[LayerIndex]) -> Tree:
    """Lay the layers on each other, the lowest first."""
    nodes: dict[str, Node] = {}
    texts: dict[str, bytes] = {}
    for number, layer in enumerate(layers):
        _remove(nodes, layer)
        # A layer is unpacked over those below it, so links in the way are followed.
        folders: dict[str, str] = {}
        for path, entry in layer.entries.items():
            place = _place(nodes, path, folders, number)
            old = nodes.get(place)
            if entry.kind != "directory" and old is not None and old.entry.kind == "directory":
                _drop_below(nodes, place)
            if entry.kind == "symlink" or (old is not None and old.entry.kind == "symlink"):
                folders.clear()
            nodes[place] = Node(entry, number, path)
            if path in layer.texts:
                texts[place] = layer.texts[path]
        for path, target in layer.hardlinks.items():
            linked = nodes.get(_place(nodes, target, folders))
            if linked is not None:
                place = _place(nodes, path, folders, number)
                if place in nodes and nodes[place].entry.kind == "directory":
                    _drop_below(nodes, place)
                nodes[place] = linked
    return Tree(nodes, {path: text for path, text in texts.items() if path in nodes})


def _remove(nodes: dict[str, Node], layer: LayerIndex) -> None:
    """Whiteouts count for what is below their layer only, wherever in it they stand."""
    if not layer.removed and not layer.opaque:
        return
    folders: dict[str, str] = {}
    removed = {_place(nodes, path, folders) for path in layer.removed}
    emptied = {_followed(nodes, path) or path for path in layer.opaque}
    gone = [
        path
        for path in nodes
        if path in removed
        or any(parent in removed or parent in emptied for parent in _parents(path))
    ]
    for path in gone:
        del nodes[path]


def _drop_below(nodes: dict[str, Node], folder: str) -> None:
    prefix = f"{folder}/"
    for path in [path for path in nodes if path.startswith(prefix)]:
        del nodes[path]


def _parents(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _place(
    nodes: dict[str, Node], path: str, folders: dict[str, str], making: int | None = None
) -> str:
    """Where a path of a layer comes to lie: its directory followed, itself not.

    Layers need not name the directories of their files: those are made, as by layer `making`.
    """
    folder, _, name = path.rpartition("/")
    if not folder:
        return name
    if folder not in folders:
        found = _followed(nodes, folder, missing=True) or folder
        if making is not None:
            for parent in (found, *_parents(found)):
                there = nodes.get(parent)
                if parent and (there is None or there.entry.kind != "directory"):
                    nodes[parent] = Node(Entry("directory", 0, 0o755, 0, 0), making, parent)
            folders[folder] = found
        return f"{found}/{name}"
    return f"{folders[folder]}/{name}"


def _followed(nodes: Mapping[str, Node], path: str, *, missing: bool = False) -> str | None:
    """`path` without links; `missing` allows for what is not there."""
    left = path.split("/")[::-1]
    here: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            del here[-1:]
            continue
        here.append(part)
        node = nodes.get("/".join(here))
        if node is None:
            if not missing:
                return None
        elif node.entry.kind == "symlink":
            links += 1
            if links > _MOST_LINKS:
                return None
            here = [] if node.entry.link.startswith("/") else here[:-1]
            left += node.entry.link.split("/")[::-1]
        elif left and node.entry.kind != "directory" and not missing:
            return None
    return "/".join(here)


def _observed(
    path: str,
    info: tarfile.TarInfo,
    open_: Callable[[int], bytes],
    texts: dict[str, bytes],
    secrets: dict[str, str],
) -> Entry:
    if not info.isreg():
        kind: Kind = "special"
        if info.isdir():
            kind = "directory"
        elif info.issym():
            kind = "symlink"
        return Entry(kind, 0, info.mode & 0o7777, info.uid, info.gid, info.linkname)
    head = open_(_ELF_HEAD_BYTES) if info.size >= _ELF_HEAD_BYTES else b""
    machine = 0
    if head.startswith(ELF_MAGIC):
        # e_ident[EI_DATA], at 5, says in which order the two bytes of e_machine stand.
        machine = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
    elif info.size <= LARGEST_TEXT_BYTES:

        def whole() -> bytes:
            return head + open_(LARGEST_TEXT_BYTES)

        if path in KEPT_TEXTS:
            texts[path] = whole()
        elif kind_ := credentials(path, whole) if _may_have_secrets(path) else None:
            secrets[path] = kind_
    return Entry("file", info.size, info.mode & 0o7777, info.uid, info.gid, "", machine)


def _may_have_secrets(path: str) -> bool:
    """Files that are there for credentials: a layer has too many texts to read them all."""
    name = path.rpartition("/")[2]
    return (
        name in {".netrc", "_netrc", ".pypirc", ".env", "pip.conf", "uv.toml", "credentials"}
        or name.startswith((".env.", "id_"))
        or name.endswith((".pem", ".key"))
    )


# Streams


class _DamageError(ValueError):
    pass


class _Header(tarfile.TarInfo):
    """tarfile takes a header it cannot read for the end; here it is damage."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if any(buf):
                raise _DamageError("a header in it is none") from None
            raise


class _Stream(io.RawIOBase):
    """Chunks as a file, for tarfile's stream mode."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = b""

    def read(self, size: int = -1) -> bytes:
        # tarfile asks for as much as its buffer holds and takes less for the end.
        parts, length = [self.rest], len(self.rest)
        while length < size and (chunk := next(self.chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        self.rest = data[size:]
        return data[:size]


def _each_member(
    image: OciImage,
    layer: Layer,
    see: Callable[[str, tarfile.TarInfo, Callable[[int], bytes]], None],
) -> None:
    """Show every member of a layer, with a way to read it; then hold the layer to its digests."""
    stream = _Stream(_inflated(image, layer))
    where = f"the layer {layer.diff_id[:19]} of {image.path}"
    try:
        with tarfile.open(
            fileobj=cast("BinaryIO", stream), mode="r|", bufsize=1 << 20, tarinfo=_Header
        ) as tar:
            while info := tar.next():
                # It would keep every one; typeshed leaves the attribute out.
                tar.members.clear()  # type: ignore[attr-defined]
                path = _path(info.name)
                if path:
                    file = tar.extractfile(info) if info.isreg() else None
                    see(path, info, file.read if file else _nothing)
        while stream.read(1 << 20):
            pass
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise ConfigError(
            f"{where} is damaged",
            why=str(error) or "it ends too soon",
            fix="save or build the image again",
        ) from error


def _nothing(size: int) -> bytes:
    del size
    return b""


def _path(name: str) -> str:
    """A name in a layer as a path of the image."""
    path = posixpath.normpath(name.lstrip("/"))
    if path == ".." or path.startswith("../"):
        raise _DamageError(f"{name!r} leads out of the image")
    return "" if path == "." else path


def _inflated(image: OciImage, layer: Layer) -> Iterator[bytes]:
    """The tar of a layer; the error comes after the last byte if it is not the one it should be."""
    chunks = image.chunks(layer)
    first = next(chunks, b"")
    whole = _prepended(first, chunks)
    if first.startswith(b"\x1f\x8b"):
        tar = _gunzipped(whole)
    elif first.startswith(b"\x28\xb5\x2f\xfd"):
        tar = _unzstd(whole, image, layer)
    elif layer.digest == layer.diff_id:  # it is compared as it is
        yield from whole
        return
    else:
        tar = whole
    hashed = hashlib.sha256()
    for chunk in tar:
        hashed.update(chunk)
        yield chunk
    if f"sha256:{hashed.hexdigest()}" != layer.diff_id:
        raise ConfigError(
            f"the layer {layer.diff_id[:19]} of {image.path} is not the one it should be",
            why=f"the SHA-256 of its tar is {hashed.hexdigest()}",
            fix="save or build the image again",
        )


def _prepended(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Any number of gzip members, a piece at a time however far they inflate."""
    inflate: Any = None
    for chunk in chunks:
        data, piece = chunk, b""
        while data or len(piece) == LARGEST_PIECE_BYTES:
            inflate = inflate or isal_zlib.decompressobj(31)
            try:
                piece = inflate.decompress(data, LARGEST_PIECE_BYTES)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub names an instance
                raise _DamageError(str(error)) from error
            yield piece
            data = inflate.unconsumed_tail
            if inflate.eof:
                data, piece, inflate = inflate.unused_data, b"", None
    if inflate is not None:
        raise EOFError("its compressed data ends too soon")


def _unzstd(chunks: Iterator[bytes], image: OciImage, layer: Layer) -> Iterator[bytes]:
    try:
        zstd: Any = importlib.import_module("compression.zstd")  # of Python 3.14
    except ImportError:
        raise ConfigError(
            f"the layer {layer.diff_id[:19]} of {image.path} is compressed with zstd",
            why="this Python cannot read it, and that EMR Serverless can is not documented",
            fix="build with --output type=docker,compression=gzip,force-compression=true,dest=FILE",
        ) from None
    inflate = zstd.ZstdDecompressor()
    for chunk in chunks:
        data = chunk
        while data:
            yield inflate.decompress(data)
            data = b""
            if inflate.eof:
                data, inflate = inflate.unused_data, zstd.ZstdDecompressor()
