"""What is read of an ELF file, and that no damage to one raises anything."""

import io
import random
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.elf import DamagedElf, Elf, version_numbers
from packager.elfreader import read_elf
from tests.archives import DT, ELF_MACHINES, elf


def read(data: bytes) -> Elf | DamagedElf:
    return read_elf(io.BytesIO(data))


def test_everything_the_loader_asks_for_is_read_without_sections() -> None:
    data = elf(
        needed=("libpython3.11.so.1.0", "libc.so.6"),
        versions=("GLIBC_2.9", "GLIBC_2.17", "GLIBC_PRIVATE", "GLIBCXX_3.4.21", "GLIBC_2.2.5"),
        soname="libfoo.so.1",
        runpath="$ORIGIN/../lib",
    )
    assert read(data) == Elf(
        machine="EM_X86_64",
        bits=64,
        needed=("libpython3.11.so.1.0", "libc.so.6"),
        soname="libfoo.so.1",
        runpath="$ORIGIN/../lib",
        versions=(("GLIBC", "2.17"), ("GLIBCXX", "3.4.21")),
    )


@pytest.mark.parametrize("machine", ELF_MACHINES)
def test_the_machine_has_its_name_of_the_specification(machine: str) -> None:
    found = read(elf(machine=machine))
    assert isinstance(found, Elf)
    assert found.machine == machine


def test_versions_compare_as_numbers() -> None:
    assert version_numbers("2.9") < version_numbers("2.17") < version_numbers("2.17.1")
    found = read(elf(versions=("GLIBC_2.17", "GLIBC_2.9")))
    assert isinstance(found, Elf)
    assert found.version("GLIBC") == (2, 17)
    assert found.version("GLIBCXX") == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=8))
def test_the_highest_version_is_found_in_any_order(versions: list[tuple[int, int]]) -> None:
    found = read(elf(versions=[f"GLIBC_{major}.{minor}" for major, minor in versions]))
    assert isinstance(found, Elf)
    assert found.version("GLIBC") == max(versions)


def test_relative_relocations_count_as_the_c_library_that_brought_them() -> None:
    found = read(elf(versions=("GLIBC_2.17", "GLIBC_ABI_DT_RELR")))
    assert isinstance(found, Elf)
    assert found.versions == (("GLIBC", "2.36"),)


def test_an_object_file_asks_for_nothing() -> None:
    header = bytearray(elf()[:64])
    header[56:58] = struct.pack("<H", 0)  # e_phnum
    assert read(bytes(header)) == Elf(
        machine="EM_X86_64", bits=64, needed=(), soname="", runpath="", versions=()
    )


@pytest.mark.skipif(sys.platform != "linux", reason="this machine's programs are not ELF")
def test_a_real_program_is_read() -> None:
    found = read(Path(sys.executable).resolve().read_bytes())
    assert isinstance(found, Elf)
    assert "libc.so.6" in found.needed
    assert found.version("GLIBC") >= (2, 2, 5)


@pytest.mark.parametrize("size", [4, 16, 63, 64, 100, 200])
def test_a_file_that_was_cut_off_is_damaged(size: int) -> None:
    assert isinstance(read(elf(versions=("GLIBC_2.17",))[:size]), DamagedElf)


def test_a_file_whose_end_is_missing_says_how_much() -> None:
    data = elf(padding=1000)
    assert read(data[:-1]) == DamagedElf(
        reason=f"cut off: {len(data) - 1} bytes of at least {len(data)}"
    )


def test_names_that_lie_outside_of_the_file_are_damage() -> None:
    data = bytearray(elf())
    at = data.index(struct.pack("<Q", DT["STRTAB"]), 64 + 2 * 56)
    data[at + 8 : at + 16] = struct.pack("<Q", 1 << 60)
    assert read(bytes(data)) == DamagedElf(
        reason="address 0x1000000000000000 is in no loaded segment"
    )


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_damage_anywhere_is_a_value(seed: int) -> None:
    generator = random.Random(seed)
    data = bytearray(elf(versions=("GLIBC_2.17", "GLIBCXX_3.4"), soname="x", runpath="y"))
    for _ in range(generator.randint(1, 8)):
        data[generator.randrange(4, len(data))] = generator.choice(
            (0, 1, 255, generator.randrange(256))
        )
    found = read(bytes(data[: generator.choice((len(data), generator.randrange(4, len(data))))]))
    assert isinstance(found, Elf | DamagedElf)
