"""Archives as others see them: who unpacks them, who packs them where, what that takes."""

import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from packager.environment import APP_LAYOUT
from packager.tarball import (
    EXECUTABLE_MODE,
    FILE_MODE,
    Content,
    Stored,
    Symlink,
    TarMember,
    plan,
    write,
)
from packager.wheels import installed, read_wheel
from tests.archives import held
from tests.index import Index, make_wheel
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.tools

HERE = {"PYTHONPATH": str(Path(__file__).parents[2])}
"""For a child that is to import this checkout from elsewhere."""
MIB = 1 << 20
LONG = "/".join(["a directory with a rather long name"] * 5)
NOISE = os.urandom(300_000)
FILES: dict[str, bytes] = {
    "plain.py": b"x = 1\n" * 100,
    "empty": b"",
    "one byte": b"1",
    "block": b"b" * 512,
    "block and one": b"b" * 513,
    "zeros": bytes(5 * MIB + 5),
    "noise": NOISE,
    "stored": NOISE * 2,
    "ünï/ç ö/\N{SNOWMAN}.txt": b"unicode",
    f"{LONG}/deep": b"deep",
    f"{LONG}/{'n' * 150}": b"a long name",
    "bin/run": b"#!/bin/sh\n",
    **{f"many/{i}": b"%d" % i * i for i in range(500)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hard:
    """An archive with everything that could trouble an unpacker."""

    path: Path
    expected: Mapping[str, tuple[int | str, bytes]]
    """Mode and content by path; for a link where it leads."""


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Hard:
    folder = tmp_path_factory.mktemp("archive")
    wheel = make_wheel(folder, "hard", files=FILES, executable=("bin/run",))
    (folder / "raw").write_bytes(FILES["stored"])
    size, crc = len(FILES["stored"]), zlib.crc32(FILES["stored"])
    own: list[TarMember] = [
        Symlink(path="link", link="own/ü"),
        Symlink(path="own/up", link="../plain.py"),
        Content(path="own/ü", mode=EXECUTABLE_MODE, data=NOISE[:1000]),
        Content(path="own/empty", mode=FILE_MODE, data=b""),
    ]
    stored = Stored(path="raw/stored", mode=FILE_MODE, size=size, crc=crc, offset=0)
    path = folder / "hard.tar.gz"
    with wheel.open("rb") as file, (folder / "raw").open("rb") as raw, path.open("w+b") as out:
        members = [*installed(read_wheel(file, wheel.name), file, APP_LAYOUT)]
        parts = [(plan(own), None), (plan(members), held(file)), (plan([stored]), held(raw))]
        write(parts, out)
    expected: dict[str, tuple[int | str, bytes]] = {
        name: (0o755 if name == "bin/run" else 0o644, data) for name, data in FILES.items()
    }
    expected |= {
        "link": ("own/ü", b""),
        "own/up": ("../plain.py", b""),
        "own/ü": (0o755, NOISE[:1000]),
        "own/empty": (0o644, b""),
        "raw/stored": (0o644, FILES["stored"]),
    }
    return Hard(path=path, expected=expected)


def with_gnu_tar(archive: Path, to: Path) -> None:
    run("tar", "-xzf", archive, "-C", to)


def with_gnu_tar_without_a_locale(archive: Path, to: Path) -> None:
    run("tar", "-xzf", archive, "-C", to, env={"LC_ALL": "C"})


def as_spark_does(archive: Path, to: Path) -> None:
    """The line of Spark's `Utils.unpack`; here a failing gzip fails it, there it does not."""
    run("bash", "-o", "pipefail", "-c", f"gzip -dc '{archive}' | (cd '{to}' && tar -xf -)")


def with_tarfile(archive: Path, to: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(to, filter="data")


def with_bsdtar(archive: Path, to: Path) -> None:
    run("bsdtar", "-xzf", archive, "-C", to)


def with_busybox(archive: Path, to: Path) -> None:
    run("busybox", "tar", "-xzf", archive, "-C", to)


UNPACKERS: tuple[Callable[[Path, Path], None], ...] = (
    with_gnu_tar,
    with_gnu_tar_without_a_locale,
    as_spark_does,
    with_tarfile,
    *((with_bsdtar,) if shutil.which("bsdtar") else ()),
    *((with_busybox,) if shutil.which("busybox") else ()),
)


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )
    # A warning of tar's is none of ours to ignore: `A lone zero block`, `trailing garbage`.
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("unpack", UNPACKERS, ids=lambda unpack: unpack.__name__)
def test_unpacked_files_have_their_content_and_mode(
    hard: Hard, tmp_path: Path, unpack: Callable[[Path, Path], None]
) -> None:
    unpack(hard.path, tmp_path)
    found: dict[str, tuple[int | str, bytes]] = {}
    for path in tmp_path.rglob("*"):
        name = str(path.relative_to(tmp_path))
        if path.is_symlink():
            found[name] = (str(path.readlink()), b"")
        elif path.is_file():
            found[name] = (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
    found = {name: value for name, value in found.items() if ".dist-info" not in name}
    assert found.keys() == hard.expected.keys()
    assert [name for name in found if found[name] != hard.expected[name]] == []


def test_gzip_finds_no_fault_and_tar_lists_every_member_once(hard: Hard) -> None:
    assert run("gzip", "-t", hard.path) == ""
    listed = run("tar", "--quoting-style=literal", "-tzf", hard.path).splitlines()
    assert len(set(listed)) == len(listed)
    assert set(listed) >= set(hard.expected)


COUNT = """
import java.io.*;
import java.util.zip.*;

class Count {
    public static void main(String[] arguments) throws IOException {
        CRC32 crc = new CRC32();
        long size = 0;
        byte[] buffer = new byte[1 << 16];
        try (InputStream in = new GZIPInputStream(new FileInputStream(arguments[0]))) {
            for (int n; (n = in.read(buffer)) > 0; size += n) crc.update(buffer, 0, n);
        }
        System.out.println(size + " " + crc.getValue());
    }
}
"""


@pytest.mark.spark  # which says that Java is needed
def test_java_inflates_every_byte(hard: Hard, tmp_path: Path) -> None:
    (tmp_path / "Count.java").write_text(COUNT, encoding="utf-8")
    inflated = gzip.decompress(hard.path.read_bytes())
    counted = run(
        "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", tmp_path / "Count.java", hard.path
    )
    assert counted.split() == [str(len(inflated)), str(zlib.crc32(inflated))]


@pytest.mark.parametrize("layout", ["layers", "single"])
def test_the_same_project_gives_the_same_bytes_whoever_packs_it_where_and_when(
    index: Index, tmp_path: Path, layout: str
) -> None:
    index.wheel(
        "fruit",
        files={
            "fruit/__init__.py": "def main():\n    pass\n",
            "fruit-1.0.data/scripts/peel": "#!python\nprint('ü')\n",
            "fruit-1.0.data/headers/fruit.h": "#define FRUIT\n",
            "fruit-1.0.data/data/share/fruit.bin": NOISE,
        },
        entry_points={"fruit": "fruit:main"},
    )
    local = make_wheel(tmp_path / "wheels", "local", files={"local.py": "x = 1\n"})
    needs = ("fruit", f"local @ {local.as_uri()}")
    digests: list[dict[str, str]] = []
    for number, (zone, locale, umask, stamp) in enumerate(
        [("UTC", "C", 0o022, 0), ("Asia/Kolkata", "C.UTF-8", 0o077, 1_900_000_000)]
    ):
        root = make_project(tmp_path / f"{number} ö" / "project", dependencies=needs)
        for path in (*root.rglob("*"), *index.folder.iterdir(), local):
            os.utime(path, (stamp, stamp))
        elsewhere = tmp_path / f"cwd-{number}"
        elsewhere.mkdir()
        subprocess.run(
            [sys.executable, "-m", "packager", "pack", root, "--layout", layout, "--quiet"],
            cwd=elsewhere,
            env=os.environ
            | {
                "TZ": zone,
                "LC_ALL": locale,
                "PYTHONHASHSEED": str(number),
                "PACKAGER_CACHE_DIR": str(tmp_path / f"store-{number}"),
                "TMPDIR": str(elsewhere),
            }
            | HERE,
            umask=umask,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        made = sorted((root / "dist").iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o644}
        digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in made})
    assert digests[0] == digests[1]
    assert sum(name.endswith(".tar.gz") for name in digests[0]) == (2 if layout == "layers" else 1)


LARGE = """
import os, sys, zipfile

name = f"{sys.argv[1]}/large-1.0-py3-none-any.whl"
zeros, info = bytes(1 << 20), "large-1.0.dist-info"
with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
    wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\n")
    wheel.writestr(info + "/RECORD", "")
    with wheel.open("zeros.bin", "w") as file:
        for _ in range(600):
            file.write(zeros)
    for i in range(20):
        stored = zipfile.ZipInfo(f"noise-{i}.bin")
        with wheel.open(stored, "w") as file:
            for _ in range(8):
                file.write(os.urandom(1 << 20))
    # Executables among the scripts are large in some wheels.
    with wheel.open("large-1.0.data/scripts/tool", "w") as file:
        file.write(b"\\x7fELF" + os.urandom(40 << 20))
"""
PACK = """
import resource, sys
from pathlib import Path
from packager.adapters.fetch import Fetcher
from packager.adapters.store import Store
from packager.environment import APP_LAYOUT
from packager.tarball import plan, write

folder = Path(sys.argv[1])
store = Store(root=folder / "store", fetcher=Fetcher(), say=print)
part = store.installed(store.admit(folder / "large-1.0-py3-none-any.whl"), APP_LAYOUT)
with (folder / "out.tar.gz").open("w+b") as out:
    write([(plan(part.members), lambda: part.wheel.path.open("rb"))], out)
status = Path("/proc/self/status")
if status.exists():
    # `ru_maxrss` would count what the parent had when it forked.
    peak = next(l for l in status.read_text().splitlines() if l.startswith("VmHWM:"))
    print(int(peak.split()[1]) // 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20))
"""


def test_a_wheel_of_any_size_is_packed_in_little_memory(tmp_path: Path) -> None:
    run(sys.executable, "-c", LARGE, tmp_path)
    peak = int(run(sys.executable, "-c", PACK, tmp_path, env=HERE))
    assert peak < 300
    assert (tmp_path / "out.tar.gz").stat().st_size > 200 * MIB
    run("gzip", "-t", tmp_path / "out.tar.gz")
    shutil.rmtree(tmp_path)
    print(f"peak memory: {peak} MiB")
