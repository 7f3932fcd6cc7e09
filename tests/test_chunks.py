from __future__ import annotations

import os
from typing import TYPE_CHECKING

from slimmer.chunks import CHUNK, Buffers
from slimmer.content import Content, Piece
from slimmer.formats.compression import Compression, compressed, decompressed
from slimmer.formats.diff_directory import DiffDirectory, OpenFiles, StoredFile
from slimmer.once import chunks_once

if TYPE_CHECKING:
    from pathlib import Path


def test_a_buffer_is_used_again_when_nobody_looks_at_it() -> None:
    """The same memory comes back once the last view of a part of it is gone, and not before."""
    buffers = Buffers()
    first = buffers.take()
    part = memoryview(first)[10:20][2:4]
    buffers.give_back(first)
    second = buffers.take()

    assert second is not first
    del part
    assert buffers.take() is first


def test_a_buffer_that_was_not_given_back_is_nobody_elses() -> None:
    """Two that are taken at a time are two."""
    buffers = Buffers()

    assert buffers.take() is not buffers.take()


def test_who_holds_chunks_keeps_them(tmp_path: Path) -> None:
    """All chunks of a file that the kernel does not hold are its bytes, held all at a time, or in parts by a packer."""
    data = os.urandom(9 * CHUNK + 4097)
    path = tmp_path / "file"
    path.write_bytes(data)

    def content() -> Content:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        directory = DiffDirectory(tmp_path, "sha256:1", OpenFiles(4), OpenFiles(4))
        return Content([Piece(StoredFile(directory, b"file", len(data)), 0, len(data))])

    held = list(chunks_once(content()))
    packed = [*map(bytes, compressed(chunks_once(content()), Compression.GZIP))]

    assert b"".join(held) == data
    assert any(isinstance(chunk, memoryview) for chunk in held)
    assert b"".join(decompressed(packed, Compression.GZIP)) == data
