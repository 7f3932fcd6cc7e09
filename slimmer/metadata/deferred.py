"""Bytes that are known by length before they are known: digests of contents that a dry run must not read.

A digest's length says how long the amended file will be, so a plan is exact to the byte without hashing anything. The
hashing happens when the layer is written and the bytes are asked for.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.content import Content
from slimmer.once import chunks_once
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from slimmer.blobs import Blob
    from slimmer.chunks import Chunk


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
        self._expected: set[tuple[Content, str]] = set()

    def of(self, content: Content, algorithm: str) -> bytes:
        """Give the digest of a content, read a chunk at a time."""
        known = self._known.get((content, algorithm))
        if known is None:
            state = _state(algorithm)
            for chunk in chunks_once(content):
                state.update(chunk)
            known = self._known[content, algorithm] = state.digest()
        return known

    def amended(
        self, written: bytes, old: Content, new: Content, algorithm: str, encode: Callable[[bytes], bytes]
    ) -> Deferred:
        """Give what stands in a list for NEW where WRITTEN stood for OLD: a digest, as ENCODE writes it there.

        One that was wrong before stays: somebody changed the file, and slimming does not cover that up.
        """

        def make() -> bytes:
            made, was = map(encode, self.of_both(new, old, algorithm))
            return made if was == written else written

        self.expect(new, old, algorithm)
        return Deferred(len(written), make)

    def expect(self, new: Content, old: Content, algorithm: str) -> None:
        """Compute the digests of both when NEW is written into a layer, from what is read for that."""
        if (new, algorithm) not in self._expected:
            self._expected.add((new, algorithm))
            new.heard_by(_Both(self._known, new, old, algorithm))

    def of_both(self, new: Content, old: Content, algorithm: str) -> tuple[bytes, bytes]:
        """Give the digests of a changed file's content and of what it was made of, read together."""
        if (new, algorithm) not in self._known:
            deque(chunks_once(new, [_Both(self._known, new, old, algorithm)]), maxlen=0)
        return self.of(new, algorithm), self.of(old, algorithm)


class _Both:
    """Hears a content that was made of another by leaving ranges out, and hashes both."""

    def __init__(self, known: dict[tuple[Content, str], bytes], new: Content, old: Content, algorithm: str) -> None:
        self._known = known
        self._old = old
        self._keys = ((new, algorithm), (old, algorithm))
        self._states = (_state(algorithm), _state(algorithm))
        pieces = old.pieces
        self._place = pieces[0] if len(pieces) == 1 else None
        self._hashed = 0
        """Bytes of the old content."""

    def hear(self, blob: Blob, offset: int, data: Chunk) -> None:
        if self._keys[0] in self._known:
            return
        new, old = self._states
        new.update(data)
        if self._place is None or blob is not self._place.blob:
            return
        at = offset - self._place.offset
        # What does not stand in the order of the old one is read again for that, in its turn.
        if self._hashed <= at <= self._old.size - len(data):
            self._catch_up(at)
            old.update(data)
            self._hashed += len(data)

    def end(self) -> None:
        if self._keys[0] in self._known:
            return
        self._catch_up(self._old.size)
        for key, state in zip(self._keys, self._states, strict=True):
            self._known[key] = state.digest()

    def _catch_up(self, stop: int) -> None:
        """Hash the old content up to STOP."""
        for chunk in chunks_once(self._old.slice(self._hashed, stop)):
            self._states[1].update(chunk)
        self._hashed = stop


def _state(algorithm: str) -> hashlib._Hash:
    # MD5 is what dpkg records. A FIPS build of OpenSSL gives it only to who promises that it protects nothing.
    return hashlib.new(algorithm, usedforsecurity=False)


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
