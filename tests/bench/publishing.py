"""Uploads beside AWS's own command line and a put in one stream. Nothing timed is asserted.

    python -m tests.bench.publishing [--pack] [--size MB] [--runs N] [--rate MB/s] [--work DIR]

The server is `tests.s3server`, a process of its own on the loopback address, new and empty for every
run: it verifies each checksum, so moto's slowness is not measured. With `--rate`, it reads no faster than
that from each connection, as a network lets it. Rounds run every row once, so that the noise of the
machine hits all alike. With `--pack`, a project with a wheel of that size is packed and published,
one after the other and at once; what S3 copies itself is copied and digested by the same two cores. AWS's command line comes from a package index, into an environment of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from uv import find_uv_bin

from tests.rig.aws import Cloud

ROOT: Final = Path(__file__).parents[2]
MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024
PACK: Final = """
import pathlib, sys
from tests.packed import pack_into
pack_into(pathlib.Path(sys.argv[1]), size=int(sys.argv[2]) * 1_000_000)
"""
PROJECT: Final = """
import pathlib, random, sys
from tests.index import make_wheel
root, noise = pathlib.Path(sys.argv[1]), random.Random(1)
files = {f"fruit/{n}.bin": noise.randbytes(1_000_000) for n in range(int(sys.argv[2]))}
wheel = make_wheel(root.parent, "fruit", files={"fruit/__init__.py": "", **files})
(root / "main.py").write_text("import fruit\\n")
(root / "requirements.txt").write_text(f"fruit @ {wheel.as_uri()}\\n")
(root / "pyproject.toml").write_text(
    '[tool.packager]\\nrelease = "emr-7.13.0"\\nentry-point = "main.py"\\n'
)
"""
PUT: Final = """
import boto3, sys
with open(sys.argv[1], "rb") as file:
    boto3.client("s3").put_object(Bucket="jobs", Key="a/archive", Body=file)
"""


@dataclass(slots=True, kw_only=True)
class Row:
    name: str
    command: tuple[str, ...]
    again: bool = False
    """Whether the same command has run before on the same server."""
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    """Bytes."""
    sent: int = 0
    """Bytes of content, in the last run."""


@contextmanager
def server(rate: float) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    command = (sys.executable, "-m", "tests.s3server", "--rate", str(rate))
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().strip(), running
        finally:
            running.kill()


def sent(running: "subprocess.Popen[str]") -> int:
    """Bytes of content that the server has got so far."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("\n")
    running.stdin.flush()
    return int(running.stdout.readline())


def measured(command: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> tuple[float, int]:
    """Seconds, and the peak of memory in bytes."""
    started = time.monotonic()
    child = subprocess.Popen(
        command, cwd=folder, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said.decode()}")
    return elapsed, usage.ru_maxrss * MAXRSS_UNIT


def run(row: Row, folder: Path, rate: float) -> None:
    with server(rate) as (endpoint, running):
        proxies = {"NO_PROXY": "127.0.0.1"}
        env = {**os.environ, **Cloud(endpoint=endpoint).environment(), **proxies}
        if (folder / "record").exists():
            for record in (folder / "dist").glob("*.packager.json"):
                record.write_bytes((folder / "record").read_bytes())
        else:
            shutil.rmtree(folder / "dist")
        if row.again:
            measured(row.command, folder, env)
        before = sent(running)
        seconds, peak = measured(row.command, folder, env)
        row.seconds.append(seconds)
        row.peak = max(row.peak, peak)
        row.sent = sent(running) - before


def rows(folder: Path, archive: str) -> list[Row]:
    environment = folder / "aws"
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "--quiet", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "awscli"], check=True)
    packager = (sys.executable, "-m", "packager", "publish", "dist", "--s3-uri", "s3://jobs/a")
    aws = str(environment / "bin" / "aws")
    copy = (aws, "s3", "cp", "--no-progress", archive, "s3://jobs/a/archive")
    return [
        Row(name="`packager publish`", command=packager),
        Row(name="`aws s3 cp` of the archive", command=copy),
        Row(name="put in one stream (boto3)", command=(sys.executable, "-c", PUT, archive)),
        Row(name="`packager publish` again", command=packager, again=True),
    ]


def packing_rows() -> list[Row]:
    packager, place = f"{sys.executable} -m packager", "--s3-uri s3://jobs/a"
    return [
        Row(
            name="`packager pack`, then `packager publish`",
            command=("sh", "-ec", f"{packager} pack; exec {packager} publish {place}"),
        ),
        Row(
            name="`packager publish --pack`",
            command=("sh", "-ec", f"exec {packager} publish --pack {place}"),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pack", action="store_true")
    parser.add_argument("--size", type=int, default=250, metavar="MB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0, metavar="MB/S")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        folder = Path(temporary)
        if options.pack:
            os.environ |= {
                "PACKAGER_CACHE_DIR": str(folder / "store"),
                "PACKAGER_CLEAN_ROOM": "off",
            }
            folder /= "jobs"
            folder.mkdir()
            made = (sys.executable, "-c", PROJECT, str(folder), str(options.size))
            subprocess.run(made, cwd=ROOT, check=True)
            subprocess.run((sys.executable, "-m", "packager", "pack"), cwd=folder, check=True)
            table = packing_rows()
        else:
            # By another process: what this one has had in memory counts as its children's, too.
            made = (sys.executable, "-c", PACK, str(folder / "dist"), str(options.size))
            subprocess.run(made, cwd=ROOT, check=True)
            (record,) = (folder / "dist").glob("*.packager.json")
            (folder / "record").write_bytes(record.read_bytes())
            (archive,) = (folder / "dist").glob("jobs-environment-*")
            table = rows(folder, f"dist/{archive.name}")
        for _ in range(options.runs):
            for row in table:
                run(row, folder, options.rate)
    ours = median(table[0].seconds)
    print(
        f"{options.size} MB, {options.runs} runs, {options.rate or 'no limit of'} MB/s a connection"
    )
    print("| | seconds, median | all | times ours | peak memory, MB | sent, MB |")
    print("|---|---:|---|---:|---:|---:|")
    for row in table:
        each = ", ".join(f"{s:.2f}" for s in row.seconds)
        middle = median(row.seconds)
        print(
            f"| {row.name} | {middle:.2f} | {each} | {middle / ours:.2f} |"
            f" {row.peak / 1e6:.0f} | {row.sent / 1e6:.1f} |"
        )


if __name__ == "__main__":
    main()
