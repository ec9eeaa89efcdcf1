"""What was packed before, judged again: archives of records, and of anyone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packager.errors import ConfigError
from packager.facts import ArchiveFacts, ArchiveKind, read_archive
from packager.findings import Report
from packager.judgement import judge
from packager.ports import CleanRoom, RoomArchive
from packager.record import SUFFIX, Artifact
from packager.recorded import (
    Found,
    archive_at,
    found_at,
    no_record_in,
    recorded_file,
    sha256_of,
    target_of,
)
from packager.settings import Settings
from packager.target import Target


def validate_record(
    found: Found,
    target: Target,
    settings: Settings,
    *,
    room: CleanRoom | None,
    say: Callable[[str], None],
) -> Report:
    """Read a record's archives again and judge them.

    Raise `ConfigError` where one is missing or is not the one that the record describes.
    """
    facts = []
    archives = []
    for artifact in found.record.artifacts:
        archive = recorded_archive(found, artifact)
        if artifact.kind != "entry-point":
            facts.append(read_facts(archive.path, artifact.kind))
            archives.append(archive)
    return judge(tuple(facts), archives, target, settings, room=room, say=say).report


def recorded_archive(found: Found, artifact: Artifact) -> RoomArchive:
    """As `recorded_file`."""
    path = recorded_file(found, artifact)
    return RoomArchive(kind=artifact.kind, path=path, sha256=artifact.sha256)


def read_facts(path: Path, kind: ArchiveKind | None = None) -> ArchiveFacts:
    with archive_at(path) as file:
        return read_archive(file, name=path.name, kind=kind)


def reports_on(
    paths: Sequence[Path],
    folder: Path,
    settings: Settings,
    *,
    chosen: Mapping[str, object],
    room: CleanRoom | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[tuple[str, Report]]:
    """Judge records, and archives of anyone's for the target that the settings name.

    Several archives are judged together: an environment and its app. Raise `ConfigError` where
    there is nothing to judge.
    """
    records = [p for p in paths if p.name.endswith(SUFFIX) or p.is_dir()]
    archives = [p for p in paths if p not in records]
    found: list[Found] = []
    for place in records or ([] if archives else [folder]):
        here = sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place]
        if not here:
            raise no_record_in(place)
        found += [found_at(path) for path in here]
    if not paths:
        found = [
            f
            for f in found
            if chosen.get("release") in {None, f.record.release}
            and (not chosen.get("arch") or f.record.arch in settings.arch or "all" in settings.arch)
        ]
        if not found:
            raise ConfigError(f"no record in {folder} fits", fix="leave --release and --arch out")
    reports = [
        (
            f.record.name,
            validate_record(f, target_of(f.record, settings), settings, room=room, say=say),
        )
        for f in found
    ]
    if archives:
        bundle = tuple(read_facts(path) for path in archives)
        files = [
            RoomArchive(kind=facts.kind, path=path, sha256=sha256_of(path))
            for facts, path in zip(bundle, archives, strict=True)
        ]
        names = ", ".join(path.name for path in archives)
        reports += [
            (
                f"{names} for {target.release.label} {target.arch.name}",
                judge(bundle, files, target, settings, room=room, say=say).report,
            )
            for target in settings.targets()
        ]
    return reports
