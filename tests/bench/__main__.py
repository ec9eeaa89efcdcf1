"""packager beside its peers on one reference set, all in one run. Nothing timed is asserted.

    python -m tests.bench [--runs N] [--only TEXT] [--work DIR] [--wheels DIR] [--network]
                          [--markdown] [--curve]

Every round runs every row, so that the noise of the machine hits all alike, and no run is left out.
A row runs twice and the second counts: the memory that is free then was in use just now. What hosts
took back from an idle machine they give out slowly, page by page, to whoever writes next. Wheels,
environments and warm caches are made before anything is timed, and what a row reads is in memory
when it begins.
"""

import argparse
import os
import platform
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from uv import find_uv_bin

from tests.bench.curve import curve
from tests.bench.nearby import nearby
from tests.rig import parts, stand_in

REFERENCE: Final = Path(__file__).with_name("reference.txt")
RELEASE: Final = "emr-7.13.0"
PYTHON: Final = "3.11"
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC_MINOR: Final = 34
"""Of the release; the peers install the same wheels that packager takes."""

MB: Final = 1e6
MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    key: str
    name: str
    command: str
    """For `sh -ec`; all of it is timed."""
    before: str = ":"
    """Puts things back where the row begins; not timed."""
    reads: str = ""
    """What is read before, so that no row waits for a disk where another finds it in memory."""
    archive: str = ""
    """Pattern, in the working directory, of what the row makes."""
    missing: str = ""
    """Why the row can not be run here; empty if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    row: Row
    seconds: tuple[float, ...]
    peak_bytes: int
    archive_bytes: int

    @property
    def median(self) -> float:
        return median(self.seconds)


def main() -> None:
    options = _options()
    # On a disk, where /tmp may be memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bench-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        os.chdir(work)
        wheels = options.wheels or work / "wheels"
        print("\n".join(_machine()), end="\n\n", flush=True)
        if options.curve:
            print(curve(work, measure))
            return
        _set_up(wheels)
        with nearby(wheels / "amd64", work / "index") as index:
            rows = [
                row
                for row in _rows(wheels, index, network=options.network)
                if options.only in row.name
            ]
            results = _run(rows, options.runs)
        print(_table(results, markdown=options.markdown))
        print(f"load at the end: {os.getloadavg()[0]:.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--runs", type=int, default=3, help="of every row [3]")
    parser.add_argument("--work", type=Path, help="folder on a disk [a temporary one]")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to reuse, or to fill")
    parser.add_argument("--network", action="store_true", help="run the rows that download too")
    parser.add_argument("--only", default="", help="only rows whose names have it, as `builder`")
    parser.add_argument("--curve", action="store_true", help="sets of 30 to 300 distributions")
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
    options = parser.parse_args()
    options.work, options.wheels = (
        path and path.resolve() for path in (options.work, options.wheels)
    )
    return options


def measure(argv: Sequence[str]) -> tuple[float, int]:
    """Seconds, and the peak memory in bytes of the largest process that `argv` starts.

    No peak is less than this process's own, with which a child begins; the table says `<` then.
    """
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # includes what the child waited for itself
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return seconds, usage.ru_maxrss * MAXRSS_UNIT


def _shell(command: str) -> list[str]:
    return ["sh", "-ec", command]


def _once(row: Row) -> tuple[float, int]:
    subprocess.run(_shell(row.before), check=True, stdout=subprocess.DEVNULL)
    os.sync()  # else a row pays for what the one before it wrote
    if row.reads:
        subprocess.run(_shell(f"find {row.reads} -type f -exec cat {{}} + > /dev/null"), check=True)
    return measure(_shell(row.command))


def _run(rows: Sequence[Row], runs: int) -> tuple[Result, ...]:
    samples: dict[str, list[tuple[float, int]]] = {row.key: [] for row in rows}
    sizes: dict[str, int] = {}
    for number in range(runs):
        for row in rows:
            if row.missing:
                continue
            _once(row)
            samples[row.key].append(_once(row))
            if row.archive:
                (made,) = Path().glob(row.archive)
                sizes[row.key] = made.stat().st_size
            print(f"{number + 1}/{runs} {samples[row.key][-1][0]:7.2f} s  {row.name}", flush=True)
    return tuple(
        Result(
            row=row,
            seconds=tuple(seconds for seconds, _ in samples[row.key]),
            peak_bytes=max((peak for _, peak in samples[row.key]), default=0),
            archive_bytes=sizes.get(row.key, 0),
        )
        for row in rows
    )


# What the rows share: everything lies in the working directory, by these names.
#
#   installed/ installed-uv/   environments, by venv and pip, and by uv
#   project/                   what packager packs: the reference set, and one script
#   store/ uv-cache/           warm

_UV: Final = f"env UV_CACHE_DIR=$PWD/uv-cache UV_OFFLINE=1 {shlex.quote(find_uv_bin())}"
_NEW_UV: Final = f"env UV_CACHE_DIR=$PWD/new-uv-cache {shlex.quote(find_uv_bin())}"
_REQUIREMENTS: Final = f"--quiet --require-hashes -r {shlex.quote(str(REFERENCE))}"


def _python() -> str:
    """The release's Python as this machine has it."""
    name = f"python{PYTHON}"
    found = sys.executable if platform.python_version().startswith(f"{PYTHON}.") else None
    if (found := found or shutil.which(name)) is None:
        raise SystemExit(f"{name} is not on this machine")
    return shlex.quote(found)


