"""The original tar of a layer out of what the engine keeps of it: tar-split's record, and the files where they lie.

When the engine unpacks a layer it writes down all that is not file content (github.com/vbatts/tar-split, tar/storage):
one JSON object a line, `type` 2 for raw bytes (headers and padding, base64 in `payload`) and `type` 1 for a file's
content (`name`, or `name_raw` in base64 when it is no UTF-8; `size`; a CRC64 in `payload`). Put together in order they
are the tar, byte by byte; `docker save` makes its layers the same way.
"""

from __future__ import annotations

import json
import zlib
from binascii import a2b_base64
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from slimmer.content import Content
from slimmer.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.pieces import Shelf

_FILE, _SEGMENT = 1, 2
_MAX_LINE = 64 << 20
_BLOCK = 64 << 10
_BATCH = 256 << 10
_TYPE_FROM_END = 512 - 156
"""The segment before a file's content ends with its header, and the header's type is its byte 156 (POSIX ustar)."""
_SPARSE = b"GNU.sparse"


class Segments:
    """A blob of all raw bytes of a layer, deflated in blocks: headers, which are next to nothing but zeros.

    They are read once and then kept as long as the layer is, so memory matters more than a second look.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._starts: list[int] = []
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._recent = (0, b"")
        """The block that was read last, and where it starts."""
        self.size = 0

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._pending.append(data)
        self._pending_size += len(data)
        self.size += len(data)
        if self._pending_size >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Make all that was added readable."""
        if self._pending_size:
            self._starts.append(self.size - self._pending_size)
            self._blocks.append(zlib.compress(b"".join(self._pending), 1))
        self._pending = []
        self._pending_size = 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET; raise EOFError when there are fewer."""
        start, data = self._recent
        if start <= offset and offset + length <= start + len(data):
            return data[offset - start : offset - start + length]
        if offset + length > self.size:
            raise EOFError(f"bytes {offset} to {offset + length} of segments of {self.size}")
        index = bisect_right(self._starts, offset) - 1
        parts = []
        while length:
            skip = offset - self._starts[index]
            data = zlib.decompress(self._blocks[index])
            self._recent = (self._starts[index], data)
            parts.append(data[skip : skip + length])
            offset += len(parts[-1])
            length -= len(parts[-1])
            index += 1
        return b"".join(parts)


def assemble(read: Callable[[int], bytes], shelved: Callable[[bytes], tuple[Shelf, str]]) -> Content:
    """Give the tar that a record describes: READ reads the record, SHELVED says where the file of a name lies.

    Raises ValueError, saying why, for what is no such record and for a tar that cannot be given this way: one with
    sparse files, whose content on disk is not what the tar holds.
    """
    pieces = Pieces()
    segments = Segments()
    start = 0
    last = b""
    for entry in _entries(read):
        try:
            kind = entry["type"]
        except (TypeError, KeyError):
            raise ValueError("it has a line that is no entry") from None
        if kind == _SEGMENT:
            last = a2b_base64(entry["payload"] or "", strict_mode=True)
            if _SPARSE in last:
                raise ValueError("it holds sparse files")
            segments.append(last)
            continue
        size = entry.get("size", 0)
        if kind != _FILE or not isinstance(size, int) or size < 0:
            raise ValueError(f"it has an entry of type {kind!r} and size {size!r}")
        if size:
            if last[-_TYPE_FROM_END : 1 - _TYPE_FROM_END] not in {b"\0", b"0", b"7"}:
                raise ValueError("it gives content to what is no regular file")
            pieces.append(segments, start, segments.size - start)
            start = segments.size
            pieces.shelve(*shelved(_name(entry)), size)
    segments.flush()
    pieces.append(segments, start, segments.size - start)
    return Content(pieces)


def _entries(read: Callable[[int], bytes]) -> Iterator[Any]:
    """Give what the lines hold, many read and decoded at a time: one at a time, that is what takes longest."""
    parts: list[bytes] = []
    size = 0
    while block := read(_BATCH):
        lines, newline, rest = block.rpartition(b"\n")
        if newline:
            parts.append(lines)
            yield from _decoded(b"".join(parts))
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > _MAX_LINE:
            raise ValueError("it has a line too long to be read")
    if size:
        raise ValueError("it is cut short")


def _decoded(lines: bytes) -> list[Any]:
    entries: list[Any] = json.loads(b"[" + lines.replace(b"\n", b",\n") + b"]")
    if len(entries) != lines.count(b"\n") + 1:
        raise ValueError("it has a line that is no entry")
    return entries


def _name(entry: dict[str, Any]) -> bytes:
    raw = entry.get("name_raw")
    return a2b_base64(raw, strict_mode=True) if raw else str(entry["name"]).encode("utf-8")
