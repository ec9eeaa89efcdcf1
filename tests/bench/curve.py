"""How time grows with the number of distributions: sets that are made here, 200 files in each.

    python -m tests.bench --curve [--work DIR]

Every third distribution is compiled by its looks: one large file that does not compress well.
"""

import random
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.fakes import lock_text
from tests.index import make_wheel

SETS: Final = (30, 100, 300)
FILES: Final = 200
RUNS: Final = 3
RELEASE: Final = "emr-7.13.0"
MB: Final = 1e6

Measure = Callable[[Sequence[str]], tuple[float, int]]


def curve(work: Path, measure: Measure) -> str:
    """The table, a row for each set and kind of pack."""
    rows = [
        "| distributions, files, MB unpacked | pack | seconds | per 1,000 files | peak memory, MB |",
        "|---|---|---:|---:|---:|",
    ]
    for count in SETS:
        project, size = _project(work / str(count), count)
        files = count * FILES
        about = f"{count}, {files:,}, {size / MB:.0f}"
        for name, before in (
            ("new wheels", ("../store", "dist")),
            ("wheels in the store", ("../store/made", "dist")),
            ("nothing changed", ()),
        ):
            samples = [_sample(project, before, measure) for _ in range(RUNS)]
            seconds = median(s for s, _ in samples)
            peak = max(p for _, p in samples) / MB
            rows.append(
                f"| {about} | {name} | {seconds:.2f} | {1000 * seconds / files:.3f} | {peak:.0f} |"
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


def _sample(project: Path, before: Sequence[str], measure: Measure) -> tuple[float, int]:
    for name in before:
        shutil.rmtree(project / name, ignore_errors=True)
    command = [sys.executable, "-m", "packager", "pack", str(project), "-q", "-r", RELEASE]
    return measure([*command, "--cache-dir", str(project.parent / "store")])


def _project(folder: Path, count: int) -> tuple[Path, int]:
    """A project that asks for `count` distributions, and the bytes of their files."""
    shutil.rmtree(folder, ignore_errors=True)
    noise = random.Random(count)
    words = [noise.randbytes(3).hex() for _ in range(400)]
    wheels: list[Path] = []
    size = 0
    for number in range(count):
        name = f"dist{number:03}"
        text = " ".join(noise.choices(words, k=300))
        files: dict[str, bytes | str] = {
            f"{name}/part{at // 20}/m{at:03}.py": f"# {at}\n{text}\n" for at in range(FILES)
        }
        if number % 3 == 0:
            files[f"{name}/large.bin"] = noise.randbytes(200_000) * 3
        size += sum(map(len, files.values()))
        wheels.append(make_wheel(folder / "wheels", name, files=files))
    project = folder / "project"
    project.mkdir()
    (project / "main.py").write_text("", encoding="utf-8")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "curve"\nversion = "1"\n', encoding="utf-8"
    )
    (project / "pylock.toml").write_text(lock_text(*wheels), encoding="utf-8")
    return project, size
