"""Images and containers of an engine. Files go in as a stream, so the engine may be anywhere.

A container here lives as long as its context and no longer: it is removed on every way out, and if
this process is killed, its main program ends by itself and the engine removes it then.
"""

import contextlib
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from packager.adapters import process
from packager.adapters.engine import Engine, client, explained, failures, knock, wrong_architecture
from packager.errors import CommandError

if TYPE_CHECKING:  # it takes a quarter of a second to load
    from docker.api.client import APIClient

LABEL: Final = "emr-serverless-packager"
"""On every container, with what it is for: `docker ps --filter label=emr-serverless-packager`."""
PID_LABEL: Final = f"{LABEL}.pid"
"""And by which process."""
REMOVAL_TIMEOUT_S: Final = 60
KEPT_BYTES: Final = 4 << 20
"""Of each of a program's outputs, its end."""
CHUNK_BYTES: Final = 1 << 20
PLATFORM_OF_IMAGES_API: Final = (1, 49)
"""From here on an engine tells of an image's other platforms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an engine has under a reference, for one platform."""

    reference: str
    id: str
    digest: str
    """Of its manifest in a registry, `sha256:…`; of itself where it comes from none."""
    os: str
    architecture: str
    user: str
    workdir: str
    entrypoint: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file for a container: a path of this machine or some bytes, at a path in there."""

    path: PurePosixPath
    """Relative to where it is put."""
    source: Path | bytes
    mode: int = 0o644


def find_image(engine: Engine, reference: str, platform: str) -> Image | None:
    """The image for the platform, None where the engine has it not.

    Raise `ConfigError` where it has it for others only.
    """
    from docker.errors import ImageNotFound

    with failures(engine, image=reference, platform=platform), client(engine) as api:
        try:
            told = api.inspect_image(reference)
        except ImageNotFound:
            return None
        if told.get("Architecture") != _arch(platform):
            told = _other_platform(api, engine, reference, platform, told)
    return _image(reference, told)


def pull_image(
    engine: Engine, reference: str, platform: str, *, say: Callable[[str], None]
) -> Image:
    """Bring the image to the engine, with the credentials that the `docker` command has.

    Raise `CommandError` where it cannot be had.
    """
    say(f"Pulling {reference} for {platform}")
    with failures(engine, image=reference, platform=platform), client(engine) as api:
        # Without a tag it would pull them all.
        name, tag = _parts(reference)
        for event in api.pull(name, tag=tag, platform=platform, stream=True, decode=True):
            if "error" in event:  # it comes as one of many lines of a good answer
                said = str(event["error"])
                raise explained(said, engine, image=reference, platform=platform) or CommandError(
                    f"the image {reference} cannot be pulled", why=said
                )
    found = find_image(engine, reference, platform)
    if found is None:
        raise CommandError(f"the image {reference} is gone right after it was pulled")
    return found


@dataclass(slots=True)
class Container:
    """A container that runs and waits for work."""

    id: str
    engine: Engine
    image: str
    platform: str
    ended: CommandError | None = None
    """Why it was ended before its time; then nothing in it counts."""

    def put(self, uploads: Iterable[Upload], folder: str) -> None:
        """Write files, owned by root, into a folder that is there."""
        with self._failures("take files"), client(self.engine) as api:
            api.put_archive(self.id, folder, _tar_stream(uploads))

    def get(self, path: str, *, limit: int) -> bytes | None:
        """A file's content; None where there is none, or more than `limit` bytes."""
        from docker.errors import NotFound

        with self._failures("give a file"), client(self.engine) as api:
            try:
                chunks, about = api.get_archive(self.id, path)
            except NotFound:
                return None
            if int(about["size"]) > limit:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                member = tar.extractfile(tar.getmembers()[0])
                return None if member is None else member.read()

    def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout_s: float,
        out: Callable[[str], None] | None = None,
        raw: Callable[[bytes], None] | None = None,
    ) -> process.Completed:
        """Run a program to its end, whatever its status; lines of both outputs also go to `out`.

        What it says goes to `raw` as it comes, for who wants to see half a line, too.
        Raise `CommandError` where it takes too long, which ends the container.
        """
        with self._failures(f"run {argv[0]}"), client(self.engine) as api:
            what = f"a container of {self.image} was ended"
            started = api.exec_create(self.id, list(argv), environment=dict(env or {}))["Id"]
            timer = threading.Timer(
                timeout_s,
                self.end,
                [CommandError(what, why=f"`{argv[0]}` took longer than {timeout_s:g} s")],
            )
            timer.daemon = True
            timer.start()
            try:
                said = _outputs(_started(api, started), out, raw)
            finally:
                timer.cancel()
            self.require_running()
            knock(self.engine.endpoint)  # where that fails, docker-py would leave a socket open
            status = api.exec_inspect(started)["ExitCode"]
        if status is None:  # it still runs, so what ended was the connection
            raise CommandError(
                f"the connection to {self.engine.name} broke while `{argv[0]}` ran",
                why="its output ended before it did",
                fix="try it again",
            )
        return process.Completed(stdout=said[0], stderr=said[1], returncode=int(status))

    def require_running(self) -> None:
        """Raise `CommandError` where the container was ended early."""
        if self.ended is not None:
            raise self.ended

    def end(self, why: CommandError) -> None:
        """Remove it now, from whatever thread; who waits for a program in it waits no longer."""
        self.ended = self.ended or why
        _remove(self.engine, self.id)

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        try:
            with failures(self.engine, image=self.image, platform=self.platform, doing=doing):
                yield
        except CommandError:
            self.require_running()  # which is the cause then
            raise


