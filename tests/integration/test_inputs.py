"""Projects as other tools lock them, with real uv and an index of this test's own."""

import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.command import Command, Outcome
from tests.index import Index
from tests.integration.test_pack import BACKEND
from tests.test_foreignlocks import LOCKS, SAMPLES

pytestmark = pytest.mark.tools

VERSIONS = {
    "devtool": ("2.0",),
    "extra-one": ("1.0",),
    "extra-two": ("1.0",),
    "fruit": ("1.0",),
    "old": ("1.0", "2.0"),
    "seed": ("1.0", "1.1"),
    "winonly": ("1.0",),
}


def locked_project(root: Path, index: Index, name: str) -> Path:
    """A sample, with the hashes of the wheels that this index has."""
    folder, manifest, _ = SAMPLES[name]
    root.mkdir()
    shutil.copy(LOCKS / folder / manifest, root)
    text = (LOCKS / folder / name).read_text()
    for package, versions in VERSIONS.items():
        for version in versions:
            wheel = index.wheel(package, version)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            text = re.sub(rf'({wheel.name}", hash = "sha256:)\w+', rf"\g<1>{digest}", text)
    if name == "Pipfile.lock":
        document = json.loads(text)
        for section in ("default", "develop", "extra"):
            for package, row in document[section].items():
                version = row["version"].removeprefix("==")
                wheel = next(index.folder.glob(f"{package.replace('-', '_')}-{version}-*"))
                row["hashes"] = [f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"]
        text = json.dumps(document)
    (root / name).write_text(text.replace("https://index.example/simple", index.url))
    (root / "shop").mkdir()
    (root / "shop" / "__init__.py").write_text("")
    (root / "backend.py").write_text(BACKEND.format(name="shop", version="1.0", tag="py3-none-any"))
    return root


def packages(root: Path) -> set[str]:
    """What the environment has, and the app beside it."""
    found = set()
    for path in (root / "dist").glob("*.tar.gz"):
        with tarfile.open(path) as tar:
            found |= {
                m[1] for n in tar.getnames() if (m := re.search(r"([^/]+)\.dist-info/METADATA$", n))
            }
    return found


def pack(packager: Command, root: Path, *more: str) -> Outcome:
    return packager("pack", "--release", "emr-7.13.0", *more, cwd=root)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lock_of_another_tool_is_packed(
    packager: Command, index: Index, tmp_path: Path, name: str
) -> None:
    root = locked_project(tmp_path / "project", index, name)
    got = pack(packager, root, "--locked", "--arch", "all")
    assert got.code == 0, got.err
    app = set() if name == "Pipfile.lock" else {"shop-1.0"}
    assert packages(root) == {"fruit-1.0", "old-2.0", "seed-1.1"} | app
    asked = len(index.requests)
    assert pack(packager, root, "--arch", "all").code == 0
    assert len(index.requests) == asked, "what hashes settle is asked for once"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_of_another_hash_is_refused(
    packager: Command, index: Index, tmp_path: Path, name: str
) -> None:
    root = locked_project(tmp_path / "project", index, name)
    index.wheel("fruit", files={"fruit.py": "evil = True"})
    got = pack(packager, root)
    assert got.code == 2
    assert got.error[0] == f"the hashes of fruit 1.0 in {root / name} do not match"
    assert not (root / "dist").exists() or not list((root / "dist").iterdir())


def test_a_package_that_no_index_has_is_told(
    packager: Command, index: Index, tmp_path: Path
) -> None:
    root = locked_project(tmp_path / "project", index, "pdm.lock")
    next(index.folder.glob("seed-1.1-*")).unlink()
    got = pack(packager, root)
    assert got.code == 2
    assert "seed" in got.error[1]


def test_explain_builds_nothing(packager: Command, index: Index, tmp_path: Path) -> None:
    root = locked_project(tmp_path / "project", index, "poetry.lock")
    (root / "requirements.txt").write_text("fruit\n")
    got = pack(packager, root, "--explain")
    assert got.code == 0
    assert "dependencies  poetry.lock, as it pins them\nignored       requirements.txt\n" in got.out
    assert (got.err, index.requests, (root / "dist").exists()) == ("", [], False)


def test_without_a_lock_locked_is_refused(
    packager: Command, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = locked_project(tmp_path / "project", index, "pdm.lock")
    (root / "pdm.lock").unlink()
    monkeypatch.setenv("PACKAGER_LOCKED", "1")
    got = pack(packager, root)
    assert got.code == 2
    assert got.error[2] == "uv lock"
    assert index.requests == []
