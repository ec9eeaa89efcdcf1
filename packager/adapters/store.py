"""The wheel store: verified wheels by their content, and what was worked out about them.

    wheels/SHA256/FILENAME      a wheel, verified once; `facts.json` beside it holds what was seen
    plans/KEY                   a wheel as part of a layer, ready to be copied
    KIND/KEY                    texts remembered: resolutions, wheels built of a source
    tmp/                        whatever is not whole yet; nothing reads it

Everything enters by a rename, so a reader sees all of it or nothing, and two that bring the same
wheel at once do the same work twice and no harm.
"""

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import struct
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from packager import __version__
from packager.adapters.fetch import Fetcher
from packager.environment import member_facts, observe_content
from packager.errors import CommandError, ConfigError
from packager.facts import (
    HEAD_BYTES,
    LARGEST_IN_MEMORY_BYTES,
    OBSERVATION_FORMAT,
    Member,
    Observation,
    from_json,
    moved,
    observe,
    to_json,
)
from packager.lockfiles import Pin
from packager.ports import PlannedWheel, StoredWheel
from packager.tarball import Content, Plan, Span, Stored, Symlink, TarMember, plan
from packager.wheels import (
    Entry,
    Layout,
    Wheel,
    broken,
    destination,
    inflate,
    installed,
    overlapping,
    read_wheel,
)

FORMAT: Final = f"4.{OBSERVATION_FORMAT}"
"""Of facts and plans; another version's are made anew."""

THREADS: Final = 2
MOST_PROCESSES: Final = 4
FEW: Final = 3
"""Wheels that are verified sooner than another process has started."""
WORTH_A_PROCESS: Final = 200_000
"""Bytes of facts, about two thousand files: less is planned before a process has started."""

