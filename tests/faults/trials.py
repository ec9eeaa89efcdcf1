"""What goes wrong under a running pack, done to real ones; the same for CI and for long runs by hand.

Whatever happened, the next pack must complete and give the same bytes as one that was left alone.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.index import Index
from tests.integration.test_pack import make_project

SHARED = ("fruit", "nut", "seed", "pear", "plum")
FILES = 500
"""Of each wheel: enough for verifying and planning to be worth a process."""

DEADLY = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 60.0
GRACE_S = 10.0


def stock(index: Index, seed: int = 1) -> None:
    """Wheels that take a moment: many files, and some that can not be compressed."""
    noise = random.Random(seed)
    for name in SHARED:
        many = {f"{name}/m{i:03}.py": f"x = {i}\n" * 9 for i in range(FILES)}
        index.wheel(name, files={**many, f"{name}/data.bin": noise.randbytes(400_000)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where packs of one project are tried."""

    project: Path
    store: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """Beside that of this process."""

    @property
    def out(self) -> Path:
        return self.project / "dist"

    def start(
        self, limit: Callable[[], None] | None = None, *, under: Sequence[str] = ()
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*under, sys.executable, "-m", "packager", "pack", "--arch", "all"],
            cwd=self.project,
            env=os.environ | {"PACKAGER_CACHE_DIR": str(self.store)} | dict(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=limit,  # noqa: PLW1509  # the only way to a limit of the child alone
        )

    def made(self) -> dict[str, bytes]:
        """What has its own name in the output folder."""
        found = sorted(self.out.iterdir()) if self.out.is_dir() else []
        return {p.name: p.read_bytes() for p in found if not p.name.startswith(".")}

    def clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def complete(self) -> dict[str, bytes]:
        """Pack from an empty output folder, to the end."""
        self.clear()
        child = self.start()
        _, err = child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 0, err
        assert {p.name for p in self.out.iterdir()} == set(self.made()), "something is left"
        return self.made()


def bench(index: Index, folder: Path, *dependencies: str, name: str = "shop") -> Bench:
    project = make_project(folder / name, dependencies=dependencies or SHARED, name=name)
    return Bench(project=project, store=folder / "store")


def kills(on: Bench, count: int, seed: int = 7) -> Counter[str]:
    """Kill packs at random moments, by every signal, sometimes with all their processes.

    The store is as the last one left it, and every third time empty. Return how each one ended.
    """
    moments = random.Random(seed)
    good = on.complete()
    shutil.rmtree(on.store)
    took_new, took_again = timed(on.complete), timed(on.complete)
    ends: Counter[str] = Counter()
    for number in range(count):
        new = number % 3 == 0
        if new:
            shutil.rmtree(on.store, ignore_errors=True)
        on.clear()
        kill = DEADLY[number % len(DEADLY)]
        after = moments.uniform(0.1, took_new if new else took_again)
        ends[killed(on, kill, after, everyone=number % 8 == 0)] += 1
        made = on.made()
        assert made == {name: good[name] for name in made}, "what has its own name is not whole"
        assert on.complete() == good
        assert leftovers(on.store) == []
    return ends


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def killed(on: Bench, kill: signal.Signals, after: float, *, everyone: bool) -> str:
    child = on.start()
    try:
        child.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        (os.killpg if everyone else os.kill)(child.pid, kill)
        _, err = child.communicate(timeout=PATIENCE_S)
        assert child.returncode in {0, 130, -kill, -signal.SIGINT}, err
        assert none_left_of(child.pid), "a process has outlived the one that started it"
        return "ended before" if child.returncode == 0 else kill.name
    return "ended before"


def none_left_of(session: int) -> bool:
    """Whether all processes of a session end by themselves, which they may take a moment for."""
    until = time.monotonic() + GRACE_S
    while time.monotonic() < until:
        if session not in set(sessions()):
            return True
        time.sleep(0.02)
    return False


def sessions() -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if fields[0] != "Z":
            yield int(fields[3])


def leftovers(store: Path) -> list[str]:
    return sorted(p.name for p in (store / "tmp").iterdir())


