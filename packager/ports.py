"""What the pipeline needs of the outside world. Adapters and the tests' fakes satisfy these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from packager.errors import CommandError
from packager.facts import Observation
from packager.lockfiles import Pin, Source
from packager.tarball import Plan, TarMember, Written, plan
from packager.target import Target
from packager.wheels import Layout

if TYPE_CHECKING:  # most packs have to do with neither
    from packager.cleanroom import RoomFacts
    from packager.dockerbuild import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWheel:
    """A verified wheel in the store."""

    path: Path
    filename: str
    sha256: str
    size: int
    changed_ns: int | None = None
    """The file's time of change when it was found sound, if anybody else can write to it."""


def gone(wheel: StoredWheel, error: OSError) -> CommandError:
    return CommandError(
        f"{wheel.filename} is gone from the store",
        why=error.strerror or str(error),
        fix="something removed it meanwhile: pack again",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """How to write these very members."""

    members: tuple[TarMember, ...]
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledWheel:
    """A wheel as a part of a layer."""

    wheel: StoredWheel
    members: tuple[TarMember, ...]
    """Sorted by path; the data of most lie in the wheel."""
    observations: tuple[Observation, ...]
    planned: Planned | None = None
    """If it is known already."""

    @property
    def plan(self) -> Plan:
        """How to write the members, which may be fewer than once were planned."""
        if self.planned is not None and self.planned.members is self.members:
            return self.planned.plan
        return plan(self.members)


class Resolver(Protocol):
    """Turns what a project asks for into a PEP 751 text."""

    def compile(
        self,
        requirements: Sequence[str],
        *,
        root: Path,
        target: Target,
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> str:
        """Resolve files or folders (paths relative to `root`) for the target.

        Raise `ConfigError` where no solution exists, `CommandError` where an index fails.
        """

    def export(self, lock: Path, *, extras: Sequence[str], groups: Sequence[str]) -> str:
        """The whole of a `uv.lock`, for every platform. Raise `ConfigError` if it is stale."""

    def beside(
        self,
        there: Sequence[str],
        wanted: Sequence[str],
        *,
        root: Path,
        target: Target,
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> str:
        """Resolve requirements, and extras and groups of `root`, that go with exact versions.

        The answer has those of what is `there` too, as far as they are required. Raise as `compile`
        does.
        """

    def find(
        self, pins: Sequence[str], *, indexes: Sequence[str], root: Path, target: Target
    ) -> str:
        """The files that indexes have of exact versions, and of nothing else, for any platform.

        `indexes` are asked beside those that are set up. Raise as `compile` does.
        """

    def available(self, name: str, version: str, *, root: Path, target: Target) -> tuple[str, ...]:
        """Names of the wheels an index has of one version, for any platform."""


class WheelStore(Protocol):
    """Verified wheels and what is known of them, by content."""

    def prepare(self) -> None:
        """Do, while something else is waited for, what `fetch` would do first."""

    def fetch(self, pins: Sequence[Pin]) -> tuple[StoredWheel, ...]:
        """Bring wheels in, in parallel, verified once.

        Raise `ConfigError` for a wrong hash or a broken wheel, `CommandError` for the network.
        """

    def installed(self, wheel: StoredWheel, layout: Layout) -> InstalledWheel:
        """How the wheel becomes part of a layer."""

    def recall(self, kind: str, key: str) -> str | None:
        """A text remembered under a key, if there is one."""

    def remember(self, kind: str, key: str, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledPython:
    """An interpreter of its own, for a release that lacks it."""

    version: str
    """All of it, e.g. `3.12.11`."""
    build: StoredWheel
    """As it was downloaded."""
    part: InstalledWheel
    """The build as a part of a layer."""


class Pythons(Protocol):
    """Finds standalone builds of CPython."""

    def installed(self, target: Target) -> BundledPython:
        """The newest build of the target's Python, verified.

        Raise `ConfigError` where there is none or its hash is wrong, `CommandError` for the
        network.
        """


class ByteCompiler(Protocol):
    """Makes byte code with a Python of the target's minor version."""

    def version(self, python: str) -> str:
        """All of that Python's version, e.g. `3.11.7`. Raise `ToolError` where there is none."""

    def compiled(self, parts: Sequence[InstalledWheel], python: str) -> tuple[InstalledWheel, ...]:
        """The byte code of each part, whose members are modules; of those that compile.

        Same modules and same version, same bytes. Raise `ToolError` as `version` does.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripped:
    """Files of a wheel that are smaller without their symbols."""

    part: InstalledWheel
    rows: Mapping[str, tuple[str, int]]
    """By path: the hash as `RECORD` writes it, and the size."""


class SymbolStripper(Protocol):
    """Takes out of ELF files what no loader reads."""

    def stripped(self, part: InstalledWheel) -> Stripped:
        """Those members of the part, all of them ELF files, that become smaller.

        Raise `CommandError` where the disk refuses them.
        """


class Builder(Protocol):
    """Makes wheels of sources, on this machine."""

    def project_wheel(self, root: Path, *, key: str | None) -> StoredWheel:
        """Build a folder's wheel, or recall the one built of the same content (`key`).

        Raise `CommandError` with the end of the backend's output where it fails.
        """

    def source_wheel(self, source: Source) -> StoredWheel:
        """Build the wheel of a folder or a source archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCompile:
    """A source that Docker is to make a wheel of."""

    source: Source
    key: str | None = None
    """Of the content of a folder; sources that a lock settles have their own."""


class EnvironmentBuilder(Protocol):
    """Builds in Docker, in the operating system of the target."""

    def recipe(
        self,
        target: Target,
        *,
        base_image: str,
        dockerfile: Path | None,
        build_packages: Sequence[str],
        fresh: bool,
    ) -> "Recipe":
        """How to build for the target, with the digest that the base image has now.

        Raise `ToolError` where no engine is there that can, `ConfigError` for a base image or a
        Dockerfile that does not serve.
        """

    def compiled(self, sources: Sequence[ToCompile], recipe: "Recipe") -> tuple[StoredWheel, ...]:
        """A wheel of each source, recalled where it was compiled by the same recipe before.

        Raise `CommandError` with the end of the failed step's output.
        """

    def environment(self, wheels: Sequence[StoredWheel], recipe: "Recipe") -> InstalledWheel:
        """The wheels installed and relocated in Docker, as one part of a layer; recalled."""

    def python(self, recipe: "Recipe") -> BundledPython:
        """The target's Python of the base image, made to run anywhere; recalled."""


class Witness(Protocol):
    """Follows one archive that is written. It must not take long, for the writing waits."""

    def grown(self, size: int) -> None:
        """So many bytes are written, and will not change any more."""

    def whole(self, path: Path, written: Written) -> None:
        """It is written, and lies under its own name."""


class Witnessing(Protocol):
    """Who names a witness for each archive, when its file is there and nothing is in it."""

    def __call__(self, file: BinaryIO, earlier: tuple[Path, Written] | None) -> Witness:
        """`earlier` is what was made of the same parts, so that it will become this again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomArchive:
    """An archive that is to be tried out."""

    kind: str
    """Name of the folder that it is unpacked in, e.g. `environment`."""
    path: Path
    sha256: str


class CleanRoom(Protocol):
    """A container of the release's image, without a network, for archives to be tried out in."""

    def possible(self) -> bool:
        """Whether there may be an engine, as far as that is told without asking it."""

    def try_out(
        self, archives: Sequence[RoomArchive], target: Target, *, image: str, pull: bool
    ) -> "RoomFacts":
        """Unpack them as a job would, import all, run a Spark job; or recall how that went.

        Raise `ToolError` where there is no engine that can do it, `ConfigError` for an image that
        is not fit, `CommandError` where the engine fails on the way.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that a pack needs."""

    resolver: Resolver
    store: WheelStore
    builder: Builder
    pythons: Pythons
    docker: EnvironmentBuilder
    byte_compiler: ByteCompiler
    symbols: SymbolStripper
    stop: Callable[[], None]
    """End what runs in other threads, since nobody will take its result."""
    commit: Callable[[Path], str] = lambda _: ""
    """The commit a folder is at; empty where none is known."""
    room: CleanRoom | None = None
    """None where archives are not to be tried out."""
    witness: Witnessing | None = None
    """None where nobody looks."""
