"""What must hold for an environment and the app beside it. Pure: facts in, findings out.

The policy lives here and nowhere else. What becomes of an archive that breaks a rule was measured
with Spark 3.5.6, whose way of unpacking EMR Serverless logs as its own; messages in backticks are
what a job then ends with.
"""

import difflib
from collections.abc import Mapping
from typing import Final

from packager.checks.binaries import c_library, extension_tags, libraries_inside, machine
from packager.checks.bundle import Bundle, Check
from packager.checks.distributions import no_spark, not_editable, python_accepted, requirements_met
from packager.checks.image import IMAGE_CHECKS
from packager.checks.interpreter import interpreter_resolves, shebangs
from packager.checks.known_bad import known_good
from packager.checks.members import fits_disk, form, modes, no_secrets, safe_members
from packager.checks.room import ROOM_CHECKS
from packager.errors import ConfigError
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

RULES: Final[Mapping[str, str]] = {
    code: " ".join((judge.__doc__ or "").partition("\n\n")[0].split())
    for code, judge in (*CHECKS.items(), *ROOM_CHECKS.items(), *IMAGE_CHECKS.items())
}
"""What must hold, in a sentence each."""

NEVER_WAIVED: Final = ("ARC001", "ARC002")
"""Without these an archive is unsafe to unpack, or nothing in it is where the others look."""


def require_waivable(code: str, reason: object, where: str) -> str:
    """The reason. Raise `ConfigError` for what, written at `where`, can not be a waiver."""
    if code not in RULES:
        near = difflib.get_close_matches(code.upper(), RULES, n=1)
        raise ConfigError(
            f"{where}: there is no check {code}",
            fix=f"did you mean {near[0]}?" if near else f"known: {', '.join(RULES)}",
        )
    if code in NEVER_WAIVED:
        raise ConfigError(
            f"{where}: {code} can not be waived",
            why="without it an archive is unsafe to unpack, or can not start a job",
            fix="remove the waiver, and mend what the check finds",
        )
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError(
            f"{where}: the waiver of {code} has no reason",
            why="it stays in the record, for those who wonder later",
            fix=f'write one: {code} = "why this is fine here"',
        )
    return reason.strip()


def check_archives(bundle: Bundle, target: Target) -> Report:
    """Run every check over archives that are used together."""
    if not bundle:
        return Report(checked=(), findings=())
    findings = tuple(f for judge in CHECKS.values() for f in judge(bundle, target))
    return Report(checked=tuple(CHECKS), findings=findings)
