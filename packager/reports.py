"""Reports as texts: for people. Pure."""

from packager.findings import Report


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


def _verdict(report: Report) -> str:
    if not report.checked:
        return "failed: nothing was checked"
    counts = [
        f"{len(found)} {word}{'s' * (len(found) != 1)}"
        for found, word in ((report.errors, "error"), (report.warnings, "warning"))
        if found
    ]
    counts += [f"{len(report.waived)} waived"] if report.waived else []
    ran = f"{len(report.checked)} checks"
    return f"{'passed' if report.passed else 'failed'}: {', '.join([ran, *counts])}"