DOWNLOADS: Final = 8
"""At once: an index answers many small files faster so, and more would gain nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    root: Path
    fetcher: Fetcher
    say: Callable[[str], None]
    pending: dict[Path, "Future[None]"] = dataclasses.field(default_factory=dict)
    """Plans that another process makes, by where they will lie."""

    def fetch(self, pins: Sequence[Pin]) -> tuple[StoredWheel, ...]:
        found = [self.stored(pin.sha256, pin.filename) if pin.sha256 else None for pin in pins]
        wanted = {
            pin.sha256 or pin.location: pin
            for pin, wheel in zip(pins, found, strict=True)
            if wheel is None
        }
        brought = self._bring(wanted) if wanted else {}
        return tuple(
            wheel or brought[pin.sha256 or pin.location]
            for pin, wheel in zip(pins, found, strict=True)
        )

    def _bring(self, wanted: Mapping[str, Pin]) -> Mapping[str, StoredWheel]:
        """Download in threads, and verify what is there in other processes meanwhile."""
        size = sum(pin.size or 0 for pin in wanted.values()) / 1e6
        many = f"{len(wanted)} wheels" if len(wanted) > 1 else "one wheel"
        self.say(f"Fetching {many}" + (f", {size:.1f} MB" if size >= 0.1 else ""))
        verifying: dict[str, Future[StoredWheel]] = {}
        with (
            self._temporary() as folder,
            _workers(worth=len(wanted) > FEW) as verifiers,
            ThreadPoolExecutor(DOWNLOADS) as downloads,
        ):
            downloading = {
                downloads.submit(self._obtain, pin, folder / str(number)): (key, pin)
                for number, (key, pin) in enumerate(wanted.items())
            }
            try:
                for done in as_completed(downloading):
                    key, pin = downloading[done]
                    verifying[key] = verifiers.submit(
                        _admit_elsewhere, self.root, done.result(), pin
                    )
                return {key: future.result() for key, future in verifying.items()}
            except BaseException:
                self.fetcher.stop()
                downloads.shutdown(wait=False, cancel_futures=True)
                verifiers.shutdown(wait=False, cancel_futures=True)
                raise

    def _obtain(self, pin: Pin, folder: Path) -> Path:
        folder.mkdir()
        path = folder / pin.filename
        local = local_path(pin.location)
        if local is None:
            self.fetcher.download(pin.location, path)
            return path
        try:
            shutil.copyfile(local, path)
        except OSError as error:
            raise ConfigError(
                f"{local} can not be read", why=error.strerror or str(error)
            ) from error
        return path

    def admit(self, path: Path) -> StoredWheel:
        """Verify a wheel made here and copy it into the store."""
        with self._temporary() as folder:
            copy = folder / path.name
            shutil.copyfile(path, copy)
            return self.take(copy, path.name, None, str(path))

    def stored(self, sha256: str, filename: str) -> StoredWheel | None:
        path = self.root / "wheels" / sha256 / filename
        try:
            size = path.stat().st_size
        except OSError:
            return None
        if not (path.parent / _facts_name(filename)).is_file():
            return None
        _used(path.parent)
        return StoredWheel(path=path, filename=filename, sha256=sha256, size=size)

    def take(self, path: Path, filename: str, sha256: str | None, location: str) -> StoredWheel:
        """Verify the wheel at `path`, alone in a temporary folder, and move it in."""
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 is not None and found != sha256:
                raise ConfigError(
                    f"{filename} does not have the hash that the lock gives",
                    why=f"expected sha256 {sha256}, found {found} at {_shown(location)}",
                    fix="find out why the file changed; if it is right, lock again",
                )
            wheel = read_wheel(file, filename)
            if name := overlapping(wheel):
                raise broken(filename, f"{name} lies inside another of its entries")
            observations = [o for entry in wheel.entries for o in _observed(file, wheel, entry)]
        (path.parent / _facts_name(filename)).write_text(
            _facts_text(wheel, observations), encoding="utf-8"
        )
        target = self.root / "wheels" / found
        self._settle(path.parent, target, filename)
        stored = target / filename
        return StoredWheel(path=stored, filename=filename, sha256=found, size=stored.stat().st_size)

    def _settle(self, folder: Path, target: Path, filename: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            # It is there already: another run brought it, or it is known by another name.
            for name in (filename, _facts_name(filename)):
                (folder / name).replace(target / name)

    def _facts(self, wheel: StoredWheel) -> tuple[Wheel, tuple[Observation, ...]]:
        path = _facts_path(wheel)
        try:
            return _facts(path)
        except (OSError, ValueError, KeyError, TypeError):  # of another version, or damaged
            with self._temporary() as folder:
                copy = folder / wheel.filename
                shutil.copyfile(wheel.path, copy)
                self.take(copy, wheel.filename, wheel.sha256, str(wheel.path))
            return _facts(path)

    @contextlib.contextmanager
    def planning(self, wanted: Sequence[tuple[StoredWheel, Layout]]) -> Iterator[None]:
        """Plan in other processes while this one writes what is planned."""
        todo = {
            path: (wheel, layout)
            for wheel, layout in wanted
            if not (path := self._plan_path(wheel, layout)).exists()
        }
        entries = sum(_facts_path(wheel).stat().st_size for wheel, _ in todo.values())
        with _workers(worth=entries > WORTH_A_PROCESS) as pool:
            if isinstance(pool, ThreadPoolExecutor):  # which would only get in each other's way
                yield
                return
            try:
                for path, (wheel, layout) in todo.items():
                    self.pending[path] = pool.submit(_plan_elsewhere, self.root, wheel, layout)
                yield
            finally:
                self.pending.clear()

    def _plan_path(
        self, wheel: StoredWheel, layout: Layout, leave_out: frozenset[str] = frozenset()
    ) -> Path:
        # Another version of packager may bring another compressor, and so other bytes.
        text = "\0".join([FORMAT, __version__, wheel.sha256, repr(layout), *sorted(leave_out)])
        return self.root / "plans" / hashlib.sha256(text.encode()).hexdigest()

    def planned(
        self, wheel: StoredWheel, layout: Layout, *, leave_out: frozenset[str] = frozenset()
    ) -> PlannedWheel:
        path = self._plan_path(wheel, layout, leave_out)
        if future := self.pending.get(path):
            future.result()
        try:
            known = _planned_from(path.read_bytes(), wheel)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            known = self._plan(wheel, layout, leave_out)
            self._keep(path, _planned_bytes(known))
        _used(path)
        return known

    def _plan(self, wheel: StoredWheel, layout: Layout, leave_out: frozenset[str]) -> PlannedWheel:
        parsed, known = self._facts(wheel)
        observed = {o.path: o for o in known}
        with wheel.path.open("rb") as file:
            tar = [m for m in installed(parsed, file, layout) if m.path not in leave_out]
            observations: list[Observation] = []
            for entry in parsed.entries:
                path = destination(parsed, entry.name, layout)
                if entry.name in observed and path not in leave_out:
                    observations.append(moved(observed[entry.name], path))
            # What is written anew for the layer, scripts above all, is looked at as it will be.
            rewritten = {m.path for m in tar if isinstance(m, Content)}
            observations = [o for o in observations if o.path not in rewritten]
            observations += [
                o for member in tar if isinstance(member, Content) for o in observe_content(member)
            ]
            return PlannedWheel(
                wheel=wheel,
                plan=plan(tar),
                members=tuple(member_facts(m) for m in tar),
                crcs={m.path: _crc(m) for m in tar},
                observations=tuple(observations),
            )

    def recall(self, kind: str, key: str) -> str | None:
        try:
            return (self.root / kind / key).read_text(encoding="utf-8")
        except OSError:
            return None

    def remember(self, kind: str, key: str, text: str) -> None:
        self._keep(self.root / kind / key, text.encode())

    def _keep(self, path: Path, data: bytes) -> None:
        """Write what only saves work later: a store that can not be written serves without."""
        with contextlib.suppress(CommandError), self._temporary() as folder:
            (folder / path.name).write_bytes(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / path.name).replace(path)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A folder for what is not whole yet. Raise `CommandError` where the disk refuses."""
        folder: Path | None = None
        try:
            parent = self.root / "tmp"
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=parent))
            yield folder
        except OSError as error:
            raise CommandError(
                f"the store {self.root} can not be written",
                why=error.strerror or str(error),
                fix="free some space, mend its permissions, or name another place:"
                " PACKAGER_CACHE_DIR",
            ) from error
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def _used(path: Path) -> None:
    """Remember the last use, which decides what is pruned first."""
    with contextlib.suppress(OSError):  # a store that can only be read serves as well
        os.utime(path)


