"""The policy of a repository, so that EMR Serverless may pull its images. Pure.

The statement is the one of the guide (UG: "Step 5: Allow EMR Serverless to access the custom image
repository"), with a `Sid` without blanks. It is merged: statements of others stay as they are, in
their places, and applications that may pull already go on doing so, unless asked otherwise.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Final

from packager.documents import parse_json
from packager.errors import CommandError, ConfigError
from packager.publishing.evaluation import SERVICE, arn_matches, texts

ACTIONS: Final = ("ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer")
SID: Final = "EmrServerlessCustomImageSupport"
PULL_SID: Final = "PackagerCrossAccountPull"
LIMIT: Final = 10_240
"""Characters of a policy (botocore's model of ECR: `RepositoryPolicyText`)."""
VERSION: Final = "2012-10-17"

SID_SPELLINGS: Final = (SID, "Emr Serverless Custom Image Support")
ANY_APPLICATION: Final = "arn:*:emr-serverless:*:*:*"
_ACTIONS: Final = frozenset(action.lower() for action in ACTIONS)
_SOURCE_OPERATORS: Final = {"StringEquals", "StringLike", "ArnEquals", "ArnLike"}

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who is to be able to pull."""

    applications: tuple[str, ...] = ()
    """ARNs of applications, or patterns of them."""
    accounts: tuple[str, ...] = ()
    """Principals of other accounts, as `addresses.account_root` writes them."""
    only: bool = False
    """Whether what packager wrote for applications, if some are wished, is to grant no others; and
    likewise for accounts."""


def read_policy(text: str | None, repository: str) -> Policy:
    """What ECR has; without one, a policy that says nothing."""
    if text is None:
        return {"Version": VERSION, "Statement": []}
    try:
        policy = parse_json(text)
    except ValueError as error:
        policy, why = None, str(error)
    else:
        why = "it is no object with statements"
    if isinstance(policy, dict):
        statements = policy.get("Statement", [])
        if isinstance(statements, dict):  # one alone needs no list
            statements = [statements]
        if isinstance(statements, list) and all(isinstance(s, dict) for s in statements):
            return {**policy, "Statement": statements}
    raise CommandError(
        f"the policy of {repository} can not be read", why=why, fix="correct it in ECR's console"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One of the two statements that packager writes."""

    sid: str
    theirs: Callable[[Policy], tuple[str, ...] | None]
    """Who a statement of packager's lets pull; None for one that somebody else wrote."""
    make: Callable[[Sequence[str]], Policy]
    """The statement, without its `Sid`."""


def merged(policy: Policy, wish: Wish) -> Policy:
    """The policy with what is wished, and all that others wrote as it was."""
    statements: Sequence[Policy] = policy["Statement"]
    for kind, wanted in ((_SERVICE, wish.applications), (_ACCOUNTS, wish.accounts)):
        if wanted:
            statements = _with(statements, kind, wanted, only=wish.only)
    return {**policy, "Statement": statements}


def _with(
    statements: Sequence[Policy], kind: _Kind, wanted: Sequence[str], *, only: bool
) -> Sequence[Policy]:
    ours = {
        number: theirs
        for number, statement in enumerate(statements)
        if (theirs := kind.theirs(statement)) is not None
    }
    known = [name for theirs in ours.values() for name in theirs]
    named = _distinct(wanted if only else [*known, *wanted])
    if len(ours) == 1:
        (place,) = ours
        complete = {a.lower() for a in texts(statements[place]["Action"])} == _ACTIONS
        if complete and _distinct(known) == named:
            return statements
    place = min(ours, default=len(statements))
    others = [(n, s) for n, s in enumerate(statements) if n not in ours]
    made = {"Sid": _free(kind.sid, [s for _, s in others]), **kind.make(named)}
    return [
        *(s for n, s in others if n < place),
        made,
        *(s for n, s in others if n > place),
    ]


def _distinct(patterns: Sequence[str]) -> tuple[str, ...]:
    """Sorted, without those that another one covers."""
    names = sorted(set(patterns))
    wide = [name for name in names if {"*", "?"} & set(name)]
    return tuple(n for n in names if not any(w != n and arn_matches(w, n) for w in wide))


def _free(sid: str, others: Sequence[Policy]) -> str:
    """Not yet taken: a `Sid` must be the only one of its name in a policy."""
    taken = {statement.get("Sid") for statement in others}
    numbered = (f"{sid}{number}" for number in count(2))
    return next(name for name in chain((sid,), numbered) if name not in taken)


def service_statement(applications: Sequence[str]) -> Policy:
    """Without a `Sid` and, as ECR wants it, without a `Resource`."""
    patterns = any({"*", "?"} & set(application) for application in applications)
    return {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": list(ACTIONS),
        "Condition": {
            "ArnLike" if patterns else "StringEquals": {"aws:SourceArn": _short(applications)}
        },
    }


def account_statement(principals: Sequence[str]) -> Policy:
    """What those who create applications with the image need of it (UG: "Prerequisites")."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": _short(principals)},
        "Action": list(ACTIONS),
    }


def _short(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _source_patterns(statement: Policy) -> tuple[str, ...] | None:
    """Of the statement of the guide, in any of the spellings that are about."""
    principal = statement.get("Principal")
    if not _is_ours(statement, SID_SPELLINGS, {"Condition"}) or not isinstance(principal, dict):
        return None
    if set(principal) != {"Service"} or texts(principal["Service"]) != (SERVICE,):
        return None
    condition = statement.get("Condition", {"ArnLike": {"aws:SourceArn": ANY_APPLICATION}})
    if not isinstance(condition, dict) or len(condition) != 1:
        return None
    ((operator, keys),) = condition.items()
    if operator not in _SOURCE_OPERATORS or not isinstance(keys, dict) or len(keys) != 1:
        return None
    ((key, values),) = keys.items()
    patterns = texts(values)
    if key.lower() != "aws:sourcearn" or not all(p.count(":") == 5 for p in patterns):
        return None
    if operator == "StringEquals":  # to which a wildcard is a letter that no ARN has
        patterns = tuple(p for p in patterns if not {"*", "?"} & set(p))
    return patterns


def _pulling_accounts(statement: Policy) -> tuple[str, ...] | None:
    principal = statement.get("Principal")
    if not _is_ours(statement, (PULL_SID,), set()) or not isinstance(principal, dict):
        return None
    return texts(principal["AWS"]) if set(principal) == {"AWS"} else None


def _is_ours(statement: Policy, sids: Sequence[str], more: set[str]) -> bool:
    sid, actions = statement.get("Sid"), {a.lower() for a in texts(statement.get("Action"))}
    return (
        isinstance(sid, str)
        and sid.rstrip("0123456789") in sids
        and set(statement) <= {"Sid", "Effect", "Principal", "Action"} | more
        and statement.get("Effect") == "Allow"
        and bool(actions)
        and actions <= _ACTIONS
    )


_SERVICE: Final = _Kind(sid=SID, theirs=_source_patterns, make=service_statement)
_ACCOUNTS: Final = _Kind(sid=PULL_SID, theirs=_pulling_accounts, make=account_statement)


def granted(policy: Policy) -> tuple[str, ...]:
    """Applications, or patterns of them, that packager's statement lets pull."""
    found = (_source_patterns(statement) or () for statement in policy["Statement"])
    # A pattern that is wider than one account's applications is no application to ask about.
    return _distinct([p for patterns in found for p in patterns if p.count("*") < 2])


def same(one: Policy, other: Policy) -> bool:
    """Whether they say the same, however ECR writes lists of one and orders what has no order."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    match value:
        case bool():
            return [str(value).lower()]
        case str():
            return [value]
        case list() if all(isinstance(v, str) for v in value):
            return sorted(set(value))
        case list() | tuple():
            return [_plain(v) for v in value]
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case _:
            return value


def to_text(policy: Policy, repository: str) -> str:
    """As it is sent. Raise `ConfigError` for one that is longer than ECR takes."""
    text = json.dumps(policy, ensure_ascii=False, separators=(",", ":"))
    if len(text) > LIMIT:
        ours = [s for s in policy["Statement"] if _source_patterns(s) or _pulling_accounts(s)]
        mine = sum(len(json.dumps(s, separators=(",", ":"))) for s in ours)
        raise ConfigError(
            f"the policy of {repository} would have {len(text):,} characters; ECR takes {LIMIT:,}",
            why=f"{mine:,} of them are for EMR Serverless, the rest is of others",
            fix="let all applications of the account pull: --account"
            if mine > LIMIT // 2
            else "take statements out that nobody needs any more",
        )
    return text


def to_lines(policy: Policy) -> str:
    """As people read it."""
    return json.dumps(policy, indent=2, ensure_ascii=False) + "\n"
