"""Images of a container engine, as files."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packager.adapters.containers import CHUNK_BYTES, find_image
from packager.adapters.engine import client, connect, failures
from packager.errors import CommandError, ToolError


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImages:
    """The images of the engine that the environment leads to."""

    env: Mapping[str, str]
    say: Callable[[str], None]

    @contextlib.contextmanager
    def saved(self, reference: str, platform: str) -> Iterator[Path]:
        """An image as `docker save` writes it.

        Raise `ToolError` where there is no engine, or where it does not have the image.
        """
        engine = connect(self.env)
        if find_image(engine, reference, platform) is None:
            raise ToolError(
                f"the engine does not have the image {reference}",
                why=f"{engine.name} at {engine.endpoint.address} was asked",
                fix=f"docker pull --platform {platform} {reference}; or name a file",
            )
        self.say(f"Reading {reference} from {engine.name}")
        with tempfile.NamedTemporaryFile(prefix="packager-", suffix=".tar") as file:
            with (
                failures(engine, image=reference, platform=platform, doing="save the image"),
                client(engine) as api,
            ):
                for chunk in api.get_image(reference, chunk_size=CHUNK_BYTES):
                    _write(file, chunk)
            file.flush()
            yield Path(file.name)


def _write(file: "tempfile._TemporaryFileWrapper[bytes]", chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:  # else it would be told as the engine's
        raise CommandError(
            f"{file.name} can not be written",
            why=error.strerror or str(error),
            fix="free some space, or lead to another folder with TMPDIR",
        ) from error
