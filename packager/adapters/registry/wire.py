"""Single requests to a registry: tried again where that helps, told in words where it does not.

`requests` brings proxies from the environment. Certificates are those that Docker trusts for the
host (`/etc/docker/certs.d/HOST/ca.crt`), then those of `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` and
`SSL_CERT_FILE`, then the usual ones. Redirects are followed here, so that what is for the registry
goes nowhere else.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from packager import __version__
from packager.adapters.fetch import PASSING, FailedError, Patience, patience, retry_after, told
from packager.errors import CommandError

if TYPE_CHECKING:
    import requests

    from packager.adapters.connections import Sockets

CERTIFICATES: Final = Path("/etc/docker/certs.d")
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 5
COMMIT_S: Final = 300.0
"""How long a registry may take to put away what it has been sent."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What is too long for memory; it begins anew each time that it is sent."""

    pieces: Callable[[], Iterator[bytes]]
    length: int

    def __len__(self) -> int:  # without which `requests` would send chunks, which not all take
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces()


Body = bytes | Stream


@dataclass(frozen=True, slots=True)
class Wire:
    """Connections to registries; one session for each thread."""

    authorities: str | None = None
    patience: Patience = field(default_factory=Patience)
    sessions: threading.local = field(default_factory=threading.local)
    open: "list[Sockets]" = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Let whatever runs end with an error now, since nobody waits for it."""
        self.stopped.set()
        for sockets in tuple(self.open):
            from packager.adapters.connections import hang_up

            hang_up(sockets)

    @contextlib.contextmanager
    def once(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
        answer_s: float | None = None,
    ) -> "Iterator[requests.Response]":
        """One request, its redirects included, with the answer's body still to be read.

        Raise `FailedError` where there is no answer, or one that another try may change.
        """
        host = urlsplit(url).netloc
        sent = dict(headers)
        for _ in range(MOST_REDIRECTS + 1):
            with told(host, self.patience):
                response = self._session().request(
                    method,
                    url,
                    headers=sent,
                    data=body,
                    stream=True,
                    timeout=(self.patience.connect_s, answer_s or self.patience.silence_s),
                    allow_redirects=False,
                    verify=self._trusted(host),
                )
            with response:
                if response.status_code in REDIRECTS and "Location" in response.headers:
                    further = urljoin(url, response.headers["Location"])
                    if urlsplit(url).scheme == "https" and urlsplit(further).scheme != "https":
                        raise FailedError(
                            f"{host} redirects to where nothing is secret", final=True
                        )
                    if urlsplit(further).netloc != host:
                        sent.pop("Authorization", None)
                    url, host = further, urlsplit(further).netloc
                    continue
                status = response.status_code
                if status >= 500 or status in PASSING:
                    raise FailedError(
                        f"{host} answers {status}",
                        fix="try again later"
                        if status != 429
                        else "wait, or log in: who has a name may ask more often",
                        pause_s=retry_after(response.headers.get("Retry-After", "")),
                    )
                with told(host, self.patience):
                    yield response
                return
        raise FailedError(f"{host} redirects without end", final=True)

    @contextlib.contextmanager
    def tries(self, doing: str) -> "Iterator[Tries]":
        """Turn the last failure into an error that says what it was for."""
        tries = Tries(wire=self)
        try:
            yield tries
        except FailedError as error:
            spent = time.monotonic() - tries.began
            often = f"; tried {tries.count} times in {spent:.0f} s" if tries.count > 1 else ""
            raise CommandError(f"{doing} failed", why=f"{error}{often}", fix=error.fix) from error

    def again(self, doing: str, work: Callable[[], _T]) -> _T:
        """Do `work`, again if it helps. Raise `CommandError` if it does not."""
        with self.tries(doing) as tries:
            while True:
                try:
                    return work()
                except FailedError as error:
                    tries.wait_after(error)

    def _session(self) -> "requests.Session":
        import requests

        from packager.adapters.connections import Adapter, sockets_of_this_thread

        session: requests.Session | None = getattr(self.sessions, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = f"emr-serverless-packager/{__version__}"
            session.headers["Accept-Encoding"] = "identity"  # or digests would be of other bytes
            for scheme in ("https://", "http://"):
                session.mount(scheme, Adapter())
            session.auth = lambda request: request  # else netrc would replace our header
            self.sessions.session = session
            self.open.append(sockets_of_this_thread())
        return session

    def _trusted(self, host: str) -> str | bool:
        dockers = CERTIFICATES / host / "ca.crt"
        return str(dockers) if dockers.is_file() else self.authorities or True


@dataclass(slots=True)
class Tries:
    wire: Wire
    count: int = 1
    failures: int = 0
    began: float = field(default_factory=time.monotonic)

    def wait_after(self, error: FailedError) -> None:
        """Pause before the next try; raise the error if there is to be none."""
        patience = self.wire.patience
        self.failures += 1
        asked = error.pause_s > patience.longest_pause_s
        if error.final or asked or self.failures >= patience.tries or self.wire.stopped.is_set():
            raise error
        self.count += 1
        own = patience.pause_s * 2 ** (self.failures - 1)
        self.wire.stopped.wait(max(error.pause_s, own))

    def came_further(self) -> None:
        """The failure that follows is the first of its kind."""
        self.failures = 0


def wire_of(env: Mapping[str, str]) -> Wire:
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return Wire(
        authorities=next((env[name] for name in names if env.get(name)), None),
        patience=patience(env),
    )
