"""`packager image push`: an image to ECR."""

import os
from pathlib import Path
from typing import Annotated

import typer

from packager.cli.options import Arch, Json, Profile, Quiet, Region, settings_of
from packager.console import Console
from packager.errors import ConfigError


def push(
    named: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE", help="Tar of docker save, OCI layout, or an image of the engine."
        ),
    ],
    to: Annotated[
        str | None,
        typer.Argument(
            metavar="[REPOSITORY[:TAG]]", help="In ECR; else that of [tool.packager.ecr]."
        ),
    ] = None,
    arch: Arch = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and sent.")
    ] = False,
    region: Region = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Push an image to ECR, a tag for each architecture."""
    import tempfile
    from contextlib import ExitStack

    from packager.adapters.aws.ecr import ecr_of, pusher_of, repository_of
    from packager.adapters.aws.session import open_session
    from packager.adapters.imagesources.engine import EngineImages
    from packager.cli.ecr import wanted_repository
    from packager.cli.meter import meter
    from packager.imagevalidation import opened
    from packager.layershelf import Shelf
    from packager.oci import image_in
    from packager.publishing.addresses import parse_repository
    from packager.publishing.imagecontent import content_of
    from packager.publishing.images import prepare, push_images
    from packager.target import ARCHES, parse_arch

    console = Console(quiet=quiet, json=json)
    flags = {"region": region, "profile": profile, "arch": arch}
    project, settings = settings_of(None, flags, required=False)
    where = project.root if project else Path.cwd()
    wanted, lifecycle = wanted_repository(settings, where)
    place = to or wanted.repository
    if place is None:
        raise ConfigError(
            "no repository is named",
            fix="add it: packager image push IMAGE team/app; or set repository in"
            " [tool.packager.ecr]",
        )
    address = parse_repository(place)
    arches = tuple(ARCHES) if "all" in settings.arch else settings.arch
    # On which no layer is, so that all of them are given to us.
    shelf = Shelf(recall=lambda *_: None, remember=lambda *_: None)
    source = EngineImages(
        env=os.environ,
        say=console.say,
        recall=shelf.recall,
        remember=shelf.remember,
        whole=True,
    )
    ecr = ecr_of(open_session(settings, os.environ), address)
    with ExitStack() as stack:
        contents = []
        for name in arches:
            platform = parse_arch(name).oci_platform
            files = stack.enter_context(opened(named, platform, source, shelf))
            image = image_in(files, platform)
            if image.config.platform != platform:
                raise ConfigError(
                    f"{named} is an image for {image.config.platform}",
                    why=f"asked for is {platform}",
                    fix=f"--arch {image.config.architecture}",
                )
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="packager-"))
            contents.append(content_of(image, Path(folder)))
        if dry_run:
            there = ecr.describe(address) is not None
            console.say(f"{address.name}: {'is there' if there else 'would be created'}")
            for content in contents:
                console.data(f"{content.platform} {content.digest} {content.size:,} bytes")
            return
        ready = prepare(ecr, address, wanted, lifecycle, repository_of=repository_of)
        if ready.created:
            console.say(f"{address.name}: created")
        for note in ready.notes:
            console.warn(f"note: {note}")
        repository = repository_of(ready.told)
        console.say(f"Pushing to {repository.uri}")
        with meter(console) as shown:
            shown.expect(sum(content.size for content in contents))
            pushed = push_images(
                pusher_of(ecr, repository, os.environ),
                ecr,
                repository,
                contents,
                tag=address.tag,
                immutable=ready.immutable,
                moved=shown.moved,
            )
    for one in pushed:
        what = "is there already" if one.present else f"{one.sent:,} of {one.size:,} bytes sent"
        console.say(f"{one.tag}: {what}")
        if not json:
            console.data(one.reference)
    if json:
        from dataclasses import asdict

        console.document([asdict(one) for one in pushed])
