"""Environments on the disk, made by hand: what of them is kept, left out, written anew, refused."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from packager.environment import environment_layout
from packager.errors import ConfigError
from packager.tarball import EXECUTABLE_MODE, Content, Symlink
from packager.trees import Tree, read_tree
from packager.wheels import entry_script
from tests.archives import SITE, TARGET, direct_url

HASH = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
LAYOUT = environment_layout(TARGET)


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def install(
    root: Path,
    name: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    by: str = "pip",
    requires: Sequence[str] = (),
    scripts: Sequence[str] = (),
    url: str = "",
    rows: Sequence[tuple[str, str]] = (),
    tags: Sequence[str] = ("py3-none-any",),
) -> str:
    """Leave what an installer leaves; paths in `files` are relative to site-packages."""
    info = f"{name}-1.0.dist-info"
    files = {f"{name}/__init__.py": ""} if files is None else files
    points = "".join(f"{script} = {name}:main\n" for script in scripts)
    own = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: {r}\n" for r in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags),
        f"{info}/INSTALLER": f"{by}\n",
        f"{info}/REQUESTED": "",
        f"{info}/entry_points.txt": f"[console_scripts]\n{points}",
        **({f"{info}/direct_url.json": url} if url else {}),
        **{f"../../../bin/{s}": f"#!{root}/bin/python3.11\n1\n" for s in scripts},
    }
    record = io.StringIO()
    all_rows = [*((path, HASH) for path in {**files, **own}), *rows, (f"{info}/RECORD", "")]
    csv.writer(record).writerows((*row, "") for row in all_rows)
    write(root / SITE, {**files, **own, f"{info}/RECORD": record.getvalue()})
    return f"{SITE}/{info}"


def paths(tree: Tree) -> list[str]:
    """What is packed besides metadata."""
    found = [*(m.path for m in tree.members), *(f.path for f in tree.files)]
    assert len(set(found)) == len(found)
    return sorted(path for path in found if ".dist-info/" not in path)


def content(tree: Tree, path: str) -> bytes:
    (member,) = (m for m in tree.members if m.path == path)
    assert isinstance(member, Content)
    return bytes(member.data)


def refused(root: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_tree(root, TARGET)
    return caught.value


def test_what_makes_it_an_environment_of_this_machine_is_left_out(tmp_path: Path) -> None:
    install(tmp_path, "fruit")
    write(
        tmp_path,
        {
            **dict.fromkeys(("pyvenv.cfg", ".gitignore", "CACHEDIR.TAG", ".lock"), ""),
            **{f"bin/{n}": "" for n in ("activate", "activate.fish", "Activate.ps1", "pydoc.bat")},
            **{f"bin/{n}": "" for n in ("activate_this.py", "python", "python3", "python3.11")},
            f"{SITE}/_virtualenv.py": "",
            f"{SITE}/_virtualenv.pth": "import _virtualenv",
            f"{SITE}/pip-26.virtualenv": "",
            f"{SITE}/~ruit/__init__.py": "",
            f"{SITE}/__pycache__/x.cpython-311.pyc": "",
            f"{SITE}/fruit/__pycache__/__init__.cpython-311.pyc": "",
            "lib/python3.11/os.py": "",
            "lib/python3.11/lib-dynload/math.so": "",
        },
    )
    (tmp_path / "lib64").symlink_to("lib")
    (tmp_path / "include").mkdir()
    tree = read_tree(tmp_path, TARGET)
    assert paths(tree) == [f"{SITE}/fruit/__init__.py"]
    assert tree.own == ()


def test_what_somebody_put_there_is_kept(tmp_path: Path) -> None:
    own: dict[str, str | bytes] = {
        f"{SITE}/mine.py": "X = 1\n",
        f"{SITE}/fruit/patch.py": "",
        f"{SITE}/more.pth": "vendored\n",
        "bin/helper": "#!/bin/sh\n",
        "share/model.bin": b"\0",
    }
    install(tmp_path, "fruit")
    tree = read_tree(write(tmp_path, own), TARGET)
    assert paths(tree) == sorted([*own, f"{SITE}/fruit/__init__.py"])
    assert tree.own == tuple(sorted(own))


def test_byte_code_that_a_wheel_brought_is_kept(tmp_path: Path) -> None:
    rows = [("fruit/__pycache__/made.cpython-311.pyc", "")]
    install(tmp_path, "fruit", {"fruit/only.pyc": b"\0"}, rows=rows)
    write(tmp_path, {f"{SITE}/{rows[0][0]}": b"\0"})
    assert paths(read_tree(tmp_path, TARGET)) == [f"{SITE}/fruit/only.pyc"]


def test_console_scripts_are_ours_whatever_lies_there(tmp_path: Path) -> None:
    install(tmp_path, "fruit", scripts=("fruit", "gone"))
    (tmp_path / "bin" / "gone").unlink()
    tree = read_tree(tmp_path, TARGET)
    for name in ("fruit", "gone"):
        assert content(tree, f"bin/{name}") == entry_script("fruit:main", LAYOUT)


@pytest.mark.parametrize(
    "start",
    [
        "#!{root}/bin/python\n",
        "#!/home/old place/env/bin/python3.11 \r\n",
        "#!/bin/sh\n'''exec' '{root}/bin/python' \"$0\" \"$@\"\n' '''\n",
        "#!/bin/sh\n# coding: utf-8\n'''exec' \"$(printf %b x)\" \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_scripts_of_the_environments_python_find_it_wherever_it_is(
    tmp_path: Path, start: str
) -> None:
    script = f"{start.format(root=tmp_path)}# -*- coding: utf-8 -*-\nprint()\n"
    install(tmp_path, "fruit", {"../../../bin/x": script})
    write(tmp_path, {"bin/y": script})
    tree = read_tree(tmp_path, TARGET)
    for name in ("x", "y"):
        lines = content(tree, f"bin/{name}").decode().splitlines()
        assert lines[0:2] == ["#!/bin/sh", "# -*- coding: utf-8 -*-"]
        assert lines[-1] == "print()"
        assert str(tmp_path) not in "".join(lines)
    # And once more, what is ours stays.
    again = write(tmp_path / "again", {f"bin/{n}": content(tree, f"bin/{n}") for n in "xy"})
    assert [f.source.read_bytes() for f in read_tree(again, TARGET).files] == [
        content(tree, "bin/x"),
        content(tree, "bin/y"),
    ]


@pytest.mark.parametrize(
    "line", ["#!/usr/bin/python3", "#!/usr/bin/env python3", "#!/bin/bash", "#! /usr/bin/perl -w"]
)
def test_scripts_of_other_programs_stay_as_they_are(tmp_path: Path, line: str) -> None:
    (file,) = read_tree(write(tmp_path, {"bin/x": f"{line}\n"}), TARGET).files
    assert (file.path, file.source) == ("bin/x", tmp_path / "bin/x")


def test_a_script_that_came_without_its_mode_can_be_started(tmp_path: Path) -> None:
    install(tmp_path, "fruit", {"../../../bin/x": "#!/bin/sh\n"})
    assert (
        Content(path="bin/x", mode=EXECUTABLE_MODE, data=b"#!/bin/sh\n")
        in read_tree(tmp_path, TARGET).members
    )


def test_record_tells_what_is_packed(tmp_path: Path) -> None:
    rows = [("fruit/deleted.py", HASH), ("../../../lib64/python3.11/site-packages/f.py", HASH)]
    rows += [("/old/place/x.py", HASH), ("../../../../outside.py", HASH)]
    info = install(
        tmp_path, "fruit", {"fruit/a, b.py": ""}, scripts=("fruit",), rows=rows, url="{}"
    )
    write(tmp_path, {f"{SITE}/f.py": ""})
    tree = read_tree(tmp_path, TARGET)
    assert tree.absent == (f"{SITE}/fruit/deleted.py",)
    name = "fruit-1.0.dist-info"
    found = list(csv.reader(content(tree, f"{info}/RECORD").decode().splitlines()))
    assert [row[0] for row in found] == [
        "../../../bin/fruit",
        "f.py",
        f"{name}/METADATA",
        f"{name}/RECORD",
        f"{name}/WHEEL",
        f"{name}/entry_points.txt",
        "fruit/a, b.py",
    ]
    assert found[0][1] != HASH
    assert found[1][1] == HASH
    assert {f.path.rpartition("/")[2] for f in tree.files if f.path.startswith(info)} == {
        "METADATA",
        "WHEEL",
        "entry_points.txt",
    }


def test_emrs_own_packages_are_left_out(tmp_path: Path) -> None:
    install(tmp_path, "pyspark", {"pyspark/__init__.py": "", "../../../bin/pyspark": "#!/bin/sh"})
    install(tmp_path, "py4j", {"py4j/__init__.py": "", "../../../share/py4j/py4j.jar": ""})
    install(tmp_path, "fruit", requires=("pyspark",))
    tree = read_tree(tmp_path, TARGET)
    assert paths(tree) == [f"{SITE}/fruit/__init__.py"]
    assert tree.dropped == ("py4j", "pyspark")
    assert [p.name for p in tree.packages] == ["fruit"]


def test_installers_are_left_out_unless_something_needs_them(tmp_path: Path) -> None:
    for name in ("pip", "setuptools", "wheel"):
        install(tmp_path, name, scripts=(name,))
    tree = read_tree(tmp_path, TARGET)
    assert (tree.seeds, paths(tree)) == (("pip", "setuptools", "wheel"), [])
    assert read_tree(tmp_path, TARGET, keep=("wheel",)).seeds == ("pip", "setuptools")
    install(tmp_path, "wheel", by="uv")
    assert read_tree(tmp_path, TARGET).seeds == ("pip", "setuptools")
    install(tmp_path, "wheel")
    install(tmp_path, "setuptools", requires=("wheel",))
    install(tmp_path, "fruit", requires=("setuptools>=1", 'pip; sys_platform == "win32"', "?"))
    tree = read_tree(tmp_path, TARGET)
    assert tree.seeds == ("pip",)
    assert {p.name for p in tree.packages} == {"fruit", "setuptools", "wheel"}


def test_what_is_packed_elsewhere_is_left_out_be_it_editable(tmp_path: Path) -> None:
    install(
        tmp_path,
        "shop",
        {"_editable_impl_shop.pth": "/home/me/shop\n"},
        scripts=("shop",),
        url=direct_url("file:///home/me/shop", editable=True),
    )
    install(tmp_path, "fruit")
    tree = read_tree(tmp_path, TARGET, without=("shop",))
    assert paths(tree) == [f"{SITE}/fruit/__init__.py"]


def test_what_setup_py_develop_linked_is_left_out_where_it_is_packed_elsewhere(
    tmp_path: Path,
) -> None:
    install(tmp_path, "fruit")
    write(
        tmp_path / SITE,
        {
            "my.shop.egg-link": "/home/me/shop\n../",
            "easy-install.pth": "/home/me/shop\n",
        },
    )
    tree = read_tree(tmp_path, TARGET, without=("my-shop",))
    assert paths(tree) == [f"{SITE}/fruit/__init__.py"]
    for more in ("/home/me/other", "./inside.egg"):
        write(tmp_path / SITE, {"easy-install.pth": f"/home/me/shop\n{more}\n"})
        with pytest.raises(ConfigError, match=r"easy-install.pth \(leads to /home/me/"):
            read_tree(tmp_path, TARGET, without=("my-shop",))


def test_editable_installs_are_refused_with_their_names(tmp_path: Path) -> None:
    away = direct_url("file:///home/me/x", editable=True)
    install(tmp_path, "by-path", {"by_path.pth": "/home/me/x\n"}, url=away)
    install(tmp_path, "by-finder", {"__editable___by_finder_finder.py": ""}, url=away)
    write(
        tmp_path / SITE,
        {
            "old.egg-link": "/home/me/old\n",
            "easy-install.pth": "# a comment\nimport os\nhere\n/home/me/old\n../../../../up\n",
        },
    )
    error = refused(tmp_path)
    assert error.what == (
        f"{tmp_path} has editable installs: `by-finder`, `by-path`,"
        " `easy-install.pth (leads to ../../../../up)`,"
        " `easy-install.pth (leads to /home/me/old)`, `old.egg-link`"
    )
    assert "--no-editable" in error.fix


def test_links_inside_are_kept_and_lead_where_they_did(tmp_path: Path) -> None:
    write(tmp_path, {"lib/libx.so.1": "", "share/data/x": ""})
    (tmp_path / "lib/libx.so").symlink_to("libx.so.1")
    (tmp_path / "share/again").symlink_to(tmp_path / "share" / "data")
    assert read_tree(tmp_path, TARGET).members == (
        Symlink(path="lib/libx.so", link="libx.so.1"),
        Symlink(path="share/again", link="data"),
    )


def test_links_that_lead_out_are_refused_with_their_names(tmp_path: Path) -> None:
    root = write(tmp_path / "env", {f"{SITE}/x.py": ""})
    outside = write(tmp_path, {"outside.py": ""})
    (root / "share").mkdir()
    (root / "share/out").symlink_to(outside)
    (root / SITE / "y.py").symlink_to("../../../../outside.py")
    (root / SITE / "z.py").symlink_to("nowhere.py")
    error = refused(root)
    assert error.what == (
        f"{root} has links that lead out of it, or nowhere:"
        f" `{SITE}/y.py`, `{SITE}/z.py`, `share/out`"
    )
    assert str(outside / "outside.py") in error.why


def test_another_python_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "fruit")
    with pytest.raises(ConfigError, match=re.escape("has Python 3.11, the target 3.9")):
        read_tree(tmp_path, replace(TARGET, python="3.9"))


def test_what_can_not_be_packed_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "neither file nor link: `pipe`" in refused(tmp_path).what
    (tmp_path / "pipe").unlink()
    (tmp_path / os.fsdecode(b"latin-\xfc")).touch()
    assert "names that are not UTF-8: `latin-\\udcfc`" in refused(tmp_path).what


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("METADATA", b"Version: 1\n", "no name"),
        ("RECORD", b"\xff", "RECORD is not UTF-8"),
        ("RECORD", b'"' + b"x" * 140_000, "RECORD: field larger"),
        ("entry_points.txt", b"[console_scripts]\nx = ../y\n", "not `module:function`"),
    ],
)
def test_broken_metadata_name_the_package(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    info = install(tmp_path, "fruit")
    (tmp_path / info / name).write_bytes(data)
    error = refused(tmp_path)
    assert error.what == f"{tmp_path / info} is not sound"
    assert why in error.why


def test_a_package_names_the_wheel_it_came_as(tmp_path: Path) -> None:
    install(
        tmp_path, "fruit", tags=("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-linux_x86_64")
    )
    info = install(tmp_path, "plain")
    (tmp_path / info / "WHEEL").unlink()
    (tmp_path / info / "RECORD").unlink()
    tree = read_tree(tmp_path, TARGET)
    assert [p.filename for p in tree.packages] == [
        "fruit-1.0-cp311-cp311-manylinux_2_17_x86_64.linux_x86_64.whl",
        "plain-1.0-py3-none-any.whl",
    ]
    assert f"{info}/RECORD" not in {m.path for m in tree.members}


def test_only_the_files_that_are_named_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"share/a": "", "share/b": ""})
    assert paths(read_tree(tmp_path, TARGET, files=("share/b",))) == ["share/b"]
