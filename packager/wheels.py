"""Reading wheels, and where their files go. Pure given an open file.

Follows the PyPA's binary distribution format, as `installer` does: `.data` schemes, scripts, entry
points, `RECORD`. Nothing is inflated that can be copied: an installed file is a `Span` of the wheel
wherever its bytes do not change.
"""

import configparser
import csv
import io
import re
import struct
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final, NamedTuple

from isal import isal_zlib
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from packager.errors import ConfigError
from packager.tarball import EXECUTABLE_MODE, FILE_MODE, Content, Span, Stored, TarMember

LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
"""Of a local file header: signature, then the lengths of name and extra field (APPNOTE 4.3.7)."""

ENCRYPTED: Final = 0x1
SYMLINK_TYPE: Final = 0o120000
INFLATE_CHUNK: Final = 1 << 17
"""Bytes that come out at once: memory that the next chunk finds again, as larger ones do not."""
LARGEST_TEXT: Final = 64 << 20
"""No `RECORD` or script is longer, and a compressed one that is would fill the memory."""

COMPRESSED_IN_MEMORY: Final = 8 << 20
"""Files that a wheel merely stores are compressed while they fit in here, then stored again."""

SHELL_LINE: Final = b"#!/bin/sh\n"
PYTHON_SCRIPT: Final = b"#!python"
"""What the format has installers replace, with whatever else is in that line."""


class Entry(NamedTuple):
    """One file of a wheel. A tuple, since tens of thousands are made for one archive."""

    name: str
    size: int
    crc: int
    method: int
    offset: int
    """Of its data in the wheel."""
    length: int
    """Of its data in the wheel."""
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """What a wheel says of itself."""

    filename: str
    name: str
    version: str
    entries: tuple[Entry, ...]
    dist_info: str
    """Name of its `.dist-info` directory."""
    entry_points: tuple[tuple[str, str], ...]
    """Console and GUI scripts: name, and `module:function`."""


def broken(filename: str, why: str) -> ConfigError:
    return ConfigError(
        f"{filename} is not a sound wheel",
        why=why,
        fix="build or download it again, or pin another version",
    )


def read_wheel(file: BinaryIO, filename: str) -> Wheel:
    """Read a wheel's directory and metadata.

    Raise `ConfigError` where it does not follow the format; the data itself is not looked at.
    """
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise broken(filename, str(error)) from error
    try:
        with zipfile.ZipFile(file) as archive:
            entries = tuple(sorted(_entries(archive, file, filename), key=lambda e: e.name))
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise broken(filename, str(error)) from error
    dist_info = _dist_info(entries, filename, name)
    named = {entry.name: entry for entry in entries}
    for required in ("RECORD", "WHEEL"):
        if f"{dist_info}/{required}" not in named:
            raise broken(filename, f"{dist_info}/{required} is missing")
    _require_version(_text(file, named[f"{dist_info}/WHEEL"], filename), filename)
    if about := named.get(f"{dist_info}/METADATA"):
        _require_same(_small(file, about, filename), name, version, filename)
    points = named.get(f"{dist_info}/entry_points.txt")
    text = _text(file, points, filename) if points else ""
    return Wheel(
        filename=filename,
        name=name,
        version=str(version),
        entries=entries,
        dist_info=dist_info,
        entry_points=tuple(scripts_of(text, filename)),
    )


def _entries(archive: zipfile.ZipFile, file: BinaryIO, filename: str) -> Iterator[Entry]:
    seen = set[str]()
    for info in archive.infolist():
        if info.filename.endswith("/"):
            continue
        if (
            not {"", ".", ".."}.isdisjoint(info.filename.split("/"))
            or "\\" in info.orig_filename
            or "\0" in info.orig_filename
            or re.match(r"[A-Za-z]:", info.filename)
        ):
            raise broken(filename, f"the name of its entry {info.filename!r} is not safe")
        if info.filename in seen:
            raise broken(filename, f"it has two entries {info.filename!r}")
        seen.add(info.filename)
        if info.flag_bits & ENCRYPTED:
            raise broken(filename, f"{info.filename} is encrypted")
        mode = info.external_attr >> 16
        if mode & 0o170000 == SYMLINK_TYPE:
            raise broken(filename, f"{info.filename} is a symbolic link, which wheels can not have")
        # An offset may be anything that 64 bits hold, and with bytes missing in front be negative.
        file.seek(min(max(info.header_offset, 0), sys.maxsize))
        header = file.read(30)
        if info.header_offset < 0 or len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise broken(filename, f"the local header of {info.filename} is missing")
        _, name_length, extra_length = LOCAL_HEADER.unpack(header)
        yield Entry(
            name=info.filename,
            size=info.file_size,
            crc=info.CRC,
            method=info.compress_type,
            offset=info.header_offset + 30 + name_length + extra_length,
            length=info.compress_size,
            executable=bool(mode & 0o111),
        )