def local_path(location: str) -> Path | None:
    """The file of a path or a `file:` URL, which uv writes for --find-links; None for others."""
    if "://" not in location:
        return Path(location)
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


@contextlib.contextmanager
def _workers(*, worth: bool) -> Iterator[Executor]:
    """Other processes where they are worth their start, and threads elsewhere.

    Forking is cheap, and safe as long as this process has no other thread: so it is done here and
    now, and not where threads or macOS are about.
    """
    pool: Executor
    if worth and sys.platform == "linux" and threading.active_count() == 1:
        pool = ProcessPoolExecutor(
            min(os.cpu_count() or 1, MOST_PROCESSES),
            mp_context=multiprocessing.get_context("fork"),
            initializer=_ignore_interrupts,
        )
        pool.submit(int).result()
    else:
        pool = ThreadPoolExecutor(THREADS)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends its workers


def _elsewhere(root: Path) -> Store:
    """The store as another process sees it: what can not go there is not used there."""
    return Store(root=root, fetcher=Fetcher(), say=print)


def _plan_elsewhere(root: Path, wheel: StoredWheel, layout: Layout) -> None:
    _elsewhere(root).planned(wheel, layout)


def _admit_elsewhere(root: Path, path: Path, pin: Pin) -> StoredWheel:
    return _elsewhere(root).take(path, pin.filename, pin.sha256, pin.location)


def _facts_path(wheel: StoredWheel) -> Path:
    return wheel.path.parent / _facts_name(wheel.filename)


def _facts_name(filename: str) -> str:
    return f"{filename}.facts.json"


def _facts_text(wheel: Wheel, observations: Sequence[Observation]) -> str:
    """What reading a wheel told, so that it need not be read again to be packed."""
    return json.dumps(
        {
            "format": FORMAT,
            "wheel": {
                field.name: getattr(wheel, field.name) for field in dataclasses.fields(Wheel)
            },
            "observations": [to_json(o) for o in observations],
        }
    )


def _facts(path: Path) -> tuple[Wheel, tuple[Observation, ...]]:
    """Raise `ValueError`, `KeyError` or `TypeError` for what another version wrote."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise ValueError(facts["format"])
    known = facts["wheel"]
    wheel = Wheel(
        **{
            **known,
            "entries": tuple(Entry(*row) for row in known["entries"]),
            "entry_points": tuple((name, reference) for name, reference in known["entry_points"]),
        }
    )
    return wheel, tuple(from_json(value) for value in facts["observations"])


def _shown(location: str) -> str:
    """A location without the credentials it may carry."""
    parts = urlsplit(location)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _crc(member: TarMember) -> int:
    match member:
        case Symlink():
            return 0
        case Content():
            return zlib.crc32(member.data)
        case Span() | Stored():
            return member.crc


def _observed(file: BinaryIO, wheel: Wheel, entry: Entry) -> tuple[Observation, ...]:
    """Inflate an entry to its end, which proves it sound, and observe it on the way."""
    with tempfile.SpooledTemporaryFile(max_size=LARGEST_IN_MEMORY_BYTES) as spool:
        chunks = inflate(file, entry, wheel.filename)
        head = b""
        for chunk in chunks:
            head = head or chunk[:HEAD_BYTES]
            spool.write(chunk)

        def opened() -> BinaryIO:
            spool.seek(0)
            return cast("BinaryIO", spool)

        return observe(entry.name, head, opened)


def _planned_bytes(planned: PlannedWheel) -> bytes:
    facts = json.dumps(
        {
            "members": [[m.path, m.mode, m.size] for m in planned.members],
            "crcs": list(planned.crcs.values()),
            "observations": [to_json(o) for o in planned.observations],
        }
    ).encode()
    body = struct.pack("<Q", len(facts)) + facts + planned.plan.to_bytes()
    return hashlib.sha256(body).digest() + body


def _planned_from(data: bytes, wheel: StoredWheel) -> PlannedWheel:
    """Raise `ValueError` for anything but what `_planned_bytes` gave."""
    body = memoryview(data)[32:]
    if hashlib.sha256(body).digest() != data[:32]:
        raise ValueError("a damaged plan")
    (length,) = struct.unpack_from("<Q", body)
    facts = json.loads(bytes(body[8 : 8 + length]))
    members = tuple(
        Member(path=path, kind="file", mode=mode, size=size)
        for path, mode, size in facts["members"]
    )
    return PlannedWheel(
        wheel=wheel,
        plan=Plan.from_bytes(body[8 + length :]),
        members=members,
        crcs=dict(zip((m.path for m in members), facts["crcs"], strict=True)),
        observations=tuple(from_json(value) for value in facts["observations"]),
    )
