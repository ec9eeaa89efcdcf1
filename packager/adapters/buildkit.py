"""Builds in Docker, by BuildKit through `docker buildx`. What was built once is kept in the store.

A build is a folder of our making, which goes when it ends, and leaves no image behind: its result
comes out as files. `BUILDX_BUILDER` chooses the builder, and the engine is the one that the
`docker` command would use.
"""

import contextlib
import hashlib
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from packaging.utils import canonicalize_name, parse_wheel_filename

from packager.adapters import builds
from packager.adapters import engine as engines
from packager.adapters.builder import BackendBuilder, settled
from packager.adapters.buildsecrets import build_secrets
from packager.adapters.dockerfiles import dockerfiles
from packager.adapters.environments import KeptEnvironments
from packager.adapters.fetch import offline
from packager.adapters.process import masked, run
from packager.adapters.store import FORMAT
from packager.dockerbuild import (
    Base,
    Recipe,
    Stage,
    arguments,
    build_failure,
    engine_words,
    no_variant,
    pins_text,
    require_stages,
    unseen_base,
)
from packager.environment import environment_layout
from packager.errors import CommandError, ConfigError, PackagerError
from packager.ports import BundledPython, InstalledWheel, StoredWheel, ToCompile
from packager.project import read_text
from packager.sourcetree import source_digest
from packager.tarball import Content, Span, Stored, TarMember
from packager.target import Target
from packager.trees import read_tree

if TYPE_CHECKING:  # it takes a quarter of a second to load
    from docker.api.client import APIClient

