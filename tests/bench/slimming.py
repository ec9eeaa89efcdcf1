"""What byte code brings, and leaving things out, from the build to the first import on executors.

    python -m tests.bench.slimming [--runs N] [--store DIR] [--work DIR] [--bandwidth MB/S]

The reference set is packed in each way, unpacked as Spark does it, and imported from the fresh tree,
in turns. Trees were just written and so are in the page cache, as on a worker. Where there is no
byte code, Python writes it while it imports, as on a worker too. Transfers are modelled.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.__main__ import MB, PYTHON, REFERENCE, RELEASE, measure

VARIANTS: Final = {
    "as they are": "",
    "byte code": "--byte-code",
    "without tests": "--slim tests",
    "without headers, stubs": "--slim headers,stubs",
    "without symbols": "--slim symbols",
    "without all three": "--slim tests,headers,stubs",
    "without all four": "--slim tests,headers,stubs,symbols",
    "without all three, byte code": "--slim tests,headers,stubs --byte-code",
}
IMPORTS: Final = "import pandas, pyarrow, sklearn, scipy.stats, boto3"
REMEMBERED: Final = frozenset({"wheels", "resolved"})
"""What a first pack finds in the store; all else is taken away before it."""


@dataclass(slots=True)
class Variant:
    name: str
    options: str
    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    unpack: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    archive: int = 0
    unpacked: int = 0
    files: int = 0

    def worker(self, bandwidth: float) -> float:
        """Seconds until a driver or an executor has imported everything."""
        return self.archive / MB / bandwidth + median(self.unpack) + median(self.load)

    def until_executors(self, build: Sequence[float], bandwidth: float) -> float:
        """Seconds from the start of the pack: executors start when the driver has."""
        upload = self.archive / MB / bandwidth
        return median(build) + upload + 2 * self.worker(bandwidth)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slimming")
    parser.add_argument("--runs", type=int, default=3, help="of everything [3]")
    parser.add_argument("--store", type=Path, help="warm wheel store to copy")
    parser.add_argument("--work", type=Path, help="folder; one in memory, if others use the disk")
    parser.add_argument("--bandwidth", type=float, default=100.0, help="MB/s [100]")
    parser.add_argument("--executors", type=int, default=10, help="of a job [10]")
    options = parser.parse_args()
    variants = [Variant(name=name, options=text) for name, text in VARIANTS.items()]
    with tempfile.TemporaryDirectory(dir=options.work, prefix="slimming-") as work:
        if options.store:
            shutil.copytree(options.store, Path(work, "store"))
        os.chdir(work)
        Path("project").mkdir()
        shutil.copyfile(REFERENCE, "project/requirements.txt")
        Path("project/main.py").write_text("import pandas\n", encoding="utf-8")
        _shell(_pack(""))  # brings the wheels
        for number in range(options.runs):
            for variant in variants:
                _run(variant)
                print(f"{number + 1}/{options.runs} {variant}", file=sys.stderr, flush=True)
    print(_table(variants, options.bandwidth, options.executors))


def _run(variant: Variant) -> None:
    for kind in Path("store").iterdir():
        if kind.is_dir() and kind.name not in REMEMBERED:
            shutil.rmtree(kind)
    for builds in (variant.first, variant.again):
        shutil.rmtree("project/dist", ignore_errors=True)
        builds.append(_shell(_pack(variant.options)))
    record = json.loads(next(Path("project/dist").glob("*.packager.json")).read_text())
    (made,) = (a for a in record["artifacts"] if a["kind"] == "environment")
    variant.archive, variant.unpacked = made["size"], made["unpacked"]
    archive = shlex.quote(str(Path("project/dist", made["file"]).resolve()))
    Path("tree").mkdir()
    # The very line of Spark's `Utils.unpack`.
    variant.unpack.append(_shell(f"gzip -dc {archive} | (cd tree && tar -xf -)"))
    variant.files = sum(len(names) for _, _, names in os.walk("tree"))
    code = f"import sys; sys.path.insert(0, 'tree/lib/python{PYTHON}/site-packages'); {IMPORTS}"
    variant.load.append(_shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"))
    shutil.rmtree("tree")


def _pack(options: str) -> str:
    source = shlex.quote(str(REFERENCE.parents[2]))
    return (
        f"env PYTHONPATH={source} {shlex.quote(sys.executable)} -m packager pack project -q"
        f" --release {RELEASE} --cache-dir store {options}"
    )


def _shell(command: str) -> float:
    os.sync()  # else a command pays for what the one before it wrote
    # Another program on the machine is to be no part of what is measured.
    calm = ["chrt", "-r", "10"] if shutil.which("chrt") and os.geteuid() == 0 else []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    os.environ.clear()
    os.environ.update(environment)
    return measure([*calm, "bash", "-ec", command])[0]


def _table(variants: Sequence[Variant], bandwidth: float, executors: int) -> str:
    head = (
        *("wheels", "first pack, s", "packed before, s", "archive, MB", "unpacked, MB", "files"),
        *("unpack, s", "first import, s", "until executors run, s", "the same, packed before, s"),
        f"driver and {executors} executors, s",
    )
    rows = [
        (
            variant.name,
            *(f"{median(times):.2f}" for times in (variant.first, variant.again)),
            *(f"{size / MB:.1f}" for size in (variant.archive, variant.unpacked)),
            f"{variant.files:,}",
            *(f"{median(times):.2f}" for times in (variant.unpack, variant.load)),
            f"{variant.until_executors(variant.first, bandwidth):.1f}",
            f"{variant.until_executors(variant.again, bandwidth):.1f}",
            f"{(1 + executors) * variant.worker(bandwidth):.0f}",
        )
        for variant in variants
    ]
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    lines.insert(1, "|---" + "|---:" * (len(head) - 1) + "|")
    modelled = f"Transfers modelled at {bandwidth:g} MB/s; medians of {len(variants[0].load)} runs."
    return "\n".join([*lines, "", modelled])


if __name__ == "__main__":
    main()
