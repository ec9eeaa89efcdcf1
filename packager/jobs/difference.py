"""What an application is and what it is to be: the difference, and what it takes. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packager.errors import ConfigError
from packager.jobs.rules import rules, version_of

FIXED: Final = ("name", "type")
"""What UpdateApplication can not change."""
RESTING: Final = ("CREATED", "STOPPED")
"""States in which everything else can be."""
EXCLUSIVE: Final = ("imageConfiguration", "workerTypeSpecifications")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value of the API's, by its path, as in `maximumCapacity.cpu`."""

    path: str
    before: Any
    """None where there is none."""
    after: Any

    def line(self) -> str:
        before = "not set" if self.before is None else self.before
        return f"{self.path}: {before} -> {self.after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    changes: tuple[Change, ...]
    fields: Mapping[str, Any]
    """For UpdateApplication: only what differs."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """To be set; others stay."""
    stop: str = ""
    """Why the application has to be stopped for it; empty where it has not."""

    @property
    def is_none(self) -> bool:
        return not self.changes


def difference(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Difference:
    """What to ask for so that an application becomes what is wanted.

    What `wanted` does not name stays as it is. Raise `ConfigError` for what no update can do.
    """
    _require_possible(live, wanted)
    changes: list[Change] = []
    fields: dict[str, Any] = {}
    for name, value in wanted.items():
        if name in FIXED or name == "tags":
            continue
        found = list(_changes(name, live.get(name), value))
        if found:
            changes += found
            fields[name] = _merged(name, live.get(name), value)
    tags = {k: v for k, v in wanted.get("tags", {}).items() if live.get("tags", {}).get(k) != v}
    changes += [
        Change(path=f"tags.{key}", before=live.get("tags", {}).get(key), after=value)
        for key, value in tags.items()
    ]
    return Difference(
        changes=tuple(changes), fields=fields, tags=tags, stop=_why_stop(live, wanted, fields)
    )


def _require_possible(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if live["type"].upper() != wanted["type"]:
        raise ConfigError(
            f"the application {wanted['name']} is of the type {live['type']}",
            why="an application keeps its type",
            fix="choose another name, or delete it: packager deploy --delete",
        )
    for ours, other in (EXCLUSIVE, EXCLUSIVE[::-1]):
        if ours in wanted and live.get(other):
            raise ConfigError(
                f"the application {wanted['name']} has {other}, and {ours} is wanted",
                why="it can not have both, and how to take one away is not documented",
                fix="choose another name, or delete it: packager deploy --delete",
            )


def _why_stop(live: Mapping[str, Any], wanted: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    if live["state"] in RESTING or not fields:
        return ""
    rule = rules()
    capacity = wanted.get("initialCapacity") or live.get("initialCapacity")
    can = (*rule.live, *(() if capacity else rule.live_without_capacity))
    cannot = [name for name in fields if name not in can]
    if cannot:
        return f"{', '.join(cannot)} can change only while it is stopped"
    images = [name for name in EXCLUSIVE if name in fields]
    old = version_of(wanted["releaseLabel"]) < rule.image_at_submission_since
    if images and _resolved_at_start(fields[images[0]], default=old):
        return "it resolves its image when it starts"
    return ""


def _resolved_at_start(value: Mapping[str, Any], *, default: bool) -> bool:
    images = [value] if "imageUri" in value else [w["imageConfiguration"] for w in value.values()]
    return any(image.get("applicationLevelDigestResolution", default) for image in images)


def _changes(path: str, live: Any, wanted: Any) -> Iterator[Change]:
    """Leaves of `wanted` that `live` has not."""
    if path == "runtimeConfiguration":
        live, wanted = _by_classification(live), _by_classification(wanted)
        for name, properties in wanted.items():
            before = live.get(name, {})
            for key in sorted({*before, *properties}):
                if before.get(key) != properties.get(key):
                    change = before.get(key), properties.get(key, "removed")
                    at = f"runtimeConfiguration.{name}.{key}"
                    yield Change(path=at, before=change[0], after=change[1])
        return
    if isinstance(wanted, Mapping):
        have = _by_key(live or {}, path)
        for key, value in _by_key(wanted, path).items():
            yield from _changes(f"{path}.{key}", have.get(key), value)
        if path == "initialCapacity":  # whole or not at all (UG 'Understanding application…')
            for key in have.keys() - _by_key(wanted, path).keys():
                yield Change(path=f"{path}.{key}", before="set", after="removed")
    elif _plain(live) != _plain(wanted):
        yield Change(path=path, before=live, after=wanted)


def _by_key(value: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Worker types are written in more than one way."""
    if path == "initialCapacity":
        return {key.upper(): item for key, item in value.items()}
    return dict(value)


def _by_classification(value: Any) -> dict[str, dict[str, str]]:
    return {c["classification"]: c.get("properties", {}) for c in value or ()}


def _plain(value: Any) -> Any:
    """A size in whatever way it is written; a list in whatever order."""
    if isinstance(value, str) and (m := re.fullmatch(r"(\d+)\s*(vcpu|gb)", value, re.IGNORECASE)):
        return f"{m[1]} {m[2].lower()}"
    return sorted(value) if isinstance(value, list) else value


def _merged(name: str, live: Any, wanted: Any) -> Any:
    """A field is sent whole: with those parts of it that are not ours."""
    if name == "runtimeConfiguration":
        ours = _by_classification(wanted)
        return [c for c in live or () if c["classification"] not in ours] + wanted
    if name in {"initialCapacity", *EXCLUSIVE} or not isinstance(wanted, Mapping):
        return wanted
    return _joined(live or {}, wanted)


def _joined(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(live)
    for key, value in wanted.items():
        before = joined.get(key)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        joined[key] = _joined(before, value) if both else value  # type: ignore[arg-type]
    return joined
