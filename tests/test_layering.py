"""From archives to layers of images."""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager.errors import ConfigError
from packager.imagebuild.layering import STEPS_AT_ONCE, ImageLayer, write_layer
from packager.tarball import Content, Span, Symlink, TarMember, plan, write
from tests.archives import held

PREFIX = "opt/packager/environment/"


def packed(folder: Path, *members: TarMember) -> Path:
    path = folder / "archive.tar.gz"
    with path.open("w+b") as out:
        write([(plan(members), None)], out)
    return path


def layered(archive: Path) -> tuple[ImageLayer, bytes]:
    out = archive.with_name("layer")
    with out.open("w+b") as file:
        layer = write_layer(archive, PREFIX, file, name="it")
    return layer, out.read_bytes()


def listing(data: bytes) -> dict[str, tuple[bytes, int, bytes | str]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            m.name: (
                m.type,
                m.mode,
                m.linkname if m.issym() else (f.read() if (f := tar.extractfile(m)) else b""),
            )
            for m in tar
        }


LONG = "a" * 90 + "/" + "é" * 80
MEMBERS = (
    Content(path="bin/run", mode=0o755, data=b"#!/bin/sh\n"),
    Symlink(path="bin/python", link="/usr/bin/python3.11"),
    Symlink(path="lib64", link="b" * 120),
    Content(path=LONG, mode=0o644, data=os.urandom(700)),
    Content(path="lib/large", mode=0o644, data=os.urandom(3_000_000)),
    Content(path="lib/empty", mode=0o644, data=b""),
)


def test_a_layer_has_the_files_below_another_folder_and_every_folder_above_them(
    tmp_path: Path,
) -> None:
    layer, data = layered(packed(tmp_path, *MEMBERS))
    tar = gzip.decompress(data)
    found = listing(tar)
    folders = {name for name, (type_, *_) in found.items() if type_ == tarfile.DIRTYPE}
    assert folders == {
        *("opt", "opt/packager", PREFIX.rstrip("/"), f"{PREFIX}bin", f"{PREFIX}lib"),
        f"{PREFIX}{'a' * 90}",
    }
    assert {n: v for n, v in found.items() if n not in folders} == {
        f"{PREFIX}{m.path}": (
            (tarfile.SYMTYPE, 0o777, m.link)
            if isinstance(m, Symlink)
            else (tarfile.REGTYPE, m.mode, bytes(m.data))
        )
        for m in MEMBERS
    }
    assert layer == ImageLayer(
        name="it",
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        diff_id=f"sha256:{hashlib.sha256(tar).hexdigest()}",
        size=len(data),
    )


def test_what_is_compressed_is_copied(tmp_path: Path) -> None:
    text = b"".join(b"%d\n" % number for number in range(100_000))
    deflated = zlib.compress(text, 1, -15)  # as nothing of ours would make it
    source = tmp_path / "wheel"
    source.write_bytes(b"zip" + deflated)
    span = Span(
        path="m.py",
        mode=0o644,
        size=len(text),
        crc=zlib.crc32(text),
        offset=3,
        length=len(deflated),
    )
    path = tmp_path / "archive.tar.gz"
    with path.open("w+b") as out, source.open("rb") as file:
        write([(plan([span, span._replace(path="n/m.py")]), held(file))], out)
    _, data = layered(path)
    assert data.count(deflated) == 2
    assert listing(gzip.decompress(data))[f"{PREFIX}n/m.py"][2] == text


def test_files_of_many_plans_come_out_in_order(tmp_path: Path) -> None:
    deflated = [zlib.compress(b"%d" % number, 6, -15) for number in range(STEPS_AT_ONCE)]
    source = tmp_path / "wheel"
    source.write_bytes(b"".join(deflated))
    spans = [
        Span(
            path=f"{number:05}",
            mode=0o644,
            size=len(b"%d" % number),
            crc=zlib.crc32(b"%d" % number),
            offset=sum(map(len, deflated[:number])),
            length=len(data),
        )
        for number, data in enumerate(deflated)
    ]
    path = tmp_path / "archive.tar.gz"
    with path.open("w+b") as out, source.open("rb") as file:
        write([(plan(spans), held(file))], out)
    _, data = layered(path)
    files = {n: v[2] for n, v in listing(gzip.decompress(data)).items() if v[0] == tarfile.REGTYPE}
    assert list(files.items()) == [
        (f"{PREFIX}{number:05}", b"%d" % number) for number in range(STEPS_AT_ONCE)
    ]


def test_a_layer_is_the_same_however_its_archive_was_cut(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in ("a", LONG, "c/d"):
            info = tarfile.TarInfo(path)
            info.size = 1000
            tar.addfile(info, io.BytesIO(os.urandom(1000)))
    whole = out.getvalue()
    diff_ids = set()
    for cut in (100, 512, 700, 1536, 2048 + 300, 3000):
        archive = tmp_path / "cut.tar.gz"
        archive.write_bytes(gzip.compress(whole[:cut]) + gzip.compress(whole[cut:]))
        diff_ids.add(layered(archive)[0].diff_id)
    assert len(diff_ids) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(1, 200), st.booleans()), min_size=1, max_size=8
    )
)
def test_any_files_arrive(tmp_path: Path, files: list[tuple[int, int, bool]]) -> None:
    members = [
        Content(path=f"{number}/{'n' * length}", mode=0o755 if run else 0o644, data=bytes(size))
        for number, (size, length, run) in enumerate(files)
    ]
    layer, data = layered(packed(tmp_path, *members))
    tar = gzip.decompress(data)
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    found = listing(tar)
    for member in members:
        assert found[PREFIX + member.path] == (tarfile.REGTYPE, member.mode, member.data)


@pytest.mark.parametrize("cut", [1, 30, 3_000_000])
def test_half_an_archive_is_told(cut: int, tmp_path: Path) -> None:
    path = packed(tmp_path, *MEMBERS)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ConfigError, match="can not be read"):
        layered(path)


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.gz"
    for text in (b"", b"text", gzip.compress(b"text" * 1000)):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match="can not be read"):
            layered(path)


def test_a_large_file_passes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.gz"
    data = bytes(12_000_256)
    with path.open("w+b") as out:
        header = tarfile.TarInfo("large")
        header.size = len(data)
        out.write(gzip.compress(header.tobuf(tarfile.PAX_FORMAT), 1))
        out.write(gzip.compress(data, 1))
        out.write(gzip.compress(bytes(-len(data) % 512 + 1024), 1))
    layer, written = layered(path)
    assert len(gzip.decompress(written)) == 12_000_256 + 512 * 3 + 512 + 1024
    assert layer.size < 200_000
