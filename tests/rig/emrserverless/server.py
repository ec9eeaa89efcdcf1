"""The service behind HTTP, in a thread, beside AWS's other APIs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.rig.aws import Cloud, client
from tests.rig.emrserverless.plans import Plan
from tests.rig.emrserverless.requests import RefusalError, parsed, written
from tests.rig.emrserverless.service import Service

VARIABLE = "AWS_ENDPOINT_URL_EMR_SERVERLESS"


@contextmanager
def serve(
    cloud: Cloud, *, plans: list[Plan] | None = None, each_call: float = 0
) -> Iterator[tuple[Service, str]]:
    """The service and its address, for `VARIABLE`; logs go to the S3 and CloudWatch of `cloud`."""
    clients = cache(lambda name: client(cloud, name))
    service = Service(clients=clients, plans=plans, each_call=each_call)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    lock = threading.RLock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # in one piece, else each answer waits for the kernel

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {"Content-Type": "application/json"}
            try:
                with lock:
                    operation, asked = parsed(self.command, self.path, body)
                    status, text = 200, written(service.call(operation, asked))
            except RefusalError as refusal:
                status, text = refusal.status, written({"message": refusal.message})
                headers["x-amzn-ErrorType"] = refusal.code
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    return Handler
