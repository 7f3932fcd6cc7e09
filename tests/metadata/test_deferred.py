from __future__ import annotations

import hashlib
import itertools

import pytest

from slimmer.blobs import Bytes
from slimmer.content import Content
from slimmer.metadata.deferred import Deferred, Digests, Edit, edited
from slimmer.once import chunks_once
from slimmer.pieces import Piece


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


class Read:
    """A blob that notes what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> bytes:
        """Give the bytes and note where they lie."""
        self.read.append((offset, offset + length))
        return self.data[offset : offset + length]


def sha256(data: bytes) -> bytes:
    """Give a digest by the standard library."""
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    "kept", [[(0, 10), (14, 20), (30, 37)], [(4, 9)], [(30, 40), (0, 10)], [(5, 10), (5, 10), (8, 12)], [(0, 40)], []]
)
def test_both_digests_of_a_changed_file_from_one_reading(kept: list[tuple[int, int]]) -> None:
    """Whatever ranges the new content has of the old one; where they stand in order nothing is read twice."""
    blob = Read(bytes(range(100, 150)))
    old = Content([Piece(blob, 6, 40)])
    new = Content(
        [*(piece for start, stop in kept for piece in old.slice(start, stop).pieces), Piece(Bytes(b"!"), 0, 1)]
    )
    digests = Digests()
    digests.expect(new, old, "sha256")
    digests.expect(new, old, "sha256")

    written = b"".join(chunks_once(new, new.take_hearers()))
    reads = list(blob.read)

    assert written == new.read_at(0, new.size)
    blob.read.clear()
    assert digests.of_both(new, old, "sha256") == (sha256(written), sha256(blob.data[6:46]))
    assert blob.read == []  # it is known by then
    if kept == sorted(kept) and all(stop <= start for (_, stop), (start, _) in itertools.pairwise(kept)):
        assert sorted(reads) == [(start, stop) for start, stop in sorted(reads) if start < stop]
        assert sum(stop - start for start, stop in reads) == 40


def test_digests_that_are_asked_for_before_the_file_is_written() -> None:
    """They are computed then, and not again when it is."""
    blob = Read(b"0123456789")
    old = Content([Piece(blob, 0, 10)])
    new = Content(old.slice(2, 7).pieces)
    digests = Digests()
    digests.expect(new, old, "sha256")

    early = digests.of_both(new, old, "sha256")
    blob.read.clear()
    list(chunks_once(new, new.take_hearers()))

    assert early == digests.of_both(new, old, "sha256") == (sha256(b"23456"), sha256(b"0123456789"))
    assert blob.read == [(2, 7)]


def test_an_old_content_in_several_places() -> None:
    """Each digest is of its own bytes."""
    old = Content([Piece(Bytes(b"abc"), 0, 3), Piece(Bytes(b"defgh"), 1, 4)])
    new = Content(old.slice(1, 5).pieces)

    assert Digests().of_both(new, old, "md5") == tuple(
        hashlib.md5(data, usedforsecurity=False).digest() for data in (b"bcef", b"abcefgh")
    )


def test_edits_leave_every_other_byte() -> None:
    """Edits may change the length, stand at either end and touch each other."""
    edits = [Edit(0, 1, Bytes(b"ABC"), 3), Edit(1, 2, Bytes(b""), 0), Edit(5, 1, Bytes(b"F"), 1)]

    result = edited(Content.of(b"abcdef"), edits)

    assert result.read_at(0, result.size) == b"ABCdeF"
