"""Reports as texts, for people and for the machines that show them to people. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from packager import __version__
from packager.errors import unknown_name
from packager.findings import DOCUMENTATION, Finding, Report

if TYPE_CHECKING:  # it takes as long to load as all the rest of a report
    from xml.etree.ElementTree import Element

Reports = Sequence[tuple[str, Report]]
"""What was judged, and how it came out."""
Rules = Mapping[str, str]
"""What must hold, by code of the check."""


def report_text(report: Report, *, subject: str = "") -> str:
    """A report for people: errors first, each with its reason and its way out."""
    lines = [subject, ""] if subject else []
    for finding in (*report.errors, *report.warnings, *report.waived):
        lines.append(f"{finding.severity} {finding.check}: {finding.what}")
        if finding.where:
            lines.append(f"  where: {finding.where}")
        last = f"waived: {finding.reason}" if finding.reason else f"fix: {finding.fix}"
        lines += [f"  why: {finding.why}", f"  {last}", ""]
    lines += [f"note: {code} is waived, which was not needed" for code in report.unneeded]
    lines += [""] if report.unneeded else []
    lines.append(_verdict(report))
    return "".join(f"{line}\n" for line in lines)


NOTHING_CHECKED: Final = "nothing was checked"


def _verdict(report: Report) -> str:
    if not report.checked:
        return f"failed: {NOTHING_CHECKED}"
    counts = [
        f"{len(found)} {word}{'s' * (len(found) != 1)}"
        for found, word in ((report.errors, "error"), (report.warnings, "warning"))
        if found
    ]
    counts += [f"{len(report.waived)} waived"] if report.waived else []
    ran = f"{len(report.checked)} check{'s' * (len(report.checked) != 1)}"
    return f"{'passed' if report.passed else 'failed'}: {', '.join([ran, *counts])}"


def _texts(reports: Reports, rules: Rules) -> str:
    del rules
    return "\n".join(report_text(report, subject=subject) for subject, report in reports)


def _json(reports: Reports, rules: Rules) -> str:
    del rules
    return _document({subject: report.to_json() for subject, report in reports})


def _document(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _junit(reports: Reports, rules: Rules) -> str:
    """One suite for each subject, one case for each check. A waived check counts as skipped."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    root = Element("testsuites", name="packager")
    for subject, report in reports:
        suite = SubElement(root, "testsuite", name=_xml(subject))
        for code in report.checked:
            case = SubElement(suite, "testcase", classname="packager", name=code)
            _judge_case(case, [f for f in report.findings if f.check == code], rules.get(code, ""))
        if not report.checked:
            case = SubElement(suite, "testcase", classname="packager", name="checks")
            SubElement(case, "failure", message=NOTHING_CHECKED).text = NOTHING_CHECKED
        for element in (suite, root):
            counts = {
                "tests": len(element.findall(".//testcase")),
                "failures": len(element.findall(".//failure")),
                "errors": 0,
                "skipped": len(element.findall(".//skipped")),
            }
            for name, count in counts.items():
                element.set(name, str(count))
    indent(root)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{head}{tostring(root, encoding='unicode')}\n"


def _judge_case(case: "Element", findings: Sequence[Finding], rule: str) -> None:
    from xml.etree.ElementTree import SubElement

    errors = [f for f in findings if f.severity == "error"]
    waived = [f for f in findings if f.severity == "waived"]
    # A case has one outcome; readers of this form ignore a second.
    if errors:
        message = "; ".join(f.what for f in errors)
        failure = SubElement(case, "failure", type=errors[0].check, message=_xml(message))
        failure.text = _xml("\n".join([f"{rule} See {errors[0].link}", *map(_sentences, errors)]))
    elif waived:
        SubElement(case, "skipped", message=_xml(f"waived: {waived[0].reason}"))
    others = [f"{f.severity}: {_sentences(f)}" for f in findings if f not in errors]
    if others:
        SubElement(case, "system-out").text = _xml("\n".join(others))


def _sentences(finding: Finding) -> str:
    reason = f" Waived: {finding.reason}." if finding.reason else ""
    return f"{finding.where}: {finding.what}. Why: {finding.why}. Fix: {finding.fix}.{reason}"


_NOT_XML: Final = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


def _xml(text: str) -> str:
    """XML 1.0 has no way to write some characters, and names of archives may have any."""
    return re.sub(_NOT_XML, lambda match: ascii(match[0])[1:-1], text)


SARIF_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def _sarif(reports: Reports, rules: Rules) -> str:
    """SARIF 2.1.0, a run for each subject."""
    return _document(
        {
            "$schema": SARIF_SCHEMA,
            "version": "2.1.0",
            "runs": [_run(subject, report, rules) for subject, report in reports],
        }
    )


def _run(subject: str, report: Report, rules: Rules) -> dict[str, Any]:
    codes = list(dict.fromkeys((*report.checked, *(f.check for f in report.findings))))
    invocation: dict[str, Any] = {"executionSuccessful": bool(report.checked)}
    if not report.checked:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": NOTHING_CHECKED}}
        ]
    return {
        "tool": {
            "driver": {
                "name": "packager",
                "version": __version__,
                "rules": [_rule(code, rules.get(code, code)) for code in codes],
            }
        },
        "automationDetails": {"id": subject},
        "invocations": [invocation],
        "results": [_result(finding, codes.index(finding.check)) for finding in report.findings],
    }


def _rule(code: str, rule: str) -> dict[str, Any]:
    link = f"{DOCUMENTATION}#{code.lower()}"
    return {
        "id": code,
        "shortDescription": {"text": rule},
        # SARIF's own `helpUri` must be absolute (section 3.49.12).
        "help": {"text": f"{rule} See {link}", "markdown": f"{rule} [{code}]({link})"},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    result = {
        "ruleId": finding.check,
        "ruleIndex": index,
        "level": "warning" if finding.severity == "warning" else "error",
        "message": {"text": f"{finding.what}\nwhy: {finding.why}\nfix: {finding.fix}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": quote(finding.where)}}},
        ],
        "properties": {"helpUri": finding.link},
    }
    if finding.severity == "waived":
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": finding.reason}
        ]
    return result


FORMATS: Final[Mapping[str, Callable[[Reports, Rules], str]]] = {
    "text": _texts,
    "json": _json,
    "junit": _junit,
    "sarif": _sarif,
}


def formatter(name: str) -> Callable[[Reports, Rules], str]:
    """Raise `ConfigError` for a form in which there are no reports."""
    if name not in FORMATS:
        raise unknown_name(name, "a format", FORMATS)
    return FORMATS[name]
