"""Asking an engine: what that may raise, what a person is told of it, and a body of known length.

With connecting.py, engine.py and containers.py the only importer of the docker SDK, and of what that is built on.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NoReturn

import requests
from docker.errors import APIError, DockerException, StreamParseError
from docker.utils.socket import SocketError
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.chunks import Chunk
    from slimmer.errors import SlimmerError

CUT_OFF = (
    requests.ConnectionError, requests.exceptions.ChunkedEncodingError, HTTPError, SocketError, ConnectionError
)  # fmt: skip
"""What asking raises when the engine, or the way to it, is gone: whether it did what it was asked to nobody knows."""

FAILURES = (DockerException, StreamParseError, struct.error, requests.RequestException, OSError, *CUT_OFF)
"""Whatever asking an engine may raise. The SDK lets through what it stumbles over when an answer is cut short."""


class Measured:
    """A body of known length: it is sent as it is, where one of unknown length is copied into HTTP's chunks."""

    def __init__(self, chunks: Iterator[Chunk], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks


def first_line(error: Exception) -> str:
    """Give the first line of what an error says, its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def fail(kind: type[SlimmerError], what: str, error: Exception) -> NoReturn:
    """Raise a KIND of SlimmerError that says what could not be done, and why the engine says so."""
    if isinstance(error, CUT_OFF):
        detail = "the connection to it was lost; see with `docker info` whether it still runs"
    else:
        detail = str(error.explanation if isinstance(error, APIError) and error.explanation else error)
    raise kind(f"{what}: {' '.join(detail.split())}") from error
