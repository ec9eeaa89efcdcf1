"""IAM's policy language, as far as packager writes it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.errors import ConfigError

VERSION: Final = "2012-10-17"

MANAGED_CHARS: Final = 6144
"""Characters of a managed policy, blanks not counted (IAM User Guide, "IAM and STS quotas")."""

INLINE_CHARS: Final = 10240
"""Characters of all policies that are written into a role (the same page)."""

TRUST_CHARS: Final = 2048
"""Characters of a role's trust policy, where no larger quota was granted (the same page)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Something that is allowed. packager denies nothing."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ()
    """Empty in a trust policy and in a repository's: there it is what the policy hangs on."""
    service: str = ""
    """Principal of a policy that hangs on a resource; others say who by whom they are given to."""
    condition: Mapping[str, Mapping[str, str | tuple[str, ...]]] | None = None

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"Sid": self.sid, "Effect": "Allow"}
        if self.service:
            document["Principal"] = {"Service": self.service}
        document["Action"] = _one_or_list(self.actions)
        if self.resources:
            document["Resource"] = _one_or_list(self.resources)
        if self.condition:
            document["Condition"] = {
                operator: {
                    key: value if isinstance(value, str) else _one_or_list(value)
                    for key, value in keys.items()
                }
                for operator, keys in self.condition.items()
            }
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    statements: tuple[Statement, ...]

    def to_json(self) -> dict[str, Any]:
        return {"Version": VERSION, "Statement": [s.to_json() for s in self.statements]}


def _one_or_list(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def literal(text: str) -> str:
    """`text` where IAM would read `*`, `?` and `$` as patterns and variables."""
    return re.sub(r"[*?$]", lambda match: f"${{{match[0]}}}", text)


def require_size(text: str, limit: int) -> None:
    """Raise `ConfigError` for a policy that IAM would refuse for its length."""
    size = len(re.sub(r"\s", "", text))
    if size > limit:
        raise ConfigError(
            f"the policy is {size} characters long",
            why=f"IAM takes {limit}, blanks not counted",
            fix="grant a prefix instead of many locations, or make two policies",
        )
