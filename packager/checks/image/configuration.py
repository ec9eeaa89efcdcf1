"""What an image says of itself."""

from collections.abc import Iterator
from typing import Final

from packager.checks.bundle import listed
from packager.checks.image.subject import Subject
from packager.contents import ENTRYPOINT, PROTECTED_VARIABLES, USER, VARIABLES, WORKDIR
from packager.findings import Finding
from packager.releases import limits

GB: Final = 10**9
NEAR: Final = 0.9
"""Of the limit."""


def platform(subject: Subject) -> Iterator[Finding]:
    """The image is for the target's architecture, and its tag for no other."""
    facts, arch = subject.facts, subject.target.arch
    if facts.config.platform != arch.oci_platform:
        yield subject.finding(
            "IMG001",
            f"the image is for {facts.config.platform}",
            why="EMR Serverless refuses it with `Custom image architecture doesn't match"
            f" application architecture`; the target is {arch.oci_platform}",
            fix=f"docker buildx build --platform {arch.oci_platform}",
        )
    if facts.attested or len(facts.platforms) > 1:
        others = [p for p in facts.platforms if p != facts.config.platform]
        beside = listed(others) if others else "an attestation"
        yield subject.finding(
            "IMG001",
            f"its tag stands for {beside} as well",
            why="whether EMR Serverless takes an index in place of an image is not documented",
            fix=f"docker buildx build --platform {arch.oci_platform} --provenance=false",
            severity="warning",
        )


def user(subject: Subject) -> Iterator[Finding]:
    """It runs as `hadoop:hadoop`, whom it knows."""
    facts = subject.facts
    if facts.config.user != USER:
        yield subject.finding(
            "IMG002",
            f"its user is {facts.config.user or 'root'}",
            why=f"EMR Serverless runs jobs as {USER}",
            fix=f"end the Dockerfile with USER {USER}",
        )
    if facts.account("hadoop") is None or facts.group("hadoop") is None:
        yield subject.finding(
            "IMG002",
            "it has no user and group `hadoop` of its own",
            why="neither /etc/passwd nor /etc/group may lose them: jobs run as hadoop:hadoop",
            fix=f"build it FROM {_base(subject)}",
        )


def working_directory(subject: Subject) -> Iterator[Finding]:
    """Its working directory is the base's."""
    facts = subject.facts
    wanted = facts.base.config.workdir if facts.base else WORKDIR[subject.kind]
    if facts.config.workdir.rstrip("/") != wanted.rstrip("/"):
        yield subject.finding(
            "IMG003",
            f"its working directory is {facts.config.workdir or 'not set'}",
            why=f"the base's is {wanted or 'not set'}, and jobs unpack their archives there",
            fix=f"end the Dockerfile with WORKDIR {wanted}"
            if wanted
            else "remove WORKDIR from the Dockerfile",
        )


def entry_point(subject: Subject) -> Iterator[Finding]:
    """Its entry point is the base's; EMR Serverless sets one of its own, others may not."""
    facts = subject.facts
    wanted = facts.base.config.entrypoint if facts.base else (ENTRYPOINT,)
    own = facts.config.entrypoint
    if (own if facts.base else own[:1]) != wanted:
        yield subject.finding(
            "IMG004",
            f"its entry point is {' '.join(own) or 'not set'}",
            why=f"the base's is {' '.join(wanted) or 'not set'}; EMR Serverless ignores it, AWS's"
            " own validator does not",
            fix="remove ENTRYPOINT from the Dockerfile",
            severity="warning",
        )


def variables(subject: Subject) -> Iterator[Finding]:
    """The variables that Spark and Hive are found by are set as the base has them."""
    facts = subject.facts
    for name, known in VARIABLES[subject.kind].items():
        value = facts.config.variable(name)
        if not value:
            yield subject.finding(
                "IMG005",
                f"{name} is not set",
                why="the base sets it, and what starts jobs relies on it",
                fix=f"begin the last stage FROM the base, and remove ENV {name} from it",
            )
        elif facts.base is None and known and value != known:
            yield _changed(subject, name, value, known)
        elif facts.tree.find(value) is None and facts.base is None:
            yield subject.finding(
                "IMG005",
                f"{name} is {value}, which is not there",
                why="what starts jobs looks there",
                fix=f"remove ENV {name} from the Dockerfile",
            )
    if facts.base is not None:
        for name in dict.fromkeys((*VARIABLES[subject.kind], *PROTECTED_VARIABLES)):
            value, before = facts.config.variable(name), facts.base.config.variable(name)
            if before and value and value != before:
                yield _changed(subject, name, value, before)


def _changed(subject: Subject, name: str, value: str, before: str) -> Finding:
    return subject.finding(
        "IMG005",
        f"{name} is {value}",
        why=f"it is {before} in the base, and the guide forbids to change it",
        fix="choose another Java by Spark properties: spark.executorEnv.JAVA_HOME and"
        " spark.emr-serverless.driverEnv.JAVA_HOME"
        if name == "JAVA_HOME"
        else f"remove ENV {name} from the Dockerfile",
    )


def size(subject: Subject) -> Iterator[Finding]:
    """It is not larger than EMR Serverless accepts."""
    limit_gb = limits().image_gb
    limit = limit_gb * GB
    facts = subject.facts
    fix = "see what its layers add: packager image inspect; delete in the RUN that makes"
    why = f"images may have {limit_gb} GB"
    if facts.size > limit:
        yield subject.finding("IMG006", f"it has {facts.size / GB:.1f} GB", why=why, fix=fix)
    elif facts.unpacked > limit:
        yield subject.finding(
            "IMG006",
            f"it has {facts.unpacked / GB:.1f} GB unpacked",
            why=f"{why}, and whether compressed or unpacked is not documented",
            fix=fix,
            severity="warning",
        )
    elif max(facts.size, facts.unpacked) > NEAR * limit:
        near = max(facts.size, facts.unpacked)
        yield subject.finding(
            "IMG006",
            f"it has {near / GB:.1f} GB, which is near the limit",
            why=why,
            fix=fix,
            severity="warning",
        )


def _base(subject: Subject) -> str:
    return subject.target.release.base_image or "the release's own image"