@contextlib.contextmanager
def container(
    engine: Engine,
    image: str,
    platform: str,
    *,
    purpose: str,
    lifetime_s: int,
    user: str = "",
    workdir: str = "",
    env: Mapping[str, str] | None = None,
    network: str = "none",
    memory: str | None = None,
    cpus: float | None = None,
    writable: Sequence[str] | None = None,
) -> Iterator[Container]:
    """A container that waits for programs to run in it; without a network unless one is named.

    With `writable`, only these directories can be written, and are in memory.

    It has no capabilities, and can not gain any. The image's entry point does not run. Raise
    `ToolError` where the engine cannot run the platform or does not have the image.
    """
    with process.terminations_interrupt():
        made = _create(
            engine,
            image,
            platform,
            purpose,
            lifetime_s,
            user,
            workdir,
            env,
            network,
            memory,
            cpus,
            writable,
        )
        with _lock:
            _containers[made.id] = made
        try:
            with (
                failures(engine, image=image, platform=platform, doing=f"start {image}"),
                client(engine) as api,
            ):
                api.start(made.id)
            yield made
        finally:
            with _lock:
                _containers.pop(made.id, None)
            _remove(engine, made.id)


def run(
    engine: Engine,
    image: str,
    argv: Sequence[str],
    platform: str,
    *,
    timeout_s: float,
    purpose: str = "run",
    uploads: Iterable[Upload] = (),
    folder: str = "/tmp",  # noqa: S108  # of the container
    user: str = "",
    workdir: str = "",
    env: Mapping[str, str] | None = None,
    network: str = "none",
    out: Callable[[str], None] | None = None,
) -> process.Completed:
    """Run one program in a container of its own."""
    with container(
        engine,
        image,
        platform,
        purpose=purpose,
        lifetime_s=int(timeout_s) + 60,
        user=user,
        workdir=workdir,
        env=env,
        network=network,
    ) as room:
        if files := tuple(uploads):
            room.put(files, folder)
        return room.execute(argv, timeout_s=timeout_s, out=out)


def end_all() -> None:
    """End the containers of other threads: an interrupt reaches the main thread alone."""
    with _lock:
        left = tuple(_containers.values())
    for one in left:
        one.end(CommandError(f"a container of {one.image} was ended", why="interrupted"))


_lock: Final = threading.Lock()
_containers: Final[dict[str, Container]] = {}


def _create(  # noqa: PLR0917  # called once, above
    engine: Engine,
    image: str,
    platform: str,
    purpose: str,
    lifetime_s: int,
    user: str,
    workdir: str,
    env: Mapping[str, str] | None,
    network: str,
    memory: str | None,
    cpus: float | None,
    writable: Sequence[str] | None,
) -> Container:
    from docker.errors import ImageNotFound

    with (
        failures(engine, image=image, platform=platform, doing=f"make a container of {image}"),
        client(engine) as api,
    ):
        host = api.create_host_config(
            auto_remove=True,
            network_mode=network,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            init=None,
            mem_limit=memory,
            nano_cpus=None if cpus is None else int(cpus * 1e9),
            read_only=writable is not None,
            # Java unpacks libraries there, and loads them.
            tmpfs=dict.fromkeys(writable or (), "rw,exec,mode=1777"),
        )
        try:
            made = api.create_container(
                image,
                entrypoint=["sleep"],
                command=[str(lifetime_s)],
                platform=platform,
                # Without a network nothing else resolves, and Java asks who it is.
                hostname="localhost" if network == "none" else None,
                user=user or None,
                working_dir=workdir or None,
                # Where there is no network, proxies are of no use, and may carry passwords.
                use_config_proxy=network != "none",
                environment=dict(env or {}),
                labels={LABEL: purpose, PID_LABEL: str(os.getpid())},
                host_config=host,
            )
        except ImageNotFound as error:
            if _has(api, image):
                said = str(error.explanation or error)
                raise wrong_architecture(said, engine, image, platform) from error
            raise
    return Container(id=str(made["Id"]), engine=engine, image=image, platform=platform)


