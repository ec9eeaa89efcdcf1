"""Downloads: resumed after a break, tried again, and given up in the end.

`requests` brings what people set up for pip: proxies and a company CA from the environment, and
credentials from netrc. How long to wait and how often to try is what uv is told.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packager import __version__
from packager.errors import CommandError, ConfigError

if TYPE_CHECKING:  # most packs find every wheel in the store and need no client
    import requests

    from packager.adapters.connections import Sockets

CHUNK: Final = 1 << 16
"""Bytes asked for at once. TLS brings 16 kB, and much more room would be new memory each time."""
SLOWEST: Final = 1000
"""Bytes in a second: what is slower does not end."""
PROGRESS: Final = 1 << 16
"""Bytes that a try has to bring, beyond all before it, to be none of those that failed."""

OK: Final = 200
PARTIAL_CONTENT: Final = 206
RANGE_NOT_SATISFIABLE: Final = 416
PASSING: Final = frozenset({408, 425, 429})
"""Answers below 500 that another try may change."""

NETWORK: Final = "check the network and the proxy, and try again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a server, and how often to ask."""

    connect_s: float = 10
    silence_s: float = 30
    """Between two pieces."""
    tries: int = 4
    pause_s: float = 0.5
    """Before the second try; twice as long before each that follows."""
    longest_pause_s: float = 60
    """What a server may ask for."""


def patience(env: Mapping[str, str]) -> Patience:
    """As uv is told to: `UV_HTTP_TIMEOUT`, `UV_HTTP_CONNECT_TIMEOUT` and `UV_HTTP_RETRIES`."""
    default = Patience()
    names = ("UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT")
    silence = next((_number(env, name) for name in names if env.get(name)), default.silence_s)
    connect = min(silence, default.connect_s)
    if env.get("UV_HTTP_CONNECT_TIMEOUT"):
        connect = _number(env, "UV_HTTP_CONNECT_TIMEOUT")
    tries = default.tries
    if env.get("UV_HTTP_RETRIES"):
        tries = _number(env, "UV_HTTP_RETRIES") + 1
    return Patience(connect_s=connect, silence_s=silence, tries=tries)


def offline(env: Mapping[str, str]) -> bool:
    """Whether uv is told to be; what it takes for true."""
    return env.get("UV_OFFLINE", "").lower() in {"1", "true", "t", "yes", "y", "on"}


def not_in_store(names: Sequence[str]) -> ConfigError:
    """What is missing where no connection may be opened."""
    return ConfigError(
        f"{len(names)} files are not in the store, and packager is offline"
        if len(names) > 1
        else f"{names[0]} is not in the store, and packager is offline",
        why=", ".join(names) if len(names) > 1 else "--offline or UV_OFFLINE says so",
        fix="pack once without --offline, or bring the store of a machine that did (--cache-dir)",
    )


def _number(env: Mapping[str, str], name: str) -> int:
    text = env[name].strip()
    if not text.isdecimal() or len(text) > 6:
        raise ConfigError(
            f"{name}: {text!r} is not a value it takes",
            why="it takes a whole number" + ("" if name.endswith("RETRIES") else " of seconds"),
            fix="correct it",
        )
    return max(int(text), 0 if name.endswith("RETRIES") else 1)


