"""Bringing an application to what is wanted, and taking it away. All waiting is the clock's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packager.errors import CommandError, ConfigError, ValidationFailedError
from packager.jobs.applications import describe, pages
from packager.jobs.difference import RESTING, Difference, difference
from packager.jobs.ports import BusyError, Clock, Emr, GoneError
from packager.jobs.preflight import images_of
from packager.jobs.states import ENDED, MEANINGS, duration

WAIT_S: Final = 1200
"""For an application to come to a state; initial capacity takes minutes."""
TRIES: Final = 10
"""At least: a clock that jumps ends no wait."""
ACTIVE: Final = tuple(state for state in MEANINGS if state not in ENDED)
SETTLES: Final[Mapping[str, tuple[str, ...]]] = {
    "CREATING": ("CREATED",),
    "STARTING": ("STARTED",),
    "STOPPING": ("STOPPED",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where it is done, and who is told."""

    emr: Emr
    clock: Clock
    say: Callable[[str], None]


def settled(site: Site, live: Mapping[str, Any]) -> Mapping[str, Any]:
    """The application when it is no longer on its way to another state."""
    while live["state"] in SETTLES:
        live = wait_for(site, live["applicationId"], SETTLES[live["state"]])
    return live


def planned(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Difference | None:
    """None where it has to be created."""
    return None if live is None else difference(live, wanted)


def calls(
    live: Mapping[str, Any] | None,
    wanted: Mapping[str, Any],
    *,
    start: bool,
) -> list[dict[str, Any]]:
    """What would be asked for, call by call, for `--dry-run`."""
    if live is None:
        found = [{"operation": "CreateApplication", "request": dict(wanted)}]
        identity = {"applicationId": "(of the new application)"}
        return [*found, *([_call("StartApplication", identity)] if start else [])]
    identity = {"applicationId": live["applicationId"]}
    delta = difference(live, wanted)
    found = [_call("StopApplication", identity)] if delta.stop else []
    if delta.fields:
        found.append(_call("UpdateApplication", {**identity, **delta.fields}))
    if delta.tags:
        found.append(_call("TagResource", {"resourceArn": live["arn"], "tags": dict(delta.tags)}))
    if (start and live["state"] in RESTING) or delta.stop:
        found.append(_call("StartApplication", identity))
    return found


def _call(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"operation": operation, "request": dict(request)}


def bring(
    site: Site,
    live: Mapping[str, Any] | None,
    wanted: Mapping[str, Any],
    *,
    token: str,
    start: bool,
    wait_for_runs: bool,
) -> Mapping[str, Any]:
    """Create or change an application, and start it if it was or is to be.

    `live` has settled. Raise `ConfigError` where runs are in the way.
    """
    if live is None:
        made = site.emr.call("CreateApplication", {**wanted, "clientToken": token})
        identity = made["applicationId"]
        site.say(f"created {wanted['name']}: {identity}")
        live = wait_for(site, identity, (*RESTING, "STARTED"))
        return _started(site, live) if start else live
    delta = difference(live, wanted)
    identity = live["applicationId"]
    for change in delta.changes:
        site.say(change.line())
    was_started = live["state"] == "STARTED"
    if delta.stop:
        _stop(site, live, why=delta.stop, wait_for_runs=wait_for_runs)
    if delta.fields:
        request = {"applicationId": identity, "clientToken": token, **delta.fields}
        site.emr.call("UpdateApplication", request)
    if delta.tags:
        site.emr.call("TagResource", {"resourceArn": live["arn"], "tags": dict(delta.tags)})
    if delta.is_none:
        site.say(f"{wanted['name']} is as it should be")
    live = describe(site.emr, identity)
    return _started(site, live) if start or (was_started and delta.stop) else live


def _started(site: Site, live: Mapping[str, Any]) -> Mapping[str, Any]:
    if live["state"] == "STARTED":
        return live
    site.emr.call("StartApplication", {"applicationId": live["applicationId"]})
    return wait_for(site, live["applicationId"], ("STARTED",))


def _stop(site: Site, live: Mapping[str, Any], *, why: str, wait_for_runs: bool) -> None:
    identity = live["applicationId"]
    tries, began = 0, site.clock.monotonic()
    while active := active_runs(site.emr, identity):
        if not wait_for_runs:
            raise ConfigError(
                f"{len(active)} run{'s' if len(active) > 1 else ''} of the application"
                f" {'have' if len(active) > 1 else 'has'} not ended: {', '.join(active[:5])}",
                why=f"it has to be stopped: {why}",
                fix="wait for them with --wait-for-runs, or end them: packager cancel RUN",
            )
        if not tries:
            site.say(f"waiting for the end of {', '.join(active[:5])}")
        tries += 1
        site.clock.sleep(10)
        if tries % 30 == 0:
            waited = duration(site.clock.monotonic() - began)
            site.say(f"still {len(active)} after {waited}: {', '.join(active[:5])}")
    site.say(f"stopping it: {why}")
    site.emr.call("StopApplication", {"applicationId": identity})
    wait_for(site, identity, RESTING)


def active_runs(emr: Emr, identity: str) -> list[str]:
    request = {"applicationId": identity, "states": list(ACTIVE)}
    # The API takes eight states, and there are not more.
    return [run["id"] for run in pages(emr, "ListJobRuns", request, "jobRuns")]


def wait_for(site: Site, identity: str, states: Sequence[str]) -> Mapping[str, Any]:
    """The application in one of these states. Raise `CommandError` where it does not come to it."""
    began, tries, last = site.clock.monotonic(), 0, ""
    while True:
        tries += 1
        waited = site.clock.monotonic() - began
        try:
            live = describe(site.emr, identity)
        except BusyError as error:
            if tries >= TRIES and waited >= WAIT_S:
                raise
            last = last or error.why
            site.clock.sleep(5)
            continue
        if live["state"] in states:
            return live
        if live["state"] != last:
            site.say(f"{live['state'].lower()} …")
            last = live["state"]
        if live["state"] == "TERMINATED":
            raise GoneError(f"the application {identity} was deleted meanwhile")
        if tries >= TRIES and waited >= WAIT_S:
            raise CommandError(
                f"the application {identity} is {live['state']} after {duration(waited)}",
                why=live.get("stateDetails", "").strip() or "EMR Serverless gives no details",
                fix="look at it in the console; then deploy again, which goes on from there",
            )
        site.clock.sleep(2 if waited < 60 else 5)


def require_digests(live: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Raise `ValidationFailedError` where the application uses another image than was pushed."""
    for uri, resolved in images_of(live):
        _, by_digest, digest = uri.partition("@")
        if not resolved:
            # BOTO resolvedImageDigest: there is none until the application has started.
            say(f"{uri}: which digest it uses is known when it has started (--start)")
        elif by_digest and digest != resolved:
            raise ValidationFailedError(
                f"the application uses {resolved}",
                why=f"{uri} was deployed",
                fix="stop and start the application, then deploy again",
            )
        else:
            say(f"{uri}: it uses {resolved}")


def tear_down(site: Site, live: Mapping[str, Any], *, wait_for_runs: bool) -> None:
    """Delete an application that has settled, stopped first where it is started."""
    identity = live["applicationId"]
    if live["state"] not in RESTING:
        why = "only what is stopped can be deleted"
        _stop(site, live, why=why, wait_for_runs=wait_for_runs)
    site.emr.call("DeleteApplication", {"applicationId": identity})
    site.say(f"deleted {live.get('name', '')} {identity}")
