"""The local engine behind a TCP port, as a remote one is reached, with faults on the way where a test wants them."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAST_CHUNK = b"0\r\n\r\n"
_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) (\S+) HTTP/1\.1\r\n")


@dataclass
class Fault:
    """What happens to a request, once: the first whose method and path PATTERN is found in.

    With a STATUS it is answered with that and does not get to the engine. Else the connection is cut when so many bytes
    have gone BEFORE_ENGINE, or so many of the engine's answer have come FROM_ENGINE.
    """

    pattern: str
    status: int | None = None
    before_engine: int | None = None
    from_engine: int | None = None
    late: float | None = None
    """Instead, the client is cut off when it has sent the last chunk, which the engine gets so many seconds later."""
    seen: list[str] = field(default_factory=list)
    """Every request until now, as `METHOD PATH`."""
    has_happened: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self, request: str) -> bool:
        """Note a request and say whether it is the one."""
        with self.lock:
            self.seen.append(request)
            if self.has_happened or not re.search(self.pattern, request):
                return False
            self.has_happened = True
            return True


@contextmanager
def forwarded(path: str = "/var/run/docker.sock", fault: Fault | None = None) -> Iterator[str]:
    """Give the DOCKER_HOST of a port of this machine that leads to the socket at PATH."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, path, fault), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, path: str, fault: Fault | None) -> None:
    with suppress(OSError):  # closed at the end
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, path, fault), daemon=True).start()


def _serve(client: socket.socket, path: str, fault: Fault | None) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine:
        try:
            engine.connect(path)
        except OSError:
            return  # the engine is stopped, and the client is hung up on
        wire = _Wire(client, engine, fault)
        there = threading.Thread(target=wire.to_engine, daemon=True)
        there.start()
        wire.from_engine()
        there.join()


class _Wire:
    """A connection through which requests go one after another."""

    def __init__(self, client: socket.socket, engine: socket.socket, fault: Fault | None) -> None:
        self._client = client
        self._engine = engine
        self._fault = fault
        self._up: int | None = None
        self._down: int | None = None
        """How many bytes may still pass each way before the connection is cut."""
        self._late: float | None = None

    def to_engine(self) -> None:
        with suppress(OSError):  # either side may hang up
            while data := self._client.recv(1 << 16):
                if not self._passes(data):
                    return
                if self._late is not None and data.endswith(_LAST_CHUNK):
                    self._client.shutdown(socket.SHUT_RDWR)
                    time.sleep(self._late)
                if self._up is not None:
                    data, self._up = data[: self._up], self._up - len(data)
                self._engine.sendall(data)
                if self._up is not None and self._up <= 0:
                    self._cut()
                    return
        with suppress(OSError):
            self._engine.shutdown(socket.SHUT_WR)

    def from_engine(self) -> None:
        with suppress(OSError):
            while data := self._engine.recv(1 << 16):
                # Asked once: as soon as this has gone, the client may send the request that is cut off.
                limit = self._down
                self._client.sendall(data[:limit])
                if limit is not None:
                    self._down = limit - len(data)
                    if self._down <= 0:
                        self._cut()
                        return
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)

    def _passes(self, data: bytes) -> bool:
        """Look for the beginning of a request; say whether it is for the engine."""
        match = _REQUEST.match(data)
        if self._fault is None or match is None or not self._fault.strikes(b" ".join(match.groups()).decode()):
            return True
        if self._fault.status is None:
            self._up, self._down, self._late = self._fault.before_engine, self._fault.from_engine, self._fault.late
            return True
        body = json.dumps({"message": "this engine has a fault"}).encode()
        self._client.sendall(
            b"HTTP/1.1 %d Fault\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (self._fault.status, len(body), body)
        )
        self._cut()
        return False

    def _cut(self) -> None:
        for side in (self._client, self._engine):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
