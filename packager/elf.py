"""What an ELF file says of itself, as a value: machine, needed libraries, symbol versions. Pure."""

import re
from dataclasses import dataclass
from typing import Final

ELF_MAGIC: Final = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """One readable ELF file."""

    machine: str
    """As the ELF specification names it, e.g. `EM_X86_64`; a bare number if it has no name."""
    bits: int
    needed: tuple[str, ...]
    """Libraries it asks the loader for, e.g. `libc.so.6`."""
    soname: str
    runpath: str
    """DT_RUNPATH, or the older DT_RPATH; empty if it has neither."""
    versions: tuple[tuple[str, str], ...]
    """Highest version it needs under each prefix, sorted, e.g. `("GLIBC", "2.17")`."""

    def version(self, prefix: str) -> tuple[int, ...]:
        """The highest version needed under `prefix` as numbers; empty if none is."""
        return version_numbers(dict(self.versions).get(prefix, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedElf:
    """A file that begins as ELF and cannot be read as such."""

    reason: str


def version_numbers(version: str) -> tuple[int, ...]:
    """What versions are compared by: 2.9 is older than 2.17."""
    return tuple(int(number) for number in re.findall("[0-9]+", version))
