"""What tests need that is not packed: pytest, and the project's groups and extras for tests.

They become a layer of their own, for the target as the environment is, which goes when the tests
have ended. What the environment has is left out, and decides the versions of the rest.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

from packager import __version__
from packager.environment import APP_LAYOUT
from packager.layers import Layer, without_repetitions, write_layer
from packager.lockfiles import Selection, missing_error, select
from packager.needs import App, with_sources_built
from packager.ports import Ports, StoredWheel
from packager.project import Project, read_toml
from packager.record import Record
from packager.selection import selection_for
from packager.settings import Settings
from packager.target import Target

CUSTOMARY: Final = ("test", "tests", "testing", "dev")
"""What groups and extras for tests are called; the first that a project has is taken."""
WITH_GROUPS: Final = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
"""Locks that pin them too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is installed for the tests, besides pytest."""

    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


def wanted(project: Project, settings: Settings) -> Wanted:
    """What the settings name, or else what the project has under a customary name."""
    if settings.test_groups or settings.test_extras:
        return Wanted(groups=settings.test_groups, extras=settings.test_extras)
    if not project.described:
        return Wanted()
    document = read_toml(project.root / "pyproject.toml")
    groups, extras = _names(document, _GROUPS), _names(document, _EXTRAS)
    for name in CUSTOMARY:
        if name in groups:
            return Wanted(groups=(groups[name],))
        if name in extras:
            return Wanted(extras=(extras[name],))
    return Wanted()


_GROUPS: Final = (
    ("dependency-groups",),
    ("tool", "poetry", "group"),
    ("tool", "pdm", "dev-dependencies"),
)
_EXTRAS: Final = (("project", "optional-dependencies"), ("tool", "poetry", "extras"))


def _names(document: Mapping[str, Any], places: Iterable[Sequence[str]]) -> Mapping[str, str]:
    """Names of the tables' keys as they are written, by their normal form."""
    found: dict[str, str] = {}
    for place in places:
        table: Any = document
        for key in place:
            table = table.get(key) if isinstance(table, Mapping) else None
        if isinstance(table, Mapping):
            found |= {canonicalize_name(name): name for name in table}
    return found


def packed_with(record: Record) -> Mapping[str, str | None]:
    """What the archives have: versions by name, None for what was built and no index has."""
    return {
        canonicalize_name(w.name): w.version if w.sha256 is not None else None
        for w in record.wheels
    }


def site_layer(
    project: Project,
    target: Target,
    settings: Settings,
    ports: Ports,
    *,
    there: Mapping[str, str | None],
    coverage: bool,
    folder: Path,
    say: Callable[[str], None],
) -> Path:
    """Write the layer of what tests need, beside what is `there`, to an archive in `folder`.

    `there` has versions by normalised name, None where no index has it. Raise as `pipeline.pack`
    does for what can not be resolved, fetched or built.
    """
    asked = wanted(project, settings)
    tools = ["pytest", *(["pytest-cov"] if coverage else [])]
    selection = _selected(project, target, settings, asked, tools, there=there, ports=ports)
    nothing = App(wheel=None, files=())
    where_needed = replace(settings, builder="auto")
    needs = with_sources_built(project, where_needed, ports, nothing, target, selection)
    if needs.selection.missing:
        raise missing_error(needs.selection.missing)
    wheels = (*ports.store.fetch(needs.selection.pins), *needs.built)
    chosen = [*(f"group {name}" for name in asked.groups), *(f"extra {n}" for n in asked.extras)]
    named = f" ({', '.join(chosen)})" if chosen else ""
    say(f"Tests need {len(wheels)} packages besides what is packed{named}")
    artifact, _ = write_layer(_layer(wheels, ports, say), folder, ports.store)
    return folder / artifact.file


def _selected(
    project: Project,
    target: Target,
    settings: Settings,
    asked: Wanted,
    tools: Sequence[str],
    *,
    there: Mapping[str, str | None],
    ports: Ports,
) -> Selection:
    """From the lock where it has groups and extras, and what is lacking then from the index."""
    known = {name: version for name, version in there.items() if version is not None}
    own = {*there, canonicalize_name(project.name)}
    origin = project.lock or project.root
    locked = Selection(pins=(), sources=(), missing=(), dropped=())
    if project.lock_kind in WITH_GROUPS and (asked.groups or asked.extras):
        chosen = replace(settings, groups=asked.groups, extras=asked.extras, venv=None)
        locked = _without(selection_for(project, target, chosen, ports), own)
        asked = Wanted()
    known |= {pin.name: pin.version for pin in locked.pins}
    own |= {canonicalize_name(pin.name) for pin in locked.pins}
    lacking = [tool for tool in tools if tool not in own]
    if not (lacking or asked.groups or asked.extras):
        return locked
    text = ports.resolver.beside(
        [f"{name}=={version}" for name, version in sorted(known.items())],
        lacking,
        root=project.root,
        target=target,
        extras=asked.extras,
        groups=asked.groups,
    )
    found = _without(select(text, target, origin=origin, base=project.root), own)
    return replace(
        found,
        pins=(*locked.pins, *found.pins),
        sources=(*locked.sources, *found.sources),
        missing=(*locked.missing, *found.missing),
    )


def _without(selection: Selection, names: set[str]) -> Selection:
    return replace(
        selection,
        pins=tuple(p for p in selection.pins if canonicalize_name(p.name) not in names),
        sources=tuple(s for s in selection.sources if canonicalize_name(s.name) not in names),
        missing=tuple(m for m in selection.missing if canonicalize_name(m.name) not in names),
    )


def _layer(wheels: Sequence[StoredWheel], ports: Ports, say: Callable[[str], None]) -> Layer:
    made_of = [__version__, "tests", *sorted(f"{w.sha256} {w.filename}" for w in wheels)]
    return Layer(
        kind="app",
        name="tests",
        members=(),
        files=(),
        key=hashlib.sha256("\0".join(made_of).encode()).hexdigest(),
        wheels=without_repetitions(wheels, APP_LAYOUT, taken=(), store=ports.store, say=say),
    )
