"""Command line. Commands translate words to settings, call the pipeline, print; nothing more."""

import os
import signal
from typing import Annotated

import typer

from packager import __version__
from packager.cli.archives import inspect, validate
from packager.cli.cache import cache
from packager.cli.config import config
from packager.cli.cost import cost
from packager.cli.deploy import deploy
from packager.cli.doctor import doctor
from packager.cli.image import image
from packager.cli.imagepush import push
from packager.cli.init import init
from packager.cli.jobs import conf
from packager.cli.pack import pack
from packager.cli.policy import policy
from packager.cli.promote import promote
from packager.cli.prune import prune
from packager.cli.publish import publish
from packager.cli.releases import releases
from packager.cli.repository import repository_policy
from packager.cli.run import run
from packager.cli.runs import cancel, logs, runs, status
from packager.cli.testing import ForPytest, suite
from packager.cli.verify import verify
from packager.errors import ExitCode

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it so
    if wanted:
        typer.echo(f"packager {__version__}")
        raise typer.Exit


@app.callback()
def packager(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Package PySpark projects for Amazon EMR Serverless.

    Start with `packager init` in a project's folder, then `packager pack`.
    """
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.CONFIG)
    if debug:
        os.environ["PACKAGER_DEBUG"] = "1"
    # CI cancels with the one, a closed terminal with the other: clean up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)


app.command()(init)
app.command()(pack)
image.command("policy")(repository_policy)
image.command("push")(push)
app.add_typer(image, name="image")
app.command()(validate)
app.command()(inspect)
app.command()(publish)
app.command()(verify)
app.command()(promote)
app.command()(prune)
app.command()(conf)
app.command()(deploy)
app.command(context_settings={"ignore_unknown_options": True})(run)
app.command()(status)
app.command()(logs)
app.command()(cancel)
app.command()(runs)
app.command()(policy)
app.command("test", cls=ForPytest)(suite)
app.command()(cost)
app.command()(releases)
app.command()(doctor)
app.command()(config)
app.add_typer(cache, name="cache")
