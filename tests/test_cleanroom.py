"""What is seen in the clean room, what becomes of it, and when it is entered at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from packager.checks import CHECKS
from packager.checks.image import IMAGE_CHECKS
from packager.checks.room import ROOM_CHECKS, check_room
from packager.checks.rules import RULES, require_waivable
from packager.cleanroom import (
    NATIVE,
    Failure,
    JobOutcome,
    RoomFacts,
    answer,
    failures_of,
    from_json,
    job_outcome,
    spark_error,
    spark_job,
    to_json,
    try_out,
)
from packager.errors import CommandError, PackagerError, ToolError
from packager.findings import Report, joined, waive
from packager.judgement import Judgement, judge
from packager.ports import RoomArchive
from packager.record import RecordedRoom
from packager.reports import report_text
from packager.settings import CleanRoomMode, Settings
from tests.archives import TARGET, bundle, environment, file
from tests.conftest import Golden
from tests.fakes import FakeRoom

GOOD = RoomFacts(
    image="spark:7.13.0",
    digest="sha256:0",
    platform="linux/amd64",
    emulated=False,
    archive="env.tar.gz",
    python="3.11.9",
    modules=12,
    scripts=3,
    job=JobOutcome(problem=""),
)


def failure(kind: str, **changes: object) -> RoomFacts:
    plain = {
        "kind": kind,
        "name": "tool",
        "distribution": "tools",
        "how": "raised",
        "error": "ImportError: libfoo.so.1: cannot open shared object file",
        "target": "tools.cli:main",
    }
    return replace(GOOD, failures=failures_of({"failures": [{**plain, **changes}]}))


PLANTED: dict[str, tuple[RoomFacts, ...]] = {
    "ROOM001": (replace(GOOD, problem="env.tar.gz does not unpack", job=None),),
    "ROOM002": (
        failure("module"),
        failure("module", missing="numpy", error="ModuleNotFoundError: No module named 'numpy'"),
        failure("module", how="crashed", error="the process was killed by SIGSEGV"),
        failure("module", how="hung", distribution=""),
    ),
    "ROOM003": (
        failure("script"),
        failure("script", missing="tools.cli"),
        failure("launcher", error="it is not there"),
    ),
    "ROOM004": (replace(GOOD, job=JobOutcome(problem="ValueError: bad marshal data")),),
}


def test_what_works_has_no_findings() -> None:
    assert check_room(GOOD) == Report(checked=tuple(ROOM_CHECKS), findings=())


def test_every_check_has_a_planted_fault() -> None:
    assert list(PLANTED) == list(ROOM_CHECKS)
    assert list(RULES) == [*CHECKS, *ROOM_CHECKS, *IMAGE_CHECKS]


@pytest.mark.parametrize(("code", "spoiled"), [(c, s) for c, all_ in PLANTED.items() for s in all_])
def test_a_planted_fault_is_found_once_and_by_its_check_only(code: str, spoiled: RoomFacts) -> None:
    (finding,) = check_room(spoiled).findings
    assert (finding.check, finding.severity, finding.where) == (code, "error", "env.tar.gz")
    assert finding.what
    assert finding.why
    assert finding.fix


def test_steps_that_were_not_reached_are_not_checked() -> None:
    assert check_room(PLANTED["ROOM001"][0]).checked == ("ROOM001",)
    assert "ROOM004" not in check_room(replace(GOOD, job=None)).checked


def test_what_only_an_extra_brings_to_a_script_is_a_warning() -> None:
    (finding,) = check_room(failure("script", missing="click")).findings
    assert finding.severity == "warning"


def test_pandas_functions_that_fail_are_a_warning() -> None:
    report = check_room(replace(GOOD, job=JobOutcome(problem="", pandas="ImportError: old")))
    assert [(f.check, f.severity) for f in report.findings] == [("ROOM004", "warning")]


@pytest.mark.parametrize("code", ROOM_CHECKS)
def test_they_can_be_waived(code: str) -> None:
    assert require_waivable(code, "it is fine", "here") == "it is fine"
    assert waive(check_room(PLANTED[code][0]), {code: "it is fine"}).passed


def test_a_waiver_for_a_room_that_was_not_entered_is_not_called_unneeded() -> None:
    report = Report(checked=("ARC001",), findings=())
    assert waive(report, {"ROOM002": "x"}).unneeded == ()
    assert waive(joined(report, check_room(GOOD)), {"ROOM002": "x"}).unneeded == ("ROOM002",)


def test_a_report_reads_well(golden: Golden) -> None:
    facts = replace(
        GOOD,
        failures=(
            Failure(
                kind="module",
                name="geo",
                distribution="geo_tools",
                how="raised",
                error="ImportError: libgeos_c.so.1: cannot open shared object file: No such file or"
                " directory",
                trace=("environment/lib/python3.11/site-packages/geo/__init__.py:3",),
            ),
            Failure(
                kind="module",
                name="fast",
                distribution="fast",
                how="crashed",
                error="the process was killed by SIGSEGV",
            ),
        ),
        job=JobOutcome(problem="ValueError: invalid literal for int() with base 10: 'hello'"),
    )
    golden.check("report-clean-room.txt", report_text(check_room(facts), subject="jobs"))


# What the programs in the room say.


def test_facts_come_back_as_they_were() -> None:
    for facts in (GOOD, *(f for all_ in PLANTED.values() for f in all_)):
        assert from_json(to_json(facts)) == facts


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"image": 1, "job": null, "failures": [1]}'])
def test_what_another_version_remembered_is_not_used(text: str) -> None:
    assert from_json(text) is None


def test_the_answer_is_found_after_whatever_else_was_printed() -> None:
    assert answer('hello\npackager-room: {"modules": 1}\nbye\n') == {"modules": 1}
    assert answer("hello\n") is None


def test_a_bundled_interpreter_is_no_place_to_import_from() -> None:
    argv = try_out(["environment", "python", "app"], NATIVE)
    assert argv[0] == "./environment/bin/python"
    assert argv[-2:] == ("environment", "app")


def test_the_job_runs_as_jobs_do_and_ends_in_time() -> None:
    argv = spark_job("/usr/lib/spark/bin/spark-submit", NATIVE)
    assert argv[0] == "timeout"
    assert "/usr/lib/spark/bin/spark-submit" in argv


PYTHON = "/home/hadoop/environment/bin/python"


def told(**changes: object) -> str:
    plain = {"driver": PYTHON, "workers": [PYTHON], "squares": [0, 1, 4, 9], "pandas": None}
    return f"packager-job: {json.dumps({**plain, **changes})}\n"


def test_a_job_that_works() -> None:
    assert job_outcome(0, told(), "26/11/20 WARN x") == JobOutcome(problem="")


@pytest.mark.parametrize(
    ("code", "out", "err", "problem"),
    [
        (0, told(workers=["/usr/bin/python3"]), "", "it ran with another Python: /usr/bin/python3"),
        (0, told(squares=[1]), "", "it gave [1] for the squares of 0 to 3"),
        (124, "", "", "it did not end"),
        (1, told(), "java.lang.Exception: x", "java.lang.Exception: x"),
        (7, "", "", "exit status 7"),
    ],
)
def test_jobs_that_do_not(code: int, out: str, err: str, problem: str) -> None:
    assert job_outcome(code, out, err) == JobOutcome(problem=problem)


LOG = """\
26/11/20 16:00:00 ERROR Executor: Exception in task 0.0 in stage 0.0 (TID 0)
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/home/hadoop/environment/lib/python3.11/site-packages/x.py", line 1, in <module>
ModuleNotFoundError: No module named 'cloudpickle'

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(X.scala:1)
26/11/20 16:00:00 ERROR TaskSetManager: Task 0 in stage 0.0 failed 1 times; aborting job
py4j.protocol.Py4JJavaError: An error occurred while calling o48.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0
Driver stacktrace:
26/11/20 16:00:01 INFO ShutdownHookManager: Shutdown hook called
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (LOG, "ModuleNotFoundError: No module named 'cloudpickle'"),
        (
            (
                'java.io.IOException: Cannot run program "./environment/bin/python": error=2, No such'
                " file or directory\n\tat java.lang.ProcessBuilder.start(X.java)\n"
            ),
            (
                'java.io.IOException: Cannot run program "./environment/bin/python": error=2, No such'
                " file or directory"
            ),
        ),
        ("26/11/20 INFO x\nsomething else\n", "something else"),
        ("", ""),
    ],
)
def test_the_line_that_says_the_most_is_taken_from_a_log(log: str, line: str) -> None:
    assert spark_error(log) == line


