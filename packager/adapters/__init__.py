"""The outside world: one module for each thing that is not ours."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packager.adapters.late import late
from packager.ports import (
    ByteCompiler,
    CleanRoom,
    EnvironmentBuilder,
    Ports,
    Pythons,
    SymbolStripper,
)

if TYPE_CHECKING:
    from packager.adapters.builder import BackendBuilder
    from packager.adapters.fetch import Fetcher
    from packager.adapters.imagemaker import ImageMaker
    from packager.adapters.imagesources.chosen import ChosenImages
    from packager.adapters.room import EngineRoom
    from packager.imagetrial import ImageTrial
    from packager.layershelf import Shelf
    from packager.settings import Settings


def connect(
    *, root: Path, cache_dir: str | None, env: Mapping[str, str], say: Callable[[str], None]
) -> Ports:
    """The real parts for the project at `root`: the only place that picks them."""
    from uv import find_uv_bin

    from packager.adapters import process
    from packager.adapters.store import Store
    from packager.adapters.uv import Uv
    from packager.adapters.worktree import commit_of

    fetcher = _fetcher(root, env)
    store = Store(root=store_root(cache_dir), fetcher=fetcher, say=say)
    uv = find_uv_bin()

    @late
    def builder() -> "BackendBuilder":
        from packager.adapters.builder import BackendBuilder

        return BackendBuilder(store=store, env=env, say=say)

    @late
    def docker() -> EnvironmentBuilder:
        from packager.adapters.buildkit import BuildKit

        return BuildKit(root=root, builder=builder, env=env)

    @late
    def pythons() -> Pythons:
        from packager.adapters.pythons import UvPythons

        return UvPythons(env=env, binary=uv, root=root, store=store, say=say)

    @late
    def byte_compiler() -> ByteCompiler:
        from packager.adapters.bytecompiler import HostByteCompiler

        return HostByteCompiler(env=env, binary=uv, store=store, say=say)

    @late
    def symbols() -> SymbolStripper:
        from packager.adapters.symbols import StoreStripper

        return StoreStripper(store=store)

    @late
    def room() -> "EngineRoom":
        from packager.adapters.room import EngineRoom

        return EngineRoom(env=env, say=say, recall=store.recall, remember=store.remember)

    def stop() -> None:
        fetcher.stop()
        process.end_all()
        room.stop()

    return Ports(
        resolver=Uv(env=env, binary=uv),
        store=store,
        builder=builder,
        docker=docker,
        pythons=pythons,
        byte_compiler=byte_compiler,
        symbols=symbols,
        stop=stop,
        commit=lambda folder: commit_of(folder, env),
        room=room,
    )


def _fetcher(root: Path, env: Mapping[str, str]) -> "Fetcher":
    from packager.adapters.credentials import known_credentials
    from packager.adapters.fetch import Fetcher, offline, patience

    return Fetcher(
        credentials=functools.cache(lambda: known_credentials(root, env)),
        patience=patience(env),
        offline=offline(env),
        # uv's variable and pip's; those of `requests` itself come first, as it reads them last.
        authorities=next(
            (
                env[name]
                for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")
                if env.get(name)
            ),
            None,
        ),
    )


def clean_room_of(
    cache_dir: str | None, *, env: Mapping[str, str], say: Callable[[str], None]
) -> CleanRoom:
    """The clean room alone, for archives that are there already."""
    from packager.adapters.fetch import Fetcher
    from packager.adapters.room import EngineRoom
    from packager.adapters.store import Store

    store = Store(root=store_root(cache_dir), fetcher=Fetcher(), say=say)
    return EngineRoom(env=env, say=say, recall=store.recall, remember=store.remember)


def image_sources(
    cache_dir: str | None, *, env: Mapping[str, str], say: Callable[[str], None]
) -> "tuple[ChosenImages, Shelf]":
    """Where images are that are no files, and what is known of layers."""
    from packager.adapters.fetch import Fetcher
    from packager.adapters.imagesources.chosen import ChosenImages
    from packager.adapters.imagesources.engine import EngineImages
    from packager.adapters.imagesources.registry import RegistryImages
    from packager.adapters.store import Store
    from packager.layershelf import Shelf

    store = Store(root=store_root(cache_dir), fetcher=Fetcher(), say=say)
    images = ChosenImages(
        engine=EngineImages(env=env, say=say, recall=store.recall, remember=store.remember),
        registry=RegistryImages(env=env, say=say),
    )
    return images, Shelf(recall=store.recall, remember=store.remember)


def image_maker(
    settings: "Settings", *, root: Path, env: Mapping[str, str], say: Callable[[str], None]
) -> "ImageMaker":
    """What images are made with: registries, an engine, and the store. The project is at `root`."""
    from packager.adapters.aws.ecr import logins_to
    from packager.adapters.aws.session import open_session
    from packager.adapters.imagemaker import ImageMaker
    from packager.adapters.registry.client import registry_client
    from packager.adapters.store import Store

    store = Store(root=store_root(settings.cache_dir), fetcher=_fetcher(root, env), say=say)
    images, shelf = image_sources(settings.cache_dir, env=env, say=say)
    logins = logins_to(lambda: open_session(settings, env), env)
    return ImageMaker(
        client=registry_client(env, logins=logins),
        store=store,
        images=images.engine,
        shelf=shelf,
        env=env,
        say=say,
    )


def image_trial(
    *, env: Mapping[str, str], say: Callable[[str], None], limit_s: int | None
) -> "ImageTrial":
    """Where images are tried out."""
    from packager.adapters.imagetrial import EngineTrial

    return EngineTrial(env=env, say=say, limit_s=limit_s)


def store_root(cache_dir: str | None) -> Path:
    """Where the wheel store lies."""
    from platformdirs import user_cache_path

    return Path(cache_dir).expanduser() if cache_dir else user_cache_path("packager")
