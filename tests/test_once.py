from __future__ import annotations

import hashlib
import itertools
import os
import pickle
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.blobs import Bytes
from slimmer.chunks import CHUNK
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.formats import diff_directory
from slimmer.formats.compression import Compression, compressed, decompressed
from slimmer.formats.diff_directory import DiffDirectory, OpenFiles, StoredFile
from slimmer.inode import Inode, Kind
from slimmer.layer import Entry
from slimmer.layer_writer import layer_chunks
from slimmer.once import chunks_once
from slimmer.pieces import Piece

from kernel_memory import forget, held

if TYPE_CHECKING:
    from slimmer.blobs import Blob
    from slimmer.chunks import Chunk

SIZE = 20 * CHUNK + 4097


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file that the kernel holds nothing of in memory."""
    file = tmp_path / "file"
    file.write_bytes(os.urandom(SIZE))
    forget(file)
    return file


def stored(path: Path) -> StoredFile:
    """Give the file as an engine's."""
    shelf, name = DiffDirectory(path.parent, "sha256:1", OpenFiles(4), OpenFiles(4)).shelved(path.name.encode())
    return shelf.blob(name, path.stat().st_size)


def digest(content: Content) -> str:
    """Give the SHA-256 of a content that is read once."""
    state = hashlib.sha256()
    for chunk in chunks_once(content):
        state.update(chunk)
    return state.hexdigest()


def test_what_came_from_the_disk_is_left_behind(path: Path) -> None:
    """The bytes are the file's, and hardly any of them is in memory afterwards."""
    assert digest(Content([Piece(stored(path), 0, SIZE)])) == hashlib.sha256(path.read_bytes()).hexdigest()
    forget(path)
    digest(Content([Piece(stored(path), 0, SIZE)]))

    assert held(path) < SIZE // 10


def test_what_was_in_memory_stays_there(path: Path) -> None:
    """Somebody may have use for it."""
    path.read_bytes()

    digest(Content([Piece(stored(path), 0, SIZE)]))

    assert held(path) >= SIZE


def test_it_does_not_pass_through_memory(path: Path) -> None:
    """What the kernel does not hold at first it does not hold half-way either."""
    chunks = chunks_once(Content([Piece(stored(path), 0, SIZE)]))
    read = sum(len(next(chunks)) for _ in range(10))

    assert read == 10 * CHUNK
    assert held(path) < SIZE // 20


def test_parts_of_a_file(path: Path) -> None:
    """They may begin and end anywhere, stand in any order, lie among other bytes and beyond each other."""
    file = stored(path)
    pieces = [
        Piece(file, 5, CHUNK + 1), Piece(Bytes(b"between"), 2, 4), Piece(file, CHUNK + 6, 3), Piece(file, SIZE - 4098, 4098),
        Piece(file, 0, 4096), Piece(file, 3 * CHUNK - 1, 2 * CHUNK + 2),
    ]  # fmt: skip
    content = Content(pieces)

    parts = list(chunks_once(content))

    assert b"".join(parts) == content.read_at(0, content.size)
    assert max(map(len, parts)) <= CHUNK


def test_a_file_system_that_cannot_read_past_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are the same, whether it says so at once or when it is read."""
    content = Content([Piece(stored(path), 0, SIZE)])
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    for kind in (os.O_RDONLY | os.O_DIRECTORY, os.O_WRONLY):  # refused in open(2), and in read(2)
        monkeypatch.setattr(diff_directory, "_PAST_MEMORY", kind)
        forget(path)

        assert digest(content) == expected


def test_a_file_that_shrinks_meanwhile(path: Path) -> None:
    """It is said, not filled up with what the buffer held before."""
    chunks = chunks_once(Content([Piece(stored(path), 0, SIZE)]))
    for _ in range(3):
        next(chunks)
    os.truncate(path, 5 * CHUNK + 10)

    with pytest.raises(SourceError, match=r"'file' of layer sha256:1 cannot be read"):
        list(chunks)


def test_all_that_was_opened_is_closed(path: Path) -> None:
    """Whether all is read or not."""
    content = Content([Piece(stored(path), 0, SIZE)])
    content.read_at(0, 1)
    before = descriptors()
    for count in (1, 99):
        chunks = chunks_once(content)
        deque(itertools.islice(chunks, count), maxlen=0)
        del chunks

        assert descriptors() == before


def descriptors() -> list[str]:
    """Give the descriptors that are open, less the one that is for that."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir() if path.exists())


class Heard:
    """What was heard of a content."""

    def __init__(self) -> None:
        self.places: list[tuple[Blob, int]] = []
        self.data = b""
        self.ends = 0

    def hear(self, blob: Blob, offset: int, data: Chunk) -> None:
        """Note it."""
        self.places.append((blob, offset))
        self.data += data

    def end(self) -> None:
        """Note it."""
        self.ends += 1


def test_who_needs_the_bytes_hears_them_once() -> None:
    """Where they lie, in their order, when the content is written into a layer the first time."""
    blob, other = Bytes(b"some bytes"), Bytes(b"more")
    content = Content([Piece(blob, 5, 5), Piece(other, 0, 2)])
    heard = [Heard(), Heard()]
    for one in heard:
        content.heard_by(one)
    inode = Inode(kind=Kind.FILE, mode=0o644, uid=0, gid=0, mtime=0, content=content)

    written = [b"".join(layer_chunks(iter([Entry("file", inode)]))) for _ in range(2)]

    assert written[0] == written[1]
    assert [(one.places, one.data, one.ends) for one in heard] == [([(blob, 5), (other, 0)], b"bytesmo", 1)] * 2


def test_in_another_process_nobody_hears() -> None:
    """A content that is sent is its bytes."""
    content = Content([Piece(Bytes(b"bytes"), 1, 3)])
    content.heard_by(Heard())

    sent = pickle.loads(pickle.dumps(content))  # noqa: S301 - as elf/work/passing.py does it

    assert sent.read_at(0, 9) == b"yte"
    assert sent.take_hearers() == ()


def test_who_holds_chunks_keeps_them(path: Path) -> None:
    """All chunks of a file that the kernel does not hold are its bytes, held all at a time, or in parts by a packer."""
    data = path.read_bytes()
    forget(path)
    held = list(chunks_once(Content([Piece(stored(path), 0, SIZE)])))
    forget(path)
    packed = [*map(bytes, compressed(chunks_once(Content([Piece(stored(path), 0, SIZE)])), Compression.GZIP))]

    assert b"".join(held) == data
    assert any(isinstance(chunk, memoryview) for chunk in held)
    assert b"".join(decompressed(packed, Compression.GZIP)) == data
