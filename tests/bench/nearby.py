"""An index on this machine: downloads that no network and no resolver of names has a part in.

All of it lies in files: that of `tests.index` hashes what it serves at every question.
"""

import contextlib
import functools
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.utils import parse_wheel_filename

from tests.index import metadata_of, sha256_of


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
        """Nobody reads it."""


@contextlib.contextmanager
def nearby(wheels: Path, folder: Path) -> Iterator[str]:
    """The address of an index of `wheels`, whose pages are written into `folder` (PEP 503, 658)."""
    links: dict[str, list[str]] = defaultdict(list)
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    for wheel in wheels.glob("*.whl"):
        file = files / wheel.name
        shutil.copyfile(wheel, file)
        file.with_name(f"{wheel.name}.metadata").write_bytes(metadata_of(wheel))
        links[parse_wheel_filename(wheel.name)[0]].append(
            f'<a href="/files/{wheel.name}#sha256={sha256_of(wheel)}" data-core-metadata="true">'
            f"{wheel.name}</a>"
        )
    for project, found in links.items():
        page = folder / "simple" / project / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        text = f"<!DOCTYPE html><html><body>{''.join(found)}</body></html>"
        page.write_text(text, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
