"""What must hold for a custom image. Pure: facts in, findings out.

The rules are those of the guide, 'Customizing an EMR Serverless image', and of the notes of
releases. Where EMR Serverless is known to refuse an image, the reason says so.
"""

from collections.abc import Mapping
from typing import Final

from packager.checks.image.configuration import (
    entry_point,
    platform,
    size,
    user,
    variables,
    working_directory,
)
from packager.checks.image.files import no_secrets, no_spark, python_there, readable, release_files
from packager.checks.image.origin import base_kept, release_matches
from packager.checks.image.subject import ImageCheck, Subject
from packager.findings import Report

IMAGE_CHECKS: Final[Mapping[str, ImageCheck]] = {
    "IMG001": platform,
    "IMG002": user,
    "IMG003": working_directory,
    "IMG004": entry_point,
    "IMG005": variables,
    "IMG006": size,
    "IMG007": release_files,
    "IMG008": base_kept,
    "IMG009": release_matches,
    "IMG010": python_there,
    "IMG011": no_spark,
    "IMG012": readable,
    "IMG013": no_secrets,
}
"""By code. Codes are stable: they stand in the reasons of waivers."""

NEEDS_BASE: Final = ("IMG008",)


def check_image(subject: Subject) -> Report:
    """Run every check for which there is something to look at."""
    ran = {
        code: judge
        for code, judge in IMAGE_CHECKS.items()
        if subject.facts.base is not None or code not in NEEDS_BASE
    }
    return Report(
        checked=tuple(ran),
        findings=tuple(f for judge in ran.values() for f in judge(subject)),
    )
