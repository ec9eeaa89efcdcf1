"""Bring up the real parts that tests need, take them down, or say what is missing."""

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig import engine, stand_in
from tests.rig.commands import RigError
from tests.rig.engine import MACHINES_OWN, Engine, engine_under
from tests.rig.parts import PARTS


def status(chosen: Engine) -> bool:
    complete = True
    for part in PARTS:
        reason = part.lacking(chosen)
        complete &= not reason
        print(f"{part.name}: {reason or 'ready'}")
    return complete


def up(chosen: Engine) -> None:
    for part in PARTS:
        started = time.monotonic()
        after = ""
        if part.lacking(chosen):
            with alone():
                part.bring_up(chosen)
            after = f" after {time.monotonic() - started:.0f} s"
        print(f"{part.name}: ready{after}", flush=True)


def down(chosen: Engine, *, purge: bool) -> None:
    if purge:
        stand_in.remove(chosen)
    if engine.stop(chosen):
        print("engine: stopped")
    elif engine.answers(chosen):
        print("engine: left running, since something else has started it")
    else:
        print("engine: was not running")


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time brings things up; who waited finds them ready."""
    stand_in.cache().mkdir(parents=True, exist_ok=True)
    with (stand_in.cache() / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.rig", description=__doc__)
    parser.add_argument("command", choices=("up", "status", "down"))
    parser.add_argument("--purge", action="store_true", help="with down: the image and the cache")
    parser.add_argument(
        "--engine-root",
        type=Path,
        metavar="FOLDER",
        help="another engine beside the machine's own, with all it has in FOLDER",
    )
    given = parser.parse_args()
    chosen = engine_under(given.engine_root.resolve()) if given.engine_root else MACHINES_OWN
    try:
        if given.command == "up":
            up(chosen)
        elif given.command == "down":
            down(chosen, purge=given.purge)
        else:
            return 0 if status(chosen) else 1
    except (RigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
