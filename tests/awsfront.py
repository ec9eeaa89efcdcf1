"""A proxy before the APIs of AWS: it denies calls, slows them down, cuts answers, or acts after them."""

import contextlib
import fnmatch
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(slots=True)
class Front:
    """Faults by operation, as in `SetRepositoryPolicy`."""

    endpoint: str = ""
    denied: set[str] = field(default_factory=set)
    throttled: dict[str, int] = field(default_factory=dict)
    """How many tries of operations are throttled, by globs of their names."""
    cut: dict[str, int] = field(default_factory=dict)
    """How many answers end in their middle, likewise."""
    after: dict[str, list[Callable[[], None]]] = field(default_factory=dict)
    """What is done once each, after an operation and before its answer."""
    asked: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.endpoint}

    def tries(self, pattern: str) -> int:
        return sum(fnmatch.fnmatchcase(operation, pattern) for operation in self.asked)


def _is_due(faults: dict[str, int], operation: str) -> bool:
    """Whether a fault strikes; every operation that a glob fits is counted by itself."""
    for pattern, times in list(faults.items()):
        if fnmatch.fnmatchcase(operation, pattern):
            left = faults.setdefault(operation, times)
            faults[operation] = left - 1
            return left > 0
    return False


@contextlib.contextmanager
def serve(backend: str) -> Iterator[Front]:
    front = Front()
    place = urlsplit(backend)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if not operation and b"Action=" in body:  # STS and IAM
                operation = body.partition(b"Action=")[2].partition(b"&")[0].decode()
            if not operation:  # S3
                operation = f"{self.command} {self.path.partition('?')[0]}"
            front.asked.append(operation)
            if operation in front.denied:
                words = f"User: arn:aws:iam::123456789012:user/ci is not authorized: {operation}"
                self.refuse(operation, 403, "AccessDenied", words)
                return
            with lock:
                slow, cut = _is_due(front.throttled, operation), _is_due(front.cut, operation)
            if slow:
                self.slow_down(operation)
                return
            connection = http.client.HTTPConnection(place.hostname or "", place.port)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if hooks := front.after.get(operation):
                hooks.pop(0)()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                    self.send_header(name, value)
            if self.command == "HEAD":
                self.send_header("Content-Length", answer.getheader("Content-Length") or "0")
            else:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if cut:
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            elif self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward  # noqa: N815

        def slow_down(self, operation: str) -> None:
            """As S3 says it, and as all others do."""
            if " " in operation:
                self.refuse(operation, 503, "SlowDown", "Please reduce your request rate.")
            else:
                self.refuse(operation, 400, "Throttling", "Rate exceeded")

        def refuse(self, operation: str, status: int, code: str, words: str) -> None:
            if "json" in self.headers.get("Content-Type", ""):
                kind = self.headers["Content-Type"]
                text = json.dumps({"__type": f"{code}Exception", "message": words})
            else:
                kind = "text/xml"
                error = f"<Error><Code>{code}</Code><Message>{words}</Message></Error>"
                text = f"<ErrorResponse>{error}</ErrorResponse>" if " " not in operation else error
            self.send_response_only(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    front.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
