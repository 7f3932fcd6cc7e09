"""The connection to an engine: the SDK's, with room for much to be on its way.

A layer goes through a Unix socket. What lies in its buffer is 208 KiB (net.core.wmem_default, socket(7)) unless more is
asked for: an engine that unpacks has to be waited for 40,000 times in the 8 GB of a PyTorch image.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any, cast

import docker
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

if TYPE_CHECKING:
    from collections.abc import Mapping

ON_ITS_WAY = 4 << 20
"""Bytes. The kernel doubles them for its own records."""
_SO_SNDBUFFORCE = 32  # Linux, asm-generic/socket.h; Python has no name for it


def client() -> docker.APIClient:
    """Give a client of the engine at DOCKER_HOST, or the local one; raises what asking.FAILURES has.

    Saving and loading gigabytes may keep an engine silent for minutes: there is no time limit on an answer.
    """
    made = docker.from_env(version="auto", timeout=None).api  # type: ignore[arg-type] # None is requests' own word for it
    adapter = made.get_adapter(made.base_url)
    if isinstance(adapter, UnixHTTPAdapter):
        adapter.close()  # it has asked for the version, and would keep that connection
        made.mount("http+docker://", _Adapter(adapter.socket_path, adapter.timeout))
    return made


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        super().connect()
        # More than net.core.wmem_max takes CAP_NET_ADMIN; without it the connection is as good, and slower.
        with contextlib.suppress(OSError):
            cast("socket.socket", self.sock).setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, ON_ITS_WAY)


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:  # noqa: ANN401 - the stubs of urllib3 and of the SDK do not agree
        return _Connection(self.base_url, self.socket_path, cast("Any", self.timeout))


class _Adapter(UnixHTTPAdapter):
    def get_connection(self, url: bytes | str, proxies: Mapping[str, str] | None = None) -> _Pool:  # noqa: ARG002 - the SDK's
        with self.pools.lock:
            pool = self.pools.get(url)
            if pool is None:
                pool = self.pools[url] = _Pool(str(url), self.socket_path, self.timeout, maxsize=self.max_pool_size)
            return pool
