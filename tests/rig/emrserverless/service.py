"""The service: applications and job runs, moved through the documented states by a clock."""

import hashlib
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.rig.emrserverless import logs
from tests.rig.emrserverless.plans import Line, Plan
from tests.rig.emrserverless.requests import RefusalError

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
ENDED: Final = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
START: Final = 1_800_000_000.0
"""When a service's life begins, in seconds since 1970."""
NOT_STOPPED: Final = frozenset({"maximumCapacity"})
"""What a started application takes (UG 'Updating Running Applications'), and its image where no
capacity is initialised."""


@dataclass(slots=True, kw_only=True)
class Application:
    facts: dict[str, Any]
    changes: list[tuple[float, str]] = field(default_factory=list)
    """When it comes to which state."""
    starts: int = 0
    digest_at_start: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    facts: dict[str, Any]
    plan: Plan
    steps: list[tuple[float, str]]
    """When it comes to which state."""
    attempt: int = 1
    ran: list[tuple[float, float | None]] = field(default_factory=list)
    """Of each attempt: when it began to run, and when it ended."""
    refreshed: float = 0
    delivered: set[int] = field(default_factory=set)
    """Attempts whose logs are complete."""
    streamed: dict[int, int] = field(default_factory=dict)
    """Lines that CloudWatch has, by attempt."""

    @property
    def state(self) -> str:
        return str(self.facts["state"])


