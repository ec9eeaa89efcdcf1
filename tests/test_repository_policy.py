"""The policy of a repository: what is merged, what is granted, what a policy says."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.errors import CommandError, ConfigError
from packager.publishing.addresses import (
    Repository,
    account_root,
    application_arn,
    every_application,
    parse_repository,
    repository_of_arn,
)
from packager.publishing.evaluation import Request, decide
from packager.publishing.granting import ATTEMPTS, grant, judge, plan
from packager.publishing.policy import (
    ACTIONS,
    LIMIT,
    PULL_SID,
    SID,
    Policy,
    Wish,
    account_statement,
    merged,
    read_policy,
    same,
    service_statement,
    to_text,
)

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REPOSITORY = Repository(
    partition="aws",
    region="us-east-1",
    account="123456789012",
    name="team/app",
    uri=f"{HOST}/team/app",
)
EVERY = every_application(REPOSITORY)
ONE, TWO, THREE = (application_arn(f"00f1{n}example", REPOSITORY) for n in (1, 2, 3))
OTHER = {
    "Sid": "CI",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:role/ci"},
    "Action": "ecr:*",
}


def policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def ours(*applications: str) -> Policy:
    return {"Sid": SID, **service_statement(applications)}


def allowed(what: Policy, application: str) -> bool:
    return judge(what, REPOSITORY, application).verdict == "allowed"


# What is merged


def test_the_statement_is_the_one_of_the_guide() -> None:
    assert merged(policy(), Wish(applications=(ONE,)))["Statement"] == [
        {
            "Sid": "EmrServerlessCustomImageSupport",
            "Effect": "Allow",
            "Principal": {"Service": "emr-serverless.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"],
            "Condition": {
                "StringEquals": {
                    "aws:SourceArn": "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f11example"
                }
            },
        }
    ]


def test_a_pattern_is_compared_as_an_arn() -> None:
    (statement,) = merged(policy(), Wish(applications=(EVERY,)))["Statement"]
    assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": EVERY}}


def test_applications_join_those_that_may_already() -> None:
    before = policy(OTHER, ours(ONE), {**OTHER, "Sid": "Last"})
    assert merged(before, Wish(applications=(TWO,))) == policy(
        OTHER, ours(ONE, TWO), {**OTHER, "Sid": "Last"}
    )


def test_a_pattern_needs_no_application_beside_it() -> None:
    assert merged(policy(ours(ONE)), Wish(applications=(EVERY,))) == policy(ours(EVERY))
    assert merged(policy(ours(EVERY)), Wish(applications=(ONE,))) == policy(ours(EVERY))


def test_narrowing_leaves_one_application_of_all() -> None:
    narrow = merged(policy(OTHER, ours(EVERY)), Wish(applications=(ONE,), only=True))
    assert narrow == policy(OTHER, ours(ONE))
    assert allowed(narrow, ONE)
    assert not allowed(narrow, TWO)


def test_narrowing_applications_leaves_accounts_alone() -> None:
    pull = {"Sid": PULL_SID, **account_statement([account_root("1" * 12, REPOSITORY)])}
    narrow = merged(policy(ours(EVERY), pull), Wish(applications=(ONE,), only=True))
    assert narrow == policy(ours(ONE), pull)


def test_the_guides_statement_with_blanks_is_taken_over() -> None:
    guide = {**ours(ONE), "Sid": "Emr Serverless Custom Image Support"}
    assert merged(policy(guide), Wish(applications=(TWO,))) == policy(ours(ONE, TWO))
    assert merged(policy(guide), Wish(applications=(ONE,))) == policy(guide)


def test_a_wildcard_that_is_compared_to_the_letter_is_repaired() -> None:
    useless = {**ours(ONE), "Condition": {"StringEquals": {"aws:SourceArn": EVERY}}}
    assert not allowed(policy(useless), ONE)
    assert merged(policy(useless), Wish(applications=(EVERY,))) == policy(ours(EVERY))


def test_an_action_that_is_missing_is_added() -> None:
    less = {**ours(ONE), "Action": ["ecr:BatchGetImage"]}
    assert merged(policy(less), Wish(applications=(ONE,))) == policy(ours(ONE))


@pytest.mark.parametrize(
    "foreign",
    [
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Principal": {"Service": "lambda.amazonaws.com"}},
        {"Effect": "Deny"},
        {"Action": ["ecr:PutImage"]},
        {"Resource": "*"},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}},
        {"Condition": {"StringEquals": {"aws:SourceArn": ONE}, "Bool": {"aws:x": "true"}}},
    ],
)
def test_a_statement_of_others_under_our_name_stays(foreign: Mapping[str, Any]) -> None:
    theirs = {**ours(ONE), **foreign}
    after = merged(policy(theirs), Wish(applications=(TWO,)))
    assert after == policy(theirs, {**ours(TWO), "Sid": f"{SID}2"})
    assert merged(after, Wish(applications=(TWO,))) == after


def test_other_accounts_get_a_statement_of_their_own() -> None:
    roots = tuple(account_root(a * 12, REPOSITORY) for a in "12")
    after = merged(policy(OTHER), Wish(applications=(ONE,), accounts=roots))
    assert after == policy(OTHER, ours(ONE), {"Sid": PULL_SID, **account_statement(roots)})
    assert merged(after, Wish(accounts=roots[:1], only=True))["Statement"][2]["Principal"] == {
        "AWS": "arn:aws:iam::111111111111:root"
    }


def test_a_policy_keeps_its_version_and_id() -> None:
    before = {"Version": "2008-10-17", "Id": "mine", "Statement": [OTHER]}
    after = merged(before, Wish(applications=(ONE,)))
    assert (after["Version"], after["Id"]) == ("2008-10-17", "mine")


sids = st.sampled_from(["", "CI", SID, f"{SID}2", PULL_SID, "Emr Serverless Custom Image Support"])
names = st.sampled_from([ONE, TWO, THREE, EVERY])
roots = st.sampled_from(["1", "2"]).map(lambda a: account_root(a * 12, REPOSITORY))
applications = st.lists(names, max_size=3).map(tuple)
some = st.lists(names, min_size=1, max_size=3).map(tuple)
accounts = st.lists(roots, max_size=2).map(tuple)
wishes = st.builds(Wish, applications=applications, accounts=accounts, only=st.booleans())
statements = st.builds(
    lambda sid, body, extra: {**({"Sid": sid} if sid else {}), **body, **extra},
    sids,
    st.one_of(
        some.map(service_statement),
        st.lists(roots, min_size=1, max_size=2).map(account_statement),
        st.just({k: v for k, v in OTHER.items() if k != "Sid"}),
    ),
    st.sampled_from([{}, {}, {"Resource": "*"}, {"Action": ["ecr:BatchGetImage"]}]),
)
policies = st.lists(statements, max_size=4).map(lambda s: policy(*s))


@settings(max_examples=40)
@given(before=policies, wish=wishes)
def test_merging_again_changes_nothing(before: Policy, wish: Wish) -> None:
    once = merged(before, wish)
    assert merged(once, wish) == once
    assert all(allowed(once, application) for application in wish.applications)


@settings(max_examples=40)
@given(before=policies, wish=wishes)
def test_what_others_wrote_stays_as_it_is_and_in_order(before: Policy, wish: Wish) -> None:
    theirs = [s for s in before["Statement"] if not str(s.get("Sid", "CI")).startswith(("E", "P"))]
    after = merged(before, wish)["Statement"]
    assert [s for s in after if s in theirs] == theirs
    names = [s["Sid"] for s in after if "Sid" in s and s not in before["Statement"]]
    assert all([s.get("Sid") for s in after].count(name) == 1 for name in names)


@settings(max_examples=40)
@given(before=policies, wish=wishes)
def test_merging_takes_nothing_away_unless_it_narrows(before: Policy, wish: Wish) -> None:
    could = [a for a in (ONE, TWO, THREE, EVERY) if allowed(before, a)]
    after = merged(before, Wish(applications=wish.applications, accounts=wish.accounts))
    assert all(allowed(after, application) for application in could)


@settings(max_examples=40)
@given(first=some, then=some)
def test_after_narrowing_nobody_else_can(first: tuple[str, ...], then: tuple[str, ...]) -> None:
    wide = merged(policy(OTHER), Wish(applications=first))
    narrow = merged(wide, Wish(applications=then, only=True))
    for application in (ONE, TWO, THREE):
        assert allowed(narrow, application) == (application in then or EVERY in then)


# What a policy says


def request(action: str = ACTIONS[0], application: str = ONE) -> Request:
    return Request(action=action, application=application, repository=REPOSITORY.arn)


def deny(**changes: Any) -> Policy:
    return {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "ecr:*", **changes}


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, "denied"),
        ({"Principal": {"AWS": "*"}}, "denied"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, "allowed"),
        ({"Principal": {"Service": ["x.amazonaws.com", "emr-serverless.amazonaws.com"]}}, "denied"),
        ({"Action": "ecr:batchget*"}, "denied"),
        ({"Action": ["ecr:PutImage", "ecr:BatchGetImag?"]}, "denied"),
        ({"Action": "ecr:PutImage"}, "allowed"),
        ({"Action": "ecr:${aws:username}"}, "unclear"),
        ({"Resource": REPOSITORY.arn}, "denied"),
        ({"Resource": f"{REPOSITORY.arn}2"}, "allowed"),
        ({"Condition": {"StringNotEquals": {"aws:SourceArn": ONE}}}, "allowed"),
        ({"Condition": {"StringNotEquals": {"aws:SourceArn": TWO}}}, "denied"),
        ({"Condition": {"ArnNotLike": {"AWS:sourceArn": [EVERY, TWO]}}}, "allowed"),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:*"}}}, "allowed"),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:*:*:*:*:*"}}}, "denied"),
        ({"Condition": {"StringLike": {"aws:SourceArn": "arn:aws:*"}}}, "denied"),
        ({"Condition": {"StringLike": {"aws:SourceArn": "ARN:aws:*"}}}, "allowed"),
        ({"Condition": {"StringEqualsIgnoreCase": {"aws:SourceArn": ONE.upper()}}}, "denied"),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}}, "denied"),
        ({"Condition": {"StringNotEqualsIfExists": {"aws:SourceAccount": "9"}}}, "denied"),
        ({"Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}}}, "allowed"),
        ({"Condition": {"Bool": {"aws:SecureTransport": False}}}, "allowed"),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, "unclear"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, "unclear"),
        ({"Condition": {"StringEquals": {"aws:SourceArn": "${aws:x}"}}}, "unclear"),
    ],
)
def test_a_deny_wins_where_it_applies(more: Mapping[str, Any], verdict: str) -> None:
    for order in ((ours(EVERY), deny(**more)), (deny(**more), ours(EVERY))):
        assert decide(order, request()).verdict == verdict


@pytest.mark.parametrize(
    ("negated", "verdict"),
    [
        ({"NotPrincipal": {"Service": "emr-serverless.amazonaws.com"}}, "allowed"),
        ({"NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}}, "denied"),
        ({"NotAction": "ecr:Batch*"}, "allowed"),
        ({"NotAction": "ecr:PutImage"}, "denied"),
        ({"NotResource": REPOSITORY.arn}, "allowed"),
    ],
)
def test_what_is_negated_is_about_the_others(negated: Mapping[str, Any], verdict: str) -> None:
    (key,) = negated
    statement = {k: v for k, v in deny().items() if f"Not{k}" != key}
    assert decide((ours(EVERY), {**statement, **negated}), request()).verdict == verdict


def test_nothing_is_allowed_that_no_statement_allows() -> None:
    assert decide((), request()).verdict == "not allowed"
    assert decide((ours(TWO), OTHER), request()).verdict == "not allowed"
    assert decide((ours(ONE),), request("ecr:PutImage")).verdict == "not allowed"


def test_an_allow_that_depends_on_what_is_not_known_is_unclear() -> None:
    maybe = {**ours(ONE), "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}
    assert decide((maybe,), request()).verdict == "unclear"
    assert decide((maybe, ours(ONE)), request()).verdict == "allowed"


def test_a_decision_names_its_statement() -> None:
    nameless = {k: v for k, v in deny().items() if k != "Sid"}
    assert decide((ours(ONE), deny()), request()).statement == "`No`"
    assert decide((ours(ONE), nameless), request()).statement == "number 2"


def test_a_judgement_says_what_decides() -> None:
    some = policy({**ours(ONE), "Action": ["ecr:DescribeImages"]}, deny(Action="ecr:GetDown*"))
    action, decision = judge(some, REPOSITORY, ONE).worst
    assert (action, decision.verdict) == ("ecr:GetDownloadUrlForLayer", "denied")
    assert not allowed(some, ONE)


# How it is written


class Repositories:
    """One policy, and somebody else who changes it when we have read or written."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.written: list[str] = []
        self.after_write: list[Callable[[], None]] = []

    def read(self, _: Repository) -> str | None:
        return self.text

    def write(self, _: Repository, text: str) -> None:
        self.written.append(text)
        self.text = text
        if self.after_write:
            self.after_write.pop(0)()

    def change(self, *statements: Policy) -> None:
        self.text = json.dumps(policy(*statements), indent=2)

    @property
    def policy(self) -> Policy:
        return read_policy(self.text, "team/app")


