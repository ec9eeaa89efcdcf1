"""What a report says to people and machines, and when it is a pass."""

from dataclasses import replace

import pytest

from packager.checks import check_archives
from packager.checks.bundle import Bundle
from packager.errors import ConfigError, ExitCode, ValidationFailedError
from packager.findings import Finding, Report, waive
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
    accepted = waive(report, {"ARC004": "known", "ARC005": "else"})
    assert Report.from_json(accepted.to_json()) == accepted


def test_a_report_from_before_waivers_is_read() -> None:
    old = Report(checked=("ARC002",), findings=(WARNING,)).to_json()
    del old["unneeded"], old["findings"][0]["reason"], old["findings"][0]["helpUri"]
    assert Report.from_json(old) == Report(checked=("ARC002",), findings=(WARNING,))


def test_every_finding_links_to_its_check() -> None:
    document = Report(checked=("ARC004",), findings=(ERROR,)).to_json()
    assert document["findings"][0]["helpUri"] == "README.md#arc004"


def test_a_waived_error_does_not_fail_and_keeps_its_reason() -> None:
    report = waive(Report(checked=("ARC004",), findings=(ERROR,)), {"ARC004": "tried it"})
    assert report.findings == (replace(ERROR, severity="waived", reason="tried it"),)
    assert report.passed
    assert report.waived == report.findings
    assert report.unneeded == ()


def test_an_error_of_another_check_still_fails() -> None:
    findings = (ERROR, replace(ERROR, check="ARC005"))
    assert not waive(Report(checked=("ARC004",), findings=findings), {"ARC004": "tried it"}).passed


def test_a_waiver_that_no_error_needed_is_told() -> None:
    report = waive(Report(checked=("ARC002",), findings=(WARNING,)), {"ARC002": "x"})
    assert report.findings == (WARNING,)
    assert report.unneeded == ("ARC002",)
    assert "note: ARC002 is waived, which was not needed\n" in report_text(report)


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


def test_a_waived_report_reads_well(golden: Golden) -> None:
    waivers = {
        "ARC008": "our own build",
        "ARC004": "measured",
        "ARC005": "not loaded",
        "ARC006": "x",
    }
    report = waive(check_archives(spoiled_bundle(), TARGET), waivers)
    golden.check("report-waived.txt", report_text(report))


def test_a_passed_report_is_one_line(golden: Golden) -> None:
    golden.check("report-passed.txt", report_text(check_archives(bundle(), TARGET)))


def test_an_empty_report_says_so() -> None:
    assert report_text(check_archives((), TARGET)) == "failed: nothing was checked\n"
