"""What running programs in an image tells: statuses and outputs judged, nothing taken on trust."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.checks.image.subject import Subject
from packager.checks.image.trial import TRIAL_CHECKS, check_trial
from packager.imagetrial import (
    Completed,
    Outcome,
    Plan,
    TrialFacts,
    functions,
    functions_told,
    pi,
    pi_problem,
    wrote,
)
from packager.imagevalidation import plan_of
from tests.images import BASE, Image
from tests.test_image_checks import observed, target

GOOD = TrialFacts(image="jobs:1", start="", pi=Outcome(""), job=Outcome(""), pandas="")
PLAN = Plan(
    image="jobs:1",
    platform="linux/amd64",
    spark_home="/usr/lib/spark",
    python="/usr/bin/python3.11",
    env={},
    example=(),
)
TOLD = {
    "driver": ["/usr/bin/python3.11", "/usr"],
    "workers": [["/usr/bin/python3.11", "/usr"]],
    "squares": [0, 1, 4, 9],
    "pandas": "",
    "lacking": "",
    "python": "3.11.2",
}
PLANTED = {
    "RUN001": replace(GOOD, start="no such user", pi=None, job=None, pandas=None),
    "RUN002": replace(GOOD, pi=Outcome("it did not end within 600 s", ended_after_s=600)),
    "RUN003": replace(GOOD, job=Outcome("exit status 1")),
    "RUN004": replace(GOOD, pandas="ValueError: numpy.dtype size changed"),
}


def done(told: dict[str, Any] | None = None, **changes: Any) -> Completed:
    text = f"noise\n\npackager-job: {json.dumps({**TOLD, **(told or {})})}\n"
    return replace(Completed(returncode=0, stdout=text, stderr=""), **changes)


@pytest.mark.parametrize("code", PLANTED)
def test_every_planted_fault_is_found(code: str) -> None:
    report = check_trial(PLANTED[code])
    assert [(f.check, f.severity) for f in report.findings] == [(code, "error")]
    assert all(f.why and f.fix and f.where == "jobs:1" for f in report.findings)


def test_every_check_has_a_planted_fault() -> None:
    assert set(PLANTED) == set(TRIAL_CHECKS)


def test_what_was_not_tried_is_not_said_to_be_checked() -> None:
    assert check_trial(PLANTED["RUN001"]).checked == ("RUN001",)
    assert check_trial(replace(GOOD, pandas=None)).checked == ("RUN001", "RUN002", "RUN003")
    assert check_trial(GOOD).checked == tuple(TRIAL_CHECKS)
    assert check_trial(GOOD).findings == ()


def test_what_only_runs_with_a_root_that_can_be_written_is_a_warning() -> None:
    report = check_trial(replace(GOOD, pi=Outcome("", "touch: /opt/x: Read-only file system")))
    assert [(f.check, f.severity) for f in report.findings] == [("RUN002", "warning")]


@pytest.mark.parametrize("emulated", [False, True])
def test_what_takes_too_long_is_told_how_to_get_longer(emulated: bool) -> None:
    late = Outcome("it did not end within 600 s", ended_after_s=600)
    (finding,) = check_trial(replace(GOOD, job=late, emulated=emulated)).findings
    assert finding.fix.startswith("give it longer, as in --run-timeout 1200; ")
    assert ("emulated" in finding.why, "DOCKER_HOST" in finding.fix) == (emulated, emulated)


@pytest.mark.parametrize(
    ("completed", "said"),
    [
        (Completed(returncode=0, stdout="Pi is roughly 3.1415\n", stderr=""), ""),
        (Completed(returncode=0, stdout="", stderr="Pi is roughly 3.1415\n"), "does not print"),
        (Completed(returncode=0, stdout="Pi is roughly 4.0\n", stderr=""), "roughly 4.0"),
        (Completed(returncode=127, stdout="Pi is roughly 3.1\n", stderr="not found"), "not found"),
        (Completed(returncode=1, stdout="", stderr=""), "it says nothing (exit status 1)"),
        (Completed(returncode=None, stdout="", stderr=""), "did not end within 7 s"),
    ],
)
def test_status_and_output_of_pi_count(completed: Completed, said: str) -> None:
    problem = pi_problem(completed, 7)
    assert said in problem
    assert bool(said) == bool(problem)


@pytest.mark.parametrize(
    ("completed", "said"),
    [
        (done(), ""),
        (done(returncode=1), "exit status 1"),
        (done(returncode=None), "did not end within 7 s"),
        (done(stdout="all is well"), "does not print its result"),
        (done({"squares": [0, 1, 4, 16]}), "it gave [0, 1, 4, 16]"),
        (done({"workers": [["/usr/bin/python3.9", "/usr"]]}), "it ran on /usr/bin/python3.11, "),
        (done({"driver": ["/opt/python", "/opt"]}), "and not on /usr/bin/python3.11"),
    ],
)
def test_status_and_output_of_functions_count(completed: Completed, said: str) -> None:
    told = functions_told(completed, PLAN, 7)
    assert said in told.problem
    assert bool(said) == bool(told.problem)


def test_a_root_that_can_not_be_written_counts_where_it_stopped_a_program() -> None:
    line = "OSError: [Errno 30] Read-only file system: '/opt/x'"
    assert wrote(Completed(returncode=1, stdout="", stderr=f"a\n {line}\nb")) == line
    assert wrote(Completed(returncode=0, stdout="", stderr=line)) == ""
    assert wrote(Completed(returncode=1, stdout="", stderr="b")) == ""


@pytest.mark.parametrize(
    ("image", "python", "env", "example"),
    [
        (BASE, "/usr/bin/python3.11", {}, ()),
        (
            BASE.env(without=["PYSPARK_PYTHON"]),
            "/usr/bin/python3.11",
            {"PYSPARK_PYTHON": "/usr/bin/python3.11"},
            (),
        ),
        (
            BASE.over({"usr/lib/spark/examples/src/main/python/pi.py": ""}),
            "/usr/bin/python3.11",
            {},
            ("/usr/lib/spark/examples/src/main/python/pi.py", "4"),
        ),
        (
            BASE.over({"usr/lib/spark/examples/jars/spark-examples_2.12-3.5.6.jar": ""}),
            "/usr/bin/python3.11",
            {},
            (
                "--class",
                "org.apache.spark.examples.SparkPi",
                "/usr/lib/spark/examples/jars/spark-examples_2.12-3.5.6.jar",
                "10",
            ),
        ),
        (
            BASE.over({"etc/spark/conf/spark-defaults.conf": "spark.pyspark.python  /opt/py\n"}),
            "",
            {},
            (),
        ),
    ],
)
def test_the_plan_follows_what_is_in_the_image(
    image: Image, python: str, env: dict[str, str], example: tuple[str, ...], tmp_path: Path
) -> None:
    subject = Subject(facts=observed(tmp_path, image), target=target(), kind="spark")
    plan = plan_of(subject, "jobs:1")
    assert (plan.python, plan.env, plan.example) == (python, env, example)
    assert pi(plan)[0] == functions(plan)[0] == "/usr/lib/spark/bin/spark-submit"
    assert pi(plan)[-1] == (example or ("pi",))[-1]
