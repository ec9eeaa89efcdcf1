"""What must hold in the clean room: facts of it in, findings out. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from packager.cleanroom import Failure, RoomFacts
from packager.findings import Finding, Report

RoomCheck = Callable[[RoomFacts], Iterator[Finding]]
"""Its docstring is the rule, in one sentence."""


def starts(room: RoomFacts) -> Iterator[Finding]:
    """In the release's image, the archives unpack and their Python starts."""
    if room.problem:
        yield Finding(
            check="ROOM001",
            severity="error",
            what=f"the environment does not start in {room.image}",
            why=room.problem,
            fix="see whether the image is of the release that was packed for, and pack again",
            where=room.archive,
        )


def imports(room: RoomFacts) -> Iterator[Finding]:
    """Every top-level module of every distribution can be imported there."""
    for failure in room.failures:
        if failure.kind != "module":
            continue
        of = f" of {failure.distribution}" if failure.distribution else ""
        how = {"crashed": "crashes Python", "hung": "hangs"}.get(failure.how, "fails")
        yield Finding(
            check="ROOM002",
            severity="error",
            what=f"`import {failure.name}`{of} {how}",
            why=_why(failure),
            fix=_fix(failure),
            where=room.archive,
        )


def scripts(room: RoomFacts) -> Iterator[Finding]:
    """Console scripts start the environment's Python there, and find what they call."""
    for failure in room.failures:
        if failure.kind == "module":
            continue
        # A dependency's script may need what only its extras bring; jobs do not start it.
        optional = bool(failure.missing) and not _is_own(failure)
        yield Finding(
            check="ROOM003",
            severity="warning" if optional else "error",
            what=f"the script `{failure.name}` of {failure.distribution} does not start",
            why=_why(failure),
            fix="install what it needs, if it is to be used"
            if optional
            else f"correct the entry points of {failure.distribution}, or choose another version",
            where=room.archive,
        )


def spark_job(room: RoomFacts) -> Iterator[Finding]:
    """A PySpark job with a Python function runs there on the environment."""
    if room.job is None:
        return
    if room.job.problem:
        yield Finding(
            check="ROOM004",
            severity="error",
            what="a PySpark job with a Python function fails",
            why=room.job.problem,
            fix="see which package gets in its way: modules named as the standard library's,"
            " start-up code in `.pth` files, or versions that this Spark does not know",
            where=room.archive,
        )
    elif room.job.pandas:
        yield Finding(
            check="ROOM004",
            severity="warning",
            what="a PySpark function on pandas data fails",
            why=room.job.pandas,
            fix="choose versions of pandas, NumPy and PyArrow that this Spark works with",
            where=room.archive,
        )


ROOM_CHECKS: Final[Mapping[str, RoomCheck]] = {
    "ROOM001": starts,
    "ROOM002": imports,
    "ROOM003": scripts,
    "ROOM004": spark_job,
}


def check_room(room: RoomFacts) -> Report:
    """Judge what was seen; steps that the room never came to count as not checked."""
    checked = ["ROOM001"]
    if not room.problem:
        checked += ["ROOM002", "ROOM003"]
        checked += ["ROOM004"] if room.job is not None else []
    findings = tuple(f for code in checked for f in ROOM_CHECKS[code](room))
    return Report(checked=tuple(checked), findings=findings)


def _is_own(failure: Failure) -> bool:
    """Whether what a script calls is itself what is missing."""
    return failure.missing.partition(".")[0] == failure.target.partition(".")[0]


def _why(failure: Failure) -> str:
    at = f" ({failure.trace[-1]})" if failure.how == "raised" and failure.trace else ""
    said = f": {failure.trace[-1]}" if failure.how == "crashed" and failure.trace else ""
    return f"{failure.error}{at}{said}"


def _fix(failure: Failure) -> str:
    if failure.missing and failure.missing.partition(".")[0] != failure.name.partition(".")[0]:
        return f"add the package that has `{failure.missing.partition('.')[0]}` to the dependencies"
    if ".so" in failure.error and "cannot open shared object" in failure.error:
        return "use a wheel that brings this library along, or an image that has it"
    return "choose another version of the package, or waive it if no job imports it"
