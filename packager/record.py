"""The record of a pack: what was made, of what, for what, and how it was judged. Pure.

It stands beside the archives as `NAME.packager.json`; `validate`, `conf` and `run` find everything
through it, so they can be other CI jobs. It holds no time and no absolute path: the same input
gives the same record.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from packager.documents import parse_json
from packager.errors import ConfigError

FORMAT: Final = 1
SUFFIX: Final = ".packager.json"

ArtifactKind = Literal["environment", "app", "python", "entry-point"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job needs, named by its content."""

    kind: ArtifactKind
    file: str
    """Name, in the folder of the record."""
    sha256: str
    size: int
    """Bytes."""
    unpacked: int
    """Bytes on the worker's disk."""
    name: str = ""
    """Of an entry point, as the project names it; older records lack it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWheel:
    name: str
    version: str
    filename: str
    sha256: str | None
    """None for one built here: its bytes may carry times, and only its files are packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBuild:
    """The build of CPython that was bundled."""

    version: str
    filename: str
    sha256: str
    """Of the archive that was downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRoom:
    """Where and how the archives were tried out; what failed there is in the report."""

    image: str
    digest: str
    """Of the image that was used."""
    platform: str
    emulated: bool
    modules: int
    """Imported, or tried."""
    scripts: int
    spark_job: bool
    """Whether a Spark job was run."""


ImageRole = Literal["", "driver", "executor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedImage:
    """A custom image with what the record describes in it."""

    role: ImageRole = ""
    """Whose image it is; empty where driver and executors have the same."""
    base: str
    base_digest: str
    """Of the base's manifest; empty where the engine that has it knows of none."""
    digest: str
    """Of the manifest."""
    config_digest: str
    size: int
    """Bytes of all layers, as they are transferred."""
    reference: str = ""
    """Where it was pushed, by digest; empty where it is in an engine only."""
    java: str = ""
    """Home of the JDK that jobs run on; empty for the image's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    tool: str
    """`packager` and its version."""
    project: str
    version: str | None
    release: str
    arch: str
    """Our name, e.g. `arm64`."""
    python: str
    layout: str
    builder: str
    base_image: str = ""
    """Reference and digest of the image that Docker built in; empty where it had no part."""
    lock: str | None
    """Name of the file that pinned the dependencies."""
    lock_sha256: str | None
    commit: str = ""
    """What git has the project at; `-dirty` at its end where tracked files differ from it."""
    interpreter: RecordedBuild | None = None
    """None where the environment links to the release's own."""
    slim: tuple[str, ...] = ()
    """What wheels were packed without, by the names of the settings."""
    byte_code: str = ""
    """The version of the Python that made it, e.g. `3.11.7`; empty where none is packed."""
    wheels: tuple[RecordedWheel, ...]
    dropped: tuple[str, ...]
    """Packages left out since EMR brings them."""
    artifacts: tuple[Artifact, ...]
    conf: Mapping[str, str]
    """The project's own Spark properties."""
    presets: tuple[str, ...] = ()
    """Names of ready-made properties that every job gets."""
    report: Mapping[str, Any]
    """The outcome of the checks, as `findings.Report.to_json` writes it."""
    clean_room: RecordedRoom | None = None
    locations: Mapping[str, str] = field(default_factory=dict)
    """Where files were published, by their names: URIs. Those of this record and of its bill of
    materials may be among them."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """What S3 computes of published files, by their names: SHA-256 in base64, or that of the parts'
    and how many they are."""
    images: tuple[RecordedImage, ...] = ()

    @property
    def name(self) -> str:
        """Of the record's file."""
        return f"{self.project}-{self.release}-{self.arch}{SUFFIX}"

    def artifact(self, kind: ArtifactKind) -> Artifact | None:
        return next((a for a in self.artifacts if a.kind == kind), None)

    @property
    def archives(self) -> tuple[Artifact, ...]:
        """What is unpacked on the workers."""
        return tuple(a for a in self.artifacts if a.kind != "entry-point")

    @property
    def published(self) -> bool:
        """Whether all that a job needs was."""
        return all(artifact.file in self.locations for artifact in self.artifacts)

    @property
    def entry_points(self) -> tuple[Artifact, ...]:
        return tuple(a for a in self.artifacts if a.kind == "entry-point")


def to_text(record: Record) -> str:
    document = {"format": FORMAT, **asdict(record)}
    if not record.commit:  # records from before there was one stay as they are
        del document["commit"]
    if not record.locations:
        del document["locations"]
    if not record.checksums:
        del document["checksums"]
    if record.clean_room is None:
        del document["clean_room"]
    if not record.images:
        del document["images"]
    for artifact in document["artifacts"]:
        if not artifact["name"]:
            del artifact["name"]
    if record.interpreter is None:
        del document["interpreter"]
    if not record.base_image:
        del document["base_image"]
    if not record.presets:
        del document["presets"]
    if not record.slim:
        del document["slim"]
    if not record.byte_code:
        del document["byte_code"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def made_of(record: Record) -> str:
    """SHA-256 of what was made, which is the same wherever it was judged and put."""
    text = to_text(
        replace(record, report={}, clean_room=None, locations={}, checksums={}, images=())
    )
    return hashlib.sha256(text.encode()).hexdigest()


def from_text(text: str, where: str) -> Record:
    """Raise `ConfigError` where `text`, found at `where`, is no record this version reads."""
    try:
        document = parse_json(text)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        record: Record = _typed(Record, document, "it")
        if any({"/", "\0"} & set(a.file) or a.file in {"", ".", ".."} for a in record.artifacts):
            raise ValueError("an artifact lies in another folder")
        if not re.fullmatch(r"\d+\.\d+", record.python):
            raise ValueError(f"`python` is {record.python!r}, which is no minor version")
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{where} is not a record of packager",
            why=str(error),
            fix="make it again: packager pack",
        ) from error
    return record


def with_known_locations(record: Record, earlier: str) -> Record:
    """With where the files of both were published, as `earlier` says, a text in its place.

    Files are named by their content, so the same name is the same file.
    """
    try:
        known = from_text(earlier, "")
    except ConfigError:
        return record
    files = [artifact.file for artifact in record.artifacts]
    return replace(
        record,
        locations={file: known.locations[file] for file in files if file in known.locations},
        checksums={file: known.checksums[file] for file in files if file in known.checksums},
    )


def _typed(kind: Any, value: Any, name: str) -> Any:
    """`value` as the type `kind` of a field, of the sorts that a record is made of."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        (kind,) = (k for k in inner if k is not NoneType)
        return None if value is None else _typed(kind, value, name)
    match value:
        case _ if kind is Any:
            return value
        case dict() if isinstance(kind, type) and is_dataclass(kind):
            hints = get_type_hints(kind)
            return kind(**{k: _typed(hints.get(k, Any), v, k) for k, v in value.items()})
        case dict() if origin is Mapping:
            return {k: _typed(inner[1], v, name) for k, v in value.items()}
        case list() if origin is tuple:
            return tuple(_typed(inner[0], v, name) for v in value)
        case str() if kind is str or (origin is Literal and value in inner):
            return value
        case bool() if kind is bool:
            return value
        case int() if kind is int and type(value) is int and 0 <= value < 1 << 63:
            return value
    raise TypeError(f"`{name}` is {value!r:.40}, which it can not be")
