"""An installed environment, read as the wheels builder would have written it. Reads one folder.

Installers leave traces of themselves and of their machine: paths in scripts, byte code, notes on
who installed what from where. None of it is kept: scripts are made anew from entry points, and
`RECORD` is told. What is left are the files of the distributions, and those that no distribution
knows, which somebody put there: pip, uv or venv-pack, the same lock gives the same files.
"""

import csv
import io
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Final, Literal, cast

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from packager.environment import environment_layout
from packager.errors import ConfigError
from packager.facts import (
    HEAD_BYTES,
    DirectUrl,
    Distribution,
    Observation,
    PthFile,
    observe,
    shown,
)
from packager.layers import File
from packager.record import RecordedWheel
from packager.tarball import EXECUTABLE_MODE, FILE_MODE, Content, Symlink, TarMember
from packager.target import PROVIDED, Target
from packager.wheels import Layout, entry_script, from_site, relocated, scripts_of, signed

SEEDS: Final = frozenset({"pip", "setuptools", "wheel"})
"""What `venv` and `virtualenv` put into an empty environment."""

NOTES: Final = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)
"""Files of a `.dist-info` that installers write and no wheel has; `RECORD` is written anew."""

OF_THE_TOOL: Final = re.compile(
    r"\.gitignore|\.lock|CACHEDIR\.TAG|pip-selfcheck\.json|pyvenv\.cfg"
    r"|bin/(python[0-9.]*t?|pypy[0-9.]*|([Aa]ctivate|deactivate|pydoc)([._][^/]*)?)"
    r"|lib/python[^/]+/(orig-prefix|no-global-site-packages)\.txt"
    r"|lib/python[^/]+/site-packages/(_virtualenv\.(py|pth)|[^/]+\.virtualenv|~.*)"
)
"""What makes an environment one on this machine, and what pip could not finish removing (`~`)."""

SURROGATES: Final = re.compile("[\udc80-\udcff]")
"""What Python reads of names that are not UTF-8."""

LISTED: Final = 5
"""How many of many an error names."""