def _venv_pack(environment: str, out: str) -> str:
    return f"{shlex.quote(sys.executable)} -m venv_pack -q -p {environment} -o {out} --force"


def _pack(
    arch: str,
    *,
    project: str = "project",
    store: str = "store",
    uv: str = "UV_CACHE_DIR=$PWD/uv-cache",
    out: str = "",
) -> str:
    source = shlex.quote(str(REFERENCE.parents[2]))
    return (
        f"env PYTHONPATH={source} PACKAGER_CLEAN_ROOM=off {uv} {shlex.quote(sys.executable)}"
        f" -m packager pack {project}"
        f" -q --release {RELEASE} --arch {arch} --cache-dir {store} --out ../{out or f'dist-{arch}'}"
    )


def _pack_in_docker(options: str = "") -> str:
    return (
        f"{_pack('amd64', out='dist-docker')} --builder docker"
        f" --base-image {stand_in.image()} {options}"
    )


def _pack_venv(environment: str) -> str:
    source = shlex.quote(str(REFERENCE.parents[2]))
    return (
        f"env PYTHONPATH={source} {shlex.quote(sys.executable)} -m packager pack"
        f" --venv {environment} -q --release {RELEASE} --cache-dir store --out dist-venv"
    )


def _pip_install(environment: str, wheels: str) -> str:
    return (
        f"{_python()} -m venv {environment};"
        f" {environment}/bin/pip install --no-index --find-links {wheels} {_REQUIREMENTS}"
    )


def _uv_install(environment: str, uv: str, source: str) -> str:
    return (
        f"{uv} venv --quiet --python {_python()} {environment};"
        f" {uv} pip install --python {environment}/bin/python {source} {_REQUIREMENTS}"
    )


