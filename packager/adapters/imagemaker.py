"""Where images are put: a registry, or an engine; and where their bases come from."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packager.adapters.containers import find_image, pull_image
from packager.adapters.engine import connect, image_id
from packager.adapters.imagebases import base_in, base_in_file, base_in_registry, repository_of
from packager.adapters.imageload import load
from packager.adapters.imagesources.engine import EngineImages
from packager.adapters.imagestage import built, staged
from packager.adapters.jars import stored_jar
from packager.adapters.registry.client import RegistryClient
from packager.adapters.registry.pushes import push
from packager.adapters.store import Store
from packager.errors import CommandError, ConfigError
from packager.imagebuild.foundation import require_usable
from packager.imagebuild.layering import ImageLayer
from packager.imagebuild.options import JARS, ImageOptions
from packager.imagebuild.tags import LOCAL
from packager.imagemaking import Base, Fetch, Made
from packager.layers import File
from packager.layershelf import Shelf
from packager.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """An image that is where it should be."""

    reference: str
    """By which it is used."""
    uploaded: int
    """Bytes."""
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMaker:
    """The outside world of `packager image build`."""

    client: RegistryClient
    store: Store
    images: EngineImages
    shelf: Shelf
    env: Mapping[str, str]
    say: Callable[[str], None]

    @contextlib.contextmanager
    def base(self, name: str, platform: str, *, engine: bool) -> Iterator[Base]:
        """The base image for a platform: a file, the engine's if that gets the image, a registry's.

        Raise `ConfigError` for one that can not be, `ToolError` where there is no engine to give
        it to, `CommandError` where an engine or a registry fails.
        """
        path = Path(name)
        if engine and path.exists():
            raise ConfigError(
                f"the base image {name} is a file, and the engine does not have its layers",
                why="an engine is given only what it lacks of an image whose base it has",
                fix="docker load it and name it by its tag, or push: --push REPOSITORY[:TAG]",
            )
        if engine:
            there = connect(self.env)
            found = find_image(there, name, platform)
            found = found or pull_image(there, name, platform, say=self.say)
            with self.images.opened(name, platform, self.shelf) as kept:
                base = base_in(kept, name, platform)
                yield replace(base, build_from=name, build_digest=found.digest)
        elif path.exists():
            yield base_in_file(path, platform)
        else:
            yield self._base_in_registry(name, platform)

    def _base_in_registry(self, name: str, platform: str) -> Base:
        try:
            return base_in_registry(self.client, name, platform)
        except CommandError as error:
            if not image_id(self.env, name):
                raise
            raise CommandError(
                error.what,
                why=f"{error.why}; the engine has it, but without one the base is read from its"
                " registry",
                fix=f"{error.fix}; or give it as a file: docker save {name} -o base.tar, and"
                " --base-image base.tar",
            ) from error

    def prepared(self, base: Base, platform: str, options: ImageOptions, *, fresh: bool) -> Base:
        """The base after the project's packages and commands, where it has some.

        Raise as `imagestage.staged` does.
        """
        if not options.runs:
            return base
        require_usable(base.image, platform)
        return staged(base, platform, options, self.store, self.env, fresh=fresh)

    def built(
        self,
        base: Base,
        file: Path,
        own: Sequence[tuple[ImageLayer, Fetch]],
        *,
        platform: str,
        context: Path,
        folder: Path,
        fresh: bool,
    ) -> Base:
        """What the Dockerfile `file` of the project makes of the base, in `folder`.

        Raise as `imagestage.built` does.
        """
        require_usable(base.image, platform)
        self.say(f"Building {file} for {platform}")
        return built(
            base,
            file,
            own,
            platform=platform,
            context=context,
            out=folder,
            env=self.env,
            fresh=fresh,
        )

    def with_jars(self, options: ImageOptions) -> ImageOptions:
        """The same with jars of Maven repositories as files.

        Raise `CommandError` where one can not be had, or is another one than its SHA-256 says.
        """
        files = tuple(
            File(path=f"{JARS.lstrip('/')}/{jar.filename}", source=stored_jar(self.store, jar))
            for jar in options.maven
        )
        return replace(options, files=(*options.files, *files), maven=())

    def load(self, made: Made, name: Reference) -> Put:
        """Raise `CommandError` where the engine refuses or fails."""
        given = load(made, name, self.env, self.store)
        short = str(name).removeprefix(LOCAL)
        told = f"{given / 1e6:.2f} MB given to the engine"
        return Put(reference=short, uploaded=given, told=told)

    def push(self, made: Made, to: Reference) -> Put:
        """Raise `CommandError` where the registry refuses or fails."""
        image = made.image
        base = Base(image=image.base, fetch=lambda _, path: path, repository=made.repository)
        digest, traffic = push(
            self.client,
            to,
            image.manifest,
            image.config,
            made.layers,
            mount_from=repository_of(base),
        )
        return Put(
            reference=str(to.at(digest)),
            uploaded=traffic.uploaded,
            told=f"{traffic.uploaded / 1e6:.2f} MB sent to {to}"
            + (f", {traffic.mounted / 1e6:.1f} MB mounted" if traffic.mounted else ""),
        )
