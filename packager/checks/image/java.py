"""The Java of jobs, and the jars that it loads."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from packager.checks.bundle import listed
from packager.checks.image.subject import Subject
from packager.findings import Finding


def java_version(subject: Subject) -> Iterator[Finding]:
    """The JDK of JAVA_HOME is of a major version that the release has."""
    facts, release = subject.facts, subject.target.release
    home = facts.expanded("$JAVA_HOME")
    if home is None or facts.tree.find(home) is None:
        return  # IMG005 and IMG007 tell
    # Java 8 has its file beside the JRE, and not in it.
    paths = (facts.tree.find(f"{home}/{place}") for place in ("release", "../release"))
    texts = (facts.tree.texts.get(path or "") for path in paths)
    text = next(filter(None, texts), b"")
    found = re.search(rb'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    own, others = release.java, release.facts.get("java_available")
    if own is None or not own.isdecimal():
        return
    if found is None:
        yield subject.finding(
            "IMG016",
            f"which Java {home} is can not be told",
            why="it has no `release` file, which every JDK has",
            fix="leave it as the base has it",
            severity="warning",
        )
        return
    known = {own, *(others if isinstance(others, list | tuple) else ())}
    major = found[1].decode()
    if major not in known:
        yield subject.finding(
            "IMG016",
            f"its Java is {major}",
            why=f"{release.label} has {listed(sorted(known))}, and its Spark was built for that",
            fix="leave JAVA_HOME as the base has it, and choose another Java by Spark properties:"
            " spark.executorEnv.JAVA_HOME and spark.emr-serverless.driverEnv.JAVA_HOME",
        )


class Jar(NamedTuple):
    """What the name of a jar tells."""

    artifact: str
    """With what stands behind the version, as in `netty-transport linux-x86_64`."""
    version: str


_JAR: Final = re.compile(
    r"(?P<artifact>.+?)-(?P<version>v?\d[\w.]*"
    r"(?:-(?:amzn-\d+|jre|android|final|incubating|(?:alpha|beta|rc|b|m|v)-?\d*|nohive|snapshot)"
    r"(?=[-.]))*)"
    r"(?:-(?P<classifier>[a-z][\w.-]*))?\.jar",
    re.IGNORECASE,
)


def jar_of(name: str) -> Jar | None:
    """None for a name without a version."""
    match = _JAR.fullmatch(name)
    if match is None:
        return None
    return Jar(f"{match['artifact']} {match['classifier'] or ''}".strip(), match["version"])


_CLASSPATHS: Final = (
    "$SPARK_HOME/jars",
    "/usr/lib/hadoop",
    "/usr/lib/hadoop/lib",
    "/usr/lib/hadoop-yarn",
    "/usr/lib/hadoop-yarn/lib",
    "/usr/lib/hive/lib",
    "/usr/lib/tez",
    "/usr/lib/tez/lib",
)
"""Directories of which a JVM loads every jar, in no order that anybody promises."""


def jars_once(subject: Subject) -> Iterator[Finding]:
    """No jar is there in two versions, of which one hides the other."""
    facts = subject.facts
    for named in _CLASSPATHS:
        folder = facts.expanded(named)
        found = facts.tree.find(folder) if folder else None
        if not folder or found is None:
            continue
        there: dict[str, dict[str, int]] = {}
        for name in facts.tree.names(folder):
            if (jar := jar_of(name)) is not None:
                layer = facts.tree.nodes[f"{found}/{name}"].layer
                there.setdefault(jar.artifact, {})[jar.version] = layer
        for artifact, versions in sorted(there.items()):
            added = sorted(v for v, layer in versions.items() if layer >= facts.own)
            if len(versions) > 1 and added:
                yield subject.finding(
                    "IMG017",
                    f"{folder} has {artifact} in {len(versions)} versions",
                    why=f"{listed(sorted(versions))}; which of them is loaded is left to chance:"
                    " `NoSuchMethodError`, or only on some workers",
                    fix=f"remove {listed(added)}, and give jobs their own with spark.jars or"
                    " spark.jars.packages"
                    if facts.own
                    else "keep the one that the release has",
                    severity="error" if facts.own else "warning",
                )
