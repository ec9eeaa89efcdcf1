"""Whether a run can succeed on the application that is to do it. Pure: facts in, findings out.

Each rule is of the User Guide's troubleshooting pages, or of the API's own refusals: told before
anything is started or paid for.
"""

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.findings import Finding, Report, Severity
from packager.jobs.rules import rules, version_of
from packager.jobs.sizes import demand

SERVICE: Final = "emr-serverless.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    exists: bool | None
    """None where it may not be asked about."""
    region: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    exists: bool | None
    trust: Mapping[str, Any] | None
    """The policy that says who may be it; None where it may not be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    region: str
    role: RoleFacts
    buckets: Mapping[str, BucketFacts]
    missing: tuple[str, ...]
    """URIs of files that are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """All that is known before the start."""

    application: Mapping[str, Any]
    """As GetApplication describes it."""
    request: Mapping[str, Any]
    """StartJobRun's."""
    conf: Mapping[str, str]
    """Spark properties that hold for the run."""
    release: str
    """That the artifacts were made for."""
    architecture: str
    """EMR's name of the one they were made for."""
    images: tuple[str, ...]
    """That were made of what is run, by digest."""
    facts: JobFacts

    @property
    def where(self) -> str:
        name = self.application.get("name", "")
        return f"application {name or self.application['applicationId']}"


Check = Callable[[Flight], Iterator[Finding]]


def _finding(
    flight: Flight, what: str, why: str, fix: str, *, severity: Severity = "error"
) -> Finding:
    return Finding(check="", severity=severity, what=what, why=why, fix=fix, where=flight.where)


def release_fits(flight: Flight) -> Iterator[Finding]:
    """The application has the release that the archives were made for."""
    live = flight.application["releaseLabel"]
    if live != flight.release:
        yield _finding(
            flight,
            f"{flight.where} is {live}, and the archives were made for {flight.release}",
            "Python, C library and Spark differ between releases",
            f"pack again with --release {live}, or deploy the release: packager deploy",
        )


def architecture_fits(flight: Flight) -> Iterator[Finding]:
    """The application has the architecture that the archives were made for."""
    live = flight.application.get("architecture", "X86_64")
    if live != flight.architecture:
        ours = {"ARM64": "arm64", "X86_64": "amd64"}
        yield _finding(
            flight,
            f"{flight.where} is {live}, and the archives were made for {flight.architecture}",
            "compiled files of one architecture do not run on another",
            f"run those of the other: --arch {ours.get(live, live)}",
        )


def image_fits(flight: Flight) -> Iterator[Finding]:
    """The application has the image that was made of what is run."""
    digests = {uri.rpartition("@")[2] for uri in flight.images}
    for uri, resolved in images_of(flight.application):
        if digests and not digests & {uri.rpartition("@")[2], resolved}:
            yield _finding(
                flight,
                f"{flight.where} has the image {uri}",
                f"the one that was made last is {flight.images[0]}; the run brings its own"
                " environment in archives",
                "deploy it: packager deploy",
                severity="warning",
            )


def images_of(application: Mapping[str, Any]) -> list[tuple[str, str]]:
    """URIs of an application's images, and the digests that they are resolved to, if they are."""
    found = [application.get("imageConfiguration")]
    workers = (application.get("workerTypeSpecifications") or {}).values()
    found += [worker.get("imageConfiguration") for worker in workers]
    return [(i["imageUri"], i.get("resolvedImageDigest", "")) for i in found if i]


def application_accepts_jobs(flight: Flight) -> Iterator[Finding]:
    """The application is started, or starts with a job."""
    state = flight.application["state"]
    auto = flight.application.get("autoStartConfiguration", {}).get("enabled", True)
    if state == "TERMINATED":
        yield _finding(flight, f"{flight.where} is deleted", "it takes no jobs", "packager deploy")
    elif state not in {"STARTED", "STARTING"} and not auto:
        yield _finding(
            flight,
            f"{flight.where} is {state} and does not start by itself",
            "its auto-start is off",
            "start it: packager deploy --start, or set auto-start = true and deploy",
        )


def capacity_suffices(flight: Flight) -> Iterator[Finding]:
    """Driver and first executors fit into the application's maximum capacity."""
    maximum = flight.application.get("maximumCapacity")
    needed = demand(flight.conf)
    if not maximum or needed is None:
        return
    for name, have, want in (
        ("vCPU", _amount(maximum["cpu"]), needed.vcpu),
        ("GB of memory", _amount(maximum["memory"]), needed.memory_gb),
    ):
        if want > have:
            yield _finding(
                flight,
                f"the driver and {needed.executors} executors need {want} {name}",
                f"{flight.where} has at most {have} (maximumCapacity)",
                "use fewer or smaller executors, or raise maximum-capacity and deploy",
            )


