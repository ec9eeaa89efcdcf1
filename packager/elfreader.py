"""Reading ELF files: only what the loader itself reads, with pyelftools. Pure.

Program headers and the dynamic segment, so a file without section headers is no worse off, and a
damaged one is a value, never an exception. A module of its own since its library takes a while to
load, and a pack that finds its wheels known reads no ELF file.
"""

import functools
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.structs import ELFStructs

from packager.elf import DamagedElf, Elf, version_numbers

LONGEST_STRING_BYTES: Final = 4096
"""PATH_MAX: no library name or run path that works is longer."""

MOST_ENTRIES: Final = 4096
"""Far above any real dynamic table; keeps a damaged one from being read for minutes."""

RELR: Final = ("GLIBC_ABI_DT_RELR", ("GLIBC", "2.36"))
"""A version without a number, which the C library has had since 2.36 (its NEWS)."""

IDENT_BYTES: Final = 16
BITS: Final = {1: 32, 2: 64}
"""By EI_CLASS."""
LITTLE_ENDIAN, BIG_ENDIAN = 1, 2
"""Of EI_DATA."""

_VERSION: Final = re.compile(r"(?P<prefix>.+?)_(?P<version>[0-9]+(?:[._][0-9]+)*)")


class _DamagedError(Exception):
    """Carries the reason from the depth of a file to `read_elf`."""


def read_elf(stream: BinaryIO) -> Elf | DamagedElf:
    """Read a seekable stream whose first bytes are `ELF_MAGIC`."""
    try:
        return _read(stream)
    except _DamagedError as damage:
        return DamagedElf(reason=str(damage))
    except (ELFError, ArithmeticError, AssertionError, LookupError, OSError, ValueError) as error:
        # The library checks little before it seeks or decodes; what it then raises depends on
        # which byte is wrong.
        return DamagedElf(reason=f"its headers contradict themselves ({error})")


def _read(stream: BinaryIO) -> Elf:
    stream.seek(0)
    ident = stream.read(IDENT_BYTES).ljust(IDENT_BYTES, b"\0")
    bits, order = BITS.get(ident[4], 0), ident[5]
    if not bits or order not in {LITTLE_ENDIAN, BIG_ENDIAN}:
        raise _DamagedError("it does not say what size its addresses have, or in what order")
    header = struct_parse(_structs(bits, order).Elf_Ehdr, stream, stream_pos=0)
    structs = _structs(bits, order, header["e_machine"], header["e_ident"]["EI_OSABI"])
    size_bytes = stream.seek(0, io.SEEK_END)
    segments = tuple(
        struct_parse(
            structs.Elf_Phdr, stream, stream_pos=header["e_phoff"] + i * header["e_phentsize"]
        )
        for i in range(min(header["e_phnum"], MOST_ENTRIES))
    )
    loaded = tuple(s for s in segments if s["p_type"] == "PT_LOAD")
    end = max((s["p_offset"] + s["p_filesz"] for s in loaded), default=0)
    if end > size_bytes:
        raise _DamagedError(f"cut off: {size_bytes} bytes of at least {end}")

    def offset(address: int) -> int:
        for segment in loaded:
            if 0 <= address - segment["p_vaddr"] < segment["p_filesz"]:
                return int(address - segment["p_vaddr"] + segment["p_offset"])
        raise _DamagedError(f"address {address:#x} is in no loaded segment")

    tags = [
        tag
        for segment in segments
        if segment["p_type"] == "PT_DYNAMIC"
        for tag in _dynamic_tags(structs, stream, segment["p_offset"], segment["p_filesz"])
    ]
    first: dict[str | int, int] = {}
    for tag, value in tags:
        first.setdefault(tag, value)

    def string(index: int) -> str:
        if "DT_STRTAB" not in first:
            raise _DamagedError("it names libraries and has no string table")
        stream.seek(offset(first["DT_STRTAB"]) + index)
        text, end_of_string, _ = stream.read(LONGEST_STRING_BYTES).partition(b"\0")
        if not end_of_string:
            raise _DamagedError("a name in it has no end")
        return text.decode("utf-8", "backslashreplace")

    def named(tag: str) -> str:
        return string(first[tag]) if tag in first else ""

    return Elf(
        machine=str(header["e_machine"]),
        bits=bits,
        needed=tuple(string(value) for tag, value in tags if tag == "DT_NEEDED"),
        soname=named("DT_SONAME"),
        runpath=named("DT_RUNPATH") or named("DT_RPATH"),
        versions=_highest(
            string(index)
            for index in islice(
                _version_names(structs, stream, offset(first["DT_VERNEED"])), MOST_ENTRIES
            )
        )
        if "DT_VERNEED" in first
        else (),
    )


@functools.lru_cache(maxsize=16)  # an `ELFFile` makes all of them anew, longer than it reads
def _structs(
    bits: int, order: int, machine: str | None = None, osabi: str | None = None
) -> ELFStructs:
    structs = ELFStructs(little_endian=order == LITTLE_ENDIAN, elfclass=bits)
    structs.create_basic_structs()
    structs.create_advanced_structs(None, machine, osabi)
    return structs


def _dynamic_tags(
    structs: ELFStructs, stream: BinaryIO, position: int, size_bytes: int
) -> Iterator[tuple[str | int, int]]:
    entry = structs.Elf_Dyn
    for i in range(min(size_bytes // entry.sizeof(), MOST_ENTRIES)):
        tag = struct_parse(entry, stream, stream_pos=position + i * entry.sizeof())
        if tag["d_tag"] == "DT_NULL":
            return
        yield tag["d_tag"], tag["d_val"]


def _version_names(structs: ELFStructs, stream: BinaryIO, position: int) -> Iterator[int]:
    """Where the names of the needed versions stand in the string table."""
    for _ in range(MOST_ENTRIES):
        need = struct_parse(structs.Elf_Verneed, stream, stream_pos=position)
        aux_position = position + need["vn_aux"]
        for _ in range(need["vn_cnt"]):
            aux = struct_parse(structs.Elf_Vernaux, stream, stream_pos=aux_position)
            yield aux["vna_name"]
            if not aux["vna_next"]:
                break
            aux_position += aux["vna_next"]
        if not need["vn_next"]:
            return
        position += need["vn_next"]


def _highest(names: Iterator[str]) -> tuple[tuple[str, str], ...]:
    highest: dict[str, str] = {}
    for name in names:
        if name == RELR[0]:
            prefix, version = RELR[1]
        elif match := _VERSION.fullmatch(name):
            prefix, version = match["prefix"], match["version"]
        else:  # `GLIBC_PRIVATE` and the like: nothing to compare.
            continue
        if version_numbers(version) > version_numbers(highest.get(prefix, "")):
            highest[prefix] = version
    return tuple(sorted(highest.items()))
