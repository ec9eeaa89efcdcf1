"""Images made of dicts: OCI layouts, and tars as Docker saves them."""

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

JAVA = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(20)
"""The begin of a program for amd64."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A member of a layer."""

    text: bytes = b""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    link: str = ""


def folder(mode: int = 0o755, uid: int = 0) -> Made:
    return Made(type=tarfile.DIRTYPE, mode=mode, uid=uid)


def symlink(target: str) -> Made:
    return Made(type=tarfile.SYMTYPE, link=target, mode=0o777)


def hardlink(target: str) -> Made:
    return Made(type=tarfile.LNKTYPE, link=target)


def program(text: bytes = JAVA, mode: int = 0o755) -> Made:
    return Made(text=text, mode=mode)


Files = Mapping[str, Made | str]
"""By path; a text is a file of it."""


def layer_tar(files: Files, format_: int = tarfile.PAX_FORMAT) -> bytes:
    return _tar(tuple(files.items()), format_)


@lru_cache(16)
def _tar(files: Sequence[tuple[str, Made | str]], format_: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as tar:
        for path, made in files:
            one = Made(text=made.encode()) if isinstance(made, str) else made
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.linkname = one.type, one.mode, one.link
            info.uid = info.gid = one.uid
            info.size = len(one.text)
            tar.addfile(info, io.BytesIO(one.text))
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


CONFIG: Mapping[str, Any] = {
    "User": "hadoop:hadoop",
    "WorkingDir": "/home/hadoop",
    "Entrypoint": ["/usr/bin/entrypoint.sh"],
    "Env": [
        "SPARK_HOME=/usr/lib/spark",
        "JAVA_HOME=/etc/alternatives/jre",
        "PYSPARK_PYTHON=/usr/bin/python3.11",
        "PATH=/usr/bin:/bin",
    ],
}


@dataclass(frozen=True, kw_only=True)
class Image:
    """What `write_layout` and `write_docker` write."""

    layers: Sequence[Files | bytes] = ()
    """Files, or a whole tar."""
    config: Mapping[str, Any] = field(default_factory=lambda: CONFIG)
    architecture: str = "amd64"
    history: Sequence[Mapping[str, Any]] = ()
    compress: Callable[[bytes], bytes] | None = None
    """None for layers as they are."""
    diff_ids: Sequence[str] | None = None
    """In place of those that it has."""

    def over(self, *layers: Files | bytes, **config: Any) -> "Image":
        """One that is made from it."""
        return replace(self, layers=(*self.layers, *layers), config={**self.config, **config})

    def without(self, *paths: str) -> "Image":
        """The same, with these never in it."""
        return replace(
            self,
            layers=[
                layer
                if isinstance(layer, bytes)
                else {path: made for path, made in layer.items() if path not in paths}
                for layer in self.layers
            ],
        )

    def env(self, *changes: str, without: Sequence[str] = ()) -> "Image":
        own = {line.partition("=")[0] for line in changes} | set(without)
        kept = [line for line in self.config["Env"] if line.partition("=")[0] not in own]
        return replace(self, config={**self.config, "Env": [*kept, *changes]})

    def tars(self) -> list[bytes]:
        return [one if isinstance(one, bytes) else layer_tar(one) for one in self.layers]

    def document(self) -> bytes:
        diff_ids = self.diff_ids or [digest(tar) for tar in self.tars()]
        return json.dumps(
            {
                "os": "linux",
                "architecture": self.architecture,
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": list(self.history),
            }
        ).encode()


@lru_cache(16)
def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


SPARK_BIN = "usr/lib/spark/bin"
SPARK_JARS = "usr/lib/spark/jars"
JARS = ("spark-core_2.12-3.5.6.jar", "spark-sql_2.12-3.5.6.jar", "spark-launcher_2.12-3.5.6.jar")
SYSTEM: Files = {
    "etc": folder(),
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nhadoop:x:999:998::/home/hadoop:/bin/bash\n",
    "etc/group": "root:x:0:\nhadoop:x:998:\n",
    "etc/alternatives/jre": symlink("/usr/lib/jvm/java-17"),
    "usr/lib/jvm/java-17/bin/java": program(),
    "usr/lib/jvm/java-17/release": 'IMPLEMENTOR="Amazon.com Inc."\nJAVA_VERSION="17.0.13"\n',
    "usr/bin/bash": program(),
    "usr/bin/env": program(),
    "usr/bin/sh": symlink("bash"),
    "bin": symlink("usr/bin"),
    "usr/bin/python3.11": program(),
    "usr/bin/python3": symlink("python3.11"),
    "usr/bin/tini": program(),
    "usr/bin/entrypoint.sh": program(b"#!/bin/sh\n"),
    "home/hadoop": folder(0o700, 999),
    "usr/lib/python3.11/site-packages/pip/__init__.py": "",
}
SPARK: Files = {
    **{f"{SPARK_BIN}/{name}": program(b"#!/bin/sh\n") for name in ("spark-class", "spark-submit")},
    **{f"{SPARK_JARS}/{name}": f"jar {name}" for name in JARS},
    "usr/lib/spark/python/lib/py4j-0.10.9.7-src.zip": "",
    "usr/lib/spark/python/lib/pyspark.zip": "",
    "etc/spark/conf/spark-defaults.conf": "spark.master local\n",
}
BASE = Image(layers=(SYSTEM, SPARK), compress=gzipped)
"""Like the base image of emr-7.13.0, as far as checks look."""


def programs(*names: str) -> Files:
    """This machine's own programs, with the libraries that they are linked to."""
    found: dict[str, Made] = {}
    for name in names:
        path = shutil.which(name)
        assert path, name
        linked = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        found[f"usr/bin/{name}"] = Made(text=Path(path).read_bytes(), mode=0o755)
        for library in re.findall(r"(/\S+) \(0x", linked):
            found[library.lstrip("/")] = Made(text=Path(library).read_bytes(), mode=0o755)
    return found


def blobs_of(image: Image, blobs: dict[str, bytes]) -> dict[str, Any]:
    """Put an image's blobs among others, and describe its manifest."""

    def put(data: bytes, type_: str) -> dict[str, Any]:
        blobs[digest(data)] = data
        return {"mediaType": type_, "digest": digest(data), "size": len(data)}

    kind = "application/vnd.oci.image.layer.v1.tar"
    layers = [
        put(image.compress(tar), f"{kind}+gzip") if image.compress else put(tar, kind)
        for tar in image.tars()
    ]
    config = put(image.document(), "application/vnd.oci.image.config.v1+json")
    manifest = {"schemaVersion": 2, "config": config, "layers": layers}
    text = json.dumps(manifest).encode()
    return {
        **put(text, "application/vnd.oci.image.manifest.v1+json"),
        "platform": {"os": "linux", "architecture": image.architecture},
    }


def layout(*images: Image, extra: Sequence[Mapping[str, Any]] = ()) -> dict[str, bytes]:
    """The files of an OCI layout; `extra` are more descriptors of its index."""
    blobs: dict[str, bytes] = {}
    manifests = [blobs_of(image, blobs) for image in images]
    index = {"schemaVersion": 2, "manifests": [*manifests, *extra]}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **{f"blobs/{name.replace(':', '/')}": data for name, data in blobs.items()},
    }


def docker_files(image: Image, tag: str = "x:1") -> dict[str, Made | str]:
    """What Docker before 25 saved; a layer that is there twice is a link."""
    config = image.document()
    name = f"{digest(config)[7:]}.json"
    files: dict[str, Made | str] = {name: Made(text=config)}
    seen: dict[bytes, str] = {}
    paths = []
    for number, tar in enumerate(image.tars()):
        path = f"{number:064x}/layer.tar"
        paths.append(path)
        files[path] = symlink(f"../{seen[tar]}") if tar in seen else Made(text=tar)
        seen.setdefault(tar, path)
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": paths}]
    return {**files, "manifest.json": json.dumps(manifest)}


def write_layout(where: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return where


def write_tar(where: Path, files: Mapping[str, bytes | Made | str]) -> Path:
    where.write_bytes(
        layer_tar(
            {
                name: Made(text=made) if isinstance(made, bytes) else made
                for name, made in files.items()
            }
        )
    )
    return where
