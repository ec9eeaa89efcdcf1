"""What an archive holds, as observed: members, and what its telling files say. Pure; no opinion.

A file is observed once and alone, so that what was seen of a wheel's files can be kept per wheel
and put under another path later, instead of reading an archive that we wrote ourselves.
"""

import gzip
import io
import json
import re
import struct
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, Literal, NamedTuple, assert_never, cast
from urllib.parse import urlsplit, urlunsplit

from packager.elf import ELF_MAGIC, DamagedElf, Elf
from packager.errors import ConfigError
from packager.secrets import credentials
from packager.standalone import START

HEAD_BYTES: Final = 512
"""How much of a file decides what it is; enough for a `#!` line."""

OBSERVATION_FORMAT: Final = 3
"""Part of a cache's key: raise it when `observe` sees more or writes it otherwise."""

LARGEST_TEXT_BYTES: Final = 1 << 20
"""Metadata beyond this is cut; the long part of it is a README."""

LARGEST_IN_MEMORY_BYTES: Final = 32 << 20
LARGEST_HEADER_BYTES: Final = 16 << 20
"""No name or pax header is longer; a damaged one may claim to be."""

MemberKind = Literal["file", "directory", "symlink", "hardlink", "special"]
ArchiveKind = Literal["environment", "app", "python"]


class Member(NamedTuple):
    """One entry of an archive, by its name without `./`; a name with `..` or `/` first is kept.

    A tuple, as `wheels.Entry` is, since archives have tens of thousands.
    """

    path: str
    kind: MemberKind
    mode: int
    """Permission bits only, e.g. `0o755`."""
    size: int
    link: str = ""
    """Where a link leads: a symlink's own text, a hard link's path in the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """A file that begins as ELF, whatever its name."""

    path: str
    elf: Elf | DamagedElf


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Core metadata of an installed distribution, as written."""

    path: str
    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    license: str = ""
    """An SPDX expression, where it states one (PEP 639); older free texts are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUrl:
    """A `direct_url.json` (PEP 610); `url` without the credentials it may carry."""

    path: str
    url: str
    editable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PthFile:
    """A `.pth` file where `site` reads it, without its comments and empty lines."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A file in a `bin` directory that begins with `#!`."""

    path: str
    interpreter: str
    """The first line without `#!`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PyvenvCfg:
    path: str
    text: str

    def value(self, key: str) -> str | None:
        """A setting as `site` reads it: keys without case, the last one wins."""
        found = None
        for line in self.text.splitlines():
            name, equals, value = line.partition("=")
            if equals and name.strip().lower() == key:
                found = value.strip()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A credential in a text file; which one is not kept."""

    path: str
    what: str
    """Its kind, e.g. `a private key`."""


Observation = ElfFile | Distribution | DirectUrl | PthFile | Script | PyvenvCfg | Secret
Observer = Callable[[str, bytes, Callable[[], BinaryIO]], tuple[Observation, ...]]
"""Looks at one regular file, as `observe` does."""


_SITE_PARENT: Final = re.compile(r"|(.*/)?site-packages|[^/]+\.data/(purelib|platlib)")
"""Of a file in an environment, in a wheel, and in the parts of a wheel that join its root."""