def no_wait(attempt: int) -> None:
    pass


def test_nothing_is_written_where_nothing_changes() -> None:
    held = Repositories(json.dumps(policy(OTHER, ours(ONE)), indent=3))
    assert not grant(held, REPOSITORY, Wish(applications=(ONE,)), wait=no_wait).needed
    assert held.written == []


def test_a_repository_without_a_policy_gets_one() -> None:
    held = Repositories()
    assert grant(held, REPOSITORY, Wish(applications=(ONE,)), wait=no_wait).needed
    assert held.policy == policy(ours(ONE))


def test_what_somebody_writes_after_us_is_merged_anew() -> None:
    held = Repositories()
    held.after_write = [lambda: held.change(OTHER)]
    change = grant(held, REPOSITORY, Wish(applications=(ONE,)), wait=no_wait)
    assert held.policy == policy(OTHER, ours(ONE)) == change.after
    assert change.before == policy()


def test_two_who_grant_at_once_both_succeed() -> None:
    held = Repositories()
    wishes = [Wish(applications=(ONE,)), Wish(applications=(TWO,))]
    # The other one has read what we read, and writes when we have written.
    held.after_write = [lambda: held.change(ours(TWO))]
    for wish in wishes:
        grant(held, REPOSITORY, wish, wait=no_wait)
    assert held.policy == policy(ours(ONE, TWO))


