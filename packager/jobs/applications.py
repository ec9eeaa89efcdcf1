"""Applications as they are: found by name or ID, and waited for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from packager.errors import CommandError, ConfigError
from packager.jobs.ports import Emr, GoneError

LIVING: Final = ("CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")


def listed(emr: Emr) -> Iterator[Mapping[str, Any]]:
    """Summaries of all that are not deleted."""
    yield from pages(emr, "ListApplications", {"states": list(LIVING)}, "applications")


def pages(
    emr: Emr, operation: str, request: Mapping[str, Any], name: str
) -> Iterator[Mapping[str, Any]]:
    """The items of all pages."""
    more: dict[str, Any] = {"maxResults": 50}
    while True:
        answer = emr.call(operation, {**request, **more})
        if name not in answer:
            raise CommandError(
                f"EMR Serverless answers {operation} without {name}",
                why="whoever answered is something else",
                fix="look where AWS_ENDPOINT_URL leads; for S3 alone, there is AWS_ENDPOINT_URL_S3",
            )
        yield from answer[name]
        if not answer.get("nextToken"):
            return
        more["nextToken"] = answer["nextToken"]


def describe(emr: Emr, identity: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = emr.call("GetApplication", {"applicationId": identity})[
        "application"
    ]
    return found


def by_name(emr: Emr, name: str) -> Mapping[str, Any] | None:
    """Raise `ConfigError` where several are called so."""
    found = [a for a in listed(emr) if a.get("name") == name]
    if len(found) > 1:
        raise ConfigError(
            f"{len(found)} applications are called {name}",
            why=f"they are {', '.join(a['id'] for a in found)}: names need not be unique",
            fix="name one by its ID",
        )
    return describe(emr, found[0]["id"]) if found else None


def find(emr: Emr, wanted: str) -> Mapping[str, Any]:
    """The application of that ID or name. Raise `ConfigError` where there is none."""
    if re.fullmatch(r"00[0-9a-z]{10,62}", wanted):
        try:
            return describe(emr, wanted)
        except GoneError:
            pass  # a name may look like an ID
    application = by_name(emr, wanted)
    if application is None:
        names = sorted(a.get("name") or a["id"] for a in listed(emr))
        raise ConfigError(
            f"there is no application {wanted}",
            why=f"this account and Region have {', '.join(names) or 'none'}",
            fix="make it: packager deploy; or look at --application and --region",
        )
    return application


def default_properties(application: Mapping[str, Any]) -> dict[str, str]:
    """Spark properties that the application's own configuration sets."""
    properties: dict[str, str] = {}
    for configuration in application.get("runtimeConfiguration", ()):
        if configuration["classification"] == "spark-defaults":
            properties.update(configuration.get("properties", {}))
    return properties
