"""Wheels made by hand, and a package index on this machine that serves them (PEP 503 and 658)."""

import base64
import contextlib
import csv
import hashlib
import html
import io
import ssl
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name

BACKEND = """
import base64, hashlib, os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "{name}-{version}-{tag}.whl"
    info = "{name}-{version}.dist-info"
    files = {{
        info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n",
        info + "/entry_points.txt": "[console_scripts]\\n{name} = {name}:main\\n",
    }}
    for folder, _, names in os.walk("{name}"):
        for one in sorted(names):
            if not one.endswith(".pyc"):
                files[folder + "/" + one] = open(folder + "/" + one).read()
    record = "".join(f"{{n}},,\\n" for n in files) + info + "/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as out:
        for one, text in files.items():
            out.writestr(one, text)
        out.writestr(info + "/RECORD", record)
    return name
"""
"""A build backend that lies in the project (PEP 517, backend-path): it needs no index."""


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, bytes | str] | None = None,
    *,
    tag: str = "py3-none-any",
    requires: Sequence[str] = (),
    requires_python: str = "",
    entry_points: Mapping[str, str] | None = None,
    executable: Sequence[str] = (),
    stored: Sequence[str] = (),
) -> Path:
    """Write a sound wheel; `{name}/__init__.py` is its content unless `files` says otherwise."""
    module = name.replace("-", "_")
    if files is None:
        files = {f"{module}/__init__.py": f"VERSION = {version!r}\n"}
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {r}\n" for r in requires)
    metadata += f"Requires-Python: {requires_python}\n" if requires_python else ""
    pure = "true" if tag.endswith("-any") else "false"
    tags = "".join(f"Tag: {t}\n" for t in _tags(tag))
    contents: dict[str, bytes] = {
        path: data.encode() if isinstance(data, str) else data for path, data in files.items()
    }
    contents[f"{info}/METADATA"] = metadata.encode()
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\n{tags}".encode()
    )
    if entry_points:
        lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}".encode()
    record = io.StringIO()
    rows = [(path, _digest(data), len(data)) for path, data in contents.items()]
    csv.writer(record, lineterminator="\n").writerows([*rows, (f"{info}/RECORD", "", "")])
    contents[f"{info}/RECORD"] = record.getvalue().encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in contents.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100755 if path in executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_STORED if path in stored else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def _tags(tag: str) -> Iterator[str]:
    pythons, abis, platforms = tag.split("-")
    for python in pythons.split("."):
        for abi in abis.split("."):
            for platform in platforms.split("."):
                yield f"{python}-{abi}-{platform}"


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def make_sdist(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """Write a source archive; `files` must have what its backend needs (a `pyproject.toml`)."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}.tar.gz"
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in {"PKG-INFO": metadata, **files}.items():
            info = tarfile.TarInfo(f"{module}-{version}/{file}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@dataclass(slots=True)
class Index:
    """An index that serves the files of a folder, and can be made to fail."""

    folder: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    """Paths asked for, in order."""
    login: tuple[str, str] | None = None
    """User and password, without which nothing is answered."""
    fail: dict[str, int] = field(default_factory=dict)
    """File name to the status it is answered with."""
    cut: dict[str, int] = field(default_factory=dict)
    """File name to the bytes after which the connection is closed, once."""

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, bytes | str] | None = None,
        *,
        tag: str = "py3-none-any",
        requires: Sequence[str] = (),
        requires_python: str = "",
        entry_points: Mapping[str, str] | None = None,
    ) -> Path:
        return make_wheel(
            self.folder,
            name,
            version,
            files,
            tag=tag,
            requires=requires,
            requires_python=requires_python,
            entry_points=entry_points,
        )

    def page(self, project: str) -> str:
        links = [
            f'<a href="/files/{path.name}#sha256={sha256_of(path)}"{_attributes(path)}>{path.name}</a>'
            for path in sorted(self.folder.iterdir())
            if canonicalize_name(path.name.split("-")[0]) == canonicalize_name(project)
        ]
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>" if links else ""


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def metadata_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name)


def _attributes(path: Path) -> str:
    if path.suffix != ".whl":
        return ""
    attributes = ' data-core-metadata="true"'
    for line in metadata_of(path).decode().splitlines():
        if line.startswith("Requires-Python: "):
            value = html.escape(line.removeprefix("Requires-Python: "))
            attributes += f' data-requires-python="{value}"'
    return attributes


@contextlib.contextmanager
def serve(
    folder: Path, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
) -> Iterator[Index]:
    """Serve `folder` on a free port of this machine for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    index = Index(folder=folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            index.requests.append(self.path)
            if index.login and self.headers.get("Authorization") != _basic(*index.login):
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic realm=index")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kind, _, rest = unquote(self.path).strip("/").partition("/")
            if kind == "simple":
                text = index.page(rest.rstrip("/"))
                self._answer(200 if text else 404, text.encode(), "text/html")
                return
            path = folder / rest
            if status := index.fail.get(rest):
                self._answer(status, b"", "text/plain")
            elif path.is_file():
                self._send(path)
            elif path.suffix == ".metadata" and path.with_suffix("").is_file():
                self._answer(200, metadata_of(path.with_suffix("")), "text/plain")
            else:
                self._answer(404, b"", "text/plain")

        do_HEAD = do_GET  # noqa: N815  # http.server looks it up by this name

        def _send(self, path: Path) -> None:
            data = path.read_bytes()
            start = 0
            wanted = self.headers.get("Range", "")
            if wanted.startswith("bytes=") and wanted.endswith("-"):
                start = int(wanted[6:-1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if self.command == "GET":
                cut = index.cut.pop(path.name, None)
                self.wfile.write(data[start:] if cut is None else data[start : start + cut])
                if cut is not None:
                    self.close_connection = True

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Tests read `requests` instead."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # who asked was killed, perhaps
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    server = Server((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        index.url = f"http{'s' if tls else ''}://{host}:{server.server_port}/simple"
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
