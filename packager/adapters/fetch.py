"""Downloads: resumed after a break, and tried again.

`requests` brings what people set up for pip: proxies and a company CA from the environment, and
credentials from netrc.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packager import __version__
from packager.errors import CommandError

if TYPE_CHECKING:  # most packs find every wheel in the store and need no client
    import requests

TRIES: Final = 4
TIMEOUT_S: Final = (10, 30)
"""To connect, and between two pieces."""
CHUNK: Final = 1 << 18
PARTIAL_CONTENT: Final = 206


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Downloads files; one session for each thread that does."""

    credentials: Callable[[], Mapping[str, tuple[str, str]]] = dict
    """Host to user and password; asked for when the first file is."""
    authorities: str | None = None
    """A file of certificates to trust, where `requests` would not look for it by itself."""
    sessions: threading.local = field(default_factory=threading.local)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Let running downloads end with an error, since nobody waits for them."""
        self.stopped.set()

    def download(self, url: str, path: Path) -> None:
        """Write the file at `url` to `path`.

        Whether it is the right file is judged by who asked for it. Raise `CommandError` when it
        can not be had.
        """
        import requests

        for attempt in range(1, TRIES + 1):
            try:
                self._continue(url, path)
            except (requests.RequestException, OSError) as error:
                if not isinstance(error, requests.RequestException) and error.errno:
                    raise  # this machine's disk, which no other try mends
                status = _status(error)
                permanent = status is not None and 400 <= status < 500 and status != 429
                if attempt == TRIES or permanent or self.stopped.is_set():
                    raise CommandError(
                        f"{path.name} can not be downloaded",
                        why=_told(error, url),
                        fix=_advice(status),
                    ) from error
                self.stopped.wait(2 ** (attempt - 1) / 2)
            else:
                return

    def _session(self) -> "requests.Session":
        import requests
        from urllib3.util import Retry

        from packager.adapters.connections import OneAtATime

        session: requests.Session | None = getattr(self.sessions, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = f"emr-serverless-packager/{__version__}"
            # Connections only: what fails in the middle of a body is resumed above.
            adapter = OneAtATime(max_retries=Retry(2, backoff_factor=0.2, raise_on_status=False))
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.auth = self._sign
            if self.authorities is not None:
                session.verify = self.authorities
            self.sessions.session = session
        return session

    def _sign(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        """Add the credentials of the request's own host; redirects elsewhere lose them."""
        from requests.auth import HTTPBasicAuth
        from requests.utils import get_netrc_auth

        host = urlsplit(request.url or "").netloc
        known = self.credentials().get(host) or get_netrc_auth(request.url or "")
        if not known:
            return request
        user, password = (text.encode() for text in known)  # as text it would become Latin-1
        HTTPBasicAuth(user, password)(request)
        return request

    def _continue(self, url: str, path: Path) -> None:
        have = path.stat().st_size if path.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self._session().get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            response.raise_for_status()
            mode = "ab" if have and response.status_code == PARTIAL_CONTENT else "wb"
            with path.open(mode) as out:
                for chunk in response.iter_content(CHUNK):
                    if self.stopped.is_set():
                        raise OSError("interrupted")
                    out.write(chunk)
                size = out.tell()
        expected = response.headers.get("Content-Length")
        if expected is not None and mode == "wb" and size != int(expected):
            raise OSError(f"the connection ended after {size} of {expected} bytes")


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _told(error: Exception, url: str) -> str:
    """What failed, without the credentials that the URL may carry."""
    import requests

    host = url.partition("://")[2].rpartition("@")[2].partition("/")[0]
    status = _status(error)
    if status is not None:
        return f"{host} answers {status}"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of {host} is not trusted"
    if isinstance(error, requests.Timeout):
        return f"{host} does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return f"{host}: {error}"


def _advice(status: int | None) -> str:
    if status in {401, 403}:
        return "give this host's credentials to uv: netrc, UV_INDEX_NAME_USERNAME and _PASSWORD"
    if status == 404:
        return "the file is gone: lock again"
    return "check the network, the proxy and REQUESTS_CA_BUNDLE, and try again"
