"""GPU code packed with zstd instead of LZ4: the same code in two thirds of the bytes, for drivers that read it.

CUDA 12.4's driver, 550.54.14, is the first that does; older ones say "device kernel image is invalid". Only a payload
and the fields that say how it is packed change. Each is unpacked again and compared before it is used.
"""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from slimmer.blobs import read_exactly
from slimmer.content import Content
from slimmer.elf.gpu.fatbin import ENTRY, LZ4, ZSTD
from slimmer.errors import DestinationError, ElfError, UsageError
from slimmer.pieces import Piece

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    import lz4.block as lz4_block
except ImportError:  # an extra of slimmer's: only this needs it
    lz4_block = None

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from slimmer.elf.gpu.fatbin import Entry
    from slimmer.elf.object import Object

_LEVEL = 12
"""19 saves a tenth more and takes ten times as long."""
_LARGEST = 256 << 20
"""Bytes of one piece of code, unpacked; none that was seen has a tenth of that."""
_LZ4_RATIO = 255
_SIZE, _COMPRESSED, _FLAGS = 3, 4, 11
"""Which fields of an entry's header say how its payload is packed."""


def require_lz4() -> None:
    """Raise UsageError unless the library that unpacks LZ4 is there."""
    if lz4_block is None:
        raise UsageError("--gpu-recompress needs the Python package lz4: pip install 'slimmer[gpu]'")


def recompressed(elf: Object, entries: Iterable[Entry]) -> dict[Entry, Content]:
    """Give other bytes for those of ENTRIES that zstd makes smaller, in a file that goes when nothing refers to it."""
    candidates = [entry for entry in entries if entry.flags & (LZ4 | ZSTD) == LZ4 and _is_bounded(entry)]
    if not candidates:
        return {}
    found = {}
    spool = _Spool()
    for entry, data in _in_parallel(elf, candidates):
        if len(data) < entry.size:
            found[entry] = Content([Piece(spool, spool.append(data), len(data))])
    return found


def _is_bounded(entry: Entry) -> bool:
    return 0 < entry.uncompressed_size <= min(_LARGEST, _LZ4_RATIO * entry.compressed_size + 64)


class _Spool:
    """A blob that grows, in a file without a name that goes with the last content that lies in it."""

    def __init__(self) -> None:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as contents refer to it
        self._descriptor = file.fileno()
        self._size = 0
        weakref.finalize(self, file.close)

    def append(self, data: bytes) -> int:
        """Give where DATA is from now on; raise DestinationError when there is no room for it."""
        start = self._size
        view = memoryview(data)
        while view:
            try:
                written = os.pwrite(self._descriptor, view, self._size)
            except OSError as error:
                raise DestinationError(
                    f"packed GPU code cannot be kept in {tempfile.gettempdir()}: {error.strerror}; "
                    "set TMPDIR to another directory"
                ) from error
            self._size += written
            view = view[written:]
        return start

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET."""
        return read_exactly(self._descriptor, offset, length)


def _in_parallel(elf: Object, entries: list[Entry]) -> Iterator[tuple[Entry, bytes]]:
    """Give each entry's new bytes, in order; as many are held as there are processors."""
    workers = os.cpu_count() or 1
    waiting: deque[tuple[Entry, Future[bytes]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for entry in entries:
                waiting.append((entry, pool.submit(_packed, elf.content, entry)))
                if len(waiting) > workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _packed(content: Content, entry: Entry) -> bytes:
    header = bytearray(content.read_at(entry.start, entry.header_size))
    frame = zstd.compress(unpacked(content, entry), _LEVEL)
    payload = frame + bytes(-len(frame) % 8)
    fields = list(ENTRY.unpack_from(header))
    fields[_SIZE], fields[_COMPRESSED], fields[_FLAGS] = len(payload), len(frame), entry.flags & ~LZ4 | ZSTD
    ENTRY.pack_into(header, 0, *fields)
    return bytes(header) + payload


def unpacked(content: Content, entry: Entry) -> bytes:
    """Give an entry's payload as a driver would unpack it; raise ElfError where it is not what its header says."""
    data = content.read_at(entry.start + entry.header_size, entry.compressed_size)
    require_lz4()
    try:
        if entry.flags & ZSTD:
            made = zstd.ZstdDecompressor().decompress(data, entry.uncompressed_size + 1)
        else:
            made = lz4_block.decompress(data, uncompressed_size=entry.uncompressed_size)
    except (zstd.ZstdError, lz4_block.LZ4BlockError) as error:
        raise ElfError(f"GPU code that does not unpack: {error}") from error
    if len(made) != entry.uncompressed_size:
        raise ElfError(f"GPU code that unpacks to {len(made)} bytes, and its header says {entry.uncompressed_size}")
    return bytes(made)


def same_code(old: Object, was: Entry, new: Object, now: Entry) -> bool:
    """Say whether two entries hold the same code and say the same of it, however it is packed."""
    sides = ((old.content, was), (new.content, now))
    headers = [content.read_at(entry.start, entry.header_size) for content, entry in sides]
    if not old.content.slice(was.start, was.stop).differs(new.content.slice(now.start, now.stop)):
        return True
    fields = [[*ENTRY.unpack_from(header)] for header in headers]
    for each in fields:
        each[_SIZE] = each[_COMPRESSED] = each[_FLAGS] = 0
    is_repacked = was.flags & (LZ4 | ZSTD) == LZ4 and now.flags == was.flags & ~LZ4 | ZSTD
    padding = new.content.read_at(
        now.start + now.header_size + now.compressed_size, now.payload_size - now.compressed_size
    )
    return (
        is_repacked
        and fields[0] == fields[1]
        and headers[0][ENTRY.size :] == headers[1][ENTRY.size :]
        and len(padding) < 8
        and not any(padding)
        and unpacked(old.content, was) == unpacked(new.content, now)
    )
