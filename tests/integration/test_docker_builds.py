"""Builds in Docker, on a real engine: what comes out, what is kept, and how they fail."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from packager import dockerbuild
from packager.adapters.engine import client, connect
from tests.archives import elf
from tests.command import Command
from tests.index import Index, make_sdist, serve
from tests.integration.test_pack import make_project

pytestmark = pytest.mark.docker

HERE = Path(__file__).parent
RELEASE = "emr-7.13.0"
USER, PASSWORD, PROXY_PASSWORD = "some-body", "s3cret-of-the-index", "s3cret-of-the-proxy"
AUTHORITY = "s3cret-comment-of-a-certificate"

BACKEND = """
import os, pathlib, platform, subprocess, zipfile

def get_requires_for_build_wheel(config_settings=None):
    return []

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    {first}
    subprocess.run(["tcc", "-shared", "-o", "twice.so", "twice.c"], check=True)
    tag = f"cp311-cp311-linux_{{platform.machine()}}"
    name = f"quick-1.0-{{tag}}.whl"
    info = "quick-1.0.dist-info"
    files = {{
        "quick/__init__.py": b"import ctypes, os\\n"
        b"twice = ctypes.CDLL(os.path.join(os.path.dirname(__file__), 'twice.so')).twice\\n",
        "quick/twice.so": pathlib.Path("twice.so").read_bytes(),
        f"{{info}}/METADATA": b"Metadata-Version: 2.1\\nName: quick\\nVersion: 1.0\\n",
        f"{{info}}/WHEEL": f"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: {{tag}}\\n".encode(),
        f"{{info}}/RECORD": b"",
    }}
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(zipfile.ZipInfo(path), data)
    return name
"""
SOURCE = "int twice(int value) { return 2 * value; }\n"


@pytest.fixture(scope="session")
def images(
    base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """Images to build in, by stage of `compilers.Dockerfile`; their layers stay in the cache."""
    nothing = tmp_path_factory.mktemp("context")
    made = {
        stage: f"packager-tests/{stage}:{os.getpid()}"
        for stage in ("compilers", "small", "bare", "pythonless")
    }
    for stage, name in made.items():
        platforms = "linux/amd64,linux/arm64" if stage == "compilers" else "linux/amd64"
        docker(
            *("buildx", "build", "--provenance=false", "--platform", platforms),
            *("--target", stage, "--build-arg", f"BASE_IMAGE={base_image}"),
            *("--file", HERE / "compilers.Dockerfile"),
            *("--output", f"type=image,name={name},compression=uncompressed", nothing),
        )
    yield made
    docker("image", "rm", "--force", *made.values())


def docker(*words: str | Path) -> str:
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def gateway() -> str:
    """This machine's address as containers see it."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    return docker("network", "inspect", "bridge", "--format", form).strip() or "172.17.0.1"


