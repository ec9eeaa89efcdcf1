"""A registry that lives as long as one reading: an engine pushes to it what is not known yet.

`docker save` streams all of an image, gigabytes, however little of it is new. A push asks first
what the other side has, and sends the rest. So the image is pushed twice to a registry on the
loopback interface, which any engine of this machine takes without TLS: first all blobs are said to
be there, which gives the manifests; then all but those that are wanted. The manifest that the tag
stands for is refused in the end, so that the engine notes nowhere that it was pushed.

Only for engines with containerd's image store: others compress every layer before they ask.
"""

import contextlib
import hashlib
import http.server
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from packager.documents import parse_json
from packager.errors import PackagerError
from packager.oci import CHUNK_BYTES, LARGEST_DOCUMENT_BYTES

HOST: Final = "127.0.0.1"
"""Engines take registries there without TLS."""
_TLS_HANDSHAKE: Final = b"\x16"
_PLAIN_ONLY: Final = (
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server"
)
"""What Go's own server says, at which Go's clients try without TLS."""
_REFUSAL: Final = b'{"errors":[{"code":"DENIED","message":"it was only read"}]}'
_PATH: Final = re.compile(r"/v2/(?P<name>[^/]+)/(?P<kind>blobs|manifests)/(?P<rest>.+)")


@dataclass(slots=True, kw_only=True)
class Received:
    """What came, and what is to come."""

    target: str
    """Digest of what the tag stands for."""
    take: Callable[[str, Iterator[bytes]], None]
    """Where layers go, with their digest, each in a thread of its own."""
    name: str = field(default_factory=lambda: f"packager-{secrets.token_hex(8)}")
    """Of the repository. Nobody else knows it, so nobody else is served."""
    documents: dict[str, bytes] = field(default_factory=dict)
    """Manifests and configurations by digest."""
    types: dict[str, str] = field(default_factory=dict)
    """Media types of manifests."""
    wanted: set[str] = field(default_factory=set)
    """Digests of blobs that are not said to be there."""
    configs: set[str] = field(default_factory=set)
    """Those that are configurations."""
    failed: list[PackagerError] = field(default_factory=list)
    port: int = 0

    @property
    def repository(self) -> str:
        return f"{HOST}:{self.port}/{self.name}"

    def parsed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Manifests and indexes, by digest."""
        for digest in self.types:
            manifest = parse_json(self.documents[digest].decode())
            if isinstance(manifest, dict):
                yield digest, manifest

    def described(self, key: str) -> Iterator[dict[str, Any]]:
        """All descriptors that stand under a key."""
        return (one for _, manifest in self.parsed() for one in manifest.get(key) or ())


@contextlib.contextmanager
def receiving(received: Received) -> Iterator[None]:
    """Listen, as long as the context lasts. Raise `OSError` where that is not possible."""

    class Handler(_Handler):
        into = received

    server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """The part of the distribution specification that a push of containerd uses."""

    protocol_version = "HTTP/1.1"
    into: Received
    broken = False
    """Whether the connection ended before what was announced had come."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            if self.rfile.peek(1)[:1] == _TLS_HANDSHAKE:  # type: ignore[attr-defined]
                self.wfile.write(_PLAIN_ONLY)
            else:
                super().handle()

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        asked = self._asked("blobs")
        if asked is None or asked in self.into.wanted:
            self._answer(404)
        else:
            self._answer(200, {"Docker-Content-Digest": str(asked), "Content-Length": "1"})

    def do_POST(self) -> None:
        self._drain()
        name = self.into.name
        self._answer(202, {"Location": f"/v2/{name}/blobs/uploads/{secrets.token_hex(8)}"})

    def do_PUT(self) -> None:
        if (reference := self._asked("manifests")) is not None:
            document = self._document()
            digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
            self.into.documents[digest] = document
            self.into.types[digest] = self.headers.get("Content-Type", "")
            if self.into.target in {digest, reference}:
                self._answer(403, body=_REFUSAL)
            else:
                self._answer(201, {"Docker-Content-Digest": digest})
            return
        query = self.path.partition("?")[2]
        digest = next(
            (unquote(part[7:]) for part in query.split("&") if part.startswith("digest=")), ""
        )
        if self._asked("blobs") is None or not digest:
            self._drain()
            self._answer(404)
        else:
            self._take(digest)
            self._answer(201, {"Docker-Content-Digest": digest})

    def _take(self, digest: str) -> None:
        """A configuration or a layer."""
        if digest in self.into.configs:
            self.into.documents[digest] = self._document()
            return
        body = self._body()
        failed: PackagerError | None = None
        try:
            self.into.take(digest, body)
        except PackagerError as error:
            failed = error
        for _ in body:
            pass
        if failed and not self.broken:  # else the engine sends it again
            self.into.failed.append(failed)  # raised again by who waits for it

    def _asked(self, kind: str) -> str | None:
        found = _PATH.fullmatch(self.path.partition("?")[0])
        if found is None or found["kind"] != kind or found["name"] != self.into.name:
            return None
        return found["rest"]

    def _document(self) -> bytes:
        text = b""
        for chunk in self._body():
            text += chunk
            if len(text) > LARGEST_DOCUMENT_BYTES:
                self.close_connection = True
                break
        return text

    def _drain(self) -> None:
        for _ in self._body():
            pass

    def _body(self) -> Iterator[bytes]:
        """What was sent; less where the connection broke."""
        self.broken = False
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self._line() or b"0", 16):
                yield from self._exactly(size)
                self._line()
            self._line()
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size and (data := self.rfile.read(min(size, CHUNK_BYTES))):
            size -= len(data)
            yield data
        self.broken = self.broken or size > 0

    def _line(self) -> bytes:
        line = self.rfile.readline()
        self.broken = self.broken or not line
        return line.strip()

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, *, body: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