class Service:
    """Answers operations; `plans` are taken by the runs that are started, the last by all others.

    `each_call` seconds pass with every call. `events` are what tests let happen at some time.
    """

    def __init__(
        self,
        *,
        clients: Callable[[str], Any] | None = None,
        plans: list[Plan] | None = None,
        each_call: float = 0,
        images: Mapping[str, str] | None = None,
    ) -> None:
        self.clients = clients
        self.plans = plans or [Plan()]
        self.each_call = each_call
        self.images = dict(images or {})
        """Digests of images by tag, as ECR would say."""
        self.now = 0.0
        self.applications: dict[str, Application] = {}
        self.runs: dict[str, Run] = {}
        self.tokens: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[tuple[str, int, RefusalError]] = []
        """The next so many calls of an operation, or of any with `*`, are refused."""

    # The clock.

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := min((t for t in self._times() if t <= end), default=None):
            self.now = max(self.now, due)
            self._settle()
        self.now = end
        self._settle()

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen that many seconds from now."""
        self.events.append((self.now + seconds, event))

    def _times(self) -> list[float]:
        times = [t for t, _ in self.events if t > self.now]
        times += [t for a in self.applications.values() for t, _ in a.changes if t > self.now]
        for run in self.runs.values():
            times += [t for t, _ in run.steps if t > self.now]
            if run.plan.logs and run.ran:
                times += [t for t in (run.refreshed + logs.REFRESH_S,) if t > self.now]
                times += [
                    end + run.plan.late
                    for _, end in run.ran
                    if end is not None and end + run.plan.late > self.now
                ]
        # Logs are refreshed for ever; an end is needed for a loop over what is to come.
        return times

    def _settle(self) -> None:
        due = [event for t, event in self.events if t <= self.now]
        self.events = [(t, event) for t, event in self.events if t > self.now]
        for event in due:
            event()
        for application in self.applications.values():
            while application.changes and application.changes[0][0] <= self.now:
                self._become(application, application.changes.pop(0)[1])
        for run in self.runs.values():
            while run.steps and run.steps[0][0] <= self.now:
                self._step(run, *run.steps.pop(0))
            self._write_logs(run)

    def _stamp(self, seconds: float | None = None) -> datetime:
        return datetime.fromtimestamp(START + (self.now if seconds is None else seconds), UTC)

    # Calls.

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Raise `RefusalError`."""
        self.advance(self.each_call)
        self.calls.append((operation, dict(asked)))
        for index, (name, times, refusal) in enumerate(self.faults):
            if name in {operation, "*"} and times:
                self.faults[index] = (name, times - 1, refusal)
                raise refusal
        handler = getattr(self, "_" + re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower())
        answer: dict[str, Any] = handler(dict(asked))
        return deepcopy(answer)

    def refuse(self, operation: str, times: int, code: str, message: str, status: int) -> None:
        self.faults.append((operation, times, RefusalError(code, message, status)))

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [asked for name, asked in self.calls if name == operation]

    def _once(
        self, operation: str, asked: dict[str, Any], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        token = asked.pop("clientToken")
        if (operation, token) in self.tokens:
            before, answer = self.tokens[operation, token]
            if before != asked:
                raise RefusalError("ConflictException", "The client token has another request", 409)
            return answer
        answer = make()
        self.tokens[operation, token] = (asked, answer)
        return answer

    # Applications.

    def _application(self, identity: str) -> Application:
        if identity not in self.applications:
            raise RefusalError(
                "ResourceNotFoundException", f"Application {identity} does not exist", 404
            )
        return self.applications[identity]

    def _create_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        def make() -> dict[str, Any]:
            _require_images(asked)
            identity = f"00app{len(self.applications):08d}"
            arn = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{identity}"
            facts = {
                "applicationId": identity,
                "arn": arn,
                "state": "CREATING",
                "createdAt": self._stamp(),
                "updatedAt": self._stamp(),
                "architecture": "X86_64",
                "autoStartConfiguration": {"enabled": True},
                "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 15},
                **_normal(asked),
            }
            self.applications[identity] = Application(
                facts=facts, changes=[(self.now + 5, "CREATED")]
            )
            return {"applicationId": identity, "name": asked.get("name"), "arn": arn}

        return self._once("CreateApplication", asked, make)

    def _get_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"application": self._application(asked["applicationId"]).facts}

    def _list_applications(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [
            {
                "id": a.facts["applicationId"],
                "stateDetails": "",
                **{
                    k: a.facts[k]
                    for k in (
                        "arn",
                        "name",
                        "releaseLabel",
                        "type",
                        "state",
                        "createdAt",
                        "updatedAt",
                        "architecture",
                    )
                    if k in a.facts
                },
            }
            for a in self.applications.values()
            if a.facts["state"] in (asked.get("states") or [a.facts["state"]])
        ]
        return _page(found, asked, "applications")

    def _update_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        application = self._application(asked.pop("applicationId"))
        asked.pop("clientToken")
        _require_images(asked)
        live = set(NOT_STOPPED)
        if not application.facts.get("initialCapacity"):
            live |= {"imageConfiguration", "workerTypeSpecifications"}
        state = application.facts["state"]
        if state not in {"CREATED", "STOPPED"} and not (state == "STARTED" and live >= set(asked)):
            raise RefusalError(
                "ValidationException",
                f"Application {application.facts['applicationId']} can not be updated in state"
                f" {state}. It must be CREATED or STOPPED",
            )
        application.facts |= _normal(asked) | {"updatedAt": self._stamp()}
        return {"application": application.facts}

    def _start_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        application = self._application(asked["applicationId"])
        if application.facts["state"] in {"CREATED", "STOPPED"}:
            application.changes = [(self.now, "STARTING"), (self.now + 10, "STARTED")]
            self._settle()
        elif application.facts["state"] != "STARTED":
            raise RefusalError(
                "ValidationException", f"Application is {application.facts['state']}"
            )
        return {}

    def _stop_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        application = self._application(asked["applicationId"])
        if application.facts["state"] == "STARTED":
            active = [r for r in self._runs_of(application) if r.state not in ENDED]
            if active:
                raise RefusalError(
                    "ValidationException",
                    f"Application can not be stopped: {len(active)} job runs are active",
                )
            application.changes = [(self.now, "STOPPING"), (self.now + 10, "STOPPED")]
            self._settle()
        return {}

    def _delete_application(self, asked: dict[str, Any]) -> dict[str, Any]:
        application = self._application(asked["applicationId"])
        if application.facts["state"] not in {"CREATED", "STOPPED"}:
            raise RefusalError(
                "ValidationException", f"Application is {application.facts['state']}"
            )
        self.vanish(asked["applicationId"])
        return {}

    def vanish(self, identity: str) -> None:
        """Somebody else deletes it."""
        del self.applications[identity]

    def _become(self, application: Application, state: str) -> None:
        facts = application.facts
        facts["state"] = state
        facts["updatedAt"] = self._stamp()
        if state == "STARTED":
            application.starts += 1
            self._resolve(facts)

    def _resolve(self, facts: dict[str, Any]) -> None:
        """Digests are known when the application has started (BOTO resolvedImageDigest)."""
        for image in _images(facts):
            tag_or_digest = image["imageUri"]
            _, at, digest = tag_or_digest.partition("@")
            unknown = "sha256:" + hashlib.sha256(tag_or_digest.encode()).hexdigest()
            image["resolvedImageDigest"] = digest if at else self.images.get(tag_or_digest, unknown)

    def _tag_resource(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._by_arn(asked["resourceArn"]).setdefault("tags", {}).update(asked["tags"])
        return {}

    def _untag_resource(self, asked: dict[str, Any]) -> dict[str, Any]:
        tags = self._by_arn(asked["resourceArn"]).setdefault("tags", {})
        for key in asked["tagKeys"]:
            tags.pop(key, None)
        return {}

    def _by_arn(self, arn: str) -> dict[str, Any]:
        things: list[dict[str, Any]] = [x.facts for x in self.applications.values()]
        things += [x.facts for x in self.runs.values()]
        for facts in things:
            if facts["arn"] == arn:
                return facts
        raise RefusalError("ResourceNotFoundException", f"{arn} does not exist", 404)

    # Job runs.

    def _run(self, asked: Mapping[str, Any]) -> Run:
        self._application(asked["applicationId"])
        if asked["jobRunId"] not in self.runs:
            raise RefusalError(
                "ResourceNotFoundException", f"Job run {asked['jobRunId']} does not exist", 404
            )
        return self.runs[asked["jobRunId"]]

    def _runs_of(self, application: Application) -> list[Run]:
        wanted = application.facts["applicationId"]
        return [r for r in self.runs.values() if r.facts["applicationId"] == wanted]

    def _start_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        application = self._application(asked["applicationId"])
        facts = application.facts
        _require_run(asked, facts["releaseLabel"])
        if facts["state"] != "STARTED" and not facts["autoStartConfiguration"]["enabled"]:
            raise RefusalError(
                "ValidationException", f"Application is not started: {facts['state']}"
            )

        def make() -> dict[str, Any]:
            return self._submit(asked, application)

        return self._once("StartJobRun", asked, make)

    def _submit(self, asked: dict[str, Any], application: Application) -> dict[str, Any]:
        if application.facts["state"] in {"CREATED", "STOPPED"}:
            self._start_application({"applicationId": application.facts["applicationId"]})
        identity = f"00run{len(self.runs):08d}"
        arn = f"{application.facts['arn']}/jobruns/{identity}"
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        facts = {
            "jobRunId": identity,
            "arn": arn,
            "createdBy": f"arn:aws:iam::{ACCOUNT}:user/rig",
            "createdAt": self._stamp(),
            "updatedAt": self._stamp(),
            "executionRole": asked["executionRoleArn"],
            "state": "SUBMITTED",
            "stateDetails": " ",
            "releaseLabel": application.facts["releaseLabel"],
            "mode": "BATCH",
            "attempt": 1,
            **{k: v for k, v in asked.items() if k != "executionRoleArn"},
        }
        if "imageConfiguration" in application.facts:
            facts["imageConfiguration"] = deepcopy(application.facts["imageConfiguration"])
            self._resolve(facts)
        run = Run(facts=facts, plan=plan, steps=[])
        self.runs[identity] = run
        self._schedule(run)
        return {"applicationId": facts["applicationId"], "jobRunId": identity, "arn": arn}

    def _schedule(self, run: Run) -> None:
        plan, at = run.plan, self.now
        lasts = {
            "SUBMITTED": plan.submitted,
            "QUEUED": plan.queued,
            "PENDING": plan.pending,
            "SCHEDULED": plan.scheduled,
            "RUNNING": plan.running,
        }
        for state, seconds in lasts.items():
            if seconds or state == plan.ends_in:
                run.steps.append((at, state))
                at += seconds
            if state == plan.hangs_in:
                return
            if state == plan.ends_in:
                break
        run.steps.append((at, "FAILED" if run.attempt <= plan.failed_attempts else plan.outcome))
        self._settle()

    def _step(self, run: Run, at: float, state: str) -> None:
        facts = run.facts
        facts |= {"state": state, "updatedAt": self._stamp(at)}
        if state == "RUNNING":
            run.ran.append((at, None))
            run.refreshed = at
            facts["startedAt"] = self._stamp(at)
            if minutes := facts.get("executionTimeoutMinutes"):
                self.events.append((at + minutes * 60, lambda: self._time_out(run)))
        if state not in ENDED:
            return
        if run.ran and run.ran[-1][1] is None:
            run.ran[-1] = (run.ran[-1][0], at)
        if state == "FAILED" and run.attempt < self._attempts(run):
            run.attempt += 1
            facts |= {"attempt": run.attempt, "attemptCreatedAt": self._stamp(at)}
            self._schedule(run)
            return
        began = run.ran[0][0] if run.ran else at
        facts |= {
            "stateDetails": (run.plan.details or f"Job {state.lower()}.")[:256],
            "endedAt": self._stamp(at),
            "totalExecutionDurationSeconds": int(at - began),
        }
        if run.ran:
            facts["billedResourceUtilization"] = dict(run.plan.billed)

    @staticmethod
    def _attempts(run: Run) -> int:
        policy = run.facts.get("retryPolicy", {})
        return int(policy.get("maxAttempts") or policy.get("maxFailedAttemptsPerHour") or 1)

    def _write_logs(self, run: Run) -> None:
        plan = run.plan
        if not run.ran or not plan.logs or self.clients is None:
            return
        refresh = self.now >= run.refreshed + logs.REFRESH_S
        for attempt, (began, end) in enumerate(run.ran, 1):
            complete = end is not None and self.now >= end + plan.late
            if attempt in run.delivered or not (refresh or complete):
                continue
            until = min(self.now - plan.late, end if end is not None else self.now) - began
            lines = [line for line in plan.lines if line.at <= until]
            self._deliver(run, attempt, lines)
            if complete:
                run.delivered.add(attempt)
        if refresh:
            run.refreshed = self.now

    def _deliver(self, run: Run, attempt: int, lines: list[Line]) -> None:
        if not lines or self.clients is None:
            return
        facts = run.facts
        folder = f"applications/{facts['applicationId']}/jobs/{facts['jobRunId']}"
        # UG 'Logging with retry policy': streaming jobs, and batch jobs that may be retried.
        if facts["mode"] == "STREAMING" or self._attempts(run) > 1:
            folder += f"/attempts/{attempt}"
        application = self.applications.get(facts["applicationId"])
        of_application = application.facts if application else {}
        monitoring = {
            **of_application.get("monitoringConfiguration", {}),
            **facts.get("configurationOverrides", {}).get("monitoringConfiguration", {}),
        }
        if uri := monitoring.get("s3MonitoringConfiguration", {}).get("logUri"):
            logs.write_s3(self.clients("s3"), uri, folder, lines, run.plan.rotation)
        cloudwatch = monitoring.get("cloudWatchLoggingConfiguration", {})
        if cloudwatch.get("enabled"):
            new = lines[run.streamed.get(attempt, 0) :]
            run.streamed[attempt] = len(lines)
            logs.write_cloudwatch(self.clients("logs"), cloudwatch, folder, new)

    def _get_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"jobRun": self._run(asked).facts}

    def _cancel_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        run = self._run(asked)
        if run.state in ENDED:
            raise RefusalError("ValidationException", f"Job run is {run.state}")
        self.cancel(run)
        return {"applicationId": asked["applicationId"], "jobRunId": asked["jobRunId"]}

    def cancel(self, run: Run) -> None:
        run.steps = [(self.now, "CANCELLING"), (self.now + run.plan.cancelling, "CANCELLED")]
        self._settle()

    def _time_out(self, run: Run) -> None:
        if run.state not in ENDED:
            self.cancel(run)

    def _list_job_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        application = self._application(asked["applicationId"])
        kept = "applicationId name mode arn createdBy createdAt updatedAt executionRole state"
        kept += " stateDetails releaseLabel attempt"
        found = [
            {"id": r.facts["jobRunId"], **{k: r.facts[k] for k in kept.split() if k in r.facts}}
            for r in reversed(self._runs_of(application))
            if r.state in (asked.get("states") or [r.state])
        ]
        return _page(found, asked, "jobRuns")

    def _get_dashboard_for_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._run(asked)
        return {"url": f"https://dashboard.invalid/{asked['jobRunId']}?authToken=secret"}


def _page(found: list[dict[str, Any]], asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    first, size = int(asked.get("nextToken", "0")), int(asked.get("maxResults", 10))
    more = {"nextToken": str(first + size)} if len(found) > first + size else {}
    return {name: found[first : first + size], **more}


def _images(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [facts.get("imageConfiguration")]
    workers = (facts.get("workerTypeSpecifications") or {}).values()
    found += [worker.get("imageConfiguration") for worker in workers]
    return [image for image in found if image]


def _normal(asked: Mapping[str, Any]) -> dict[str, Any]:
    """As the service writes sizes back."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, str) and (
            m := re.fullmatch(r"(\d+)\s*(vcpu|gb)?", value, re.IGNORECASE)
        ):
            return f"{m[1]} {'vCPU' if (m[2] or '').lower() == 'vcpu' else 'GB'}"
        return value

    sized = ("maximumCapacity", "initialCapacity")
    return {k: plain(v) if k in sized else deepcopy(v) for k, v in asked.items()}


def _require_images(asked: Mapping[str, Any]) -> None:
    if "imageConfiguration" in asked and "workerTypeSpecifications" in asked:
        raise RefusalError(
            "ValidationException",
            "imageConfiguration and workerTypeSpecifications can not be given together",
        )
    for image in _images(asked):
        if f".{REGION}." not in image["imageUri"]:
            raise RefusalError("ValidationException", "The image is in another Region")


def _require_run(asked: Mapping[str, Any], release: str) -> None:
    """The rules of emr-7.x and newer that the User Guide gives beside the model."""
    match = re.fullmatch(r"emr-(?:spark-)?(\d+)\.(\d+).*", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    mode, policy = asked.get("mode", "BATCH"), asked.get("retryPolicy", {})
    minutes = asked.get("executionTimeoutMinutes")
    wrong = {
        "job modes and retry policies need emr-7.1.0": version < (7, 1)
        and ("mode" in asked or "retryPolicy" in asked),
        "a streaming job has no execution timeout": mode == "STREAMING" and minutes is not None,
        "a batch job's timeout is 1 to 10080 minutes": mode == "BATCH"
        and version >= (7, 11)
        and minutes is not None
        and not 1 <= minutes <= 10080,
        "maxAttempts is for batch jobs, 1 to 10": "maxAttempts" in policy
        and (mode != "BATCH" or policy["maxAttempts"] > 10),
        "maxFailedAttemptsPerHour is for streaming jobs, 1 to 10": "maxFailedAttemptsPerHour"
        in policy
        and (mode != "STREAMING" or policy["maxFailedAttemptsPerHour"] > 10),
    }
    for message, it_is in wrong.items():
        if it_is:
            raise RefusalError("ValidationException", message)