def _dist_info(entries: tuple[Entry, ...], filename: str, name: str) -> str:
    tops = {top for e in entries if (top := e.name.split("/", 1)[0]).endswith(".dist-info")}
    matching = {t for t in tops if canonicalize_name(t.split("-", 1)[0]) == name}
    if len(matching) != 1:
        found = ", ".join(sorted(tops)) or "none"
        raise broken(filename, f"it needs one .dist-info directory of {name}; found: {found}")
    return matching.pop()


def _small(file: BinaryIO, entry: Entry, filename: str) -> bytes:
    if entry.size > LARGEST_TEXT:
        raise broken(filename, f"{entry.name} has {entry.size} bytes, too many for such a file")
    return b"".join(inflate(file, entry, filename))


def _text(file: BinaryIO, entry: Entry, filename: str) -> str:
    try:
        return _small(file, entry, filename).decode()
    except UnicodeDecodeError as error:
        raise broken(filename, f"{entry.name} is not UTF-8: {error}") from error


def _require_version(text: str, filename: str) -> None:
    """The format asks installers to refuse a greater major version than they know."""
    found = re.search(r"^Wheel-Version:\s*(\d+)", text, re.MULTILINE)
    if found is None or found[1] != "1":
        version = found[1] if found else "none"
        raise broken(filename, f"the major version of its format is {version}, only 1 is known")


def _require_same(metadata: bytes, name: str, version: Version, filename: str) -> None:
    """A wheel of another name or version than it says would satisfy what it does not."""
    # The head ends at the first empty line; old wheels have it in other encodings than UTF-8.
    head = re.split(r"\r?\n\r?\n", metadata.decode(errors="replace"), maxsplit=1)[0]
    fields = dict(re.findall(r"^(Name|Version):[ \t]*(.*?)[ \t]*\r?$", head, re.MULTILINE))
    try:
        same = canonicalize_name(fields["Name"]) == name and Version(fields["Version"]) == version
    except (KeyError, InvalidVersion):
        same = False
    if not same:
        inside = f"{fields.get('Name', 'no name')} {fields.get('Version', 'without a version')}"
        raise broken(filename, f"its METADATA is that of {inside}")


