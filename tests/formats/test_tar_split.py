from __future__ import annotations

import base64
import io
import json
import tracemalloc
from typing import Any

import pytest

from slimmer.blobs import Bytes
from slimmer.formats.tar_split import Segments, assemble

from handmade import directory, file, hard_link, make_tar


def segment(data: bytes) -> dict[str, Any]:
    """Give the entry of raw bytes."""
    return {"type": 2, "payload": base64.b64encode(data).decode()}


def record(*entries: Any) -> io.BytesIO:
    """Give a record of these entries, as the engine writes it."""
    return io.BytesIO(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))


TAR = make_tar(file("a", b"x" * 700), directory("d"), hard_link("l", "a"))
ENTRIES = [
    segment(TAR[:512]), {"type": 1, "name": "a", "size": 700, "payload": "AAAAAAAAAAA="},
    segment(TAR[512 + 700 : 1536]), segment(TAR[1536:2048]), {"type": 1, "name": "d/", "payload": None},
    segment(TAR[2048:2560]), {"type": 1, "name": "l", "payload": None}, segment(TAR[2560:]), {"type": 2, "payload": ""},
]  # fmt: skip


class Shelf:
    """Where the files of records lie, all of them x."""

    def blob(self, name: str, size: int) -> Bytes:
        """Give one of them."""
        assert name == "here"
        return Bytes(b"x" * size)


def shelved(name: bytes) -> tuple[Shelf, str]:
    """Say where a file lies."""
    assert name == b"a"
    return Shelf(), "here"


def test_gives_the_tar_that_was_split() -> None:
    """Raw bytes and files in their order are the tar again, and neighbouring raw bytes are one piece."""
    content = assemble(record(*ENTRIES).read, shelved)

    assert b"".join(content.chunks(100)) == TAR
    assert len(content.pieces) == 3


def test_a_name_that_is_no_text() -> None:
    """A name that JSON cannot hold comes as base64 and is asked for as the bytes that it is."""
    asked: list[bytes] = []

    def note(name: bytes) -> tuple[Shelf, str]:
        asked.append(name)
        return Shelf(), "here"

    assemble(
        record(segment(TAR[:512]), {"type": 1, "name_raw": base64.b64encode(b"\xff/\xfe").decode(), "size": 1}).read,
        note,
    )

    assert asked == [b"\xff/\xfe"]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (io.BytesIO(b"{"), "cut short"),
        (io.BytesIO(b"nonsense\n"), "Expecting value"),
        (record([]), "no entry"),
        (record({"name": "a"}), "no entry"),
        (record({"type": 3}), "type 3"),
        (record(segment(TAR[:512]), {"type": 1, "name": "a", "size": -1}), "size -1"),
        (record(segment(TAR[:512]), {"type": 1, "name": "a", "size": "7"}), "size '7'"),
        (record({"type": 2, "payload": "no base64!"}), "base64"),
        (record({"type": 1, "name": "a", "size": 1}), "no regular file"),
        (record(segment(TAR[2048:2560]), {"type": 1, "name": "l", "size": 1}), "no regular file"),
        (record(segment(make_tar(file("s", pax={"GNU.sparse.major": "1"}))[:1536])), "sparse"),
    ],
    ids=["cut", "no JSON", "list", "untyped", "unknown type", "negative", "size as text", "no base64", "no header", "content of a link", "sparse"],
)  # fmt: skip
def test_what_is_no_record_is_refused(stream: io.BytesIO, reason: str) -> None:
    """What cannot be put together into the tar, byte by byte, is refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        assemble(stream.read, lambda _name: (Shelf(), "here"))


def test_segments_across_blocks() -> None:
    """Raw bytes read the same wherever a block ends, and not past their end."""
    segments = Segments()
    data = b"".join(number.to_bytes(4, "big") for number in range(60_000))
    for start in range(0, len(data), 1000):
        segments.append(data[start : start + 1000])
    segments.flush()

    assert all(segments.read_at(at, 3000) == data[at : at + 3000] for at in range(0, len(data) - 3000, 777))
    assert segments.read_at(0, len(data)) == data
    with pytest.raises(EOFError, match="of segments of 240000"):
        segments.read_at(len(data) - 1, 2)


def test_a_file_of_a_layer_takes_little_memory() -> None:
    """A million files are two million pieces (issue 5): of a file only its name is held, which the tree has too."""
    count = 20_000
    names = [f"{number:07}.py" for number in range(count)]
    shelf = Shelf()
    header = make_tar(file("a", b"x"))[:512]
    lines = (entry for name in names for entry in (segment(header), {"type": 1, "name": name, "size": 1}))
    stream = record(*lines)
    tracemalloc.start()
    try:
        content = assemble(stream.read, lambda name: (shelf, names[int(name[:7])]))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert content.size == count * 513
    assert held / count < 45
