"""The machine as `packager doctor` looks at it."""

import platform
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from packager.doctor.diagnosis import Look
from packager.errors import ConfigError


def machine_looks(env: Mapping[str, str], *, store: Path, engine_needed: bool) -> Iterator[Look]:
    """What packs, builds and local runs need."""
    yield Look(area="this machine", name="Python", see=platform.python_version)
    yield Look(area="this machine", name="uv", see=lambda: _uv(env))
    yield Look(area="this machine", name="store", see=lambda: _store(store))
    yield Look(
        area="this machine",
        name="engine",
        see=lambda: _engine(env),
        purpose="" if engine_needed else "builds in Docker and the clean room",
    )
    yield Look(
        area="this machine",
        name="buildx",
        see=lambda: _buildx(env),
        purpose="" if engine_needed else "builds in Docker",
    )
    yield Look(
        area="this machine",
        name="Java",
        see=lambda: _java(env),
        purpose="packager run --local",
    )


def _uv(env: Mapping[str, str]) -> str:
    from uv import find_uv_bin

    from packager.adapters.process import run

    program = find_uv_bin()
    return run([program, "--version"], env=env, timeout_s=60).stdout.strip().removeprefix("uv ")


def _store(store: Path) -> str:
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store):
            pass
    except OSError as error:
        raise ConfigError(
            f"nothing can be written to {store}",
            why=error.strerror or str(error),
            fix="choose another folder: cache-dir in [tool.packager], or PACKAGER_CACHE_DIR",
        ) from error
    return str(store)


def _engine(env: Mapping[str, str]) -> str:
    from packager.adapters.engine import connect

    engine = connect(env)
    return f"{engine.name} {engine.version} for {engine.arch}, at {engine.endpoint.address}"


def _buildx(env: Mapping[str, str]) -> str:
    from packager.adapters.engine import connect, require_buildx

    return require_buildx(connect(env), env).removeprefix("github.com/docker/buildx ")


def _java(env: Mapping[str, str]) -> str:
    from packager.adapters.spark import find_java

    return str(find_java(env))
