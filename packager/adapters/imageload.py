"""Images that are handed to an engine: the documents, and the layers that it lacks.

The tar is an OCI layout and what `docker save` wrote before that, so that engines of either image
store read it. Layers that the engine has are left out: it looks for content by digest, or for
layers by what lies below them, before it looks into the tar. Which those are is known from the
images that engines were given before: one that has such an image still has its layers.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packager.adapters.containers import find_image
from packager.adapters.engine import Engine, client, connect, failures, image_id
from packager.errors import CommandError, ConfigError
from packager.imagemaking import Made, Memory
from packager.manifests import Descriptor
from packager.references import Reference

LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
GIVEN: Final = "given-images"
"""Where the store remembers what engines were given, by the layers in it."""
_REMEMBERED_IMAGES: Final = 4


def load(made: Made, name: Reference, env: Mapping[str, str], memory: Memory) -> int:
    """Give the image to the engine under `name`; the size in bytes of the layers that it lacked.

    Raise `CommandError` where it does not take it.
    """
    engine = connect(env)
    familiar = str(name)
    expected = _ids(made)
    if image_id(env, familiar) in expected:
        return 0
    own = (*made.brought, *made.image.own_descriptors)
    keys = _keys(engine, made, len(own))
    lacking = tuple(
        layer
        for layer, key in zip(own, keys, strict=True)
        if not any(_has(engine, env, ids, made.platform) for ids in _given(key, memory))
    )
    try:
        _load(engine, made, familiar, lacking)
    except CommandError:
        if lacking == own:
            raise
        lacking = own  # somebody removed them this moment, or it is a store we do not know
        _load(engine, made, familiar, lacking)
    found = image_id(env, familiar)
    if found is not None and found not in expected:
        raise CommandError(
            f"{familiar} in {engine.name} is another image than the one it was given",
            why=f"it says {found or 'that there is none'}, and should say {min(expected)}",
            fix="somebody else may have used the name: try again",
        )
    for key in keys:
        before = [one for one in _given(key, memory) if one != expected]
        kept = [expected, *before][:_REMEMBERED_IMAGES]
        memory.remember(GIVEN, key, "\n".join(" ".join(ids) for ids in kept))
    return sum(layer.size for layer in lacking)


def _ids(made: Made) -> tuple[str, ...]:
    """What engines call the image: after its manifest, or its configuration."""
    return made.image.manifest.digest, made.image.config.digest


def _keys(engine: Engine, made: Made, count: int) -> tuple[str, ...]:
    """For each of the upper `count` layers, after what the engine knows it by."""
    digests = [layer.digest for layer in _layers(made)]
    upper = range(len(digests) - count, len(digests))
    if engine.containerd_store:
        parts = [[digests[place]] for place in upper]
    else:  # by its tar, on top of just these layers
        parts = [digests[: place + 1] for place in upper]
    return tuple(hashlib.sha256("\0".join(part).encode()).hexdigest() for part in parts)


def _has(engine: Engine, env: Mapping[str, str], ids: Sequence[str], platform: str) -> bool:
    for identity in ids:
        found = image_id(env, identity)
        if found is None:  # the engine is elsewhere
            found = _id(engine, identity, platform)
        if found == identity:
            return True
    return False


def _id(engine: Engine, identity: str, platform: str) -> str:
    try:
        found = find_image(engine, identity, platform)
    except ConfigError:  # it is for another platform, and so is no image of ours
        return ""
    return found.id if found else ""


def _given(key: str, memory: Memory) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in (memory.recall(GIVEN, key) or "").splitlines()]


def _layers(made: Made) -> Sequence[Descriptor]:
    """All of them, and those twice that are there twice."""
    return (*made.image.base.layers, *made.image.own_descriptors)


def _load(engine: Engine, made: Made, familiar: str, lacking: Sequence[Descriptor]) -> None:
    platform = made.platform
    with (
        tempfile.TemporaryDirectory(prefix="packager-") as folder,
        tempfile.TemporaryFile(prefix="packager-") as file,
    ):
        _write(made, familiar, lacking, file, Path(folder))
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


def _write(made: Made, name: str, lacking: Sequence[Descriptor], out: Any, folder: Path) -> None:
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
    layers = [_blob(layer.digest) for layer in _layers(made)]
    config = _blob(image.config.digest)
    old = [{"Config": config, "RepoTags": [name.removeprefix("docker.io/")], "Layers": layers}]
    with tarfile.open(fileobj=out, mode="w") as tar:
        _add(tar, "oci-layout", LAYOUT)
        _add(tar, "index.json", json.dumps(index).encode())
        _add(tar, "manifest.json", json.dumps(old).encode())
        _add(tar, _blob(image.manifest.digest), image.manifest.content)
        _add(tar, config, image.config.content)
        for layer in dict.fromkeys(lacking):
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