def _rows(wheels: Path, index: str, *, network: bool) -> tuple[Row, ...]:
    host = shlex.quote(str(wheels / "amd64"))
    offline = f"--no-index --find-links {host}"
    warm = "UV_OFFLINE=1 UV_CACHE_DIR=$PWD/uv-cache"
    only_wheels = "rm -rf store/plans store/resolved store/made store/packed"
    download = "" if network else "downloads; only with --network"
    near = f"UV_DEFAULT_INDEX={index} UV_NO_CONFIG=1 NO_PROXY=127.0.0.1"
    nothing = "rm -rf new-uv new-uv-cache new-store dist-amd64"
    engine = parts.lacking()
    return (
        Row(
            key="venv-pack",
            name="venv-pack alone, of an installed environment",
            command=_venv_pack("installed", "venv-pack.tar.gz"),
            before="rm -f venv-pack.tar.gz",
            reads="installed",
            archive="venv-pack.tar.gz",
        ),
        Row(
            key="venv-pack-lean",
            name="venv-pack alone, of one without byte code and pip",
            command=_venv_pack("installed-uv", "venv-pack-lean.tar.gz"),
            before="rm -f venv-pack-lean.tar.gz",
            reads="installed-uv",
            archive="venv-pack-lean.tar.gz",
        ),
        Row(
            key="pip",
            name="venv, pip install from local wheels, venv-pack",
            command=f"{_pip_install('by-pip', host)}; {_venv_pack('by-pip', 'pip.tar.gz')}",
            before="rm -rf by-pip pip.tar.gz",
            reads=host,
            archive="pip.tar.gz",
        ),
        Row(
            key="uv",
            name="uv venv, uv pip install with a warm cache, venv-pack",
            command=f"{_uv_install('by-uv', _UV, offline)}; {_venv_pack('by-uv', 'uv.tar.gz')}",
            before="rm -rf by-uv uv.tar.gz",
            reads=host,
            archive="uv.tar.gz",
        ),
        Row(
            key="venv",
            name="packager --venv, of an installed environment",
            command=_pack_venv("installed"),
            before="rm -rf dist-venv",
            reads="installed",
            archive="dist-venv/*-environment-*.tar.gz",
        ),
        Row(
            key="gzip",
            name="tar and gzip of an installed environment",
            command="tar -C installed -czf gzip.tar.gz .",
            before="rm -f gzip.tar.gz",
            reads="installed",
            archive="gzip.tar.gz",
        ),
        Row(
            key="pigz",
            name="tar and pigz of an installed environment",
            command="tar -C installed -cf - . | pigz > pigz.tar.gz",
            before="rm -f pigz.tar.gz",
            reads="installed",
            archive="pigz.tar.gz",
            missing="" if shutil.which("pigz") else "pigz is not on this machine",
        ),
        Row(
            key="first",
            name="packager, first pack: wheels in its store, nothing else",
            command=_pack("amd64", uv=warm),
            before=f"{only_wheels}; rm -rf dist-amd64",
            reads="store",
            archive="dist-amd64/*-environment-*.tar.gz",
        ),
        Row(
            key="again",
            name="packager, nothing changed",
            command=_pack("amd64", uv=warm),
            before=_pack("amd64", uv=warm),
            reads="store dist-amd64",
            archive="dist-amd64/*-environment-*.tar.gz",
        ),
        Row(
            key="changed",
            name="packager, one dependency changed",
            command=_pack("amd64", uv=warm),
            before=f"rm -rf dist-amd64; {_pack('amd64', uv=warm, project='project-before')};"
            " rm -rf store/resolved",
            reads="store",
            archive="dist-amd64/project-environment-*.tar.gz",
        ),
        Row(
            key="arm64",
            name="packager, first pack for arm64",
            command=_pack("arm64", uv=warm),
            before=f"{only_wheels}; rm -rf dist-arm64",
            reads="store",
            archive="dist-arm64/*-environment-*.tar.gz",
        ),
        Row(
            key="docker",
            name="packager --builder docker, nothing of it built before",
            command=_pack_in_docker("--no-cache"),
            before="rm -rf dist-docker",
            reads="store",
            archive="dist-docker/*-environment-*.tar.gz",
            missing=engine,
        ),
        Row(
            key="docker-again",
            name="packager --builder docker, nothing changed",
            command=_pack_in_docker(),
            before=":" if engine else _pack_in_docker(),
            reads="store dist-docker",
            archive="dist-docker/*-environment-*.tar.gz",
            missing=engine,
        ),
        Row(
            key="docker-changed",
            name="packager --builder docker, the code changed",
            command=_pack_in_docker(),
            before="date +'# %N' >> project/helper.py",
            reads="store",
            archive="dist-docker/*-environment-*.tar.gz",
            missing=engine,
        ),
        Row(
            key="unpack-docker",
            name="tar: unpack the docker builder's archive",
            command="tar -C unpacked -xzf dist-docker/*-environment-*.tar.gz",
            before="rm -rf unpacked; mkdir unpacked",
            reads="dist-docker",
            archive="dist-docker/*-environment-*.tar.gz",
            missing=engine,
        ),
        Row(
            key="unpack",
            name="tar: unpack the wheels builder's archive",
            command="tar -C unpacked -xzf dist-amd64/project-environment-*.tar.gz",
            before="rm -rf unpacked; mkdir unpacked",
            reads="dist-amd64",
            archive="dist-amd64/project-environment-*.tar.gz",
        ),
        Row(
            key="cat",
            name="limit: cat of the wheels into one file",
            command=f"cat {host}/*.whl > cat.bin",
            before="rm -f cat.bin",
            reads=host,
            archive="cat.bin",
        ),
        Row(
            key="cp",
            name="limit: cp of packager's archive",
            command="cp dist-amd64/project-environment-*.tar.gz cp.tar.gz",
            before="rm -f cp.tar.gz",
            reads="dist-amd64",
            archive="cp.tar.gz",
        ),
        Row(
            key="uv-near",
            name="uv pip install from nothing, index on this machine, no archive",
            command=f"export {near}; {_uv_install('new-uv', _NEW_UV, '')}",
            before=nothing,
            reads="index",
        ),
        Row(
            key="near",
            name="packager from nothing, index on this machine",
            command=_pack("amd64", store="new-store", uv=f"UV_CACHE_DIR=$PWD/new-uv-cache {near}"),
            before=nothing,
            reads="index",
            archive="dist-amd64/*-environment-*.tar.gz",
        ),
        Row(
            key="uv-nothing",
            name="uv pip install from nothing, no archive",
            command=_uv_install("new-uv", _NEW_UV, ""),
            before=nothing,
            missing=download,
        ),
        Row(
            key="nothing",
            name="packager from nothing",
            command=_pack("amd64", store="new-store", uv="UV_CACHE_DIR=$PWD/new-uv-cache"),
            before=nothing,
            archive="dist-amd64/*-environment-*.tar.gz",
            missing=download,
        ),
    )


