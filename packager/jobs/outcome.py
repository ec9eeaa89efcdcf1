"""How a run ended, in words: cost, reasons, and where to look further. Pure."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packager.jobs.failures import Explanation, explain
from packager.jobs.logs import LogSource
from packager.jobs.states import MEANINGS, Run, duration

TAIL: int = 20
"""Lines of the driver's stderr that are shown where nothing explains a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    explanations: tuple[Explanation, ...]
    tail: tuple[str, ...]
    """The last lines of the driver's stderr."""


def reasons(run: Run, source: LogSource | None, facts: Mapping[str, str]) -> Reasons:
    """Why a run failed, from its details and the logs of its last attempt.

    `source` has not been read from yet.
    """
    tail: deque[str] = deque(maxlen=TAIL)

    def texts() -> Iterator[str]:
        yield run.details
        if source is None:
            return
        for line in (*source.read(run, run.attempt, _of_driver), *source.rest()):
            if line.stream == "stderr" and line.text.strip():
                tail.append(line.text)
            yield line.text

    return Reasons(explanations=explain(texts(), facts), tail=tuple(tail))


def _of_driver(worker: str, _stream: str) -> bool:
    return worker == "driver"


def summary(run: Run) -> list[str]:
    """What a run took."""
    took = [] if run.seconds is None else [f"it ran for {duration(run.seconds)}"]
    if run.queued_ms:
        took.append(f"was queued for {duration(run.queued_ms / 1000)}")
    if run.attempt > 1:
        took.append(f"took {run.attempt} attempts")
    lines = [", ".join(took)] if took else []
    if run.billed is not None:
        lines.append(
            f"billed: {run.billed.vcpu:.3f} vCPU-hours, {run.billed.memory:.3f} GB-hours of memory,"
            f" {run.billed.storage:.3f} GB-hours of storage"
        )
    return lines


def ended_badly(run: Run) -> str:
    return f"error: the run {run.id} {MEANINGS[run.state]}: {run.details or 'no details are given'}"


def why_failed(run: Run, found: Reasons) -> list[str]:
    lines = [ended_badly(run)]
    for explanation in found.explanations:
        if explanation.line != run.details:
            lines.append(f"  seen: {explanation.line}")
        lines += [f"   why: {explanation.why}", f"   fix: {explanation.fix}"]
    if not found.explanations and found.tail:
        lines += ["the driver's stderr ends with:", *(f"  {text}" for text in found.tail)]
    return lines


def document(run: Run, found: Reasons | None) -> dict[str, Any]:
    explanations = () if found is None else found.explanations
    return {
        **run.document(),
        "explanations": [
            {"rule": e.rule, "seen": e.line, "why": e.why, "fix": e.fix} for e in explanations
        ],
    }
