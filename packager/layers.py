"""From wheels and files to one archive, and to the facts that the checks judge."""

import contextlib
import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from isal import isal_zlib

from packager.environment import member_facts, observe_content
from packager.errors import CommandError, ConfigError
from packager.facts import (
    HEAD_BYTES,
    ArchiveFacts,
    ArchiveKind,
    Member,
    Observation,
    archive_facts,
    from_json,
    observe,
    to_json,
)
from packager.headers import tar_header
from packager.output import new_file
from packager.ports import InstalledWheel, StoredWheel, WheelStore, Witnessing, gone
from packager.record import Artifact
from packager.tarball import (
    EXECUTABLE_MODE,
    FILE_MODE,
    QUICK_LEVEL,
    Content,
    Part,
    Plan,
    Span,
    Stored,
    Symlink,
    TarMember,
    Written,
    crc_and_size,
    plan,
    plan_bytes,
    write,
)
from packager.wheels import Layout

TOGETHER: Final = 4 << 20
"""Bytes of files that are compressed by one processor at a time; whole blocks of a tar."""

MADE: Final = "made"
"""Where the store remembers which archive came of which parts."""

SEEN: Final = "seen"
"""And what there was to see in the files of one."""


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
    """Of all that goes in; of `files` their `signature`."""
    wheels: Iterable[InstalledWheel]
    """Looked at while the archive is written."""


def without_repetitions(
    wheels: Sequence[StoredWheel],
    layout: Layout,
    *,
    taken: Iterable[str],
    store: WheelStore,
    say: Callable[[str], None],
) -> Iterator[InstalledWheel]:
    """The wheels' parts of a layer. What two bring stands once: the first by name keeps it.

    `taken` are paths that no wheel may have, for they are ours or the project's own.
    """
    owners = dict.fromkeys(taken, "the project")
    firsts: dict[str, TarMember] = {}
    for wheel in sorted(wheels, key=lambda w: w.filename):
        part = store.installed(wheel, layout)
        own = {member.path: member for member in part.members}
        again = own.keys() & owners.keys()
        for path in sorted(again):
            other, first = own.pop(path), firsts.get(path)
            if first is None or crc_and_size(other) != crc_and_size(first):
                say(f"{path}: kept that of {owners[path]}, {wheel.filename} has another")
        firsts |= own
        owners |= dict.fromkeys(own, wheel.filename)
        yield (
            part
            if not again
            else replace(
                part,
                members=tuple(m for m in part.members if m.path not in again),
                observations=tuple(o for o in part.observations if o.path not in again),
            )
        )


def write_layer(
    layer: Layer,
    out: Path,
    store: WheelStore,
    witnessed: Witnessing | None = None,
) -> tuple[Artifact, ArchiveFacts]:
    """Write the layer's archive into `out`, under a name that its content decides.

    One that lies there already, whole and from the same parts, is left as it is, and has no
    witness.
    """
    members: list[Member] = []
    observations: list[Observation] = []
    of_files: list[FilePart] = []

    def note(member: TarMember) -> None:
        members.append(member_facts(member))
        if isinstance(member, Content):
            observations.extend(observe_content(member))

    def note_wheel(wheel: InstalledWheel) -> None:
        members.extend(map(member_facts, wheel.members))
        observations.extend(wheel.observations)

    def parts() -> Iterator[Part]:
        for member in layer.members:
            note(member)
        yield plan(layer.members), None
        for part in file_parts(layer.files):
            members.extend(part.members)
            observations.extend(part.observations)
            of_files.append(replace(part, plan=Plan()))
            yield part.plan, None
        for wheel in layer.wheels:
            note_wheel(wheel)
            yield wheel.plan, partial(_opened, wheel.wheel)

    known = _made_before(layer, store)
    earlier = (_path(layer, out, known), known) if known else None
    written = known if earlier and _lies_there(*earlier) else None
    seen = _recalled(layer, store) if written is not None else None
    if written is not None and seen is not None:
        for member in layer.members:
            note(member)
        members.extend(seen.members)
        observations.extend(seen.observations)
        for wheel in layer.wheels:  # for what they tell; nothing is read or written
            note_wheel(wheel)
    else:
        with new_file(out) as (file, settle):
            witness = witnessed(file, earlier) if witnessed else None
            written = write(parts(), file, witness.grown if witness else None)
            settle(_path(layer, out, written))
            if witness:
                witness.whole(_path(layer, out, written), written)
        if layer.files:
            store.remember(SEEN, layer.key, _seen_text(of_files))
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


def contents(part: InstalledWheel) -> Iterator[bytes | memoryview]:
    """What is in the files of a wheel, which were verified when it arrived."""
    with contextlib.ExitStack() as stack:
        file: BinaryIO | None = None
        for member in part.members:
            if isinstance(member, Content):
                yield member.data
            elif not isinstance(member, Symlink):
                file = file or stack.enter_context(_opened(part.wheel))
                yield _content(member, file)


def _content(member: Span | Stored, file: BinaryIO) -> bytes:
    if isinstance(member, Stored):
        return os.pread(file.fileno(), member.size, member.offset)
    data = os.pread(file.fileno(), member.length, member.offset)
    return isal_zlib.decompress(data, -15) if member.size else b""


