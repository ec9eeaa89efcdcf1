"""The steps, as functions over values and ports: from a project to archives, a report, a record."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from packager import __version__
from packager.checks import check_archives
from packager.environment import (
    APP_LAYOUT,
    environment_layout,
    skeleton,
)
from packager.errors import CommandError, ConfigError
from packager.facts import ArchiveFacts, ArchiveKind
from packager.findings import Report, waive
from packager.layers import File, Layer, planned, write_layer
from packager.lockfiles import (
    Missing,
    Pin,
    Selection,
    Source,
    missing_error,
    provided_among,
    requirement_hashes,
    requirement_lines,
    select,
)
from packager.output import new_file, require_writable
from packager.ports import Ports, StoredWheel
from packager.project import (
    LOCK_COMMANDS,
    ForeignKind,
    Project,
    app_files,
    entry_point,
    plain_name,
    read_text,
    read_toml,
    source_digest,
)
from packager.record import (
    Artifact,
    Record,
    RecordedWheel,
    to_text,
)
from packager.sbom import sbom_name, sbom_text
from packager.settings import Settings
from packager.tarball import TarMember
from packager.target import PROVIDED, Target
from packager.wheels import Layout

RESOLVED: Final = "resolved"
"""Where the store remembers resolutions that can not change: of requirements with hashes."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What `pack` made for one target."""

    record: Record
    path: Path
    """Of the record's file; the artifacts lie beside it."""
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The project's own part: a wheel, or files as they are."""

    wheel: StoredWheel | None
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What is the same for every target of a pack."""

    project: Project
    settings: Settings
    ports: Ports
    say: Say
    out: Path
    app: App
    script: Path | None
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What one target needs, and the wheels that were made of sources."""

    selection: Selection
    built: tuple[StoredWheel, ...]


def pack(project: Project, settings: Settings, ports: Ports, say: Say) -> tuple[Packed, ...]:
    """Make, check and record the archives of `project` for every target of `settings`.

    The archives are written even if a check fails, for the user to look at; the report says so.
    Nothing appears in the output folder before it is whole.
    """
    targets = settings.targets()
    for target in targets:  # what can not be is said before anything is fetched or built
        _require_python(project, target)
        _ = target.interpreter, target.glibc
    if settings.locked:
        _require_locked(project)
    script = entry_point(project, settings.entry_point)
    out = project.root / settings.out
    require_writable(out)
    with _threads(len(targets) + 2, ports) as pool:
        building = pool.submit(_app, project, settings, ports)
        commit = pool.submit(ports.commit, project.root)
        selections = list(pool.map(lambda t: _selection(project, t, settings, ports), targets))
        app = building.result()
    needs = [
        _with_sources_built(selection, target, project, ports)
        for selection, target in zip(selections, targets, strict=True)
    ]
    if missing := [m for need in needs for m in need.selection.missing]:
        raise missing_error(missing)
    for name in sorted({name for need in needs for name in need.selection.dropped}):
        say(f"Left out {name}: EMR brings its own, which a copy would shadow")
    stored = _fetched([need.selection for need in needs], ports)
    work = _Work(
        project=project,
        settings=settings,
        ports=ports,
        say=say,
        out=out,
        app=app,
        script=script,
        commit=commit.result(),
    )

    wheels = [(*(stored[_key(pin)] for pin in need.selection.pins), *need.built) for need in needs]
    wanted = [
        (wheel, environment_layout(target))
        for target, own in zip(targets, wheels, strict=True)
        for wheel in own
    ]
    with ports.store.planning(wanted), _threads(len(targets), ports) as pool:
        return tuple(pool.map(partial(_pack_target, work), targets, wheels, needs))


