"""Changing a repository's policy so that nobody's statement is lost, and making sure it worked.

ECR has no conditional write: whoever writes last wins. So the policy is read again right before it
is written and right after, and what somebody else changed meanwhile is merged anew. What is left is
the time between that read and the write arriving: one round trip.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from packager.errors import CommandError
from packager.publishing.addresses import Repository, every_application
from packager.publishing.evaluation import Decision, Request, decide
from packager.publishing.policy import (
    ACTIONS,
    Policy,
    Wish,
    merged,
    read_policy,
    same,
    to_lines,
    to_text,
)

ATTEMPTS: Final = 5
STRANGER: Final = "0000000000000stranger"
"""An application that nobody has: whoever lets it pull lets every one."""


class Policies(Protocol):
    """Where repositories keep their policies."""

    def read(self, repository: Repository) -> str | None:
        """None where there is no policy."""

    def write(self, repository: Repository, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a wish makes of a policy."""

    before: Policy
    after: Policy

    @property
    def needed(self) -> bool:
        return not same(self.before, self.after)

    def diff(self, name: str) -> str:
        """Unified; empty where nothing changes."""
        if not self.needed:
            return ""
        old, new = (to_lines(p).splitlines(keepends=True) for p in (self.before, self.after))
        return "".join(difflib.unified_diff(old, new, f"{name} (now)", f"{name} (then)"))


def plan(policies: Policies, repository: Repository, wish: Wish) -> Change:
    """Raise `ConfigError` where the policy would be longer than ECR takes."""
    before = read_policy(policies.read(repository), repository.name)
    change = Change(before=before, after=merged(before, wish))
    if change.needed:
        to_text(change.after, repository.name)
    return change


def grant(
    policies: Policies, repository: Repository, wish: Wish, *, wait: Callable[[int], None]
) -> Change:
    """Write what the wish needs, if anything, and read it back.

    `wait` is called between attempts, with the number of the last. The change that is returned
    starts at what was there first. Raise `ConfigError` where the policy would be too long, and
    `CommandError` where somebody else changes it at every attempt.
    """
    first: Policy | None = None
    for attempt in range(1, ATTEMPTS + 1):
        change = plan(policies, repository, wish)
        first = first or change.before
        if not change.needed:
            return Change(before=first, after=change.after)
        policies.write(repository, to_text(change.after, repository.name))
        stored = read_policy(policies.read(repository), repository.name)
        if same(stored, change.after):
            return Change(before=first, after=stored)
        wait(attempt)
    raise CommandError(
        f"the policy of {repository.name} does not stay as it is written",
        why=f"it was different after each of {ATTEMPTS} attempts: somebody else changes it, too",
        fix="find out who does (CloudTrail has SetRepositoryPolicy), then repeat the command",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether one application, or any, can pull."""

    application: str
    """ARN; a pattern for all of an account."""
    decisions: tuple[tuple[str, Decision], ...]
    """By action."""

    @property
    def passed(self) -> bool:
        return all(d.verdict == "allowed" for _, d in self.decisions)

    @property
    def worst(self) -> tuple[str, Decision]:
        """The action that decides, and what is decided of it."""
        return max(self.decisions, key=lambda pair: _SEVERITY.index(pair[1].verdict))


_SEVERITY: Final = ("allowed", "unclear", "not allowed", "denied")


def judge(policy: Policy, repository: Repository, application: str) -> Judgement:
    """Evaluate the policy as ECR does for each call that EMR Serverless makes."""
    asked = application.replace("*", STRANGER)
    return Judgement(
        application=application,
        decisions=tuple(
            (
                action,
                decide(
                    policy["Statement"],
                    Request(action=action, application=asked, repository=repository.arn),
                ),
            )
            for action in ACTIONS
        ),
    )


def judge_all(
    policy: Policy, repository: Repository, applications: Sequence[str]
) -> tuple[Judgement, ...]:
    """Each application, or, where none is named, those of the repository's account and Region."""
    named = applications or (every_application(repository),)
    return tuple(judge(policy, repository, application) for application in named)