@pytest.fixture
def place(
    tmp_path: Path, gateway: str, images: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator["Place"]:
    """A folder with blanks in its name, and an index that builds reach."""
    folder = tmp_path / "my projects"
    with serve(folder / "index", host=gateway) as served:
        for name in tuple(os.environ):
            if name.startswith(("UV_", "PIP_")) or name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        monkeypatch.setenv("UV_NO_CONFIG", "1")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PACKAGER_CACHE_DIR", str(folder / "the store"))
        monkeypatch.setenv("PACKAGER_RELEASE", RELEASE)
        monkeypatch.setenv("PACKAGER_CLEAN_ROOM", "off")
        monkeypatch.setenv("PACKAGER_BASE_IMAGE", images["compilers"])
        yield Place(folder, served)


class Place:
    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.index = index
        self.store = folder / "the store"

    def project(self, *dependencies: str, tool: str = "") -> Path:
        return make_project(self.folder / "a project", dependencies=dependencies, tool=tool)

    def sdist(self, *, first: str = "pass", source: str = SOURCE, requires: str = "") -> None:
        """A source archive of `quick`, which this machine has no compiler for."""
        make_sdist(
            self.index.folder,
            "quick",
            "1.0",
            {
                "pyproject.toml": f"[build-system]\nrequires = [{requires}]\n"
                'build-backend = "backend"\nbackend-path = ["."]\n',
                "backend.py": BACKEND.format(first=first),
                "twice.c": source,
            },
        )

    def left(self) -> list[str]:
        """What builds have left where they work."""
        tmp = self.store / "tmp"
        return [p.name for p in tmp.iterdir()] if tmp.is_dir() else []


def records(root: Path) -> dict[str, dict[str, object]]:
    found = [json.loads(path.read_text()) for path in (root / "dist").glob("*.packager.json")]
    return {record["arch"]: record for record in found}


def environment(root: Path, arch: str = "amd64") -> dict[str, tuple[int, bytes | str]]:
    """Mode and content of every member of the environment that lies in `dist`."""
    artifacts = records(root)[arch]["artifacts"]
    assert isinstance(artifacts, list)
    name = next(a["file"] for a in artifacts if a["kind"] == "environment")
    with tarfile.open(root / "dist" / name) as archive:
        members = archive.getmembers()
        files = {m.name: archive.extractfile(m) for m in members if m.isfile()}
        return {
            m.name: (m.mode, m.linkname if (file := files.get(m.name)) is None else file.read())
            for m in members
        }


@pytest.fixture
def without_docker_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """From its call on, whoever starts `docker` fails, and a file tells of it."""

    def forbid() -> Path:
        program, told = tmp_path / "bin" / "docker", tmp_path / "docker was started"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho \"$@\" >> '{told}'\nexit 1\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return told

    return forbid


def started(since: float) -> list[str]:
    """What the engine did with containers of the base image."""
    image = os.environ["PACKAGER_BASE_IMAGE"]
    with client(connect(os.environ)) as api:
        found = api.events(
            since=int(since),
            until=int(time.time()) + 1,
            filters={"type": "container", "image": image},
            decode=True,
        )
        return [event["Action"] for event in found]


# What comes out.


def test_a_compiled_package_is_built_for_both_architectures_once(
    place: Place, packager: Command, without_docker_command: Callable[[], Path]
) -> None:
    place.sdist()
    place.index.wheel("fruit")
    root = place.project("quick", "fruit")
    done = packager("pack", "--arch", "all", cwd=root)
    assert done.code == 0, done.err
    image = os.environ["PACKAGER_BASE_IMAGE"]
    for arch, machine in (("amd64", 0x3E), ("arm64", 0xB7)):
        assert f"Compiling quick for linux/{arch} in {image}" in done.err
        _, library = environment(root, arch)["lib/python3.11/site-packages/quick/twice.so"]
        assert isinstance(library, bytes)
        assert int.from_bytes(library[18:20], "little") == machine  # e_machine
        record = records(root)[arch]
        assert record["builder"] == "wheels"
        assert str(record["base_image"]).startswith(f"{image}@sha256:")
    assert place.left() == []
    assert "Compiling fruit" not in done.err

    # Once more, and with other code: nothing is built, so no `docker` is started.
    told = without_docker_command()
    again = packager("pack", "--arch", "all", cwd=root)
    assert (again.code, again.out) == (0, done.out), again.err
    (root / "shop" / "__init__.py").write_text("X = 2\n", encoding="utf-8")
    changed = packager("pack", "--arch", "all", cwd=root)
    assert changed.code == 0, changed.err
    assert changed.out != done.out
    assert not told.exists()
    # What is not to be taken from before is built again.
    assert packager("pack", "--no-cache", cwd=root).code != 0
    assert told.read_text().startswith("buildx")


def test_both_builders_give_the_same_files(
    place: Place, packager: Command, without_docker_command: Callable[[], Path]
) -> None:
    place.index.wheel(
        "fruit",
        files={
            "fruit/__init__.py": "def main(): ...\n",
            "fruit/data/table.csv": "1,2\n" * 100,
            "fruit-1.0.data/scripts/peel": "#!python\nimport fruit\n",
            "fruit-1.0.data/data/etc/fruit.conf": "x\n",
            "fruit-1.0.data/headers/fruit.h": "int x;\n",
        },
        entry_points={"juice": "fruit:main"},
        requires=["seed"],
    )
    place.index.wheel("seed", files={"seed.py": "S = 1\n"})
    place.index.wheel("setuptools", "70.0", {"setuptools/__init__.py": "mine\n"})
    root = place.project("fruit", "setuptools")
    assert packager("pack", "--builder", "wheels", cwd=root).code == 0
    wheels = environment(root)
    done = packager("pack", "--builder", "docker", cwd=root)
    assert done.code == 0, done.err
    assert records(root)["amd64"]["builder"] == "docker"
    assert environment(root) == wheels
    assert {"bin/juice", "bin/peel", "etc/fruit.conf"} <= set(wheels)

    since = time.time()
    told = without_docker_command()
    again = packager("pack", "--builder", "docker", cwd=root)
    assert (again.code, again.out) == (0, done.out), again.err
    (root / "shop" / "__init__.py").write_text("X = 2\n", encoding="utf-8")
    changed = packager("pack", "--builder", "docker", cwd=root)
    assert changed.code == 0, changed.err
    assert changed.out != done.out
    assert environment(root) == wheels
    assert "Installing" not in again.err + changed.err
    assert started(since) == []
    assert not told.exists()  # so that no step of a build ran either


def test_offline_nothing_is_built_and_what_is_kept_serves(
    place: Place, packager: Command, without_docker_command: Callable[[], Path]
) -> None:
    fruit = place.index.wheel("fruit")
    digest = hashlib.sha256(fruit.read_bytes()).hexdigest()
    root = place.folder / "a folder"
    root.mkdir()
    (root / "main.py").touch()
    (root / "requirements.txt").write_text(f"fruit==1.0 --hash=sha256:{digest}\n")
    docker_builder = ("pack", "--builder", "docker")
    done = packager(*docker_builder, cwd=root)
    assert done.code == 0, done.err
    told = without_docker_command()
    asked = len(place.index.requests)
    again = packager(*docker_builder, "--offline", cwd=root)
    assert (again.code, again.out) == (0, done.out), again.err
    shutil.rmtree(root / "dist")
    assert packager(*docker_builder, "--offline", cwd=root).code == 0
    for option in (("--no-cache",), ("--build-package", "gcc")):
        got = packager(*docker_builder, "--offline", *option, cwd=root)
        assert got.code == 2
        assert "and packager is offline" in got.error[0]
        assert got.error[2].startswith("pack once without --offline")
    unknown = ("--base-image", "registry.invalid/spark:1")
    got = packager(*docker_builder, "--offline", *unknown, cwd=root)
    assert (got.code, got.error[1]) == (2, "the engine does not have it")
    assert not told.exists()
    assert len(place.index.requests) == asked


def test_the_package_manager_brings_what_is_asked_for(
    place: Place, packager: Command, base_image: str
) -> None:
    place.sdist()
    root = place.project("quick")
    words = ("--base-image", base_image, "--build-package", "tcc", "--build-package", "libc6-dev")
    done = packager("pack", *words, cwd=root)
    assert done.code == 0, done.err


def test_a_project_with_a_part_of_its_own_to_compile(place: Place, packager: Command) -> None:
    root = place.folder / "native"
    root.mkdir()
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "quick"\nversion = "1.0"\n'
    )
    sdist = (
        "\ndef build_sdist(folder, config_settings=None):\n"
        "    import io, tarfile\n"
        "    with tarfile.open(os.path.join(folder, 'quick-1.0.tar.gz'), 'w:gz') as archive:\n"
        "        for name in ('pyproject.toml', 'backend.py', 'twice.c'):\n"
        "            archive.add(name, f'quick-1.0/{name}')\n"
        "    return 'quick-1.0.tar.gz'\n"
    )
    (root / "backend.py").write_text(BACKEND.format(first="pass") + sdist)
    (root / "twice.c").write_text(SOURCE)
    done = packager("pack", cwd=root)
    assert done.code == 0, done.err
    names = [path.name.rpartition("-")[0] for path in (root / "dist").glob("*.tar.gz")]
    assert sorted(names) == ["quick-app-py311-amd64", "quick-environment-py311-amd64"]


