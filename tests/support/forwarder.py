"""The local engine behind a TCP port, as a remote one is reached: nothing of it can be read in place."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def forwarded(path: str = "/var/run/docker.sock") -> Iterator[str]:
    """Give the DOCKER_HOST of a port of this machine that leads to the socket at PATH."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, path), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, path: str) -> None:
    with suppress(OSError):  # closed at the end
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, path), daemon=True).start()


def _serve(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect(path)
        there = threading.Thread(target=_copy, args=(client, engine), daemon=True)
        there.start()
        _copy(engine, client)
        there.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # either side may hang up
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
