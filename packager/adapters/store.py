"""The wheel store: verified wheels by their content, and what was worked out about them.

    wheels/SHA256/FILENAME      a wheel, verified once; `facts.json` beside it holds what was seen
    pythons/SHA256/FILENAME     a build of CPython; `builds` knows what lies beside it
    plans/KEY                   a wheel's part of an archive; `plans` knows its form
    KIND/KEY                    texts remembered: resolutions, wheels built of a source
    tmp/                        whatever is not whole yet, by whose it is; nothing reads it
    size                        a count of all that; see `limit`

Everything enters by a rename, so a reader sees all of it or nothing, and two that bring the same
wheel at once do the same work twice and no harm.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from packager.adapters.fetch import Fetcher, not_in_store
from packager.adapters.limit import note_added
from packager.adapters.plans import PLANS, plan_data, plan_key, read_plan
from packager.adapters.seals import is_sound, seal, signed, unsigned
from packager.environment import observe_content
from packager.errors import CommandError, ConfigError
from packager.facts import (
    HEAD_BYTES,
    LARGEST_IN_MEMORY_BYTES,
    OBSERVATION_FORMAT,
    Observation,
    from_json,
    moved,
    observe,
    to_json,
)
from packager.leftovers import mark
from packager.lockfiles import Pin
from packager.ports import InstalledWheel, Planned, StoredWheel, gone
from packager.tarball import Content, TarMember, plan
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

FORMAT: Final = f"5.{OBSERVATION_FORMAT}"
"""Of facts; another version's are made anew."""

SMALL: Final = 1 << 20
"""Bytes of a file that needs no temporary one to be looked at twice; nearly all have fewer."""