ENVIRONMENTS_PYTHON: Final = re.compile(rb"#![ \t]*(?P<folder>/.*)/python[0-9.]*t?[ \t]*\r?\n")
FOUND_PYTHON: Final = re.compile(rb"#![ \t]*/usr/bin/env[ \t]+python[0-9.]*[ \t]*\r?\n")
SHELL_TRICK: Final = re.compile(rb"#!/bin/sh\n(# coding: [^\n]*\n)?'''exec' [^\n]*\n' '''[ \t]?\n?")
"""How pip and uv start a script where the path to Python is long or has blanks."""
SYSTEMS: Final = frozenset({b"/bin", b"/usr/bin", b"/usr/local/bin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """An environment's files besides `bin/python` and what else `skeleton` writes."""

    members: tuple[TarMember, ...]
    """Written anew, and links; sorted by path."""
    files: tuple[File, ...]
    """As they lie on the disk; sorted by path."""
    packages: tuple[RecordedWheel, ...]
    """By the wheels they came as, whose names are put together from what they say of themselves."""
    dropped: tuple[str, ...]
    """Packages left out since EMR brings them."""
    seeds: tuple[str, ...]
    """Installers left out since nothing needs them."""
    own: tuple[str, ...]
    """Files of no distribution that are kept."""
    absent: tuple[str, ...]
    """Files that a distribution's `RECORD` names and that are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A line of `RECORD`."""

    path: str
    """In the environment."""
    digest: str
    size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Installed:
    """A distribution as an installer left it."""

    folder: str
    """Its `.dist-info`, in the environment."""
    metadata: Distribution
    rows: tuple[_Row, ...]
    scripts: tuple[tuple[str, str], ...]
    by: str
    """Name of the installer."""
    editable: bool

    @property
    def name(self) -> str:
        return canonicalize_name(self.metadata.name)


def read_tree(
    root: Path,
    target: Target,
    *,
    files: Iterable[str] | None = None,
    keep: Collection[str] = (),
    without: Collection[str] = (),
) -> Tree:
    """Read the environment at `root`, or of it only `files`, paths relative to it.

    `keep` names installers that are wanted, `without` distributions that are packed elsewhere
    (both normalised). Raise `ConfigError` for what would be lost: editable installs, links that
    lead out of the environment, and what is neither file nor link.
    """
    layout = environment_layout(target)
    kinds = _listing(root, walk(root) if files is None else files)
    installed = tuple(_installed(root, layout, kinds))
    left_out, dropped, seeds = _left_out(installed, target, keep=keep, without=without)
    kept = [one for one in installed if one.folder not in left_out]
    recorded = {row.path: row for one in kept for row in one.rows}
    gone = {row.path for one in installed if one.folder in left_out for row in one.rows}
    gone |= {
        f"bin/{name}" for one in installed if one.folder in left_out for name, _ in one.scripts
    }
    gone |= set(_own_links(root, layout, kinds, without))
    _require_python(root, target, kinds)
    _refuse_editable(root, layout, kept, [p for p in kinds if p not in gone or p in recorded])

    scripts = {f"bin/{name}": reference for one in kept for name, reference in one.scripts}
    notes = {f"{one.folder}/{note}" for one in kept for note in NOTES}
    folders = tuple(f"{folder}/" for folder in left_out)
    members: dict[str, TarMember] = {
        path: Content(path=path, mode=EXECUTABLE_MODE, data=entry_script(reference, layout))
        for path, reference in scripts.items()
    }
    plain: list[File] = []
    own: list[str] = []
    astray: list[str] = []
    for path, kind in kinds.items():
        row = recorded.get(path)
        if (
            path in members
            or path in notes
            or (row is None and (path in gone or OF_THE_TOOL.fullmatch(path)))
            or path.startswith(folders)
            or _byte_code(path, row)
            or (row is None and _standard_library(path, layout))
        ):
            continue
        if row is None:
            own.append(path)
        if kind == "link":
            link = _link(root, path)
            if link is None:
                astray.append(path)
            else:
                members[path] = Symlink(path=path, link=link)
            continue
        content = _rewritten(root, path, row, layout) if path.startswith("bin/") else None
        if content is not None:
            members[path] = content
        else:
            plain.append(File(path=path, source=root / path))
    if astray:
        raise _astray(root, astray)
    there = {file.path for file in plain} | set(members)
    for one in kept:
        if f"{one.folder}/RECORD" in kinds:
            record = _record(one, members, there, layout)
            members[record.path] = record
    return Tree(
        members=tuple(members[path] for path in sorted(members)),
        files=tuple(sorted(plain, key=lambda file: file.path)),
        packages=tuple(_package(root, one) for one in sorted(kept, key=lambda one: one.name)),
        dropped=dropped,
        seeds=seeds,
        own=tuple(own),
        absent=tuple(
            sorted(
                p for p, r in recorded.items() if r.digest and p not in kinds and p not in members
            )
        ),
    )


def walk(root: Path) -> Iterator[str]:
    """Files and links of a tree, relative to it."""

    def fail(error: OSError) -> None:
        raise error

    try:
        for folder, directories, files in os.walk(root, onerror=fail):
            here = os.path.relpath(folder, root)
            directories[:] = [d for d in directories if d != "__pycache__"]
            linked = [d for d in directories if os.path.islink(os.path.join(folder, d))]  # noqa: PTH114, PTH118  # of ten thousand files each costs
            for name in (*files, *linked):
                yield name if here == "." else f"{here}/{name}"
    except OSError as error:
        raise ConfigError(
            f"{error.filename} can not be read",
            why=error.strerror or str(error),
            fix="mend its permissions",
        ) from error


Kind = Literal["file", "link"]


def _listing(root: Path, files: Iterable[str]) -> Mapping[str, Kind]:
    """What each path is, sorted. The link `lib64` is `skeleton`'s."""
    kinds: dict[str, Kind] = {}
    others: list[str] = []
    files = sorted(files)
    if unnamed := [path for path in files if SURROGATES.search(path)]:
        raise ConfigError(
            f"{root} has names that are not UTF-8: {some(unnamed)}",
            why="archives name their files in UTF-8",
            fix="rename or remove them",
        )
    for path in files:
        try:
            mode = os.lstat(f"{root}/{path}").st_mode  # of ten thousand, a `Path` would cost
        except OSError as error:
            raise ConfigError(
                f"{root / path} can not be read", why=error.strerror or str(error)
            ) from error
        if S_ISREG(mode):
            kinds[path] = "file"
        elif S_ISLNK(mode):
            if path != "lib64":
                kinds[path] = "link"
        elif not (root / path).is_dir():  # an empty one, which no wheel can have
            others.append(path)
    if others:
        raise ConfigError(
            f"{root} has what is neither file nor link: {some(others)}",
            why="sockets, pipes and devices can not be packed",
            fix="remove them",
        )
    return kinds


def _require_python(root: Path, target: Target, paths: Iterable[str]) -> None:
    found = {m[1] for path in paths if (m := re.match(r"lib/python([^/]+)/site-packages/", path))}
    if others := found - {target.python}:
        raise ConfigError(
            f"{root} has Python {', '.join(sorted(others))}, the target {target.python}",
            why=f"packages are installed for one minor version of Python; {target.release.label}"
            f" runs {', '.join(i.python for i in target.release.interpreters) or 'unknown ones'}",
            fix="make the environment with that Python, or choose another with --python or"
            " --release",
        )


def _installed(root: Path, layout: Layout, kinds: Collection[str]) -> Iterator[_Installed]:
    for path in kinds:
        folder, _, name = path.rpartition("/")
        if name != "METADATA" or not re.fullmatch(
            re.escape(layout.site_packages) + r"/[^/~][^/]*\.dist-info", folder
        ):
            continue
        (metadata,) = _seen(root, path)
        if not isinstance(metadata, Distribution) or not metadata.name:
            raise _unsound(root / folder, "its METADATA has no name")
        url = f"{folder}/direct_url.json"
        direct = _seen(root, url) if url in kinds else ()
        points, by = (
            _text(root / file) if (file := f"{folder}/{note}") in kinds else ""
            for note in ("entry_points.txt", "INSTALLER")
        )
        try:
            scripts = tuple(scripts_of(points, posixpath.basename(folder)))
        except ConfigError as error:
            raise _unsound(root / folder, error.why) from error
        yield _Installed(
            folder=folder,
            metadata=metadata,
            rows=tuple(_rows(root, folder)) if f"{folder}/RECORD" in kinds else (),
            scripts=scripts,
            by=by.strip(),
            editable=any(isinstance(d, DirectUrl) and d.editable for d in direct),
        )


def _rows(root: Path, folder: str) -> Iterator[_Row]:
    site = posixpath.dirname(folder)
    try:
        for row in csv.reader(io.StringIO(_text(root / folder / "RECORD"))):
            if row:
                name, digest, size = (*row, "", "")[:3]
                path = posixpath.normpath(posixpath.join(site, name))
                if not path.startswith(("/", "../")):
                    path = re.sub("^lib64/", "lib/", path)
                    yield _Row(path=path, digest=digest, size=size)
    except csv.Error as error:
        raise _unsound(root / folder, f"RECORD: {error}") from error


def _seen(root: Path, path: str) -> tuple[Observation, ...]:
    file = root / path
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        return observe(path, head, lambda: file.open("rb"))
    except OSError as error:
        raise _unreadable(file, error) from error


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise _unreadable(file, error) from error
    except UnicodeDecodeError as error:
        raise _unsound(file.parent, f"{file.name} is not UTF-8: {error}") from error


def _unreadable(file: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{file} can not be read", why=error.strerror or str(error), fix="mend its permissions"
    )


def _unsound(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"{folder} is not sound", why=why, fix="install this package again")


def _left_out(
    installed: Collection[_Installed],
    target: Target,
    *,
    keep: Collection[str],
    without: Collection[str],
) -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    """The folders of distributions that are not packed; the names of EMR's own and of seeds."""
    own = {one.name for one in installed if one.name in PROVIDED}
    away = own | {one.name for one in installed if one.name in without}
    # Only pip puts its kind into an environment unasked: uv does when it is told to.
    seeds = {one.name for one in installed if one.name in SEEDS and one.by == "pip"}
    seeds -= {*keep, *away}
    while needed := seeds & {
        name
        for one in installed
        if one.name not in seeds | away
        for name in _required(one.metadata, target)
    }:
        seeds -= needed
    folders = frozenset(one.folder for one in installed if one.name in away | seeds)
    return folders, tuple(sorted(own)), tuple(sorted(seeds))


def _required(metadata: Distribution, target: Target) -> Iterator[str]:
    environment = cast("dict[str, str]", {**target.markers(), "extra": ""})
    for text in metadata.requires_dist:
        try:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                yield canonicalize_name(requirement.name)
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            continue  # the checks warn of it


def _refuse_editable(
    root: Path, layout: Layout, installed: Collection[_Installed], paths: Collection[str]
) -> None:
    editable = {one.metadata.name for one in installed if one.editable}
    of_these = {row.path for one in installed if one.editable for row in one.rows}
    site = re.escape(layout.site_packages)
    for path in paths:
        if path in of_these or not re.fullmatch(rf"{site}/[^/]*(\.pth|\.egg-link|\.py)", path):
            continue
        name = posixpath.basename(path)
        if name.startswith("__editable__") or name.endswith(".egg-link"):
            editable.add(name)
        elif name.endswith(".pth"):
            editable |= {f"{name} (leads to {line})" for line in _leading_out(root, path)}
    if editable:
        raise ConfigError(
            f"{root} has editable installs: {some(sorted(editable))}",
            why="they are links to folders of this machine, and would be lost",
            fix="install them as wheels: `pip install .`, `uv sync --no-editable`; the project"
            " itself is packed as the app: packager pack --venv ENVIRONMENT PROJECT",
        )


def _own_links(
    root: Path, layout: Layout, paths: Collection[str], without: Collection[str]
) -> Iterator[str]:
    """What `setup.py develop` left of distributions that are packed elsewhere."""
    site = layout.site_packages
    links = [
        path
        for path in paths
        if path.startswith(f"{site}/") and path.endswith(".egg-link")
        if canonicalize_name(posixpath.basename(path).removesuffix(".egg-link")) in without
    ]
    yield from links
    folders = {_text(root / path).partition("\n")[0].strip() for path in links}
    common = f"{site}/easy-install.pth"
    for pth in _seen(root, common) if links and common in paths else ():
        if isinstance(pth, PthFile) and {line.rstrip() for line in pth.lines} <= folders:
            yield common


def _leading_out(root: Path, path: str) -> Iterator[str]:
    """Lines of a `.pth` file that name folders outside of the environment."""
    for pth in _seen(root, path):
        for line in pth.lines if isinstance(pth, PthFile) else ():
            leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), line.rstrip()))
            # As `site` tells code from paths.
            if not line.startswith(("import ", "import\t")) and leads.startswith(("/", "../")):
                yield line.rstrip()


