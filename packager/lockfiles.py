"""From a lock to the files of one target. Pure: texts in, pins out.

Every kind of lock arrives here as a PEP 751 text: `pylock.toml` is one, uv writes one of its own
lock, and uv resolves requirements into one. `packaging` selects from it for a *foreign* target.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.tags import Tag
from packaging.utils import (
    BuildTag,
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)

from packager.documents import parse_toml
from packager.errors import ConfigError
from packager.target import PROVIDED, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One wheel to install."""

    name: str
    version: str
    filename: str
    location: str
    """A URL, or the path of a file."""
    sha256: str | None
    """None only for a local file that the lock gives no hash for."""
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A distribution that has to be built: a folder, a source archive or a commit."""

    name: str
    version: str | None
    """Of a release that an index has; None for everything else."""
    location: str
    sha256: str | None
    commit: str | None = None
    """Of the git repository at `location`."""
    subdirectory: str | None = None
    """Of an archive or a repository, where it does not lie at the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A package with no file for the target."""

    name: str
    version: str
    target: str
    available: tuple[str, ...]
    """Names of the wheels there are."""
    note: str = ""
    """Why its source is no way out."""
    source: Source | None = None
    """What Docker could compile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a lock gives for one target."""

    pins: tuple[Pin, ...]
    sources: tuple[Source, ...]
    missing: tuple[Missing, ...]
    dropped: tuple[str, ...]
    """`PROVIDED` packages that the lock names."""


def select(
    text: str,
    target: Target,
    *,
    origin: Path,
    base: Path,
    extras: Collection[str] = (),
    groups: Collection[str] | None = None,
    hashes: Mapping[str, frozenset[str]] | None = None,
    also: Sequence[Package] = (),
) -> Selection:
    """Select what to install on `target` from the PEP 751 `text`.

    `origin` is the file the user knows, for messages; relative paths start at `base`. With
    `hashes`, only files whose SHA-256 stands there for their package are taken; the packages in
    `also` have their own. Raise `ConfigError` where the lock is broken, or does not cover the
    target.
    """
    try:
        lock = Pylock.from_dict(parse_toml(text))
        extras = [canonicalize_name(extra) for extra in extras]
        _require_known("extra", extras, lock.extras or (), origin)
        _require_known("dependency group", groups or (), lock.dependency_groups or (), origin)
        packages, dropped = _without_provided([_as_wheel(p) for p in lock.packages])
        if hashes is not None:
            packages = [_hashed(p, hashes, origin) for p in packages]
        packages += _without_provided([_as_wheel(p) for p in also])[0]
        tags = list(target.tags())
        packages = [_with_fallback(p, frozenset(tags)) for p in packages]
        chosen = list(
            replace(lock, packages=packages).select(
                environment=target.markers(), tags=tags, extras=extras, dependency_groups=groups
            )
        )
    except (
        PylockValidationError,
        PylockSelectError,
        InvalidWheelFilename,
        UndefinedComparison,
        UndefinedEnvironmentName,
        ValueError,
    ) as error:
        raise ConfigError(
            f"{origin} can not be used for {target.release.label} with Python {target.python}",
            why=str(error),
            fix="lock again for this Python, or choose another release",
        ) from error
    pins: list[Pin] = []
    sources: list[Source] = []
    missing: list[Missing] = []
    for package, file in sorted(chosen, key=lambda pair: pair[0].name):
        match file:
            case PackageWheel():
                pins.append(_pin(package, file, base, origin))
            case PackageSdist() if _NOTHING in {file.name, file.path}:
                missing.append(_missing(package, file, target, base))
            case PackageSdist():
                sources.append(
                    Source(
                        name=package.name,
                        version=str(package.version) if package.version else None,
                        location=_location(file.url, file.path, base),
                        sha256=_sha256(package, file, origin),
                    )
                )
            case PackageArchive():
                sources.append(
                    Source(
                        name=package.name,
                        version=None,
                        location=_location(file.url, file.path, base),
                        sha256=_sha256(package, file, origin),
                        subdirectory=_inner(package, file.subdirectory, origin),
                    )
                )
            case PackageDirectory():
                sources.append(
                    Source(
                        name=package.name,
                        version=None,
                        location=str(base / file.path / (file.subdirectory or "")),
                        sha256=None,
                    )
                )
            case PackageVcs(type="git"):
                sources.append(
                    Source(
                        name=package.name,
                        version=None,
                        location=_location(file.url, file.path, base),
                        sha256=None,
                        commit=_commit(package, file, origin),
                        subdirectory=_inner(package, file.subdirectory, origin),
                    )
                )
            case PackageVcs():
                raise ConfigError(
                    f"{package.name} comes from a repository ({file.type})",
                    why="of repositories, only those of git can be packed",
                    fix="pin a released version, or a URL of an archive",
                )
    return Selection(
        pins=tuple(pins), sources=tuple(sources), missing=tuple(missing), dropped=dropped
    )


_NOTHING: Final = "no file for the target"
"""Name of the source that `_with_fallback` leaves a package; its path too if there is none."""


def _require_known(
    kind: str, chosen: Collection[str], known: Collection[str], origin: Path
) -> None:
    if unknown := sorted(set(chosen) - set(known)):
        raise ConfigError(
            f"{origin} has no {kind} {unknown[0]!r}",
            why=f"it has {', '.join(sorted(known)) or 'none'}",
            fix=f"correct `{'extras' if kind == 'extra' else 'groups'}`, or lock again with it",
        )


def _as_wheel(package: Package) -> Package:
    """Take a wheel that is named directly for the one wheel that the package has."""
    archive = package.archive
    if archive is None:
        return package
    url = (archive.url or "").partition("#")[0].partition("?")[0]
    name = (archive.path or unquote(url)).rpartition("/")[2]
    if not name.endswith(".whl"):
        return package
    wheel = PackageWheel(
        name=name, url=archive.url, path=archive.path, size=archive.size, hashes=archive.hashes
    )
    return replace(package, archive=None, wheels=[wheel])


def _without_provided(packages: Sequence[Package]) -> tuple[list[Package], tuple[str, ...]]:
    kept = [p for p in packages if p.name not in PROVIDED]
    return kept, tuple(sorted({p.name for p in packages} & PROVIDED))


def _with_fallback(package: Package, tags: frozenset[Tag]) -> Package:
    """Let a package that has wheels, but none for the target, be selected all the same.

    The selection would end at the first; users want to see all of them. Wheels for other platforms
    prove that the package is compiled, so its source is no way out either, but for Docker.
    """
    if package.wheels is None:
        return package
    # Of wheels with the same tags the first is taken; a higher build number is to win.
    wheels = sorted(package.wheels, key=_build_number, reverse=True)
    if any(parse_wheel_filename(w.filename)[3] & tags for w in wheels):
        return replace(package, wheels=wheels)
    if package.sdist is not None and not wheels:
        return package
    stand_in = package.sdist or PackageSdist(path=_NOTHING, hashes={"sha256": ""})
    return replace(package, sdist=replace(stand_in, name=_NOTHING))


def _build_number(wheel: PackageWheel) -> tuple[BuildTag, str, str]:
    return parse_wheel_filename(wheel.filename)[2], wheel.filename, wheel.url or wheel.path or ""


def _hashed(package: Package, hashes: Mapping[str, frozenset[str]], origin: Path) -> Package:
    allowed = hashes.get(package.name)
    if package.directory is not None or package.vcs is not None:
        return package
    if allowed is None:
        raise ConfigError(
            f"{origin} has no hash for {package.name}",
            why="when one requirement has hashes, all must, those of dependencies included",
            fix="write the file with all of them: uv pip compile --generate-hashes",
        )
    wheels = [w for w in package.wheels or () if w.hashes.get("sha256") in allowed]
    sdist = (
        package.sdist if package.sdist and package.sdist.hashes.get("sha256") in allowed else None
    )
    archive = package.archive
    if archive is not None and archive.hashes.get("sha256") not in allowed:
        archive = None
    if not wheels and sdist is None and archive is None:
        raise ConfigError(
            f"the hashes of {_named(package)} in {origin} do not match",
            why="no file that the index has for it has one of these hashes",
            fix="lock again; if nothing else changed, find out why the files did",
        )
    return replace(package, wheels=wheels or None, sdist=sdist)


def _pin(package: Package, wheel: PackageWheel, base: Path, origin: Path) -> Pin:
    return Pin(
        name=package.name,
        version=_version(package),
        filename=wheel.filename,
        location=_location(wheel.url, wheel.path, base),
        sha256=_sha256(package, wheel, origin),
        size=wheel.size,
    )


def _version(package: Package) -> str:
    if package.version is None and package.wheels:
        return str(parse_wheel_filename(package.wheels[0].filename)[1])
    return str(package.version or "")


def _named(package: Package) -> str:
    return f"{package.name} {_version(package)}".rstrip()


def _sha256(
    package: Package, file: PackageWheel | PackageSdist | PackageArchive, origin: Path
) -> str | None:
    sha256 = file.hashes.get("sha256")
    if sha256 is None and file.path is None:
        raise ConfigError(
            f"{origin} has no SHA-256 of {_named(package)}",
            why=f"it has {', '.join(sorted(file.hashes))}, by which it is not checked here",
            fix="lock again, with an index that gives SHA-256 hashes",
        )
    return sha256


def _location(url: str | None, path: str | None, base: Path) -> str:
    if path is not None:
        return str(base / path)
    return (url or "").partition("#")[0]


def _commit(package: Package, file: PackageVcs, origin: Path) -> str:
    if not _COMMIT.fullmatch(file.commit_id):
        raise ConfigError(
            f"{origin} does not name the commit of {package.name}",
            why=f"{file.commit_id!r} is not the id of a commit, and a branch or a tag may move",
            fix="lock again",
        )
    return file.commit_id


def _inner(package: Package, subdirectory: str | None, origin: Path) -> str | None:
    if subdirectory is not None and (
        Path(subdirectory).is_absolute() or os.path.normpath(subdirectory).startswith("..")
    ):
        raise ConfigError(
            f"the folder {subdirectory} of {package.name} lies outside of what it is a folder of",
            why=f"{origin} says so",
            fix="correct `subdirectory` where the package is required, and lock again",
        )
    return subdirectory


def _missing(package: Package, file: PackageSdist, target: Target, base: Path) -> Missing:
    version, sha256 = _version(package), file.hashes.get("sha256")
    source = Source(
        name=package.name,
        version=version,
        location=_location(file.url, file.path, base),
        sha256=sha256,
    )
    return Missing(
        name=package.name,
        version=version,
        target=f"{target.release.label} {target.arch.name} Python {target.python}",
        available=tuple(w.filename for w in package.wheels or ()),
        source=source if sha256 else None,
    )


def missing_error(missing: Sequence[Missing], *, way_out: str = "") -> ConfigError:
    """All packages without a wheel at once, each with what there is."""
    lines = [f"{f'{m.name} {m.version}'.rstrip()} for {m.target}: {_available(m)}" for m in missing]
    names = sorted({m.name for m in missing})
    return ConfigError(
        f"no wheel for the target: {', '.join(names)}",
        why="\n       ".join(lines),
        fix="pin a version that has one, choose a release with another Python or C library,"
        f" or leave the package out{way_out}",
    )


def _available(missing: Missing) -> str:
    if not missing.available:
        return missing.note or "it has no wheels at all"
    tags = sorted({name.removesuffix(".whl").split("-", 2)[2] for name in missing.available})
    machine = [t for t in tags if "linux" in t] or tags
    more = f" and {len(machine) - 4} others" if len(machine) > 4 else ""
    return "there are " + ", ".join(machine[:4]) + more


_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HASH: Final = re.compile(r"--hash[= ]\s*(\w+):([0-9a-fA-F]+)")
_NAME: Final = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_INCLUDE: Final = re.compile(r"\s*(?:-r|--requirement)[= ]?\s*(.+)")
_CONSTRAINT: Final = re.compile(r"\s*(?:-c|--constraint)[= ]?\s*(.+)")


def requirement_lines(path: Path) -> Iterator[tuple[Path, str]]:
    """The logical lines of a requirements file and of those it includes, each with its file.

    Raise `ConfigError` for a file that can not be read, or that includes itself.
    """
    yield from _lines(path, ())


def _lines(path: Path, seen: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    if path in seen:
        raise ConfigError(f"{path} includes itself", fix="remove one of the `-r` lines")
    try:
        text = path.read_bytes().decode()
    except PermissionError as error:
        raise ConfigError(
            f"{path} can not be read", why=error.strerror or "", fix="mend its permissions"
        ) from error
    except (OSError, ValueError) as error:  # not UTF-8, or a name that no file can have
        including = f"{seen[-1]} includes it; " if seen else ""
        raise ConfigError(f"{path} can not be read", why=f"{including}{error}") from error
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()  # noqa: PLW2901  # the line, cleaned
        if not line:
            continue
        yield path, line
        if match := _INCLUDE.fullmatch(line) or _CONSTRAINT.fullmatch(line):
            included = os.path.normpath(path.parent / match[1].strip("\"'"))
            yield from _lines(Path(included), (*seen, path))


def provided_among(requirements: Iterable[str]) -> tuple[str, ...]:
    """The `PROVIDED` packages that requirements name, whatever else they say of them."""
    names = (match[1] for text in requirements if (match := _NAME.match(text)))
    return tuple(sorted({canonicalize_name(name) for name in names} & PROVIDED))


def requirement_hashes(path: Path) -> Mapping[str, frozenset[str]] | None:
    """The SHA-256 hashes a requirements file allows for each package, or None if it has none.

    Raise `ConfigError` for a line that has only others.
    """
    found: dict[str, frozenset[str]] = {}
    for file, line in requirement_lines(path):
        kinds = _HASH.findall(line)
        hashes = frozenset(value.lower() for kind, value in kinds if kind == "sha256")
        name = _NAME.match(line)
        if kinds and not hashes:
            raise ConfigError(
                f"{file}: {line.split()[0]} has no SHA-256",
                why=f"it has {kinds[0][0]}, by which it is not checked here",
                fix="write the file with SHA-256 hashes: uv pip compile --generate-hashes",
            )
        if hashes and name:
            key = canonicalize_name(name[1])
            found[key] = found.get(key, frozenset()) | hashes
    return found or None
