"""Spoil what packager reads, for as long as one likes, and count what comes of it.

    python -m tests.fuzz [--seconds N] [--only NAME] [--seed N] [--keep DIR]

Every input must end as archives or as an error that is told: with its exit code, nothing
half-written beside it, and words that can be printed. Ends with 1 if one does not.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

from tests.fuzz.run import Count, fuzz
from tests.fuzz.subjects import subjects


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="in all [60]")
    parser.add_argument("--only", default="", help="subjects whose name has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that fail")
    options = parser.parse_args()
    chosen = [s for s in subjects(find_uv_bin()) if options.only in s.name]
    counts: list[Count] = []
    print(f"{'reader':<28}{'inputs':>9}{'taken':>9}{'refused':>9}{'failed':>8}")
    for subject in chosen:
        with tempfile.TemporaryDirectory(prefix="packager-fuzz-") as name:
            count = fuzz(
                subject,
                Path(name),
                seed=options.seed,
                seconds=options.seconds / len(chosen),
                keep=options.keep,
            )
        counts.append(count)
        print(count.row(subject.name), flush=True)
    total = sum(counts, Count())
    print(total.row(f"{len(chosen)} readers"))
    for trace in total.failures.values():
        print(f"\n{trace}", file=sys.stderr)
    return 1 if total.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
