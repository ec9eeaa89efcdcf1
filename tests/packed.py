"""Packs without a build: archives of bytes that nobody looks into, and their records."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packager.record import Artifact, ArtifactKind, Record, to_text
from packager.sbom import sbom_name

PASSED: Mapping[str, Any] = {
    "format": 1,
    "passed": True,
    "checked": ["ARC001", "ARC008"],
    "findings": [],
    "unneeded": [],
}
FAILED: Mapping[str, Any] = {
    **PASSED,
    "passed": False,
    "findings": [
        {
            "check": "ARC008",
            "severity": "error",
            "what": "pyspark is inside",
            "why": "EMR brings its own",
            "fix": "leave it out",
            "where": "an archive",
            "reason": "",
            "helpUri": "README.md#arc008",
        }
    ],
}
ENDINGS: Mapping[ArtifactKind, str] = {
    "environment": ".tar.gz",
    "app": ".tar.gz",
    "entry-point": ".py",
}


def pack_into(
    folder: Path,
    *,
    size: int = 1000,
    arch: str = "amd64",
    app: bytes = b"app",
    report: Mapping[str, Any] = PASSED,
) -> Record:
    """A record and what it names; the environment has `size` bytes, all else a few."""
    folder.mkdir(exist_ok=True)
    contents: dict[ArtifactKind, bytes] = {
        "environment": random.Random(f"{arch} {size}").randbytes(size),
        "app": app,
        "entry-point": b"print()\n",
    }
    record = Record(
        tool="packager 0.1.0",
        project="jobs",
        version="1.0",
        release="emr-7.13.0",
        arch=arch,
        python="3.11",
        layout="layers",
        builder="wheels",
        lock=None,
        lock_sha256=None,
        wheels=(),
        dropped=(),
        artifacts=tuple(_artifact(folder, kind, data) for kind, data in contents.items()),
        conf={},
        report=report,
    )
    (folder / sbom_name(record)).write_text(f'{{"arch": "{arch}"}}\n', encoding="ascii")
    write_record(folder, record)
    return record


def write_record(folder: Path, record: Record, **changes: Any) -> None:
    (folder / record.name).write_text(to_text(replace(record, **changes)), encoding="utf-8")


def _artifact(folder: Path, kind: ArtifactKind, data: bytes) -> Artifact:
    sha256 = hashlib.sha256(data).hexdigest()
    file = f"jobs-{kind}-{sha256[:12]}{ENDINGS[kind]}"
    (folder / file).write_bytes(data)
    return Artifact(kind=kind, file=file, sha256=sha256, size=len(data), unpacked=len(data))
