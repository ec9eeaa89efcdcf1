"""`packager config`: where settings come from."""

from typing import Annotated

import typer

from packager.cli.options import (
    Json,
    ProjectPath,
    settings_of,
)
from packager.console import Console


def config(
    path: ProjectPath = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print a JSON schema of [tool.packager] instead.")
    ] = False,
    json: Json = False,
) -> None:
    """Show settings and where they come from."""
    from packager.settings import OPTIONS

    if schema:
        from packager.settingsschema import settings_schema

        Console().document(settings_schema())
        return
    _, settings = settings_of(path, {})
    rows = [
        (o.name.replace("_", "-"), getattr(settings, o.name), settings.origins[o.name])
        for o in OPTIONS
    ]
    if json:
        Console().document({name: {"value": value, "from": origin} for name, value, origin in rows})
        return
    for name, value, origin in rows:
        text = ", ".join(value) if isinstance(value, tuple) else str(value or "")
        Console().data(f"{name:<12} {text or '-':<28} {origin}")
