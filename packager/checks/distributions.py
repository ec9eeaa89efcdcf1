"""Distributions: what may not be inside, what must be, and whether they fit together."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from packager.checks.bundle import Bundle, environments, listed
from packager.facts import ArchiveFacts, Distribution, shown, site_path
from packager.findings import Finding, Severity
from packager.releases import Release
from packager.requirements import requirement as parsed
from packager.target import PROVIDED, Target

PROVIDED_PACKAGES: Final = ("py4j", "pyspark")
"""Top-level packages of `PROVIDED`."""


def no_spark(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """PySpark and Py4J are not inside."""
    for facts in bundle:
        found = [d.name for d in facts.installed if canonicalize_name(d.name) in PROVIDED]
        found += [
            package
            for package in PROVIDED_PACKAGES
            for member in facts.members
            if f"{package}/__init__." in member.path
            and (site_path(facts, member.path) or "").startswith(f"{package}/__init__.")
        ]
        if found:
            yield Finding(
                check="ARC008",
                severity="error",
                what=f"EMR's own packages are inside: {listed(found)}",
                why=f"it takes the place of EMR's own Spark {target.release.spark}: jobs fail with"
                " `ClassNotFoundException: com.amazon.…` or run without EMR's changes",
                fix="uninstall it from the environment; `packager pack` leaves it out by itself",
                where=facts.name,
            )


def not_editable(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Nothing leads back to the machine that built it."""
    del target
    has_app = any(facts.kind == "app" for facts in bundle)
    for facts in bundle:
        editable = [d.path for d in facts.direct_urls if d.editable]
        editable += [
            m.path
            for m in facts.members
            if m.path.endswith(".egg-link")
            or ("__editable__" in m.path and m.path.rpartition("/")[2].startswith("__editable__"))
        ]
        beside: list[str] = []
        for pth in facts.pth_files:
            site = site_path(facts, pth.path)
            if facts.kind != "environment" or site is None or "/" in site:
                continue
            for line in pth.lines:
                match _leads(pth.path, line):
                    case "away":
                        editable.append(pth.path)
                    case "beside":
                        beside.append(pth.path)
                    case "inside":
                        pass
        if editable:
            yield Finding(
                check="ARC009",
                severity="error",
                what=f"editable installs: {listed(editable)}",
                why="they are links to folders of the machine that made the environment, which no"
                " worker has: `ModuleNotFoundError`",
                fix="install the project as a wheel: `pip install .`, `uv sync --no-editable`",
                where=facts.name,
            )
        if beside and not has_app:
            yield Finding(
                check="ARC009",
                severity="warning",
                what=f"what stands beside the environment was not checked: {listed(beside)}",
                why="these put another archive's directory on `sys.path`",
                fix="check the app's archive together with the environment's",
                where=facts.name,
            )


def _leads(path: str, line: str) -> Literal["inside", "beside", "away"]:
    """Where a line of a `.pth` file leads."""
    if line.startswith(("import ", "import\t")):  # As `site` tells code from paths.
        return "inside"
    if line.startswith("/"):
        return "away"
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), line.rstrip()))
    if leads.startswith("../.."):
        return "away"  # Above the directory where a job's archives lie side by side.
    return "beside" if leads.split("/")[0] == ".." else "inside"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """A requirement that applies to the target."""

    facts: ArchiveFacts
    by: Distribution
    requirement: Requirement

    def __str__(self) -> str:
        return f"{self.by.name} requires {self.requirement.name}{self.requirement.specifier}"


