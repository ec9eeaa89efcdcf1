"""How job runs go: what tests plant."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something that a worker writes."""

    at: float
    """Seconds after its attempt began to run."""
    text: str
    worker: str = "SPARK_DRIVER"
    """Or `SPARK_EXECUTOR/1`, as in the path of its log."""
    stream: str = "stdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a run goes, with seconds for each state that the User Guide knows."""

    submitted: float = 2
    queued: float = 0
    pending: float = 3
    scheduled: float = 20
    running: float = 60
    cancelling: float = 5
    outcome: str = "SUCCESS"
    details: str = ""
    """`stateDetails` at the end."""
    ends_in: str = "RUNNING"
    """The state that the outcome follows: of a job whose driver never starts, SCHEDULED."""
    failed_attempts: int = 0
    """Of a job with retries: how many fail first."""
    hangs_in: str = ""
    """A state that it never leaves by itself."""
    lines: tuple[Line, ...] = (Line(at=1, text="hello\n"),)
    late: float = 0
    """Seconds after which its logs arrive, at every refresh and at the end."""
    logs: bool = True
    rotation: int = 128 * 1024 * 1024
    """Bytes of one archived log file (UG 'Rotating logs')."""
    billed: Mapping[str, float] = field(
        default_factory=lambda: {"vCPUHour": 0.5, "memoryGBHour": 2.0, "storageGBHour": 0.25}
    )
