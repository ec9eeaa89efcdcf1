"""Test suites in containers: files go in as a stream, output comes out live, reports as files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

from packager.adapters import process
from packager.adapters.containers import (
    Container,
    Upload,
    container,
    find_image,
    pull_image,
    run,
)
from packager.adapters.engine import Engine
from packager.cleanroom import EMULATED, FOLDER, HOME, NATIVE, USER, Limits, unpack
from packager.errors import CommandError, ConfigError, ToolError
from packager.target import Target
from packager.testruns.run import Place
from packager.testruns.suite import COVERAGE, JUNIT, PLACE, PROGRAM, TREE, Ended, Suite, complaint

PURPOSE: Final = "test"
REPORT_BYTES: Final = 256 << 20
"""A report that is larger is not brought out."""
_LIST: Final = (
    "import sys; from importlib.metadata import distributions;"
    "print('%d.%d' % sys.version_info[:2]);"
    "[print(d.metadata['Name'], d.version) for d in distributions()]"
)
"""What an image's Python has; from 3.8 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBench:
    engine: Engine
    say: Callable[[str], None]
    pull: bool = True
    """Whether an image that the engine does not have may be fetched."""

    def place(self, image: str, target: Target) -> Place:
        platform = target.arch.oci_platform
        found = find_image(self.engine, image, platform)
        if found is None and not self.pull:
            raise ToolError(
                f"the engine does not have the image {image}, and packager is offline",
                fix=f"docker pull --platform {platform} {image}",
            )
        found = found or pull_image(self.engine, image, platform, say=self.say)
        return Place(
            image=image,
            platform=platform,
            emulated=target.arch.name != self.engine.arch,
            env=found.env,
        )

    def installed(self, place: Place, python: str, target: Target) -> Mapping[str, str]:
        done = run(
            self.engine,
            place.image,
            (python, "-c", _LIST),
            place.platform,
            timeout_s=_limits(place).task,
            purpose=PURPOSE,
            user=USER,
            workdir=HOME,
        )
        version, *lines = done.stdout.splitlines() or [""]
        if done.returncode or version != target.python:
            raise ConfigError(
                f"{python} of {place.image} is not Python {target.python}",
                why=f"it is {version}" if version else process.tail(done.stderr, 1),
                fix="choose the release it was made for, or name its Python: --release, --python",
            )
        pairs = (line.rpartition(" ")[::2] for line in lines)
        return {canonicalize_name(name): version for name, version in pairs}

    def run(self, place: Place, suite: Suite, *, out: Callable[[bytes], None]) -> Ended:
        limits = _limits(place)
        with container(
            self.engine,
            place.image,
            place.platform,
            purpose=PURPOSE,
            lifetime_s=suite.limit_s + 6 * limits.unpack,
            user=USER,
            workdir=HOME,
            env=suite.environment,
        ) as room:
            _fill(room, suite, limits)
            done = room.execute(suite.command, timeout_s=suite.limit_s + 60, raw=out)
            junit = room.get(str(JUNIT), limit=REPORT_BYTES) if suite.junit else None
            coverage = room.get(str(COVERAGE), limit=REPORT_BYTES) if suite.coverage else None
        said = complaint(done.stderr)
        return Ended(status=done.returncode, said=said, junit=junit, coverage=coverage)


def _limits(place: Place) -> Limits:
    return EMULATED if place.emulated else NATIVE


def _fill(room: Container, suite: Suite, limits: Limits) -> None:
    inside = PurePosixPath(FOLDER.name)
    program = (files("packager") / "data" / PROGRAM).read_bytes()
    parts: list[tuple[str, str, Path]] = [
        *((a.kind, f"{a.kind}.tar.gz", a.path) for a in suite.archives),
        (str(PLACE / "site"), "site.tar.gz", suite.site),
        (str(TREE), "tree.tar.gz", suite.tree),
    ]
    uploads = [Upload(path=inside / PROGRAM, source=program)]
    uploads += [Upload(path=inside / name, source=source) for _, name, source in parts]
    room.put(uploads, str(FOLDER.parent))
    for folder, name, source in parts:
        done = room.execute(unpack(folder, FOLDER / name), timeout_s=limits.unpack)
        if done.returncode:
            raise CommandError(
                f"{source.name} does not unpack in {room.image}",
                why=process.tail(done.stderr or done.stdout, 3),
                fix="see what the image lacks: packager image validate",
            )