def _byte_code(path: str, row: _Row | None) -> bool:
    """Whether Python made it here; what a wheel brought has a hash."""
    made = path.endswith((".pyc", ".pyo")) or "__pycache__/" in path
    return made and not (row and row.digest)


def _standard_library(path: str, layout: Layout) -> bool:
    """Whether it lies beside `site-packages`, as in environments with a copy of the library."""
    return path.startswith(f"{posixpath.dirname(layout.site_packages)}/") and not path.startswith(
        f"{layout.site_packages}/"
    )


def _link(root: Path, path: str) -> str | None:
    """Where a link leads, relative to its folder; None if that is not in the environment."""
    real = os.path.realpath(root / path)
    base = os.path.realpath(root)
    if not real.startswith(f"{base}{os.sep}") or not os.path.exists(real):  # noqa: PTH110  # a text
        return None
    link = os.readlink(root / path)  # noqa: PTH115  # as it is written
    return os.path.relpath(real, os.path.realpath((root / path).parent)) if link[0] == "/" else link


def _astray(root: Path, paths: Collection[str]) -> ConfigError:
    first = next(iter(paths))
    return ConfigError(
        f"{root} has links that lead out of it, or nowhere: {some(paths)}",
        why=f"{first} leads to {os.path.realpath(root / first)}, which no worker has",
        fix="put files in their place: `uv sync --reinstall --link-mode copy` where uv linked to"
        " its cache",
    )


