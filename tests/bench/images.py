"""Images put together in a registry, beside the same by Docker, on the stand-in and the reference set.

    python -m tests.bench.images [--runs N] [--store DIR] [--work DIR]

Needs what `python3 -m tests.rig up` brings. The archives are packed before anything is timed, each
round runs every row, and each push goes to a repository that has nothing yet, but for the rows that
say otherwise. The base lies in the same registry. Nothing timed is asserted.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.__main__ import MB, REFERENCE, RELEASE
from tests.rig import stand_in
from tests.rig.engine import docker
from tests.rig.registry import Registry, serve

DOCKERFILE: Final = """\
ARG BASE
FROM ${BASE}
ADD environment.tar.gz /opt/packager/environment/
ADD app.tar.gz /opt/packager/app/
ENV PYSPARK_PYTHON=/opt/packager/environment/bin/python
"""
ARCHES: Final = ("amd64", "arm64")


@dataclass(slots=True)
class Bench:
    registry: Registry
    work: Path
    env: dict[str, str]
    store: Path
    base: str
    repositories: int = 0
    sent: dict[str, list[int]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    """Images of the engine, to be removed."""

    def fresh(self) -> str:
        self.repositories += 1
        return f"{self.registry.host}/bench/app{self.repositories}"

    def forget_layers(self) -> None:
        shutil.rmtree(self.store / "image-layers", ignore_errors=True)

    def build(self, row: str, what: Path, to: str, *more: str) -> float:
        command = (
            sys.executable,
            "-m",
            "packager",
            "image",
            "build",
            str(what),
            "--quiet",
            "--json",
        )
        seconds, out = self.timed(
            [*command, "--base-image", self.base, "--push", to, *more], cwd=self.work / "project"
        )
        told: list[dict[str, Any]] = json.loads(out)
        self.sent.setdefault(row, []).append(sum(one["uploaded"] for one in told))
        return seconds

    def load(self) -> str:
        """Give the engine the image of the project as it is now; not timed."""
        _, out = self.packager("image", "build", "--base-image", self.base)
        self.made.add(out.strip())
        return out.strip()

    def validate(self, image: str) -> float:
        seconds, _ = self.packager(
            "image", "validate", image, "--base-image", self.base, "--release", RELEASE
        )
        return seconds

    def packager(self, *words: str) -> tuple[float, str]:
        command = (sys.executable, "-m", "packager", *words, "--quiet")
        return self.timed(command, cwd=self.work / "project")

    def docker_build(self, arch: str, to: str, *more: str) -> float:
        self.made.add(f"{to}:v1")
        seconds, _ = self.timed(
            [
                *(
                    "docker",
                    "buildx",
                    "build",
                    "--quiet",
                    "--provenance=false",
                    f"--platform=linux/{arch}",
                ),
                *(f"--build-arg=BASE={self.base}", f"--tag={to}:v1", "--push", *more),
                str(self.work / f"context-{arch}"),
            ],
            cwd=self.work,
        )
        return seconds

    def timed(self, argv: Sequence[str], cwd: Path) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run(
            argv, cwd=cwd, env=self.env, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{argv}\n{done.stderr}")
        return seconds, done.stdout

    def record(self, arch: str) -> Path:
        return self.work / "project" / "dist" / f"project-{RELEASE}-{arch}.packager.json"

    def change_code(self) -> None:
        code = f"print({time.perf_counter_ns()})\n"
        (self.work / "project" / "src" / "jobs.py").write_text(code, encoding="utf-8")

    def fill_context(self, arch: str) -> None:
        record = json.loads(self.record(arch).read_text(encoding="utf-8"))
        context = self.work / f"context-{arch}"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        for one in record["artifacts"]:
            if one["kind"] in {"environment", "app"}:
                place = context / f"{one['kind']}.tar.gz"
                place.unlink(missing_ok=True)
                shutil.copyfile(self.work / "project" / "dist" / one["file"], place)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--store", type=Path, help="wheel store to reuse, or to fill")
    parser.add_argument(
        "--work", type=Path, help="folder to work in; else one that goes afterwards"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="packager-bench-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        (work / "registry").mkdir(exist_ok=True)
        with serve(work / "registry") as registry:
            bench = set_up(registry, work, (options.store or work / "store").resolve())
            try:
                show(bench, run(bench, options.runs), options.runs)
            finally:
                docker("image", "rm", "--force", bench.base, *bench.made)


def set_up(registry: Registry, work: Path, store: Path) -> Bench:
    config = work / "docker"
    config.mkdir(exist_ok=True)
    entry = {"username": registry.user, "password": registry.password}
    (config / "config.json").write_text(json.dumps({"auths": {registry.host: entry}}))
    env = {
        **os.environ,
        "DOCKER_CONFIG": str(config),
        "PACKAGER_CACHE_DIR": str(store),
        "PACKAGER_CLEAN_ROOM": "off",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    base = f"{registry.host}/bases/spark:{RELEASE}"
    docker("tag", stand_in.image(), base)
    docker("--config", str(config), "push", "--quiet", base)
    docker("image", "rm", base)
    docker("--config", str(config), "pull", "--quiet", "--platform=linux/amd64", base)
    docker("--config", str(config), "pull", "--quiet", "--platform=linux/arm64", base)
    project = work / "project"
    shutil.rmtree(project, ignore_errors=True)
    (project / "src").mkdir(parents=True)
    shutil.copyfile(REFERENCE, project / "requirements.txt")
    table = (
        f'[project]\nname = "project"\nversion = "1"\n\n[tool.packager]\nrelease = "{RELEASE}"\n'
    )
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    wheel = '[tool.hatch.build.targets.wheel.force-include]\n"src/jobs.py" = "jobs.py"\n'
    (project / "pyproject.toml").write_text(f"{table}\n{build}\n{wheel}", encoding="utf-8")
    bench = Bench(registry=registry, work=work, env=env, store=store, base=base)
    bench.change_code()
    bench.timed([sys.executable, "-m", "packager", "pack", "--arch", "all", "--quiet"], cwd=project)
    return bench


def run(bench: Bench, runs: int) -> dict[str, list[float]]:
    kept, dockers = bench.fresh(), bench.fresh()
    bench.build("set up", bench.work / "project", kept)
    for arch in ARCHES:
        bench.fill_context(arch)
    bench.docker_build("amd64", dockers)
    bench.validate(bench.load())

    def first(arch: str) -> Callable[[], float]:
        def timed() -> float:
            bench.forget_layers()
            return bench.build(f"packager {arch}", bench.record(arch), bench.fresh())

        return timed

    def by_docker(arch: str) -> Callable[[], float]:
        return lambda: bench.docker_build(arch, bench.fresh(), "--no-cache")

    def changed() -> float:
        bench.build("set up", bench.work / "project", kept)  # other rows forget layers
        bench.change_code()
        return bench.build("packager, code changed", bench.work / "project", kept)

    def changed_by_docker() -> float:
        bench.change_code()
        seconds, _ = bench.timed(
            [sys.executable, "-m", "packager", "pack", "--quiet"], cwd=bench.work / "project"
        )
        bench.fill_context("amd64")
        return seconds + bench.docker_build("amd64", dockers)

    def validated_anew() -> float:
        bench.change_code()
        return bench.validate(bench.load())

    rows: dict[str, Callable[[], float]] = {
        "packager amd64": first("amd64"),
        "packager arm64": first("arm64"),
        "packager, code changed": changed,
        "packager, nothing changed": lambda: bench.build(
            "packager, nothing changed", bench.work / "project", kept
        ),
        "validate, code changed": validated_anew,
        "validate, nothing changed": lambda: bench.validate(bench.load()),
        "docker amd64": by_docker("amd64"),
        "docker arm64": by_docker("arm64"),
        "docker, code changed": changed_by_docker,
    }
    results: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(runs):
        for name, row in rows.items():
            results[name].append(row())
    return results


def show(bench: Bench, results: dict[str, list[float]], runs: int) -> None:
    middle = {name: median(seconds) for name, seconds in results.items()}
    print(f"median of {runs}; seconds, and megabytes sent")
    for name, seconds in results.items():
        sent = bench.sent.get(name)
        told = f"{median(sent) / MB:9.3f} MB" if sent else ""
        print(f"{name:28} {middle[name]:7.2f}  ({min(seconds):.2f} to {max(seconds):.2f}) {told}")
    for name, one, other in (
        ("docker / packager, amd64", "docker amd64", "packager amd64"),
        ("docker / packager, arm64", "docker arm64", "packager arm64"),
        ("docker / packager, code changed", "docker, code changed", "packager, code changed"),
    ):
        print(f"{name:34} {middle[one] / middle[other]:6.2f}")
    print("against the bars")
    bars = (
        ("arm64 / amd64", middle["packager arm64"] / middle["packager amd64"], "at most 1.2"),
        ("code changed, seconds", middle["packager, code changed"], "under 5"),
        ("code changed, MB sent", median(bench.sent["packager, code changed"]) / MB, "under 1"),
        ("validate, code changed, seconds", middle["validate, code changed"], "under 3"),
        ("validate, nothing changed, seconds", middle["validate, nothing changed"], "under 3"),
        ("docker / packager", middle["docker amd64"] / middle["packager amd64"], "at least 3"),
    )
    for name, figure, bar in bars:
        print(f"{name:34} {figure:9.3f}  {bar}")


if __name__ == "__main__":
    main()
