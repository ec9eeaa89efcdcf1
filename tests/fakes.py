"""Ports that live in memory, for the pipeline alone: they resolve, fetch and build nothing."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.errors import PackagerError
from packager.lockfiles import Source
from packager.ports import Ports, StoredWheel
from packager.target import Target


def lock_text(*files: Path, folders: Sequence[Path] = ()) -> str:
    """A PEP 751 text of wheels and source archives that lie on this machine."""
    packages: dict[tuple[str, str], list[str]] = {}
    for path in files:
        if path.suffix == ".whl":
            parsed = parse_wheel_filename(path.name)[:2]
        else:
            parsed = parse_sdist_filename(path.name)
        packages.setdefault((parsed[0], str(parsed[1])), []).append(_entry(path))
    lines = ['lock-version = "1.0"', 'created-by = "tests"', "packages = ["]
    for (name, version), entries in packages.items():
        wheels = ", ".join(e for e in entries if ".whl" in e)
        sdist = "".join(f", sdist = {e}" for e in entries if ".whl" not in e)
        lines.append(f'{{ name = "{name}", version = "{version}", wheels = [{wheels}]{sdist} }},')
    lines += [
        f'{{ name = "{path.name}", directory = {{ path = {json.dumps(str(path))} }} }},'
        for path in folders
    ]
    return "\n".join([*lines, "]", ""])


def _entry(path: Path) -> str:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return f'{{ path = {json.dumps(str(path))}, hashes = {{ sha256 = "{sha256}" }} }}'


@dataclass(slots=True)
class FakeResolver:
    """Answers every question with the same text, and remembers them."""

    text: str = ""
    wheels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the wheels an index has, by package."""
    error: PackagerError | None = None
    compiled: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    """Requirements and architecture of each resolution."""
    found: list[tuple[str, ...]] = field(default_factory=list)
    """Indexes and pins of each question for files."""
    exported: list[tuple[str, ...]] = field(default_factory=list)
    """Extras and groups of each export."""

    def compile(
        self,
        requirements: Sequence[str],
        *,
        root: Path,  # noqa: ARG002  # of the port
        target: Target,
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> str:
        self.compiled.append(((*requirements, *extras, *groups), target.arch.name))
        if self.error:
            raise self.error
        return self.text

    def export(self, lock: Path, *, extras: Sequence[str], groups: Sequence[str]) -> str:
        self.exported.append((lock.name, *extras, *groups))
        return self.text

    def find(
        self,
        pins: Sequence[str],
        *,
        indexes: Sequence[str],
        root: Path,  # noqa: ARG002  # of the port
        target: Target,  # noqa: ARG002  # of the port
    ) -> str:
        self.found.append((*indexes, *pins))
        return self.text

    def available(
        self,
        name: str,
        version: str,  # noqa: ARG002  # of the port
        *,
        root: Path,  # noqa: ARG002  # of the port
        target: Target,  # noqa: ARG002  # of the port
    ) -> tuple[str, ...]:
        return self.wheels.get(name, ())


@dataclass(slots=True)
class FakeBuilder:
    """Makes wheels with a function for each name: of a project's folder, or of a source."""

    store: Store
    makes: dict[str, Callable[[], Path]] = field(default_factory=dict)
    """Folder or source name to what writes its wheel, or raises."""
    built: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def project_wheel(self, root: Path, *, key: str | None) -> StoredWheel:
        self.keys.append(key)
        return self._made(root.name)

    def source_wheel(self, source: Source) -> StoredWheel:
        return self._made(source.name)

    def _made(self, name: str) -> StoredWheel:
        self.built.append(name)
        return self.store.admit(self.makes[name]())


@dataclass(slots=True)
class World:
    """All the ports of one test. The store is the real one: its wheels come from files."""

    resolver: FakeResolver
    store: Store
    builder: FakeBuilder
    said: list[str] = field(default_factory=list)
    stopped: int = 0

    @property
    def ports(self) -> Ports:
        return Ports(
            resolver=self.resolver, store=self.store, builder=self.builder, stop=self._stop
        )

    def _stop(self) -> None:
        self.stopped += 1


def world(folder: Path) -> World:
    said: list[str] = []
    store = Store(root=folder, fetcher=Fetcher(), say=said.append)
    return World(
        resolver=FakeResolver(text=lock_text()),
        store=store,
        builder=FakeBuilder(store=store),
        said=said,
    )
