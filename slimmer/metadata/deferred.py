"""Bytes that are known by length before they are known: digests of contents that a dry run must not read.

A digest's length says how long the amended file will be, so a plan is exact to the byte without hashing anything. The
hashing happens when the layer is written and the bytes are asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.content import Content, Piece
from slimmer.once import chunks_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from slimmer.blobs import Blob


class Deferred:
    """A blob of SIZE bytes that MAKE gives, called at the first read and never again."""

    __slots__ = ("_data", "_make", "size")

    def __init__(self, size: int, make: Callable[[], bytes]) -> None:
        self.size = size
        """Length in bytes."""
        self._make = make
        self._data: bytes | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET; raise EOFError when there are fewer."""
        if offset + length > self.size:
            raise EOFError(f"bytes {offset} to {offset + length} of a deferred blob of {self.size}")
        if self._data is None:
            data = self._make()
            if len(data) != self.size:
                raise AssertionError(f"a deferred blob was promised as {self.size} bytes and has {len(data)}")
            self._data = data
        return self._data[offset : offset + length]


class Digests:
    """The digests of contents, each computed once and not before somebody asks: two databases may record one file."""

    def __init__(self) -> None:
        self._known: dict[tuple[Content, str], bytes] = {}

    def of(self, content: Content, algorithm: str) -> bytes:
        """Give the digest of a content, read a chunk at a time."""
        known = self._known.get((content, algorithm))
        if known is None:
            # MD5 is what dpkg records. A FIPS build of OpenSSL gives it only to who promises that it protects nothing.
            state = hashlib.new(algorithm, usedforsecurity=False)
            for chunk in chunks_once(content):
                state.update(chunk)
            known = self._known[content, algorithm] = state.digest()
        return known


@dataclass(frozen=True, slots=True)
class Edit:
    """The LENGTH bytes from START give way to the SIZE bytes of BLOB."""

    start: int
    length: int
    blob: Blob
    size: int


def edited(content: Content, edits: Iterable[Edit]) -> Content:
    """Give CONTENT with the edits made, which come in order and do not overlap; every other byte stays."""
    pieces: list[Piece] = []
    position = 0
    for edit in edits:
        pieces += content.slice(position, edit.start).pieces
        pieces.append(Piece(edit.blob, 0, edit.size))
        position = edit.start + edit.length
    pieces += content.slice(position, content.size).pieces
    return Content(pieces)