def scripts_of(text: str, filename: str) -> Iterator[tuple[str, str]]:
    """Console and GUI scripts that an `entry_points.txt` asks for: name, `module:function`."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise broken(filename, f"entry_points.txt: {error}") from error
    for section in ("console_scripts", "gui_scripts"):
        if parser.has_section(section):
            for name, reference in parser.items(section):
                if name in {".", ".."} or set(name) & set("/\\\0"):
                    raise broken(filename, f"entry point {name!r} is not the name of a file")
                target = reference.partition("[")[0].strip()
                parts = [part.strip() for part in target.split(":")]
                if len(parts) != 2 or not all(map(str.isidentifier, ".".join(parts).split("."))):
                    raise broken(filename, f"entry point {name!r} is not `module:function`")
                yield name, ":".join(parts)


def inflate(file: BinaryIO, entry: Entry, filename: str) -> Iterator[bytes]:
    """An entry's content in chunks.

    Raise `ConfigError` unless stream, size and CRC are exactly what the wheel's directory says.
    """
    match entry.method:
        case zipfile.ZIP_STORED:
            chunks = _data(file, entry, filename)
        case zipfile.ZIP_DEFLATED:
            chunks = _inflated(file, entry, filename)
        case method:
            raise broken(filename, f"{entry.name} is compressed by method {method}, not deflate")
    crc = size = 0
    for chunk in chunks:
        crc, size = isal_zlib.crc32(chunk, crc), size + len(chunk)
        if size > entry.size:
            raise broken(filename, f"{entry.name} is larger than the wheel's directory says")
        yield chunk
    if (crc, size) != (entry.crc, entry.size):
        raise broken(filename, f"{entry.name} does not have the size and CRC of its directory")


def _data(file: BinaryIO, entry: Entry, filename: str) -> Iterator[bytes]:
    file.seek(entry.offset)
    left = entry.length
    while left:
        data = file.read(min(left, INFLATE_CHUNK))
        if not data:
            raise broken(filename, f"the data of {entry.name} end too early")
        left -= len(data)
        yield data


def _inflated(file: BinaryIO, entry: Entry, filename: str) -> Iterator[bytes]:
    stream = isal_zlib.decompressobj(-15)
    left = entry.length
    for data in _data(file, entry, filename):
        left -= len(data)
        rest, full = data, True
        while full:
            try:
                chunk = stream.decompress(rest, INFLATE_CHUNK)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub names an instance
                raise broken(filename, f"the data of {entry.name} are damaged: {error}") from error
            if chunk:
                yield chunk
            rest = stream.unconsumed_tail
            # After a full chunk more may wait inside zlib, even if no input is left.
            full = len(chunk) == INFLATE_CHUNK
        if stream.eof and (left or stream.unused_data):
            break
    if left or not stream.eof or stream.unused_data:
        # A stream that ends elsewhere would damage every byte after it in a spliced archive.
        raise broken(filename, f"the data of {entry.name} end elsewhere than its directory says")


def overlapping(wheel: Wheel) -> str | None:
    """The name of an entry whose data lie in another's, as in a decompression bomb."""
    end = 0
    for entry in sorted(wheel.entries, key=lambda e: e.offset):
        if entry.offset < end:
            return entry.name
        end = entry.offset + entry.length
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a layer has its parts; all relative to the directory it is unpacked in."""

    site_packages: str
    """`lib/python3.11/site-packages`, or empty for the app layer, which is on the path itself."""
    headers: str
    python: str
    """The interpreter as seen from the layer's `bin`."""

    def site(self, name: str) -> str:
        return f"{self.site_packages}/{name}" if self.site_packages else name


def installed(wheel: Wheel, file: BinaryIO, layout: Layout) -> Iterator[TarMember]:
    """The files of an installed wheel, sorted by path."""
    changed: dict[str, Content] = {}
    moved: dict[str, str] = {}
    members: dict[str, TarMember] = {}
    room = COMPRESSED_IN_MEMORY
    site = layout.site("")
    for entry in wheel.entries:
        name, size, crc, method, offset, length, executable = entry
        if method == zipfile.ZIP_DEFLATED and ".data/" not in name:
            # Nearly every file, and there are tens of thousands: no function is called for it.
            path = site + name
            mode = EXECUTABLE_MODE if executable else FILE_MODE
            member: TarMember = Span(path, mode, size, crc, offset, length)
        else:
            path = destination(wheel, name, layout)
            if not path.endswith(name):
                moved[name] = path
            member = _member(wheel, file, entry, path, layout)
            if isinstance(member, Stored) and member.size <= room:
                room -= member.size
                data = _small(file, entry, wheel.filename)
                member = Content(path=path, mode=member.mode, data=data)
            elif isinstance(member, Content):
                changed[path] = member
        if path in members:
            raise broken(wheel.filename, f"two of its entries are installed as {path}")
        members[path] = member
    for name, reference in wheel.entry_points:
        path = f"bin/{name}"
        members[path] = changed[path] = Content(
            path=path, mode=EXECUTABLE_MODE, data=entry_script(reference, layout)
        )
    if changed or moved:
        record = f"{wheel.dist_info}/RECORD"
        entry = next(entry for entry in wheel.entries if entry.name == record)
        text = _text(file, entry, wheel.filename)
        data = _record(text, moved, changed, layout, wheel.filename)
        path = layout.site(record)
        members[path] = Content(path=path, mode=FILE_MODE, data=data)
    yield from (members[path] for path in sorted(members))


