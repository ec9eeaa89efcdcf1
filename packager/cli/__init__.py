"""Command line. Commands translate words to settings, call the pipeline, print; nothing more."""

import os
import signal
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperGroup

from packager import __version__
from packager.errors import ExitCode
from packager.interrupts import interrupt_by

COMMANDS: Final = {
    "init": "init:init",
    "pack": "pack:pack",
    "image": "image:image",
    "validate": "archives:validate",
    "inspect": "archives:inspect",
    "publish": "publish:publish",
    "verify": "verify:verify",
    "promote": "promote:promote",
    "prune": "prune:prune",
    "conf": "jobs:conf",
    "deploy": "deploy:deploy",
    "run": "run:command",
    "status": "runs:status",
    "logs": "runs:logs",
    "cancel": "runs:cancel",
    "runs": "runs:runs",
    "policy": "policy:policy",
    "test": "testing:command",
    "cost": "cost:cost",
    "releases": "releases:releases",
    "doctor": "doctor:doctor",
    "config": "config:config",
    "cache": "cache:cache",
}
"""In the order of `packager --help`: a function of a module here, or a `typer.Typer` of its own."""


class _Loaded(Mapping[str, Any]):
    """Commands by name, each loaded when it is looked up: all of them take 30 ms."""

    def __getitem__(self, name: str) -> Any:
        return _command(name, COMMANDS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def _command(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(f"packager.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
        )
        alone.command(name)(found)
        found = alone
    command = (
        typer.main.get_group(found) if found.registered_callback else typer.main.get_command(found)
    )
    command.name = name
    return command


class _Commands(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = cast("MutableMapping[str, Any]", _Loaded())  # nothing is added to it


app = typer.Typer(
    cls=_Commands,
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
    # CI cancels with the second, a closed terminal with the third: clean up as after Ctrl-C.
    interrupt_by(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
