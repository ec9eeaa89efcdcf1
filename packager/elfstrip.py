"""ELF files without what no loader reads: symbol tables and debug data. Pure, bytes in, bytes out.

`strip` of GNU binutils lays files out anew, which has broken what `patchelf` made of libraries in
wheels: bundled OpenBLAS among them. Here no loadable byte moves: what lies behind the last of them
goes, and the section table is written anew. Sections keep their numbers, for which the symbols of
the loader name them. What `patchelf` has put behind the symbols keeps them where they are.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packager.elf import ELF_MAGIC

FORMAT: Final = "1"
"""Raise it when other bytes come of the same file."""

LEAST_GAIN: Final = 20
"""A file stays as it is unless one byte of so many goes: to compress it anew takes its time."""

LONGEST_NAME: Final = 256
"""Of a section. Names may share their ends, so many that are damaged could fill the memory."""

HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT: Final = struct.Struct("<IIQQQQQQ")
SECTION: Final = struct.Struct("<IIQQQQIIQQ")
LITTLE_ENDIAN_64: Final = ELF_MAGIC + b"\2\1\1"
LINKED: Final = (2, 3)
"""ET_EXEC and ET_DYN: what a loader reads, unlike objects and core files."""
EXTENDED: Final = 0xFF00
"""From here on, numbers of sections are elsewhere (SHN_LORESERVE)."""

NULL, SYMTAB, STRTAB, NOTE, NOBITS = 0, 2, 3, 7, 8
ALLOC, INFO_LINK = 0x2, 0x40
RELOCATIONS: Final = (4, 9)

UNREAD: Final = re.compile(
    rb"\.z?debug_.*|\.comment|\.gnu_debug(link|altlink|data)|\.gdb_index|\.stab.*|\.line"
    rb"|\.GCC\.command\.line|\.annobin.*|\.gnu\.build\.attributes.*|\.symtab_shndx"
    rb"|\.rela?\..*|\.llvm_addrsig|\.mdebug.*"
)
"""Names of sections that linkers and debuggers read. Programs may read others of their own, as
those of PyInstaller do: a file that has any stays whole."""

Range = tuple[int, int]
"""From its first byte to the one behind its last."""


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def packed(self) -> bytes:
        return SECTION.pack(
            *(self.name, self.type, self.flags, self.address, self.offset),
            *(self.size, self.link, self.info, self.alignment, self.entry_size),
        )

    @property
    def range(self) -> Range:
        """Of its bytes in the file."""
        empty = self.type in {NULL, NOBITS}
        return self.offset, self.offset + (0 if empty else self.size)

    @property
    def is_loaded(self) -> bool:
        return bool(self.flags & ALLOC)


def without_symbols(data: bytes) -> bytearray | None:
    """None where the file is to stay as it is: it is another kind, odd, damaged, or lean."""
    if len(data) < HEADER.size or not data.startswith(LITTLE_ENDIAN_64):
        return None
    _, kind, _, version, _, ph_offset, sh_offset, _, *sizes = HEADER.unpack_from(data)
    size, ph_size, ph_count, sh_size, sh_count, names_index = sizes
    if (
        kind not in LINKED
        or (version, size, ph_size, sh_size) != (1, HEADER.size, SEGMENT.size, SECTION.size)
        or not 0 < ph_count < EXTENDED
        or not 0 < names_index < sh_count < EXTENDED
    ):
        return None
    segment_table = (ph_offset, ph_offset + ph_count * SEGMENT.size)
    section_table = (sh_offset, sh_offset + sh_count * SECTION.size)
    if max(segment_table[1], section_table[1]) > len(data) or sh_offset < HEADER.size:
        return None
    segments = [
        (offset, offset + size)
        for _, _, offset, _, _, size, *_ in SEGMENT.iter_unpack(data[slice(*segment_table)])
    ]
    sections = [_Section(*row) for row in SECTION.iter_unpack(data[slice(*section_table)])]
    ranges = [*segments, *(section.range for section in sections)]
    if any(stop > len(data) for start, stop in ranges if start != stop) or sections[0].type != NULL:
        return None
    names = _names(data, sections, names_index)
    if names is None or not _all_known(sections, names, names_index):
        return None

    end = max(HEADER.size, segment_table[1], *(stop for start, stop in segments if start != stop))
    if any(section.is_loaded and section.range[1] > end for section in sections):
        return None
    known = _joined([(0, end), section_table, *(section.range for section in sections)])
    if any(data[slice(*gap)].strip(b"\0") for gap in _gaps(known, len(data))):
        return None  # appended, or between sections: something that the file tells nothing of
    made = _with_sections(bytearray(memoryview(data)[:end]), sections, names)
    return made if (len(data) - len(made)) * LEAST_GAIN >= len(data) else None


def _names(data: bytes, sections: Sequence[_Section], index: int) -> list[bytes] | None:
    if sections[index].type != STRTAB:
        return None
    text = data[slice(*sections[index].range)]
    ends = [text.find(b"\0", s.name, s.name + LONGEST_NAME) for s in sections]
    if min(ends) < 0:
        return None
    return [text[s.name : end] for s, end in zip(sections, ends, strict=True)]


def _all_known(sections: Sequence[_Section], names: Sequence[bytes], names_index: int) -> bool:
    """Whether what is not loaded is there for linkers and debuggers."""
    symbols = {section.link for section in sections if section.type == SYMTAB}
    return all(
        section.is_loaded
        or section.type in {NULL, SYMTAB, NOTE}
        or not section.size
        or index == names_index
        or (section.type == STRTAB and index in symbols)
        or UNREAD.fullmatch(name)
        for index, (section, name) in enumerate(zip(sections, names, strict=True))
    )


def _with_sections(
    kept: bytearray, sections: Sequence[_Section], names: Sequence[bytes]
) -> bytearray:
    """The kept bytes with a table of the loaded sections; the others have empty entries in it."""
    count = 1 + max((i for i, section in enumerate(sections) if section.is_loaded), default=0)
    there = {i for i, section in enumerate(sections[:count]) if section.is_loaded}
    text = bytearray(b"\0")
    table = bytearray()
    for index in range(count):
        section = sections[index]
        if index not in there:
            table += bytes(SECTION.size)
            continue
        by_info = section.flags & INFO_LINK or section.type in RELOCATIONS
        table += replace(
            section,
            name=len(text),
            link=section.link if section.link in there else 0,
            info=section.info if section.info in there or not by_info else 0,
        ).packed
        text += names[index] + b"\0"
    own = len(text)
    text += b".shstrtab\0"
    table += _Section(own, STRTAB, 0, 0, len(kept), len(text), 0, 0, 1, 0).packed
    kept += text
    kept += bytes(-len(kept) % 8)
    struct.pack_into("<Q", kept, 40, len(kept))
    struct.pack_into("<HH", kept, 60, count + 1, count)
    kept += table
    return kept


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes in ranges that are sorted and apart."""
    joined: list[Range] = []
    for start, end in sorted(r for r in ranges if r[0] < r[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _gaps(joined: Iterable[Range], end: int) -> Iterator[Range]:
    """What lies between ranges, and behind the last up to `end`."""
    position = 0
    for start, stop in joined:
        if position < start:
            yield position, min(start, end)
        position = stop
    if position < end:
        yield position, end
