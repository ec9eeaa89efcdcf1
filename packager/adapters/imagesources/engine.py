"""Images of a container engine: their documents, and those layers of which nothing is known."""

import contextlib
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from packager.adapters.containers import CHUNK_BYTES, Image, find_image
from packager.adapters.engine import Engine, client, connect, failures, image_id
from packager.adapters.imagesources.kept import Kept, is_whole, recalled, remember
from packager.adapters.imagesources.receiver import Received, receiving
from packager.errors import CommandError, ConfigError, ToolError
from packager.layershelf import Shelf
from packager.layertree import Stream, index_layer
from packager.oci import files_in

if TYPE_CHECKING:  # it takes a quarter of a second to load
    from docker.api.client import APIClient

BLOBS: Final = "blobs/sha256/"
_TAG: Final = "read"


class AbsentError(ToolError):
    """The engine answers, and does not have the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImages:
    """The images of the engine that the environment leads to."""

    env: Mapping[str, str]
    say: Callable[[str], None]
    recall: Callable[[str, str], str | None]
    remember: Callable[[str, str, str], None]
    whole: bool = False
    """Whether layers themselves are wanted, and not only what is in them."""

    @contextlib.contextmanager
    def opened(self, reference: str, platform: str, shelf: Shelf) -> Iterator[Kept]:
        """An image's documents, and its layers but for those that are known.

        Raise `ToolError` where there is no engine, or where it does not have the image.
        """
        asked = Asked(
            reference=reference,
            platform=platform,
            shelf=shelf,
            mend=f"docker pull --platform {platform} {reference}, or build it again",
        )
        quick = image_id(self.env, reference)
        if not self.whole and quick and (known := self._recalled(asked, quick)):
            yield known
            return
        engine = connect(self.env)
        found = find_image(engine, reference, platform)
        if found is None:
            raise AbsentError(
                f"the engine does not have the image {reference}",
                why=f"{engine.name} at {engine.endpoint.address} was asked",
                fix=f"docker pull --platform {platform} {reference}; or name a file, or an image in"
                " a registry: registry:HOST/REPOSITORY:TAG",
            )
        if not self.whole and found.id != quick and (known := self._recalled(asked, found.id)):
            yield known
            return
        self.say(f"Reading {reference} from {engine.name}")
        with (
            tempfile.TemporaryDirectory(prefix="packager-") as folder,
            failures(engine, image=reference, platform=platform, doing="give the image"),
            client(engine) as api,
        ):
            received = not self.whole and _can_push(engine)
            kept = _received(api, asked, found) if received else None
            kept = kept or _saved(api, asked, Path(folder) / "image.tar")
            if not self.whole:
                remember(kept, platform, found.id, self.remember)
            yield kept

    def _recalled(self, asked: "Asked", identity: str) -> Kept | None:
        return recalled(
            identity,
            asked.platform,
            asked.shelf,
            self.recall,
            where=asked.reference,
            mend=asked.mend,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What image it is, and what of it is known."""

    reference: str
    platform: str
    shelf: Shelf
    mend: str


def _can_push(engine: Engine) -> bool:
    """Whether its loopback interface is ours, which is only tried, and layers stay as they are."""
    local = engine.endpoint.socket is not None and sys.platform == "linux"
    return local and engine.containerd_store


def _received(api: "APIClient", asked: Asked, found: Image) -> Kept | None:
    """By a push to a registry of our own; None where that does not work."""
    reference, platform, shelf, mend = asked.reference, asked.platform, asked.shelf, asked.mend

    def take(digest: str, chunks: Iterator[bytes]) -> None:
        layer = index_layer(chunks, f"the layer {digest[:19]} of {reference}", mend=mend)
        if layer.digest == digest:  # else the connection broke
            shelf.keep(layer)

    from docker.errors import DockerException

    received = Received(target=found.id, take=take)
    try:
        with receiving(received), _tagged(api, reference, received.repository):
            _push(api, received)
            _want(received, platform, shelf)
            _push(api, received)
    except (OSError, DockerException):  # then it is saved, which tells what is wrong
        return None
    if received.failed:
        raise received.failed[0]
    kept = Kept(
        where=reference,
        mend=mend,
        documents={
            **{_file(digest): text for digest, text in received.documents.items()},
            "index.json": _index_of(received),
        },
        sizes={_file(layer["digest"]): layer["size"] for layer in received.described("layers")},
    )
    try:
        return kept if is_whole(kept, platform, shelf) else None
    except ConfigError:  # something was not sent
        return None


def _file(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _index_of(received: Received) -> bytes:
    """As in a layout: the one thing that the tag stands for."""
    document = received.documents.get(received.target, b"")
    one = {
        "mediaType": received.types.get(received.target),
        "digest": received.target,
        "size": len(document),
    }
    return json.dumps({"schemaVersion": 2, "manifests": [one]}).encode()


def _want(received: Received, platform: str, shelf: Shelf) -> None:
    """All but the layers that are known, and those of other platforms."""
    platforms = {
        one["digest"]: f"{known.get('os')}/{known.get('architecture')}"
        for one in received.described("manifests")
        if (known := one.get("platform"))
    }
    for digest, manifest in received.parsed():
        if platforms.get(digest, platform) != platform or "config" not in manifest:
            continue
        received.configs.add(manifest["config"]["digest"])
        received.wanted |= received.configs
        layers = (layer["digest"] for layer in manifest.get("layers") or ())
        received.wanted.update(layer for layer in layers if shelf.tar(layer) is None)


@contextlib.contextmanager
def _tagged(api: "APIClient", reference: str, repository: str) -> Iterator[None]:
    api.tag(reference, repository, tag=_TAG)
    try:
        yield
    finally:
        api.remove_image(f"{repository}:{_TAG}", noprune=True)


def _push(api: "APIClient", received: Received) -> None:
    """To its end, which is always an error: the registry refuses the last manifest."""
    events = api.push(received.repository, tag=_TAG, stream=True, decode=True, auth_config={})
    for _ in events:
        pass


def _saved(api: "APIClient", asked: Asked, path: Path) -> Kept:
    """By `docker save`, without room for what is known."""
    reference, shelf = asked.reference, asked.shelf
    stream = Stream(api.get_image(reference, chunk_size=CHUNK_BYTES))
    sizes: dict[str, int] = {}
    try:
        with (
            tarfile.open(fileobj=cast("BinaryIO", stream), mode="r|", bufsize=CHUNK_BYTES) as tar,
            tarfile.open(path, mode="w") as kept,
        ):
            while member := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]  # typeshed leaves it out
                if member.isreg() and shelf.tar(f"sha256:{member.name.removeprefix(BLOBS)}"):
                    sizes[member.name] = member.size
                else:
                    content = tar.extractfile(member) if member.isreg() else None
                    _add(kept, member, content)
    except tarfile.TarError as error:
        raise CommandError(
            f"what the engine gave of {reference} is not a whole tar",
            why=str(error) or "it ends too soon",
            fix="try it again",
        ) from error
    return Kept(where=reference, mend=asked.mend, sizes=sizes, brought=files_in(path))


def _add(tar: tarfile.TarFile, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    try:
        tar.addfile(member, content)
    except OSError as error:
        if error.errno is None:  # the connection's
            raise
        raise CommandError(
            "there is no room for the layers of an image",
            why=f"{tempfile.gettempdir()}: {error.strerror or error}",
            fix="free some space, or lead to another folder with TMPDIR",
        ) from error
