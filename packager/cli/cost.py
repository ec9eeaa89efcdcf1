"""`packager cost`: what a run costs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from packager.cli.options import Conf, Json, Region, Release, settings_of, spark_properties
from packager.console import Console
from packager.errors import ConfigError


def cost(
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="N", help="How long the run takes.")
    ],
    executors: Annotated[
        int | None, typer.Option("--executors", min=0, help="How many, all the while.")
    ] = None,
    conf: Conf = None,
    release: Release = None,
    region: Region = None,
    prices: Annotated[
        str | None, typer.Option("--prices", metavar="FILE", help="Another table of prices.")
    ] = None,
    json: Json = False,
) -> None:
    """Estimate what a run costs on both architectures."""
    from packager.jobs.costs import (
        estimate,
        estimate_json,
        estimate_text,
        known_prices,
        read_prices,
    )
    from packager.jobs.workers import require_properties, workers
    from packager.project import read_text
    from packager.releases import find_release, limits

    project, settings = settings_of(
        None, {"release": release, "region": region, "prices": prices}, required=False
    )
    if not 0 < minutes < 1_000_000:
        raise ConfigError(f"--minutes {minutes:g} is not a time", fix="name the minutes of a run")
    where = settings.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if where is None:
        raise ConfigError(
            "no Region is named", why="prices differ by Region", fix="name one: --region eu-west-1"
        )
    properties = {**settings.conf, **spark_properties(conf)}
    if executors is not None:
        properties |= {
            "spark.dynamicAllocation.enabled": "false",
            "spark.executor.instances": str(executors),
        }
    if settings.release is None:
        asked = workers(properties, None, limits())
    else:
        known = find_release(settings.release, settings.releases)
        asked = require_properties(properties, known, limits())
    table = known_prices()
    if settings.prices is not None:
        folder = Path.cwd() if project is None or prices is not None else project.root
        path = folder / settings.prices
        table = read_prices(read_text(path), str(path))
    made = estimate(asked, minutes * 60, where, table)
    console = Console()
    if json:
        console.document(estimate_json(made))
    else:
        console.data(estimate_text(made))
