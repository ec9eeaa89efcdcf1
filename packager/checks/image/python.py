"""The Python of jobs, and what it finds."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from packager.checks.bundle import EXECUTABLE, listed
from packager.checks.distributions import LAST_PATCH, accepts
from packager.checks.image.subject import Subject
from packager.checks.sparkpython import supported
from packager.facts import Distribution, shown
from packager.findings import Finding
from packager.imagepython import Python, distributions, find_python, site_folders
from packager.requirements import requirement
from packager.target import PROVIDED, Target

MACHINES: Final = {"EM_X86_64": 0x3E, "EM_AARCH64": 0xB7}
SPARK_CONF: Final = "/etc/spark/conf"


def python_there(subject: Subject) -> Iterator[Finding]:
    """The Python that jobs will use is there, starts on that machine, and is the version wanted."""
    if subject.kind == "hive":
        return
    facts, target = subject.facts, subject.target
    asked = job_python(subject)
    python = find_python(facts, asked)
    set_by = target.release.label
    if _configured(subject):
        set_by = "spark.pyspark.python of its spark-defaults.conf"
    elif facts.config.variable("PYSPARK_PYTHON"):
        set_by = "PYSPARK_PYTHON"
    if python is None:
        yield subject.finding(
            "IMG010",
            f"there is no {asked}",
            why=f"it is the Python of jobs, by {set_by}",
            fix="install it, or set PYSPARK_PYTHON to the one that is there",
        )
        return
    entry = python.node.entry
    machine = MACHINES[target.arch.elf_machine]
    if entry.kind != "file" or entry.mode & EXECUTABLE != EXECUTABLE:
        yield subject.finding(
            "IMG010",
            f"{asked} can not be run by everybody",
            why=f"/{python.path} has the permissions {entry.mode:04o}",
            fix=f"RUN chmod 0755 /{python.path}",
        )
    elif entry.machine and entry.machine != machine:
        yield subject.finding(
            "IMG010",
            f"{asked} is for another machine",
            why=f"/{python.path} is not for {target.arch.machine}",
            fix=f"build the image with --platform {target.arch.oci_platform}",
        )
    if python.version is not None and python.version != target.python:
        yield subject.finding(
            "IMG010",
            f"{asked} is Python {python.version}",
            why=f"Python {target.python} is wanted, by {_wanted_by(target)}",
            fix=f"set PYSPARK_PYTHON to a Python {target.python}, or choose with --python",
        )
    yield from _packages_elsewhere(subject, python)


def job_python(subject: Subject) -> str:
    """What jobs start: the image's own setting, or the release's."""
    facts, target = subject.facts, subject.target
    named = _configured(subject) or facts.config.variable("PYSPARK_PYTHON")
    if named:
        return named
    if (own := target.release.interpreter(target.python)) is not None:
        return own.path
    return f"/usr/bin/python{target.python}"


def _configured(subject: Subject) -> str:
    """By Spark's own defaults, which go before variables."""
    tree = subject.facts.tree
    home = subject.facts.expanded("$SPARK_HOME") or "/usr/lib/spark"
    paths = (tree.find(f"{folder}/spark-defaults.conf") for folder in (f"{home}/conf", SPARK_CONF))
    text = next(filter(None, (tree.texts.get(path or "") for path in paths)), b"")
    found = re.findall(rb"^\s*spark\.pyspark\.python[\s=:]+(\S+)", text, re.MULTILINE)
    return found[-1].decode("utf-8", "replace") if found else ""


def _wanted_by(target: Target) -> str:
    own = target.python == target.release.python
    return f"{target.release.label}, which runs PySpark on it" if own else "--python"


_SITE: Final = re.compile(
    r"(?:.*/)?python(\d+\.\d+)/(?:site|dist)-packages/([^/]+)-[^/-]+\.(?:dist|egg)-info(?:/|$)"
)


def _packages_elsewhere(subject: Subject, python: Python) -> Iterator[Finding]:
    """Packages that were added, but to an interpreter that no job starts."""
    facts = subject.facts
    if facts.base is None or not facts.base.is_below or python.version is None:
        return
    added: dict[str, set[str]] = {}
    for layer in facts.layers[facts.own :]:
        for path in layer.entries:
            if (match := _SITE.match(path)) and match[1] != python.version:
                added.setdefault(match[1], set()).add(match[2])
    for version, names in sorted(added.items()):
        yield subject.finding(
            "IMG010",
            f"packages were installed for Python {version}: {listed(sorted(names))}",
            why=f"jobs run on Python {python.version}, which does not see them",
            fix=f"RUN {python.asked} -m pip install ...",
        )


