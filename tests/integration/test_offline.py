"""`--offline`: what was packed once is packed again without a single connection."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import Command
from tests.conftest import Wall
from tests.foreign import locked_project
from tests.index import Index, make_sdist
from tests.integration.test_inputs import make_package, uv
from tests.integration.test_pack import make_project
from tests.mirror import Mirror, mirror, says

pytestmark = pytest.mark.tools


@pytest.fixture
def tripwire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Mirror]]:
    """From its call on, this process can not connect, and others come to one place if they do."""
    with mirror(says(500)) as trap:

        def laid() -> Mirror:
            Wall.connect = False
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, trap.url)
                monkeypatch.setenv(name.lower(), trap.url)
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.setenv(name, "")
            return trap

        yield laid
        Wall.connect = True


def uv_lock(root: Path, index: Index) -> Path:
    index.wheel("fruit")
    make_project(root, dependencies=("fruit",))
    uv(root, "lock")
    return root


def pylock(root: Path, index: Index) -> Path:
    wheel = index.wheel("fruit")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    make_project(root)
    url = f"{index.url.removesuffix('simple')}files/{wheel.name}"
    (root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "tests"\n[[packages]]\nname = "fruit"\n'
        f'version = "1.0"\nwheels = [{{ url = "{url}", hashes = {{ sha256 = "{digest}" }} }}]\n'
    )
    return root


def hashed_requirements(root: Path, index: Index) -> Path:
    digest = hashlib.sha256(index.wheel("fruit").read_bytes()).hexdigest()
    make_project(root)
    (root / "requirements.txt").write_text(f"fruit==1.0 --hash=sha256:{digest}\n")
    return root


def pdm_lock(root: Path, index: Index) -> Path:
    return locked_project(root, index, "pdm.lock")


def an_sdist(root: Path, index: Index) -> Path:
    backend = (make_package(root.parent / "seed", "seed") / "backend.py").read_text()
    files = {"pyproject.toml": (root.parent / "seed" / "pyproject.toml").read_text()}
    files |= {"backend.py": backend, "seed/__init__.py": ""}
    path = make_sdist(index.folder, "seed", "1.0", files)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    make_project(root)
    (root / "requirements.txt").write_text(f"seed==1.0 --hash=sha256:{digest}\n")
    return root


KINDS = (uv_lock, pylock, hashed_requirements, pdm_lock, an_sdist)


@pytest.mark.parametrize("make", KINDS)
def test_what_was_packed_once_needs_no_connection(
    packager: Command,
    index: Index,
    tmp_path: Path,
    tripwire: Callable[[], Mirror],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path, Index], Path],
) -> None:
    root = make(tmp_path / "project", index)
    first = packager("pack", "--release", "emr-7.13.0", cwd=root)
    assert first.code == 0, first.err
    asked = len(index.requests)
    trap = tripwire()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another uv-cache"))
    got = packager("pack", "--release", "emr-7.13.0", "--offline", cwd=root)
    assert (got.code, got.out) == (0, first.out), got.err
    assert (trap.connections, len(index.requests)) == (0, asked)


def test_what_is_missing_is_named_with_a_way_out(
    packager: Command, index: Index, tmp_path: Path, tripwire: Callable[[], Mirror]
) -> None:
    root = uv_lock(tmp_path / "project", index)
    asked = list(index.requests)
    trap = tripwire()
    got = packager("pack", "--offline", cwd=root)
    assert got.code == 2
    name = "fruit-1.0-py3-none-any.whl"
    assert got.error[0] == f"{name} is not in the store, and packager is offline"
    assert got.error[2].startswith("pack once without --offline")
    assert (trap.connections, index.requests, list((root / "dist").iterdir())) == (0, asked, [])


def test_what_no_lock_pins_says_why_not(
    packager: Command,
    index: Index,
    tmp_path: Path,
    tripwire: Callable[[], Mirror],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make_project(tmp_path / "project", dependencies=("fruit",))
    trap = tripwire()
    monkeypatch.setenv("UV_OFFLINE", "true")  # as uv is told
    got = packager("pack", cwd=root)
    assert got.code == 2
    assert got.error[0] == f"the dependencies in {root} can not be resolved offline"
    assert "with a lock that has hashes, no index is asked again" in " ".join(got.error[2].split())
    assert trap.connections == 0


def test_a_commit_that_was_never_built_is_named(
    packager: Command, index: Index, tmp_path: Path, tripwire: Callable[[], Mirror]
) -> None:
    root = make_project(tmp_path / "project")
    (root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "tests"\n[[packages]]\nname = "seed"\nvcs = '
        f'{{ type = "git", url = "https://host/x.git", commit-id = "{"c" * 40}" }}\n'
    )
    trap = tripwire()
    got = packager("pack", "--offline", cwd=root)
    assert got.code == 2
    assert "the wheel of seed, built of its commit, is not in the store" in got.error[0]
    assert trap.connections == 0
