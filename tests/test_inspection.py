"""What is in archives: whose each file is, how much room it takes, and what another one changed."""

import io
import json
import re
from pathlib import Path

import pytest

from packager.errors import ConfigError
from packager.inspection import (
    Inspection,
    compare,
    comparison_json,
    comparison_text,
    inspect,
    inspection_json,
    inspection_text,
    read_layer,
)
from tests.archives import APP, SITE, Entry, app, elf, file, metadata, symlink, tar_gz
from tests.conftest import Golden

ENVIRONMENT = (
    symlink("bin/python", "/usr/bin/python3.11"),
    file("bin/f2py", "#!/usr/bin/env python3\nprint()\n", 0o755),
    file(f"{SITE}/numpy/__init__.py", "import numpy._core\n"),
    file(f"{SITE}/numpy/_core.so", elf()),
    file(f"{SITE}/numpy.libs/libopenblas.so.0", elf(soname="libopenblas.so.0")),
    metadata("numpy", "1.26.4"),
    metadata("pandas", "2.2.0", requires=("numpy>=1.26",)),
    file(f"{SITE}/pip/_vendor/pep517-1.0.dist-info/METADATA", "Name: pep517\n"),
    file(f"{SITE}/packager-app.pth", "../../../../app\n"),
    file("pyvenv.cfg", "home = /usr/bin\n"),
)


def inspected(
    folder: Path, *entries: Entry, name: str = "env.tar.gz", without: tuple[str, ...] = ()
) -> Inspection:
    """One archive: the good environment, with these entries more."""
    path = folder / name
    gone = {entry.path for entry in entries} | set(without)
    path.write_bytes(tar_gz([*(e for e in ENVIRONMENT if e.path not in gone), *entries]))
    return inspect(path, folder, release=None, arch=None)


def owners(inspection: Inspection) -> dict[str, str]:
    return {file.path: p.name for p in inspection.packages for file in p.content}


def record(info: str, *rows: str) -> Entry:
    return file(f"{SITE}/{info}/RECORD", "".join(f"{row},,\n" for row in rows))


def test_every_file_is_counted_once_in_its_layer_and_its_package(tmp_path: Path) -> None:
    got = inspected(tmp_path)
    files = [entry for entry in ENVIRONMENT if entry.type == b"0"]
    assert len(got.layers) == 1
    assert got.files == len(files) == sum(p.files for p in got.packages)
    assert got.unpacked == sum(len(e.data) for e in files) == sum(p.unpacked for p in got.packages)
    assert got.size == (tmp_path / "env.tar.gz").stat().st_size


def test_a_file_is_whose_record_lists_it_whatever_its_name(tmp_path: Path) -> None:
    got = inspected(
        tmp_path,
        file(f"{SITE}/PyYAML-6.0.dist-info/METADATA", "Name: PyYAML\nVersion: 6.0\n\n"),
        record("PyYAML-6.0.dist-info", "yaml/__init__.py", "../../../bin/yaml", "_yaml.so"),
        file(f"{SITE}/yaml/__init__.py"),
        file(f"{SITE}/yaml/__pycache__/__init__.pyc"),
        file(f"{SITE}/_yaml.so"),
        file(f"{SITE}/yamlish.py"),
        file("bin/yaml", "#!/bin/sh\n", 0o755),
        file("share/yaml.txt"),
    )
    found = owners(got)
    assert {path for path, name in found.items() if name == "pyyaml"} == {
        f"{SITE}/PyYAML-6.0.dist-info/METADATA",
        f"{SITE}/PyYAML-6.0.dist-info/RECORD",
        f"{SITE}/yaml/__init__.py",
        f"{SITE}/yaml/__pycache__/__init__.pyc",
        f"{SITE}/_yaml.so",
        "bin/yaml",
    }
    assert found[f"{SITE}/yamlish.py"] == found["share/yaml.txt"] == "(environment)"


def test_without_a_record_names_tell(tmp_path: Path) -> None:
    found = owners(inspected(tmp_path, file(f"{SITE}/numpy.py")))
    assert found[f"{SITE}/numpy.libs/libopenblas.so.0"] == "numpy"
    assert found[f"{SITE}/numpy/__init__.py"] == found[f"{SITE}/numpy.py"] == "numpy"
    assert found[f"{SITE}/packager-app.pth"] == "(environment)"


def test_what_two_packages_share_is_whose_record_says_so(tmp_path: Path) -> None:
    """A namespace is nobody's: what no `RECORD` lists in it belongs to no package."""
    parts = []
    for name in ("a", "b"):
        info = f"ns_{name}-1.dist-info"
        parts += [
            file(f"{SITE}/{info}/METADATA", f"Name: ns-{name}\nVersion: 1\n\n"),
            record(info, f"ns/{name}.py"),
            file(f"{SITE}/ns/{name}.py"),
        ]
    found = owners(inspected(tmp_path, *parts, file(f"{SITE}/ns/c.py")))
    assert [found[f"{SITE}/ns/{x}.py"] for x in "abc"] == ["ns-a", "ns-b", "(environment)"]


def test_a_damaged_record_does_not_stop_it(tmp_path: Path) -> None:
    spoiled = file(f"{SITE}/numpy-1.26.4.dist-info/RECORD", b'"\xff\n,\r\r"a"b\0')
    assert inspected(tmp_path, spoiled).files


