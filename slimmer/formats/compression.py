"""Blobs in gzip and zstd, read and written as streams in a bounded number of bytes.

Which of the two a blob is in is told by its first bytes: media types are wrong often enough (a registry's mirror that
decompresses, an archive that somebody packed again), and the digests are checked in any case.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from slimmer.chunks import Chunk

_CHUNK = 1 << 20
_MAGIC_SIZE = 4
_LEVEL = {"gzip": 6, "zstd": 3}
_BLOCK = 1 << 20
"""Bytes that one thread compresses at a time. The output depends on it: another value is another digest."""
_WINDOW = 32 << 10
_MAX_WINDOW_LOG = 27
"""128 MiB, what every zstd decoder takes without being asked to; a frame may demand 2 GiB of memory otherwise."""


class Compression(StrEnum):
    """What a blob is compressed with, by the name that a person gives it."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"

    @property
    def suffix(self) -> str:
        """What the media type of a layer in it ends with (OCI image specification, layer.md)."""
        return "" if self is Compression.NONE else f"+{self}"

    @classmethod
    def of(cls, head: bytes) -> Compression:
        """Give what a blob with these first bytes is compressed with."""
        if head[:2] == b"\x1f\x8b":
            return cls.GZIP
        # It may begin with a skippable frame (RFC 8878, section 3.1.2): parallel compressors and zstd:chunked do.
        is_skippable = head[1:4] == b"\x2a\x4d\x18" and head[:1] and head[0] & 0xF0 == 0x50
        return cls.ZSTD if head[:_MAGIC_SIZE] == b"\x28\xb5\x2f\xfd" or is_skippable else cls.NONE


class CompressionError(Exception):
    """A stream is not what it begins as: damaged, cut short, or wanting more memory than anyone should give."""


def decompressed(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """Give what CHUNKS decompress to, at most 1 MiB at a time; raise CompressionError where they do not.

    Members (RFC 1952, section 2.2) and frames may follow one another: parallel compressors write such.
    """
    if compression is Compression.NONE:
        yield from chunks
        return
    decoder: _Decoder | None = None
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if decoder is None or decoder.eof:
                    if decoder is not None and not data.strip(b"\0"):
                        break  # padding behind the last member, as tapes and `dd` leave it
                    decoder = _Gzip() if compression is Compression.GZIP else _Zstd()
                yield from _fed(decoder, data)
                data = decoder.rest
    except (zlib.error, zstd.ZstdError) as error:
        raise CompressionError(f"not the {compression} stream that it begins as: {error}") from error
    if decoder is None or not decoder.eof:
        raise CompressionError(f"the {compression} stream is cut short")


def _fed(decoder: _Decoder, data: bytes) -> Iterator[bytes]:
    """Give all that a decoder makes of DATA, up to the end of the member or frame."""
    part = decoder.feed(data)
    while True:
        if part:
            yield part
        if decoder.eof or decoder.wants_input:
            return
        part = decoder.feed(b"")


class _Decoder(Protocol):
    """What decompresses one member or frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def wants_input(self) -> bool: ...

    @property
    def rest(self) -> bytes:
        """What was fed and lies behind the end."""

    def feed(self, data: bytes) -> bytes:
        """Give the next that DATA, and what was fed before, decompresses to: 1 MiB at the most."""


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def wants_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def rest(self) -> bytes:
        return self._inflate.unused_data

    def feed(self, data: bytes) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, _CHUNK)


class _Zstd:
    def __init__(self) -> None:
        self._decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG})

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def wants_input(self) -> bool:
        return self._decoder.needs_input

    @property
    def rest(self) -> bytes:
        return self._decoder.unused_data

    def feed(self, data: bytes) -> bytes:
        return self._decoder.decompress(data, _CHUNK)


def compressed(chunks: Iterable[Chunk], compression: Compression) -> Iterator[Chunk]:
    """Give CHUNKS compressed. The same bytes in give the same bytes out, however many cores there are.

    Another version of zlib or zstd may compress otherwise; an image's ID does not depend on it, only its blob's digest.
    """
    if compression is Compression.NONE:
        return iter(chunks)
    return _gzipped(chunks) if compression is Compression.GZIP else _zstd_compressed(chunks)


def _zstd_compressed(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    encoder = zstd.ZstdCompressor(_LEVEL["zstd"])
    for chunk in chunks:
        if data := encoder.compress(chunk):
            yield data
    yield encoder.flush()


def _gzipped(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """Give one gzip member, its blocks deflated in parallel, each with the 32 KiB before it as its dictionary."""
    yield b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # no name, no time, no operating system (RFC 1952, section 2.3)
    workers = os.cpu_count() or 1
    crc = size = 0
    before = b""
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for block in _blocks(chunks):
                crc, size = zlib.crc32(block, crc), size + len(block)
                waiting.append(pool.submit(_deflated, block, before))
                before = block[-_WINDOW:]
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
    yield b"\x03\0"  # a last block, empty: those before it end with a flush
    yield crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def _deflated(block: bytes, before: bytes) -> bytes:
    deflate = zlib.compressobj(_LEVEL["gzip"], zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, before)
    return deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _blocks(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    parts: list[Chunk] = []
    held = 0
    for chunk in chunks:
        data = chunk
        while held + len(data) >= _BLOCK:
            cut = _BLOCK - held
            yield b"".join([*parts, data[:cut]])
            parts, held, data = [], 0, data[cut:]
        if data:
            parts.append(data)
            held += len(data)
    if parts:
        yield b"".join(parts)