class FailedError(Exception):
    """One try."""

    def __init__(
        self, told: str, *, fix: str = NETWORK, final: bool = False, pause_s: float = 0
    ) -> None:
        super().__init__(told)
        self.fix = fix
        self.final = final
        """Whether another try would end the same way."""
        self.pause_s = pause_s
        """What the server asks for."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Downloads files; one session for each thread that does."""

    credentials: Callable[[], Mapping[str, tuple[str, str]]] = dict
    """Host to user and password; asked for when the first file is."""
    authorities: str | None = None
    """A file of certificates to trust, where `requests` would not look for it by itself."""
    patience: Patience = Patience()
    offline: bool = False
    """Whether no connection may be opened."""
    sessions: threading.local = field(default_factory=threading.local)
    open: "list[Sockets]" = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Let running downloads end with an error now, since nobody waits for them."""
        self.stopped.set()
        for sockets in tuple(self.open):
            # Whoever opened them has imported it; before that, two threads would do so at once.
            from packager.adapters.connections import hang_up

            hang_up(sockets)

    def prepare(self, urls: Iterable[str]) -> None:
        """Do once what every process that is going to download these would do again."""
        from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
        from urllib3.exceptions import SSLError

        from packager.adapters.connections import look_up, trusting

        self.credentials()
        with contextlib.suppress(SSLError):  # whoever connects is told
            trusting(self.authorities or DEFAULT_CA_BUNDLE_PATH)
        hosts = set[str]()
        for url in urls:
            with contextlib.suppress(ValueError):  # whoever asks for it is told
                host = urlsplit(url).hostname
                if host and not get_environ_proxies(url):
                    hosts.add(host)
        # An interrupt waits for the end of a look-up, but not for the end of a thread.
        asking = threading.Thread(target=look_up, args=(hosts,), daemon=True)
        asking.start()
        asking.join()

    def download(self, url: str, path: Path, *, size: int | None = None) -> None:
        """Write the file at `url`, of no more bytes than `size`, to `path`.

        Whether it is the right file is judged by who asked for it. Raise `CommandError` when it
        can not be had, `ConfigError` where no connection may be opened.
        """
        if self.offline:
            raise not_in_store([path.name])
        began, tries, failures, most = time.monotonic(), 0, 0, 0
        while True:
            tries, failures = tries + 1, failures + 1
            try:
                return self._continue(url, path, size)
            except FailedError as error:
                have = path.stat().st_size if path.exists() else 0
                if have >= most + PROGRESS:
                    failures, most = 1, have
                asked = error.pause_s > self.patience.longest_pause_s
                if error.final or asked or failures >= self.patience.tries or self.stopped.is_set():
                    spent = time.monotonic() - began
                    often = f"; tried {tries} times in {spent:.0f} s" if tries > 1 else ""
                    raise CommandError(
                        f"{path.name} can not be downloaded",
                        why=f"{error}{often}",
                        fix=error.fix,
                    ) from error
                own = self.patience.pause_s * 2 ** (failures - 1)
                self.stopped.wait(max(error.pause_s, own))

    def _session(self) -> "requests.Session":
        import requests

        from packager.adapters.connections import Adapter, sockets_of_this_thread

        session: requests.Session | None = getattr(self.sessions, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = f"emr-serverless-packager/{__version__}"
            for scheme in ("https://", "http://"):
                session.mount(scheme, Adapter())
            session.auth = self._sign
            if self.authorities is not None:
                session.verify = self.authorities
            self.sessions.session = session
            self.open.append(sockets_of_this_thread())
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

    def _continue(self, url: str, path: Path, size: int | None) -> None:
        """One try, from where the last one ended."""
        have = path.stat().st_size if path.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        times = (self.patience.connect_s, self.patience.silence_s)
        session = self._session()
        host = _host(url)
        with told(host, self.patience):
            with self._hurried(host):
                response = session.get(url, headers=headers, stream=True, timeout=times)
            with response:
                host = _host(response.url)
                start = _start(response, host, have, path)
                expected = _length(response, start)
                if size is not None and expected is not None and expected > size:
                    raise FailedError(
                        f"{host} has {expected} bytes, and the lock says {size}",
                        fix="find out why the file changed; if it is right, lock again",
                        final=True,
                    )
                with path.open("ab" if start else "wb") as out:
                    for piece in self._pieces(response, host):
                        out.write(piece)
                        if size is not None and out.tell() > size:
                            raise FailedError(
                                f"{host} sends more than the {size} bytes that the lock says",
                                fix="find out why the file changed; if it is right, lock again",
                                final=True,
                            )
                    got = out.tell()
        if expected is not None and got != expected:
            raise FailedError(f"{host} closed the connection after {got} of {expected} bytes")

    @contextlib.contextmanager
    def _hurried(self, host: str) -> Iterator[None]:
        """A context that ends, answer or not: each byte of a head may come just in time."""
        from packager.adapters.connections import hang_up, sockets_of_this_thread

        limit = 2 * (self.patience.connect_s + self.patience.silence_s)
        late = threading.Event()
        sockets = sockets_of_this_thread()

        def cut() -> None:
            late.set()
            hang_up(sockets)

        timer = threading.Timer(limit, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except OSError as error:  # those of `requests` are too
            if late.is_set():
                raise FailedError(f"{host} did not answer within {limit:g} s") from error
            raise
        finally:
            timer.cancel()

    def _pieces(self, response: "requests.Response", host: str) -> Iterator[bytes]:
        """What arrives, as it does; raise `FailedError` where that is next to nothing."""
        window, came = time.monotonic(), 0
        while piece := response.raw.read1(CHUNK, decode_content=False):
            if self.stopped.is_set():
                raise FailedError("interrupted", final=True)
            yield piece
            came += len(piece)
            passed = time.monotonic() - window
            if passed >= self.patience.silence_s:
                if came < SLOWEST * passed:
                    raise FailedError(
                        f"{host} sent {came} bytes in {passed:.0f} s, which does not end",
                        fix="use a faster mirror, or try again later",
                    )
                window, came = time.monotonic(), 0


def _start(response: "requests.Response", host: str, have: int, path: Path) -> int:
    """Where the body begins in the file. Raise `FailedError` for an answer that has no use."""
    status = response.status_code
    wrong_range = status == PARTIAL_CONTENT and not response.headers.get(
        "Content-Range", ""
    ).startswith(f"bytes {have}-")
    if wrong_range or (status == RANGE_NOT_SATISFIABLE and have):
        path.unlink(missing_ok=True)  # so that the next try asks for all of it
        raise FailedError(f"{host} has no piece that continues what came before")
    if status not in {OK, PARTIAL_CONTENT}:
        raise FailedError(
            f"{host} answers {status}",
            fix=_advice(status),
            final=status < 500 and status not in PASSING,
            pause_s=retry_after(response.headers.get("Retry-After", "")),
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise FailedError(
            f"{host} answers with a web page instead of the file",
            fix="log in to the network or the proxy that shows it, or correct the index's address",
            final=True,
        )
    return have if status == PARTIAL_CONTENT else 0


def _length(response: "requests.Response", start: int) -> int | None:
    """Bytes of the whole file, if the server says how many."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def retry_after(text: str) -> float:
    """Seconds that a server asks to be left alone, given as a number or a date."""
    from email.utils import parsedate_to_datetime  # few servers ask for it

    if text.strip().isdecimal():
        return float(text.strip())
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0
    if until.tzinfo is None:
        return 0
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