def _set_up(wheels: Path) -> None:
    project = Path("project")
    project.mkdir(exist_ok=True)
    shutil.copyfile(REFERENCE, project / "requirements.txt")
    (project / "main.py").write_text("import pandas\n", encoding="utf-8")
    before = Path("project-before")
    shutil.copytree(project, before, dirs_exist_ok=True)
    (before / "requirements.txt").write_text(_before(REFERENCE.read_text("utf-8")), "utf-8")
    host = shlex.quote(str(wheels / "amd64"))
    offline = f"--no-index --find-links {host}"
    installed = ["installed", "installed-uv", "by-uv"]
    steps = [
        *(_download(wheels / arch, machine) for arch, machine in MACHINES.items()),
        *(f"rm -rf {environment}" for environment in installed),
        _pip_install("installed", host),
        _uv_install("installed-uv", _UV, offline),
        *(_pack(arch) for arch in MACHINES),
    ]
    for step in steps:
        subprocess.run(_shell(step), check=True, stdout=subprocess.DEVNULL)


def _before(requirements: str) -> str:
    """The requirements but for one package."""
    blocks = re.split(r"^(?=[a-z])", requirements, flags=re.MULTILINE)
    return "".join(block for block in blocks if not block.startswith("scikit-learn"))


def _download(folder: Path, machine: str) -> str:
    if any(folder.glob("*.whl")):
        return ":"
    platforms = " ".join(
        f"--platform manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 16, -1)
    )
    return (
        f"{_python()} -m venv downloader;"
        f" downloader/bin/pip download --no-deps --only-binary :all: --python-version {PYTHON}"
        f" {platforms} --platform manylinux2014_{machine} -d {shlex.quote(str(folder))}"
        f" {_REQUIREMENTS}"
    )