def test_a_change_between_the_plan_and_the_writing_is_kept() -> None:
    held = Repositories()
    wish = Wish(applications=(ONE,))
    assert plan(held, REPOSITORY, wish).needed
    held.change(OTHER)
    grant(held, REPOSITORY, wish, wait=no_wait)
    assert held.policy == policy(OTHER, ours(ONE))


def test_a_policy_that_never_stays_is_an_error() -> None:
    held = Repositories()
    held.after_write = [lambda: held.change(OTHER)] * ATTEMPTS
    waited: list[int] = []
    with pytest.raises(CommandError, match="does not stay as it is written"):
        grant(held, REPOSITORY, Wish(applications=(ONE,)), wait=waited.append)
    assert waited == [1, 2, 3, 4, 5]


def test_a_policy_as_ecr_writes_it_is_the_same() -> None:
    ecr = {
        **ours(ONE),
        "Action": list(reversed(ACTIONS)),
        "Principal": {"Service": ["emr-serverless.amazonaws.com"]},
    }
    assert same(policy(ecr), policy(ours(ONE)))
    assert not same(policy(ours(TWO)), policy(ours(ONE)))
    assert not same(policy(OTHER, ours(ONE)), policy(ours(ONE), OTHER))


def test_a_policy_that_is_too_long_is_refused_before_it_is_sent() -> None:
    many = Wish(applications=tuple(application_arn(f"00f1{n:08}", REPOSITORY) for n in range(160)))
    held = Repositories(json.dumps(policy(OTHER)))
    with pytest.raises(ConfigError, match="ECR takes 10,240") as caught:
        grant(held, REPOSITORY, many, wait=no_wait)
    assert caught.value.fix == "let all applications of the account pull: --account"
    assert held.written == []
    padding = LIMIT - len(to_text(policy({**OTHER, "Sid": ""}), "a/b"))
    assert len(to_text(policy({**OTHER, "Sid": "x" * padding}), "a/b")) == LIMIT
    with pytest.raises(ConfigError, match="would have 10,241") as caught:
        to_text(policy({**OTHER, "Sid": "x" * (padding + 1)}), "a/b")
    assert "nobody needs" in caught.value.fix