# When it is entered.

ARCHIVES = (
    RoomArchive(kind="environment", path=Path("env.tar.gz"), sha256="0"),
    RoomArchive(kind="app", path=Path("app.tar.gz"), sha256="1"),
)


def judged(room: FakeRoom, mode: CleanRoomMode, said: list[str]) -> Judgement:
    settings = Settings(clean_room=mode, base_image="own:1", waivers={"ROOM003": "no use"})
    return judge(bundle(), ARCHIVES, TARGET, settings, room=room, say=said.append)


@pytest.mark.parametrize("mode", ["auto", "require"])
def test_what_passed_on_paper_is_tried_out_and_judged_in_one_report(mode: CleanRoomMode) -> None:
    room, said = FakeRoom(facts=failure("script")), list[str]()
    found = judged(room, mode, said)
    assert found.report.passed
    assert [f.check for f in found.report.waived] == ["ROOM003"]
    assert found.report.checked == (*CHECKS, *ROOM_CHECKS)
    assert found.room == RecordedRoom(
        image="spark:7.13.0",
        digest="sha256:0",
        platform="linux/amd64",
        emulated=False,
        modules=12,
        scripts=3,
        spark_job=True,
    )
    assert room.asked == [("own:1", mode == "require")]  # only who requires it waits for a pull
    assert said == []


