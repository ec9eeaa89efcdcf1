"""Images in files, as `docker save` and the tools of OCI write them: read where they lie.

What stands in an image's documents is here: which manifest is a platform's, its configuration and
its layers. Every byte that is read is held against its digest. What is in the layers, `layertree`
knows. Specification: OCI image-spec 1.1, image-layout.md, image-index.md, manifest.md, config.md.
"""

import contextlib
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

from packager.documents import parse_json
from packager.errors import ConfigError

CHUNK_BYTES: Final = 1 << 20
LARGEST_DOCUMENT_BYTES: Final = 4 << 20
"""What registries accept of a manifest; a configuration is smaller still."""

INDEX_TYPES: Final = frozenset(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
MANIFEST_TYPES: Final = frozenset(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
CONFIG_TYPES: Final = frozenset(
    (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    )
)
LAYER_TYPES: Final = frozenset(
    (
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    )
)
UNKNOWN_PLATFORM: Final = "unknown/unknown"
"""What BuildKit writes beside attestations, which nothing runs."""
ATTESTATION: Final = "vnd.docker.reference.type"
DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_DEEPEST: Final = 4
"""Of indexes in indexes; Docker writes two."""
_RESAVE: Final = "save the image again: docker save IMAGE -o image.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, as the manifest and the configuration name it."""

    file: str
    """Where its bytes are in the layout."""
    digest: str
    """Of these bytes; empty where no manifest tells, as in what Docker before 25 saves."""
    diff_id: str
    """Of the tar in it."""
    size: int
    """Bytes in the file, which are those that are pushed if it is compressed."""
    type: str = ""
    """Media type; empty where no manifest tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How a layer was made, as the image's history tells."""

    created_by: str
    empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image says of itself."""

    os: str
    architecture: str
    user: str
    workdir: str
    entrypoint: tuple[str, ...]
    """Empty also where the image has `null`."""
    cmd: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    labels: Mapping[str, str]
    diff_ids: tuple[str, ...]
    history: tuple[Step, ...]

    @property
    def platform(self) -> str:
        return f"{self.os}/{self.architecture}"

    def variable(self, name: str) -> str | None:
        """Its value; of several the last counts, as for a container."""
        return next((value for key, value in reversed(self.env) if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OciImage:
    """The image of one platform."""

    blobs: "Blobs"
    """What it is in."""
    digest: str
    """Of its manifest; empty where there is none."""
    config: ImageConfig
    layers: tuple[Layer, ...]
    platforms: tuple[str, ...]
    """All that its tag stands for, without attestations."""
    attested: bool
    """Whether attestations stand beside it, for which its tag is an index."""
    config_file: str = ""
    """Where the whole of its configuration is."""

    @property
    def size(self) -> int:
        """Bytes of all layers, as they are kept."""
        return sum(layer.size for layer in self.layers)

    def chunks(self, layer: Layer) -> Iterator[bytes]:
        """A layer's bytes, which may be others than its digest tells."""
        with _unreadable_told(self.blobs.where):
            yield from self.blobs.chunks(layer.file)

    def hold(self, layer: Layer, digest: str, size: int) -> None:
        """Raise `ConfigError` where a layer has not been the bytes that it should be."""
        if size != layer.size or (layer.digest and digest != layer.digest):
            raise _damaged(self.blobs, layer.file, digest, size, layer.size)


class Blobs(Protocol):
    """The files of an OCI layout or of `docker save`, wherever they are kept."""

    @property
    def where(self) -> str:
        """For messages."""

    @property
    def mend(self) -> str:
        """What to do where something of it is damaged."""

    @property
    def holds(self) -> bool:
        """Whether its keeper holds layers against their digests itself, as registries do."""

    def size(self, name: str) -> int | None:
        """None where there is no such file."""

    def chunks(self, name: str) -> Iterator[bytes]: ...

    def stop(self) -> None:
        """Give up what other threads read, since nobody waits for it any more."""


def read_image(path: Path, platform: str) -> OciImage:
    """The image for `platform` (as in `linux/arm64`) in a folder or tar, or the only one there.

    Raise `ConfigError` where there is none, or where something in it is missing or damaged.
    """
    return image_in(files_in(path), platform)


def image_in(files: Blobs, platform: str) -> OciImage:
    """`read_image` of anything that keeps an image's files."""
    with _unreadable_told(files.where):
        if files.size("index.json") is not None:
            return _from_layout(files, platform)
        if files.size("manifest.json") is not None:
            return _from_docker(files)
    raise ConfigError(
        f"{files.where} is not an image",
        why="it has neither the index.json of an OCI layout nor the manifest.json of docker save",
        fix="name a tar of `docker save`, an OCI layout, or an image of the engine",
    )


# Files


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    path: Path
    mend: str = _RESAVE
    holds: bool = False

    @property
    def where(self) -> str:
        return str(self.path)

    def size(self, name: str) -> int | None:
        try:
            return (self.path / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError, ValueError):  # a name may hold a NUL
            return None

    def chunks(self, name: str) -> Iterator[bytes]:
        with (self.path / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def stop(self) -> None:
        """Files are read soon enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tar:
    path: Path
    places: Mapping[str, tuple[int, int]]
    """Offset and size by name."""
    mend: str = _RESAVE
    holds: bool = False

    @property
    def where(self) -> str:
        return str(self.path)

    def size(self, name: str) -> int | None:
        place = self.places.get(name)
        return None if place is None else place[1]

    def chunks(self, name: str) -> Iterator[bytes]:
        offset, left = self.places[name]
        with self.path.open("rb") as file:
            file.seek(offset)
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    def stop(self) -> None:
        """Files are read soon enough."""


def files_in(path: Path) -> Blobs:
    """Raise `ConfigError` for what is neither a folder nor a whole tar."""
    if path.is_dir():
        return _Folder(path=path)
    with _unreadable_told(str(path)):
        return _Tar(path=path, places=_places(path))


@contextlib.contextmanager
def _unreadable_told(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{where} can not be read",
            why=error.strerror or str(error),
            fix="name a tar of `docker save`, an OCI layout, or an image of the engine",
        ) from error


def _places(path: Path) -> Mapping[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    with path.open("rb") as file:
        _refuse_compressed(path, file.read(4))
        file.seek(0)
        try:
            with tarfile.TarFile(fileobj=file, mode="r") as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    if member.isreg():
                        places[name] = (member.offset_data, member.size)
                    elif member.issym() and "/" in name:  # Docker's own, for a layer used twice
                        target = _joined(name, member.linkname)
                        if target in places:
                            places[name] = places[target]
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise ConfigError(
                f"{path} is not a whole tar",
                why=str(error) or "it ends too soon",
                fix=_RESAVE,
            ) from error
    return places


def _joined(name: str, link: str) -> str:
    parts = name.split("/")[:-1]
    for part in link.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def _refuse_compressed(path: Path, magic: bytes) -> None:
    for start, how, command in (
        (b"\x1f\x8b", "gzip", "gunzip"),
        (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    ):
        if magic.startswith(start):
            raise ConfigError(
                f"{path} is compressed with {how}",
                why="the documents of an image are looked up where they stand in its tar",
                fix=f"{command} {path}",
            )


def _verified(files: Blobs, name: str, digest: str, size: int) -> Iterator[bytes]:
    """The bytes of a file; the error comes after the last, and means that none may be believed."""
    hashed = hashlib.sha256()
    length = 0
    with _unreadable_told(files.where):
        for chunk in files.chunks(name):
            hashed.update(chunk)
            length += len(chunk)
            yield chunk
    found = f"sha256:{hashed.hexdigest()}"
    if length != size or (digest and found != digest):
        raise _damaged(files, name, found, length, size)


def _damaged(files: Blobs, name: str, digest: str, length: int, size: int) -> ConfigError:
    what = f"its SHA-256 is {digest.removeprefix('sha256:')}"
    return ConfigError(
        f"{name} in {files.where} is damaged",
        why=what if length == size else f"it has {length} bytes, and should have {size}",
        fix=files.mend,
    )


# Documents


def _from_layout(files: Blobs, platform: str) -> OciImage:
    index = _document(files, "index.json", "", files.size("index.json") or 0)
    found: dict[str, _Described] = {}
    attested = _leaves(files, index, found, _DEEPEST)
    fitting = [m for m in found.values() if m.platform == platform or len(found) == 1]
    platforms = tuple(sorted({m.platform for m in found.values()}))
    if len(fitting) > 1:
        raise ConfigError(
            f"{files.where} has {len(fitting)} images for {platform}",
            why=", ".join(m.digest[:19] for m in fitting),
            fix="save one image to a file",
        )
    if not fitting:
        raise _no_platform(files, platform, platforms)
    (chosen,) = fitting
    manifest = _manifest(files, chosen)
    layers = _list(files, manifest.get("layers"), "layers")
    described = [_described(files, layer) for layer in layers]
    config = _config(files, _described(files, manifest.get("config")))
    for layer in described:
        if layer.type not in LAYER_TYPES:
            raise _unknown_type(files, layer)
    return OciImage(
        blobs=files,
        digest=chosen.digest,
        config=config,
        layers=_layers(files, config, [(m.file, m.digest) for m in described], described),
        platforms=platforms,
        attested=attested,
        config_file=_described(files, manifest.get("config")).file,
    )


def _from_docker(files: Blobs) -> OciImage:
    """What Docker wrote before 25: no manifest, layers and configuration by their files' names."""
    document = _document(files, "manifest.json", "", files.size("manifest.json") or 0)
    images = [_mapping(files, item, "manifest.json") for item in _list(files, document, "images")]
    if len(images) != 1:
        raise ConfigError(
            f"{files.where} has {len(images)} images",
            why="one is judged at a time",
            fix="save one image to a file",
        )
    name = str(images[0].get("Config"))
    if (size := files.size(name)) is None:
        raise _missing(files, name)
    digest = re.fullmatch(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?", name)
    known = f"sha256:{digest[1]}" if digest else ""
    config = _parsed_config(files, _document(files, name, known, size))
    names = [str(item) for item in _list(files, images[0].get("Layers"), "Layers")]
    return OciImage(
        blobs=files,
        digest="",
        config=config,
        layers=_layers(files, config, [(name, "") for name in names], ()),
        platforms=(config.platform,),
        attested=False,
        config_file=name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A descriptor (descriptor.md)."""

    type: str
    digest: str
    size: int
    platform: str
    attestation: bool

    @property
    def file(self) -> str:
        return f"blobs/{self.digest.replace(':', '/')}"


def _leaves(files: Blobs, index: Any, found: dict[str, _Described], depth: int) -> bool:
    """Put every image of an index into `found`; whether attestations were passed by."""
    if not depth:
        raise ConfigError(f"{files.where}: its indexes are nested too deeply", fix=files.mend)
    attested = False
    manifests = _mapping(files, index, "index.json").get("manifests")
    for item in _list(files, manifests, "manifests"):
        one = _described(files, item)
        if one.type in INDEX_TYPES:
            inner = _document(files, _present(files, one), one.digest, one.size)
            attested |= _leaves(files, inner, found, depth - 1)
        elif one.type not in MANIFEST_TYPES:
            raise _unknown_type(files, one)
        elif one.attestation or one.platform == UNKNOWN_PLATFORM:
            attested = True
        else:
            found[one.digest] = one if one.platform else _with_platform(files, one)
    return attested


def _with_platform(files: Blobs, one: _Described) -> _Described:
    """Whose index does not say what it is for, its configuration does."""
    config = _config(files, _described(files, _manifest(files, one).get("config")))
    return _Described(
        type=one.type,
        digest=one.digest,
        size=one.size,
        platform=config.platform,
        attestation=False,
    )


def _manifest(files: Blobs, one: _Described) -> Mapping[str, Any]:
    document = _document(files, _present(files, one), one.digest, one.size)
    return _mapping(files, document, "manifest")


def _config(files: Blobs, one: _Described) -> ImageConfig:
    if one.type not in CONFIG_TYPES:
        raise _unknown_type(files, one)
    return _parsed_config(files, _document(files, _present(files, one), one.digest, one.size))


def _parsed_config(files: Blobs, value: Any) -> ImageConfig:
    document = _mapping(files, value, "configuration")
    config = _mapping(files, document.get("config") or {}, "config")
    rootfs = _mapping(files, document.get("rootfs"), "rootfs")
    env = (_text(files, item) for item in _list(files, config.get("Env"), "Env"))
    history = (
        _mapping(files, step, "history")
        for step in _list(files, document.get("history"), "history")
    )
    labels = _mapping(files, config.get("Labels") or {}, "Labels")
    return ImageConfig(
        os=str(document.get("os") or ""),
        architecture=str(document.get("architecture") or ""),
        user=str(config.get("User") or ""),
        workdir=str(config.get("WorkingDir") or ""),
        entrypoint=_texts(files, config.get("Entrypoint"), "Entrypoint"),
        cmd=_texts(files, config.get("Cmd"), "Cmd"),
        env=tuple((name, value) for name, _, value in (item.partition("=") for item in env)),
        labels={key: str(text) for key, text in labels.items()},
        diff_ids=_texts(files, rootfs.get("diff_ids"), "diff_ids"),
        history=tuple(
            Step(
                created_by=str(step.get("created_by") or ""),
                empty=bool(step.get("empty_layer")),
            )
            for step in history
        ),
    )


def _layers(
    files: Blobs,
    config: ImageConfig,
    places: Sequence[tuple[str, str]],
    described: Sequence[_Described],
) -> tuple[Layer, ...]:
    if len(places) != len(config.diff_ids):
        raise ConfigError(
            f"{files.where}: its documents contradict each other",
            why=f"the manifest has {len(places)} layers, the configuration {len(config.diff_ids)}",
            fix=files.mend,
        )
    layers = []
    for number, ((name, digest), diff_id) in enumerate(zip(places, config.diff_ids, strict=True)):
        if (size := files.size(name)) is None:
            raise _missing(files, name)
        expected = described[number].size if described else size
        type_ = described[number].type if described else ""
        layers.append(Layer(file=name, digest=digest, diff_id=diff_id, size=expected, type=type_))
    return tuple(layers)


def _document(files: Blobs, name: str, digest: str, size: int) -> Any:
    if size > LARGEST_DOCUMENT_BYTES:
        raise ConfigError(
            f"{name} in {files.where} is not a document of an image",
            why=f"it has {size} bytes",
            fix=files.mend,
        )
    text = io.BytesIO()
    for chunk in _verified(files, name, digest, size):
        text.write(chunk)
    try:
        return parse_json(text.getvalue().decode())
    except (json.JSONDecodeError, ValueError) as error:
        raise ConfigError(
            f"{name} in {files.where} is not JSON", why=str(error), fix=files.mend
        ) from error


def _described(files: Blobs, value: Any) -> _Described:
    item = _mapping(files, value, "descriptor")
    digest, size = str(item.get("digest")), item.get("size")
    if not DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
        raise ConfigError(
            f"{files.where}: {digest!r} with size {size!r} is no way to name content",
            why="content is named by its SHA-256 and its size",
            fix=files.mend,
        )
    platform = _mapping(files, item.get("platform") or {}, "platform")
    notes = _mapping(files, item.get("annotations") or {}, "annotations")
    named = f"{platform.get('os')}/{platform.get('architecture')}" if platform else ""
    return _Described(
        type=str(item.get("mediaType")),
        digest=digest,
        size=size,
        platform=named,
        attestation=ATTESTATION in notes,
    )


def _present(files: Blobs, one: _Described) -> str:
    if files.size(one.file) is None:
        raise _missing(files, one.file)
    return one.file


def _mapping(files: Blobs, value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(files, what, "an object", value)
    return cast("dict[str, Any]", value)


def _list(files: Blobs, value: Any, what: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _malformed(files, what, "a list", value)
    return value


def _text(files: Blobs, value: Any) -> str:
    if not isinstance(value, str):
        raise _malformed(files, "an entry", "a text", value)
    return value


def _texts(files: Blobs, value: Any, what: str) -> tuple[str, ...]:
    return tuple(_text(files, item) for item in _list(files, value, what))


def _malformed(files: Blobs, what: str, wanted: str, value: object) -> ConfigError:
    return ConfigError(
        f"{files.where}: `{what}` is not {wanted}", why=f"it is {str(value)[:80]!r}", fix=files.mend
    )


def _missing(files: Blobs, name: str) -> ConfigError:
    return ConfigError(
        f"{files.where} lacks {name}",
        why="its documents name this file",
        fix=files.mend,
    )


def _no_platform(files: Blobs, platform: str, platforms: Sequence[str]) -> ConfigError:
    arch = platform.partition("/")[2]
    return ConfigError(
        f"{files.where} has no image for {platform}",
        why=f"it has one for {', '.join(platforms)}" if platforms else "it has none at all",
        fix=f"choose with --arch, or save one that was built with --platform linux/{arch}",
    )


def _unknown_type(files: Blobs, one: _Described) -> ConfigError:
    return ConfigError(
        f"{files.where}: {one.type!r} is not known as a part of an image",
        why=f"{one.digest} is of this media type",
        fix="build the image again with Docker's or OCI's own media types",
    )