def together(benches: tuple[Bench, ...], rounds: int, *, victims: int, seed: int = 3) -> int:
    """Packs at once on one store, some of them killed; the others make what they make alone.

    Return how many were not killed.
    """
    moments = random.Random(seed)
    alone = [on.complete() for on in benches]
    survivors = 0
    for number in range(rounds):
        if number % 2 == 0:
            shutil.rmtree(benches[0].store, ignore_errors=True)
        for on in benches:
            on.clear()
        children = [on.start() for on in benches]
        doomed = set(moments.sample(range(len(children)), victims))
        for at in sorted(doomed):
            time.sleep(moments.uniform(0.05, 0.4))
            children[at].kill()
        for at, child in enumerate(children):
            _, err = child.communicate(timeout=PATIENCE_S)
            if at in doomed and child.returncode != 0:
                continue
            assert child.returncode == 0, err
            assert benches[at].made() == alone[at]
            survivors += 1
        assert [on.complete() for on in benches[:1]] == alone[:1]
        assert leftovers(benches[0].store) == []
    return survivors


# Damage to what the store keeps.


def flip(path: Path, noise: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[noise.randrange(len(data))] ^= 1 << noise.randrange(8)
        path.write_bytes(data)


def cut(path: Path, noise: random.Random) -> None:
    os.truncate(path, noise.randrange(max(path.stat().st_size, 1)))


def empty(path: Path, noise: random.Random) -> None:
    path.write_bytes(b"")


def overwrite(path: Path, noise: random.Random) -> None:
    path.write_bytes(noise.randbytes(path.stat().st_size))


def lengthen(path: Path, noise: random.Random) -> None:
    with path.open("ab") as file:
        file.write(noise.randbytes(9))


def remove(path: Path, noise: random.Random) -> None:
    path.unlink()


def make_folder(path: Path, noise: random.Random) -> None:
    path.unlink()
    (path / "in the way").mkdir(parents=True)


def make_link(path: Path, noise: random.Random) -> None:
    path.unlink()
    path.symlink_to("/nonexistent")


DAMAGE: tuple[Callable[[Path, random.Random], None], ...] = (
    flip,
    cut,
    empty,
    overwrite,
    lengthen,
    remove,
    make_folder,
    make_link,
)


def kept_files(store: Path) -> list[Path]:
    return sorted(p for p in store.rglob("*") if p.is_file() and kind_of(p, store) != "tmp")


def damage(
    on: Bench, run: Callable[[], tuple[int, str]], count: int, seed: int = 5
) -> Counter[str]:
    """Damage one file of a good store, of every kind and in every way, and pack.

    The same bytes come out, or a clear error. Return how often each kind of file was damaged, and
    how often each error came of it.
    """
    noise = random.Random(seed)
    good = on.complete()
    spare = on.store.with_name("spare")
    shutil.copytree(on.store, spare, symlinks=True)
    kinds = sorted({kind_of(path, on.store) for path in kept_files(on.store)})
    tried: Counter[str] = Counter()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        path = noise.choice([p for p in kept_files(on.store) if kind_of(p, on.store) == kind])
        harm = DAMAGE[number // len(kinds) % len(DAMAGE)]
        harm(path, noise)
        if noise.random() < 0.5:
            on.clear()
        code, err = run()
        what = f"{harm.__name__} {path.relative_to(on.store)}: {code}\n{err}"
        if code == 0:
            assert on.made() == good, what
        else:
            assert code in {2, 4}, what
            assert err.count("error: ") == 1, what
            tried[err[err.index("error: ") :].splitlines()[0]] += 1
        assert "Traceback" not in err, what
        tried[kind] += 1
        shutil.rmtree(on.store)
        shutil.copytree(spare, on.store, symlinks=True)
    return tried


def kind_of(path: Path, store: Path) -> str:
    first = path.relative_to(store).parts[0]
    return f"{first}{path.suffix}" if first == "wheels" else first


def disturbed(on: Bench, act: Callable[[], None], count: int, seed: int = 9) -> Counter[str]:
    """Do something at a random moment of a pack that goes on: right archives, or a clear error."""
    moments = random.Random(seed)
    good = on.complete()
    took = timed(on.complete)
    ends: Counter[str] = Counter()
    for _ in range(count):
        on.clear()
        child = on.start()
        time.sleep(moments.uniform(0.2, took))
        act()
        _, err = child.communicate(timeout=PATIENCE_S)
        made = on.made()
        assert made == {name: good[name] for name in made}
        assert "Traceback" not in err, err
        if child.returncode == 0:
            assert made == good
            ends["whole"] += 1
        else:
            assert child.returncode == 4, err
            ends[err[err.index("error: ") :].splitlines()[0]] += 1
        assert on.complete() == good
    return ends