def _machine() -> tuple[str, ...]:
    model = re.search(r"^model name\s*: (.*)", _text("/proc/cpuinfo"), re.MULTILINE)
    return (
        f"machine:   {os.cpu_count()} cores, {platform.machine()}, {model[1] if model else '?'}",
        f"system:    {platform.platform()}; load {os.getloadavg()[0]:.1f} before",
        f"python:    {platform.python_version()}; venv-pack {version('venv-pack')}",
        *(f"{name + ':':<10} {_answer(name, argv)}" for name, argv in _PROGRAMS.items()),
    )


_PROGRAMS: Final = {
    "uv": (find_uv_bin(), "--version"),
    "tar": ("tar", "--version"),
    "gzip": ("gzip", "--version"),
    "pigz": ("pigz", "--version"),
}


def _answer(name: str, argv: Sequence[str]) -> str:
    if shutil.which(argv[0]) is None:
        return "none"
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).partition("\n")[0].removeprefix(f"{name} ")


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:  # not Linux
        return ""


_RATIOS: Final = (
    ("first pack for arm64 / for amd64, on this machine", "arm64", "first"),
    ("venv-pack alone / one dependency changed", "venv-pack", "changed"),
    ("first pack / cat of its wheels", "first", "cat"),
    ("nothing changed / cat of its wheels", "again", "cat"),
    ("venv, pip, venv-pack / first pack", "pip", "first"),
    ("venv-pack alone / packager --venv", "venv-pack", "venv"),
    ("uv, venv-pack / first pack", "uv", "first"),
    ("unpack: docker builder / wheels builder", "unpack-docker", "unpack"),
    ("from nothing, index on this machine: uv pip install / packager", "uv-near", "near"),
    ("from nothing: uv pip install / packager", "uv-nothing", "nothing"),
)


def _table(results: Sequence[Result], *, markdown: bool) -> str:
    by_key = {result.row.key: result for result in results}
    peer = by_key.get("venv-pack")
    timed = {key for key, result in by_key.items() if result.seconds}
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    head = ("", "seconds", "spread", "venv-pack / this", "peak memory, MB", "archive, MB")
    cells = [
        (
            result.row.name,
            f"{result.median:.2f}",
            f"{min(result.seconds):.2f}-{max(result.seconds):.2f}",
            f"{peer.median / result.median:.1f}" if peer else "-",
            f"{'< ' if result.peak_bytes <= own else ''}{result.peak_bytes / MB:.0f}",
            f"{result.archive_bytes / MB:.1f}" if result.archive_bytes else "-",
        )
        for result in results
        if result.seconds
    ]
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in (head, *cells)]
        lines.insert(1, "|---" + "|---:" * (len(head) - 1) + "|")
    else:
        widths = [max(len(row[i]) for row in (head, *cells)) for i in range(len(head))]
        lines = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in (head, *cells)
        ]
    ratios = [
        f"{label}: {by_key[above].median / by_key[below].median:.2f}"
        for label, above, below in _RATIOS
        if {above, below} <= timed
    ]
    if {"unpack-docker", "unpack"} <= timed:
        share = by_key["unpack-docker"].archive_bytes / by_key["unpack"].archive_bytes
        ratios.append(f"archive: docker builder / wheels builder: {share:.3f}")
    left_out = [f"left out: {r.row.name} ({r.row.missing})" for r in results if r.row.missing]
    return "\n".join(["", *lines, "", *ratios, *left_out])


if __name__ == "__main__":
    main()
