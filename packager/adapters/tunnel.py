"""Engines behind ssh: a socket of this machine that leads to the engine of another.

Each connection to the socket becomes one of ssh's, as the `docker` command makes them, so all that
ssh's own settings say of the machine holds. docker-py's way needs a package more, takes any port
for 22, and goes on using connections that have ended.
"""

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final
from urllib.parse import urlsplit

from packager.adapters import process
from packager.errors import ConfigError, PackagerError, ToolError

CONNECT_TIMEOUT_S: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    address: str
    """Of the socket here, `unix://…`."""
    log: Path

    def said(self) -> str:
        """The last that ssh, or the command on the other machine, had to say."""
        try:
            return process.tail(self.log.read_text(encoding="utf-8", errors="replace"), 1)
        except OSError:
            return ""


@contextlib.contextmanager
def tunnel(address: str) -> Iterator[Tunnel]:
    """Lead to an `ssh://` address as long as the context lasts; whoever connects finds out if.

    Raise `ToolError` without ssh, and `ConfigError` for what is no address.
    """
    command = ssh_command(address)
    if shutil.which(command[0]) is None:
        raise ToolError(
            "the `ssh` command was not found",
            why=f"the engine is at {address}",
            fix="install it: apt-get install openssh-client",
        )
    with (
        tempfile.TemporaryDirectory(prefix="packager-") as folder,
        contextlib.closing(socket.socket(socket.AF_UNIX)) as listening,
    ):
        dug = Tunnel(address=f"unix://{folder}/s", log=Path(folder, "log"))
        listening.bind(f"{folder}/s")
        listening.listen()
        ends: list[Callable[[], None]] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # the end of the context
                    return
                with connection, contextlib.suppress(PackagerError):
                    ends.append(process.attach(command, fd=connection.fileno(), log=dug.log))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield dug
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # closing it would not wake who waits at it
            thread.join()
            for end in ends:
                end()


def ssh_command(address: str) -> tuple[str, ...]:
    """What the `docker` command starts for an address, `ssh://[user@]machine[:port][/socket]`."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise ConfigError(
            f"{address} is not the address of an engine",
            why=str(error),
            fix="write it as ssh://user@machine:22",
        ) from error
    user, _, place = parts.netloc.rpartition("@")
    machine = place.removesuffix(f":{port}").strip("[]")
    at = f" --host unix://{quote(parts.path)}" if parts.path.strip("/") else ""
    return (
        *("ssh", "-T", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"),
        *(("-l", user) if user else ()),
        *(("-p", str(port)) if port else ()),
        *("--", machine, f"docker{at} system dial-stdio"),
    )