BASES: Final = "bases"
"""Where the store remembers the digest of a base image, for when its registry does not answer."""
COMPILED: Final = "compiled"
"""Where the store remembers which wheel was compiled of which source by which recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildKit:
    root: Path
    """Of the project: its settings name indexes."""
    builder: BackendBuilder
    env: Mapping[str, str]
    _engines: list[engines.Engine] = field(default_factory=list)
    """The one that answered; asked for when there is something to look up, once."""

    @property
    def environments(self) -> KeptEnvironments:
        return KeptEnvironments(root=self.builder.store.root)

    def recipe(
        self,
        target: Target,
        *,
        base_image: str,
        dockerfile: Path | None,
        build_packages: Sequence[str],
        fresh: bool,
    ) -> Recipe:
        where = dockerfile or dockerfiles() / "environment.Dockerfile"
        text = read_text(where)
        require_stages(text, where)
        steps = sorted((dockerfiles() / "steps").iterdir())
        return Recipe(
            target=target,
            base=self._base(base_image, target, fresh=fresh),
            dockerfile=text,
            where=where,
            steps=hashlib.sha256(b"\0".join(path.read_bytes() for path in steps)).hexdigest(),
            build_packages=tuple(build_packages),
            fresh=fresh,
        )

    def compiled(self, sources: Sequence[ToCompile], recipe: Recipe) -> tuple[StoredWheel, ...]:
        keys = [self._source_key(wanted, recipe) for wanted in sources]
        found = [None if recipe.fresh else self._recalled(key) for key in keys]
        todo = [s for s, wheel in zip(sources, found, strict=True) if wheel is None]
        made = iter(self._compile(todo, recipe) if todo else ())
        wheels = tuple(wheel or next(made) for wheel in found)
        for key, wheel in zip(keys, wheels, strict=True):
            if key:
                self.builder.store.remember(COMPILED, key, f"{wheel.sha256} {wheel.filename}")
        return wheels

    def environment(self, wheels: Sequence[StoredWheel], recipe: Recipe) -> InstalledWheel:
        import venv_pack

        pins = pins_text((wheel.filename, wheel.sha256) for wheel in wheels)
        key = recipe.key("environment", venv_pack.__version__, FORMAT, pins)
        known = None if recipe.fresh else self.environments.recall(key)
        if known is not None:
            return known
        self._require_online(f"the environment of {_counted(wheels)}", recipe)
        self.builder.say(f"Installing {_counted(wheels)} for {recipe.place}")
        with self._context(recipe) as context:
            pinned, tools = context / "pins", context / "tools"
            pinned.mkdir()
            for wheel in wheels:
                _link(wheel.path, pinned / wheel.filename)
            (pinned / "requirements.txt").write_text(pins, encoding="utf-8")
            package = Path(venv_pack.__file__).parent
            shutil.copytree(package, tools / package.name, ignore=lambda *_: {"__pycache__"})
            out = self._build(recipe, "environment", context)
            own = {parse_wheel_filename(wheel.filename)[0] for wheel in wheels}
            tree = read_tree(out / "environment", recipe.target, keep=own)
            members = [self._as_in_wheel(m, wheels, recipe.target) for m in tree.members]
            return self.environments.keep(key, members, tree.files)

    def _as_in_wheel(
        self, member: TarMember, wheels: Sequence[StoredWheel], target: Target
    ) -> TarMember:
        """`RECORD` with its lines in the order of the wheel's own, which pip has not kept."""
        folder, _, name = member.path.rpartition("/")
        if not isinstance(member, Content) or name != "RECORD":
            return member
        distribution = folder.rpartition("/")[2].removesuffix(".dist-info")
        for wheel in wheels:
            if wheel.filename.startswith(f"{distribution}-"):
                own = self.builder.store.installed(wheel, environment_layout(target)).members
                found = next((m for m in own if m.path == member.path), None)
                data = _content(found, wheel)
                if sorted(data.splitlines()) == sorted(bytes(member.data).splitlines()):
                    return Content(path=member.path, mode=member.mode, data=data)
        return member

    def python(self, recipe: Recipe) -> BundledPython:
        store, python = self.builder.store, recipe.target.python
        require_stages(recipe.dockerfile, recipe.where, ("interpreter",))
        key = recipe.key("interpreter")
        sha256, _, filename = (store.recall(builds.FOUND, key) or "").partition(" ")
        build = builds.stored(store, sha256, filename) if filename and not recipe.fresh else None
        if build is None:
            self._require_online(f"a copy of Python {python}", recipe)
            self.builder.say(f"Copying Python {python} for {recipe.place}")
            with self._context(recipe) as context:
                out = self._build(recipe, "interpreter", context)
                build = builds.admit(store, lambda _: _only_build(out, recipe))
            store.remember(builds.FOUND, key, f"{build.sha256} {build.filename}")
        version = build.filename.split("-")[1]
        return BundledPython(
            version=version, build=build, part=builds.installed(store, build, python)
        )

    def _source_key(self, wanted: ToCompile, recipe: Recipe) -> str | None:
        source = wanted.source
        own = wanted.key or settled(source)
        if own is None and source.commit is None and Path(source.location).is_dir():
            own = f"{source.location}\0{source_digest(Path(source.location))}"
        return recipe.key("wheel", own) if own else None

    def _recalled(self, key: str | None) -> StoredWheel | None:
        store = self.builder.store
        sha256, _, filename = ((key and store.recall(COMPILED, key)) or "").partition(" ")
        return store.stored(sha256, filename) if filename else None

    def _compile(self, sources: Sequence[ToCompile], recipe: Recipe) -> list[StoredWheel]:
        names = [wanted.source.name for wanted in sources]
        self._require_online(", ".join(sorted(names)), recipe)
        self.builder.say(f"Compiling {', '.join(sorted(names))} for {recipe.place}")
        with self._context(recipe) as context:
            for name, wanted in zip(names, sources, strict=True):
                # pip goes by the name of a file, and two may have the same: `v1.0.tar.gz`.
                folder = context / "sources" / canonicalize_name(name)
                folder.mkdir(parents=True)
                self.builder.source_archive(wanted.source, folder)
            out = self._build(recipe, "wheels", context)
            made = {str(parse_wheel_filename(path.name)[0]): path for path in out.glob("*.whl")}
            return [self._admitted(name, made, recipe) for name in names]

    def _admitted(self, name: str, made: Mapping[str, Path], recipe: Recipe) -> StoredWheel:
        wheel = made.get(canonicalize_name(name))
        if wheel is None:
            raise CommandError(
                f"the build for {recipe.place} left no wheel of {name}",
                why=f"it left {', '.join(sorted(path.name for path in made.values())) or 'none'}",
                fix=f"see the stage `wheels` of {recipe.where}",
            )
        if not parse_wheel_filename(wheel.name)[3] & frozenset(recipe.target.tags()):
            raise ConfigError(
                f"{wheel.name} is not for {recipe.target.release.label} with Python"
                f" {recipe.target.python} on {recipe.target.arch.name}",
                why=f"that is what {recipe.base.reference} makes of {name}",
                fix="choose another with --base-image",
            )
        return self.builder.store.admit(wheel)

    @contextlib.contextmanager
    def _context(self, recipe: Recipe) -> Iterator[Path]:
        """A folder for a build, with what every build has."""
        with self.environments.temporary() as folder:
            context = folder / "context"
            # Docker sends a folder only if the Dockerfile has it mounted, which it has all.
            shutil.copytree(dockerfiles() / "steps", context / "steps")
            (context / "Dockerfile").write_text(recipe.dockerfile, encoding="utf-8")
            yield context

    def _require_online(self, wanted: str, recipe: Recipe) -> None:
        if not offline(self.env):
            return
        why = (
            "--no-cache asks for a new one" if recipe.fresh else "the store has none of this recipe"
        )
        raise ConfigError(
            f"{wanted} would be built in Docker, and packager is offline",
            why=f"{why}; the steps of a build open connections of their own",
            fix="pack once without --offline: what was built is kept",
        )

    def _engine(self) -> engines.Engine:
        if not self._engines:
            self._engines.append(engines.connect(self.env))
        return self._engines[0]

    def _build(self, recipe: Recipe, stage: Stage, context: Path) -> Path:
        engine = self._engine()
        engines.require_buildx(engine, self.env)
        own = recipe.base.local and engines.builder_is_own(engine, self.env)
        out = context.parent / "out"
        with build_secrets(self.root, self.env) as secrets:
            done = run(
                arguments(
                    recipe,
                    stage,
                    context=context,
                    secrets=secrets.files,
                    out=out,
                    own_builder=own,
                ),
                env={**self.env, **engine.variables},
                check=False,
            )
            if done.returncode == 0:
                return out
            said = masked(done.stderr, secrets.values)
        platform = recipe.target.arch.oci_platform
        told = engines.explained(
            engine_words(said), engine, image=recipe.base.reference, platform=platform
        )
        unseen = unseen_base(said, recipe.base.reference) if recipe.base.local else None
        raise unseen or told or build_failure(said, recipe)

    def _base(self, reference: str, target: Target, *, fresh: bool) -> Base:
        """What the base image is now: the engine's own copy, or what its registry has."""
        engine = self._engine()
        arch = target.arch.name
        look_up = engines.failures(engine, image=reference, doing=f"look up {reference}")
        with look_up, engines.client(engine) as api:
            local = None if fresh else _local(api, reference)
            if local is not None:
                return _base_of(local, reference, arch, engine)
            if offline(self.env):
                known = self.builder.store.recall(BASES, _plain(reference))
                if known is None or fresh:
                    raise ConfigError(
                        f"what {reference} is now is not known, and packager is offline",
                        why="--no-cache asks for it anew"
                        if fresh
                        else "the engine does not have it",
                        fix="pack once without --offline",
                    )
                return Base(reference=reference, digest=known, local=False)
            try:
                with engines.failures(engine, image=reference, doing=f"look up {reference}"):
                    if engine.name == "Podman":  # which answers "Not Found", whatever it is asked
                        raise engines.no_image("it looks up no registries", engine, reference)
                    told = api.inspect_distribution(reference)
            except PackagerError:
                local = _local(api, reference)
                if local is not None:
                    return _base_of(local, reference, arch, engine)
                known = self.builder.store.recall(BASES, _plain(reference))
                if known is None or fresh:
                    raise
                return Base(reference=reference, digest=known, local=False)
        variants = sorted({str(p.get("architecture")) for p in told.get("Platforms") or ()})
        if variants and arch not in variants:
            why = f"it is there for {', '.join(variants)}"
            raise no_variant(reference, target.arch.oci_platform, why)
        digest = str(told["Descriptor"]["digest"])
        self.builder.store.remember(BASES, _plain(reference), digest)
        return Base(reference=reference, digest=digest, local=False)


