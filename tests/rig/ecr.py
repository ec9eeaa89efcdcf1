"""What ECR does and a plain registry does not, as a proxy in front of one.

A push to a repository that nobody has created is refused, as is one to a tag that must not change;
and every manifest that gets in is told to moto, with its true digest.
"""

import hashlib
import http.client
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

MANIFEST: Final = re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)")
REPOSITORY: Final = re.compile(r"/v2/(?P<repository>.+?)/(?:blobs|manifests|tags)/")
PIECE_BYTES: Final = 1 << 20
HOP_BY_HOP: Final = {"connection", "expect", "keep-alive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    status: int
    code: str
    message: str


Fault = Callable[["Handler"], bool]
"""Told of each request by somebody who has logged in; whether it has dealt with it itself."""


class Front(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], *, backend_port: int, ecr: Any, faults: list[Fault]
    ) -> None:
        super().__init__(address, Handler)
        self.backend_port = backend_port
        self.ecr = ecr
        """A client of boto3 for moto."""
        self.faults = faults


@contextmanager
def serve(
    address: tuple[str, int],
    *,
    backend_port: int,
    ecr: Any,
    tls: ssl.SSLContext,
    faults: list[Fault],
) -> Iterator[None]:
    front = Front(address, backend_port=backend_port, ecr=ecr, faults=faults)
    # A client that does not trust us must hold up its own thread only.
    front.socket = tls.wrap_socket(front.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=front.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        front.shutdown()
        thread.join()
        front.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float | None] = 10.0
    """Seconds that an idle connection is kept."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """`do_GET` and its like, which the base class looks for, are one and the same."""
        if name.startswith("do_"):
            return self.forward
        raise AttributeError(name)

    @property
    def front(self) -> Front:
        assert isinstance(self.server, Front)
        return self.server

    def forward(self) -> None:
        # Who has not logged in yet gets the registry's own answer.
        if "Authorization" in self.headers:
            if any(fault(self) for fault in tuple(self.front.faults)):
                return
            if refusal := self.refusal():
                self.refuse(refusal)
                return
        manifest = MANIFEST.fullmatch(self.path) if self.command == "PUT" else None
        body = b"".join(self.body()) if manifest else None
        backend = http.client.HTTPConnection("127.0.0.1", self.front.backend_port)
        try:
            self.send_on(backend, body)
            answer = backend.getresponse()
            if manifest and body and answer.status == 201:
                self.record(manifest["repository"], manifest["reference"], body)
            self.send_back(answer)
        finally:
            backend.close()

    def refusal(self) -> Refusal | None:
        found = REPOSITORY.match(self.path)
        if found is None:
            return None
        name, ecr = found["repository"], self.front.ecr
        try:
            (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        except ecr.exceptions.RepositoryNotFoundException:
            message = f"The repository with name '{name}' does not exist in the registry"
            return Refusal(status=404, code="NAME_UNKNOWN", message=message)
        manifest = MANIFEST.fullmatch(self.path)
        if not (
            manifest and self.command == "PUT" and repository["imageTagMutability"] == "IMMUTABLE"
        ):
            return None
        tag = manifest["reference"]
        try:
            ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
        except ecr.exceptions.ImageNotFoundException:
            return None
        message = (
            f"The image tag '{tag}' already exists in the '{name}' repository and cannot be "
            "overwritten because the tag is immutable."
        )
        return Refusal(status=400, code="TAG_INVALID", message=message)

    def refuse(self, refusal: Refusal) -> None:
        for _ in self.body():  # Else it would be taken for the next request.
            pass
        error = {"code": refusal.code, "message": refusal.message}
        text = json.dumps({"errors": [error]}).encode()
        self.send_response(refusal.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def send_on(self, backend: http.client.HTTPConnection, body: bytes | None) -> None:
        names = {name.lower() for name in self.headers} - HOP_BY_HOP
        # Docker names what it accepts in several headers; a proxy that keeps one gets old formats.
        headers = {name: ", ".join(self.headers.get_all(name, ())) for name in names}
        headers["x-forwarded-proto"] = "https"
        chunked = body is None and "transfer-encoding" in names
        if body is not None:
            headers.pop("transfer-encoding", None)
            headers["content-length"] = str(len(body))
        sent = self.body() if body is None and self.command not in {"GET", "HEAD"} else body
        backend.request(self.command, self.path, sent, headers, encode_chunked=chunked)

    def send_back(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() != "transfer-encoding":
                self.send_header(name, value)
        whole = None
        if answer.getheader("Content-Length") is None and answer.status not in {204, 304}:
            whole = answer.read()
            self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if whole is not None:
            self.wfile.write(whole)
        while piece := answer.read(PIECE_BYTES):
            self.wfile.write(piece)

    def body(self) -> Iterator[bytes]:
        """The request's, in pieces."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self.read(int(self.headers.get("Content-Length") or 0))

    def read(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, PIECE_BYTES))
            if not piece:
                raise ConnectionResetError("the client went away")
            left -= len(piece)
            yield piece

    def record(self, repository: str, reference: str, manifest: bytes) -> None:
        """Without a digest moto would make one up, which is not the manifest's."""
        kind = json.loads(manifest).get("mediaType") or self.headers["Content-Type"]
        tagged = {} if reference.startswith("sha256:") else {"imageTag": reference}
        # Two may bring the same at the same time.
        with suppress(self.front.ecr.exceptions.ImageAlreadyExistsException):
            self.front.ecr.put_image(
                repositoryName=repository,
                imageManifest=manifest.decode(),
                imageManifestMediaType=kind,
                imageDigest=f"sha256:{hashlib.sha256(manifest).hexdigest()}",
                **tagged,
            )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
