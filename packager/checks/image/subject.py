"""What every check of an image works on and speaks in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packager.contents import ImageType
from packager.findings import Finding, Severity
from packager.images import ImageFacts
from packager.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image, and what it is to be good for."""

    facts: ImageFacts
    target: Target
    kind: ImageType

    def finding(
        self, check: str, what: str, *, why: str, fix: str, severity: Severity = "error"
    ) -> Finding:
        return Finding(
            check=check, severity=severity, what=what, why=why, fix=fix, where=self.facts.name
        )


ImageCheck = Callable[[Subject], Iterator[Finding]]
"""Its docstring is the rule, in one sentence."""