@pytest.mark.parametrize("text", ["{", "[]", '{"Statement": "x"}', '{"Statement": ["x"]}'])
def test_a_policy_that_is_none_is_told(text: str) -> None:
    with pytest.raises(CommandError, match="the policy of team/app can not be read"):
        read_policy(text, "team/app")


def test_a_statement_alone_is_a_list_of_one() -> None:
    assert read_policy(json.dumps({"Statement": OTHER}), "a/b")["Statement"] == [OTHER]


def test_a_diff_shows_what_changes() -> None:
    held = Repositories(json.dumps(policy(OTHER)))
    diff = plan(held, REPOSITORY, Wish(applications=(ONE,))).diff("team/app")
    assert diff.startswith("--- team/app (now)\n+++ team/app (then)\n")
    assert f'+          "aws:SourceArn": "{ONE}"' in diff
    assert plan(held, REPOSITORY, Wish()).diff("team/app") == ""


# How things are named


@pytest.mark.parametrize(
    ("text", "name", "account", "region", "tag"),
    [
        ("team/app", "team/app", None, None, None),
        ("my.team/app:v1", "my.team/app", None, None, "v1"),
        (f"{HOST}/team/app", "team/app", "123456789012", "us-east-1", None),
        (f"https://{HOST}/team/app:v1", "team/app", "123456789012", "us-east-1", "v1"),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a1",
            "a1",
            "123456789012",
            "cn-north-1",
            None,
        ),
        (
            "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/a/b",
            "a/b",
            "123456789012",
            "us-gov-west-1",
            None,
        ),
    ],
)
def test_a_repository_is_named_in_three_ways(
    text: str, name: str, account: str | None, region: str | None, tag: str | None
) -> None:
    found = parse_repository(text)
    assert (found.name, found.account, found.region, found.tag) == (name, account, region, tag)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("docker.io/team/app", "EMR Serverless takes images from there only"),
        ("public.ecr.aws/team/app", "EMR Serverless takes images from there only"),
        ("localhost:5000/app", "EMR Serverless takes images from there only"),
        ("Team/app", "small letters"),
        ("a", "2 to 256"),
        ("team//app", "small letters"),
        ("team/app:v 1", "can be no tag"),
        (f"team/app@sha256:{'0' * 64}", "names one image of it"),
        ("team--x/app", "imageUri"),
        ("team/a__b", "imageUri"),
    ],
)
def test_what_is_no_repository_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_repository(text)
    assert why in f"{caught.value.why} {caught.value.fix}"


