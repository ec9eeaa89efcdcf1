"""From planned wheels and files to one archive, and to the facts that the checks judge."""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from packager.environment import member_facts, observe_content
from packager.errors import CommandError, ConfigError
from packager.facts import ArchiveFacts, ArchiveKind, Member, Observation, archive_facts
from packager.output import new_file
from packager.ports import PlannedWheel, StoredWheel, WheelStore
from packager.record import Artifact
from packager.tarball import (
    EXECUTABLE_MODE,
    FILE_MODE,
    Content,
    Plan,
    Stored,
    TarMember,
    Written,
    plan,
    write,
)
from packager.wheels import Layout

IN_MEMORY: Final = 32 << 20
"""Files of a folder are read in groups of this size; a larger one is copied without compression,
so that memory stays bounded whatever lies in a project."""

READ_CHUNK: Final = 1 << 20

MADE: Final = "made"
"""Where the store remembers which archive came of which parts."""

Part = tuple[Plan, BinaryIO | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A project's file and the path it gets in a layer."""

    path: str
    source: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What becomes one archive: parts of ours, then files, then wheels."""

    kind: ArchiveKind
    name: str
    """Of its file, without digest and extension."""
    members: tuple[TarMember, ...]
    files: tuple[File, ...]
    key: str
    """Of all that goes in besides `files`; empty if there are any."""
    wheels: Iterable[PlannedWheel]
    """Made while the archive is written: the processor plans as the disk writes."""


def planned(
    wheels: Sequence[StoredWheel],
    layout: Layout,
    *,
    taken: Iterable[str],
    store: WheelStore,
    say: Callable[[str], None],
) -> Iterator[PlannedWheel]:
    """The wheels' parts of a layer. What two bring stands once: the first by name keeps it.

    `taken` are paths that no wheel may have, for they are ours or the project's own.
    """
    seen: dict[str, tuple[str, int, int]] = dict.fromkeys(taken, ("the project", -1, -1))
    for wheel in sorted(wheels, key=lambda w: w.filename):
        part = store.planned(wheel, layout)
        again = [m for m in part.members if m.path in seen]
        for member in again:
            owner, *content = seen[member.path]
            if content != [part.crcs[member.path], member.size]:
                say(f"{member.path}: kept that of {owner}, {wheel.filename} has another")
        if again:
            part = store.planned(wheel, layout, leave_out=frozenset(m.path for m in again))
        seen |= {m.path: (wheel.filename, part.crcs[m.path], m.size) for m in part.members}
        yield part


def write_layer(layer: Layer, out: Path, store: WheelStore) -> tuple[Artifact, ArchiveFacts]:
    """Write the layer's archive into `out`, under a name that its content decides.

    One that lies there already, whole and from the same parts, is left as it is.
    """
    members: list[Member] = []
    observations: list[Observation] = []

    def note(member: TarMember) -> None:
        members.append(member_facts(member))
        if isinstance(member, Content):
            observations.extend(observe_content(member))

    def parts() -> Iterator[Part]:
        for member in layer.members:
            note(member)
        yield plan(layer.members), None
        yield from _file_parts(layer.files, note)
        for wheel in layer.wheels:
            members.extend(wheel.members)
            observations.extend(wheel.observations)
            with _opened(wheel.wheel) as file:
                yield wheel.plan, file

    written = _kept(layer, out, store)
    if written is not None:
        for _ in parts():  # for what they tell; nothing is read or written
            pass
    else:
        with new_file(out) as (file, settle):
            written = write(parts(), file)
            settle(_path(layer, out, written))
        if layer.key:
            store.remember(MADE, layer.key, f"{written.sha256} {written.size}")
    path = _path(layer, out, written)
    facts = archive_facts(
        path.name,
        kind=layer.kind,
        members=members,
        observations=observations,
        size_bytes=written.size,
    )
    artifact = Artifact(
        kind=layer.kind,
        file=path.name,
        sha256=written.sha256,
        size=written.size,
        unpacked=facts.unpacked_bytes,
    )
    return artifact, facts


def _opened(wheel: StoredWheel) -> BinaryIO:
    try:
        return wheel.path.open("rb")
    except OSError as error:
        raise CommandError(
            f"{wheel.filename} is gone from the store",
            why=error.strerror or str(error),
            fix="something removed it meanwhile: pack again",
        ) from error


def _path(layer: Layer, out: Path, written: Written) -> Path:
    return out / f"{layer.name}-{written.sha256[:12]}.tar.gz"


def _kept(layer: Layer, out: Path, store: WheelStore) -> Written | None:
    """The layer's archive if it was made before and lies in `out`, as its digest proves."""
    sha256, _, size = ((layer.key and store.recall(MADE, layer.key)) or "").partition(" ")
    if not size.isdecimal():
        return None
    written = Written(sha256=sha256, size=int(size))
    try:
        with _path(layer, out, written).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return written
    except OSError:
        pass
    return None


def _file_parts(files: Sequence[File], note: Callable[[TarMember], None]) -> Iterator[Part]:
    group: list[Content] = []
    size = 0
    for file in files:
        try:
            status = file.source.stat()
            mode = EXECUTABLE_MODE if status.st_mode & 0o111 else FILE_MODE
            if status.st_size > IN_MEMORY:
                with file.source.open("rb") as source:
                    stored = _stored(file.path, mode, source)
                    note(stored)
                    yield plan([stored]), source
                continue
            content = Content(path=file.path, mode=mode, data=file.source.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"{file.source} can not be read",
                why=error.strerror or str(error),
                fix="mend its permissions, or leave it out: --exclude",
            ) from error
        note(content)
        group.append(content)
        size += len(content.data)
        if size > IN_MEMORY:
            yield plan(group), None
            group, size = [], 0
    yield plan(group), None


def _stored(path: str, mode: int, source: BinaryIO) -> Stored:
    crc, size = 0, 0
    while chunk := source.read(READ_CHUNK):
        crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return Stored(path=path, mode=mode, size=size, crc=crc, offset=0)
