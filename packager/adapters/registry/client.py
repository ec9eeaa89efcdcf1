"""A client of the OCI distribution protocol: manifests and blobs, read and written by digest.

Source: OCI distribution-spec 1.1. Nothing is believed that its digest does not confirm.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urljoin, urlsplit

from packager.adapters.fetch import FailedError
from packager.adapters.registry.auth import Logins, docker_logins
from packager.adapters.registry.refusals import refusal
from packager.adapters.registry.tokens import Tokens
from packager.adapters.registry.wire import COMMIT_S, Body, Stream, Wire, wire_of
from packager.errors import CommandError
from packager.manifests import Descriptor, Document
from packager.oci import INDEX_TYPES, LARGEST_DOCUMENT_BYTES, MANIFEST_TYPES
from packager.references import DOCKER_HUB, Reference

if TYPE_CHECKING:
    import requests

CHUNK: Final = 1 << 18
SINGLE_PUT: Final = 1 << 20
"""Blobs up to here go in one piece; what is larger is sent so that it can be resumed."""
HUB_API: Final = "registry-1.docker.io"
_DIGEST_HEADER: Final = "Docker-Content-Digest"
ACCEPT: Final = {"Accept": ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes to upload, which can be read from any place in them."""

    digest: str
    size: int
    read: Callable[[int], Iterator[bytes]]


def blob_of_file(path: Path, digest: str) -> Blob:
    """The content of a file, whose digest is known."""

    def read(offset: int) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(offset)
            while piece := file.read(CHUNK):
                yield piece

    return Blob(digest=digest, size=path.stat().st_size, read=read)


def blob_of_bytes(content: bytes) -> Blob:
    return Blob(
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        size=len(content),
        read=lambda offset: iter((content[offset:],)),
    )