@pytest.mark.parametrize(
    ("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]
)
def test_partitions_are_those_of_the_repository(partition: str, region: str) -> None:
    arn = f"arn:{partition}:ecr:{region}:123456789012:repository/team/app"
    repository = repository_of_arn(arn, "host/team/app")
    assert repository.arn == arn
    assert application_arn("00f1", repository).startswith(
        f"arn:{partition}:emr-serverless:{region}:"
    )
    assert application_arn("all", repository) == every_application(repository)
    assert account_root("1" * 12, repository) == f"arn:{partition}:iam::{'1' * 12}:root"


@pytest.mark.parametrize(
    ("application", "why"),
    [
        ("arn:aws:emr-serverless:us-east-1:123456789012:applications/1", ":/applications/ID"),
        ("My App", ":/applications/ID"),
        ("arn:aws:emr-serverless:eu-west-1:123456789012:/applications/1", "own Region"),
        ("arn:aws-cn:emr-serverless:us-east-1:123456789012:/applications/1", "own partition"),
    ],
)
def test_an_application_that_can_not_use_the_repository_is_refused(
    application: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        application_arn(application, REPOSITORY)
    assert why in caught.value.why


def test_an_account_has_twelve_digits() -> None:
    with pytest.raises(ConfigError, match="is not an account"):
        account_root("12345", REPOSITORY)
