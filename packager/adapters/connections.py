"""Connections whose names are looked up one at a time, and which another thread can cut.

Threads that look up one name together have made resolvers drop questions, and the C library asks
again after five seconds: longer than all the wheels of a project take. A look-up is short, so
waiting for each other costs nothing that can be measured.
"""

import contextlib
import socket
import sys
import threading
import weakref
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

_LOOKING_UP: Final = threading.Lock()
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


def _opened(connection: HTTPConnection) -> socket.socket:
    """As urllib3 opens one, but for the look-up."""
    host, port = connection.host, connection.port
    error: OSError = OSError("it has no address")
    try:
        with _LOOKING_UP:
            found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as unknown:
        raise NameResolutionError(
            host, connection, unknown if isinstance(unknown, socket.gaierror) else socket.gaierror()
        ) from unknown
    for address in dict.fromkeys(str(information[4][0]) for information in found):
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
    if isinstance(error, TimeoutError):
        raise ConnectTimeoutError(connection, f"Connection to {host} timed out") from error
    raise NewConnectionError(connection, str(error.strerror or error)) from error


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
