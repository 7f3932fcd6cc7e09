"""Reading a content from its beginning to its end: a layer's headers, each where the one before ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimmer.content import Content
    from slimmer.pieces import Piece

_WINDOW = 16 << 10
"""How many bytes are read ahead of a header: those of thirty more."""


class Cursor:
    """A reader of a content whose places are asked for in their order: each is looked for where the last was found."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._pieces = iter(content)
        self._piece: Piece | None = None
        self._stop = 0
        """Where that piece ends."""
        self._window = b""
        self._start = 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Give what Content.read_at gives; some of what follows is read too, but nothing of the next piece."""
        data = self._window[offset - self._start : offset - self._start + length] if offset >= self._start else b""
        if len(data) != length:
            self._move(offset)
            data = self._window[:length]
        return data if len(data) == length else self._content.read_at(offset, length)

    def _move(self, offset: int) -> None:
        """Have a window that begins at OFFSET; one that is empty where no piece from here on has it."""
        while self._stop <= offset and (piece := next(self._pieces, None)) is not None:
            self._piece = piece
            self._stop += piece.length
        self._start, self._window = offset, b""
        left = self._stop - offset
        if self._piece is not None and 0 < left <= self._piece.length:
            blob, start, length = self._piece
            self._window = blob.read_at(start + length - left, min(left, _WINDOW))
