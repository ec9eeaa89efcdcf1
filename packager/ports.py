"""What the pipeline needs of the outside world. Adapters and the tests' fakes satisfy these."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packager.facts import Member, Observation
from packager.lockfiles import Pin, Source
from packager.tarball import Plan
from packager.target import Target
from packager.wheels import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWheel:
    """A verified wheel in the store."""

    path: Path
    filename: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWheel:
    """A wheel as a part of a layer."""

    wheel: StoredWheel
    plan: Plan
    members: tuple[Member, ...]
    crcs: Mapping[str, int]
    """CRC-32 of each file, by path: two wheels may bring the same file if it is the same."""
    observations: tuple[Observation, ...]


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

    def fetch(self, pins: Sequence[Pin]) -> tuple[StoredWheel, ...]:
        """Bring wheels in, in parallel, verified once.

        Raise `ConfigError` for a wrong hash or a broken wheel, `CommandError` for the network.
        """

    def planning(
        self, wanted: Sequence[tuple[StoredWheel, Layout]]
    ) -> AbstractContextManager[None]:
        """A context in which these may be planned ahead of `planned`, by other processors."""

    def planned(
        self, wheel: StoredWheel, layout: Layout, *, leave_out: frozenset[str] = frozenset()
    ) -> PlannedWheel:
        """How the wheel becomes part of a layer; kept."""

    def recall(self, kind: str, key: str) -> str | None:
        """A text remembered under a key, if there is one."""

    def remember(self, kind: str, key: str, text: str) -> None: ...


class Builder(Protocol):
    """Makes wheels of sources, on this machine."""

    def project_wheel(self, root: Path, *, key: str | None) -> StoredWheel:
        """Build a folder's wheel, or recall the one built of the same content (`key`).

        Raise `CommandError` with the end of the backend's output where it fails.
        """

    def source_wheel(self, source: Source) -> StoredWheel:
        """Build the wheel of a folder or a source archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that a pack needs."""

    resolver: Resolver
    store: WheelStore
    builder: Builder
    stop: Callable[[], None]
    """End what runs in other threads, since nobody will take its result."""
    commit: Callable[[Path], str] = lambda _: ""
    """The commit a folder is at; empty where none is known."""
