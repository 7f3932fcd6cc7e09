from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimmer.blobs import ZEROS, Bytes, File
from slimmer.content import Content
from slimmer.cursor import Cursor
from slimmer.pieces import Piece, Pieces

if TYPE_CHECKING:
    from pathlib import Path

Part = bytes | int | str
"""Data, a hole of so many bytes, or what lies on a shelf, under a name that is its bytes."""
PIECES = st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 40), st.text("ab", max_size=40)), max_size=9)


class Shelf:
    """A shelf that notes what is asked for; its blobs are their names, in small letters or in capital ones."""

    def __init__(self, *, is_capital: bool = False) -> None:
        self.asked: list[str] = []
        self._is_capital = is_capital

    def bytes_of(self, name: str) -> bytes:
        """Give the bytes of a blob."""
        return (name.upper() if self._is_capital else name).encode()

    def blob(self, name: str, size: int) -> Bytes:
        """Give the blob of a name."""
        assert size == len(name)
        self.asked.append(name)
        return Bytes(self.bytes_of(name))


def build(parts: list[Part], *shelves: Shelf) -> tuple[Content, bytes]:
    """Give a content of parts, and the bytes that it is; two after each other lie on each of SHELVES in turn."""
    shelves = shelves or (Shelf(), Shelf(is_capital=True))
    pieces = Pieces()
    expected = b""
    for number, part in enumerate(parts):
        if isinstance(part, str):
            shelf = shelves[number // 2 % len(shelves)]
            pieces.shelve(shelf, part, len(part))
            expected += shelf.bytes_of(part)
        elif isinstance(part, int):
            pieces.append(ZEROS, 0, part)
            expected += bytes(part)
        else:
            pieces.append(Bytes(b"<" + part), 1, len(part))
            expected += part
    return Content(pieces), expected


@given(PIECES, st.integers(0, 200), st.integers(0, 200))
def test_reads_what_bytes_would(parts: list[Part], offset: int, length: int) -> None:
    """A content reads as the bytes that it stands for, at any place, and ends where they end."""
    content, expected = build(parts)

    assert content.size == len(expected)
    assert content.read_at(offset, length) == expected[offset : offset + length]
    assert b"".join(content.chunks(7)) == expected
    assert content.open().read() == expected
    assert content.open().read(length) == expected[:length]
    assert b"".join(piece.blob.read_at(piece.offset, piece.length) for piece in content) == expected
    assert [content.piece(index) for index in range(len(content.pieces))] == list(content.pieces)


@given(PIECES, st.data())
def test_slice_and_overlay(parts: list[Part], data: st.DataObject) -> None:
    """A slice is those bytes; an overlay replaces just as many as it has."""
    content, expected = build(parts)
    start = data.draw(st.integers(0, len(expected)))
    stop = data.draw(st.integers(start, len(expected)))
    patch = data.draw(st.binary(min_size=stop - start, max_size=stop - start))

    assert b"".join(content.slice(start, stop).chunks()) == expected[start:stop]
    assert b"".join(content.overlaid(start, patch).chunks()) == expected[:start] + patch + expected[stop:]


@given(PIECES, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60))))
def test_a_cursor_gives_what_the_content_gives(parts: list[Part], places: list[tuple[int, int]]) -> None:
    """At places that rise, at others too, and beyond the end."""
    content, expected = build(parts)
    for asked in (sorted(places), places):
        cursor = Cursor(content)
        for offset, length in asked:
            assert cursor.read_at(offset, length) == expected[offset : offset + length]


@given(PIECES, PIECES)
def test_differs_as_bytes_differ(left: list[Part], right: list[Part]) -> None:
    """Two contents differ when their bytes do, however they are cut into pieces."""
    one, other = build(left), build(right)

    assert one[0].differs(other[0]) == (one[1] != other[1])
    assert not one[0].differs(Content.of(one[1]))


class Untouched:
    """A blob that must not be read."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Fail."""
        raise AssertionError(f"{length} bytes were read at {offset}")


