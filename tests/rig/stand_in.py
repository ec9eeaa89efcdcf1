"""A stand-in for the base image of a release, made of Debian's packages and PySpark's own Spark."""

import concurrent.futures
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.rig import debian
from tests.rig.commands import run, succeeds
from tests.rig.engine import MACHINES_OWN, PLATFORMS, Engine, answers, docker, environment

RELEASE: Final = "emr-7.13.0"
REPOSITORY: Final = f"emr-serverless-stand-in/spark/{RELEASE}"
"""As EMR's own is named, but nobody can pull from it."""
SPARK: Final = "3.5.6"
SUITE: Final = "bookworm"
"""Its `/usr/bin/python3.11` is where the release has its own."""
PACKAGES: Final = (
    "ca-certificates",
    "openjdk-17-jre-headless",
    "procps",
    "python3.11",
    "python3-pip",
    "python3-venv",
    "tini",
)
RECIPE: Final = Path(__file__).with_name("stand-in")
CONFIGURE_ARM64: Final = RECIPE / "configure-arm64.sh"


def cache() -> Path:
    """What is slow to make, 1.2 GB: with `XDG_CACHE_HOME` unset, below `/var/cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "packager-rig"


def image() -> str:
    """Named by its recipe, so that checkouts of several versions get along on one machine."""
    return f"{REPOSITORY}:{recipe()}"


def lacking(engine: Engine = MACHINES_OWN) -> str:
    """Why tests cannot use the stand-in; nothing when they can."""
    there = succeeds("docker", "image", "inspect", image(), env=environment(engine))
    return "" if there else f"there is no image {image()}"


def bring_up(engine: Engine = MACHINES_OWN) -> None:
    if lacking(engine):
        if not installed():
            debian.install()
        fill_cache(cache())
        build(engine)


def installed() -> bool:
    programs = all(map(shutil.which, ("mmdebstrap", "arch-test")))
    return programs and succeeds(python_with_pip(), "-c", "import pip")


def remove(engine: Engine = MACHINES_OWN) -> None:
    """The images of all recipes, and all that making them has left."""
    if answers(engine):
        listed = docker("image", "ls", "--format", "{{.Tag}}", REPOSITORY, engine=engine)
        for tag in listed.split():
            docker("image", "rm", "--force", f"{REPOSITORY}:{tag}", engine=engine)
    shutil.rmtree(cache(), ignore_errors=True)


def recipe() -> str:
    """Another one whenever the image would be made differently."""
    texts = [path.read_bytes() for path in sorted(RECIPE.iterdir())]
    return digest(*texts, repr((RELEASE, SPARK, SUITE, PACKAGES)).encode())


def digest(*texts: bytes) -> str:
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def root(folder: Path, arch: str) -> Path:
    """A root file system, named by what it is made of."""
    made_of = repr((SUITE, PACKAGES)).encode(), CONFIGURE_ARM64.read_bytes()
    return folder / f"root-{digest(*made_of)}-{arch}.tar"


def sdist(folder: Path) -> Path:
    return folder / f"pyspark-{SPARK}.tar.gz"


def fill_cache(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        spark = pool.submit(fetch_spark, folder)
        make_roots(folder)
        spark.result()


def fetch_spark(folder: Path) -> None:
    """PySpark's sdist has all of Spark inside, and is had from any package index."""
    if sdist(folder).exists():
        return
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        run(
            *(python_with_pip(), "-m", "pip", "download", "--quiet", "--dest", partial),
            *("--no-deps", "--no-binary", "pyspark", f"pyspark=={SPARK}"),
        )
        (Path(partial) / sdist(folder).name).rename(sdist(folder))


def python_with_pip() -> str:
    return sys.executable if importlib.util.find_spec("pip") else "/usr/bin/python3"


def make_roots(folder: Path) -> None:
    """One root file system for each architecture.

    To configure arm64's packages under emulation takes six minutes. So they are only unpacked, and
    what configuring has made for amd64, which is the same but for a few names, is laid over them.
    """
    for outdated in set(folder.glob("root-*.tar")) - {root(folder, "amd64"), root(folder, "arm64")}:
        outdated.unlink()
    if not root(folder, "amd64").exists():
        unpack("--variant=minbase", to=root(folder, "amd64"))
    if not root(folder, "arm64").exists():
        unpack(
            *("--variant=extract", "--architectures=arm64"),
            *("--include=?essential", "--include=?priority(required)"),
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            f'--extract-hook={CONFIGURE_ARM64} "$1" {root(folder, "amd64")}',
            to=root(folder, "arm64"),
        )


def unpack(*options: str, to: Path) -> None:
    partial = to.with_suffix(f".{os.getpid()}.tar")
    packages = ",".join(PACKAGES)
    source = f"deb {debian.mirror()} {SUITE} main"
    try:
        run(
            *("mmdebstrap", "--quiet", f"--include={packages}", *options),
            *(SUITE, str(partial), source),
        )
        partial.rename(to)
    finally:
        partial.unlink(missing_ok=True)


def build(engine: Engine) -> None:
    """Both architectures under one name; uncompressed, since it is never sent anywhere."""
    platforms = ",".join(PLATFORMS)
    docker(
        *("buildx", "build", "--progress=plain", "--provenance=false", f"--platform={platforms}"),
        *("--file", RECIPE / "Dockerfile", f"--build-context=recipe={RECIPE}"),
        *(f"--build-arg=SPARK={SPARK}", f"--build-arg=ROOT={root(cache(), '').stem}"),
        f"--output=type=image,name={image()},compression=uncompressed",
        cache(),
        engine=engine,
    )
