"""What we build for: an EMR release on an architecture with a Python. Pure; all else follows."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.markers import Environment
from packaging.tags import Tag, compatible_tags, cpython_tags

from packager.errors import ConfigError
from packager.releases import Interpreter, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """One CPU architecture under all the names the outside world gives it."""

    name: str
    """Our name and Docker's, e.g. `amd64`."""
    machine: str
    """`uname -m` and wheel tags, e.g. `x86_64`."""
    emr: str
    """EMR Serverless API `architecture`, e.g. `X86_64`."""
    elf_machine: str
    """`e_machine` of its ELF files, as the ELF specification names it."""

    @property
    def oci_platform(self) -> str:
        return f"linux/{self.name}"


ARCHES: Final[Mapping[str, Arch]] = {
    arch.name: arch
    for arch in (
        Arch(name="amd64", machine="x86_64", emr="X86_64", elf_machine="EM_X86_64"),
        Arch(name="arm64", machine="aarch64", emr="ARM64", elf_machine="EM_AARCH64"),
    )
}

OLDEST_MANYLINUX_GLIBC: Final = {"x86_64": (2, 5), "aarch64": (2, 17)}
"""manylinux1 is glibc 2.5 (PEP 513) and x86 only; aarch64 begins with manylinux2014 (PEP 599)."""

LEGACY_MANYLINUX: Final = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
"""The names that PEP 600 keeps for older wheels."""


PROVIDED: Final = frozenset({"pyspark", "py4j", "pyspark-client", "pyspark-connect"})
"""Distributions that EMR brings itself. A copy in the environment would shadow EMR's own Spark."""


def parse_arch(name: str) -> Arch:
    """Raise `ConfigError` for an architecture packager does not know."""
    if name in ARCHES:
        return ARCHES[name]
    synonyms = {arch.machine: arch.name for arch in ARCHES.values()}
    synonyms |= {arch.emr.lower(): arch.name for arch in ARCHES.values()}
    near = synonyms.get(name.lower()) or next(
        iter(difflib.get_close_matches(name.lower(), ARCHES, n=1)), None
    )
    raise ConfigError(
        f"{name!r} is not an architecture",
        why=f"known: {', '.join(ARCHES)}, and `all` for both",
        fix=f"did you mean {near!r}?" if near else "use one of these names",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A release on an architecture with a Python: everything a build must match."""

    release: Release
    arch: Arch
    python: str
    """Minor version, e.g. `3.11`: the release's own unless the project asks for another."""

    @property
    def glibc(self) -> tuple[int, int]:
        """Raise `ConfigError` where the release's C library is not known."""
        if self.release.glibc is None:
            raise ConfigError(
                f"the C library of {self.release.label} is not known",
                why="AWS has not published it, and compiled wheels depend on it",
                fix=f"choose another release, or state `glibc` in "
                f'[tool.packager.releases."{self.release.label}"]',
            )
        return self.release.glibc

    @property
    def interpreter(self) -> Interpreter | None:
        """The release's Python that the environment links to; None where one has to be bundled."""
        return self.release.interpreter(self.python)

    @property
    def python_version(self) -> tuple[int, int]:
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def site_packages(self) -> str:
        """Where packages live inside an environment."""
        return f"lib/python{self.python}/site-packages"

    def tags(self) -> Iterator[Tag]:
        """Wheel tags this target accepts, best first."""
        version = self.python_version
        # Until 3.7 the ABI carried the `m` of pymalloc (PEP 3149; dropped in 3.8).
        abi = f"cp{version[0]}{version[1]}" + ("m" if version < (3, 8) else "")
        platforms = list(self._platforms())
        interpreter = f"cp{version[0]}{version[1]}"
        yield from cpython_tags(version, abis=[abi], platforms=platforms)
        yield from compatible_tags(version, interpreter=interpreter, platforms=platforms)

    def _platforms(self) -> Iterator[str]:
        machine = self.arch.machine
        major, newest = self.glibc
        oldest = OLDEST_MANYLINUX_GLIBC[machine][1]
        for minor in range(newest, oldest - 1, -1):
            yield f"manylinux_{major}_{minor}_{machine}"
            if (major, minor) in LEGACY_MANYLINUX:
                yield f"{LEGACY_MANYLINUX[major, minor]}_{machine}"
        yield f"linux_{machine}"

    def markers(self) -> Environment:
        """PEP 508 marker environment of the target, not of this machine.

        The patch level of a release's Python is not published; `.0` is the cautious reading, as
        uv's for `--python-version`.
        """
        return Environment(
            implementation_name="cpython",
            implementation_version=f"{self.python}.0",
            os_name="posix",
            platform_machine=self.arch.machine,
            platform_python_implementation="CPython",
            platform_release="",
            platform_system="Linux",
            platform_version="",
            python_full_version=f"{self.python}.0",
            python_version=self.python,
            sys_platform="linux",
        )
