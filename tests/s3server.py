"""A small S3 that keeps the rules which moto does not: it refuses what arrives damaged.

Checksums of whole objects and of parts are computed and compared, composite ones are of the form
that S3 gives them, conditional writes hold, buckets have a Region and an owner. Faults are injected
where a request comes in: connections that break, stall or crawl, answers of all sorts, bytes that
turn over on the way. Signatures are not looked at.

    python -m tests.s3server [--rate MB/S]

serves until its input ends, prints where, and for each line how many bytes of content it has got.
"""

import base64
import hashlib
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

OWNER: Final = "123456789012"
REGION: Final = "us-east-1"
CHUNK: Final = 1 << 18

Kind = Literal["reset", "stall", "slow", "answer", "corrupt", "unheard", "late"]
"""Closed at once in the middle of the body; not read on; read at a crawl; refused with `code`; a
bit turned; done, with the answer lost; read when `until` holds, after requests of others."""


@dataclass(slots=True, kw_only=True)
class Fault:
    operation: str
    """As in `UploadPart`."""
    kind: Kind
    part: int | None = None
    key: str = ""
    """What the key contains."""
    times: int = 1
    code: str = ""
    status: int = 500
    seconds: float = 0
    after: int = 0
    """Requests of this sort that go well before."""
    until: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    operation: str
    key: str
    part: int | None
    size: int
    """Bytes of content that arrived."""
    headers: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Object:
    data: bytes | list[bytes]
    headers: dict[str, str]
    """What it is answered with."""
    tags: str = ""
    modified: float = field(default_factory=time.time)
    """Seconds since 1970."""

    def __len__(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else sum(map(len, self.data))

    @property
    def content(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else b"".join(self.data)

    def cut(self, start: int, end: int) -> bytes:
        """Some of it, without a copy of all."""
        pieces, at, cut = [self.data] if isinstance(self.data, bytes) else self.data, 0, b""
        for piece in pieces:
            cut += piece[max(start - at, 0) : max(end - at, 0)]
            at += len(piece)
        return cut


@dataclass(slots=True, kw_only=True)
class Upload:
    key: str
    headers: dict[str, str]
    parts: dict[int, tuple[bytes, str, str]] = field(default_factory=dict)
    """Content, ETag and checksum."""
    tags: str = ""
    begun: float = field(default_factory=time.time)
    """Seconds since 1970."""


@dataclass(slots=True, kw_only=True)
class S3Server:
    endpoint: str = ""
    region: str = REGION
    owner: str = OWNER
    objects: dict[str, Object] = field(default_factory=dict)
    """By bucket and key with a slash in between; buckets need not be made."""
    uploads: dict[str, Upload] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    """Buckets that are not there."""
    faults: list[Fault] = field(default_factory=list)
    log: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    hook: Callable[[str], None] = lambda _: None
    """Called with the operation before each is done."""
    busy: int = 0
    """Requests under way."""
    idle: threading.Condition = field(default_factory=threading.Condition)
    rate: float = 0
    """Bytes in a second that each connection brings at most; 0 for as many as there are."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set when stalled requests may end."""

    def fault(self, operation: str, part: int | None, key: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.operation != operation or fault.part not in {None, part}:
                    continue
                if fault.key not in key or not fault.times:
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def sent(self) -> int:
        """Bytes of content that arrived in all."""
        return sum(r.size for r in self.log if r.operation in {"PutObject", "UploadPart"})

    def rest(self) -> None:
        """Wait for the requests that are under way: a client may have gone without its answer."""
        with self.idle:
            assert self.idle.wait_for(lambda: not self.busy, 60)

    def calls(self, *operations: str) -> list[Request]:
        return [request for request in self.log if request.operation in operations]


class Refused(Exception):  # noqa: N818
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message or code


class Broken(Exception):  # noqa: N818
    """The connection is closed without an answer."""


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def checksum_of(algorithm: str, data: bytes | bytearray) -> str:
    if algorithm == "crc32":
        digest = struct.pack(">I", zlib.crc32(data))
    else:
        digest = hashlib.new(algorithm, data).digest()
    return base64.b64encode(digest).decode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3Server
    rbufsize = CHUNK
    wbufsize = CHUNK
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def handle_expect_100(self) -> bool:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()
        return True

    def answer(self) -> None:
        with self.s3.idle:
            self.s3.busy += 1
        try:
            self.take()
        finally:
            with self.s3.idle:
                self.s3.busy -= 1
                self.s3.idle.notify_all()

    def take(self) -> None:
        url = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        self.key = unquote(url.path).strip("/")
        bucket, _, name = self.key.partition("/")
        part = int(self.query["partNumber"]) if "partNumber" in self.query else None
        operation = self.operation(name)
        fault = self.s3.fault(operation, part, self.key)
        self.called, self.part = operation, part
        self.size = 0
        try:
            data = self.body(fault)
            if fault and fault.kind == "answer":
                raise Refused(fault.status, fault.code, f"injected {fault.code}")
            self.guard(bucket)
            self.s3.hook(operation)
            done = getattr(self, re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower())(data)
            if fault and fault.kind == "unheard":
                raise Broken
            self.say(*done)
        except Refused as error:
            text = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
            self.say(error.status, {"x-amz-bucket-region": self.s3.region}, text.encode())
        except (Broken, ConnectionError):
            self.close_connection = True
            # A reset, not an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.note()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

    def operation(self, name: str) -> str:
        match self.command, name != "":
            case "HEAD", False:
                return "HeadBucket"
            case "PUT", False:
                return "CreateBucket"
            case "GET", False:
                return "ListMultipartUploads" if "uploads" in self.query else "ListObjects"
            case "HEAD", True:
                return "HeadObject"
            case "POST", False:
                return "DeleteObjects"
            case "GET", True:
                return "ListParts" if "uploadId" in self.query else "GetObject"
            case "PUT", True:
                if "uploadId" not in self.query:
                    return "PutObject"
                return "UploadPartCopy" if self.headers["x-amz-copy-source"] else "UploadPart"
            case "POST", True:
                return (
                    "CreateMultipartUpload"
                    if "uploads" in self.query
                    else "CompleteMultipartUpload"
                )
            case _:
                return "AbortMultipartUpload" if "uploadId" in self.query else "DeleteObject"

    def guard(self, bucket: str) -> None:
        if bucket in self.s3.missing:
            raise Refused(404, "NoSuchBucket")
        signed = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers.get("Authorization", ""))
        if signed and signed[1] != self.s3.region:
            raise Refused(301, "PermanentRedirect", "use the endpoint of the bucket's Region")
        if self.headers.get("x-amz-expected-bucket-owner", self.s3.owner) != self.s3.owner:
            raise Refused(403, "AccessDenied", "Access Denied")

    def body(self, fault: Fault | None) -> bytes:
        left = int(self.headers.get("Content-Length", 0))
        whole = left
        data = bytearray(left)
        view = memoryview(data)
        if fault and fault.kind == "answer" and left > CHUNK:
            # S3 refuses without reading on, where the reason is in the headers.
            self.close_connection = True
            return b""
        if fault and fault.kind == "late":
            with self.s3.idle:
                assert self.s3.idle.wait_for(fault.until, 60)
        if not whole:
            self.break_off(fault)
        chunk = min(CHUNK, max(1, whole // 4)) if fault else CHUNK
        started = time.monotonic()
        while left:
            if self.s3.rate:
                early = (whole - left) / self.s3.rate - (time.monotonic() - started)
                time.sleep(max(early, 0))
            if left <= whole // 2:
                self.break_off(fault)
            if fault and fault.kind == "slow":
                time.sleep(fault.seconds * chunk / whole)
            got = self.rfile.readinto1(view[whole - left : whole - left + min(left, chunk)])
            if not got:
                raise Broken
            left -= got
            self.size += got
        if fault and fault.kind == "corrupt":
            data[whole // 2] ^= 1
        content = bytes(data) if fault else data
        self.verify(content)
        return content  # type: ignore[return-value]

    def break_off(self, fault: Fault | None) -> None:
        if fault and fault.kind == "stall":
            self.s3.released.wait(fault.seconds)
        if fault and fault.kind in {"reset", "stall"}:
            raise Broken

    def verify(self, data: bytes | bytearray) -> None:
        said = self.headers.get("x-amz-content-sha256", "")
        if re.fullmatch(r"[0-9a-f]{64}", said) and hashlib.sha256(data).hexdigest() != said:
            raise Refused(400, "XAmzContentSHA256Mismatch")
        if self.command == "PUT":
            for algorithm in ("sha256", "crc32"):
                said = self.headers.get(f"x-amz-checksum-{algorithm}", "")
                if said and said != checksum_of(algorithm, data):
                    raise Refused(400, "BadDigest", f"The {algorithm} you specified did not match")

    def say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.note()  # before the client can know that it is over
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def note(self) -> None:
        self.s3.log.append(
            Request(
                operation=self.called,
                key=self.key,
                part=self.part,
                size=self.size,
                headers={k.lower(): v for k, v in self.headers.items()},
            )
        )

    # Operations.

    def kept(self) -> dict[str, str]:
        names = [n for n in self.headers if n.lower().startswith("x-amz-meta-")]
        names += ["x-amz-server-side-encryption", "x-amz-storage-class", "Content-Type"]
        names += ["x-amz-server-side-encryption-aws-kms-key-id"]
        kept = {n.lower(): self.headers[n] for n in names if self.headers[n]}
        return {"x-amz-server-side-encryption": "AES256", **kept}

    def condition(self) -> None:
        if self.headers.get("If-None-Match") == "*" and self.key in self.s3.objects:
            raise Refused(412, "PreconditionFailed", "At least one condition did not hold")

    def head_bucket(self, _: bytes) -> Any:
        return 200, {"x-amz-bucket-region": self.s3.region}

    def create_bucket(self, _: bytes) -> Any:
        return 200, {}

    def found(self) -> Object:
        try:
            return self.s3.objects[self.key]
        except KeyError:
            raise Refused(404, "NoSuchKey") from None

    def head_object(self, _: bytes) -> Any:
        found = self.found()
        return 200, {**found.headers, "Content-Length": str(len(found))}

    def get_object(self, _: bytes) -> Any:
        found = self.found()
        data = found.content
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            end = int(asked[2]) + 1 if asked[2] else len(data)
            return 206, dict(found.headers), data[int(asked[1]) : end]
        return 200, dict(found.headers), data

    def delete_object(self, _: bytes) -> Any:
        self.s3.objects.pop(self.key, None)
        return 204, {}

    def delete_objects(self, data: bytes) -> Any:
        space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
        for told in ET.fromstring(data).iter(f"{space}Key"):  # noqa: S314
            self.s3.objects.pop(f"{self.key}/{told.text}", None)
        return 200, {}, b"<DeleteResult></DeleteResult>"

    def list_objects(self, _: bytes) -> Any:
        bucket, prefix = self.key.split("/")[0], self.query.get("prefix", "")
        keys = sorted(k.partition("/")[2] for k in self.s3.objects if k.startswith(f"{bucket}/"))
        text = "".join(
            f"<Contents><Key>{escape(k)}</Key><Size>{len(self.s3.objects[f'{bucket}/{k}'])}</Size>"
            f"<LastModified>{moment(self.s3.objects[f'{bucket}/{k}'].modified)}</LastModified>"
            "</Contents>"
            for k in keys
            if k.startswith(prefix)
            and not (self.query.get("delimiter") and "/" in k.removeprefix(prefix))
        )
        return 200, {}, f"<ListBucketResult>{text}</ListBucketResult>".encode()

    def put_object(self, data: bytes) -> Any:
        with self.s3.lock:
            self.condition()
            headers = {**self.kept(), "ETag": f'"{zlib.crc32(data):032x}"'}
            for name, value in self.headers.items():
                if name.lower().startswith("x-amz-checksum-"):
                    headers[name.lower()] = value
                    headers["x-amz-checksum-type"] = "FULL_OBJECT"
            self.s3.objects[self.key] = Object(
                data=bytes(data), headers=headers, tags=self.headers.get("x-amz-tagging", "")
            )
        return 200, {"ETag": headers["ETag"]}

    def create_multipart_upload(self, _: bytes) -> Any:
        with self.s3.lock:
            number = f"upload-{len(self.s3.uploads) + 1}-{time.monotonic_ns()}"
            headers = self.kept()
            headers["algorithm"] = self.headers.get("x-amz-checksum-algorithm", "CRC32")
            self.s3.uploads[number] = Upload(
                key=self.key, headers=headers, tags=self.headers.get("x-amz-tagging", "")
            )
        text = f"<Result><UploadId>{number}</UploadId></Result>"
        return 200, {}, text.encode()

    def upload(self) -> Upload:
        try:
            return self.s3.uploads[self.query["uploadId"]]
        except KeyError:
            raise Refused(404, "NoSuchUpload") from None

    def upload_part(self, data: bytes) -> Any:
        upload = self.upload()
        algorithm = upload.headers["algorithm"].lower()
        checksum = self.headers.get(f"x-amz-checksum-{algorithm}", "")
        etag = f'"{zlib.crc32(data):032x}"'
        upload.parts[int(self.query["partNumber"])] = (data, etag, checksum)
        return 200, {"ETag": etag, f"x-amz-checksum-{algorithm}": checksum}

    def upload_part_copy(self, _: bytes) -> Any:
        upload = self.upload()
        try:
            source = self.s3.objects[unquote(self.headers["x-amz-copy-source"]).lstrip("/")]
        except KeyError:
            raise Refused(404, "NoSuchKey") from None
        first, last = self.headers["x-amz-copy-source-range"].removeprefix("bytes=").split("-")
        data = source.cut(int(first), int(last) + 1)
        algorithm = upload.headers["algorithm"].lower()
        etag, checksum = f'"{zlib.crc32(data):032x}"', checksum_of(algorithm, data)
        upload.parts[int(self.query["partNumber"])] = (data, etag, checksum)
        sums = f"Checksum{algorithm.upper()}"
        text = f"<ETag>{escape(etag)}</ETag><{sums}>{checksum}</{sums}>"
        return 200, {}, f"<CopyPartResult>{text}</CopyPartResult>".encode()

    def list_multipart_uploads(self, _: bytes) -> Any:
        bucket, prefix = self.key, self.query.get("prefix", "")
        text = "".join(
            f"<Upload><Key>{escape(u.key.partition('/')[2])}</Key><UploadId>{n}</UploadId>"
            f"<Initiated>{moment(u.begun)}</Initiated>"
            f"<ChecksumAlgorithm>{u.headers['algorithm']}</ChecksumAlgorithm></Upload>"
            for n, u in list(self.s3.uploads.items())
            if u.key.startswith(f"{bucket}/{prefix}")
        )
        return 200, {}, f"<Result><IsTruncated>false</IsTruncated>{text}</Result>".encode()

    def list_parts(self, _: bytes) -> Any:
        upload = self.upload()
        sums = f"Checksum{upload.headers['algorithm']}"
        text = "".join(
            f"<Part><PartNumber>{n}</PartNumber><Size>{len(data)}</Size>"
            f"<ETag>{escape(etag)}</ETag><{sums}>{checksum}</{sums}></Part>"
            for n, (data, etag, checksum) in sorted(upload.parts.items())
        )
        return 200, {}, f"<Result><IsTruncated>false</IsTruncated>{text}</Result>".encode()

    def complete_multipart_upload(self, data: bytes) -> Any:
        with self.s3.lock:
            upload = self.upload()
            self.condition()
            algorithm = upload.headers["algorithm"].lower()
            sums = []
            pieces = []
            space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
            for told in ET.fromstring(data).findall(f"{space}Part"):  # noqa: S314
                number = int(told.findtext(f"{space}PartNumber", ""))
                content, etag, checksum = upload.parts.get(number, (b"", "", ""))
                claimed = told.findtext(f"{space}Checksum{algorithm.upper()}")
                if told.findtext(f"{space}ETag") != etag or claimed not in {None, checksum}:
                    raise Refused(400, "InvalidPart", f"part {number}")
                sums.append(base64.b64decode(checksum))
                pieces.append(content)
            if any(len(piece) < 5 << 20 for piece in pieces[:-1]):
                raise Refused(400, "EntityTooSmall")
            headers = {k: v for k, v in upload.headers.items() if k != "algorithm"}
            if algorithm == "sha256":
                both = base64.b64encode(hashlib.sha256(b"".join(sums)).digest()).decode()
                headers["x-amz-checksum-sha256"] = f"{both}-{len(sums)}"
                headers["x-amz-checksum-type"] = "COMPOSITE"
            headers["ETag"] = f'"{len(sums):032x}-{len(sums)}"'
            made = Object(data=pieces, headers=headers, tags=upload.tags)
            claimed_size = self.headers.get("x-amz-mp-object-size")
            if claimed_size and int(claimed_size) != len(made):
                raise Refused(400, "InvalidRequest", "the size is another")
            self.s3.objects[self.key] = made
            del self.s3.uploads[self.query["uploadId"]]
        return 200, {}, f"<Result><ETag>{escape(headers['ETag'])}</ETag></Result>".encode()

    def abort_multipart_upload(self, _: bytes) -> Any:
        self.upload()
        self.s3.uploads.pop(self.query["uploadId"], None)
        return 204, {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError | BrokenPipeError):
            super().handle_error(*_)  # type: ignore[arg-type]


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    s3 = S3Server()
    handler = type("BoundHandler", (Handler,), {"s3": s3})
    with Server(("127.0.0.1", 0), handler) as server:
        s3.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield s3
        finally:
            s3.released.set()
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with serve_s3() as served:
        served.rate = float(sys.argv[2]) * 1e6 if sys.argv[1:2] == ["--rate"] else 0
        print(served.endpoint, flush=True)
        for _line in sys.stdin:
            print(served.sent(), flush=True)
