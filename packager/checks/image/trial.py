"""What must hold in containers of an image: facts of them in, findings out. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from packager.findings import Finding, Report, Severity
from packager.imagetrial import Outcome, TrialFacts

TrialCheck = Callable[[TrialFacts], Iterator[Finding]]
"""Its docstring is the rule, in one sentence."""


def programs_start(trial: TrialFacts) -> Iterator[Finding]:
    """In a container of the image, without a network, programs start as `hadoop`."""
    if trial.start:
        yield _finding(
            trial,
            "RUN001",
            "no program starts in it",
            why=trial.start,
            fix="build it FROM the release's own image, and remove nothing of it",
        )


def pi_comes_out(trial: TrialFacts) -> Iterator[Finding]:
    """Spark computes Pi there."""
    yield from _failed(trial, "RUN002", "SparkPi", trial.pi)


def functions_run(trial: TrialFacts) -> Iterator[Finding]:
    """A PySpark job with a Python function runs there, on the Python that jobs will use."""
    yield from _failed(trial, "RUN003", "a PySpark job with a Python function", trial.job)


def pandas_functions_run(trial: TrialFacts) -> Iterator[Finding]:
    """A PySpark function on pandas data runs there, if the image has pandas and PyArrow."""
    if trial.pandas:
        yield _finding(
            trial,
            "RUN004",
            "a PySpark function on pandas data fails",
            why=trial.pandas,
            fix="choose versions of pandas, NumPy and PyArrow that this Spark works with",
        )


TRIAL_CHECKS: Final[Mapping[str, TrialCheck]] = {
    "RUN001": programs_start,
    "RUN002": pi_comes_out,
    "RUN003": functions_run,
    "RUN004": pandas_functions_run,
}


def check_trial(trial: TrialFacts) -> Report:
    """Judge what was seen; what was not tried counts as not checked."""
    tried = {
        "RUN001": True,
        "RUN002": trial.pi is not None,
        "RUN003": trial.job is not None,
        "RUN004": trial.pandas is not None,
    }
    checked = tuple(code for code, was in tried.items() if was)
    findings = tuple(f for code in checked for f in TRIAL_CHECKS[code](trial))
    return Report(checked=checked, findings=findings)


def _failed(trial: TrialFacts, code: str, what: str, outcome: Outcome | None) -> Iterator[Finding]:
    if outcome is None:
        return
    if outcome.ended_after_s:
        yield _finding(
            trial,
            code,
            f"{what} fails",
            why=outcome.problem + (", emulated" if trial.emulated else ""),
            fix=f"give it longer, as in --run-timeout {2 * outcome.ended_after_s}"
            + (
                "; or run it on an engine of its own architecture: DOCKER_HOST"
                if trial.emulated
                else "; if it hangs, see what the image changes of the base: --base-image"
            ),
        )
    elif outcome.problem:
        yield _finding(
            trial,
            code,
            f"{what} fails",
            why=outcome.problem,
            fix="see what the image changes of the base: --base-image compares them; or run it"
            f" by hand: docker run --rm -it --network none --user hadoop {trial.image} bash",
        )
    elif outcome.wrote:
        yield _finding(
            trial,
            code,
            f"{what} writes into the image",
            why=f"with a read-only root it ends with: {outcome.wrote}",
            fix="lead what writes there to /tmp",
            severity="warning",
        )


def _finding(
    trial: TrialFacts, code: str, what: str, *, why: str, fix: str, severity: Severity = "error"
) -> Finding:
    return Finding(check=code, severity=severity, what=what, why=why, fix=fix, where=trial.image)
