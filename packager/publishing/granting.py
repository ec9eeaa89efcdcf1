"""Changing a repository's policy so that nobody's statement is lost, and making sure it worked.

ECR has no conditional write: whoever writes last wins. So the policy is read again right before it
is written and right after, and what somebody else changed meanwhile is merged anew. What is left is
the time between that read and the write arriving: one round trip.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from packager.errors import CommandError, ValidationFailedError
from packager.publishing.addresses import Repository, every_application
from packager.publishing.evaluation import SERVICE, Decision, Request, Verdict, decide
from packager.publishing.policy import (
    ACTIONS,
    Policy,
    Wish,
    granted,
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
    def verdict(self) -> Verdict:
        return self.worst[1].verdict

    @property
    def worst(self) -> tuple[str, Decision]:
        """The action that decides, and what is decided of it."""
        return max(self.decisions, key=lambda pair: _SEVERITY.index(pair[1].verdict))

    @property
    def failed(self) -> bool:
        """Whether it is sure that pulling fails."""
        return self.verdict in {"denied", "not allowed"}

    @property
    def why(self) -> str:
        action, decision = self.worst
        match decision.verdict:
            case "allowed":
                return f"statement {decision.statement} allows it"
            case "denied":
                return f"statement {decision.statement} denies {action}"
            case "not allowed":
                return f"no statement allows {action}"
            case "unclear":
                return (
                    f"statement {decision.statement} may change it: that depends on what only"
                    " AWS knows"
                )

    @property
    def who(self) -> str:
        *_, region, account, identity = self.application.split(":")
        name = identity.removeprefix("/applications/")
        return (
            f"every application of {account} in {region}"
            if name == "*"
            else f"application {name} of {account}"
        )

    def line(self) -> str:
        """For people."""
        can = {"allowed": "can pull", "unclear": "can perhaps pull"}
        return f"{self.who} {can.get(self.verdict, 'can not pull')}: {self.why}"


_SEVERITY: Final = ("allowed", "unclear", "not allowed", "denied")


def judge(policy: Policy, repository: Repository, application: str) -> Judgement:
    """Evaluate the policy as ECR does for each call that EMR Serverless makes."""
    asked = application.replace("*", STRANGER)
    decisions = tuple(
        (
            action,
            decide(
                policy["Statement"],
                Request(action=action, application=asked, repository=repository.arn),
            ),
        )
        for action in ACTIONS
    )
    return Judgement(application=application, decisions=decisions)


def judge_all(
    policy: Policy, repository: Repository, applications: Sequence[str] = ()
) -> tuple[Judgement, ...]:
    """Those named; else those that the policy names; else all of the account in the Region."""
    named = applications or granted(policy) or (every_application(repository),)
    return tuple(judge(policy, repository, application) for application in named)


def require_pulls(judgements: Sequence[Judgement], name: str) -> None:
    """Raise `ValidationFailedError` where an application surely can not pull from `name`."""
    failed = [judgement for judgement in judgements if judgement.failed]
    if failed:
        denied = failed[0].verdict == "denied"
        raise ValidationFailedError(
            f"{failed[0].who} can not pull from {name}",
            why=failed[0].why,
            fix=f"give that statement a condition that spares {SERVICE}, or take it out"
            if denied
            else f"packager image policy {name} --account, or --application ID",
        )


def strangers(policy: Policy, repository: Repository) -> Judgement | None:
    """Why any application of the account can pull; None where it can not."""
    judgement = judge(policy, repository, every_application(repository))
    return None if judgement.failed else judgement