def requirements_met(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """What a distribution requires is inside, in a version it accepts."""
    versions: dict[NormalizedName, list[str]] = {}
    for facts in bundle:
        for distribution in facts.installed:
            versions.setdefault(canonicalize_name(distribution.name), []).append(
                distribution.version
            )
    unreadable: dict[str, list[str]] = {}
    missing: dict[NormalizedName, list[_Need]] = {}
    mismatched: dict[NormalizedName, list[_Need]] = {}
    for facts in bundle:
        for need in _needs(facts, target, unreadable):
            name = canonicalize_name(need.requirement.name)
            if name in PROVIDED:
                found = [target.release.spark] if name != "py4j" else []
            elif name in versions:
                found = versions[name]
            else:
                missing.setdefault(name, []).append(need)
                continue
            if found and not any(accepts(need.requirement.specifier, v) for v in found):
                mismatched.setdefault(name, []).append(need)
    yield from _missing(bundle, missing)
    for name, needs in mismatched.items():
        yield _mismatch(needs, target.release, inside=", ".join(versions.get(name, ())))
    for where, texts in unreadable.items():
        yield Finding(
            check="ARC010",
            severity="warning",
            what=f"requirements that can not be read: {listed(texts)}",
            why="they do not follow PEP 508, so whether they are met is not known",
            fix="use a newer version of the package",
            where=where,
        )


def _mismatch(needs: list[_Need], release: Release, *, inside: str) -> Finding:
    name = canonicalize_name(needs[0].requirement.name)
    required = listed(str(need) for need in needs)
    if name in PROVIDED:
        return Finding(
            check="ARC010",
            severity="warning",
            what=f"{shown(name)} is {release.spark} on {release.label}: {required}",
            why="the release brings its own Spark, which can not be replaced",
            fix="require a version that fits the release, or choose the release that fits",
            where=needs[0].facts.name,
        )
    return Finding(
        check="ARC010",
        severity="error",
        what=f"{shown(name)} is {inside}: {required}",
        why="the package says that it does not work with this version",
        fix="resolve the dependencies together, and lock again",
        where=needs[0].facts.name,
    )


def _missing(bundle: Bundle, missing: Mapping[NormalizedName, list[_Need]]) -> Iterator[Finding]:
    inside = tuple(environments(bundle))
    why = "importing what needs it ends with `ModuleNotFoundError`"
    severity: Severity = "error"
    if not inside:
        severity, why = "warning", "it may be in the environment, which was not given"
    elif any(_sees_system_packages(facts) for facts in inside):
        severity, why = (
            "warning",
            "it may be among the release's own packages, which differ by release",
        )
    for name, needs in missing.items():
        yield Finding(
            check="ARC010",
            severity=severity,
            what=f"{shown(name)} is not inside: {listed(str(n) for n in needs)}",
            why=why,
            fix=f"add `{name}` to the dependencies, and lock again"
            if inside
            else "check the environment's archive together with the app's",
            where=needs[0].facts.name,
        )


def _sees_system_packages(facts: ArchiveFacts) -> bool:
    cfg = facts.pyvenv_cfg
    return cfg is not None and (cfg.value("include-system-site-packages") or "").lower() == "true"


def _needs(
    facts: ArchiveFacts, target: Target, unreadable: dict[str, list[str]]
) -> Iterator[_Need]:
    environment = cast("dict[str, str]", {**target.markers(), "extra": ""})
    for distribution in facts.installed:
        for text in distribution.requires_dist:
            try:
                requirement = parsed(text)
                applies = requirement.marker is None or requirement.marker.evaluate(environment)
            except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
                unreadable.setdefault(facts.name, []).append(text)
                continue
            if applies:
                yield _Need(facts=facts, by=distribution, requirement=requirement)


def accepts(specifier: SpecifierSet, version: str) -> bool:
    """Whether a requirement takes a version, as pip judges installed ones."""
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return not specifier


LAST_PATCH: Final = 30
"""No minor version of Python has had more patch releases."""


def python_accepted(bundle: Bundle, target: Target) -> Iterator[Finding]:
    """Every distribution supports the target's Python."""
    # The patch level of a release's Python is not published: `>=3.9.2` may hold, `>=3.10` can not.
    patches = [Version(f"{target.python}.{patch}") for patch in range(LAST_PATCH + 1)]
    for facts in bundle:
        refusing = [
            f"{d.name} {d.version} ({d.requires_python})"
            for d in facts.installed
            if not _some_accepted(d.requires_python, patches)
        ]
        if refusing:
            yield Finding(
                check="ARC011",
                severity="error",
                what=f"not for Python {target.python}: {listed(refusing)}",
                why="their Requires-Python excludes it: newer syntax or missing modules fail on"
                " import",
                fix=f"resolve the dependencies for Python {target.python}, and lock again",
                where=facts.name,
            )


def _some_accepted(requires_python: str, patches: list[Version]) -> bool:
    try:
        specifier = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True  # As pip: a field that can not be read excludes nothing.
    return any(specifier.contains(patch, prereleases=True) for patch in patches)