def some(names: Collection[str]) -> str:
    """The first of them, and how many others there are."""
    others = len(names) - LISTED
    named = ", ".join(shown(name) for name in list(names)[:LISTED])
    return f"{named} and {others} more" if others > 0 else named


def _rewritten(root: Path, path: str, row: _Row | None, layout: Layout) -> Content | None:
    """A script that starts the environment's own Python, made to find it wherever it is.

    Others stay as they are, but what is known to be a script can be started: pip sees to that
    only where it writes a path.
    """
    file = root / path
    try:
        with file.open("rb") as stream:
            if stream.read(2) != b"#!":
                return None
            data = b"#!" + stream.read()
            executable = os.fstat(stream.fileno()).st_mode & 0o111
    except OSError as error:
        raise _unreadable(file, error) from error
    as_it_is = (
        Content(path=path, mode=EXECUTABLE_MODE, data=data) if row and not executable else None
    )
    if found := SHELL_TRICK.match(data):
        if layout.python.encode() in found[0] and b'realpath -- "$0")")/' in found[0]:
            return as_it_is  # ours
        rest = data[found.end() :]
    elif (found := ENVIRONMENTS_PYTHON.match(data)) and (
        found["folder"] not in SYSTEMS or found["folder"] == os.fsencode(root / "bin")
    ):
        rest = data[found.end() :]
    elif (found := FOUND_PYTHON.match(data)) and row and _changed(data, row):
        rest = data[found.end() :]  # by venv-pack: the wheel's own line would have kept its hash
    else:
        return as_it_is
    script = relocated(b"#!python\n" + rest, layout)
    return Content(path=path, mode=EXECUTABLE_MODE, data=script)


