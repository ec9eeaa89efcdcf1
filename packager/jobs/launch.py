"""From a job and what is asked of its run to a request that an application can take."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packager.emitters.startjobrun import request as request_for
from packager.errors import ConfigError
from packager.findings import Finding, Report
from packager.jobs.applications import default_properties, find
from packager.jobs.ports import Emr
from packager.jobs.preflight import Flight, JobFacts, images_of
from packager.jobs.request import RunOptions, complete
from packager.sparkconf import Job

FILES = ("spark.archives", "spark.jars", "spark.files", "spark.submit.pyFiles")
"""Properties that name what a job reads when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A job by both of its carriers."""

    archives: Job
    in_image: Job | None
    """None where no image was pushed."""
    images: str | Mapping[str, str] | None
    """By digest: one for all workers, or one by worker."""

    def for_application(self, application: Mapping[str, Any]) -> Job:
        """From the image where that is what the application runs, else from archives in S3."""
        if self.in_image is not None and self.images and runs(application, self.images):
            return self.in_image
        return self.archives


def runs(application: Mapping[str, Any], images: str | Mapping[str, str]) -> bool:
    """Whether these are the application's images, by digest."""
    wanted = {images} if isinstance(images, str) else set(images.values())
    digests = {uri.rpartition("@")[2] for uri in wanted}
    live = {
        uri.rpartition("@")[2] if "@" in uri else resolved
        for uri, resolved in images_of(application)
    }
    return bool(live) and live == digests


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    application: Mapping[str, Any]
    request: Mapping[str, Any]
    job: Job
    images: tuple[str, ...] = ()
    """Those that were pushed."""

    @property
    def application_id(self) -> str:
        return str(self.application["applicationId"])

    def files(self) -> Iterator[str]:
        """In S3."""
        conf = dict(self.job.conf.entries)
        named = [conf.get(key, "") for key in FILES]
        for uri in (self.job.entry_point or "", *",".join(named).split(",")):
            if re.match(r"s3[an]?://", uri):
                yield re.sub(r"^s3[an]://", "s3://", uri.partition("#")[0])

    def flight(self, facts: JobFacts) -> Flight:
        return Flight(
            application=self.application,
            request=self.request,
            conf={**default_properties(self.application), **dict(self.job.conf.entries)},
            release=self.job.release,
            architecture=self.job.architecture,
            images=self.images,
            facts=facts,
        )

    @property
    def log_uri(self) -> str | None:
        overrides = self.request.get("configurationOverrides", {})
        for monitoring in (overrides, self.application):
            s3 = monitoring.get("monitoringConfiguration", {}).get("s3MonitoringConfiguration", {})
            if s3.get("logUri"):
                return str(s3["logUri"])
        return None


def prepare(emr: Emr, carried: Carried, options: RunOptions) -> Launch:
    """Raise `ConfigError` for what is not said or can not be, before anything is started."""
    if options.application is None:
        raise ConfigError(
            "no application is named",
            why="a job runs on one",
            fix='add application = "name" to [tool.packager.run], or use --application',
        )
    if options.role is None:
        raise ConfigError(
            "no role is named",
            why="a job has the permissions of one; there is no default",
            fix='add role = "arn:aws:iam::…:role/…" to [tool.packager.run], or use --role',
        )
    application = find(emr, options.application)
    job = carried.for_application(application)
    require_published(job)
    identity = application["applicationId"]
    base = request_for(
        replace(job, application=identity, role=options.role, name=options.name or job.name)
    )
    request = complete(
        base,
        options,
        release=application["releaseLabel"],
        application_conf=default_properties(application),
    )
    pushed = carried.images or ()
    images = (pushed,) if isinstance(pushed, str) else tuple(dict(pushed).values())
    return Launch(application=application, request=request, job=job, images=images)


def require_published(job: Job) -> None:
    """Raise `ConfigError` where a file of the job is on this machine alone."""
    if local := _local(job):
        raise ConfigError(
            f"{local} is on this machine",
            why="EMR Serverless reads archives and entry points from S3",
            fix="publish them: packager publish; or say where they are: --s3-uri",
        )


def local_note(job: Job) -> str:
    """What a user has to know of a job that runs nowhere else; empty for one that does."""
    local = _local(job)
    return local and (
        f"{local} is on this machine, where no service can read it: publish first"
        " (packager publish), or say where it will be (--s3-uri)"
    )


def _local(job: Job) -> str:
    """The first of the job's files that is on this machine alone; empty if none is."""
    archives = dict(job.conf.entries).get("spark.archives", "")
    uris = (job.entry_point or "", *archives.split(","))
    return next((uri.partition("#")[0] for uri in uris if _is_here(uri)), "")


def _is_here(uri: str) -> bool:
    return uri.startswith(("/", "file:"))


def require_clear(report: Report) -> None:
    """Raise `ConfigError` for what the application, the role or the buckets are not ready for."""
    errors = report.errors
    if not errors:
        return
    first = errors[0]
    more = "; ".join(f.what for f in errors[1:])
    raise ConfigError(
        first.what,
        why=first.why + (f"; besides, {more}" if more else ""),
        fix=f"{first.fix} (or go without a look before: --no-preflight)",
    )


def warning(finding: Finding) -> str:
    return f"warning: {finding.what}\n  why: {finding.why}\n  fix: {finding.fix}"
