from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
from typing import TYPE_CHECKING

import pytest

from slimmer.blobs import Bytes
from slimmer.content import CHUNK, Content, Piece
from slimmer.formats.diff_directory import DiffDirectory, OpenFiles, StoredFile
from slimmer.once import chunks_once

if TYPE_CHECKING:
    from pathlib import Path

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
    return StoredFile(DiffDirectory(path.parent, "sha256:1", OpenFiles(4), OpenFiles(4)), b"file", path.stat().st_size)


def forget(path: Path) -> None:
    """Have the kernel write a file and forget it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if held(path):
        pytest.fail(f"the file system of {path} keeps all its files in memory; set TMPDIR to a directory on a disk")


def held(path: Path) -> int:
    """Give how many bytes of a file the kernel holds in memory: to read it would change that."""
    command = ["fincore", "--bytes", "--raw", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


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


def test_a_changed_file_stays_until_its_digests_are_known(path: Path) -> None:
    """What is to be done afterwards is done once, while the bytes are still there; the old digest leaves the file."""
    file = stored(path)
    old = Content([Piece(file, 0, SIZE)])
    new = old.overlaid(40, b"new")
    during: list[int] = []
    new.then(lambda: during.append(held(path)))
    new.then(lambda: digest(old))

    digest(new)
    new.passed()
    after = held(path)
    new.passed()

    assert len(during) == 1
    assert during[0] >= SIZE
    assert after < SIZE // 10


def test_in_another_process_nothing_follows() -> None:
    """A content that is sent is its bytes."""
    content = Content([Piece(Bytes(b"bytes"), 1, 3)])
    content.then(lambda: pytest.fail("this is another process"))

    sent = pickle.loads(pickle.dumps(content))  # noqa: S301 - as elf/work/passing.py does it
    sent.passed()

    assert sent.read_at(0, 9) == b"yte"
