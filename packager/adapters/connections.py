"""Connections that are opened one at a time.

Threads that look up one name together have made resolvers drop questions, and the C library asks
again after five seconds: longer than all the wheels of a project take. Opening is short, so
waiting for each other costs nothing that can be measured.
"""

import socket
import threading
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_OPENING: Final = threading.Lock()


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        with _OPENING:
            return super()._new_conn()


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        with _OPENING:
            return super()._new_conn()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # type: ignore[mutable-override]  # as urllib3 does itself


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection  # type: ignore[mutable-override]  # the same


class OneAtATime(HTTPAdapter):
    """What `requests` uses, with connections opened one after the other."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
