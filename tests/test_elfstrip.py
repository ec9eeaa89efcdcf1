"""What goes of an ELF file that no loader reads, and that not one loadable byte moves."""

import io
import random
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.elfreader import read_elf
from packager.elfstrip import SECTION, SEGMENT, without_symbols
from tests.archives import elf

LOADED = elf(needed=("libm.so.6",), versions=("GLIBC_2.17",), soname="libfoo.so", padding=3001)
ALLOC, INFO_LINK = 2, 0x40
PROGBITS, SYMTAB, STRTAB, RELA, NOBITS = 1, 2, 3, 4, 8

Row = tuple[str, int, int, int, int, int, int]
"""Name, type, flags, offset, size, link and info of a section."""


def linked(rows: Sequence[Row], tail: bytes = b"") -> bytes:
    """`LOADED`, then `tail`, then the names and the table of those sections."""
    names = bytearray(b"\0")
    table = bytearray(SECTION.size)
    own = (".shstrtab", STRTAB, 0, len(LOADED) + len(tail), 0, 0, 0)
    for name, kind, flags, offset, size, link, info in (*rows, own):
        at = len(names)
        names += name.encode() + b"\0"
        length = size if name != own[0] else len(names)
        table += SECTION.pack(at, kind, flags, 0, offset, length, link, info, 1, 24)
    data = bytearray(LOADED + tail + names)
    struct.pack_into("<Q", data, 40, len(data))
    struct.pack_into("<HHH", data, 58, SECTION.size, len(rows) + 2, len(rows) + 1)
    return bytes(data + table)


END = len(LOADED)
TAIL = bytes(range(1, 251)) * 8
ROWS: Sequence[Row] = (
    (".dynsym", 11, ALLOC, 200, 48, 4, 1),
    (".comment", PROGBITS, 0, END, 100, 0, 0),
    (".rela.plt", RELA, ALLOC | INFO_LINK, 300, 24, 1, 5),
    (".dynstr", STRTAB, ALLOC, 400, 40, 0, 0),
    (".got", PROGBITS, ALLOC, 500, 24, 0, 0),
    (".bss", NOBITS, ALLOC, END, 1 << 40, 0, 0),
    (".symtab", SYMTAB, 0, END + 100, 960, 8, 3),
    (".strtab", STRTAB, 0, END + 1060, 500, 0, 0),
    (".debug_info", PROGBITS, 0, END + 1560, 440, 0, 0),
)
WHOLE = linked(ROWS, TAIL)


def sections(data: bytes) -> list[tuple[str, Any, Any, bytes]]:
    return [
        (s.name, s["sh_link"], s["sh_info"], b"" if s["sh_type"] == "SHT_NOBITS" else s.data())
        for s in ELFFile(io.BytesIO(data)).iter_sections()
    ]


def same_when_loaded(before: bytes, after: bytes) -> bool:
    """But for where the sections are, which no loader reads."""
    (at,), (count,) = struct.unpack_from("<Q", before, 32), struct.unpack_from("<H", before, 56)
    table = before[at : at + count * SEGMENT.size]
    ends = [row[2] + row[5] for row in SEGMENT.iter_unpack(table) if row[5]]
    end = max(at + len(table), *ends)
    ours = {*range(40, 48), *range(60, 64)}
    return len(after) >= end and all(before[i] == after[i] for i in range(end) if i not in ours)


def test_symbols_and_debug_data_go_and_sections_keep_their_numbers() -> None:
    less = without_symbols(WHOLE)
    assert less is not None
    before, after = sections(WHOLE), sections(bytes(less))
    kept = [0, 1, 3, 4, 5, 6]
    assert [after[i] for i in kept] == [before[i] for i in kept]
    assert [name for name, *_ in after] == [
        *("", ".dynsym", "", ".rela.plt", ".dynstr", ".got", ".bss", ".shstrtab")
    ]
    assert len(WHOLE) - len(less) > len(TAIL)
    assert same_when_loaded(WHOLE, bytes(less))
    assert read_elf(io.BytesIO(bytes(less))) == read_elf(io.BytesIO(WHOLE))


def test_what_is_lean_stays_as_it_is() -> None:
    less = without_symbols(WHOLE)
    assert less is not None
    assert without_symbols(bytes(less)) is None


def test_a_link_to_what_is_gone_leads_nowhere() -> None:
    rows = list(ROWS)
    rows[0] = (".dynsym", 11, ALLOC, 200, 48, 7, 1)
    rows[2] = (".rela.plt", RELA, ALLOC | INFO_LINK, 300, 24, 1, 9)
    less = without_symbols(linked(rows, TAIL))
    assert less is not None
    (at,) = struct.unpack_from("<Q", less, 40)
    _, symbols, _, relocations, *_ = SECTION.iter_unpack(less[at:])
    assert symbols[6:8] == (0, 1)
    assert relocations[6:8] == (1, 0)


def patched(offset: int, form: str, value: int, data: bytes = WHOLE) -> bytes:
    copy = bytearray(data)
    struct.pack_into(form, copy, offset, value)
    return bytes(copy)


LEFT = {
    "another kind of file": b"\x7fELF",
    "32 bits": patched(4, "B", 1),
    "big endian": patched(5, "B", 2),
    "an object file": patched(16, "<H", 1),
    "no sections": patched(60, "<H", 0),
    "extended numbering": patched(62, "<H", 0xFFFF),
    "names that are none": patched(62, "<H", 1),
    "a name without an end": linked(
        [("." + "x" * 300, PROGBITS, ALLOC, 200, 8, 0, 0), *ROWS], TAIL
    ),
    "no segments": patched(56, "<H", 0),
    "a table beyond the end": patched(40, "<Q", len(WHOLE) - 64),
    "a segment beyond the end": patched(64 + 32, "<Q", len(WHOLE) + 1),
    "an appended payload": WHOLE + b"payload",
    "a payload between sections": linked([row for row in ROWS if row[0] != ".debug_info"], TAIL),
    "a section of the program's own": linked(
        [*ROWS[:-1], ("pydata", PROGBITS, 0, END + 1560, 440, 0, 0)], TAIL
    ),
    "a loaded section outside of segments": linked(
        [*ROWS[:-1], (".debug_info", PROGBITS, ALLOC, END + 1560, 440, 0, 0)], TAIL
    ),
    "nearly nothing to gain": linked([ROWS[1]], TAIL[:100]),
}


@pytest.mark.parametrize("why", LEFT)
def test_what_is_odd_stays_as_it_is(why: str) -> None:
    assert without_symbols(LEFT[why]) is None


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_of_damage_anywhere_nothing_that_is_loaded_moves(seed: int) -> None:
    generator = random.Random(seed)
    data = bytearray(WHOLE)
    telling = [*range(4, 64 + 2 * 56), *range(len(WHOLE) - 11 * 64 - 80, len(WHOLE))]
    for _ in range(generator.randint(1, 4)):
        data[generator.choice(telling)] = generator.choice((0, 1, 255, generator.randrange(256)))
    whole = bytes(data[: generator.choice((len(data), generator.randrange(4, len(data))))])
    less = without_symbols(whole)
    assert less is None or same_when_loaded(whole, bytes(less))