@contextlib.contextmanager
def told(host: str, patience: Patience) -> Iterator[None]:
    """Turn what goes wrong on the way into words without the URL: it may have credentials."""
    import requests
    from requests import exceptions
    from urllib3.exceptions import (
        HTTPError,
        NameResolutionError,
        ProtocolError,
        ReadTimeoutError,
    )

    try:
        yield
    except exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            raise FailedError(f"no secure connection to {host}") from error
        raise FailedError(
            f"the certificate of {host} is not trusted",
            fix="name the company's own authorities in SSL_CERT_FILE",
            final=True,
        ) from error
    except exceptions.ProxyError as error:
        raise FailedError(f"the proxy on the way to {host} does not serve") from error
    except exceptions.ConnectTimeout as error:
        raise FailedError(f"no connection to {host} within {patience.connect_s:g} s") from error
    except (exceptions.ReadTimeout, ReadTimeoutError) as error:
        raise FailedError(f"{host} sent nothing for {patience.silence_s:g} s") from error
    except exceptions.TooManyRedirects as error:
        raise FailedError(
            f"{host} redirects without end", fix="correct the index's address", final=True
        ) from error
    except exceptions.ConnectionError as error:
        cause = next(iter(error.args), None)
        told = f"no connection to {host}"
        if isinstance(getattr(cause, "reason", None), NameResolutionError):
            told = f"{host} is not a known name"
        elif isinstance(cause, ProtocolError):
            told = f"{host} broke the connection off"
        raise FailedError(told) from error
    except HTTPError as error:
        raise FailedError(f"{host} broke the connection off") from error
    except (requests.RequestException, ValueError) as error:
        raise FailedError(
            f"{host} can not be asked: {type(error).__name__}", fix="lock again", final=True
        ) from error


def _host(url: str) -> str:
    """For messages: without the credentials that the URL may carry."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or "the index"


def _advice(status: int) -> str:
    if status in {401, 403}:
        return "give this host's credentials to uv: netrc, UV_INDEX_NAME_USERNAME and _PASSWORD"
    if status in {404, 410}:
        return "the file is gone: lock again"
    return "try again later, or use another mirror" if status >= 500 else NETWORK
