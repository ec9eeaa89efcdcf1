"""What is in archives and how much room it takes: by layer, by package, by directory.

A file belongs to the distribution whose `RECORD` lists it; the rest is told by its place.
"""

import csv
import hashlib
import io
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from packaging.utils import canonicalize_name

from packager.elf import ELF_MAGIC
from packager.facts import (
    ArchiveFacts,
    ArchiveKind,
    Distribution,
    Observation,
    observe,
    read_archive,
    site_path,
)
from packager.record import SUFFIX
from packager.recorded import archive_at, find_record

LARGEST_FILES: Final = 10
LARGEST_RECORD_BYTES: Final = 64 << 20
LARGEST_COMPARED_BYTES: Final = 1 << 20
"""Of a file that no `RECORD` has a hash of, so much is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSize:
    path: str
    """In its archive, printable."""
    size: int
    """Bytes, unpacked."""
    crc: int = 0
    """CRC-32, for a comparison; of small files only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A distribution in a layer, or what of a layer belongs to none."""

    name: str
    """Normalised; in brackets where it is no distribution: `(app)`, `(environment)`."""
    version: str
    layer: str
    """The layer's kind."""
    compiled: bool
    digest: str
    """SHA-256 over its `RECORD`, and so over all its files; empty where there is none."""
    content: tuple[FileSize, ...]

    @property
    def unpacked(self) -> int:
        return sum(file.size for file in self.content)

    @property
    def files(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    file: str
    kind: str
    size: int
    """Bytes of the archive."""
    unpacked: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    subject: str
    layers: tuple[LayerSize, ...]
    packages: tuple[Package, ...]
    """The largest first."""

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def unpacked(self) -> int:
        return sum(layer.unpacked for layer in self.layers)

    @property
    def files(self) -> int:
        return sum(layer.files for layer in self.layers)

    @property
    def largest(self) -> tuple[tuple[FileSize, Package], ...]:
        found = ((file, package) for package in self.packages for file in package.content)
        return tuple(sorted(found, key=lambda f: (-f[0].size, f[0].path))[:LARGEST_FILES])


def inspect(
    path: Path | None, folder: Path, *, release: str | None, arch: str | None
) -> Inspection:
    """Look into the archives of a record, or into one archive.

    Raise `ConfigError` where nothing is there, or it is damaged.
    """
    if path is not None and not path.is_dir() and not path.name.endswith(SUFFIX):
        return _inspection(path.name, [_layer(path, None)], [])
    found = find_record(path, folder, release=release, arch=arch)
    layers = [
        _layer(found.path(a), a.kind) for a in found.record.artifacts if a.kind != "entry-point"
    ]
    scripts = [
        LayerSize(file=a.file, kind=a.kind, size=a.size, unpacked=a.unpacked, files=1)
        for a in found.record.entry_points
    ]
    return _inspection(found.record.name, layers, scripts)


_Layer = tuple[LayerSize, tuple[Package, ...]]


def _inspection(subject: str, layers: Sequence[_Layer], scripts: Sequence[LayerSize]) -> Inspection:
    packages = [package for _, found in layers for package in found]
    packages += [
        Package(
            name="(entry point)",
            version="",
            layer=script.kind,
            compiled=False,
            digest="",
            content=(FileSize(path=script.file, size=script.unpacked),),
        )
        for script in scripts
    ]
    return Inspection(
        subject=printable(subject),
        layers=(*(layer for layer, _ in layers), *scripts),
        packages=tuple(sorted(packages, key=lambda p: (-p.unpacked, p.name, p.layer, p.version))),
    )


def _layer(path: Path, kind: ArchiveKind | None) -> _Layer:
    with archive_at(path) as file:
        return read_layer(file, path.name, kind=kind)


def read_layer(stream: BinaryIO, name: str, *, kind: ArchiveKind | None = None) -> _Layer:
    """Tell what each distribution brings to an archive, which is read once."""
    compiled: set[str] = set()
    records: dict[str, bytes] = {}
    crcs: dict[str, int] = {}

    def note(path: str, head: bytes, open_: Callable[[], BinaryIO]) -> tuple[Observation, ...]:
        if head.startswith(ELF_MAGIC):
            compiled.add(path)
            return ()  # what it needs is the checks' business, and costs time
        if path.endswith(".dist-info/RECORD"):
            with open_() as file:
                records[path] = file.read(LARGEST_RECORD_BYTES)
            return ()
        with open_() as file:  # it opens once
            content = file.read(LARGEST_COMPARED_BYTES)
        crcs[path] = zlib.crc32(content)
        return observe(path, head, lambda: io.BytesIO(content))

    facts = read_archive(stream, name, kind=kind, observer=note)
    sizes = {m.path: m.size for m in facts.members if m.kind == "file"}
    rest = f"({facts.kind})"
    owners = _owners(facts, records)
    content: dict[str, list[FileSize]] = defaultdict(list)
    native: set[str] = set()
    for path, size in sorted(sizes.items()):
        owner = owners.of(path) or rest
        content[owner].append(FileSize(path=printable(path), size=size, crc=crcs.get(path, 0)))
        if path in compiled:
            native.add(owner)
    packages = []
    for owner, files in content.items():
        made = owners.made.get(owner)
        packages.append(
            Package(
                name=printable(canonicalize_name(made.name)) if made else rest,
                version=printable(made.version) if made else "",
                layer=facts.kind,
                compiled=owner in native,
                digest=hashlib.sha256(records[f"{owner}/RECORD"]).hexdigest()
                if f"{owner}/RECORD" in records
                else "",
                content=tuple(files),
            )
        )
    layer = LayerSize(
        file=printable(name),
        kind=facts.kind,
        size=facts.size_bytes,
        unpacked=sum(sizes.values()),
        files=len(sizes),
    )
    return layer, tuple(packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owners:
    """Finds the distribution of a file; each goes by its metadata directory."""

    made: Mapping[str, Distribution]
    listed: Mapping[str, str]
    """Path to owner, of what a `RECORD` lists."""
    tops: Mapping[str, str]
    """What lies right in `site-packages` to the only distribution that has files there."""
    site: Callable[[str], str | None]

    def of(self, path: str) -> str | None:
        if path in self.listed:
            return self.listed[path]
        inside = self.site(path)
        if inside is None:
            return None
        top = inside.partition("/")[0]
        return self.tops.get(top) or self.tops.get(top.partition(".")[0])


def _owners(facts: ArchiveFacts, records: Mapping[str, bytes]) -> _Owners:
    made: dict[str, Distribution] = {}
    listed: dict[str, str] = {}
    tops: dict[str, set[str]] = defaultdict(set)
    for distribution in sorted(facts.installed, key=lambda d: d.path):
        info = distribution.path.rpartition("/")[0]
        parent, _, own = info.rpartition("/")
        made[info] = distribution
        tops[own].add(info)
        record = records.get(f"{info}/RECORD")
        if record is None:  # then the names are all there is to go by
            module = canonicalize_name(distribution.name).replace("-", "_")
            tops[module].add(info)
            tops[f"{module}.libs"].add(info)
            continue
        for path in _recorded_paths(record, parent):
            listed.setdefault(path, info)
            inside = site_path(facts, path)
            if inside and "/" in inside:
                tops[inside.partition("/")[0]].add(info)
    return _Owners(
        made=made,
        listed=listed,
        tops={top: min(owners) for top, owners in tops.items() if len(owners) == 1},
        site=lambda path: site_path(facts, path),
    )


def _recorded_paths(record: bytes, parent: str) -> Iterator[str]:
    """Paths in the archive; a `RECORD` has them relative to `site-packages`."""
    text = record.decode("utf-8", "surrogateescape")
    try:
        for row in csv.reader(io.StringIO(text)):
            if row and not row[0].startswith("/"):
                yield _joined(parent, row[0])
    except csv.Error:
        return  # what it does not tell is told by its place


def _joined(parent: str, path: str) -> str:
    parts = parent.split("/") if parent else []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def printable(text: str) -> str:
    """A name from an archive, which may hold any bytes, as any terminal and page can show it."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in whole)


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    return {
        "subject": inspection.subject,
        "size": inspection.size,
        "unpacked": inspection.unpacked,
        "files": inspection.files,
        "layers": [
            {
                "file": layer.file,
                "kind": layer.kind,
                "size": layer.size,
                "unpacked": layer.unpacked,
                "files": layer.files,
            }
            for layer in inspection.layers
        ],
        "packages": [
            {
                "name": package.name,
                "version": package.version,
                "layer": package.layer,
                "unpacked": package.unpacked,
                "files": package.files,
                "compiled": package.compiled,
            }
            for package in inspection.packages
        ],
        "largest": [
            {"path": file.path, "size": file.size, "package": package.name, "layer": package.layer}
            for file, package in inspection.largest
        ],
    }


def inspection_text(inspection: Inspection) -> str:
    whole = inspection.unpacked
    layers = [
        *(
            (layer.kind, megabytes(layer.size), megabytes(layer.unpacked), f"{layer.files:,}")
            for layer in inspection.layers
        ),
        (
            "total",
            megabytes(inspection.size),
            megabytes(whole),
            f"{inspection.files:,}",
        ),
    ]
    packages = [
        (
            f"{p.name} {p.version}".rstrip(),
            megabytes(p.unpacked),
            share(p.unpacked, whole),
            f"{p.files:,}",
            "compiled" if p.compiled else "pure",
            p.layer,
        )
        for p in inspection.packages
    ]
    files = [(megabytes(file.size), file.path) for file, _ in inspection.largest]
    return "\n\n".join(
        (
            inspection.subject,
            table(("layer", "archive", "unpacked", "files"), "<>>>", layers),
            table(("package", "unpacked", "share", "files", "", "layer"), "<>>><<", packages),
            table(("unpacked", "largest files"), "><", files),
        )
    )


def megabytes(size: int) -> str:
    """Decimal, as S3 and the other commands count; in smaller units where that says more."""
    if abs(size) < 1000:
        return f"{size} B"
    return f"{size / 1e6:,.1f} MB" if abs(size) >= 100_000 else f"{size / 1e3:,.1f} kB"


def share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def table(head: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    """Columns of text, aligned as `format` says for each: `<` or `>`."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in lines
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A package on one side of a comparison, all layers together."""

    versions: tuple[str, ...] = ()
    unpacked: int = 0
    files: int = 0
    digests: tuple[str, ...] = ()
    content: tuple[FileSize, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    name: str
    before: Side | None
    after: Side | None

    @property
    def change(self) -> str:
        match self.before, self.after:
            case None, _:
                return "added"
            case _, None:
                return "removed"
            case _:
                return "changed"

    @property
    def unpacked(self) -> int:
        """How much more room it takes, in bytes."""
        before, after = self.before or Side(), self.after or Side()
        return after.unpacked - before.unpacked


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    before: Inspection
    after: Inspection
    differences: tuple[Difference, ...]
    """Those that matter most first."""
    same: int
    """Packages that are the same on both sides."""


def compare(before: Inspection, after: Inspection) -> Comparison:
    """Tell two inspections apart, package by package.

    What has neither another version nor another size is told by the hashes of its `RECORD`.
    """
    old, new = _sides(before), _sides(after)
    names = sorted({*old, *new})
    found = [
        Difference(name=name, before=old.get(name), after=new.get(name))
        for name in names
        if old.get(name) != new.get(name)
    ]
    return Comparison(
        before=before,
        after=after,
        differences=tuple(sorted(found, key=lambda d: (-abs(d.unpacked), d.name))),
        same=len(names) - len(found),
    )


def _sides(inspection: Inspection) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    for package in sorted(inspection.packages, key=lambda p: (p.layer, p.version)):
        side = sides.get(package.name, Side())
        # The name of an entry point has its hash in it, and that says all there is to say.
        sides[package.name] = replace(
            side,
            versions=(*side.versions, *filter(None, (package.version,))),
            unpacked=side.unpacked + package.unpacked,
            files=side.files + package.files,
            digests=(*side.digests, package.digest),
            content=side.content if package.digest else (*side.content, *package.content),
        )
    return sides


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    def side(value: Side | None) -> dict[str, Any] | None:
        return (
            value
            if value is None
            else {
                "versions": list(value.versions),
                "unpacked": value.unpacked,
                "files": value.files,
            }
        )

    before, after = comparison.before, comparison.after
    return {
        "before": {"subject": before.subject, "size": before.size, "unpacked": before.unpacked},
        "after": {"subject": after.subject, "size": after.size, "unpacked": after.unpacked},
        "differences": [
            {
                "name": difference.name,
                "change": difference.change,
                "unpacked": difference.unpacked,
                "before": side(difference.before),
                "after": side(difference.after),
            }
            for difference in comparison.differences
        ],
        "same": comparison.same,
    }


def comparison_text(comparison: Comparison) -> str:
    before, after = comparison.before, comparison.after
    rows = [
        (d.change, d.name, _versions(d), _more(d.unpacked), _files(d))
        for d in comparison.differences
    ]
    totals = [
        (
            "archives",
            megabytes(before.size),
            megabytes(after.size),
            _more(after.size - before.size),
        ),
        (
            "unpacked",
            megabytes(before.unpacked),
            megabytes(after.unpacked),
            _more(after.unpacked - before.unpacked),
        ),
        ("files", f"{before.files:,}", f"{after.files:,}", f"{after.files - before.files:+,}"),
    ]
    packages = "package is" if comparison.same == 1 else "packages are"
    differences = (
        table(("", "package", "version", "unpacked", "files"), "<<<>>", rows)
        if rows
        else "no package differs"
    )
    return "\n\n".join(
        (
            f"{before.subject} -> {after.subject}",
            differences,
            table(("total", "before", "after", ""), "<>>>", totals),
            f"{comparison.same} {packages} the same",
        )
    )


def _more(size: int) -> str:
    return f"{'+' if size > 0 else ''}{megabytes(size)}" if size else "0"


def _files(difference: Difference) -> str:
    before, after = difference.before or Side(), difference.after or Side()
    return f"{after.files - before.files:+,}" if after.files != before.files else "0"


def _versions(difference: Difference) -> str:
    before, after = (
        ", ".join(side.versions) if side else "" for side in (difference.before, difference.after)
    )
    if difference.before and difference.after and before != after:
        return f"{before or '-'} -> {after or '-'}"
    return before or after
