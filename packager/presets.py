"""Ready-made properties for what EMR brings: table formats, connectors, Java. The rows are data."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from packager.errors import ConfigError, unknown_name
from packager.releases import Fact, Release

TABLE: Final = Path(__file__).parent / "data" / "presets.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A row of the table, whose comments say what each field means."""

    name: str
    help: str
    source: str
    requires: tuple[str, ...] = ()
    since: str = ""
    unpublished: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    conf: Mapping[str, str] = field(default_factory=dict)
    classifications: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    refuses: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a preset is for one release and architecture."""

    preset: Preset
    conf: Mapping[str, str]
    classifications: Mapping[str, Mapping[str, str]]


@cache
def known_presets() -> Mapping[str, Preset]:
    return read_presets(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def read_presets(document: Mapping[str, Any]) -> Mapping[str, Preset]:
    """Read a whole table; anything missing or of a wrong form is a `ValueError`."""
    if document.keys() != {"checked", "preset"}:
        raise ValueError(f"the table has {', '.join(document)}")
    presets = {}
    for name, row in document["preset"].items():
        try:
            lists = {key: tuple(row.get(key, ())) for key in ("requires", "unpublished")}
            presets[name] = Preset(name=name, **row | lists)
        except TypeError as error:
            raise ValueError(f"preset.{name}: {error}") from error
    return presets


def find_preset(name: str) -> Preset:
    """Raise `ConfigError` for one that is not there."""
    known = known_presets()
    if name not in known:
        raise unknown_name(name, "a preset", known)
    return known[name]


def resolved(names: Iterable[str], release: Release, emr_architecture: str) -> tuple[Resolved, ...]:
    """The presets of a job, each once.

    Raise `ConfigError` for one that the release does not have, or of which it is not known how it
    has it: nothing is guessed. `emr_architecture` is EMR's name, e.g. `X86_64`.
    """
    presets = (find_preset(name) for name in dict.fromkeys(names))
    return tuple(_resolved(preset, release, emr_architecture) for preset in presets)


def _resolved(preset: Preset, release: Release, emr_architecture: str) -> Resolved:
    _require(preset, release)
    if preset.given and all(_fact(release, k) == v for k, v in preset.given.items()):
        return Resolved(preset=preset, conf={}, classifications={})
    conf = {}
    for key, template in preset.conf.items():
        value = _filled(template, preset, release, emr_architecture)
        if value:
            conf[key] = value
    return Resolved(preset=preset, conf=conf, classifications=preset.classifications)


def _require(preset: Preset, release: Release) -> None:
    lacking = f"{release.label} does not have what the preset {preset.name} sets up"
    if release.label.startswith(preset.unpublished):
        raise _unknown(preset, release, "")
    if preset.since and _order(release.label) < _order(preset.since):
        raise ConfigError(
            lacking, why=f"{preset.since} is the first that has it", fix="choose a newer release"
        )
    for name in preset.requires:
        value = _fact(release, name)
        if value is None:
            raise _unknown(preset, release, name)
        if not value:
            raise ConfigError(
                lacking,
                why=f"its fact `{name}` says so: {release.sources.get(name, preset.source)}",
                fix="choose a newer release, or pack what the job needs and set its properties"
                " with --conf",
            )


def _order(label: str) -> tuple[bool, list[int]]:
    """Releases named emr-spark-* are newer than all others."""
    return label.startswith("emr-spark-"), [int(n) for n in re.findall(r"\d+", label)]


def _filled(template: str, preset: Preset, release: Release, emr_architecture: str) -> str:
    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name == "scala_binary":
            scala = _fact(release, "scala")
            if scala is None:
                raise _unknown(preset, release, "scala")
            return ".".join(str(scala).split(".")[:2])
        if name == "java_home_17":
            name = f"java_home_17_{emr_architecture.lower()}"
        value = _fact(release, name)
        if value is None:
            raise _unknown(preset, release, name)
        return ",".join(value) if isinstance(value, tuple) else str(value)

    return re.sub(r"\{(\w+)\}", one, template)


def _fact(release: Release, name: str) -> Fact:
    if name in {"spark", "java"}:
        value: Fact = getattr(release, name)
        return value
    return release.facts[name]


def _unknown(preset: Preset, release: Release, name: str) -> ConfigError:
    source = release.sources.get(name, "nobody has published it")
    return ConfigError(
        f"it is not known how {release.label} has what the preset {preset.name} sets up",
        why=f"its fact `{name}` is unknown: {source}" if name else source,
        fix="leave the preset out, and set the properties that you know to work with --conf",
    )


def presets_table(release: Release | None, emr_architecture: str = "X86_64") -> str:
    """The presets there are, and for a release, which it has."""
    rows = []
    for preset in known_presets().values():
        state = ""
        if release is not None:
            try:
                made = _resolved(preset, release, emr_architecture)
                state = "yes" if made.conf or made.classifications else "nothing to set"
            except ConfigError as error:
                state = "unknown" if error.what.startswith("it is not known") else "no"
        rows.append((preset.name, state, preset.help))
    name_width, state_width = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "\n".join(
        f"{name.ljust(name_width)}  {state.ljust(state_width)}{'  ' if release else ''}{help_}"
        for name, state, help_ in rows
    )
