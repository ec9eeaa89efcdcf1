"""The file tree of an image: what each layer says, and what is left when they lie on each other.

A layer is read once, as a stream, and becomes an index of some bytes for each file; nothing is
unpacked. Specification: OCI image-spec 1.1, layer.md.
"""

import hashlib
import importlib
import io
import itertools
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
_METADATA: Final = ("METADATA", "PKG-INFO")
_SPARK_SETTINGS: Final = ("spark-defaults.conf", "spark-env.sh")
LARGEST_TEXT_BYTES: Final = 1 << 16
PIECE_BYTES: Final = 1 << 20
"""Of a file that is read at a time; texts are no larger."""
BUFFER_BYTES: Final = 1 << 16
"""Of tarfile, which copies what is left in it at every header."""
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
    sha256: str = ""
    """Of a file's content."""


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


class Indexed(NamedTuple):
    """A layer that was read to its end, and what it turned out to be."""

    content: LayerIndex
    digest: str
    """Of its bytes as they came."""
    size: int
    diff_id: str
    """Of the tar in them."""


def read_layer(image: OciImage, layer: Layer) -> Indexed:
    """Index a layer. Raise `ConfigError` where it is damaged, or not what its digests say."""
    where = f"the layer {layer.diff_id[:19]} of {image.blobs.where}"
    found = index_layer(image.chunks(layer), where, mend=image.blobs.mend)
    image.hold(layer, found.digest, found.size)
    if found.diff_id != layer.diff_id:
        raise ConfigError(
            f"{where} is not the one it should be",
            why=f"the SHA-256 of its tar is {found.diff_id.removeprefix('sha256:')}",
            fix=image.blobs.mend,
        )
    return found


def index_layer(chunks: Iterable[bytes], where: str, *, mend: str) -> Indexed:
    """Index a layer from a stream of its bytes; `where` and `mend` are for messages.

    Raise `ConfigError` where it is damaged.
    """
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

    raw = _Hashed(chunks)
    first = next(raw, b"")
    whole = itertools.chain((first,), raw)
    inflated = _inflated(first, whole, where)
    tar = raw if inflated is None else _Hashed(inflated)
    _each_member(whole if inflated is None else tar, where, mend, see)
    index = LayerIndex(
        entries=entries,
        hardlinks=hardlinks,
        removed=tuple(removed),
        opaque=tuple(opaque),
        texts=texts,
        secrets=tuple(secrets.items()),
    )
    return Indexed(index, raw.digest, raw.size, tar.digest)


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
    head = open_(PIECE_BYTES)
    hashed = hashlib.sha256(head)
    machine = 0
    if head.startswith(ELF_MAGIC) and len(head) >= _ELF_HEAD_BYTES:
        # e_ident[EI_DATA], at 5, says in which order the two bytes of e_machine stand.
        machine = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
    elif info.size <= PIECE_BYTES:
        if kept := _kept(path, head):
            texts[path] = kept
        elif kind_ := credentials(path, lambda: head) if _may_have_secrets(path) else None:
            secrets[path] = kind_
    while len(head) == PIECE_BYTES and (piece := open_(PIECE_BYTES)):
        hashed.update(piece)
    mode = info.mode & 0o7777
    return Entry("file", info.size, mode, info.uid, info.gid, "", machine, hashed.hexdigest())


def _kept(path: str, text: bytes) -> bytes:
    """What checks want to know of a text's content; empty for most."""
    folder, _, name = path.rpartition("/")
    if name in _METADATA and folder.endswith((".dist-info", ".egg-info")):
        # Behind the first empty line follows a description, which may be a whole book.
        return text.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    wanted = (
        path in KEPT_TEXTS
        or (name in _SPARK_SETTINGS and folder.endswith("/conf"))
        or (name == "release" and "/" in folder)  # of a JDK
        or name == "pyvenv.cfg"
        or (name.endswith(".pth") and folder.endswith("-packages"))
    )
    return text if wanted and len(text) <= LARGEST_TEXT_BYTES else b""


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


class Stream(io.RawIOBase):
    """Chunks as a file, for tarfile's stream mode."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.chunk = b""
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        # tarfile asks for as much as its buffer holds and takes less for the end.
        parts = [self._some(size)]
        length = len(parts[0])
        while length < size and (chunk := next(self.chunks, b"")):
            self.chunk, self.at = chunk, 0
            parts.append(self._some(size - length))
            length += len(parts[-1])
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        """Of the chunk at hand, which is not copied for the sake of what is left of it."""
        data = self.chunk[self.at : self.at + size]
        self.at += len(data)
        return data


class _Hashed:
    """Chunks on their way, counted and hashed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)
        self.hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        self.hash.update(chunk)
        self.size += len(chunk)
        return chunk

    @property
    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"


def _each_member(
    chunks: Iterator[bytes],
    where: str,
    mend: str,
    see: Callable[[str, tarfile.TarInfo, Callable[[int], bytes]], None],
) -> None:
    """Show every member of a layer's tar, with a way to read it, and read it to its end."""
    stream = Stream(chunks)
    try:
        with tarfile.open(
            fileobj=cast("BinaryIO", stream), mode="r|", bufsize=BUFFER_BYTES, tarinfo=_Header
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
            f"{where} is damaged", why=str(error) or "it ends too soon", fix=mend
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


def _inflated(first: bytes, chunks: Iterator[bytes], where: str) -> Iterator[bytes] | None:
    """The tar of a layer that begins so; None where the layer is the tar."""
    if first.startswith(b"\x1f\x8b"):
        return _gunzipped(chunks)
    if first.startswith(b"\x28\xb5\x2f\xfd"):
        return _unzstd(chunks, where)
    return None


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


def _unzstd(chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    try:
        zstd: Any = importlib.import_module("compression.zstd")  # of Python 3.14
    except ImportError:
        raise ConfigError(
            f"{where} is compressed with zstd",
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
