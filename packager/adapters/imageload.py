"""Images that are handed to an engine: our layers and the documents; the base's layers it has.

The tar is an OCI layout and what `docker save` wrote before that, so that engines of either image
store read it. Layers that the engine has are left out: it looks for content by digest, or for
layers by what lies below them, before it looks into the tar.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from packager.adapters.engine import client, connect, failures, image_id
from packager.errors import CommandError
from packager.imagemaking import Made
from packager.references import Reference

LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'


def load(made: Made, name: Reference, env: Mapping[str, str]) -> None:
    """Give the image to the engine under `name`. Raise `CommandError` where it does not take it."""
    engine = connect(env)
    platform = made.platform
    familiar = str(name)
    expected = {made.image.manifest.digest, made.image.config.digest}
    if image_id(env, familiar) in expected:
        return
    with (
        tempfile.TemporaryDirectory(prefix="packager-") as folder,
        tempfile.TemporaryFile(prefix="packager-") as file,
    ):
        _write(made, familiar, file, Path(folder))
        file.seek(0)
        with (
            failures(engine, image=familiar, platform=platform, doing="load the image"),
            client(engine) as api,
        ):
            for event in api.load_image(file, quiet=True):
                if "error" in event:
                    raise CommandError(
                        f"{engine.name} does not take the image {familiar}",
                        why=str(event["error"]),
                        fix=f"bring the base anew: docker pull --platform {platform} "
                        f"{made.image.base.name}",
                    )
    found = image_id(env, familiar)
    if found is not None and found not in expected:
        raise CommandError(
            f"{familiar} in {engine.name} is another image than the one it was given",
            why=f"it says {found or 'that there is none'}, and should say {min(expected)}",
            fix="somebody else may have used the name: try again",
        )


def _write(made: Made, name: str, out: Any, folder: Path) -> None:
    image = made.image
    described = {
        **image.manifest.descriptor.document(),
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        },
        "platform": dict(zip(("os", "architecture"), made.platform.split("/"), strict=True)),
    }
    index = {"schemaVersion": 2, "manifests": [described]}
    layers = [_blob(layer.digest) for layer in made.layers]
    config = _blob(image.config.digest)
    old = [{"Config": config, "RepoTags": [name.removeprefix("docker.io/")], "Layers": layers}]
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, "oci-layout", LAYOUT)
        _add(tar, "index.json", json.dumps(index).encode())
        _add(tar, "manifest.json", json.dumps(old).encode())
        _add(tar, _blob(image.manifest.digest), image.manifest.content)
        _add(tar, config, image.config.content)
        for layer in (*made.brought, *image.own_descriptors):
            brought = folder / layer.digest.rpartition(":")[2]
            info = tarfile.TarInfo(_blob(layer.digest))
            info.size = layer.size
            with made.layers[layer](brought).open("rb") as file:
                tar.addfile(info, file)
            brought.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
