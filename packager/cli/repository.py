"""`packager image policy`: who may pull from a repository."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import Json, Profile, Quiet, Region, settings_of
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.publishing.addresses import Repository
    from packager.publishing.granting import Change, Judgement
    from packager.publishing.policy import Wish


def repository_policy(
    named: Annotated[
        str, typer.Argument(metavar="REPOSITORY", help="Name, address or ARN of it in ECR.")
    ],
    application: Annotated[
        list[str] | None,
        typer.Option(
            "--application", metavar="ID", help="Who may pull: ID, ARN, or `all`; repeatable."
        ),
    ] = None,
    account: Annotated[
        bool, typer.Option("--account", help="All applications of the repository's account.")
    ] = False,
    pull_account: Annotated[
        list[str] | None,
        typer.Option("--pull-account", metavar="NUMBER", help="Another account; may be repeated."),
    ] = None,
    only: Annotated[
        bool, typer.Option("--only", help="Narrow: those named, and nobody named before.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the policy as it is; change nothing.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print what changes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    region: Region = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let EMR Serverless pull images from a repository."""
    from packager.adapters.aws.ecr import ecr_of, pause
    from packager.adapters.aws.session import open_session
    from packager.publishing.addresses import every_application, parse_repository
    from packager.publishing.granting import grant, judge_all, plan, require_pulls, strangers
    from packager.publishing.policy import to_lines

    wishes = bool(application or account or pull_account)
    if show and (wishes or only or diff):
        raise ConfigError("--show changes nothing", fix="use --diff --dry-run to see a change")
    if not show and not wishes:
        raise ConfigError(
            "nobody is named who may pull",
            fix="add --application ID, or --account for all of the account; or look: --show",
        )
    console = Console(quiet=quiet, json=json)
    _, settings = settings_of(None, {"region": region, "profile": profile}, required=False)
    address = parse_repository(named)
    ecr = ecr_of(open_session(settings, os.environ), address)
    repository = ecr.require(address)
    wish = _wish(repository, application or (), pull_account or (), account=account, only=only)

    change = plan(ecr, repository, wish)
    if diff and not json:
        console.data(change.diff(repository.name).rstrip("\n") or "# nothing changes")
    if change.needed and not dry_run:
        change = grant(ecr, repository, wish, wait=pause)
    judgements = judge_all(change.after, repository, wish.applications)
    if json:
        console.document(_document(repository, change, judgements, written=not dry_run))
    elif show:
        console.data(to_lines(change.after).rstrip("\n"))
    if change.needed:
        console.say(f"{repository.name}: {'would be written' if dry_run else 'written'}")
    elif not show:
        console.say(f"{repository.name}: nothing to change")
    for judgement in judgements:
        console.say(judgement.line())
    everyone = every_application(repository) in wish.applications
    if only and not everyone and (open_to := strangers(change.after, repository)):
        console.warn(f"warning: it is not narrow: {open_to.line()}")
    require_pulls(judgements, repository.name)


def _wish(
    repository: "Repository",
    applications: "list[str] | tuple[()]",
    accounts: "list[str] | tuple[()]",
    *,
    account: bool,
    only: bool,
) -> "Wish":
    from packager.publishing.addresses import account_root, application_arn, every_application
    from packager.publishing.policy import Wish

    every = (every_application(repository),) if account else ()
    named = tuple(application_arn(text, repository) for text in applications)
    roots = tuple(account_root(number, repository) for number in accounts)
    return Wish(applications=tuple(dict.fromkeys((*named, *every))), accounts=roots, only=only)


def _document(
    repository: "Repository",
    change: "Change",
    judgements: "tuple[Judgement, ...]",
    *,
    written: bool,
) -> dict[str, object]:
    return {
        "repository": repository.arn,
        "changed": change.needed and written,
        "before": change.before,
        "after": change.after,
        "applications": [
            {"application": j.application, "verdict": j.verdict, "why": j.why} for j in judgements
        ],
    }