def _only_build(out: Path, recipe: Recipe) -> Path:
    found = sorted(out.glob(f"cpython-{recipe.target.python}.*.tar.gz"))
    if len(found) != 1:
        raise CommandError(
            f"the build for {recipe.place} left no Python {recipe.target.python}",
            why=f"it left {', '.join(sorted(path.name for path in out.iterdir())) or 'nothing'}",
            fix=f"see the stage `interpreter` of {recipe.where}",
        )
    return found[0]


def _local(api: "APIClient", reference: str) -> Mapping[str, Any] | None:
    from docker.errors import NotFound

    try:
        return cast("Mapping[str, Any]", api.inspect_image(reference))
    except NotFound:
        return None


def _base_of(image: Mapping[str, Any], reference: str, arch: str, engine: engines.Engine) -> Base:
    # Other stores have one architecture under a name, so that this is it.
    if not engine.containerd_store and image["Architecture"] != arch:
        raise no_variant(reference, f"linux/{arch}", f"it is there for {image['Architecture']}")
    digests = image.get("RepoDigests") or [image["Id"]]
    digest = str(digests[0]).rpartition("@")[2]
    return Base(reference=reference, digest=digest, local=True)


def _plain(reference: str) -> str:
    return hashlib.sha256(reference.encode()).hexdigest()


def _content(member: TarMember | None, wheel: StoredWheel) -> bytes:
    match member:
        case Content():
            return bytes(member.data)
        case Span() | Stored():
            with wheel.path.open("rb") as file:
                file.seek(member.offset)
                if isinstance(member, Stored):
                    return file.read(member.size)
                return zlib.decompress(file.read(member.length), -15)
        case _:
            return b""


def _link(source: Path, place: Path) -> None:
    try:
        place.hardlink_to(source)
    except OSError:  # a file system without
        shutil.copyfile(source, place)


def _counted(wheels: Sequence[StoredWheel]) -> str:
    return f"{len(wheels)} wheels" if len(wheels) != 1 else "one wheel"
