"""An engine's BuildKit as a builder that `docker buildx` reaches by TCP, as one of another machine.

An engine speaks to BuildKit's clients on a connection of its API, which is asked to change its
protocol. Whoever connects here is led to one that was asked.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.rig.engine import MACHINES_OWN

CHUNK: Final = 1 << 16
UPGRADE: Final = (
    b"POST /grpc HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
)


@contextlib.contextmanager
def serve(engine: Path = MACHINES_OWN.socket) -> Iterator[tuple[str, list[bytes]]]:
    """The builder's address, and the engine's first line to everyone who came."""
    came: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as there:
                there.connect(str(engine))
                there.sendall(UPGRADE)
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += there.recv(1)
                came.append(head.partition(b"\r\n")[0])
                back = threading.Thread(target=_pump, args=(there, self.request))
                back.start()
                _pump(self.request, there)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}", came
        finally:
            server.shutdown()
            thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
