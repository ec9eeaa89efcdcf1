"""`packager image`: custom images."""

import os
from typing import Annotated

import typer

from packager.cli.image_build import build
from packager.cli.image_eject import eject
from packager.cli.image_inspect import inspect
from packager.cli.imagepush import push
from packager.cli.options import (
    Arch,
    Format,
    Image,
    Json,
    MadeFrom,
    Output,
    Quiet,
    Release,
    Waive,
    form_of,
    pairs,
    settings_of,
    show_reports,
)
from packager.cli.repository import repository_policy
from packager.console import Console
from packager.errors import ConfigError, ExitCode

image = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
image.command("build")(build)
image.command("eject")(eject)
image.command("inspect")(inspect)


@image.callback()
def image_(context: typer.Context) -> None:
    """Look after custom images."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.CONFIG)


@image.command("validate")
def validate(
    named: Image,
    release: Release = None,
    arch: Arch = None,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="X.Y", help="Python of jobs, if not the release's own."),
    ] = None,
    type_: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="What runs on it: spark or hive.")
    ] = "spark",
    base_image: MadeFrom = None,
    run: Annotated[
        bool, typer.Option("--run", help="Also run SparkPi and a PySpark job in it.")
    ] = False,
    run_timeout: Annotated[
        int | None,
        typer.Option(
            "--run-timeout",
            metavar="SECONDS",
            min=1,
            help="For each of the two jobs [600; emulated 1800].",
        ),
    ] = None,
    waive: Waive = None,
    format_: Format = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a custom image, ours or anyone's, for a release."""
    from packager.adapters import image_sources, image_trial
    from packager.contents import IMAGE_TYPES
    from packager.imagevalidation import validate_image

    form = form_of(format_, json=json)
    kind = next((known for known in IMAGE_TYPES if known == type_), None)
    if kind is None:
        raise ConfigError(
            f"{type_!r} is not a type of image", fix=f"choose one: {', '.join(IMAGE_TYPES)}"
        )
    console = Console(quiet=quiet)
    flags = {
        "release": release,
        "arch": arch,
        "python": python,
        "base_image": base_image,
        "waivers": pairs("--waive", "CODE=REASON", waive),
    }
    _, settings = settings_of(None, flags, required=False)
    source, shelf = image_sources(settings.cache_dir, env=os.environ, say=console.say)
    trial = None
    if run:
        trial = image_trial(env=os.environ, say=console.say, limit_s=run_timeout)
    elif run_timeout is not None:
        raise ConfigError("--run-timeout says nothing without --run", fix="add --run, or leave it")
    reports = [
        (
            f"{named} for {target.release.label} {target.arch.name}",
            validate_image(
                named,
                target,
                kind,
                settings,
                base=settings.base_image,
                source=source,
                shelf=shelf,
                trial=trial,
                say=console.say,
            ),
        )
        for target in settings.targets()
    ]
    show_reports(reports, form, output, console)


image.command("policy")(repository_policy)
image.command("push")(push)
