"""What a repository's policy says to one request of EMR Serverless. Pure.

As much of IAM's rules as such a request meets: an explicit Deny wins, then an Allow is needed. What
is not known here, as a condition on a key that only AWS knows the value of, is said to be unclear
rather than guessed. Source: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements"
(`Principal`, `NotPrincipal`, `Action`, `Condition operators`), read on 2026-11-21.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

SERVICE: Final = "emr-serverless.amazonaws.com"

Verdict = Literal["allowed", "denied", "not allowed", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call that the service makes for an application."""

    action: str
    application: str
    """ARN of the application that it is made for."""
    repository: str
    """ARN."""

    def context(self) -> Mapping[str, str]:
        """Values of the condition keys that such a call is known to carry, by small letters."""
        return {
            "aws:sourcearn": self.application,
            "aws:sourceaccount": self.application.split(":")[4],
            "aws:principalisawsservice": "true",
            "aws:principalservicename": SERVICE,
            "aws:viaawsservice": "false",
            "aws:securetransport": "true",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    verdict: Verdict
    statement: str = ""
    """Which statement decides, as people can find it."""


def decide(statements: Sequence[Mapping[str, Any]], request: Request) -> Decision:
    """Whether the policy's statements let the request pass."""
    found = [
        (statement.get("Effect"), _applies(statement, request), label_of(statement, number))
        for number, statement in enumerate(statements, 1)
    ]
    for effect, certainty, verdict in _ORDER:
        for theirs, applies, label in found:
            if theirs == effect and applies is certainty:
                return Decision(verdict=verdict, statement=label)
    return Decision(verdict="not allowed")


_ORDER: Final[tuple[tuple[str, bool | None, Verdict], ...]] = (
    ("Deny", True, "denied"),
    ("Deny", None, "unclear"),
    ("Allow", True, "allowed"),
    ("Allow", None, "unclear"),
)


def label_of(statement: Mapping[str, Any], number: int) -> str:
    """Its `Sid`, or where it stands, from 1."""
    sid = statement.get("Sid")
    return f"`{sid}`" if isinstance(sid, str) and sid else f"number {number}"


def texts(value: Any) -> tuple[str, ...]:
    """One text or a list of them, as policies write both."""
    if isinstance(value, str):
        return (value,)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _applies(statement: Mapping[str, Any], request: Request) -> bool | None:
    """Whether a statement is about the request; None where that is not known."""
    return _all(
        (
            _either(statement, "Principal", _is_service),
            _either(statement, "Action", lambda v: _any_matches(v, request.action)),
            _either(statement, "Resource", lambda v: _any_matches(v, request.repository)),
            _conditions(statement.get("Condition"), request.context()),
        )
    )


def _all(values: Sequence[bool | None]) -> bool | None:
    if False in values:
        return False
    return None if None in values else True


def _either(
    statement: Mapping[str, Any], key: str, matches: Callable[[Any], bool | None]
) -> bool | None:
    """An element or its `Not…`; a statement that has neither is about everything."""
    if key in statement:
        return matches(statement[key])
    if f"Not{key}" in statement:
        other = matches(statement[f"Not{key}"])
        return None if other is None else not other
    return True


def _is_service(principal: Any) -> bool:
    # "*" is everybody, services too, and {"AWS": "*"} is the same.
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    return SERVICE in texts(principal.get("Service")) or "*" in texts(principal.get("AWS"))


def _any_matches(patterns: Any, value: str) -> bool | None:
    found = [None if "${" in p else _matches(p.lower(), value.lower()) for p in texts(patterns)]
    if True in found:
        return True
    return None if None in found else False


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text), re.DOTALL)


def _matches(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def arn_matches(pattern: str, arn: str) -> bool:
    """`ArnLike`: each of the six parts by itself, so that a * does not reach into the next."""
    theirs, ours = pattern.split(":", 5), arn.split(":", 5)
    return len(theirs) == len(ours) and all(map(_matches, theirs, ours))


_COMPARISONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "stringequals": lambda pattern, value: pattern == value,
    "stringequalsignorecase": lambda pattern, value: pattern.lower() == value.lower(),
    "stringlike": _matches,
    # Both of these take wildcards, says the guide.
    "arnequals": arn_matches,
    "arnlike": arn_matches,
    "bool": lambda pattern, value: pattern.lower() == value,
}


def _conditions(conditions: Any, context: Mapping[str, str]) -> bool | None:
    if not isinstance(conditions, Mapping):
        return True
    return _all(
        [
            _condition(operator, context.get(key.lower()), values)
            for operator, keys in conditions.items()
            if isinstance(keys, Mapping)
            for key, values in keys.items()
        ]
    )


def _condition(operator: str, value: str | None, patterns: Any) -> bool | None:
    # All keys of the context are there, so `…IfExists` changes nothing.
    name = operator.lower().removesuffix("ifexists")
    negated = name.startswith(("stringnot", "arnnot"))
    if negated:
        name = name.replace("not", "", 1)
    compare = _COMPARISONS.get(name)
    if isinstance(patterns, bool):
        patterns = str(patterns).lower()
    wanted = texts(patterns)
    if compare is None or value is None or any("${" in text for text in wanted):
        return None
    return any(compare(text, value) for text in wanted) != negated
