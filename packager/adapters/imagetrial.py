"""Images tried out on the container engine, one container for each program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from packager.adapters.containers import Container, container, find_image
from packager.adapters.engine import Engine, connect
from packager.errors import CommandError, ConfigError, ToolError
from packager.imagetrial import (
    EMULATED_LIMIT_S,
    LIMIT_S,
    PROGRAM,
    USER,
    WRITABLE,
    Completed,
    Outcome,
    Plan,
    TrialFacts,
    environment,
    functions,
    functions_told,
    pi,
    pi_problem,
    write_program,
    wrote,
)

START_S = 120
"""For a shell to start and write a small file; more than enough under emulation too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTrial:
    """The engine that the environment leads to."""

    env: Mapping[str, str]
    say: Callable[[str], None]
    limit_s: int | None
    """For each of the jobs; None for what is usual."""

    def try_out(self, plan: Plan) -> TrialFacts:
        """Raise `ToolError` where no engine has the image, or can run its platform."""
        engine = connect(self.env)
        if find_image(engine, plan.image, plan.platform) is None:
            raise ToolError(
                f"the engine does not have the image {plan.image}",
                why=f"run tests need it on {engine.name} at {engine.endpoint.address}",
                fix=f"docker pull --platform {plan.platform} {plan.image}; or without --run",
            )
        emulated = not plan.platform.endswith(f"/{engine.arch}")
        slow = ", emulated, which takes minutes" if emulated else ""
        self.say(f"Trying {plan.image} out for {plan.platform}{slow}")
        limit_s = self.limit_s or (EMULATED_LIMIT_S if emulated else LIMIT_S)
        first, written = _run(engine, plan, pi(plan), limit_s)
        if isinstance(first, str):
            return TrialFacts(image=plan.image, start=first)
        second, also_written = _run(engine, plan, functions(plan), limit_s)
        if isinstance(second, str):
            return TrialFacts(image=plan.image, start=second)
        told = functions_told(second, plan, limit_s)
        return TrialFacts(
            image=plan.image,
            start="",
            pi=Outcome(pi_problem(first, limit_s), written, _ended_after(first, limit_s)),
            job=Outcome(told.problem, also_written, _ended_after(second, limit_s)),
            pandas=told.pandas,
            lacking=told.lacking,
            python=told.python,
            emulated=emulated,
        )


def _ended_after(done: Completed, limit_s: int) -> int:
    return limit_s if done.returncode is None else 0


def _run(
    engine: Engine, plan: Plan, argv: tuple[str, ...], limit_s: int
) -> tuple[Completed | str, str]:
    """How it went, or why nothing starts; and what it can not write if the root is read-only."""
    done = _run_once(engine, plan, argv, limit_s, read_only=True)
    if isinstance(done, str) or not (said := wrote(done)):
        return done, ""
    return _run_once(engine, plan, argv, limit_s, read_only=False), said


def _run_once(
    engine: Engine, plan: Plan, argv: tuple[str, ...], limit_s: int, *, read_only: bool
) -> Completed | str:
    try:
        with container(
            engine,
            plan.image,
            plan.platform,
            purpose="image-trial",
            lifetime_s=limit_s + 2 * START_S,
            user=USER,
            env=environment(plan),
            writable=WRITABLE if read_only else None,
        ) as room:
            text = (files("packager") / "data" / PROGRAM).read_text(encoding="utf-8")
            started = room.execute(write_program(text), timeout_s=START_S)
            if started.returncode:
                return started.stderr.strip() or f"a shell ends with status {started.returncode}"
            return _completed(room, argv, limit_s)
    except ConfigError as error:  # no such user, or no such program
        return error.why or error.what


def _completed(room: Container, argv: tuple[str, ...], limit_s: int) -> Completed:
    try:
        done = room.execute(argv, timeout_s=limit_s)
    except CommandError:
        if room.ended is None or "took longer" not in room.ended.why:
            raise
        return Completed(returncode=None, stdout="", stderr="")
    return Completed(returncode=done.returncode, stdout=done.stdout, stderr=done.stderr)