def _changed(data: bytes, row: _Row) -> bool:
    content = Content(path=row.path, mode=FILE_MODE, data=data)
    return bool(row.digest) and signed(content)[0] != row.digest


def _record(
    one: _Installed, members: Mapping[str, TarMember], there: Collection[str], layout: Layout
) -> Content:
    """`RECORD` of the files that are packed, in the order of their names."""
    path = f"{one.folder}/RECORD"
    paths = {f"bin/{name}": _Row(path=f"bin/{name}", digest="", size="") for name, _ in one.scripts}
    paths |= {row.path: row for row in one.rows if row.path in there or row.path == path}
    rows = []
    for row in paths.values():
        member = members.get(row.path)
        about = signed(member) if isinstance(member, Content) else (row.digest, row.size)
        rows.append((from_site(row.path, layout), *about))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(sorted(rows))
    return Content(path=path, mode=FILE_MODE, data=out.getvalue().encode())


def _package(root: Path, one: _Installed) -> RecordedWheel:
    stem = posixpath.basename(one.folder).removesuffix(".dist-info")
    wheel = root / one.folder / "WHEEL"
    text = _text(wheel) if wheel.is_file() else ""
    tags = [tag.split("-") for tag in re.findall(r"^Tag: *(\S+-\S+-\S+)\s*$", text, re.MULTILINE)]
    parts = [".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True)]
    return RecordedWheel(
        name=one.name,
        version=one.metadata.version,
        filename=f"{stem}-{'-'.join(parts) or 'py3-none-any'}.whl",
        sha256=None,
    )