def observe(path: str, head: bytes, open_: Callable[[], BinaryIO]) -> tuple[Observation, ...]:
    """What one regular file tells; nothing for most.

    `head` is its first `HEAD_BYTES`; `open_` gives all of it, seekable, and is called only if
    needed. `path` may be relative to a wheel as well as to an archive.
    """
    if head.startswith(ELF_MAGIC):
        from packager.elfreader import read_elf

        with open_() as stream:
            return (ElfFile(path=path, elf=read_elf(stream)),)
    parent, _, name = path.rpartition("/")
    directory = parent.rpartition("/")[2]
    if name == "METADATA" and directory.endswith(".dist-info"):
        return _distribution(path, _text(open_))
    if name == "PKG-INFO" and directory.endswith(".egg-info"):
        return _distribution(path, _text(open_))
    if name == "direct_url.json":
        return _direct_url(path, _text(open_))
    # A model's weights are called `.pth` too; `site` looks only here.
    if name.endswith(".pth") and _SITE_PARENT.fullmatch(parent):
        lines = _text(open_).decode("utf-8", "backslashreplace").splitlines()
        told = tuple(line for line in lines if line.strip() and not line.startswith("#"))
        return (PthFile(path=path, lines=told),)
    if name == "pyvenv.cfg":
        return (PyvenvCfg(path=path, text=_text(open_).decode("utf-8", "backslashreplace")),)
    if head.startswith(b"#!") and (directory == "bin" or parent.endswith(".data/scripts")):
        line = head[2:].partition(b"\n")[0]
        return (Script(path=path, interpreter=line.decode("utf-8", "backslashreplace").strip()),)
    return _secret(path, head, open_)


def _secret(path: str, head: bytes, open_: Callable[[], BinaryIO]) -> tuple[Observation, ...]:
    def text() -> bytes:
        if len(head) < HEAD_BYTES:
            return head
        return b"" if b"\0" in head else _text(open_)

    what = credentials(path, text)
    return () if what is None else (Secret(path=path, what=what),)


def _text(open_: Callable[[], BinaryIO]) -> bytes:
    with open_() as stream:
        return stream.read(LARGEST_TEXT_BYTES)


def _distribution(path: str, text: bytes) -> tuple[Distribution, ...]:
    from packaging.metadata import (
        parse_email,
    )  # with `email` in its wake; a warm pack needs neither

    headers = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[0]
    metadata, _ = parse_email(headers + b"\n\n")
    return (
        Distribution(
            path=path,
            name=metadata.get("name", ""),
            version=metadata.get("version", ""),
            requires_dist=tuple(metadata.get("requires_dist", ())),
            requires_python=metadata.get("requires_python", ""),
            license=metadata.get("license_expression", ""),
        ),
    )


def _direct_url(path: str, text: bytes) -> tuple[DirectUrl, ...]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(document, dict) or not isinstance(document.get("url"), str):
        return ()
    directory = document.get("dir_info")
    editable = isinstance(directory, dict) and directory.get("editable") is True
    return (DirectUrl(path=path, url=_without_credentials(document["url"]), editable=editable),)


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # Not a URL; it may hold a secret all the same.
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def moved(observation: Observation, path: str) -> Observation:
    """The same observation of a file that lands at `path`."""
    return replace(observation, path=path)


def to_json(observation: Observation) -> dict[str, Any]:
    values = _values(observation)
    if isinstance(observation, ElfFile):
        values["elf"] = _values(observation.elf)
    return {"kind": type(observation).__name__, **values}


def _values(facts: Observation | Elf | DamagedElf) -> dict[str, Any]:
    """As `asdict`, which copies all that is in them, and a pack does this for every library."""
    return {name: getattr(facts, name) for name in facts.__slots__}


def from_json(value: object) -> Observation:
    """Inverse of `to_json`, also after a way through text; `ValueError` if it is not its work."""
    try:
        return _from_json(cast("dict[str, Any]", value))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not an observation: {value!r}") from error


def _from_json(value: dict[str, Any]) -> Observation:
    fields = {key: _frozen(item) for key, item in value.items() if key != "kind"}
    match value["kind"]:
        case "ElfFile":
            elf = {key: _frozen(item) for key, item in value["elf"].items()}
            kind = DamagedElf if "reason" in elf else Elf
            return ElfFile(path=value["path"], elf=kind(**elf))
        case "Distribution":
            return Distribution(**fields)
        case "DirectUrl":
            return DirectUrl(**fields)
        case "PthFile":
            return PthFile(**fields)
        case "Script":
            return Script(**fields)
        case "PyvenvCfg":
            return PyvenvCfg(**fields)
        case "Secret":
            return Secret(**fields)
        case unknown:
            raise KeyError(unknown)