def test_it_can_be_switched_off() -> None:
    room, said = FakeRoom(facts=GOOD), list[str]()
    found = judged(room, "off", said)
    assert (found.room, room.asked, said) == (None, [], [])
    assert found.report.checked == tuple(CHECKS)


def test_where_it_cannot_be_had_it_is_said_once_or_is_an_error() -> None:
    lacking = ToolError("no engine", why="nothing listens", fix="start one")
    said: list[str] = []
    found = judged(FakeRoom(error=lacking), "auto", said)
    assert found.report.passed
    assert said == ["Clean room not run: no engine (to have it: start one)"]
    judged(FakeRoom(error=CommandError("it broke", why="no disk", fix="free some")), "auto", said)
    assert said[1:] == ["Clean room not run: it broke: no disk (to have it: free some)"]
    with pytest.raises(ToolError, match="no engine"):
        judged(FakeRoom(error=lacking), "require", said)


def test_what_failed_on_paper_is_not_tried_out() -> None:
    room, said = FakeRoom(facts=GOOD), list[str]()
    wrong = bundle(environment(file("/etc/passwd")))
    found = judge(wrong, ARCHIVES, TARGET, Settings(), room=room, say=said.append)
    assert not found.report.passed
    assert (room.asked, said) == ([], ["Clean room not run: other checks have failed already"])


def test_archives_that_no_job_uses_together_are_not_tried_out() -> None:
    room = FakeRoom(facts=GOOD)
    settings = Settings(clean_room="require", base_image="own:1")
    for archives in (ARCHIVES[1:], (ARCHIVES[0], ARCHIVES[0])):
        with pytest.raises(PackagerError, match="not one environment and its app"):
            judge(bundle(), archives, TARGET, settings, room=room, say=print)
    assert room.asked == []
