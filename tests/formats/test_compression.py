from __future__ import annotations

import gzip
import subprocess
import zlib

import pytest

from slimmer.formats.compression import Compression, CompressionError, compressed, decompressed

from image_files import zstd

# Sixteen-bit steps of a square: does not compress well, and is the same everywhere.
DATA = (
    b"".join((n * n * 2654435761 >> 7 & 0xFFFF).to_bytes(2, "big") for n in range(150_000))
    + bytes(3_000_000)
    + b"text " * 200_000
)


def chunks(data: bytes, size: int = 70_000) -> list[bytes]:
    """Give DATA in pieces."""
    return [data[start : start + size] for start in range(0, len(data), size)]


PACK = {Compression.GZIP: gzip.compress, Compression.ZSTD: zstd}
UNPACK = {Compression.GZIP: ["gzip", "-dc"], Compression.ZSTD: ["zstd", "-dcq"]}


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("size", [1, 7, 70_000, 10**9])
def test_what_others_packed_is_unpacked(compression: Compression, size: int) -> None:
    """However the stream is cut, in pieces of a bounded size."""
    packed = PACK[compression](DATA[:400_000])

    pieces = list(decompressed(chunks(packed, size), compression))

    assert b"".join(pieces) == DATA[:400_000]
    assert max(map(len, pieces)) <= 1 << 20
    assert Compression.of(packed) is compression


@pytest.mark.parametrize("compression", PACK)
def test_what_we_pack_others_unpack(compression: Compression) -> None:
    """The programs themselves are asked, and twice the same comes out, however the input is cut."""
    packed = b"".join(compressed(chunks(DATA), compression))

    done = subprocess.run(UNPACK[compression], input=packed, capture_output=True, check=True)

    assert done.stdout == DATA
    assert b"".join(compressed(chunks(DATA), compression)) == packed
    assert len(packed) < len(DATA) / 10


def test_gzip_does_not_depend_on_the_cut_or_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of a layer must not."""
    packed = b"".join(compressed(chunks(DATA), Compression.GZIP))
    monkeypatch.setattr("os.cpu_count", lambda: 1)

    assert b"".join(compressed(chunks(DATA, 999), Compression.GZIP)) == packed


@pytest.mark.parametrize("compression", [*PACK, Compression.NONE])
def test_nothing_is_something_too(compression: Compression) -> None:
    """An empty input comes back as one."""
    packed = map(bytes, compressed([], compression))

    assert b"".join(decompressed(packed, compression)) == b""


@pytest.mark.parametrize("compression", PACK)
def test_members_and_frames_follow_one_another(compression: Compression) -> None:
    """Parallel compressors write such, and tapes pad with zeros."""
    packed = PACK[compression](b"one ") + PACK[compression](b"two")

    assert b"".join(decompressed(chunks(packed, 5), compression)) == b"one two"
    assert b"".join(decompressed([packed, bytes(512)], compression)) == b"one two"


def test_skippable_frames_are_skipped() -> None:
    """zstd:chunked keeps its table of contents in one, and a stream may begin with one."""
    frame = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    packed = frame + zstd(b"data") + frame

    assert Compression.of(packed) is Compression.ZSTD
    assert b"".join(decompressed(chunks(packed, 4), Compression.ZSTD)) == b"data"


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("damage", ["cut", "flipped", "followed"])
def test_damage_is_told(compression: Compression, damage: str) -> None:
    """Cut short, changed inside, or followed by something else: an error, never fewer bytes."""
    packed = bytearray(PACK[compression](DATA[:100_000]))
    if damage == "cut":
        del packed[-3:]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0x55
    else:
        packed += b"what is this"

    with pytest.raises(CompressionError):
        list(decompressed([bytes(packed)], compression))


def test_a_frame_that_wants_gigabytes_of_memory_is_refused() -> None:
    """A window of 1 GiB: what decoders refuse unless they are told to take it."""
    packed = subprocess.run(
        ["zstd", "-q", "-c", "--ultra", "--long=30"], input=bytes(1000), capture_output=True, check=True
    ).stdout
    # zstd writes a window that fits the input; the header's byte says it is larger.
    assert packed[:4] == b"\x28\xb5\x2f\xfd"
    hostile = packed[:4] + bytes([packed[4] & ~0x20 & 0x3F, (30 - 10) << 3]) + packed[5:]

    with pytest.raises(CompressionError, match="zstd"):
        list(decompressed([hostile], Compression.ZSTD))


def test_a_bomb_comes_in_bounded_pieces() -> None:
    """A thousandfold in one block does not become one block of memory."""
    packed = zlib.compress(bytes(64 << 20), 9, 31)

    assert all(len(piece) <= 1 << 20 for piece in decompressed([packed], Compression.GZIP))