def registry_client(env: Mapping[str, str], *, logins: Logins | None = None) -> "RegistryClient":
    """With what `docker login` left, or with `logins` in its place."""
    wire = wire_of(env)
    return RegistryClient(wire=wire, tokens=Tokens(wire=wire, logins=logins or docker_logins(env)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryClient:
    """Any number of registries. Every function raises `CommandError` where one fails or refuses.

    It may be used from several threads. `stop` ends what they do.
    """

    wire: Wire
    tokens: Tokens
    roots: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        self.wire.stop()

    # Manifests

    def manifest(self, reference: Reference) -> Document:
        """The manifest or index that a tag or a digest stands for."""
        doing = f"reading the manifest of {reference}"

        def get() -> Document:
            url = self._url(reference, f"manifests/{reference.version}")
            with self._asked("GET", url, reference, doing, headers=ACCEPT) as response:
                content = _all(response, reference, doing)
                told = response.headers.get(_DIGEST_HEADER, "")
                document = Document(media_type=_media_type(response, content), content=content)
            wanted = reference.digest or told
            if wanted.startswith("sha256:") and document.digest != wanted:
                raise FailedError(
                    f"what came has the digest {document.digest}, and should have {wanted}"
                )
            return document

        return self.wire.again(doing, get)

    def find_manifest(self, reference: Reference) -> Descriptor | None:
        """What a tag or digest stands for; None where it stands for nothing."""
        doing = f"looking for {reference}"

        def head() -> Descriptor | None:
            url = self._url(reference, f"manifests/{reference.version}")
            with self._asked(
                "HEAD", url, reference, doing, also=frozenset({404}), headers=ACCEPT
            ) as response:
                if response.status_code == 404:
                    return None
                length = response.headers.get("Content-Length", "")
                return Descriptor(
                    media_type=response.headers.get("Content-Type", "").partition(";")[0].strip(),
                    digest=response.headers.get(_DIGEST_HEADER, reference.digest),
                    size=int(length) if length.isdecimal() else 0,
                )

        return self.wire.again(doing, head)

    def put_manifest(self, reference: Reference, document: Document) -> str:
        """Make a tag or digest stand for `document`, and read back that it does; its digest."""
        doing = f"writing the manifest of {reference}"

        def put() -> None:
            url = self._url(reference, f"manifests/{reference.version}")
            with self._asked(
                "PUT",
                url,
                reference,
                doing,
                body=document.content,
                answer_s=COMMIT_S,
                headers={"Content-Type": document.media_type},
            ):
                pass

        self.wire.again(doing, put)
        found = self.find_manifest(reference)
        if found is None or found.digest != document.digest:
            raise CommandError(
                f"{reference} is not what was pushed",
                why=f"pushed was {document.digest}, and it says "
                f"{found.digest or 'no digest' if found else 'that there is nothing'}: "
                "somebody else may have pushed to the same tag",
                fix="push again, or use the digest, which nobody can move",
            )
        return document.digest

    # Blobs

    def has_blob(self, reference: Reference, digest: str) -> bool:
        doing = f"looking for {digest[:19]} in {reference.name}"

        def head() -> bool:
            url = self._url(reference, f"blobs/{digest}")
            with self._asked("HEAD", url, reference, doing, also=frozenset({404})) as response:
                return response.status_code != 404

        return self.wire.again(doing, head)

    def read_blob(self, reference: Reference, blob: Descriptor) -> bytes:
        """A small one, such as a configuration."""
        doing = f"reading {blob.digest[:19]} of {reference.name}"

        def get() -> bytes:
            url = self._url(reference, f"blobs/{blob.digest}")
            with self._asked("GET", url, reference, doing) as response:
                content = _all(response, reference, doing)
            if f"sha256:{hashlib.sha256(content).hexdigest()}" != blob.digest:
                raise FailedError("what came is not what its digest says")
            return content

        return self.wire.again(doing, get)

    def download_blob(
        self,
        reference: Reference,
        blob: Descriptor,
        path: Path,
        *,
        came: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Write a blob to `path`, going on from what stands there; `came` is told of pieces."""
        doing = f"downloading {blob.digest[:19]} of {reference.name}"
        with self.wire.tries(doing) as tries:
            while True:
                had = path.stat().st_size if path.exists() else 0
                try:
                    self._continue(reference, blob, path, doing, came)
                    _require_digest(path, blob)
                except FailedError as error:
                    if (path.stat().st_size if path.exists() else 0) > had + SINGLE_PUT:
                        tries.came_further()
                    tries.wait_after(error)
                else:
                    return

    def _continue(
        self,
        reference: Reference,
        blob: Descriptor,
        path: Path,
        doing: str,
        came: Callable[[int], None],
    ) -> None:
        have = path.stat().st_size if path.exists() else 0
        if have >= blob.size > 0:
            return  # all of it, or too much: the digest says
        headers = {"Range": f"bytes={have}-"} if have else {}
        url = self._url(reference, f"blobs/{blob.digest}")
        with self._asked(
            "GET", url, reference, doing, also=frozenset({416}), headers=headers
        ) as response:
            matched = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            continues = response.status_code == 206
            if response.status_code == 416 or (
                continues and (not matched or int(matched[1]) != have)
            ):
                path.unlink(missing_ok=True)
                raise FailedError("there is no piece that continues what came before")
            with path.open("ab" if continues else "wb") as out:
                while piece := response.raw.read1(CHUNK, decode_content=False):
                    if self.wire.stopped.is_set():
                        raise FailedError("interrupted", final=True)
                    out.write(piece)
                    came(len(piece))
                    if out.tell() > blob.size:
                        raise FailedError(f"more comes than its {blob.size} bytes")
                got = out.tell()
        if got < blob.size:
            raise FailedError(f"the connection was closed after {got} of {blob.size} bytes")

    def put_blob(
        self,
        reference: Reference,
        blob: Blob,
        *,
        mount_from: str = "",
        sent: Callable[[int], None] = lambda _: None,
    ) -> bool:
        """Upload a blob, or have it mounted from the repository `mount_from` of this registry.

        Whether it was uploaded. Who can tell that it is there already, asks `has_blob` first.
        """
        doing = f"uploading {blob.digest[:19]} to {reference.name}"
        place = self._begin(reference, doing, blob.digest, mount_from)
        if place is None:
            return False
        offset = 0
        with self.wire.tries(doing) as tries:
            while True:
                try:
                    if place is None:
                        place, offset = self._begin(reference, doing), 0
                    assert place is not None  # noqa: S101  # without a mount there is an upload
                    self._send(reference, blob, place, offset=offset, doing=doing, sent=sent)
                except FailedError as error:
                    tries.wait_after(error)
                    place, further = self._where(reference, place, doing)
                    if place is not None and further > offset:
                        tries.came_further()
                    offset = further
                else:
                    return True

    def mount_blob(self, reference: Reference, digest: str, mount_from: str) -> bool:
        """Whether the registry could take a blob from another of its repositories."""
        doing = f"mounting {digest[:19]} in {reference.name}"
        place = self._begin(reference, doing, digest, mount_from)
        if place is None:
            return True
        with contextlib.suppress(CommandError):  # it ends by itself, too
            self._abandon(reference, place, doing)
        return False

    def _begin(
        self, reference: Reference, doing: str, digest: str = "", mount_from: str = ""
    ) -> str | None:
        """Where to send a blob; None if it was mounted."""
        query = {"mount": digest, "from": mount_from} if mount_from else {}

        def post() -> str | None:
            url = self._url(reference, "blobs/uploads/")
            scope = f"{_scope(reference, push=True)}"
            if mount_from:
                scope = f"{scope} repository:{mount_from}:pull"
            with self._asked(
                "POST",
                f"{url}?{urlencode(query)}" if query else url,
                reference,
                doing,
                scope=scope,
                body=b"",
            ) as response:
                if response.status_code == 201:
                    return None
                return _place(response, url)

        return self.wire.again(doing, post)

    def _send(
        self,
        reference: Reference,
        blob: Blob,
        place: str,
        *,
        offset: int,
        doing: str,
        sent: Callable[[int], None],
    ) -> None:
        """One try; the registry checks the digest."""

        def pieces() -> Iterator[bytes]:
            for piece in blob.read(offset):
                if self.wire.stopped.is_set():
                    raise FailedError("interrupted", final=True)
                yield piece
                sent(len(piece))

        left = blob.size - offset
        octets = {"Content-Type": "application/octet-stream"}
        body: Body = b""
        headers: Mapping[str, str] = {}
        if blob.size <= SINGLE_PUT and not offset:
            body, headers = b"".join(pieces()), octets
        elif left:
            part = {"Content-Range": f"{offset}-{blob.size - 1}"} if offset else {}
            with self._asked(
                "PATCH",
                place,
                reference,
                doing,
                body=Stream(pieces=pieces, length=left),
                answer_s=COMMIT_S,
                headers=octets | part,
            ) as response:
                place = _place(response, place)
        joint = "&" if "?" in place else "?"
        url = f"{place}{joint}{urlencode({'digest': blob.digest})}"
        with self._asked(
            "PUT", url, reference, doing, body=body, answer_s=COMMIT_S, headers=headers
        ):
            pass

    def _where(self, reference: Reference, place: str | None, doing: str) -> tuple[str | None, int]:
        """Where an upload that broke off goes on, and from which byte."""
        if place is None:
            return None, 0
        try:
            with self._asked("GET", place, reference, doing) as response:
                last = response.headers.get("Range", "").rpartition("-")[2]
                return _place(response, place), int(
                    last
                ) + 1 if last.isdecimal() and last != "0" else 0
        except (FailedError, CommandError):
            return None, 0  # from the beginning, then

    def _abandon(self, reference: Reference, place: str, doing: str) -> None:
        with (
            contextlib.suppress(FailedError),
            self._asked("DELETE", place, reference, doing, also=frozenset({404, 405})),
        ):
            pass

    # Requests

    def _url(self, reference: Reference, rest: str) -> str:
        return f"{self._root(reference)}/v2/{reference.repository}/{rest}"

    def _root(self, reference: Reference) -> str:
        """Plain HTTP only for this machine, and only where there is nothing better."""
        host = HUB_API if reference.host == DOCKER_HUB else reference.host
        if not reference.local:
            return f"https://{host}"
        if host not in self.roots:
            try:
                with self.wire.once("GET", f"https://{host}/v2/", headers={}):
                    self.roots[host] = f"https://{host}"
            except FailedError as error:
                if "no secure connection" not in str(error):
                    raise
                self.roots[host] = f"http://{host}"
        return self.roots[host]

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        url: str,
        reference: Reference,
        doing: str,
        *,
        scope: str = "",
        body: Body | None = None,
        also: frozenset[int] = frozenset(),
        answer_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Iterator[requests.Response]":
        """The answer, if it is a yes or one of `also`; with the right to ask, which may be new."""
        scope = scope or _scope(reference, push=method not in {"GET", "HEAD"})
        # Some keep uploads elsewhere, and have put the right to them into the address.
        own = urlsplit(url).netloc == urlsplit(self._root(reference)).netloc
        tried = 0
        while True:
            tried += 1
            right = self.tokens.header(reference, scope) if own else ""
            with_right = {**(headers or {}), **({"Authorization": right} if right else {})}
            with self.wire.once(
                method, url, headers=with_right, body=body, answer_s=answer_s
            ) as response:
                status = response.status_code
                if status < 300 or status in also:
                    yield response
                    return
                content = response.raw.read(LARGEST_DOCUMENT_BYTES, decode_content=True)
                wanted = response.headers.get("WWW-Authenticate", "")
            # ECR's passwords last for twelve hours, and then it says so with a 403; to HEAD it can
            # not say why, but a password that is new may tell.
            expired = (
                status == 403
                and right.startswith("Basic ")
                and (method == "HEAD" or b"token has expired" in content)
            )
            most = 2 if expired else 1
            if not (status == 401 or expired) or not own or tried > most:
                raise refusal(status, content, reference, doing)
            if not self.tokens.challenged(
                reference, scope, wanted or ("Basic" if expired else ""), used=right
            ):
                raise refusal(status, content, reference, doing)


def _scope(reference: Reference, *, push: bool) -> str:
    return f"repository:{reference.repository}:{'pull,push' if push else 'pull'}"


def _place(response: "requests.Response", url: str) -> str:
    if "Location" not in response.headers:
        raise FailedError("the registry does not say where to send it", final=True)
    place = urljoin(url, response.headers["Location"])
    if urlsplit(url).scheme == "https" and urlsplit(place).scheme != "https":
        raise FailedError("the registry leads to where nothing is secret", final=True)
    return place


def _all(response: "requests.Response", reference: Reference, doing: str) -> bytes:
    content: bytes = response.raw.read(LARGEST_DOCUMENT_BYTES + 1, decode_content=True)
    if len(content) > LARGEST_DOCUMENT_BYTES:
        raise CommandError(
            f"{doing} failed",
            why=f"it has more than {LARGEST_DOCUMENT_BYTES} bytes, as no document of an image",
            fix=f"find out what {reference} is",
        )
    return content


def _media_type(response: "requests.Response", content: bytes) -> str:
    """Of the header, as the specification wants it; some send a general one."""
    told = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if told in MANIFEST_TYPES | INDEX_TYPES:
        return told
    matched = re.search(rb'"mediaType"\s*:\s*"([^"]+)"', content[:4096])
    return (
        matched[1].decode("ascii", "replace")
        if matched and not told.endswith("v1+prettyjws")
        else told
    )


def _require_digest(path: Path, blob: Descriptor) -> None:
    with path.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != blob.digest:
        path.unlink()
        raise FailedError(f"its digest is {found[:19]}, and should be {blob.digest[:19]}")
