"""A job run as the API tells of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from packager.errors import ExitCode

ENDED: Final = ("SUCCESS", "FAILED", "CANCELLED")
MEANINGS: Final[Mapping[str, str]] = {
    "SUBMITTED": "waits to be scheduled",
    "QUEUED": "waits for other runs of the application to end",
    "PENDING": "is being scheduled",
    "SCHEDULED": "gets its workers",
    "RUNNING": "runs",
    "SUCCESS": "has succeeded",
    "FAILED": "has failed",
    "CANCELLING": "is being cancelled",
    "CANCELLED": "was cancelled",
}
"""After UG 'Job run states'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What AWS has billed for a run, in vCPU-hours and GB-hours."""

    vcpu: float
    memory: float
    storage: float
    """Beyond 20 GB of each worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    application: str
    id: str
    name: str
    state: str
    details: str
    """At most 256 characters, so what it ends with may be lacking."""
    release: str
    mode: str
    attempt: int
    retried: bool
    """Whether it may have several attempts: then each has logs of its own."""
    created: datetime
    started: datetime | None
    ended: datetime | None
    seconds: int | None
    """That it ran for."""
    queued_ms: int | None
    billed: Billed | None
    image_digest: str
    """Empty where the application has no image of its own."""
    monitoring: Mapping[str, Any]
    """The run's own, before the application's."""
    conf: str
    """sparkSubmitParameters."""

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED

    def document(self) -> dict[str, Any]:
        """For `--json`."""

        def moment(value: datetime | None) -> str | None:
            return None if value is None else value.isoformat()

        billed = self.billed
        return {
            "applicationId": self.application,
            "jobRunId": self.id,
            "name": self.name,
            "state": self.state,
            "stateDetails": self.details,
            "releaseLabel": self.release,
            "mode": self.mode,
            "attempt": self.attempt,
            "createdAt": moment(self.created),
            "startedAt": moment(self.started),
            "endedAt": moment(self.ended),
            "seconds": self.seconds,
            "imageDigest": self.image_digest or None,
            "billed": None
            if billed is None
            else {
                "vCPUHours": billed.vcpu,
                "memoryGBHours": billed.memory,
                "storageGBHours": billed.storage,
            },
        }


def run_of(answer: Mapping[str, Any]) -> Run:
    """From the `jobRun` of GetJobRun, or one of the `jobRuns` of ListJobRuns, which say less."""
    policy = answer.get("retryPolicy", {})
    mode = answer.get("mode", "BATCH")
    billed = answer.get("billedResourceUtilization")
    driver = answer.get("jobDriver", {}).get("sparkSubmit", {})
    return Run(
        application=answer["applicationId"],
        id=answer.get("jobRunId") or answer["id"],
        name=answer.get("name", ""),
        state=answer["state"],
        details=answer.get("stateDetails", "").strip(),
        release=answer["releaseLabel"],
        mode=mode,
        attempt=answer.get("attempt", 1),
        # UG 'Logging with retry policy': all streaming jobs, and batch jobs with retries.
        retried=mode == "STREAMING" or policy.get("maxAttempts", 1) > 1,
        created=answer["createdAt"],
        started=answer.get("startedAt"),
        ended=answer.get("endedAt"),
        seconds=answer.get("totalExecutionDurationSeconds"),
        queued_ms=answer.get("queuedDurationMilliseconds"),
        billed=None
        if billed is None
        else Billed(
            vcpu=billed.get("vCPUHour", 0.0),
            memory=billed.get("memoryGBHour", 0.0),
            storage=billed.get("storageGBHour", 0.0),
        ),
        image_digest=answer.get("imageConfiguration", {}).get("resolvedImageDigest", ""),
        monitoring=answer.get("configurationOverrides", {}).get("monitoringConfiguration", {}),
        conf=driver.get("sparkSubmitParameters", ""),
    )


def exit_code(run: Run) -> ExitCode:
    """What the process says of a run that has ended."""
    return ExitCode.OK if run.state == "SUCCESS" else ExitCode.VALIDATION_FAILED


def duration(seconds: float) -> str:
    """As people read it: `4.2 s`, `1 min 5 s`, `2 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