# Secrets.


def test_secrets_reach_the_build_and_leave_no_trace(
    place: Place,
    gateway: str,
    packager: Command,
    images: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PACKAGER_BASE_IMAGE", images["small"])
    place.index.wheel("tool", files={"tool.py": "T = 1\n"})
    place.sdist(requires='"tool"', first="import tool")
    root = place.project("quick")
    place.index.login = (USER, PASSWORD)
    monkeypatch.setenv("UV_DEFAULT_INDEX", place.index.url.replace("://", f"://{USER}:{PASSWORD}@"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PROXY_PASSWORD}@proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", gateway)
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(
        f"# {AUTHORITY}\n".encode() + Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    cache = tmp_path / "exported"
    argv: list[str] = []

    def exporting(*args: object, **kwargs: object) -> list[str]:
        argv[:] = original(*args, **kwargs)  # type: ignore[arg-type]
        return [
            *argv[:-1],
            f"--cache-to=type=local,dest={cache},mode=max,compression=uncompressed",
            argv[-1],
        ]

    original = dockerbuild.arguments
    monkeypatch.setattr("packager.adapters.buildkit.arguments", exporting)
    secrets = [text.encode() for text in (PASSWORD, PROXY_PASSWORD, AUTHORITY)]
    with seen_command_lines() as lines:
        done = packager("--debug", "pack", cwd=root)
    assert done.code == 0, done.err
    assert "/files/tool-1.0-py3-none-any.whl" in place.index.requests
    assert {f"--secret=id={name}" for name in ("ca", "netrc", "pip", "proxy")} <= {
        word.partition(",")[0] for word in argv
    }
    written = [*root.rglob("*"), *place.store.rglob("*"), *cache.rglob("*")]
    texts = [done.out.encode(), done.err.encode(), *lines]
    texts += [_inflated(path.read_bytes()) for path in written if path.is_file()]
    assert len(texts) > 10
    assert any(b"packager/tools/pip" in text for text in texts)  # layers are among them
    for secret in secrets:
        assert not [text[:200] for text in texts if secret in text]
    assert not list((tmp_path / "temporary").iterdir())


def _inflated(data: bytes) -> bytes:
    with contextlib.suppress(gzip.BadGzipFile, EOFError):
        return gzip.decompress(data)
    return data


@contextlib.contextmanager
def seen_command_lines() -> Iterator[set[bytes]]:
    """Every command line of this machine that is seen while the context lasts."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


# How builds fail.


def test_what_does_not_compile_is_shown_by_its_own_words(place: Place, packager: Command) -> None:
    place.sdist(source="int twice(int value) { return 2 * valeu; }\n")
    done = packager("pack", cwd=place.project("quick"))
    what, why, fix = done.error
    assert done.code == 4
    assert what.startswith("quick can not be compiled for linux/amd64 in packager-tests/compilers")
    assert "twice.c:1: error: 'valeu' undeclared" in why
    assert len(why.splitlines()) <= 20
    assert "build-packages" in fix
    assert place.left() == []


def test_an_index_that_builds_do_not_reach_is_told(
    place: Place, packager: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(place.folder / "index") as here:
        monkeypatch.setenv("UV_DEFAULT_INDEX", here.url)
        place.index.wheel("tool")
        place.sdist(requires='"tool"', first="import tool")
        done = packager("pack", cwd=place.project("quick"))
    what, _, fix = done.error
    assert (done.code, what) == (4, "the package index can not be reached from inside the build")
    assert "localhost is the build itself" in fix


@pytest.mark.parametrize(
    ("stage", "release", "what", "why"),
    [
        ("pythonless", "emr-7.13.0", "has no Python 3.11", "nothing at /usr/bin/python3.11"),
        ("bare", "emr-7.12.0", "has no Python 3.9", "Python 3.11.2"),
    ],
)
def test_a_base_image_without_the_python(
    place: Place,
    packager: Command,
    images: Mapping[str, str],
    stage: str,
    release: str,
    what: str,
    why: str,
) -> None:
    place.index.wheel("fruit")
    words = ("--builder", "docker", "--base-image", images[stage], "--release", release)
    done = packager("pack", *words, cwd=place.project("fruit"))
    assert (done.code, done.error[0]) == (2, f"{images[stage]} {what}")
    assert why in done.error[1]
    assert "--base-image" in done.error[2]


def test_a_base_image_of_another_architecture(
    place: Place, packager: Command, images: Mapping[str, str]
) -> None:
    place.index.wheel("fruit")
    words = ("--builder", "docker", "--arch", "arm64", "--base-image", images["bare"])
    done = packager("pack", *words, cwd=place.project("fruit"))
    assert (done.code, done.error[0]) == (
        2,
        f"the base image {images['bare']} has no linux/arm64 variant",
    )


@pytest.fixture
def alien(place: Place) -> Iterator[str]:
    """An image for arm64 whose shell nothing here can run."""
    name = f"packager-tests/alien:{os.getpid()}"
    program = bytearray(elf())
    program[18:20] = (22).to_bytes(2, "little")  # `e_machine` of an S/390
    files = {
        "etc/passwd": b"root:x:0:0::/:/bin/sh\n",
        "etc/group": b"root:x:0:\n",
        "bin/sh": bytes(program),
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    engine = connect(os.environ)
    with client(engine) as api:
        asked = {"fromSrc": "-", "repo": name, "platform": "linux/arm64"}
        url = f"{api.base_url}/v{engine.api}/images/create"
        api.post(url, params=asked, data=data.getvalue()).raise_for_status()
    yield name
    docker("image", "rm", "--force", name)


def test_an_architecture_that_nothing_emulates_is_told(
    place: Place, packager: Command, alien: str
) -> None:
    words = ("--builder", "docker", "--arch", "arm64", "--base-image", alien)
    done = packager("pack", *words, cwd=place.project())
    assert (done.code, done.error[0]) == (3, "the engine cannot run linux/arm64")
    assert "exec /bin/sh: exec format error" in done.error[1]
    assert "qemu-user-static" in done.error[2]


def test_a_dockerfile_of_one_s_own(place: Place, packager: Command) -> None:
    place.index.wheel("fruit")
    root = place.project("fruit", tool='dockerfile = "Dockerfile"\n')
    own = root / "Dockerfile"
    own.write_text("FROM scratch AS environment\n")
    done = packager("pack", "--builder", "docker", cwd=root)
    assert (done.code, done.error[0]) == (2, f"{own} has no stage `wheels`")
    text = (HERE.parent.parent / "dockerfiles/environment.Dockerfile").read_text()
    own.write_text(text.replace("FROM base AS compiled", "RUN touch /mine\nFROM base AS compiled"))
    assert packager("pack", "--builder", "docker", cwd=root).code == 0


def test_no_engine_is_told_as_what_it_is(
    place: Place, packager: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    place.sdist()
    root = place.project("quick")
    done = packager("pack", cwd=root)
    assert (done.code, done.error[0]) == (2, "no wheel for the target: quick")
    assert "or let Docker compile it, for which no container engine answers" in done.error[2]
    done = packager("pack", "--builder", "docker", cwd=root)
    assert done.code == 3
    assert done.error[0].startswith("no container engine answers at")


def test_an_interrupted_build_leaves_nothing_and_can_be_run_again(
    place: Place, gateway: str, images: Mapping[str, str]
) -> None:
    with holding(gateway) as (url, asked, release):
        place.sdist(first=f"import urllib.request; urllib.request.urlopen({url!r}).read()")
        root = place.project("quick")
        # Not all: others may use the engine, too. A build is given no tag.
        untagged = ("image", "ls", "--quiet", "--no-trunc", "--filter", "dangling=true")
        before = docker(*untagged)
        running = subprocess.Popen(
            [sys.executable, "-m", "packager", "pack"], cwd=root, stderr=subprocess.PIPE, text=True
        )
        assert asked.wait(50)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert running.stderr is not None
        running.stderr.close()
        assert place.left() == []
        assert not list((root / "dist").glob("*"))
        assert set(docker(*untagged).split()) <= set(before.split())
        assert docker("ps", "--quiet", "--filter", f"ancestor={images['compilers']}") == ""
        release.set()
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "packager", "pack"],
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        outcomes = [(*process.communicate(timeout=50), process.returncode) for process in both]
    assert [code for *_, code in outcomes] == [0, 0], outcomes
    assert outcomes[0][0] == outcomes[1][0]
    assert place.left() == []


@contextlib.contextmanager
def holding(host: str) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """An address that answers when it is released, and tells when it is asked."""
    asked, release = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            release.wait(60)
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody reads it."""

    server = ThreadingHTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/", asked, release
    finally:
        release.set()
        server.shutdown()
        server.server_close()
        thread.join()
