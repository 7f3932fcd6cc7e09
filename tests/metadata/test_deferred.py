from __future__ import annotations

import hashlib

import pytest

from slimmer.blobs import Bytes
from slimmer.content import Content, Piece
from slimmer.metadata.deferred import Deferred, Digests, Edit, edited


def test_is_made_at_the_first_read_and_never_again() -> None:
    """The size is known at once, the bytes are asked for once."""
    asked: list[bytes] = []

    def make() -> bytes:
        asked.append(b"")
        return b"digest"

    blob = Deferred(6, make)
    content = Content([Piece(blob, 0, 6)])

    assert content.size == 6
    assert asked == []
    assert [content.read_at(0, 6), content.read_at(2, 3), b"".join(content.chunks(2))] == [b"digest", b"ges", b"digest"]
    assert len(asked) == 1


def test_a_broken_promise_is_a_fault() -> None:
    """A layer's headers are written before the bytes: a blob of another length must not get into it."""
    with pytest.raises(AssertionError, match="promised as 4 bytes and has 5"):
        Deferred(4, lambda: b"12345").read_at(0, 4)


def test_no_more_than_there_is() -> None:
    """As every blob, it says so when there are fewer bytes than asked for."""
    with pytest.raises(EOFError):
        Deferred(4, lambda: b"1234").read_at(2, 3)


def test_a_content_is_hashed_once_for_each_algorithm() -> None:
    """Two databases that record one file cost one reading."""
    reads: list[int] = []

    class Counting:
        def read_at(self, offset: int, length: int) -> bytes:
            reads.append(offset)
            return b"x" * length

    content = Content([Piece(Counting(), 0, 5)])
    digests = Digests()

    assert digests.of(content, "sha256") == digests.of(content, "sha256") == hashlib.sha256(b"xxxxx").digest()
    assert digests.of(content, "md5").hex() == hashlib.md5(b"xxxxx", usedforsecurity=False).hexdigest()
    assert len(reads) == 2


def test_edits_leave_every_other_byte() -> None:
    """Edits may change the length, stand at either end and touch each other."""
    edits = [Edit(0, 1, Bytes(b"ABC"), 3), Edit(1, 2, Bytes(b""), 0), Edit(5, 1, Bytes(b"F"), 1)]

    result = edited(Content.of(b"abcdef"), edits)

    assert result.read_at(0, result.size) == b"ABCdeF"
