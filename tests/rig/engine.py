"""The Docker engine: what it must be able to do, and how to get, start and stop one."""

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.rig import debian
from tests.rig.commands import RigError, Word, run, succeeds

PLATFORMS: Final = ("linux/amd64", "linux/arm64")
PROGRAMS: Final = ("docker", "dockerd", "qemu-aarch64-static", "update-binfmts")
SETTINGS: Final = '{"features": {"containerd-snapshotter": true}}\n'
START_S: Final = 60.0
STOP_S: Final = 30.0
BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Where an engine listens and keeps things; the default is the machine's own."""

    socket: Path = Path("/var/run/docker.sock")
    data: Path = Path("/var/lib/docker")
    runtime: Path = Path("/var/run/docker")
    settings: Path = Path("/etc/docker/daemon.json")
    pidfile: Path = Path("/var/run/packager-rig.pid")
    """Not Docker's default, so that the rig knows the engines that it started, and stops no other."""
    log: Path = Path("/var/log/packager-rig.log")
    networked: bool = True
    """Whether it uses the machine's network.

    Two engines cannot: even one that is told to use no bridge removes that of the other.
    """


MACHINES_OWN: Final = Engine()


def engine_under(root: Path) -> Engine:
    """One that runs beside the machine's own and has everything below `root`."""
    return Engine(
        socket=root / "docker.sock",
        data=root / "data",
        runtime=root / "run",
        settings=root / "daemon.json",
        pidfile=root / "docker.pid",
        log=root / "docker.log",
        networked=False,
    )


def docker(*words: Word, engine: Engine = MACHINES_OWN) -> str:
    """What the docker command prints; RigError when it is missing or fails."""
    return run("docker", *words, env=environment(engine))


def environment(engine: Engine) -> dict[str, str]:
    """For the machine's own engine, the DOCKER_HOST and the context that the user chose stand."""
    chosen = {} if engine == MACHINES_OWN else {"DOCKER_HOST": f"unix://{engine.socket}"}
    return {**os.environ, **chosen}


def lacking(engine: Engine = MACHINES_OWN) -> str:
    """Why the engine is not good enough; nothing when it is."""
    try:
        told = json.loads(docker("info", "--format", "{{json .}}", engine=engine))
        # Without an engine the command may succeed all the same, and say it inside.
        if told.get("ServerErrors"):
            return f"`docker info` failed: {told['ServerErrors'][0]}"
        if ["driver-type", "io.containerd.snapshotter.v1"] not in (told["DriverStatus"] or ()):
            return (
                f"engine {told['ServerVersion']} does not keep images in containerd's store, so "
                f"that none can be for two architectures: {engine.settings} must have {SETTINGS}"
            )
        builder = docker("buildx", "inspect", engine=engine)
    except RigError as error:
        return str(error)
    missing = [platform for platform in PLATFORMS if platform not in builder]
    return f"the engine does not run {', '.join(missing)}: no emulation" if missing else ""


def bring_up(engine: Engine = MACHINES_OWN) -> None:
    """Install, register and start what is missing; an engine that answers is taken as it is."""
    if not lacking(engine):
        return
    engine.settings.parent.mkdir(parents=True, exist_ok=True)
    if not engine.settings.exists():  # Before an installation that may start the engine.
        engine.settings.write_text(SETTINGS, encoding="utf-8")
    if not installed():
        debian.install()
    emulate_arm64()
    if not answers(engine):
        start(engine)
    if reason := lacking(engine):
        raise RigError(reason)


def installed() -> bool:
    return all(map(shutil.which, PROGRAMS)) and succeeds("docker", "buildx", "version")


def emulate_arm64() -> None:
    """Have the kernel start QEMU for arm64 programs, also in containers that do not contain it."""
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
    if not (BINFMT / "qemu-aarch64").exists():
        run("update-binfmts", "--enable", "qemu-aarch64")


def answers(engine: Engine) -> bool:
    return succeeds("docker", "version", env=environment(engine))


def start(engine: Engine) -> None:
    """Start a daemon that outlives this process, and wait until it answers."""
    engine.runtime.mkdir(parents=True, exist_ok=True)
    forget_the_dead(engine)
    alone = () if engine.networked else ("unshare", "--net")
    with engine.log.open("wb") as log:
        daemon = subprocess.Popen(
            [
                *(*alone, "dockerd"),
                f"--host=unix://{engine.socket}",
                f"--data-root={engine.data}",
                f"--exec-root={engine.runtime}",
                f"--config-file={engine.settings}",
                f"--pidfile={engine.pidfile}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_S
    while not answers(engine):
        if daemon.poll() is not None or time.monotonic() > deadline:
            unmount(engine)
            tail = engine.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RigError(f"the engine did not start:\n{tail}")
        time.sleep(0.1)
    daemon.returncode = 0  # It outlives this process on purpose: nothing to warn of.


def stop(engine: Engine = MACHINES_OWN) -> bool:
    """Stop the daemon and its containers; False when there was none that the rig had started."""
    pid = pid_of_daemon(engine)
    if pid is None:
        unmount(engine)
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while pid_of_daemon(engine) is not None:
        if time.monotonic() > deadline:
            raise RigError(f"the engine, process {pid}, does not stop: see {engine.log}")
        time.sleep(0.05)
    unmount(engine)
    return True


def unmount(engine: Engine) -> None:
    """Undo the mount of its own folder that a daemon makes, and leaves behind if it is killed.

    Not the machine's own engine's, whose folder may be a disk.
    """
    if engine.networked:
        return
    written = str(engine.data).replace("\\", r"\134").replace(" ", r"\040")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        if line.split()[1] == written:
            run("umount", engine.data)


def forget_the_dead(engine: Engine) -> None:
    """Remove the pid files of processes that are gone, which would keep a new daemon from starting.

    Their numbers may belong to other programs by now.
    """
    for path, word in pidfiles(engine):
        if path.exists() and alive(path, word) is None:
            path.unlink()


def pid_of_daemon(engine: Engine) -> int | None:
    return alive(*pidfiles(engine)[0])


def pidfiles(engine: Engine) -> tuple[tuple[Path, str], tuple[Path, str]]:
    """Where the daemon and its containerd write their numbers, each with a word of its command."""
    containerd = engine.runtime / "containerd"
    return (
        (engine.pidfile, f"--pidfile={engine.pidfile}"),
        (containerd / "containerd.pid", str(containerd / "containerd.toml")),
    )


def alive(pidfile: Path, word: str) -> int | None:
    """The process of a pid file, if its command has that word; a zombie has none."""
    try:
        pid = int(pidfile.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (OSError, ValueError):
        return None
    return pid if word in command else None
