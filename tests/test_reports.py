"""What a report says to people and machines, and when it is a pass."""

from dataclasses import replace

import pytest

from packager.checks import check_archives
from packager.checks.bundle import Bundle
from packager.errors import ConfigError, ExitCode, ValidationFailedError
from packager.findings import Finding, Report
from packager.reports import report_text
from tests.archives import SITE, TARGET, bundle, elf, environment, file, metadata, symlink
from tests.conftest import Golden

ERROR = Finding(check="ARC004", severity="error", what="a", why="b", fix="c", where="env.tar.gz")
WARNING = replace(ERROR, check="ARC002", severity="warning", what="w")


def test_nothing_checked_is_not_a_pass() -> None:
    assert not check_archives((), TARGET).passed
    with pytest.raises(ValidationFailedError, match="no check ran"):
        check_archives((), TARGET).require_passed()


def test_warnings_do_not_fail() -> None:
    report = Report(checked=("ARC002",), findings=(WARNING,))
    assert report.passed
    report.require_passed()


def test_a_failed_report_raises_with_what_and_how() -> None:
    report = Report(checked=("ARC002", "ARC004"), findings=(WARNING, ERROR))
    with pytest.raises(ValidationFailedError) as error:
        report.require_passed()
    assert error.value.exit_code == ExitCode.VALIDATION_FAILED
    assert (error.value.what, error.value.why, error.value.fix) == (
        "1 of 2 checks failed",
        "a",
        "c",
    )


def test_a_report_survives_json() -> None:
    report = Report(checked=("ARC002", "ARC004"), findings=(WARNING, ERROR))
    assert report.to_json()["format"] == 1
    assert report.to_json()["passed"] is False
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"format": 2},
        {"format": 1, "checked": []},
        {"format": 1, "checked": [], "findings": [{"severity": "x"}]},
        {"format": 1, "checked": [], "findings": [{**ERROR.__class__.__dict__}]},
    ],
)
def test_what_is_no_report_is_refused(value: object) -> None:
    with pytest.raises(ConfigError):
        Report.from_json(value)


def spoiled_bundle() -> Bundle:
    return bundle(
        environment(
            symlink("bin/python", "/opt/hostedtoolcache/Python/3.11.9/x64/bin/python3.11"),
            *(file(f"{SITE}/x{i}.so", elf(machine="EM_AARCH64")) for i in range(12)),
            metadata("pyspark", "3.5.6"),
            file("bin/pip", "#!/build/venv/bin/python3.11\n", 0o755),
        )
    )


def test_a_failed_report_reads_well(golden: Golden) -> None:
    report = check_archives(spoiled_bundle(), TARGET)
    golden.check("report.txt", report_text(report, subject="emr-7.13.0 on amd64, Python 3.11"))


def test_a_passed_report_is_one_line(golden: Golden) -> None:
    golden.check("report-passed.txt", report_text(check_archives(bundle(), TARGET)))


def test_an_empty_report_says_so() -> None:
    assert report_text(check_archives((), TARGET)) == "failed: nothing was checked\n"