def test_compiled_is_what_has_a_binary(tmp_path: Path) -> None:
    got = inspected(tmp_path)
    assert {p.name: p.compiled for p in got.packages} == {
        "numpy": True,
        "pandas": False,
        "(environment)": False,
    }


def test_an_app_has_its_packages_at_its_root(tmp_path: Path) -> None:
    path = tmp_path / "app.tar.gz"
    path.write_bytes(tar_gz(APP))
    got = inspect(path, tmp_path, release=None, arch=None)
    assert {p.name for p in got.packages} == {"jobs", "(app)"}
    assert owners(got)["jobs/main.py"] == "jobs"


def test_names_that_a_terminal_would_obey_are_shown_instead(tmp_path: Path) -> None:
    got = inspected(tmp_path, file("a\x1b[2J\udcff\n.txt", b"x" * 10_000))
    assert got.largest[0][0].path == "a\\x1b[2J\\udcff\\n.txt"
    assert "\x1b" not in inspection_text(got)
    json.dumps(inspection_json(got), ensure_ascii=False).encode()


@pytest.mark.parametrize("data", [b"", b"PK", tar_gz(ENVIRONMENT)[:-30]])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        inspect(path, tmp_path, release=None, arch=None)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can not be read"):
        inspect(tmp_path / "x.tar.gz", tmp_path, release=None, arch=None)
    with pytest.raises(ConfigError, match="there is no record"):
        inspect(None, tmp_path, release=None, arch=None)


def test_a_path_that_is_there_twice_counts_as_it_ends(tmp_path: Path) -> None:
    twice = (*ENVIRONMENT, file("x", b"12345"), file("x", b"1"))
    layer, packages = read_layer(io.BytesIO(tar_gz(twice)), "env.tar.gz")
    assert [f.size for p in packages for f in p.content if f.path == "x"] == [1]
    assert layer.unpacked == sum(p.unpacked for p in packages)


def test_the_text_is_what_people_read(tmp_path: Path, golden: Golden) -> None:
    got = inspected(tmp_path, file(f"{SITE}/pandas/big.bin", bytes(1_234_567)))
    # The size of an archive is the compressor's business, which differs between Pythons.
    text = re.sub(r"(environment|total)  +[0-9.]+ k?B", r"\1  SIZE", inspection_text(got))
    golden.check("inspect.txt", text + "\n")


# Comparing.


def test_nothing_differs_from_itself(tmp_path: Path) -> None:
    got = inspected(tmp_path)
    compared = compare(got, got)
    assert (compared.differences, compared.same) == ((), 3)
    assert "no package differs" in comparison_text(compared)


def test_what_came_what_went_and_what_changed_is_told_with_the_sum(
    tmp_path: Path, golden: Golden
) -> None:
    before = inspected(
        tmp_path,
        file(f"{SITE}/old-1.0.dist-info/METADATA", "Name: old\nVersion: 1.0\n\n"),
        file(f"{SITE}/old.py", bytes(1000)),
    )
    after = inspected(
        tmp_path,
        file(f"{SITE}/new-2.0.dist-info/METADATA", "Name: new\nVersion: 2.0\n\n"),
        file(f"{SITE}/new.py", bytes(500_000)),
        file(f"{SITE}/pandas-2.2.1.dist-info/METADATA", "Name: pandas\nVersion: 2.2.1\n\n"),
        name="env2.tar.gz",
        without=(f"{SITE}/pandas-2.2.0.dist-info/METADATA",),
    )
    compared = compare(before, after)
    assert {d.name: d.change for d in compared.differences} == {
        "new": "added",
        "old": "removed",
        "pandas": "changed",
    }
    assert sum(d.unpacked for d in compared.differences) == after.unpacked - before.unpacked
    document = comparison_json(compared)
    assert [d["name"] for d in document["differences"]] == ["new", "old", "pandas"]
    assert document["differences"][0]["before"] is None
    text = re.sub(r"(archives) .*", r"\1  SIZES", comparison_text(compared))
    golden.check("inspect-compared.txt", text + "\n")


def test_another_content_of_the_same_size_is_seen(tmp_path: Path) -> None:
    """By the hashes of a `RECORD`, or of the file where there is none."""
    row = f"{SITE}/numpy-1.26.4.dist-info/RECORD"
    one, two = (inspected(tmp_path, file(row, f"numpy/x,sha256={x},1\n")) for x in "ab")
    assert [d.name for d in compare(one, two).differences] == ["numpy"]
    one, two = (inspected(tmp_path, file(f"{SITE}/loose.py", x)) for x in "ab")
    assert [(d.name, d.unpacked) for d in compare(one, two).differences] == [("(environment)", 0)]


def test_a_package_that_became_compiled_is_seen(tmp_path: Path) -> None:
    one = inspected(tmp_path)
    two = inspected(tmp_path, file(f"{SITE}/pandas/x.so", elf()), name="b.tar.gz")
    assert [d.name for d in compare(one, two).differences] == ["pandas"]
    path = tmp_path / "c.tar.gz"
    path.write_bytes(tar_gz(app()))
    assert compare(one, inspect(path, tmp_path, release=None, arch=None)).same == 0
