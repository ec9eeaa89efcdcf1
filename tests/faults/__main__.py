"""Faults in numbers: real packs, killed, damaged and at once. All of it must be survived.

    python -m tests.faults [--kills N] [--damage N] [--rounds N] [--seed N]

It takes about two seconds for each kill, and half of one for each damage.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tests.faults.trials import Bench, bench, damage, kills, stock, together
from tests.index import Index, serve

AT_ONCE = 8
VICTIMS = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--kills", type=int, default=0, help="packs to kill")
    parser.add_argument("--damage", type=int, default=0, help="files of the store to damage")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of eight packs at once")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as name, serve(Path(name, "index")) as index:
        folder = Path(name)
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            os.environ.pop(variable, None)
        os.environ |= {
            "UV_DEFAULT_INDEX": index.url,
            "UV_CACHE_DIR": str(folder / "uv-cache"),
            "UV_NO_CONFIG": "1",
        }
        stock(index)
        if options.kills:
            ends = kills(bench(index, folder / "kills"), options.kills, options.seed)
            print("killed:", ", ".join(f"{n} {end}" for end, n in sorted(ends.items())))
        if options.damage:
            on = bench(index, folder / "damage")
            tried = damage(on, lambda: run(on), options.damage, options.seed)
            print("damaged:", ", ".join(f"{n} {kind}" for kind, n in sorted(tried.items())))
        if options.rounds:
            benches = crowd(index, folder / "together")
            whole = together(benches, options.rounds, victims=VICTIMS, seed=options.seed)
            print(f"at once: {whole} whole of {options.rounds * AT_ONCE}, the others killed")


def crowd(index: Index, folder: Path, size: int = AT_ONCE) -> tuple[Bench, ...]:
    """Benches of different projects that share wheels and a store; two are of the same project."""
    wheels = (("fruit", "nut", "seed"), ("seed", "pear"), ("plum", "fruit", "pear", "nut"))
    benches = [bench(index, folder / str(n), *wheels[n % 3]) for n in range(size - 1)]
    twin = folder / "twin" / "shop"
    shutil.copytree(benches[0].project, twin)
    return tuple(
        Bench(project=project, store=folder / "store")
        for project in (*(on.project for on in benches), twin)
    )


def run(on: Bench) -> tuple[int, str]:
    child = on.start()
    _, err = child.communicate()
    return child.returncode, err


if __name__ == "__main__":
    main()