def no_spark(subject: Subject) -> Iterator[Finding]:
    """PySpark and Py4J are not installed beside EMR's own."""
    if subject.kind == "hive":
        return
    python = find_python(subject.facts, job_python(subject))
    if python is None:
        return  # IMG010 tells
    # A .pth line may lead to EMR's own, as packager's does.
    emrs = (subject.facts.expanded("$SPARK_HOME/python") or "").strip("/")
    found = [
        f"/{folder}/{name}"
        for folder in site_folders(subject.facts, python)
        if folder != emrs
        for name in subject.facts.tree.names(folder)
        if name in {"pyspark", "py4j"}
        or name.partition("-")[0].lower().replace("_", "-") in PROVIDED
    ]
    if found:
        yield subject.finding(
            "IMG011",
            "PySpark is installed beside EMR's own",
            why=f"{listed(found)} would be imported instead of /usr/lib/spark/python",
            fix=f"RUN {python.asked} -m pip uninstall -y pyspark py4j",
        )


def pyspark_there(subject: Subject) -> Iterator[Finding]:
    """The job's Python finds the release's PySpark, and is one that it runs on."""
    if subject.kind == "hive":
        return
    facts, release = subject.facts, subject.target.release
    home = facts.expanded("$SPARK_HOME")
    if home is None:
        return  # IMG005 tells
    names = facts.tree.names(f"{home}/python/lib")
    # `spark-submit` puts these two, by their names, before all else that Python finds.
    lacking = [
        what
        for what, pattern in (("pyspark.zip", r"pyspark\.zip"), ("py4j", r"py4j-.+-src\.zip"))
        if not any(re.fullmatch(pattern, name) for name in names)
    ]
    if lacking:
        yield subject.finding(
            "IMG014",
            f"{home}/python/lib lacks {listed(lacking)}",
            why="`import pyspark` ends with `ModuleNotFoundError`",
            fix="leave $SPARK_HOME/python as the base has it",
        )
    python = find_python(facts, job_python(subject))
    if python is None or python.version is None:
        return  # IMG010 tells
    if release.interpreter(python.version) or python.version == release.python:
        return
    known = supported(release.spark)
    if known is not None and known.runs.contains(python.version):
        return
    fails = known is not None and known.fails is not None and known.fails.contains(python.version)
    yield subject.finding(
        "IMG014",
        f"Spark {release.spark} does not run on Python {python.version}"
        if fails
        else f"whether Spark {release.spark} runs on Python {python.version} is not known",
        why=known.why if fails and known else "nobody has measured it",
        fix="choose another Python for PYSPARK_PYTHON, or a release with another Spark",
        severity="error" if fails else "warning",
    )


def requirements_met(subject: Subject) -> Iterator[Finding]:
    """What is installed for the job's Python requires nothing that is not there (`pip check`)."""
    if subject.kind == "hive":
        return
    python = find_python(subject.facts, job_python(subject))
    if python is None:
        return  # IMG010 tells
    # What the base brings is AWS's affair, as long as nobody took something away.
    base = subject.facts.own
    installed = distributions(subject.facts, python)
    versions: dict[NormalizedName, list[str]] = {}
    for one in installed:
        name = canonicalize_name(one.distribution.name)
        versions.setdefault(name, []).append(one.distribution.version)
    unmet: dict[str, bool] = {}
    for one in installed:
        own = one.layer >= base
        for said in _unmet(one.distribution, versions, subject.target):
            unmet[said] = unmet.get(said, False) or own
    for said, own in sorted(unmet.items()):
        yield subject.finding(
            "IMG015",
            said,
            why="importing what needs it may fail, or do what nobody has tried",
            fix=f"RUN {python.asked} -m pip install ... with all of them in one command, and"
            f" {python.asked} -m pip check behind it",
            severity="error" if own and base else "warning",
        )


def _unmet(
    one: Distribution, versions: Mapping[NormalizedName, list[str]], target: Target
) -> Iterator[str]:
    markers = cast("dict[str, str]", {**target.markers(), "extra": ""})
    by = f"{shown(one.name)} {one.version}"
    for text in one.requires_dist:
        try:
            wanted = requirement(text)
            if wanted.marker is not None and not wanted.marker.evaluate(markers):
                continue
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            continue  # as pip, which leaves them out
        name = canonicalize_name(wanted.name)
        found = [target.release.spark] if name in PROVIDED else versions.get(name)
        if name == "py4j":
            continue  # which one a release has is not known
        if found is None:
            yield f"{by} requires {_said(wanted)}, which is not installed"
        elif not any(accepts(wanted.specifier, version) for version in found):
            yield f"{by} requires {_said(wanted)}; there is {', '.join(found)}"
    try:
        python = SpecifierSet(one.requires_python)
    except InvalidSpecifier:
        return
    # Its patch level is not known.
    if not any(python.contains(f"{target.python}.{patch}") for patch in range(LAST_PATCH + 1)):
        yield f"{by} requires Python {one.requires_python}; jobs run on {target.python}"


def _said(wanted: Requirement) -> str:
    return f"{wanted.name}{wanted.specifier}"
