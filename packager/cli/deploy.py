"""`packager deploy`: the application that jobs run on, created, changed or taken away."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.options import (
    Arch,
    Json,
    OneRecord,
    Profile,
    Quiet,
    Region,
    Release,
    records_folder,
    require_one_arch,
    settings_of,
)
from packager.console import Console
from packager.errors import ConfigError

if TYPE_CHECKING:
    from packager.adapters.aws.session import Session
    from packager.jobs.deploying import Site
    from packager.settings import Settings


def deploy(
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the application.")
    ] = None,
    release: Release = None,
    arch: Arch = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="URI", help="In ECR, best by digest; else the record's."),
    ] = None,
    record: OneRecord = None,
    start: Annotated[
        bool, typer.Option("--start", help="Start it, and compare the image that it uses.")
    ] = False,
    narrow_policy: Annotated[
        bool,
        typer.Option(
            "--narrow-policy", help="Let this application alone pull from its repository."
        ),
    ] = False,
    wait_for_runs: Annotated[
        bool, typer.Option("--wait-for-runs", help="Where it has to be stopped for a change.")
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Take it away instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing before deleting.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change; change nothing.")
    ] = False,
    region: Region = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Create or update the application of a project's settings."""
    import uuid

    from packager.adapters.aws.emr import EmrServerless
    from packager.adapters.aws.session import open_session
    from packager.adapters.clock import SteadyClock
    from packager.jobs.applications import by_name
    from packager.jobs.deploying import Site, bring, calls, require_digests, settled

    console = Console(quiet=quiet)
    require_one_arch(arch)
    project, settings = settings_of(
        None,
        {"release": release, "arch": arch, "region": region, "profile": profile},
        required=False,
    )
    table = dict(settings.application)
    if name is not None:
        table["name"] = name
    table.setdefault("name", project.name if project is not None else "")
    if image is not None:
        table["image"] = image
    if not table["name"]:
        raise ConfigError("the application has no name", fix="use --name, or go to the project")
    wanted: dict[str, Any] = {}
    if not delete:  # what can be wrong of it is told before AWS is asked
        folder = records_folder(project, settings)
        wanted = _wanted(table, settings, record, folder, chosen_arch=arch)
        EmrServerless.check("CreateApplication", wanted)
    session = open_session(settings, os.environ)
    site = Site(emr=EmrServerless(session), clock=SteadyClock(), say=console.say)
    live = by_name(site.emr, str(table["name"]))
    if delete:
        _delete(site, live, str(table["name"]), yes=yes, wait=wait_for_runs, dry_run=dry_run)
        return
    if dry_run:
        _show_plan(console, live, wanted, calls(live, wanted, start=start), json=json)
        return
    if live is not None:
        live = settled(site, live)
    if narrow_policy and live is None:
        _grant(session, wanted, None, console)
    live = bring(
        site,
        live,
        wanted,
        token=uuid.uuid4().hex,
        start=start,
        wait_for_runs=wait_for_runs,
    )
    if narrow_policy:
        _grant(session, wanted, live["arn"], console)
    require_digests(live, console.say)
    if json:
        kept = ("applicationId", "arn", "name", "state", "releaseLabel", "architecture")
        console.document({key: live[key] for key in kept if key in live})
    else:
        console.data(live["applicationId"])


def _wanted(
    table: Mapping[str, Any],
    settings: "Settings",
    record: Path | None,
    folder: Path,
    *,
    chosen_arch: list[str] | None,
) -> dict[str, Any]:
    from packager.jobs.wanted import recorded_images, wanted_application
    from packager.recorded import find_record, records_in
    from packager.releases import limits
    from packager.target import parse_arch

    label, arch, images = settings.release, settings.arch[0], None
    if record is not None or records_in(folder):
        found = find_record(
            record, folder, release=label, arch=arch if chosen_arch else None
        ).record
        label, arch = found.release, found.arch
        images = recorded_images(found)
    if label is None:
        raise ConfigError(
            "no EMR release is given",
            why="an application has one",
            fix="use --release, or pack the project first",
        )
    return wanted_application(
        table,
        name=str(table["name"]),
        release=label,
        architecture=parse_arch(arch).emr,
        images=images,
        sizes=limits().worker_sizes,
    )


def _show_plan(
    console: Console,
    live: Mapping[str, Any] | None,
    wanted: Mapping[str, Any],
    planned: list[dict[str, Any]],
    *,
    json: bool,
) -> None:
    from packager.jobs.difference import difference

    if json:
        console.document(planned)
        return
    if live is None:
        console.data(f"{wanted['name']} would be created")
        console.document(planned[0]["request"])
        return
    delta = difference(live, wanted)
    for change in delta.changes:
        console.data(change.line())
    if delta.stop:
        console.data(f"it would be stopped and started: {delta.stop}")
    if delta.is_none:
        console.data(f"{wanted['name']} is as it should be")


def _delete(
    site: "Site",
    live: Mapping[str, Any] | None,
    name: str,
    *,
    yes: bool,
    wait: bool,
    dry_run: bool,
) -> None:
    import sys

    from packager.jobs.deploying import settled, tear_down

    if live is None:
        site.say(f"there is no application {name}")
        return
    what = f"{name} ({live['applicationId']}, {live['state']})"
    if dry_run:
        site.say(f"{what} would be deleted")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(
                f"nobody is there to ask whether {what} is to be deleted", fix="say so: --yes"
            )
        if not typer.confirm(f"Delete the application {what}?", err=True):
            return
    tear_down(site, settled(site, live), wait_for_runs=wait)


def _grant(
    session: "Session", wanted: Mapping[str, Any], application: str | None, console: Console
) -> None:
    """Let one application pull its images and no other; before there is one, all of the account."""
    from packager.adapters.aws.ecr import ecr_of, pause
    from packager.jobs.preflight import images_of
    from packager.publishing.addresses import every_application, parse_repository
    from packager.publishing.granting import grant
    from packager.publishing.policy import Wish

    names = {
        uri.partition("@")[0].rpartition(":")[0] or uri.partition("@")[0]
        for uri, _ in images_of(wanted)
    }
    for name in sorted(names):
        address = parse_repository(name)
        ecr = ecr_of(session, address)
        repository = ecr.require(address)
        wish = Wish(
            applications=(application or every_application(repository),),
            only=application is not None,
        )
        if grant(ecr, repository, wish, wait=pause).needed:
            whom = application or "all applications of the account"
            console.say(f"{repository.name}: {whom} may pull")