def _frozen(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFacts:
    """One archive, as observed."""

    name: str
    """The file's name without directories: its extension decides how Spark unpacks it."""
    kind: ArchiveKind
    members: tuple[Member, ...]
    """In the archive's order; a path may be there twice."""
    elf_files: tuple[ElfFile, ...]
    distributions: tuple[Distribution, ...]
    """Wherever they lie, vendored ones too; `installed` has those that Python sees."""
    direct_urls: tuple[DirectUrl, ...]
    pth_files: tuple[PthFile, ...]
    scripts: tuple[Script, ...]
    pyvenv_cfgs: tuple[PyvenvCfg, ...]
    secrets: tuple[Secret, ...]
    size_bytes: int
    unpacked_bytes: int
    """Of all regular files, without the rounding of any file system."""
    wrapper: str
    """The single directory around an environment that should have none, e.g. `venv`; or empty."""
    pythons: tuple[str, ...]
    """Minor versions with a `lib/pythonX.Y`, the one with most members first."""

    @property
    def python(self) -> str | None:
        return self.pythons[0] if self.pythons else None

    @property
    def root(self) -> str:
        """What the environment's own paths begin with: empty, or the wrapper and a slash."""
        return f"{self.wrapper}/" if self.wrapper else ""

    @property
    def pyvenv_cfg(self) -> PyvenvCfg | None:
        """The environment's own."""
        path = f"{self.root}pyvenv.cfg"
        return next((cfg for cfg in self.pyvenv_cfgs if cfg.path == path), None)

    @property
    def installed(self) -> tuple[Distribution, ...]:
        """Distributions in `site-packages` itself, or at the app's root."""
        return tuple(
            d for d in self.distributions if (site_path(self, d.path) or "").count("/") == 1
        )


_SITE: Final = re.compile(r"lib(?:64)?/python[0-9]+\.[0-9]+/site-packages/")
_LIB: Final = re.compile(r"lib(?:64)?/python(?P<python>[0-9]+\.[0-9]+)/")


def site_path(facts: ArchiveFacts, path: str) -> str | None:
    """`path` from the import directory it lies in, e.g. `numpy/__init__.py`; None outside one."""
    match facts.kind:
        case "app":
            return path
        case "environment" | "python":
            found = _SITE.match(path.removeprefix(facts.root))
            return path.removeprefix(facts.root)[found.end() :] if found else None
        case unreachable:
            assert_never(unreachable)


def archive_facts(
    name: str,
    *,
    kind: ArchiveKind,
    members: Iterable[Member],
    observations: Iterable[Observation],
    size_bytes: int,
) -> ArchiveFacts:
    """Put together what was observed, from one archive or from many wheels.

    Where a path was observed twice, the later observation stands, as with unpacking.
    """
    members = tuple(members)
    latest = {(type(o), o.path): o for o in observations}
    elf_files: list[ElfFile] = []
    distributions: list[Distribution] = []
    direct_urls: list[DirectUrl] = []
    pth_files: list[PthFile] = []
    scripts: list[Script] = []
    pyvenv_cfgs: list[PyvenvCfg] = []
    secrets: list[Secret] = []
    for observation in latest.values():
        match observation:
            case ElfFile():
                elf_files.append(observation)
            case Distribution():
                distributions.append(observation)
            case DirectUrl():
                direct_urls.append(observation)
            case PthFile():
                pth_files.append(observation)
            case Script():
                scripts.append(observation)
            case PyvenvCfg():
                pyvenv_cfgs.append(observation)
            case Secret():
                secrets.append(observation)
            case _:
                assert_never(observation)
    wrapper = _wrapper(members) if kind == "environment" else ""
    return ArchiveFacts(
        name=name,
        kind=kind,
        members=members,
        elf_files=tuple(elf_files),
        distributions=tuple(distributions),
        direct_urls=tuple(direct_urls),
        pth_files=tuple(pth_files),
        scripts=tuple(scripts),
        pyvenv_cfgs=tuple(pyvenv_cfgs),
        secrets=tuple(secrets),
        size_bytes=size_bytes,
        unpacked_bytes=sum(m.size for m in members if m.kind == "file"),
        wrapper=wrapper,
        pythons=_pythons(members, wrapper),
    )


def _wrapper(members: tuple[Member, ...]) -> str:
    tops = {m.path.partition("/")[0] for m in members}
    if len(tops) != 1:
        return ""
    (top,) = tops
    inner = (m.path.partition("/")[2] for m in members)
    return top if any(_marks_environment(path) for path in inner) else ""


def _marks_environment(path: str) -> bool:
    return path == "pyvenv.cfg" or path.startswith("bin/python") or bool(_LIB.match(path))


def _pythons(members: tuple[Member, ...], wrapper: str) -> tuple[str, ...]:
    start = len(wrapper) + 1 if wrapper else 0
    found = (_LIB.match(member.path, start) for member in members)
    counts = Counter(match["python"] for match in found if match)
    return tuple(sorted(counts, key=lambda python: (-counts[python], python)))


def detect_kind(members: tuple[Member, ...]) -> ArchiveKind:
    """An environment shows an interpreter, a `pyvenv.cfg` or a library, be it one level down.

    A bundled interpreter is apart from the environment if no package but its own mark is in it.
    """
    packages = {m.path.rpartition("/")[2] for m in members if _SITE.match(m.path)}
    if packages == {f"{START}.pth", f"{START}.py"}:
        return "python"
    marked = any(_marks_environment(m.path) for m in members) or _wrapper(members)
    return "environment" if marked else "app"


def read_archive(
    stream: BinaryIO,
    name: str,
    *,
    kind: ArchiveKind | None = None,
    observer: Observer = observe,
) -> ArchiveFacts:
    """Observe a `.tar.gz` once from begin to end, in bounded memory; `kind` None finds it out.

    Any number of gzip members is read, as `gzip -d` does. Raise `ConfigError` for what is not a
    whole gzipped tar, damage anywhere in it included.
    """
    _refuse_other_forms(stream, name)
    start = stream.tell()
    size_bytes = stream.seek(0, io.SEEK_END) - start
    stream.seek(start)
    members: list[Member] = []
    observations: dict[str, tuple[Observation, ...]] = {}
    with _damage_told(name, members), gzip.GzipFile(fileobj=stream, mode="rb") as inflated:
        forward = _Forward(cast("BinaryIO", inflated))
        for info, member in _members(forward):
            members.append(member)
            observations[member.path] = (
                _observed(forward, info, member, observer) if member.kind == "file" else ()
            )
        forward.drain()
    return archive_facts(
        name,
        kind=kind or detect_kind(tuple(members)),
        members=members,
        observations=(o for found in observations.values() for o in found),
        size_bytes=size_bytes,
    )


GZIP_MAGIC: Final = b"\x1f\x8b"
OTHER_FORMS: Final = (
    (0, b"PK", "a zip"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"\xfd7zXZ", "compressed with xz"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (257, b"ustar", "a tar that is not compressed"),
)


def _refuse_other_forms(stream: BinaryIO, name: str) -> None:
    start = stream.tell()
    head = stream.read(HEAD_BYTES)
    stream.seek(start)
    if head.startswith(GZIP_MAGIC):
        return
    form = next((f for at, magic, f in OTHER_FORMS if head[at:].startswith(magic)), None)
    raise ConfigError(
        f"{name} is not a .tar.gz",
        why=f"it is {form or ('neither gzip nor tar' if head else 'empty')}, and Spark keeps "
        "modes and links only of a gzipped tar",
        fix="make it with `packager pack`, or with `tar czf`",
    )


_DAMAGE: Final = (
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    ArithmeticError,
    LookupError,
    RecursionError,
)
"""What the standard library raises on its way through a damaged archive."""


@contextmanager
def _damage_told(name: str, members: list[Member]) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ConfigError(f"{name} cannot be read", why=str(error)) from error
        after = f"after {shown(members[-1].path)}" if members else "at its first member"
        cut = isinstance(error, EOFError) or "unexpected end" in str(error)
        raise ConfigError(
            f"{name} is {'cut off or damaged' if cut else 'damaged'} {after}",
            why=str(error) or type(error).__name__,
            fix="make it again, and copy it whole",
        ) from error


def shown(path: str) -> str:
    """A name from an archive, which may hold any bytes, as people can read it."""
    printable = path.encode("utf-8", "backslashreplace").decode()
    return f"`{''.join(c if c.isprintable() else ascii(c)[1:-1] for c in printable)}`"


class _Forward(io.RawIOBase):
    """Reads on and on, and never back by more than what was read last.

    tarfile steps back one byte before each header. gzip serves that by inflating from the begin
    again whenever its buffer happens to end there; and a damaged header may ask for any place.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._position = 0
        self._last = b""
        """The bytes right before the furthest position reached."""
        self._back = 0
        self.latest = b""
        """What the last read gave."""

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= LARGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        again = self._last[len(self._last) - self._back :][:size] if self._back else b""
        self._back -= len(again)
        fresh = self._source.read(size - len(again)) if size > len(again) else b""
        if fresh:
            self._last = fresh
        self._position += len(again) + len(fresh)
        self.latest = again + fresh
        return self.latest

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        while offset > self._position:
            if not self.read(min(offset - self._position, 1 << 20)):
                return self._position
        back = self._position - offset + self._back
        if whence != io.SEEK_SET or back > len(self._last):
            raise tarfile.ReadError("a header leads back to what was read before")
        self._back = back
        self._position = offset
        return offset

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def drain(self) -> None:
        """Read what follows the tar's end: damage in it makes `gzip -d` fail as well."""
        while self._source.read(1 << 20):
            pass


def _members(forward: _Forward) -> Iterator[tuple[tarfile.TarInfo, Member]]:
    with tarfile.TarFile(fileobj=cast("BinaryIO", forward), mode="r") as tar:
        while info := tar.next():
            # It would keep every one; typeshed leaves the attribute out.
            tar.members.clear()  # type: ignore[attr-defined]
            path = _normal(info.name)
            if path:
                yield info, _member(info, path)
    # tarfile takes a header it cannot read for the end, which is an empty block.
    if forward.latest != tarfile.NUL * tarfile.BLOCKSIZE:
        raise EOFError("the tar ends without its end marker, or a header is not one")


def _member(info: tarfile.TarInfo, path: str) -> Member:
    kind: MemberKind = "special"
    if info.isreg():
        kind = "file"
    elif info.isdir():
        kind = "directory"
    elif info.issym():
        kind = "symlink"
    elif info.islnk():
        kind = "hardlink"
    return Member(
        path=path,
        kind=kind,
        mode=info.mode & 0o7777,
        size=info.size if kind == "file" else 0,
        link=_normal(info.linkname) if kind == "hardlink" else info.linkname,
    )


def _normal(name: str) -> str:
    """Without `./` and doubled slashes; what climbs or is absolute stays for a check to see."""
    if name.startswith("/") or ".." in name.split("/"):
        return name
    path = str(PurePosixPath(name))
    return "" if path == "." else path


def _observed(
    forward: _Forward, info: tarfile.TarInfo, member: Member, observer: Observer
) -> tuple[Observation, ...]:
    if info.issparse():
        return ()  # Its bytes do not stand together; nothing that Python loads is written so.
    head = forward.read(min(member.size, HEAD_BYTES))

    def whole() -> BinaryIO:
        content: BinaryIO = io.BytesIO()
        if member.size > LARGEST_IN_MEMORY_BYTES:
            content = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # observe does
        content.write(head)
        left = member.size - len(head)
        while left and (read := forward.read(min(left, 1 << 20))):
            content.write(read)
            left -= len(read)
        content.seek(0)
        return content

    return observer(member.path, head, whole)
