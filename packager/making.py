"""What is to be packed for one target becomes archives, a report and a record."""

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import parse_wheel_filename

from packager import __version__
from packager.entrypoints import EntryPoint
from packager.environment import (
    APP_LAYOUT,
    environment_layout,
    skeleton,
)
from packager.facts import OBSERVATION_FORMAT, ArchiveKind
from packager.findings import Report
from packager.judgement import judge
from packager.layers import File, Layer, signature, without_repetitions, write_layer
from packager.needs import Needs, impure
from packager.output import write_whole
from packager.ports import BundledPython, InstalledWheel, Ports, RoomArchive, StoredWheel
from packager.project import (
    Project,
)
from packager.record import (
    Artifact,
    Record,
    RecordedBuild,
    RecordedWheel,
    to_text,
    with_known_locations,
)
from packager.sbom import sbom_name, sbom_text
from packager.settings import Settings
from packager.standalone import start_members
from packager.tarball import TarMember
from packager.target import Target
from packager.unchanged import (
    Outcome,
    outcome_key,
    recall_outcome,
    remember_outcome,
    settled,
)
from packager.wheels import Layout

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What `pack` made for one target."""

    record: Record
    path: Path
    """Of the record's file; the artifacts lie beside it."""
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is the same for every target of a pack."""

    project: Project
    settings: Settings
    ports: Ports
    say: Say
    out: Path
    entry_points: tuple[EntryPoint, ...]
    commit: str


def make(work: Work, target: Target, wheels: tuple[StoredWheel, ...], needs: Needs) -> Packed:
    project, settings, app = work.project, work.settings, needs.app
    built, tree = needs.built, needs.tree
    lock = None if tree else project.lock
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        work.say(line)

    layers = tuple(_layers(replace(work, say=say), target, wheels, needs))
    slim = () if tree else settings.slim
    if slim:
        from packager.slimming import slimmed

        layers = tuple(slimmed(layer, slim, work.ports.symbols) for layer in layers)
    if settings.byte_code:
        from packager.bytecode import with_byte_code

        compiler = work.ports.byte_compiler
        layers = tuple(with_byte_code(layer, target.python, compiler) for layer in layers)
    record = Record(
        tool=f"packager {__version__}",
        project=project.name,
        version=project.version,
        release=target.release.label,
        arch=target.arch.name,
        python=target.python,
        layout=settings.layout,
        builder="venv" if tree else "docker" if settings.builder == "docker" else "wheels",
        base_image=needs.recipe.base.recorded if needs.recipe else "",
        lock=lock.name if lock else None,
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock else None,
        commit=work.commit,
        wheels=(
            *(tree.packages if tree else ()),
            *(_recorded(wheel, made_here=wheel in built) for wheel in wheels),
            *((_recorded(app.wheel, made_here=True),) if app.wheel else ()),
        ),
        interpreter=None if needs.python is None else _recorded_build(needs.python),
        slim=slim,
        byte_code=work.ports.byte_compiler.version(target.python) if settings.byte_code else "",
        dropped=needs.selection.dropped,
        artifacts=tuple(map(_script, work.entry_points)),
        conf=dict(settings.conf),
        presets=settings.presets,
        report={},
    )
    store, room = work.ports.store, work.ports.room
    key = outcome_key(record, layers, target, settings)
    outcome = recall_outcome(store, key, work.out)
    if outcome is not None and settled(outcome, settings, room):
        for line in outcome.said:
            work.say(line)
    else:
        outcome = _made(work, target, layers, record, said)
        if settled(outcome, settings, room):
            remember_outcome(store, key, outcome, work.out)
    for point, artifact in zip(work.entry_points, outcome.record.entry_points, strict=True):
        write_whole(work.out / artifact.file, point.script())
    path = work.out / outcome.record.name
    record = outcome.record
    with contextlib.suppress(OSError, UnicodeDecodeError):
        record = with_known_locations(record, path.read_text(encoding="utf-8"))
    for name, text in outcome.documents:
        write_whole(work.out / name, (to_text(record) if name == path.name else text).encode())
    return Packed(record=record, path=path, report=outcome.report)


def _made(
    work: Work, target: Target, layers: tuple[Layer, ...], record: Record, said: list[str]
) -> Outcome:
    """Write the layers and judge them; `record` lacks what comes of that."""
    ports = work.ports
    made = [write_layer(layer, work.out, ports.store, ports.witness) for layer in layers]
    bundle = tuple(facts for _, facts in made)
    judged = judge(
        bundle,
        [RoomArchive(kind=a.kind, path=work.out / a.file, sha256=a.sha256) for a, _ in made],
        target,
        work.settings,
        room=ports.room,
        say=work.say,
    )
    record = replace(
        record,
        artifacts=(*(artifact for artifact, _ in made), *record.artifacts),
        report=judged.report.to_json(),
        clean_room=judged.room,
    )
    inside = tuple(d for facts in bundle for d in facts.installed)
    sbom = sbom_text(record, inside, target, extras=work.settings.extras)
    return Outcome(
        record=record,
        report=judged.report,
        documents=((sbom_name(record), sbom), (record.name, to_text(record))),
        said=tuple(said),
    )


def _layers(
    work: Work, target: Target, wheels: tuple[StoredWheel, ...], needs: Needs
) -> Iterator[Layer]:
    """The environment, and beside it the app and its own Python unless all is to be one."""
    app, name, tree, python = needs.app, work.project.name, needs.tree, needs.python
    versions = f"py{target.python.replace('.', '')}-{target.arch.name}"
    parts = () if work.settings.layout == "layers" or python is None else (python.part,)
    if work.settings.builder == "docker" and needs.recipe is not None:
        parts = (*parts, work.ports.docker.environment(wheels, needs.recipe))
        wheels = ()
    apart = work.settings.layout == "layers"
    app_wheels = () if app.wheel is None else (app.wheel,)
    has_app = apart and bool(app_wheels or app.files)
    own = skeleton(target, with_app_layer=has_app, with_python_layer=apart)
    files = () if apart else _under(target.site_packages, app.files)
    if tree is not None:
        there = {file.path for file in files}  # the project's own come first
        files = (*(file for file in tree.files if file.path not in there), *files)
        own = (*own, *(member for member in tree.members if member.path not in there))
    yield _layer(
        "environment",
        f"{name}-environment-{versions}",
        own,
        files,
        wheels if apart else (*wheels, *app_wheels),
        environment_layout(target),
        work,
        parts=parts,
    )
    if has_app:
        of_target = any(map(impure, app_wheels))
        called = f"{name}-app-{versions}" if of_target else f"{name}-app"
        yield _layer("app", called, (), app.files, app_wheels, APP_LAYOUT, work)
    if apart and python is not None:
        # Without the project's name: all that bundle the same build share it.
        called = f"python-{python.version}-{target.arch.name}"
        own, layout = start_members(target.python), environment_layout(target)
        yield _layer("python", called, own, (), (), layout, work, parts=(python.part,))


def _layer(  # noqa: PLR0917  # one line for each of two layers reads best
    kind: ArchiveKind,
    name: str,
    own: tuple[TarMember, ...],
    files: tuple[File, ...],
    wheels: tuple[StoredWheel, ...],
    layout: Layout,
    work: Work,
    *,
    parts: tuple[InstalledWheel, ...] = (),
) -> Layer:
    stored = (*wheels, *(part.wheel for part in parts))
    made_of = (
        __version__,
        repr(own),
        repr(layout),
        *sorted(f"{w.sha256} {w.filename}" for w in stored),
        str(OBSERVATION_FORMAT),
        *map(signature, files),
    )
    taken = (
        *(m.path for m in own),
        *(f.path for f in files),
        *(m.path for part in parts for m in part.members),
    )
    return Layer(
        kind=kind,
        name=name,
        members=own,
        files=files,
        key=hashlib.sha256("\0".join(made_of).encode()).hexdigest(),
        wheels=itertools.chain(
            parts,
            without_repetitions(wheels, layout, taken=taken, store=work.ports.store, say=work.say),
        ),
    )


def _recorded_build(python: BundledPython) -> RecordedBuild:
    build = python.build
    return RecordedBuild(version=python.version, filename=build.filename, sha256=build.sha256)


def _under(prefix: str, files: tuple[File, ...]) -> tuple[File, ...]:
    return tuple(replace(file, path=f"{prefix}/{file.path}") for file in files)


def _recorded(wheel: StoredWheel, *, made_here: bool) -> RecordedWheel:
    name, version, _, _ = parse_wheel_filename(wheel.filename)
    return RecordedWheel(
        name=name,
        version=str(version),
        filename=wheel.filename,
        sha256=None if made_here else wheel.sha256,
    )


def _script(point: EntryPoint) -> Artifact:
    data = point.script()
    digest = hashlib.sha256(data).hexdigest()
    suffix = ".py" if point.file is None else point.file.suffix
    return Artifact(
        kind="entry-point",
        file=f"{point.stem}-{digest[:12]}{suffix}",
        sha256=digest,
        size=len(data),
        unpacked=len(data),
        name=point.name,
    )
