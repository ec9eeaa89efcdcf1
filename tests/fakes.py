"""Ports that live in memory, for the pipeline alone: they resolve, fetch and build nothing."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from packager.adapters.builds import admit, installed
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.adapters.symbols import StoreStripper
from packager.bytecode import code_path
from packager.cleanroom import RoomFacts
from packager.dockerbuild import Base, Recipe
from packager.errors import ConfigError, PackagerError, ToolError
from packager.lockfiles import Source
from packager.ports import BundledPython, InstalledWheel, Ports, RoomArchive, StoredWheel, ToCompile
from packager.tarball import Span, TarMember
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
    text_beside: str = ""
    asked_beside: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    """What is there, and what is wanted beside it."""
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

    def beside(
        self,
        there: Sequence[str],
        wanted: Sequence[str],
        *,
        root: Path,  # noqa: ARG002  # of the port
        target: Target,  # noqa: ARG002  # of the port
        extras: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> str:
        self.asked_beside.append((tuple(there), (*wanted, *extras, *groups)))
        return self.text_beside

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
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def project_wheel(self, root: Path, *, key: str | None) -> StoredWheel:
        self.keys.append(key)
        return self._made(root.name)

    def source_wheel(self, source: Source) -> StoredWheel:
        return self._made(source.name)

    def _made(self, name: str) -> StoredWheel:
        self.built.append(name)
        with self.one_at_a_time:  # two targets may ask for the same file
            return self.store.admit(self.makes[name]())


@dataclass(slots=True)
class FakePythons:
    """Has a build for each Python whose archive was made."""

    store: Store
    archives: dict[str, Path] = field(default_factory=dict)

    def installed(self, target: Target) -> BundledPython:
        if target.python not in self.archives:
            raise ConfigError(f"there is no standalone Python {target.python}")

        def obtain(folder: Path) -> Path:
            return Path(shutil.copy(self.archives[target.python], folder))

        build = admit(self.store, obtain)
        part = installed(self.store, build, target.python)
        return BundledPython(version=f"{target.python}.1", build=build, part=part)


@dataclass(slots=True)
class FakeDocker:
    """Compiles as `FakeBuilder` does; without an engine unless a test says there is one."""

    builder: FakeBuilder
    base: Base | None = None
    compiled_for: list[tuple[str, ...]] = field(default_factory=list)
    """Architecture and sources of each build."""

    def recipe(
        self,
        target: Target,
        *,
        base_image: str,
        dockerfile: Path | None,
        build_packages: Sequence[str],
        fresh: bool,
    ) -> Recipe:
        if self.base is None:
            raise ToolError("no container engine is running here")
        return Recipe(
            target=target,
            base=replace(self.base, reference=base_image),
            dockerfile="",
            where=dockerfile or Path("environment.Dockerfile"),
            steps="",
            build_packages=tuple(build_packages),
            fresh=fresh,
        )

    def compiled(self, sources: Sequence[ToCompile], recipe: Recipe) -> tuple[StoredWheel, ...]:
        names = [wanted.source.name for wanted in sources]
        self.compiled_for.append((recipe.target.arch.name, *names))
        made = [self.builder.makes[f"{name} {recipe.target.arch.name}"] for name in names]
        return tuple(self.builder.store.admit(make()) for make in made)

    def environment(self, wheels: Sequence[StoredWheel], recipe: Recipe) -> InstalledWheel:
        raise NotImplementedError

    def python(self, recipe: Recipe) -> BundledPython:
        raise NotImplementedError


@dataclass(slots=True)
class FakeRoom:
    """Sees what it is told to see, and remembers for which image it was asked."""

    facts: RoomFacts | None = None
    error: PackagerError | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)
    """Images, and whether they might be pulled."""
    there: bool = True

    def possible(self) -> bool:
        return self.there

    def try_out(
        self,
        archives: Sequence[RoomArchive],  # noqa: ARG002  # of the port
        target: Target,  # noqa: ARG002  # of the port
        *,
        image: str,
        pull: bool,
    ) -> RoomFacts:
        self.asked.append((image, pull))
        if self.error is not None:
            raise self.error
        assert self.facts is not None
        return self.facts


@dataclass(slots=True)
class FakeByteCompiler:
    """Compiles nothing: every module has its own text as byte code."""

    version_: str = "3.11.7"
    error: PackagerError | None = None

    def version(self, python: str) -> str:  # noqa: ARG002  # of the port
        if self.error:
            raise self.error
        return self.version_

    def compiled(self, parts: Sequence[InstalledWheel], python: str) -> tuple[InstalledWheel, ...]:
        return tuple(
            replace(part, members=tuple(_as_code(member, python) for member in part.members))
            for part in parts
        )


def _as_code(module: TarMember, python: str) -> TarMember:
    path = code_path(module.path, python)
    return module._replace(path=path) if isinstance(module, Span) else replace(module, path=path)


@dataclass(slots=True)
class World:
    """All the ports of one test. The store is the real one: its wheels come from files."""

    resolver: FakeResolver
    store: Store
    builder: FakeBuilder
    pythons: FakePythons
    docker: FakeDocker
    room: FakeRoom | None = None
    byte_compiler: FakeByteCompiler = field(default_factory=FakeByteCompiler)
    said: list[str] = field(default_factory=list)
    stopped: int = 0

    @property
    def ports(self) -> Ports:
        return Ports(
            resolver=self.resolver,
            store=self.store,
            builder=self.builder,
            pythons=self.pythons,
            docker=self.docker,
            byte_compiler=self.byte_compiler,
            symbols=StoreStripper(store=self.store),
            stop=self._stop,
            room=self.room,
        )

    def _stop(self) -> None:
        self.stopped += 1


def world(folder: Path) -> World:
    said: list[str] = []
    store = Store(root=folder, fetcher=Fetcher(), say=said.append)
    builder = FakeBuilder(store=store)
    return World(
        resolver=FakeResolver(text=lock_text()),
        store=store,
        builder=builder,
        docker=FakeDocker(builder=builder),
        pythons=FakePythons(store=store),
        said=said,
    )
