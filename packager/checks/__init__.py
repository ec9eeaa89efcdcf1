"""What must hold for an environment and the app beside it. Pure: facts in, findings out.

The policy lives here and nowhere else. What becomes of an archive that breaks a rule was measured
with Spark 3.5.6, whose way of unpacking EMR Serverless logs as its own; messages in backticks are
what a job then ends with.
"""

from collections.abc import Mapping
from typing import Final

from packager.checks.binaries import c_library, extension_tags, libraries_inside, machine
from packager.checks.bundle import Bundle, Check
from packager.checks.distributions import no_spark, not_editable, python_accepted, requirements_met
from packager.checks.interpreter import interpreter_resolves, shebangs
from packager.checks.known_bad import known_good
from packager.checks.members import fits_disk, form, modes, no_secrets, safe_members
from packager.findings import Report
from packager.target import Target

CHECKS: Final[Mapping[str, Check]] = {
    "ARC001": form,
    "ARC002": safe_members,
    "ARC003": modes,
    "ARC004": interpreter_resolves,
    "ARC005": machine,
    "ARC006": c_library,
    "ARC007": extension_tags,
    "ARC008": no_spark,
    "ARC009": not_editable,
    "ARC010": requirements_met,
    "ARC011": python_accepted,
    "ARC012": shebangs,
    "ARC013": known_good,
    "ARC014": fits_disk,
    "ARC015": libraries_inside,
    "ARC016": no_secrets,
}
"""By code. Codes are stable: they stand in records and in the reasons of waivers."""


def check_archives(bundle: Bundle, target: Target) -> Report:
    """Run every check over archives that are used together."""
    if not bundle:
        return Report(checked=(), findings=())
    findings = tuple(f for judge in CHECKS.values() for f in judge(bundle, target))
    return Report(checked=tuple(CHECKS), findings=findings)