DOWNLOADS: Final = 8
"""At once: an index answers many small files faster so, and more would gain nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    root: Path
    fetcher: Fetcher
    say: Callable[[str], None]

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

    def prepare(self) -> None:
        with contextlib.suppress(OSError):  # whoever needs it is told
            if next((self.root / "wheels").glob("*"), None) is None:
                _load()
                import_module("packager.adapters.connections")

    def _bring(self, wanted: Mapping[str, Pin]) -> Mapping[str, StoredWheel]:
        from packager.adapters.workers import each

        far = [pin for pin in wanted.values() if local_path(pin.location) is None]
        if far and self.fetcher.offline:
            raise not_in_store(sorted(pin.filename for pin in far))
        size = sum(pin.size or 0 for pin in wanted.values()) / 1e6
        many = f"{len(wanted)} wheels" if len(wanted) > 1 else "one wheel"
        self.say(f"Fetching {many}" + (f", {size:.1f} MB" if size >= 0.1 else ""))
        _load()
        if far:
            self.fetcher.prepare({pin.location for pin in far})
        # The largest first: to verify them takes longest, and goes on while others arrive.
        by_size = dict(sorted(wanted.items(), key=lambda one: one[1].size or 0, reverse=True))
        with self.temporary() as folder:
            try:
                brought = each(
                    lambda one: self._brought(one[1], folder / str(one[0])),
                    tuple(enumerate(by_size.values())),
                    most=DOWNLOADS if far else min(os.cpu_count() or 1, DOWNLOADS),
                    stop=self.fetcher.stop,
                )
            except BrokenExecutor as error:
                raise CommandError(
                    "a process that fetched wheels was killed",
                    why="by someone, or by this machine for lack of memory",
                    fix="free some memory, and run this again",
                ) from error
        return dict(zip(by_size, brought, strict=True))

    def _brought(self, pin: Pin, folder: Path) -> StoredWheel:
        return self.take(self._obtain(pin, folder), pin.filename, pin.sha256, pin.location)

    def _obtain(self, pin: Pin, folder: Path) -> Path:
        folder.mkdir()
        path = folder / pin.filename
        local = local_path(pin.location)
        if local is None:
            self.fetcher.download(pin.location, path, size=pin.size)
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
        with self.temporary() as folder:
            copy = folder / path.name
            shutil.copyfile(path, copy)
            return self.take(copy, path.name, None, str(path))

    def stored(self, sha256: str, filename: str) -> StoredWheel | None:
        path = self.root / "wheels" / sha256 / filename
        try:
            if not (path.parent / _facts_name(filename)).is_file():
                return None
            if not is_sound(path, sha256):
                self.say(f"{filename} was damaged in the store, and is brought anew")
                return None
            status = path.stat()
        except OSError:
            return None
        used(path.parent)
        return StoredWheel(
            path=path,
            filename=filename,
            sha256=sha256,
            size=status.st_size,
            changed_ns=status.st_mtime_ns,
        )

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
        seal(path, found)
        self._settle(path.parent, target, filename)
        stored = target / filename
        status = stored.stat()
        return StoredWheel(
            path=stored,
            filename=filename,
            sha256=found,
            size=status.st_size,
            changed_ns=status.st_mtime_ns,
        )

    def _settle(self, folder: Path, target: Path, filename: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            # It is there already: another run brought it, or it is known by another name.
            for name in (filename, _facts_name(filename)):
                (folder / name).replace(target / name)
        note_added(self.root, sum(file.stat().st_size for file in target.iterdir()))

    def _facts(self, wheel: StoredWheel) -> tuple[Wheel, tuple[Observation, ...]]:
        path = _facts_path(wheel)
        try:
            return _facts(path)
        except (OSError, ValueError, KeyError, TypeError):  # of another version, or damaged
            with self.temporary() as folder:
                copy = folder / wheel.filename
                shutil.copyfile(wheel.path, copy)
                self.take(copy, wheel.filename, wheel.sha256, str(wheel.path))
            return _facts(path)

    def installed(self, wheel: StoredWheel, layout: Layout) -> InstalledWheel:
        path = self.root / PLANS / plan_key(wheel.sha256, wheel.filename, layout)
        try:
            members, observations, planned = read_plan(path.read_bytes())
            used(path)
        except (OSError, ValueError):  # there is none, or it is damaged
            members, observations = self._worked_out(wheel, layout)
            planned = plan(members)
            self._keep(path, plan_data(members, observations, planned))
        return InstalledWheel(
            wheel=wheel,
            members=members,
            observations=observations,
            planned=Planned(members=members, plan=planned),
        )

    def _worked_out(
        self, wheel: StoredWheel, layout: Layout
    ) -> tuple[tuple[TarMember, ...], tuple[Observation, ...]]:
        try:
            parsed, known = self._facts(wheel)
            with wheel.path.open("rb") as file:
                members = tuple(installed(parsed, file, layout))
        except OSError as error:
            raise gone(wheel, error) from error
        # What is written anew for the layer, scripts above all, is looked at as it will be.
        anew = {member.path: member for member in members if isinstance(member, Content)}
        seen = [moved(o, destination(parsed, o.path, layout)) for o in known]
        return members, (
            *(o for o in seen if o.path not in anew),
            *(o for member in anew.values() for o in observe_content(member)),
        )

    def recall(self, kind: str, key: str) -> str | None:
        path = self.root / kind / key
        try:
            text = unsigned(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # there is none, or it is damaged
            return None
        used(path)
        return text

    def remember(self, kind: str, key: str, text: str) -> None:
        self._keep(self.root / kind / key, signed(text).encode())

    def _keep(self, path: Path, data: bytes) -> None:
        """Write what only saves work later: a store that can not be written serves without."""
        with contextlib.suppress(OSError):
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(prefix=mark(), dir=self.root / "tmp")
            temporary = Path(name)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(data)
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            note_added(self.root, len(data))

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """A folder for what is not whole yet. Raise `CommandError` where the disk refuses."""
        folder: Path | None = None
        try:
            parent = self.root / "tmp"
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=mark(), dir=parent))
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


def _load() -> None:
    """Import what bringing wheels takes, once for all processes; other packs need none of it."""
    import_module("packager.elfreader")
    import_module("packaging.metadata")


def used(path: Path) -> None:
    """Remember the last use, which decides what is pruned first."""
    with contextlib.suppress(OSError):  # a store that can only be read serves as well
        os.utime(path)


def local_path(location: str) -> Path | None:
    """The file of a path or a `file:` URL, which uv writes for --find-links; None for others."""
    if "://" not in location:
        return Path(location)
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _facts_path(wheel: StoredWheel) -> Path:
    return wheel.path.parent / _facts_name(wheel.filename)


def _facts_name(filename: str) -> str:
    return f"{filename}.facts.json"


def _facts_text(wheel: Wheel, observations: Sequence[Observation]) -> str:
    """What reading a wheel told, so that it need not be read again to be packed."""
    facts = {
        "format": FORMAT,
        "wheel": {field.name: getattr(wheel, field.name) for field in dataclasses.fields(Wheel)},
        "observations": [to_json(o) for o in observations],
    }
    return signed(json.dumps(facts))


def _facts(path: Path) -> tuple[Wheel, tuple[Observation, ...]]:
    """Raise `ValueError`, `KeyError` or `TypeError` for what another version wrote."""
    facts = json.loads(unsigned(path.read_text(encoding="utf-8")))
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


def _observed(file: BinaryIO, wheel: Wheel, entry: Entry) -> tuple[Observation, ...]:
    """Inflate an entry to its end, which proves it sound, and observe it on the way."""
    if entry.size <= SMALL:
        data = b"".join(inflate(file, entry, wheel.filename))
        return observe(entry.name, data[:HEAD_BYTES], lambda: io.BytesIO(data))
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