@contextlib.contextmanager
def _threads(count: int, ports: Ports) -> Iterator[ThreadPoolExecutor]:
    """Threads that end early when one of them, or the user, ends the whole."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        ports.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _require_python(project: Project, target: Target) -> None:
    wanted = project.requires_python
    # The patch level of a release's Python is not known, so any that the project allows will do.
    if wanted is not None and not any(
        wanted.contains(f"{target.python}.{patch}") for patch in range(100)
    ):
        others = ", ".join(i.python for i in target.release.interpreters)
        raise ConfigError(
            f"{project.name} requires Python {wanted}, {target.release.label} runs {target.python}",
            why=f"requires-python in {project.root / 'pyproject.toml'};"
            f" the release has Python {others or 'unknown'}",
            fix="widen requires-python, set `python`, or choose a release with another Python:"
            " packager releases",
        )


def is_locked(project: Project) -> bool:
    """Whether the same project gives the same dependencies at every pack.

    Requirements do if they have hashes; where there are no dependencies, nothing can change.
    """
    if project.lock is not None and project.lock_kind == "requirements.txt":
        lines = [line for _, line in requirement_lines(project.lock)]
        return not lines or requirement_hashes(project.lock) is not None
    return project.lock_kind not in LOCK_COMMANDS


def _require_locked(project: Project) -> None:
    if not is_locked(project):
        raise ConfigError(
            f"{project.lock} is not locked, and --locked asks for it",
            why="its dependencies would be resolved anew at every pack",
            fix=LOCK_COMMANDS[project.lock_kind],
        )


def _app(project: Project, settings: Settings, ports: Ports) -> App:
    if project.app == "wheel":
        key = None if project.dynamic else _source_key(project, settings)
        wheel = ports.builder.project_wheel(project.root, key=key)
        if why := _impure(wheel):
            raise ConfigError(
                f"the wheel of {project.name} is compiled: {wheel.filename}",
                why=f"{why}; the wheels builder makes archives for any target on any machine",
                fix="publish its compiled part as a package with wheels for the target",
            )
        return App(wheel=wheel, files=())
    if project.app == "file":
        return App(wheel=None, files=())
    out = os.path.relpath(project.root / settings.out, project.root)
    if out == ".":
        raise ConfigError(
            f"the archives of a folder can not lie in it: {project.root}",
            why="the next pack would take them for files of the project",
            fix="choose another folder: --out",
        )
    exclude = (*settings.exclude, out) if not out.startswith("..") else settings.exclude
    files = app_files(project, exclude)
    return App(
        wheel=None,
        files=tuple(File(path=str(path), source=project.root / path) for path in files),
    )


def _source_key(project: Project, settings: Settings) -> str:
    digest = source_digest(project.root, project.root / settings.out)
    return hashlib.sha256(f"{project.root}\0{digest}".encode()).hexdigest()


def _impure(wheel: StoredWheel) -> str | None:
    platforms = {tag.platform for tag in parse_wheel_filename(wheel.filename)[3]}
    return None if platforms == {"any"} else f"it was built for {', '.join(sorted(platforms))}"


def _selection(project: Project, target: Target, settings: Settings, ports: Ports) -> Selection:
    lock, root = project.lock, project.root
    if lock is None or project.lock_kind in {"requirements.txt", "setup.py"}:
        _refuse_extras(settings, lock)
    if lock is None:
        return Selection(pins=(), sources=(), missing=(), dropped=())
    extras, groups = settings.extras, settings.groups
    match project.lock_kind:
        case "pylock.toml":
            read_toml(lock)  # told with file and line, which the lock's own reader does not know
            text = read_text(lock)
            return select(
                text, target, origin=lock, base=root, extras=extras, groups=groups or None
            )
        case "uv.lock":
            read_toml(lock)  # told with file and line, before uv sees it
            text = ports.resolver.export(lock, extras=extras, groups=groups)
            return select(text, target, origin=lock, base=root)
        case "poetry.lock" | "pdm.lock" | "Pipfile.lock":
            return _from_foreign(lock, project.lock_kind, target, settings, ports)
        case "requirements.txt":
            named = provided_among(line for _, line in requirement_lines(lock))
            selection = _from_requirements(lock, target, ports)
        case _:
            text = ports.resolver.compile(
                [lock.name], root=root, target=target, extras=extras, groups=groups
            )
            named = provided_among(project.requirements)
            selection = select(text, target, origin=lock, base=root)
    # uv was told not to look at these, so its answer does not name them.
    return replace(selection, dropped=tuple(sorted({*named, *selection.dropped})))


def _refuse_extras(settings: Settings, lock: Path | None) -> None:
    if settings.extras or settings.groups:
        raise ConfigError(
            "extras and groups can not be chosen here",
            why=f"{lock.name if lock else 'the project'} has none",
            fix="remove `extras` and `groups`, or describe the project in a pyproject.toml",
        )


def _from_requirements(lock: Path, target: Target, ports: Ports) -> Selection:
    lines = [line for _, line in requirement_lines(lock)]
    hashes = requirement_hashes(lock)
    about = (target.python, target.arch.name, str(target.glibc), str(lock.parent), *lines)
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()
    # With a hash for every file the answer is settled, so it is asked for once.
    known = None if hashes is None else ports.store.recall(RESOLVED, key)
    text = known or ports.resolver.compile([lock.name], root=lock.parent, target=target)
    selection = select(text, target, origin=lock, base=lock.parent, hashes=hashes)
    if hashes is not None and known is None:
        ports.store.remember(RESOLVED, key, text)
    return selection


def _from_foreign(
    lock: Path, kind: ForeignKind, target: Target, settings: Settings, ports: Ports
) -> Selection:
    from packager.foreignlocks import read_foreign

    manifest = lock.parent / ("Pipfile" if kind == "Pipfile.lock" else "pyproject.toml")
    if kind == "Pipfile.lock" and manifest.is_file():
        read_toml(manifest)  # told with file and line, as a lock that is TOML is
    elif kind != "Pipfile.lock":
        read_toml(lock)
    foreign = read_foreign(
        lock,
        read_text(lock),
        read_text(manifest) if manifest.is_file() else None,
        target,
        extras=settings.extras,
        groups=settings.groups,
    )
    pins = [pin for pin in foreign.pins if pin.name not in PROVIDED]
    hashes = {pin.name: pin.hashes for pin in pins}
    lines = [f"{pin.name}=={pin.version}" for pin in pins]
    allowed = [",".join(sorted(pin.hashes)) for pin in pins]
    about = (target.python, str(lock.parent), *foreign.indexes, *lines, *allowed)
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()
    known = ports.store.recall(RESOLVED, key)
    text = known or ports.resolver.find(
        lines, indexes=foreign.indexes, root=lock.parent, target=target
    )
    selection = select(
        text, target, origin=lock, base=lock.parent, hashes=hashes, also=foreign.packages
    )
    if known is None:
        ports.store.remember(RESOLVED, key, text)
    named = {pin.name for pin in foreign.pins} | {package.name for package in foreign.packages}
    return replace(selection, dropped=tuple(sorted(named & PROVIDED)))


def _with_sources_built(
    selection: Selection, target: Target, project: Project, ports: Ports
) -> _Needs:
    """Build what has no wheel, where that gives a pure one; the rest joins the missing."""
    missing = list(selection.missing)
    built: list[StoredWheel] = []
    for source in selection.sources:
        if project.app == "wheel" and Path(os.path.normpath(source.location)) == project.root:
            continue  # locks name the project itself, which is the app
        wheel, absent = _built(source, target, project, ports)
        if absent is not None:
            missing.append(absent)
        elif wheel is not None:
            built.append(wheel)
    return _Needs(selection=replace(selection, missing=tuple(missing)), built=tuple(built))


def _built(
    source: Source, target: Target, project: Project, ports: Ports
) -> tuple[StoredWheel | None, Missing | None]:
    absent = Missing(
        name=source.name,
        version=source.version or "",
        target=f"{target.release.label} {target.arch.name} Python {target.python}",
        available=(),
    )
    if source.version is not None and "://" in source.location:
        wheels = ports.resolver.available(
            source.name, source.version, root=project.root, target=target
        )
        if any(not name.endswith("-any.whl") for name in wheels):
            # It is compiled on other platforms, so its source would be compiled here.
            return None, replace(absent, available=wheels)
    try:
        wheel = ports.builder.source_wheel(source)
    except CommandError as error:
        if source.commit is not None:
            raise  # its repository can not be reached, or it is built nowhere
        note = f"it has no wheel, and its source can not be built here: {error.why or error.what}"
        return None, replace(absent, note=note)
    if why := _impure(wheel):
        return None, replace(absent, note=f"it has no wheel, and its source is compiled: {why}")
    return wheel, None


def _fetched(selections: Sequence[Selection], ports: Ports) -> Mapping[str, StoredWheel]:
    pins = {_key(pin): pin for selection in selections for pin in selection.pins}
    wheels = ports.store.fetch(tuple(pins.values()))
    return dict(zip(pins, wheels, strict=True))


def _key(pin: Pin) -> str:
    return pin.sha256 or pin.location


def _pack_target(
    work: _Work, target: Target, wheels: tuple[StoredWheel, ...], needs: _Needs
) -> Packed:
    project, settings, app = work.project, work.settings, work.app
    built = needs.built
    artifacts: list[Artifact] = []
    bundle: list[ArchiveFacts] = []
    for layer in _layers(work, target, wheels):
        artifact, facts = write_layer(layer, work.out, work.ports.store)
        artifacts.append(artifact)
        bundle.append(facts)
    if work.script is not None:
        artifacts.append(_copy_entry_point(work.script, work.out))
    report = waive(check_archives(tuple(bundle), target), settings.waivers)
    record = Record(
        tool=f"packager {__version__}",
        project=project.name,
        version=project.version,
        release=target.release.label,
        arch=target.arch.name,
        python=target.python,
        layout=settings.layout,
        builder="wheels",
        lock=project.lock.name if project.lock else None,
        lock_sha256=hashlib.sha256(project.lock.read_bytes()).hexdigest() if project.lock else None,
        commit=work.commit,
        wheels=(
            *(_recorded(wheel, made_here=wheel in built) for wheel in wheels),
            *((_recorded(app.wheel, made_here=True),) if app.wheel else ()),
        ),
        dropped=needs.selection.dropped,
        artifacts=tuple(artifacts),
        conf=dict(settings.conf),
        report=report.to_json(),
    )
    path = work.out / record.name
    inside = tuple(d for facts in bundle for d in facts.installed)
    sbom = sbom_text(record, inside, target, extras=settings.extras)
    for place, text in ((work.out / sbom_name(record), sbom), (path, to_text(record))):
        with new_file(work.out) as (file, settle):
            file.write(text.encode())
            settle(place)
    return Packed(record=record, path=path, report=report)


def _layers(work: _Work, target: Target, wheels: tuple[StoredWheel, ...]) -> Iterator[Layer]:
    """The environment, and beside it the app unless it is to be one with it."""
    app, name = work.app, work.project.name
    apart = work.settings.layout == "layers"
    app_wheels = () if app.wheel is None else (app.wheel,)
    own = skeleton(target, with_app_layer=apart and bool(app_wheels or app.files))
    yield _layer(
        "environment",
        f"{name}-environment-py{target.python.replace('.', '')}-{target.arch.name}",
        own,
        () if apart else _under(target.site_packages, app.files),
        wheels if apart else (*wheels, *app_wheels),
        environment_layout(target),
        work,
    )
    if apart and (app_wheels or app.files):
        yield _layer("app", f"{name}-app", (), app.files, app_wheels, APP_LAYOUT, work)


def _layer(  # noqa: PLR0917  # one line for each of two layers reads best
    kind: ArchiveKind,
    name: str,
    own: tuple[TarMember, ...],
    files: tuple[File, ...],
    wheels: tuple[StoredWheel, ...],
    layout: Layout,
    work: _Work,
) -> Layer:
    parts = (
        __version__,
        repr(own),
        repr(layout),
        *sorted(f"{w.sha256} {w.filename}" for w in wheels),
    )
    return Layer(
        kind=kind,
        name=name,
        members=own,
        files=files,
        key="" if files else hashlib.sha256("\0".join(parts).encode()).hexdigest(),
        wheels=planned(
            wheels,
            layout,
            taken=(*(m.path for m in own), *(f.path for f in files)),
            store=work.ports.store,
            say=work.say,
        ),
    )


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


def _copy_entry_point(script: Path, out: Path) -> Artifact:
    data = script.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    path = out / f"{plain_name(script.stem)}-{digest[:12]}{script.suffix}"
    with new_file(out) as (file, settle):
        file.write(data)
        settle(path)
    return Artifact(
        kind="entry-point", file=path.name, sha256=digest, size=len(data), unpacked=len(data)
    )
