"""Pairs of packages and releases that are known not to work. The pairs are data."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from packager.checks.bundle import Bundle, listed
from packager.checks.sparkpython import spark_runs
from packager.facts import shown
from packager.findings import Finding, Severity
from packager.target import Target

TABLE: Final = Path(__file__).parents[1] / "data" / "known-bad.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadPair:
    """A row; all of it must hold, and what it leaves empty holds always."""

    package: NormalizedName
    versions: SpecifierSet
    spark: SpecifierSet
    python: SpecifierSet
    with_: Mapping[NormalizedName, SpecifierSet]
    without: frozenset[NormalizedName]
    like: str
    """Fact of the release whose major and minor version the package must have."""
    severity: Severity
    why: str
    fix: str
    source: str


_REQUIRED: Final = {"package", "versions", "severity", "why", "fix", "source"}
_OPTIONAL: Final = {"spark", "python", "with", "without", "like"}


@cache
def known_bad() -> tuple[BadPair, ...]:
    return read_pairs(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def read_pairs(document: Mapping[str, Any]) -> tuple[BadPair, ...]:
    """Read a whole table; anything missing, unknown or of a wrong form is a `ValueError`."""
    if document.keys() != {"checked", "pair"}:
        raise ValueError(f"the table has {', '.join(document)}")
    return tuple(_pair(row) for row in document["pair"])


def _pair(row: Mapping[str, Any]) -> BadPair:
    if not row.keys() >= _REQUIRED or not row.keys() <= _REQUIRED | _OPTIONAL:
        raise ValueError(f"a pair has {', '.join(row)}")
    if row["severity"] not in {"error", "warning"} or not all(row[key] for key in _REQUIRED):
        raise ValueError(f"a pair of {row['package']} says {row['severity']!r}, or nothing")
    return BadPair(
        package=canonicalize_name(row["package"]),
        versions=SpecifierSet(row["versions"]),
        spark=SpecifierSet(row.get("spark", "")),
        python=SpecifierSet(row.get("python", "")),
        with_={canonicalize_name(n): SpecifierSet(v) for n, v in row.get("with", {}).items()},
        without=frozenset(map(canonicalize_name, row.get("without", ()))),
        like=row.get("like", ""),
        severity=cast("Severity", row["severity"]),
        why=row["why"],
        fix=row["fix"],
        source=row["source"],
    )


def known_good(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Nothing inside, the Python included, is known to fail with the release or with the rest."""
    yield from spark_runs(bundle, target)
    versions: dict[NormalizedName, tuple[Version, str]] = {}
    for facts in bundle:
        for distribution in facts.installed:
            try:
                version = Version(distribution.version)
            except InvalidVersion:
                continue  # Nothing is known of such a one.
            versions[canonicalize_name(distribution.name)] = (version, facts.name)
    for pair in known_bad():
        if pair.package in versions and _applies(
            pair, target, {n: v for n, (v, _) in versions.items()}
        ):
            version, where = versions[pair.package]
            partner = _partner(pair, target, [f"{name} {versions[name][0]}" for name in pair.with_])
            yield Finding(
                check="ARC013",
                severity=pair.severity,
                what=f"{shown(f'{pair.package} {version}')} does not go with {partner}",
                why=pair.why,
                fix=pair.fix,
                where=where,
            )


def _partner(pair: BadPair, target: Target, others: list[str]) -> str:
    if others:
        return listed(others)
    if pair.like:
        return f"the {pair.like} {target.release.facts[pair.like]} of {target.release.label}"
    python = f" and Python {target.python}" if pair.python else ""
    return f"Spark {target.release.spark}{python}"


def _applies(pair: BadPair, target: Target, versions: Mapping[NormalizedName, Version]) -> bool:
    own = versions[pair.package]
    if pair.like:
        fact = target.release.facts.get(pair.like)
        if not isinstance(fact, str) or not fact:
            return False  # Not known, or the release has none and the job brings its own.
        if fact.split(".")[:2] == [str(own.major), str(own.minor)]:
            return False
    spark = target.release.spark.partition("-")[0]
    return (
        _within(own, pair.versions)
        and _within(Version(spark), pair.spark)
        and _within(Version(target.python), pair.python)
        and pair.without.isdisjoint(versions)
        and all(name in versions and _within(versions[name], v) for name, v in pair.with_.items())
    )


def _within(version: Version, specifier: SpecifierSet) -> bool:
    return specifier.contains(version, prereleases=True)
