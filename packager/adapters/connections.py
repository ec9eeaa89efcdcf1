"""Connections whose names are looked up once, and which another thread can cut.

Threads that look up one name together have made resolvers drop questions, and the C library asks
again after five seconds: longer than all the wheels of a project take. So one of them asks, and the
others use its answer, for as long as it leads to somebody.
"""

import contextlib
import functools
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.util.connection import create_connection
from urllib3.util.ssl_ import create_urllib3_context

_LOOKING_UP: Final = threading.Lock()
_ADDRESSES: Final[dict[str, tuple[str, ...]]] = {}
"""By host. A command is over before they change, and what no longer answers is asked for again."""

_here: Final = threading.local()

Sockets = weakref.WeakSet[socket.socket]


def sockets_of_this_thread() -> Sockets:
    """All that the connections of this thread have open, now and later."""
    found: Sockets | None = getattr(_here, "sockets", None)
    if found is None:
        found = _here.sockets = weakref.WeakSet()
    return found


def hang_up(sockets: Sockets) -> None:
    """End what runs over them: whoever waits for an answer gets an error now."""
    for one in tuple(sockets):
        with contextlib.suppress(OSError):  # it has ended by itself
            # The method of a TLS socket would say goodbye first, from the wrong thread.
            socket.socket.shutdown(one, socket.SHUT_RDWR)


def look_up(hosts: Iterable[str]) -> None:
    """Learn their addresses, where they have some: what is forked then knows them."""
    for host in hosts:
        with contextlib.suppress(OSError, UnicodeError):  # whoever needs it is told
            _addresses(host, None)


def trusting(authorities: str) -> ssl.SSLContext:
    """Made once: to read the certificates of a file takes longer than to connect.

    Raise `SSLError` where they can not be read.
    """
    try:
        status = Path(authorities).stat()
        return _context(authorities, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError as error:
        raise SSLError(error) from error


@functools.lru_cache(maxsize=8)
def _context(authorities: str, *_changes_with_its_content: int) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_verify_locations(authorities)
    return context


def _opened(connection: HTTPConnection) -> socket.socket:
    """As urllib3 opens one, but for the look-up."""
    host, port = connection.host, connection.port
    error: OSError = OSError("it has no address")
    try:
        addresses = _addresses(host.strip("[]"), port)
    except (socket.gaierror, UnicodeError) as unknown:
        raise NameResolutionError(
            host, connection, unknown if isinstance(unknown, socket.gaierror) else socket.gaierror()
        ) from unknown
    for address in addresses:
        try:
            opened = create_connection(
                (address, port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as failed:
            error = failed
            continue
        sys.audit("http.client.connect", connection, host, port)
        return opened
    _ADDRESSES.pop(host.strip("[]"), None)
    if isinstance(error, TimeoutError):
        raise ConnectTimeoutError(connection, f"Connection to {host} timed out") from error
    raise NewConnectionError(connection, str(error.strerror or error)) from error


def _addresses(host: str, port: int | None) -> tuple[str, ...]:
    with _LOOKING_UP:
        if host not in _ADDRESSES:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            _ADDRESSES[host] = tuple(dict.fromkeys(str(one[4][0]) for one in found))
        return _ADDRESSES[host]


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _opened(self)

    def connect(self) -> None:
        super().connect()
        sockets_of_this_thread().add(self.sock)


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _opened(self)

    def connect(self) -> None:
        # With a proxy, it is the proxy too that these authorities vouch for.
        if self.ca_certs and not self.cert_file and self.proxy is None:
            self.ssl_context, self.ca_certs = trusting(str(self.ca_certs)), None
        super().connect()
        sockets_of_this_thread().add(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # type: ignore[mutable-override]  # as urllib3 does itself


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection  # type: ignore[mutable-override]  # the same


class Adapter(HTTPAdapter):
    """What `requests` uses, with connections as above, and nothing tried twice behind our back."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
