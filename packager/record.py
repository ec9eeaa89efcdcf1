"""The record of a pack: what was made, of what, for what, and how it was judged. Pure.

It stands beside the archives as `NAME.packager.json`; `validate`, `conf` and `run` find everything
through it, so they can be other CI jobs. It holds no time and no absolute path: the same input
gives the same record.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, cast, get_args

from packager.errors import ConfigError

FORMAT: Final = 1
SUFFIX: Final = ".packager.json"

ArtifactKind = Literal["environment", "app", "entry-point"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWheel:
    name: str
    version: str
    filename: str
    sha256: str | None
    """None for one built here: its bytes may carry times, and only its files are packed."""


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
    lock: str | None
    """Name of the file that pinned the dependencies."""
    lock_sha256: str | None
    commit: str = ""
    """What git has the project at; `-dirty` at its end where tracked files differ from it."""
    wheels: tuple[RecordedWheel, ...]
    dropped: tuple[str, ...]
    """Packages left out since EMR brings them."""
    artifacts: tuple[Artifact, ...]
    conf: Mapping[str, str]
    """The project's own Spark properties."""
    report: Mapping[str, Any]
    """The outcome of the checks, as `findings.Report.to_json` writes it."""

    @property
    def name(self) -> str:
        """Of the record's file."""
        return f"{self.project}-{self.release}-{self.arch}{SUFFIX}"

    def artifact(self, kind: ArtifactKind) -> Artifact | None:
        return next((a for a in self.artifacts if a.kind == kind), None)


def to_text(record: Record) -> str:
    document = {"format": FORMAT, **asdict(record)}
    if not record.commit:  # records from before there was one stay as they are
        del document["commit"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def from_text(text: str, where: str) -> Record:
    """Raise `ConfigError` where `text`, found at `where`, is no record this version reads."""
    try:
        document = cast("dict[str, Any]", json.loads(text))
        if document.pop("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        artifacts = tuple(Artifact(**artifact) for artifact in document.pop("artifacts"))
        if any("/" in a.file or a.file in {"", ".", ".."} for a in artifacts):
            raise ValueError("an artifact lies in another folder")
        if unknown := {a.kind for a in artifacts} - set(get_args(ArtifactKind)):
            raise ValueError(f"an artifact is of no known kind: {unknown}")
        texts = [document[key] for key in ("project", "release", "arch", "python")]
        texts += [document.get("commit", ""), *document["conf"].values()]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a value that is to be a text is not")
        return Record(
            **{
                **document,
                "artifacts": artifacts,
                "wheels": tuple(RecordedWheel(**wheel) for wheel in document.pop("wheels")),
                "dropped": tuple(document.pop("dropped")),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{where} is not a record of packager",
            why=str(error),
            fix="make it again: packager pack",
        ) from error
