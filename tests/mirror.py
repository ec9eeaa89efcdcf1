"""A server on this machine that behaves as mirrors do on their worst days, by a script."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Mirror:
    url: str = ""
    requests: list[str] = field(default_factory=list)
    """Heads, as they came."""
    connections: int = 0
    answers: "Sequence[Answer]" = ()
    over: threading.Event = field(default_factory=threading.Event)
    """What a server that stalls waits for."""


Answer = Callable[[Mirror, socket.socket], None]


@contextlib.contextmanager
def mirror(*answers: Answer) -> Iterator[Mirror]:
    """Answer each request as its number says, and all that follow as the last does."""
    served = Mirror(answers=answers)
    listener = socket.create_server(("127.0.0.1", 0))
    served.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            served.connections += 1
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):  # byte by byte: the body is the answer's
                piece = client.recv(1)
                if not piece:
                    return
                if not head and piece == b"\x16":  # TLS, to which servers without it say so
                    client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
                head += piece
            served.requests.append(head.decode())
            answers = served.answers
            answers[min(len(served.requests), len(answers)) - 1](served, client)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.over.set()
        # Only to close it would leave `accept` waiting.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def says(status: int, body: bytes = b"", *lines: str, length: int | None = None) -> Answer:
    """A whole answer; `length` is what it says of the body, if that is not true."""

    def answer(_: Mirror, client: socket.socket) -> None:
        size = len(body) if length is None else length
        client.sendall(head(status, f"Content-Length: {size}", *lines) + body)

    return answer


def stalls(sent: bytes = b"") -> Answer:
    def answer(served: Mirror, client: socket.socket) -> None:
        client.sendall(sent)
        served.over.wait()

    return answer


def trickles(sent: bytes, drops: Sequence[bytes], every_s: float) -> Answer:
    """Go on for ever, a drop at a time."""

    def answer(served: Mirror, client: socket.socket) -> None:
        client.sendall(sent)
        while not served.over.wait(every_s):
            for drop in drops:
                client.sendall(drop)

    return answer


def breaks_off(sent: bytes = b"", *, reset: bool = False) -> Answer:
    def answer(_: Mirror, client: socket.socket) -> None:
        client.sendall(sent)
        if reset:  # without waiting for what is on its way
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return answer


def head(status: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} X", "Connection: close", *lines, "", ""]).encode()
