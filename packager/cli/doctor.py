"""`packager doctor`: what is missing."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import Json, Profile, Quiet, Region, settings_of
from packager.console import Console
from packager.errors import ExitCode, PackagerError

if TYPE_CHECKING:
    from packager.doctor.account import Wanted
    from packager.doctor.diagnosis import Point
    from packager.settings import Settings


def doctor(
    s3_uri: Annotated[
        str | None, typer.Option("--s3-uri", metavar="URI", help="A bucket to look at.")
    ] = None,
    repository: Annotated[
        str | None, typer.Option("--repository", metavar="NAME", help="A repository of images.")
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ARN", help="What jobs run as.")
    ] = None,
    application: Annotated[
        str | None, typer.Option("--application", metavar="ID", help="Where jobs run.")
    ] = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="Look at this machine only, and ask nobody.")
    ] = False,
    region: Region = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is missing on this machine and in the account."""
    from packager.adapters import store_root
    from packager.adapters.diagnosis import machine_looks
    from packager.doctor.diagnosis import examine, missing, to_json, to_lines

    console = Console(quiet=quiet, json=json)
    flags = {"region": region, "profile": profile, "s3_uri": s3_uri}
    _, settings = settings_of(None, flags, required=False)
    points = [
        examine(look)
        for look in machine_looks(
            os.environ,
            store=store_root(settings.cache_dir),
            engine_needed=settings.builder == "docker" or settings.clean_room == "require",
        )
    ]
    if not machine:
        named = {"repository": repository, "role": role, "application": application}
        points += _account_points(settings, _wanted(settings, named))
    lacking = missing(points)
    if json:
        console.document(to_json(points))
    elif lacking or not quiet:
        console.data(to_lines(lacking if quiet else points))
    if lacking:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)


def _wanted(settings: "Settings", named: Mapping[str, Any]) -> "Wanted":
    """What the options name, else what the project's settings do."""
    from packager.doctor.account import Wanted
    from packager.publishing.addresses import parse_repository

    repository = named["repository"] or settings.ecr.get("repository")
    application = named["application"] or settings.run.get("application")
    role = named["role"] or settings.run.get("role")
    # Settings may have the name of an application, which is not asked after here.
    is_id = isinstance(application, str) and (":" in application or application.startswith("00"))
    return Wanted(
        bucket=settings.s3_uri.removeprefix("s3://").partition("/")[0] if settings.s3_uri else None,
        repository=parse_repository(repository) if isinstance(repository, str) else None,
        role=role if isinstance(role, str) else None,
        application=application if is_id else None,
    )


def _account_points(settings: "Settings", wanted: "Wanted") -> "Iterator[Point]":
    from packager.adapters.aws.diagnosis import SessionAccount
    from packager.adapters.aws.session import open_session
    from packager.doctor.account import examine_account
    from packager.doctor.diagnosis import Look, examine

    try:
        session = open_session(settings, os.environ)
    except PackagerError as error:
        told = error

        def fail() -> str:
            raise told

        purpose = "" if wanted.anything else "publishing, images and jobs on AWS"
        yield examine(Look(area="AWS", name="identity", see=fail, purpose=purpose))
        return
    yield from examine_account(SessionAccount(session=session, owner=settings.bucket_owner), wanted)
