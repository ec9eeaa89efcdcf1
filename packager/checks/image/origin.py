"""Whether an image still is what it was made from."""

import re
from collections.abc import Iterator
from typing import Final

from packager.checks.bundle import listed
from packager.checks.image.subject import Subject
from packager.findings import Finding
from packager.images import Difference

_SAID: Final[dict[Difference, str]] = {
    "removed": "missing",
    "content": "changed",
    "kind": "replaced",
    "link": "linked elsewhere",
    "mode": "of other permissions",
    "owner": "of another owner",
}


def base_kept(subject: Subject) -> Iterator[Finding]:
    """The base's files of Spark, Hadoop, Hive, Tez and AWS are as they were."""
    base = subject.facts.base
    if base is None:
        return
    for difference, said in _SAID.items():
        paths = [change.path for change in base.changes if change.difference == difference]
        if paths:
            files = (
                "1 file of the base is"
                if len(paths) == 1
                else f"{len(paths)} files of the base are"
            )
            yield subject.finding(
                "IMG008",
                f"{files} {said}",
                why=f"{listed(f'/{path}' for path in paths)}; the release's own files are what"
                " jobs run on, and others have not been tested with it",
                fix="put files of your own beside them, and name these in Spark properties"
                " (spark.jars, spark-defaults)",
            )
    if not base.is_below:
        yield subject.finding(
            "IMG008",
            f"it is not made from {base.name}",
            why="its first layers are not the base's: those of another version, or flattened",
            fix=f"build it FROM {base.name}, without --squash",
            severity="warning",
        )


def release_matches(subject: Subject) -> Iterator[Finding]:
    """Its Spark is the target release's."""
    facts, release = subject.facts, subject.target.release
    folder = facts.expanded("$SPARK_HOME/jars") or "/usr/lib/spark/jars"
    found = {
        match[1]
        for name in facts.tree.names(folder)
        if (match := re.fullmatch(r"spark-core_[\d.]+-(\d.*)\.jar", name))
    }
    known = release.facts.get("spark_full")
    full = known if isinstance(known, str) and known else release.spark
    for version in sorted(found):
        if version == full or (version == release.spark and "-amzn-" not in version):
            continue
        same = version.partition("-amzn-")[0] == release.spark
        validated = release.facts.get("image_release_label_validated") is True
        yield subject.finding(
            "IMG009",
            f"its Spark is {version}",
            why=f"{release.label} has {full}"
            + (", and refuses images of other releases" if validated else ""),
            fix=f"build it FROM {release.base_image or 'the image of ' + release.label},"
            " or choose the release that it is for with --release",
            severity="warning" if same and not validated else "error",
        )
    if len(found) > 1:
        yield subject.finding(
            "IMG009",
            f"it has {len(found)} versions of Spark",
            why=f"{folder} has {listed(sorted(found))}",
            fix="remove the one that the base did not have",
        )
