"""Files as parts of a layer: read, compressed and observed by several threads at once."""

import os
from collections.abc import Iterator
from pathlib import Path, PosixPath

import pytest

from packager.errors import ConfigError
from packager.facts import ElfFile
from packager.layers import File, file_parts
from tests.archives import elf


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packager.layers.TOGETHER", 1024)


def tree(folder: Path, *sizes: int) -> tuple[File, ...]:
    return tuple(write(folder / f"{n}", os.urandom(size)) for n, size in enumerate(sizes))


def write(path: Path, data: bytes) -> File:
    path.write_bytes(data)
    return File(path=path.name, source=path)


def test_the_number_of_processors_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tree(tmp_path, 10, 600, 500, 5000, 0, 1024, 1025, 3, 3)
    made = []
    for count in (1, 2, 16, None):
        monkeypatch.setattr("os.cpu_count", lambda count=count: count)
        parts = list(file_parts(files))
        made.append(b"".join(part.plan.literals for part in parts))
        assert [m.path for part in parts for m in part.members] == [f.path for f in files]
    assert len(set(made)) == 1


def test_a_binary_of_any_size_is_looked_at(tmp_path: Path) -> None:
    file = write(tmp_path / "x.so", elf(soname="libx.so", padding=5000))
    (seen,) = [o for part in file_parts((file,)) for o in part.observations]
    assert isinstance(seen, ElfFile)


class Changing(PosixPath):
    """A file that had another size when it was asked for it."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        now = super().stat(follow_symlinks=follow_symlinks)
        return os.stat_result((*now[:6], 2500, *now[7:10]))


@pytest.mark.parametrize("size", [1500, 2000, 2501, 3500])
def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path, size: int) -> None:
    file = write(tmp_path / "x", bytes(size))
    with pytest.raises(ConfigError, match="x can not be read") as caught:
        list(file_parts((File(path="x", source=Changing(file.source)),)))
    assert caught.value.why == "it changed while it was packed"


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent can not be read"):
        list(file_parts((File(path="absent", source=tmp_path / "absent"),)))


def test_whoever_stops_early_waits_for_nothing_more(tmp_path: Path) -> None:
    asked: list[str] = []

    def files() -> Iterator[File]:
        for file in tree(tmp_path, *([1024] * 200)):
            asked.append(file.path)
            yield file

    parts = file_parts(files())
    next(parts)
    assert isinstance(parts, Iterator)
    parts.close()  # type: ignore[attr-defined]  # as a generator has it
    assert len(asked) < 100
