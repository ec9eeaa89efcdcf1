"""`packager cache`: the wheel store."""

from typing import Annotated

import typer

from packager.cli.options import (
    Json,
    ProjectPath,
    settings_of,
)
from packager.console import Console
from packager.errors import ExitCode

cache = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@cache.callback()
def cache_(context: typer.Context) -> None:
    """Look after the wheel store."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.CONFIG)


@cache.command("info")
def cache_info(json: Json = False) -> None:
    """Show where the wheel store is and what it holds."""
    from packager.adapters import store_root
    from packager.adapters.cache import summary

    _, settings = settings_of(None, {}, required=False)
    found = summary(store_root(settings.cache_dir))
    if json:
        Console().document(
            {
                "path": str(found.root),
                "counts": found.counts,
                "bytes": found.sizes,
                "limit": settings.cache_limit,
            }
        )
        return
    Console().data(f"{found.root}")
    for kind, count in found.counts.items():
        Console().data(f"{kind:<10} {count:>7}  {found.sizes[kind] / 1e6:>10.1f} MB")
    Console().data(f"{'all':<10} {sum(found.counts.values()):>7}  {found.size / 1e6:>10.1f} MB")
    limit = settings.cache_limit
    Console().data(f"{'limit':<18}  " + (f"{limit / 1e6:>10.1f} MB" if limit else f"{'none':>13}"))


@cache.command("verify")
def cache_verify() -> None:
    """Hash all that the store has again and remove what changed."""
    from packager.adapters import store_root
    from packager.adapters.verification import verify

    _, settings = settings_of(None, {}, required=False)
    wrong = verify(store_root(settings.cache_dir))
    for name in wrong:
        Console().data(f"removed {name}: it was not what its hash says")
    if wrong:
        raise typer.Exit(ExitCode.VALIDATION_FAILED)
    Console().say("all of it is sound")


@cache.command("prune")
def cache_prune(
    limit: Annotated[
        str, typer.Option("--limit", metavar="SIZE", help="Bytes to keep, as in 5GB.")
    ] = "5GB",
) -> None:
    """Remove what was used longest ago until the rest is small enough."""
    from packager.adapters import store_root
    from packager.adapters.cache import prune
    from packager.settings import parse_size

    _, settings = settings_of(None, {}, required=False)
    removed, freed = prune(store_root(settings.cache_dir), limit=parse_size(limit))
    Console().say(f"removed {removed}, {freed / 1e6:.1f} MB")


@cache.command("key")
def cache_key(path: ProjectPath = None) -> None:
    """Print a key for CI's cache of a project's dependencies.

    It changes when they may have.
    """
    from packager.adapters.cache import dependencies_digest

    project, settings = settings_of(path, {})
    assert project is not None  # noqa: S101  # it is required here
    Console().data(f"packager-{dependencies_digest(project)[:20]}-{settings.release or 'any'}")