def _amount(text: str) -> int:
    return int("".join(c for c in text if c.isdecimal()) or 0)


def network_reaches(flight: Flight) -> Iterator[Finding]:
    """An application that fetches packages when it starts has a network of its own."""
    subnets = flight.application.get("networkConfiguration", {}).get("subnetIds")
    for key in ("spark.jars.packages", "spark.jars.repositories"):
        if flight.conf.get(key) and not subnets:
            yield _finding(
                flight,
                f"{key} is set, and {flight.where} reaches no network",
                "without subnets an application reaches only AWS services of its own Region",
                "put the jars into S3 and name them in spark.jars, or give it subnets with a NAT"
                " gateway",
            )


def buckets_near(flight: Flight) -> Iterator[Finding]:
    """Buckets are there, and in the application's Region."""
    network = flight.application.get("networkConfiguration", {}).get("subnetIds")
    for name, bucket in flight.facts.buckets.items():
        if bucket.exists is False:
            yield _finding(
                flight,
                f"there is no bucket {name}",
                "the job reads or writes there",
                "create it, or correct its name",
            )
        elif bucket.region not in {None, flight.facts.region}:
            yield _finding(
                flight,
                f"the bucket {name} is in {bucket.region}",
                f"the application is in {flight.facts.region}"
                + ("" if network else ", and without subnets it reaches no other Region"),
                f"use a bucket of {flight.facts.region}",
                severity="warning" if network else "error",
            )


def files_there(flight: Flight) -> Iterator[Finding]:
    """What the job reads is in S3."""
    for uri in flight.facts.missing:
        yield _finding(
            flight, f"{uri} is not there", "the job would end with it", "packager publish"
        )


def role_trusted(flight: Flight) -> Iterator[Finding]:
    """The role exists, and EMR Serverless may be it."""
    arn, role = flight.request["executionRoleArn"], flight.facts.role
    if role.exists is False:
        yield _finding(
            flight,
            f"there is no role {arn}",
            "the job runs as it",
            "create it, or correct its name; `packager policy` prints what it needs",
        )
    elif role.trust is not None and not _trusts(role.trust, flight.application["arn"]):
        yield _finding(
            flight,
            f"{SERVICE} may not be the role {arn}",
            "its trust policy does not let it",
            "give it the trust policy that `packager policy` prints",
        )


def _trusts(policy: Mapping[str, Any], application: str) -> bool:
    """Whether some statement lets the service be the role, for this application."""
    statements = policy.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else [principal]
        services = [services] if isinstance(services, str) else services
        actions = statement.get("Action", [])
        actions = [actions] if isinstance(actions, str) else actions
        if (
            statement.get("Effect") == "Allow"
            and {SERVICE, "*"} & set(services)
            and {"sts:AssumeRole", "sts:*", "*"} & set(actions)
            and _source_fits(statement.get("Condition", {}), application)
        ):
            return True
    return False


def _source_fits(condition: Mapping[str, Mapping[str, Any]], application: str) -> bool:
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            if key.lower() != "aws:sourcearn":
                continue
            patterns = [wanted] if isinstance(wanted, str) else wanted
            like = "Like" in operator or operator.startswith("Arn")
            if not any(
                fnmatch.fnmatchcase(application, p) if like else application == p for p in patterns
            ):
                return False
    return True


def timeout_is_known(flight: Flight) -> Iterator[Finding]:
    """A batch job has a timeout where the application's release wants one."""
    live = version_of(flight.application["releaseLabel"])
    minutes = flight.request.get("executionTimeoutMinutes")
    if minutes == 0 and live >= rules().batch_timeout_since:
        yield _finding(
            flight,
            "the job has no timeout",
            f"{flight.application['releaseLabel']} wants 1 to {rules().batch_timeout_max} minutes",
            "use --timeout-minutes",
        )


CHECKS: Final[Mapping[str, Check]] = {
    "JOB001": release_fits,
    "JOB002": architecture_fits,
    "JOB003": image_fits,
    "JOB004": application_accepts_jobs,
    "JOB005": capacity_suffices,
    "JOB006": network_reaches,
    "JOB007": buckets_near,
    "JOB008": files_there,
    "JOB009": role_trusted,
    "JOB010": timeout_is_known,
}
"""By code. Codes are stable."""

RULES: Final[Mapping[str, str]] = {
    code: " ".join((judge.__doc__ or "").split()) for code, judge in CHECKS.items()
}


def preflight(flight: Flight) -> Report:
    findings = tuple(
        Finding(
            check=code,
            severity=f.severity,
            what=f.what,
            why=f.why,
            fix=f.fix,
            where=f.where,
        )
        for code, judge in CHECKS.items()
        for f in judge(flight)
    )
    return Report(checked=tuple(CHECKS), findings=findings)