def test_a_reader_keeps_to_the_piece_that_is_asked_for() -> None:
    """Reading what lies before and behind a piece does not touch it: headers are read and files are not opened."""
    content = Content(
        [Piece(Bytes(b"a" * 512), 0, 512), Piece(Untouched(), 0, 1 << 30), Piece(Bytes(b"z" * 512), 0, 512)]
    )

    cursor = Cursor(content)
    assert cursor.read_at(0, 512) == b"a" * 512
    assert content.slice(512, 512 + (1 << 30)).pieces == content.pieces[1:2]
    assert cursor.read_at(512 + (1 << 30), 512) == b"z" * 512

    with content.open() as stream:
        assert stream.read(512) == b"a" * 512
        stream.seek(512 + (1 << 30))
        assert stream.read(1024) == b"z" * 512
        stream.seek(512)
        with pytest.raises(AssertionError, match="bytes were read at 0"):
            stream.read(1)


def test_places_that_take_more_than_eight_bytes() -> None:
    """A damaged image may say of a sparse file what it likes."""
    content = Content([Piece(Bytes(b"a"), 0, 1), Piece(ZEROS, 1 << 70, 1 << 65), Piece(Bytes(b"z"), 0, 1)])

    assert content.size == (1 << 65) + 2
    assert content.read_at(1 << 65, 2) == b"\0z"
    assert content.pieces[1] == Piece(ZEROS, 1 << 70, 1 << 65)


def test_a_content_of_many_pieces_is_small() -> None:
    """A layer's tar has two for each file, and is held as long as the layer is read."""
    blob = Bytes(b"words")
    tracemalloc.start()
    content = Content(Piece(blob, number % 4, 1 + number % 2) for number in range(100_000))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert content.size == 150_000
    assert content.piece(77_777) == Piece(blob, 1, 2)
    assert held < 19 * 100_000


def test_places_beyond_four_gigabytes() -> None:
    """A layer may have more, and each of its files is where it is."""
    pieces = [*(Piece(ZEROS, number << 30, 1 << 30) for number in range(6)), Piece(Bytes(b"end"), 0, 3)]
    content = Content(pieces)

    assert list(content) == pieces
    assert content.read_at((6 << 30) - 1, 4) == b"\0end"
    assert content.slice(3 << 30, 6 << 30).pieces == tuple(pieces[3:6])


def test_what_is_read_once_is_not_taken_down() -> None:
    """Of a million files on shelves none is held that is only read: each look asks the shelf anew."""
    shelf = Shelf()
    tar, _ = build([b"head", "abc", b"head", "de"], shelf)
    file = tar.slice(4, 7)
    assert not shelf.asked

    for _ in range(2):
        assert file.read_at(1, 2) == b"bc"
        assert file.front().length == file.size == 3
        assert list(file.chunks(2)) == [b"ab", b"c"]

    assert shelf.asked == ["abc"] * 8


def test_what_is_taken_down_stays_the_same() -> None:
    """Two contents are compared without reading where they are the same places of the same blob."""
    shelf = Shelf()
    tar, _ = build([b"head", "abc", b"head"], shelf)
    file = tar.part(1)

    first, last = file.slice(0, 1), file.slice(1, 3)

    assert file.piece(0).blob is first.piece(0).blob is last.piece(0).blob is file.front().blob
    assert shelf.asked == ["abc"]
    assert file.read_at(0, 3) == b"abc"
    assert not file.differs(Content([*first, *last]))
    assert shelf.asked == ["abc"]


def test_slice_outside_is_refused() -> None:
    """A place outside the content is an error, not fewer bytes."""
    with pytest.raises(EOFError, match="bytes 2 to 9 of a content of 5"):
        Content.of(b"abcde").slice(2, 9)


def test_a_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    """A source that is cut while it is read ends the run; the missing bytes do not become something else."""
    path = tmp_path / "blob"
    path.write_bytes(b"abc")
    with path.open("rb") as stream, pytest.raises(EOFError, match="the file ends 2 bytes before"):
        Content([Piece(File(stream), 0, 5)]).read_at(0, 5)
