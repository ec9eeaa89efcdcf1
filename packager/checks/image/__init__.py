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
from packager.checks.image.files import no_secrets, readable, release_files
from packager.checks.image.java import jars_once, java_version
from packager.checks.image.origin import base_kept, release_matches
from packager.checks.image.python import (
    no_spark,
    pyspark_there,
    python_there,
    requirements_met,
)
from packager.checks.image.subject import ImageCheck, Subject
from packager.checks.image.surroundings import shell_there, variables_sound
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
    "IMG014": pyspark_there,
    "IMG015": requirements_met,
    "IMG016": java_version,
    "IMG017": jars_once,
    "IMG018": variables_sound,
    "IMG019": shell_there,
}
"""By code. Codes are stable: they stand in the reasons of waivers."""

NEEDS_BASE: Final = ("IMG008",)
OF_DOCUMENTS: Final = ("IMG001", "IMG003", "IMG004", "IMG006")
"""Those that look into no layer."""


def check_image(subject: Subject) -> Report:
    """Run every check for which there is something to look at."""
    facts = subject.facts
    ran = {
        code: judge
        for code, judge in IMAGE_CHECKS.items()
        if (facts.base is not None or code not in NEEDS_BASE)
        and (facts.read or code in OF_DOCUMENTS)
    }
    return Report(
        checked=tuple(ran),
        findings=tuple(f for judge in ran.values() for f in judge(subject)),
    )
