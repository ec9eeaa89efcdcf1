"""`packager releases`: what is known of them, and what changes between two."""

from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.options import Json, records_folder, settings_of
from packager.console import Console

if TYPE_CHECKING:  # `packager --help` must not wait for what only commands need
    from packager.project import Project
    from packager.settings import Settings


def releases(
    label: Annotated[str | None, typer.Argument(metavar="[LABEL]", help="One release.")] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="Another: what changes to it.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is known of EMR Serverless releases.

    Without a label the table, with one all its facts, with two what changes.
    """
    from packager.releases import find_release, release_json, release_sheet, releases_table

    console = Console(json=json)
    project, settings = settings_of(None, {}, required=False)
    if label is not None and other is not None:
        _show_changes(label, other, project, settings, console)
    elif label is not None:
        release = find_release(label, settings.releases)
        if json:
            console.document(release_json(release))
        else:
            console.data(release_sheet(release))
    elif json:
        console.document([release_json(release) for release in settings.releases.values()])
    else:
        console.data(releases_table(settings.releases))


def _show_changes(
    label: str, other: str, project: "Project | None", settings: "Settings", console: Console
) -> None:
    from packager.changes import changes, changes_text, unfit
    from packager.recorded import records_in
    from packager.releases import find_release

    old, new = (find_release(name, settings.releases) for name in (label, other))
    folder = records_folder(project, settings)
    packed = [found.record for found in records_in(folder) if found.record.release == old.label]
    records = [(record, unfit(record, new)) for record in packed]
    if not console.json:
        console.data(changes_text(old, new, records))
        return
    console.document(
        {
            "changes": {c.fact: {"old": c.old, "new": c.new} for c in changes(old, new)},
            "unfit": {record.name: [w.filename for w in wheels] for record, wheels in records},
        }
    )
