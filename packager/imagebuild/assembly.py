"""An image's documents from those of its base and the layers on top. Pure: same in, same out.

What the base says stays as it is, in its order, but for what is named here. No clock is read: times
are those of the epoch, as in other reproducible images.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packager.errors import ConfigError
from packager.imagebuild.foundation import UNCOMPRESSED, BaseImage
from packager.imagebuild.layering import ImageLayer
from packager.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Descriptor,
    Document,
)
from packager.record import Record, made_of

EPOCH: Final = "1970-01-01T00:00:00Z"
ROOT: Final = "/opt/packager"
PYTHON: Final = f"{ROOT}/environment/bin/python"
PYTHON_VARIABLES: Final = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
USER: Final = "hadoop:hadoop"
PROTECTED: Final = frozenset(("JAVA_HOME", "SPARK_HOME", "HIVE_HOME", "TEZ_HOME"))
"""UG, "Customizing an image": not to be changed."""
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_UNCOMPRESSED: Final = "application/vnd.docker.image.rootfs.diff.tar"
RECORD_LABEL: Final = "emr-serverless-packager.record"
"""SHA-256 of what the image is made of, as `made_of` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """An image of one platform that is not anywhere yet."""

    base: BaseImage
    own: tuple[ImageLayer, ...]
    config: Document
    manifest: Document

    @property
    def size(self) -> int:
        """Bytes of all layers, as they are transferred."""
        return self.base.size + sum(layer.size for layer in self.own)

    @property
    def own_descriptors(self) -> tuple[Descriptor, ...]:
        return tuple(map(_descriptor, self.own))


def assemble(
    base: BaseImage,
    layers: Sequence[ImageLayer],
    record: Record,
    *,
    env: Mapping[str, str],
    labels: Mapping[str, str],
) -> Assembled:
    """`env` is `variables` of the user's; the user's `labels` count before ours."""
    config = copy.deepcopy(dict(base.config))
    own = dict(config.get("config") or {})
    own["User"] = USER
    own["Env"] = _with_variables(own.get("Env") or [], env)
    own["Labels"] = {**(own.get("Labels") or {}), **_labels(base, record), **labels}
    config["config"] = own
    config["created"] = EPOCH
    rootfs = config["rootfs"]
    rootfs["diff_ids"] = [*rootfs["diff_ids"], *(layer.diff_id for layer in layers)]
    config["history"] = [
        *(config.get("history") or []),
        *(
            {"created": EPOCH, "created_by": f"packager image build: {layer.name}"}
            for layer in layers
        ),
    ]
    written = Document(media_type=DOCKER_CONFIG, content=_json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": written.descriptor.document(),
        "layers": [
            *(_as_dockers(layer).document() for layer in base.layers),
            *(_descriptor(layer).document() for layer in layers),
        ],
    }
    return Assembled(
        base=base,
        own=tuple(layers),
        config=written,
        manifest=Document(media_type=DOCKER_MANIFEST, content=_json(manifest)),
    )


def scratch(layers: Sequence[ImageLayer], platform: str) -> tuple[Document, Document]:
    """Configuration and manifest of an image that has these layers and nothing below, as OCI's."""
    os, _, architecture = platform.partition("/")
    config = {
        "architecture": architecture,
        "os": os,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    written = Document(media_type=OCI_CONFIG, content=_json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": written.descriptor.document(),
        "layers": [{**_descriptor(one).document(), "mediaType": OCI_LAYER} for one in layers],
    }
    return written, Document(media_type=OCI_MANIFEST, content=_json(manifest))


def python_unless_set(config: Mapping[str, Any]) -> dict[str, str]:
    """The variables by which jobs find their Python, where an image does not have them."""
    lines = (config.get("config") or {}).get("Env") or []
    there = {line.partition("=")[0] for line in lines}
    return {name: PYTHON for name in PYTHON_VARIABLES if name not in there}


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """The user's, and those by which jobs find their Python.

    Raise `ConfigError` for a variable that has to stay as it is.
    """
    for name in env:
        if name in PROTECTED:
            raise ConfigError(
                f"{name} of the image has to stay as it is",
                why="EMR Serverless starts Spark by it",
                fix="name the home of another JDK with `java` of [tool.packager.image]: jobs are"
                " told of it by Spark properties"
                if name == "JAVA_HOME"
                else "remove it from `env` of [tool.packager.image]",
            )
        if name in PYTHON_VARIABLES:
            raise ConfigError(
                f"{name} is set by packager, to {PYTHON}",
                why="it is the Python that has the project's packages",
                fix="remove it from `env` of [tool.packager.image]",
            )
    return {**env, **dict.fromkeys(PYTHON_VARIABLES, PYTHON)}


def _with_variables(lines: Sequence[str], new: Mapping[str, str]) -> list[str]:
    kept = [line for line in lines if line.partition("=")[0] not in new]
    return [*kept, *(f"{name}={value}" for name, value in new.items())]


def _labels(base: BaseImage, record: Record) -> dict[str, str]:
    labels = {
        "org.opencontainers.image.title": record.project,
        "org.opencontainers.image.version": record.version or "",
        "org.opencontainers.image.revision": record.commit,
        "org.opencontainers.image.base.name": base.name.partition("@")[0],
        "org.opencontainers.image.base.digest": base.digest,
        RECORD_LABEL: made_of(record),
    }
    return {key: value for key, value in labels.items() if value}


def _descriptor(layer: ImageLayer) -> Descriptor:
    return Descriptor(media_type=DOCKER_LAYER, digest=layer.digest, size=layer.size)


def _as_dockers(layer: Descriptor) -> Descriptor:
    """The same bytes under the name that Docker's manifests have for them."""
    kind = DOCKER_UNCOMPRESSED if layer.media_type in UNCOMPRESSED else DOCKER_LAYER
    return Descriptor(media_type=kind, digest=layer.digest, size=layer.size)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