@contextlib.contextmanager
def _opened(wheel: StoredWheel) -> Iterator[BinaryIO]:
    """The wheel's file. Raise `CommandError` if it is gone, or has changed when all is read."""
    try:
        file = wheel.path.open("rb")
    except OSError as error:
        raise gone(wheel, error) from error
    with file:
        yield file
        _require_unchanged(wheel, file)


def _require_unchanged(wheel: StoredWheel, file: BinaryIO) -> None:
    if wheel.changed_ns not in {None, os.fstat(file.fileno()).st_mtime_ns}:
        raise CommandError(
            f"{wheel.filename} has changed in the store while it was packed",
            why="something else wrote to it",
            fix="pack again: it is verified again and, if it is damaged, brought anew",
        )


def _path(layer: Layer, out: Path, written: Written) -> Path:
    return out / f"{layer.name}-{written.sha256[:12]}.tar.gz"


def _made_before(layer: Layer, store: WheelStore) -> Written | None:
    sha256, _, size = (store.recall(MADE, layer.key) or "").partition(" ")
    return Written(sha256=sha256, size=int(size)) if size.isdecimal() else None


def _lies_there(path: Path, written: Written) -> bool:
    """Whether the file is that archive, as its digest proves."""
    try:
        with path.open("rb") as file:
            return (
                os.fstat(file.fileno()).st_size == written.size
                and hashlib.file_digest(file, "sha256").hexdigest() == written.sha256
            )
    except OSError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Some files, or a piece of a large one, compressed."""

    plan: Plan
    members: tuple[Member, ...] = ()
    observations: tuple[Observation, ...] = ()


def signature(file: File) -> str:
    """What is another when the file is, as git tells changed files; its content is not read."""
    with reading(file):
        now = os.stat(file.source)  # noqa: PTH116  # of ten thousand files a `Path` costs
    times = f"{now.st_mtime_ns} {now.st_ctime_ns}"
    return f"{file.path}\0{now.st_mode:o} {now.st_size} {times} {now.st_dev} {now.st_ino}"


def _seen_text(parts: Iterable[FilePart]) -> str:
    return json.dumps(
        {
            "members": [member for part in parts for member in part.members],
            "observations": [to_json(o) for part in parts for o in part.observations],
        }
    )


def _recalled(layer: Layer, store: WheelStore) -> FilePart | None:
    """What was seen in the layer's files, which are those that were packed before."""
    if not layer.files:
        return FilePart(plan=Plan())
    try:
        known = json.loads(store.recall(SEEN, layer.key) or "")
        return FilePart(
            plan=Plan(),
            members=tuple(Member(*member) for member in known["members"]),
            observations=tuple(from_json(value) for value in known["observations"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def file_parts(files: Iterable[File]) -> Iterator[FilePart]:
    """Read, compress and observe files, on all processors and in bounded memory.

    What goes together depends on sizes alone, so the bytes are the same on every machine. Raise
    `ConfigError` for a file that can not be read.
    """
    processors = os.cpu_count() or 1
    waiting: deque[Future[FilePart]] = deque()
    pool = ThreadPoolExecutor(processors, thread_name_prefix="deflate")
    try:
        for job in _jobs(files):
            waiting.append(pool.submit(job))
            if len(waiting) > 2 * processors:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _jobs(files: Iterable[File]) -> Iterator[Callable[[], FilePart]]:
    group: list[File] = []
    room = TOGETHER
    for file in files:
        with reading(file):
            size = file.source.stat().st_size
        if group and size > room:
            yield partial(_group, tuple(group))
            group, room = [], TOGETHER
        if size > TOGETHER:
            for start in range(0, size, TOGETHER):
                yield partial(_piece, file, start, size)
        else:
            group.append(file)
            room -= size
    if group:
        yield partial(_group, tuple(group))


def _group(files: Sequence[File]) -> FilePart:
    contents: list[Content] = []
    for file in files:
        with reading(file), file.source.open("rb") as source:
            mode = _mode(os.fstat(source.fileno()))
            contents.append(Content(path=file.path, mode=mode, data=source.read()))
    return FilePart(
        plan=plan(contents, QUICK_LEVEL),
        members=tuple(map(member_facts, contents)),
        observations=tuple(o for content in contents for o in observe_content(content)),
    )


def _piece(file: File, start: int, size: int) -> FilePart:
    """A piece of a file that had `size` bytes; its header is in the first."""
    with reading(file), file.source.open("rb") as source:
        mode = _mode(os.fstat(source.fileno()))
        if start:
            source.seek(start)
        data = source.read(min(TOGETHER, size - start))
        if len(data) != min(TOGETHER, size - start) or (
            source.read(1) and start + len(data) == size
        ):
            raise OSError("it changed while it was packed")
        if start:
            return FilePart(plan=plan_bytes(data, QUICK_LEVEL))
        return FilePart(
            plan=plan_bytes(tar_header(file.path, size=size, mode=mode) + data, QUICK_LEVEL),
            members=(Member(path=file.path, kind="file", mode=mode, size=size),),
            observations=observe(file.path, data[:HEAD_BYTES], lambda: file.source.open("rb")),
        )


def _mode(status: os.stat_result) -> int:
    return EXECUTABLE_MODE if status.st_mode & 0o111 else FILE_MODE


@contextlib.contextmanager
def reading(file: File) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{file.source} can not be read",
            why=error.strerror or str(error),
            fix=f"mend its permissions, or leave it out: --exclude {file.path}",
        ) from error
