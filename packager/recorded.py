"""What was packed before: records on disk, and their configuration."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from packager.entrypoints import chosen, entry_point_names
from packager.errors import ConfigError
from packager.presets import resolved
from packager.project import read_text
from packager.record import SUFFIX, Artifact, ImageRole, Record, from_text
from packager.releases import find_release, limits
from packager.settings import Settings
from packager.sparkconf import Job, conf_for_archives, conf_for_image, local_uri
from packager.target import ARCHES, Target, parse_arch


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record on disk."""

    record: Record
    folder: Path

    def path(self, artifact: Artifact) -> Path:
        return self.folder / artifact.file


def find_record(path: Path | None, folder: Path, *, release: str | None, arch: str | None) -> Found:
    """The record at `path`, or the one of `folder` that fits. Raise `ConfigError` if none does."""
    if path is not None and not path.is_dir():
        return found_at(path)
    if arch == "all":
        raise ConfigError(
            "one record is wanted, and --arch all stands for several",
            fix=f"choose one: {', '.join(f'--arch {name}' for name in ARCHES)}",
        )
    if arch is not None:
        parse_arch(arch)
    folder = path or folder
    found = records_in(folder)
    fitting = [
        f for f in found if release in {None, f.record.release} and arch in {None, f.record.arch}
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        raise no_record_in(folder)
    names = ", ".join(f.record.name for f in fitting or found)
    raise ConfigError(
        f"{folder} has {len(fitting) or 'no'} fitting record{'' if len(fitting) == 1 else 's'}",
        why=f"there {'are' if len(found) > 1 else 'is'} {names}",
        fix="name one, or choose with --release and --arch",
    )


def records_in(folder: Path) -> tuple[Found, ...]:
    """All records of a folder, by name; none where it does not exist."""
    return tuple(found_at(path) for path in sorted(folder.glob(f"*{SUFFIX}")))


def fitting_records(
    paths: Sequence[Path], folder: Path, *, release: str | None, arches: Sequence[str]
) -> tuple[Found, ...]:
    """The records at `paths`, or those of `folder` for the release and architectures.

    None and none stand for all. Raise `ConfigError` where there is nothing.
    """
    if paths:
        return tuple(f for path in paths for f in records_at(path))
    found = records_at(folder)
    fitting = tuple(
        f
        for f in found
        if release in {None, f.record.release}
        and (not arches or f.record.arch in arches or "all" in arches)
    )
    if not fitting:
        raise ConfigError(
            f"no record in {folder} fits",
            why=f"there are {', '.join(f.record.name for f in found)}",
            fix="choose with --release and --arch, or name one",
        )
    return fitting


def records_at(path: Path) -> tuple[Found, ...]:
    """A record, or those of a folder. Raise `ConfigError` where there is none."""
    found = (found_at(path),) if path.is_file() or path.name.endswith(SUFFIX) else records_in(path)
    if not found:
        raise no_record_in(path)
    return found


def no_record_in(folder: Path) -> ConfigError:
    below = next(iter(sorted(folder.glob(f"*/*{SUFFIX}"))), None)
    return ConfigError(
        f"there is no record in {folder}",
        fix=f"name {below.parent}" if below else "make one: packager pack",
    )


def found_at(path: Path) -> Found:
    return Found(record=from_text(read_text(path), str(path)), folder=path.parent)


def target_of(record: Record, settings: Settings) -> Target:
    return Target(
        release=find_release(record.release, settings.releases),
        arch=parse_arch(record.arch),
        python=record.python,
    )


def recorded_file(found: Found, artifact: Artifact) -> Path:
    """What a record names. Raise `ConfigError` where it is missing or is something else."""
    path = found.path(artifact)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ConfigError(
            f"{path} can not be read",
            why=f"{error.strerror}; the record {found.record.name} names it",
            fix="make it again: packager pack",
        ) from error
    require_recorded(found, artifact, digest)
    return path


def require_recorded(found: Found, artifact: Artifact, sha256: str) -> None:
    """Raise `ConfigError` where a file with this digest is not what the record describes."""
    if sha256 != artifact.sha256:
        raise ConfigError(
            f"{found.path(artifact)} is not what the record {found.record.name} describes",
            why=f"its SHA-256 is {sha256}, the record's {artifact.sha256}",
            fix="make it again: packager pack",
        )


@contextlib.contextmanager
def archive_at(path: Path) -> Iterator[BinaryIO]:
    """An archive that a user named. Raise `ConfigError` where it can not be read."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ConfigError(
            f"{path} can not be read",
            why=error.strerror or str(error),
            fix="name a .tar.gz archive, or a record of packager",
        ) from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def job_of(
    found: Found,
    target: Target,
    *,
    s3_uri: str | None,
    conf: Mapping[str, str],
    arguments: Sequence[str],
    entry_point: str | None = None,
    presets: Sequence[str] = (),
    local: bool = False,
    in_image: bool = False,
) -> Job:
    """What the emitters need.

    Locations are keys under `s3_uri` if it is given, else what publishing has recorded, and the
    local files where not everything was published, or `local` is set. With `in_image` the job's
    environment is that of packager's image, and only its entry point comes from elsewhere.

    Raise `ConfigError` where the record has no such `entry_point`, where properties contradict
    each other, and for presets that the release does not have.
    """
    record = found.record

    def location(artifact: Artifact) -> str:
        if s3_uri is not None:
            return f"{s3_uri}/{artifact.file}"
        if (record.published or in_image) and not local and artifact.file in record.locations:
            return record.locations[artifact.file]
        return local_uri(str(found.path(artifact).resolve()))

    script = chosen(record, entry_point)
    several = len(record.entry_points) > 1
    # What presets set up is EMR's, and is not on this machine.
    names = () if local else (*record.presets, *presets)
    made = resolved(names, target.release, target.arch.emr)
    properties = {**record.conf, **conf}
    return Job(
        conf=conf_for_image(
            properties,
            made,
            driver_java=java_of(record, "driver"),
            executor_java=java_of(record, "executor"),
        )
        if in_image
        else conf_for_archives([(a.kind, location(a)) for a in record.archives], properties, made),
        classifications={k: v for one in made for k, v in one.classifications.items()},
        notes=tuple(one.preset.note for one in made if one.preset.note),
        entry_point=location(script) if script else None,
        choices=entry_point_names(record),
        arguments=tuple(arguments),
        name=f"{record.project} {script.name}" if script and several else record.project,
        release=record.release,
        architecture=target.arch.emr,
        limits=limits(),
    )


def java_of(record: Record, role: ImageRole) -> str:
    """Home of the JDK that the image of a role wants for jobs; empty for its own."""
    homes = {image.role: image.java for image in record.images}
    return homes.get(role) or homes.get("") or ""
