"""The locks of Poetry, PDM and Pipenv: what of them a target needs. Pure: texts in, pins out.

None of them says where a file is, only what it hashes to; so what they pin is looked for on the
indexes that uv knows, and taken only if its hash is one of the lock's.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.markers import (
    InvalidMarker,
    Marker,
    UndefinedComparison,
    UndefinedEnvironmentName,
)
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
)
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from packager.documents import parse_json, parse_toml
from packager.errors import ConfigError
from packager.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPin:
    """An exact version whose files an index has, and the SHA-256 hashes they may have."""

    name: str
    version: str
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLock:
    """What a lock gives for one target, some extras and some groups."""

    pins: tuple[IndexPin, ...]
    packages: tuple[Package, ...]
    """Those of which the lock says where they are: folders, archives, repositories."""
    indexes: tuple[str, ...]
    """Indexes that the lock names for its packages, beside the one that is asked anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One entry of a lock, in the words of PEP 751."""

    name: str
    version: Version | None
    hashes: frozenset[str]
    package: Package | None
    """None where an index is to say where its files are."""
    index: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    target: Target
    extras: frozenset[str]
    groups: frozenset[str]

    def applies(self, marker: str) -> bool:
        if not marker:
            return True
        # These locks write `extra` for what several extras may be; PEP 751 has a set for it.
        text = _EXTRA.sub(
            lambda m: f'"{canonicalize_name(m[3])}" {"in" if m[1] == "==" else "not in"} extras',
            marker,
        )
        environment: dict[str, Any] = {
            **self.target.markers(),
            "extras": self.extras,
            "dependency_groups": frozenset(),
        }
        return Marker(text).evaluate(environment, context="lock_file")


_EXTRA: Final = re.compile(r"""\bextra\s*(==|!=)\s*(["'])([A-Za-z0-9._-]+)\2""")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_URL: Final = re.compile(r"(?:https?|file)://[^\s\x00-\x20]+")
_SHA256: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")


class _BrokenError(ValueError):
    """A lock says something that no lock of its kind does."""


def read_foreign(
    lock: Path,
    text: str,
    manifest: str | None,
    target: Target,
    *,
    extras: Collection[str] = (),
    groups: Collection[str] = (),
) -> ForeignLock:
    """What `target` needs of the lock with this `text`; its name says whose it is.

    `manifest` is the text of the file that was locked. Raise `ConfigError` where the lock is
    broken, older than that file, or does not know an extra or a group.
    """
    read, relock = READERS[lock.name]
    chosen = _Chosen(
        target=target,
        extras=frozenset(canonicalize_name(extra) for extra in extras),
        groups=frozenset(groups),
    )
    try:
        rows = tuple(read(lock, text, manifest, chosen))
    except (
        _BrokenError,
        InvalidMarker,
        InvalidName,
        InvalidVersion,
        UndefinedComparison,
        UndefinedEnvironmentName,
    ) as error:
        raise ConfigError(
            f"{lock} is not a lock that can be read", why=str(error), fix=f"lock again: {relock}"
        ) from error
    except RecursionError:
        raise ConfigError(f"{lock} is nested too deeply", fix=f"lock again: {relock}") from None
    return _merged(rows, lock, target)


def _merged(rows: Iterable[_Row], lock: Path, target: Target) -> ForeignLock:
    found: dict[str, _Row] = {}
    for row in rows:
        known = found.setdefault(row.name, row)
        if (known.version, known.package) != (row.version, row.package):
            versions = sorted({str(r.version or "another source") for r in (known, row)})
            raise ConfigError(
                f"{lock} has {row.name} twice for {target.release.label}: {' and '.join(versions)}",
                why="of the extras and groups that are chosen, some exclude each other",
                fix="choose those that go together: `extras` and `groups`",
            )
    unhashed = [r.name for r in found.values() if r.package is None and not r.hashes]
    if unhashed:
        raise ConfigError(
            f"{lock} has no SHA-256 of {', '.join(sorted(unhashed))}",
            why="without one, any file would do",
            fix=f"lock again, with an index that gives SHA-256 hashes: {READERS[lock.name][1]}",
        )
    rows = [found[name] for name in sorted(found)]
    return ForeignLock(
        pins=tuple(
            IndexPin(name=r.name, version=str(r.version), hashes=r.hashes)
            for r in rows
            if r.package is None
        ),
        packages=tuple(r.package for r in rows if r.package is not None),
        indexes=tuple(dict.fromkeys(r.index for r in rows if r.index)),
    )


# Poetry (lock-version 2.1, which Poetry 2 writes).


def _poetry(lock: Path, text: str, manifest: str | None, chosen: _Chosen) -> Iterator[_Row]:
    document = _toml(text)
    metadata = _table(document, "metadata")
    version = Version(_text(metadata, "lock-version"))
    if version < Version("2.1"):
        raise ConfigError(
            f"{lock} is of version {version}, which does not say what belongs to which group",
            why="packager reads what Poetry 2 writes (2.1)",
            fix="lock again with Poetry 2: poetry lock",
        )
    pyproject = _toml(manifest) if manifest is not None else None
    if pyproject is not None:
        hashes = {_poetry_hash(pyproject, groups=True)}
        written_by = re.match(r"#.*\bPoetry (\d+\.\d+)", text)
        if written_by and Version(written_by[1]) < Version("2.3"):
            hashes.add(_poetry_hash(pyproject, groups=False))
        if metadata.get("content-hash") not in tuple(hashes):  # what is no text has no hash
            raise _stale(lock, "pyproject.toml", "poetry lock")
    rows = _rows(document, "package")
    groups = {group for row in rows for group in _texts(row, "groups")}
    if pyproject is not None:
        tool = pyproject.get("tool", {})
        poetry = tool.get("poetry", {}) if isinstance(tool, Mapping) else {}
        for known in (pyproject.get("dependency-groups"), dict(poetry).get("group")):
            groups |= set(known) if isinstance(known, Mapping) else set()
    extras = {canonicalize_name(extra) for extra in _table(document, "extras")}
    _require_known("extra", chosen.extras, extras, lock)
    _require_known("dependency group", chosen.groups, groups, lock)
    for row in rows:
        own = {"main", *chosen.groups} & set(_texts(row, "groups"))
        markers = row.get("markers", "")
        by_group = markers if isinstance(markers, Mapping) else dict.fromkeys(own, markers)
        if any(chosen.applies(_text({"markers": by_group.get(g, "")}, "markers")) for g in own):
            yield _poetry_row(row)


def _poetry_row(row: Mapping[str, Any]) -> _Row:
    source = _table(row, "source")
    kind = source.get("type", "legacy")
    hashes = [_text(file, "hash") for file in _rows(row, "files")]
    place: dict[str, str] = {}
    match kind:
        case "legacy":
            return _row(row, hashes, index=_url(source, "url") if "url" in source else None)
        case "git":
            place = {"git": _text(source, "url"), "commit": _text(source, "resolved_reference")}
        case "url" | "file" | "directory":
            key = "url" if kind == "url" else "path"
            place = {key: _text(source, "url"), "kind": kind}
        case _:
            raise _BrokenError(f"{row.get('name')} comes from {kind!r}, which is not known")
    return _row(row, hashes, place | _subdirectory(source))


def _poetry_hash(pyproject: Mapping[str, Any], *, groups: bool) -> str:
    """As `Locker._get_content_hash` of Poetry 2.5: without groups, what Poetry before 2.3 did."""
    project = _table(pyproject, "project")
    grouped = _table(pyproject, "dependency-groups") if groups else {}
    poetry = _table(_table(pyproject, "tool"), "poetry")
    keys = ("requires-python", "dependencies", "optional-dependencies")
    ours = {key: project[key] for key in keys if key in project}
    legacy = ("dependencies", "source", "extras", "dev-dependencies")
    theirs = {key: poetry.get(key) for key in legacy if key in poetry or not (ours or grouped)}
    theirs |= {"group": poetry["group"]} if "group" in poetry else {}
    content: dict[str, Any] = {"project": ours} if ours else {}
    content |= {"dependency-groups": grouped} if grouped else {}
    content = {**content, "tool": {"poetry": theirs}} if content else theirs
    return _digest(json.dumps(content, sort_keys=True, default=str))


# PDM (lock_version 4).


def _pdm(lock: Path, text: str, manifest: str | None, chosen: _Chosen) -> Iterator[_Row]:
    document = _toml(text)
    metadata = _table(document, "metadata")
    version = Version(_text(metadata, "lock_version"))
    if version.major != 4 or "inherit_metadata" not in _texts(metadata, "strategy"):
        raise ConfigError(
            f"{lock} does not say what belongs to which group",
            why="packager reads locks of version 4 with the strategy inherit_metadata,"
            f" this is {version} with {', '.join(_texts(metadata, 'strategy')) or 'none'}",
            fix="lock again: pdm lock --strategy inherit_metadata",
        )
    # Since 2.27, PDM can write `lock_inputs` instead, which it compares by meaning; and the hash
    # of a workspace covers its members. Of neither do we judge whether the lock is fresh.
    if manifest is not None and "lock_inputs" not in metadata:
        pyproject = _toml(manifest)
        settings = _table(_table(pyproject, "tool"), "pdm")
        found = metadata.get("content_hash", "")
        if "workspace" not in settings and found != f"sha256:{_pdm_hash(pyproject, settings)}":
            raise _stale(lock, "pyproject.toml", "pdm lock")
    known = set(_texts(metadata, "groups"))
    _require_known("extra", chosen.extras, known, lock)
    _require_known("dependency group", chosen.groups, known, lock)
    for row in _rows(document, "package"):
        own = {"default", *chosen.groups, *chosen.extras} & set(_texts(row, "groups"))
        if own and chosen.applies(_text(row, "marker") if "marker" in row else ""):
            yield _pdm_row(row)


def _pdm_row(row: Mapping[str, Any]) -> _Row:
    files = _rows(row, "files")
    hashes = [_text(file, "hash") for file in files]
    place = _subdirectory(row)
    if "git" in row:
        place |= {"git": _text(row, "git"), "commit": _text(row, "revision")}
    elif "path" in row:
        place |= {"path": _text(row, "path"), "kind": "file" if hashes else "directory"}
    elif "url" in row:
        place |= {"url": _url(row, "url"), "kind": "url"}
    elif files and all("url" in file for file in files):
        return _row(row, hashes, files=files)
    return _row(row, hashes, place)


def _pdm_hash(pyproject: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """As `PyProject.content_hash` of PDM 2.29."""
    project = _table(pyproject, "project")
    groups: dict[str, list[Any]] = {}
    for table in (_table(pyproject, "dependency-groups"), _table(settings, "dev-dependencies")):
        for name, requirements in table.items():
            if not isinstance(requirements, list):
                raise _BrokenError(f"the group {name} of pyproject.toml is not a list")
            groups.setdefault(canonicalize_name(name), []).extend(requirements)
    content = {
        "sources": settings.get("source", []),
        "dependencies": project.get("dependencies", []),
        "dev-dependencies": groups,
        "optional-dependencies": project.get("optional-dependencies", {}),
        "requires-python": project.get("requires-python", ""),
        "resolution": settings.get("resolution", {}),
    }
    return _digest(json.dumps(content, sort_keys=True, default=str))


# Pipenv (pipfile-spec 6).


def _pipenv(lock: Path, text: str, manifest: str | None, chosen: _Chosen) -> Iterator[_Row]:
    try:
        document = parse_json(text)
    except ValueError as error:
        raise _BrokenError(f"it is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise _BrokenError("it is not a table")
    meta = _table(document, "_meta")
    pipfile = _toml(manifest) if manifest is not None else {}
    if "source" in pipfile:  # Pipenv takes one of its own otherwise, which we do not know
        hashes = {_pipfile_hash(pipfile, plain=plain) for plain in (False, True)}
        if _table(meta, "hash").get("sha256") not in tuple(hashes):
            raise _stale(lock, "Pipfile", "pipenv lock")
    _require_known("extra", chosen.extras, (), lock)
    _require_known("dependency group", chosen.groups, set(document) - {"_meta", "default"}, lock)
    # What is not said to come from another index comes from the first, which uv is told of.
    sources = {_text(s, "name"): _url(s, "url") for s in _rows(meta, "sources")[1:]}
    for section in ("default", *sorted(chosen.groups)):
        for name in (table := _table(document, section)):
            row = {**_table(table, name), "name": name}
            if chosen.applies(_text(row, "markers") if "markers" in row else ""):
                yield _pipenv_row(row, sources)


def _pipenv_row(row: Mapping[str, Any], sources: Mapping[str, str]) -> _Row:
    hashes = _texts(row, "hashes")
    place = _subdirectory(row)
    if "git" in row:
        place |= {"git": _text(row, "git"), "commit": _text(row, "ref")}
    elif "path" in row or "file" in row:
        where = _text(row, "path" if "path" in row else "file")
        kind = "url" if "://" in where else "file" if hashes else "directory"
        place |= {"url" if kind == "url" else "path": where, "kind": kind}
    else:
        version = _text(row, "version")
        if not version.startswith("=="):
            raise _BrokenError(f"the version of {row['name']} is {version!r}, which pins nothing")
        index = sources.get(str(row.get("index")))
        return _row({**row, "version": version.lstrip("=")}, hashes, index=index)
    return _row({key: value for key, value in row.items() if key != "version"}, hashes, place)


def _pipfile_hash(pipfile: Mapping[str, Any], *, plain: bool) -> str:
    """As `plette.Pipfile.get_hash`; with `plain` names, as Pipenv does since 2026."""

    def section(value: Any) -> Any:
        named = plain and isinstance(value, Mapping)
        return {canonicalize_name(k): v for k, v in value.items()} if named else value

    left_out = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv")
    content = {
        "_meta": {"sources": pipfile.get("source"), "requires": pipfile.get("requires", {})},
        "default": section(pipfile.get("packages", {})),
        "develop": section(pipfile.get("dev-packages", {})),
    }
    content |= {k: section(v) for k, v in pipfile.items() if k not in {*left_out, *content}}
    return _digest(json.dumps(content, sort_keys=True, separators=(",", ":"), default=str))


# What they have in common.

_Reader = Callable[[Path, str, str | None, _Chosen], Iterator[_Row]]

READERS: Final[Mapping[str, tuple[_Reader, str]]] = {
    "poetry.lock": (_poetry, "poetry lock"),
    "pdm.lock": (_pdm, "pdm lock"),
    "Pipfile.lock": (_pipenv, "pipenv lock"),
}
"""By file name: what reads it, and the command that writes it."""


def _row(
    row: Mapping[str, Any],
    hashes: Sequence[str],
    place: Mapping[str, str] | None = None,
    *,
    index: str | None = None,
    files: Sequence[Mapping[str, Any]] = (),
) -> _Row:
    name = canonicalize_name(_text(row, "name"), validate=True)
    version = Version(_text(row, "version")) if "version" in row else None
    sha256 = frozenset(m[1].lower() for h in hashes if (m := _SHA256.fullmatch(h)))
    package = None
    if files:
        package = _files(name, version, files)
    elif place and place.keys() != {"subdirectory"}:
        package = _package(name, place, sha256)
    elif version is None:
        raise _BrokenError(f"{name} has no version")
    return _Row(name=name, version=version, hashes=sha256, package=package, index=index)


def _package(name: Any, place: Mapping[str, str], hashes: frozenset[str]) -> Package:
    """A package that lies in one place. Its version is what its build gives."""
    subdirectory = place.get("subdirectory")
    if "git" in place:
        commit = place["commit"]
        if not _COMMIT.fullmatch(commit):
            raise _BrokenError(f"{name} comes from {commit!r}, which is not the id of a commit")
        return Package(
            name=name,
            vcs=PackageVcs(
                type="git", url=place["git"], commit_id=commit, subdirectory=subdirectory
            ),
        )
    if place["kind"] == "directory":
        return Package(
            name=name, directory=PackageDirectory(path=place["path"], subdirectory=subdirectory)
        )
    if not hashes and place["kind"] == "url":
        raise _BrokenError(f"{name} at {place['url']} has no SHA-256")
    return Package(
        name=name,
        archive=PackageArchive(
            url=place.get("url"),
            path=place.get("path"),
            hashes={"sha256": min(hashes)} if hashes else {},
            subdirectory=subdirectory,
        ),
    )


def _files(name: Any, version: Version | None, files: Sequence[Mapping[str, Any]]) -> Package:
    """A package of which the lock has the URLs of all files (PDM's strategy static_urls)."""
    wheels: list[PackageWheel] = []
    sdist: PackageSdist | None = None
    for file in files:
        match = _SHA256.fullmatch(_text(file, "hash"))
        if match is None:
            raise _BrokenError(f"a file of {name} has no SHA-256")
        url = _url(file, "url").partition("#")[0]
        hashes = {"sha256": match[1].lower()}
        if url.endswith(".whl"):
            wheels.append(PackageWheel(url=url, hashes=hashes))
        else:
            sdist = PackageSdist(url=url, hashes=hashes)
    return Package(name=name, version=version, wheels=wheels or None, sdist=sdist)


def _subdirectory(row: Mapping[str, Any]) -> dict[str, str]:
    return {"subdirectory": _text(row, "subdirectory")} if "subdirectory" in row else {}


def _stale(lock: Path, manifest: str, command: str) -> ConfigError:
    return ConfigError(
        f"{lock} is older than {manifest}",
        why=f"what {manifest} asks for is not what was locked",
        fix=f"run `{command}`",
    )


def _require_known(kind: str, chosen: Collection[str], known: Collection[str], lock: Path) -> None:
    if unknown := sorted(set(chosen) - set(known)):
        raise ConfigError(
            f"{lock} has no {kind} {unknown[0]!r}",
            why=f"it has {', '.join(sorted(known)) or 'none'}",
            fix=f"correct `{'extras' if kind == 'extra' else 'groups'}`, or lock again with it",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise _BrokenError(f"it is not TOML: {error}") from error


def _table(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = row.get(key, {})
    if not isinstance(value, Mapping):
        raise _BrokenError(f"`{key}` is not a table")
    return value


def _rows(row: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = row.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise _BrokenError(f"`{key}` is not a list of tables")
    return value


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        named = f" of {row['name']}" if isinstance(row.get("name"), str) else ""
        raise _BrokenError(f"`{key}`{named} is not a text")
    return value


def _texts(row: Mapping[str, Any], key: str) -> Sequence[str]:
    value = row.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _BrokenError(f"`{key}` is not a list of texts")
    return value


def _url(row: Mapping[str, Any], key: str) -> str:
    value = _text(row, key)
    if not _URL.fullmatch(value):
        raise _BrokenError(f"{value!r} is not a URL")
    return value