def _has(api: "APIClient", image: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        api.inspect_image(image)
    except ImageNotFound:
        return False
    return True


def _remove(engine: Engine, id_: str) -> None:
    """Remove it, or wait until it is removed by whoever is just doing that."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    # It or the engine is gone: nothing is left to do.
    with (
        contextlib.suppress(DockerException, RequestException, OSError),
        client(engine, timeout_s=REMOVAL_TIMEOUT_S) as api,
    ):
        try:
            api.remove_container(id_, v=True, force=True)
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            api.wait(id_, condition="removed")


def _other_platform(
    api: "APIClient", engine: Engine, reference: str, platform: str, told: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The image of a platform that is not the engine's own, or was not what it showed first."""
    from docker.errors import APIError, ImageNotFound

    os_name, _, arch = platform.partition("/")
    try:
        if engine.api_version >= PLATFORM_OF_IMAGES_API:
            asked = f'{{"os":"{os_name}","architecture":"{arch}"}}'
            url = f"{api.base_url}/v{engine.api}/images/{reference}/json"
            answer = api.get(url, params={"platform": asked})
            answer.raise_for_status()
            found: Mapping[str, Any] = answer.json()
            if found.get("Architecture") == arch:
                return found
        elif engine.containerd_store:
            # A container that never starts shows what it is of.
            made = api.create_container(
                reference, command=["none"], platform=platform, labels={LABEL: "inspect"}
            )["Id"]
            try:
                config = api.inspect_container(made)["Config"]
            finally:
                api.remove_container(made, v=True, force=True)
            return {**told, "Config": config, "Os": os_name, "Architecture": arch}
    except (ImageNotFound, APIError) as error:
        raise wrong_architecture(str(error), engine, reference, platform) from error
    except OSError as error:  # what `requests` raises for a bad answer
        raise wrong_architecture(str(error), engine, reference, platform) from error
    raise wrong_architecture("", engine, reference, platform)


def _image(reference: str, told: Mapping[str, Any]) -> Image:
    config = told.get("Config") or {}
    digests = [str(digest).rpartition("@")[2] for digest in told.get("RepoDigests") or ()]
    return Image(
        reference=reference,
        id=str(told.get("Id", "")),
        digest=next(iter(digests), str(told.get("Id", ""))),
        os=str(told.get("Os", "")),
        architecture=str(told.get("Architecture", "")),
        user=str(config.get("User") or ""),
        workdir=str(config.get("WorkingDir") or ""),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        env=dict(str(item).partition("=")[::2] for item in config.get("Env") or ()),
    )


def _arch(platform: str) -> str:
    return platform.split("/")[1]


def _parts(reference: str) -> tuple[str, str]:
    """Repository, and tag or digest, of a reference; a port also stands behind a colon."""
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return name, digest
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def _started(api: "APIClient", id_: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    stream: Any = api.exec_start(id_, stream=True, demux=True)
    try:
        yield from stream
    finally:
        # Its own `close` leaves the socket open, and fails for one through ssh.
        stream._response.close()  # noqa: SLF001  # nothing public leads there


def _outputs(
    frames: Iterable[tuple[bytes | None, bytes | None]],
    sink: Callable[[str], None] | None,
    raw: Callable[[bytes], None] | None = None,
) -> tuple[str, str]:
    """The ends of both outputs."""
    kept = (bytearray(), bytearray())
    rest = [b"", b""]
    for frame in frames:
        for number, data in enumerate(frame):
            if not data:
                continue
            kept[number].extend(data)
            del kept[number][:-KEPT_BYTES]
            if raw is not None:
                raw(data)
            if sink is not None:
                *lines, rest[number] = (rest[number] + data).split(b"\n")
                for line in lines:
                    sink(line.decode("utf-8", "replace").rstrip("\r"))
    for line in filter(None, rest):
        if sink is not None:
            sink(line.decode("utf-8", "replace"))
    return kept[0].decode("utf-8", "replace"), kept[1].decode("utf-8", "replace")


def _tar_stream(uploads: Iterable[Upload]) -> Iterator[bytes]:
    for upload in uploads:
        info = tarfile.TarInfo(str(upload.path))
        info.mode = upload.mode
        if isinstance(upload.source, bytes):
            info.size = len(upload.source)
            stream: Any = io.BytesIO(upload.source)
        else:
            info.size = upload.source.stat().st_size
            stream = upload.source.open("rb")
        with stream:
            yield info.tobuf()
            left = info.size
            while left and (data := stream.read(min(CHUNK_BYTES, left))):
                left -= len(data)
                yield data
            if left:
                raise CommandError(f"{upload.path} became shorter while it was read")
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
