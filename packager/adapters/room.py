"""The clean room on a container engine: archives go in as a stream, facts come out."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from packager.adapters import process
from packager.adapters.containers import (
    Container,
    Image,
    Upload,
    container,
    end_all,
    find_image,
    pull_image,
)
from packager.adapters.endpoints import endpoints
from packager.adapters.engine import Engine, connect, image_id
from packager.cleanroom import (
    ALONE,
    EMULATED,
    FOLDER,
    HOME,
    NATIVE,
    PROGRAMS,
    PYTHON,
    SPARK_HOME,
    USER,
    JobOutcome,
    Limits,
    RoomFacts,
    answer,
    failures_of,
    from_json,
    job_environment,
    job_outcome,
    spark_job,
    to_json,
    try_out,
    unpack,
)
from packager.errors import CommandError, ConfigError, ToolError
from packager.ports import RoomArchive
from packager.target import Target

REMEMBERED: Final = "clean-room"
"""Where the store keeps what passed, by archives, image and programs."""


@dataclass(slots=True)
class EngineRoom:
    """Rooms on the engine that the environment leads to."""

    env: Mapping[str, str]
    say: Callable[[str], None]
    recall: Callable[[str, str], str | None]
    remember: Callable[[str, str, str], None]
    stopped: threading.Event = field(default_factory=threading.Event)

    def possible(self) -> bool:
        try:
            places = endpoints(self.env)
        except ConfigError:
            return True  # which it then says
        return any(p.chosen or p.socket is None or p.socket.exists() for p in places)

    def try_out(
        self, archives: Sequence[RoomArchive], target: Target, *, image: str, pull: bool
    ) -> RoomFacts:
        platform = target.arch.oci_platform
        programs = _programs()
        quick = image_id(self.env, image)
        if quick and (known := self._known(_key(archives, quick, platform, programs), image)):
            return known
        if quick == "" and not pull:
            raise _absent(image, platform)
        engine = connect(self.env)
        found = find_image(engine, image, platform)
        if found is None and not pull:
            raise _absent(image, platform)
        found = found or pull_image(engine, image, platform, say=self.say)
        key = _key(archives, found.id, platform, programs)
        if known := self._known(key, image):
            return known
        emulated = target.arch.name != engine.arch
        slow = ", emulated, which takes minutes" if emulated else ""
        self.say(f"Clean room: trying the archives out in {image} for {platform}{slow}")
        facts = self._tried_out(engine, found, platform, archives, programs, emulated=emulated)
        if not facts.problem and not facts.failures and not (facts.job and facts.job.problem):
            self.remember(REMEMBERED, key, to_json(facts))
        return facts

    def _known(self, key: str, image: str) -> RoomFacts | None:
        known = from_json(self.recall(REMEMBERED, key) or "")
        if known is None:
            return None
        self.say(f"Clean room: these archives passed in {image} before, for {known.platform}")
        return replace(known, image=image)

    def stop(self) -> None:
        """End what runs in other threads."""
        self.stopped.set()
        end_all()

    def _tried_out(
        self,
        engine: Engine,
        image: Image,
        platform: str,
        archives: Sequence[RoomArchive],
        programs: Mapping[str, bytes],
        *,
        emulated: bool,
    ) -> RoomFacts:
        limits = EMULATED if emulated else NATIVE
        facts = RoomFacts(
            image=image.reference,
            digest=image.digest,
            platform=platform,
            emulated=emulated,
            archive=next(a.path.name for a in archives if a.kind == "environment"),
        )
        with container(
            engine,
            image.reference,
            platform,
            purpose="clean-room",
            lifetime_s=limits.all,
            user=USER,
            workdir=HOME,
            env=ALONE,
        ) as room:
            if self.stopped.is_set():
                raise CommandError("the clean room was stopped")
            facts = _unpacked(room, archives, programs, limits, facts)
            if not facts.problem:
                facts = _imported(room, archives, limits, facts)
            if not facts.problem:
                home = image.env.get("SPARK_HOME") or SPARK_HOME
                facts = replace(facts, job=_job(room, home, limits))
        return facts


def _absent(image: str, platform: str) -> ToolError:
    return ToolError(
        f"the engine does not have the image {image}",
        fix=f"docker pull --platform {platform} {image}; or --clean-room require, which pulls it",
    )


def _programs() -> Mapping[str, bytes]:
    """What runs inside, by its name there."""
    data = files("packager") / "data"
    return {name: (data / own).read_bytes() for own, name in PROGRAMS.items()}


def _key(
    archives: Sequence[RoomArchive], image: str, platform: str, programs: Mapping[str, bytes]
) -> str:
    """`image` is its identity on the engine, which changes with its content."""
    parts = [image, platform, *(f"{a.kind} {a.sha256}" for a in archives)]
    parts += [hashlib.sha256(text).hexdigest() for text in programs.values()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _unpacked(
    room: Container,
    archives: Sequence[RoomArchive],
    programs: Mapping[str, bytes],
    limits: Limits,
    facts: RoomFacts,
) -> RoomFacts:
    inside = PurePosixPath(FOLDER.name)
    uploads = [Upload(path=inside / name, source=text) for name, text in programs.items()]
    uploads += [Upload(path=inside / f"{a.kind}.tar.gz", source=a.path) for a in archives]
    room.put(uploads, str(FOLDER.parent))
    for archive in archives:
        done = room.execute(
            unpack(archive.kind, FOLDER / f"{archive.kind}.tar.gz"), timeout_s=limits.unpack
        )
        if done.returncode:
            said = process.tail(done.stderr or done.stdout, 3)
            return replace(facts, problem=f"{archive.path.name} does not unpack: {said}")
    return facts


def _imported(
    room: Container, archives: Sequence[RoomArchive], limits: Limits, facts: RoomFacts
) -> RoomFacts:
    done = room.execute(try_out([a.kind for a in archives], limits), timeout_s=limits.imports)
    told = answer(done.stdout)
    if told is None:
        said = process.tail(done.stderr or done.stdout, 3) or f"exit status {done.returncode}"
        return replace(facts, problem=f"{PYTHON} does not start: {said}")
    return replace(
        facts,
        python=str(told["python"]),
        modules=int(told["modules"]),
        scripts=int(told["scripts"]),
        failures=failures_of(told),
    )


def _job(room: Container, spark_home: str, limits: Limits) -> JobOutcome | None:
    submit = f"{spark_home}/bin/spark-submit"
    if room.execute(("test", "-x", submit), timeout_s=limits.task).returncode:
        return None
    argv = spark_job(submit, limits)
    done = room.execute(argv, env=job_environment(), timeout_s=limits.job + 60)
    return job_outcome(done.returncode, done.stdout, done.stderr)