def destination(wheel: Wheel, name: str, layout: Layout) -> str:
    """Where the entry `name` is installed."""
    if not _is_data(name):
        return layout.site(name)
    parts = name.split("/")
    scheme, rest = parts[1], "/".join(parts[2:])
    match scheme:
        case "purelib" | "platlib":
            return layout.site(rest)
        case "scripts":
            return f"bin/{rest}"
        case "headers":
            return f"{layout.headers}/{wheel.name}/{rest}"
        case "data":
            return rest
        case _:
            raise broken(wheel.filename, f"{scheme!r} is not a scheme of .data directories")


def _is_data(name: str) -> bool:
    top = name.find(".data/")
    return top >= 0 and name.find("/") == top + 5 and name.count("/") > 1


def _is_script(name: str) -> bool:
    return _is_data(name) and name.split("/")[1] == "scripts"


def _member(
    wheel: Wheel, file: BinaryIO, entry: Entry, path: str, layout: Layout
) -> Span | Stored | Content:
    """A copy of the entry; a script that names an interpreter is written anew."""
    script = _is_script(entry.name)
    if script and next(inflate(file, entry, wheel.filename), b"").startswith(PYTHON_SCRIPT):
        data = relocated(_small(file, entry, wheel.filename), layout)
        return Content(path=path, mode=EXECUTABLE_MODE, data=data)
    mode = EXECUTABLE_MODE if script or entry.executable else FILE_MODE
    if entry.method == zipfile.ZIP_STORED:
        return Stored(path=path, mode=mode, size=entry.size, crc=entry.crc, offset=entry.offset)
    return Span(path, mode, entry.size, entry.crc, entry.offset, entry.length)


def _starter(layout: Layout) -> bytes:
    """A statement that finds the interpreter beside the script, wherever that is.

    The shell sees two commands, Python a string (the trick of `distlib` for long paths), so it
    works through links, from any directory and for paths with blanks.
    """
    return (
        b'\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")/%b" "$0" "$@"\n'
        b"' '''" % layout.python.encode()
    )


def relocated(data: bytes, layout: Layout) -> bytes:
    """A script with the wheel format's `#!python` line replaced.

    A comment that declares the encoding must stay in the second line, and only one string may
    stand before `from __future__`: so the starter follows the comments and joins the docstring.
    """
    _, _, rest = data.partition(b"\n")
    comments = re.match(rb"([ \t]*(#[^\n]*)?\n)*", rest)
    start = comments.end() if comments else 0
    joint = b" " if re.match(rb"[rRuU]?['\"]", rest[start:]) else b"\n"
    return SHELL_LINE + rest[:start] + _starter(layout) + joint + rest[start:]


def entry_script(reference: str, layout: Layout) -> bytes:
    """The console script of an entry point `module:attribute`."""
    module, _, attribute = reference.partition(":")
    first = attribute.split(".")[0]
    return (
        SHELL_LINE
        + _starter(layout)
        + (
            f"\nimport sys\n"
            f"from {module} import {first}\n"
            f"if __name__ == '__main__':\n"
            f"    sys.exit({attribute}())\n"
        ).encode()
    )


def _record(
    text: str,
    moved: Mapping[str, str],
    changed: Mapping[str, Content],
    layout: Layout,
    filename: str,
) -> bytes:
    """`RECORD` with the paths and hashes of what was moved, rewritten or added."""
    rows: list[tuple[str, str, str]] = []
    known = set[str]()
    try:
        source = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise broken(filename, f"RECORD: {error}") from error
    for row in source:
        name, digest, size = (*row, "", "")[:3]
        path = moved.get(name, layout.site(name))
        known.add(path)
        rows.append(
            (from_site(path, layout), *signed(changed[path]))
            if path in changed
            else (from_site(path, layout), digest, size)
        )
    rows += [
        (from_site(path, layout), *signed(content))
        for path, content in changed.items()
        if path not in known
    ]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def signed(content: Content) -> tuple[str, str]:
    """Hash and size, as `RECORD` has them."""
    digest = urlsafe_b64encode(sha256(content.data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}", str(len(content.data))


def from_site(path: str, layout: Layout) -> str:
    """`path` as `RECORD` has it: relative to site-packages."""
    prefix = layout.site("")
    if path.startswith(prefix):
        return path.removeprefix(prefix)
    return "../" * len(layout.site_packages.split("/")) + path
