"""Projects that Poetry, PDM and Pipenv locked, with an index that has what they pin."""

import hashlib
import json
import re
import shutil
from pathlib import Path

from tests.index import BACKEND, Index

LOCKS = Path(__file__).parent / "locks"
"""What the tools themselves wrote."""

SAMPLES = {
    "poetry.lock": ("poetry", "pyproject.toml", "dev"),
    "pdm.lock": ("pdm", "pyproject.toml", "dev"),
    "Pipfile.lock": ("pipenv", "Pipfile", "develop"),
}
"""By lock: its folder, the file that was locked, and the group for development."""

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
