"""What checks find, and whether that passes. Pure; it knows no check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, cast, get_args

from packager.errors import ConfigError, ValidationFailedError

Severity = Literal["error", "warning", "waived"]
"""A waived finding is an error that the project takes upon itself, with a reason."""

DOCUMENTATION: Final = "README.md"
"""Relative to this project's own root: where that is published is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong, in the three parts every message has."""

    check: str
    severity: Severity
    what: str
    why: str
    fix: str
    where: str
    """Name of the archive."""
    reason: str = ""
    """Why it is waived."""

    @property
    def link(self) -> str:
        """Where its check is explained."""
        return f"{DOCUMENTATION}#{self.check.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of all checks of one bundle. Empty is not a pass: nothing was checked."""

    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    unneeded: tuple[str, ...] = ()
    """Codes that were waived and found no error."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "warning")

    @property
    def waived(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "waived")

    @property
    def passed(self) -> bool:
        """Warnings do not fail, and neither does what is waived."""
        return bool(self.checked) and not self.errors

    def require_passed(self) -> None:
        """Raise `ValidationFailedError` unless checks ran and none found an error."""
        if self.passed:
            return
        failed = len({f.check for f in self.errors})
        raise ValidationFailedError(
            f"{failed} of {len(self.checked)} checks failed" if self.checked else "no check ran",
            why="; ".join(f.what for f in self.errors) or "nothing was given to check",
            fix=self.errors[0].fix if self.errors else "name an archive",
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "format": REPORT_FORMAT,
            "passed": self.passed,
            "checked": list(self.checked),
            "findings": [{**asdict(f), "helpUri": f.link} for f in self.findings],
            "unneeded": list(self.unneeded),
        }

    @staticmethod
    def from_json(value: object) -> "Report":
        """Inverse of `to_json`; `ConfigError` if it is not its work."""
        try:
            document = cast("dict[str, Any]", value)
            if document["format"] == REPORT_FORMAT:
                return Report(
                    checked=tuple(map(str, document["checked"])),
                    findings=tuple(_finding_from(item) for item in document["findings"]),
                    unneeded=tuple(map(str, document.get("unneeded", ()))),
                )
        except (KeyError, TypeError) as error:
            raise ConfigError("this is not a report of packager", why=repr(error)) from error
        raise ConfigError(
            f"the report's format is {document['format']!r}",
            why=f"this version of packager reads format {REPORT_FORMAT}",
            fix="make the report again",
        )


REPORT_FORMAT: Final = 1


def _finding_from(value: dict[str, Any]) -> Finding:
    texts = {key: str(value[key]) for key in ("check", "what", "why", "fix", "where")}
    if value["severity"] not in get_args(Severity):
        raise KeyError(value["severity"])
    return Finding(severity=value["severity"], reason=str(value.get("reason", "")), **texts)


def joined(*reports: Report) -> Report:
    """One report of several, on the same archives."""
    return Report(
        checked=tuple(code for report in reports for code in report.checked),
        findings=tuple(finding for report in reports for finding in report.findings),
    )


def waive(report: Report, waivers: Mapping[str, str]) -> Report:
    """The report with the errors of these codes waived; `waivers` are reasons by code."""
    return replace(
        report,
        findings=tuple(
            replace(f, severity="waived", reason=waivers[f.check])
            if f.severity == "error" and f.check in waivers
            else f
            for f in report.findings
        ),
        unneeded=tuple(
            sorted((waivers.keys() & set(report.checked)) - {f.check for f in report.errors})
        ),
    )
