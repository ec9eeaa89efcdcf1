"""The release table: what is known of every EMR Serverless release, as data. Pure but for one file.

The facts stand in `data/emr-releases.toml`, each with its source. What nobody has published is
`None` here and `unknown` for people; it is never filled in by a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that a release's image has."""

    python: str
    """Minor version, e.g. `3.11`."""
    path: str
    """Absolute path in the image, e.g. `/usr/bin/python3.11`."""
    confirmed: bool
    """False where the path is inferred from a sibling release and nobody has published it."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is known of one EMR Serverless release; `None` means that it is not known."""

    label: str
    """As the API takes it, e.g. `emr-7.13.0` or `emr-spark-8.1.0`."""
    spark: str
    """Apache Spark version, e.g. `3.5.6`."""
    os: str | None
    glibc: tuple[int, int] | None
    """Version of the C library, which decides what compiled wheels run."""
    python: str
    """Minor version of the Python that PySpark uses unless told otherwise, e.g. `3.11`."""
    interpreters: tuple[Interpreter, ...]
    """Those whose path is known, the default first."""
    architectures: tuple[str, ...] | None
    """Our names (`amd64`, `arm64`)."""
    java: str | None
    base_image: str | None
    facts: Mapping[str, str | bool | int | tuple[str, ...] | None]
    """Every other fact of the table under its own name (`delta_jars`, `hadoop`, …)."""
    sources: Mapping[str, str]
    """Fact name to where it comes from."""

    def interpreter(self, python: str) -> Interpreter | None:
        """The release's own Python of that minor version, if one is known."""
        return next((i for i in self.interpreters if i.python == python), None)
