"""`packager policy`: who may do what, as documents for IAM."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.access import (
    Glue,
    GlueWrite,
    KmsKey,
    Read,
    Write,
    artifacts_of,
    data_of,
    place_of,
)
from packager.cli.options import Profile, Quiet, Region, S3Uri, records_folder, settings_of
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.policies.scope import Scope
    from packager.project import Project
    from packager.record import Record
    from packager.settings import Settings


def policy(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="Which policy; without one, they are listed."),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="ID", help="Account; AWS is asked if not given."),
    ] = None,
    region: Region = None,
    profile: Profile = None,
    application: Annotated[
        str | None,
        typer.Option("--application", metavar="ID", help="One application instead of all."),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="NAME", help="Runtime role of the jobs; else as set."),
    ] = None,
    s3_uri: S3Uri = None,
    record: Annotated[
        list[Path] | None,
        typer.Option("--record", metavar="FILE", help="Whose artifacts; else all of dist."),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Not what the next pack of the same project makes."),
    ] = False,
    log_uri: Annotated[
        str | None,
        typer.Option("--log-uri", metavar="URI", help="Where jobs write logs; else as set."),
    ] = None,
    log_group: Annotated[
        str | None, typer.Option("--log-group", metavar="NAME", help="In CloudWatch; else as set.")
    ] = None,
    read: Read = None,
    write: Write = None,
    glue: Glue = None,
    glue_write: GlueWrite = None,
    kms_key: KmsKey = None,
    repository: Annotated[
        str | None, typer.Option("--repository", metavar="NAME", help="Repository of the image.")
    ] = None,
    create: Annotated[
        str | None,
        typer.Option("--create", metavar="NAME", help="Make it in IAM, or bring it up to date."),
    ] = None,
    attach: Annotated[
        str | None, typer.Option("--attach", metavar="ROLE", help="Role to give what was made to.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Print least-privilege policies for jobs, people and CI."""
    from packager.policies import KINDS, kind_named
    from packager.policies.grammar import require_size

    console = Console(quiet=quiet)
    if kind is None:
        for name, row in KINDS.items():
            console.data(f"{name:<14}{row.purpose}")
        return
    chosen = kind_named(kind)
    if attach is not None and (create is None or chosen.place != "identity"):
        raise ConfigError(
            "--attach gives a role the policy that --create makes",
            fix="use both, with a policy of people or jobs",
        )
    project, settings = settings_of(
        None, {"region": region, "profile": profile, "s3_uri": s3_uri}, required=False
    )
    scope = _scope(
        project,
        settings,
        account=account,
        application=application,
        role=role,
        records=record or [],
        exact=exact,
        log_uri=log_uri,
        log_group=log_group,
        data=data_of(read, write, glue, glue_write, kms_key),
        repository=repository,
    )
    document = chosen.write(scope).to_json()
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if chosen.chars is not None:
        require_size(text, chosen.chars)
    if create is None:
        console.data(text)
    else:
        _create(settings, create, chosen.place, document, attach, scope.account, console)


def _scope(
    project: "Project | None",
    settings: "Settings",
    *,
    account: str | None,
    application: str | None,
    role: str | None,
    records: list[Path],
    exact: bool,
    log_uri: str | None,
    log_group: str | None,
    data: Mapping[str, Any],
    repository: str | None,
) -> "Scope":
    from packager.policies import scope as names

    said = _settled(settings)
    log_uri, log_group = log_uri or said["log_uri"], log_group or said["log_group"]
    usual = names.parse_role(said["role"]) if said["role"] else None
    app = names.parse_application(application) if application else None
    runtime = names.parse_role(role) if role else None
    image = names.parse_repository(repository) if repository else None
    places = {
        "--region": settings.region,
        "the application's ARN": app.region if app else None,
        "the repository": image.region if image else None,
    }
    accounts = {
        "--account": names.parse_account(account, "--account") if account else None,
        "the application's ARN": app.account if app else None,
        "the role's ARN": runtime.account if runtime else None,
    }
    found_region = _agreed("Region", places) or _region(settings)
    found_account = (
        _agreed("account", accounts)
        or (usual.account if usual else None)
        or _account(settings, found_region)
    )
    if runtime is None and usual is not None and usual.account == found_account:
        runtime = usual
    found = _records(project, settings, records)
    return names.Scope(
        region=names.parse_region(found_region, "the Region"),
        account=found_account,
        application=app.name if app else None,
        role=runtime.name if runtime else None,
        s3=place_of(settings, found),
        artifacts=artifacts_of(found),
        exact=exact,
        logs=names.parse_bucket(log_uri, "--log-uri") if log_uri else None,
        log_group=names.parse_log_group(log_group) if log_group else None,
        **data,
        repository=names.Repository(account=image.account or found_account, name=image.name)
        if image
        else None,
    )


def _settled(settings: "Settings") -> dict[str, str | None]:
    """The jobs' role, and where they write logs, as the settings of runs and application say it."""
    from packager.jobs.request import run_options

    run, application = run_options(settings.run, {}), settings.application
    return {
        "role": run.role,
        "log_uri": run.log_uri or _text(application.get("log-uri")),
        "log_group": run.log_group or _text(application.get("log-group")),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _agreed(what: str, said: dict[str, str | None]) -> str | None:
    """What those who say anything say. Raise `ConfigError` where they differ."""
    given = {by: value for by, value in said.items() if value}
    if len(set(given.values())) > 1:
        raise ConfigError(
            f"one policy is for one {what}, and two are named",
            why=", ".join(f"{by} says {value}" for by, value in given.items()),
            fix="correct one of them",
        )
    return next(iter(given.values()), None)


def _region(settings: "Settings") -> str:
    from packager.adapters.aws.session import open_session

    return open_session(settings, os.environ).region


def _account(settings: "Settings", region: str) -> str:
    from dataclasses import replace

    from packager.adapters.aws.session import open_session
    from packager.errors import CommandError

    try:
        return open_session(replace(settings, region=region), os.environ).account()
    except CommandError as error:
        raise CommandError(
            "the account is not known", why=error.why, fix=f"name it: --account ID, or {error.fix}"
        ) from error


def _records(
    project: "Project | None", settings: "Settings", paths: list[Path]
) -> "tuple[Record, ...]":
    from packager.recorded import find_record, records_in

    folder = records_folder(project, settings)
    found = [find_record(path, folder, release=None, arch=None) for path in paths]
    return tuple(one.record for one in found or records_in(folder))


def _create(
    settings: "Settings",
    name: str,
    place: str,
    document: dict[str, object],
    role: str | None,
    account: str,
    console: Console,
) -> None:
    from packager.adapters.aws.iam import attach, put_policy, put_role
    from packager.adapters.aws.session import open_session
    from packager.policies.scope import parse_policy_name, parse_role

    if place == "resource":
        raise ConfigError(
            "this policy hangs on a secret or a key, and is not made in IAM",
            fix="print it, and give it to `aws secretsmanager put-resource-policy`"
            " or `aws kms put-key-policy`",
        )
    session = open_session(settings, os.environ)
    if (own := session.account()) != account:
        raise ConfigError(
            f"the policy is for the account {account}, and you are of {own}",
            fix="choose another profile with --profile",
        )
    if place == "trust":
        arn, outcome = put_role(session, parse_role(name).name, document)
    else:
        arn, outcome = put_policy(session, parse_policy_name(name), document)
    console.say(f"{outcome}: {arn}")
    if role is not None:
        attach(session, arn, parse_role(role).name)
        console.say(f"attached to {role}")
    console.data(arn)
