"""One run of a project's tests: for a target, on what was packed for it or on a custom image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packager.errors import ConfigError
from packager.ports import Ports, RoomArchive
from packager.project import Project
from packager.recorded import Found, find_record, records_in, target_of
from packager.revalidation import recorded_archive
from packager.settings import Settings
from packager.target import Target
from packager.testruns.dependencies import packed_with, site_layer
from packager.testruns.suite import EMULATED_LIMIT_S, LIMIT_S, PYTHON, Ended, Suite
from packager.testruns.tree import files_for_tests, write_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An image that an engine has, where tests can be run."""

    image: str
    platform: str
    emulated: bool
    env: Mapping[str, str]


class Bench(Protocol):
    """A container engine, as far as tests need one."""

    def place(self, image: str, target: Target) -> Place:
        """The image for the target, pulled if the engine has none.

        Raise `ConfigError` where it is for others only, `CommandError` where it cannot be had.
        """

    def installed(self, place: Place, python: str, target: Target) -> Mapping[str, str]:
        """Versions of what an image's Python has, by normalised name.

        Raise `ConfigError` where it does not start, or is not the target's.
        """

    def run(self, place: Place, suite: Suite, *, out: Callable[[bytes], None]) -> Ended:
        """Run tests in a container of their own, which is gone afterwards, however they end.

        Raise `ToolError` where the engine cannot run the platform, `CommandError` where it fails on
        the way.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user wants of a run."""

    arguments: tuple[str, ...] = ()
    """Of pytest."""
    image: str | None = None
    """A custom image, tested instead of archives."""
    junit: bool = False
    coverage: bool = False
    limit_s: int | None = None
    variables: tuple[tuple[str, str], ...] = ()


def subjects(
    record: Path | None, folder: Path, settings: Settings, *, named: bool, machine: str | None
) -> tuple[tuple[Target, Found], ...]:
    """What was packed and is to be tested: a record, or those of `folder` that are asked for.

    Where no architecture is `named`, this `machine`'s is taken if there are several. Raise
    `ConfigError` where one is missing.
    """
    if record is not None:
        chosen = [find_record(record, folder, release=settings.release, arch=None)]
    elif named:
        chosen = [
            find_record(None, folder, release=target.release.label, arch=target.arch.name)
            for target in settings.targets()
        ]
    else:
        fitting = [f for f in records_in(folder) if settings.release in {None, f.record.release}]
        own = [f for f in fitting if f.record.arch == machine]
        arch = machine if len(fitting) > 1 and own else None
        chosen = [find_record(None, folder, release=settings.release, arch=arch)]
    return tuple((target_of(found.record, settings), found) for found in chosen)


def run_tests(
    project: Project,
    target: Target,
    found: Found | None,
    settings: Settings,
    asked: Asked,
    *,
    ports: Ports,
    bench: Bench,
    folder: Path,
    say: Callable[[str], None],
    out: Callable[[bytes], None],
) -> tuple[Suite, Ended]:
    """Run the tests on what was `found`, or on the image that is `asked` for.

    `folder` is for what is only needed meanwhile. Raise as the ports do.
    """
    place = bench.place(asked.image or settings.image_for(target), target)
    archives: tuple[RoomArchive, ...] = ()
    python = PYTHON
    there: Mapping[str, str | None]
    if found is not None:
        archives = tuple(recorded_archive(found, artifact) for artifact in found.record.archives)
        there = packed_with(found.record)
    elif asked.image is not None:
        python = place.env.get("PYSPARK_PYTHON") or "python3"
        there = bench.installed(place, python, target)
    else:
        raise ConfigError("there is nothing to test", fix="pack first: packager pack")
    site = site_layer(
        project,
        target,
        settings,
        ports,
        there=there,
        coverage=asked.coverage,
        folder=folder,
        say=say,
    )
    tree = folder / "tree.tar.gz"
    with tree.open("wb") as file:
        own = files_for_tests(project, project.root / settings.out, settings.exclude)
        write_tree(project.root, own, file)
    suite = Suite(
        archives=archives,
        site=site,
        tree=tree,
        python=python,
        arguments=asked.arguments,
        variables=asked.variables,
        junit=asked.junit,
        coverage=asked.coverage,
        limit_s=asked.limit_s or (EMULATED_LIMIT_S if place.emulated else LIMIT_S),
    )
    slow = ", emulated, which takes longer" if place.emulated else ""
    subject = f"{found.record.name} " if found else ""
    say(f"Testing {subject}in {place.image} for {place.platform}{slow}")
    return suite, bench.run(place, suite, out=out)
