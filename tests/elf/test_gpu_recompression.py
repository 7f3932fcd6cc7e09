from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import lz4.block
import pytest

from slimmer.elf.gpu import recompression
from slimmer.elf.gpu.choice import Wanted
from slimmer.elf.gpu.compaction import areas
from slimmer.elf.gpu.fatbin import CUBIN, ENTRY, LZ4, ZSTD, Entry
from slimmer.elf.gpu.recompression import recompressed, require_lz4, same_code, unpacked
from slimmer.elf.gpu_contract import violations
from slimmer.elf.object import parse
from slimmer.elf.pruned import prune
from slimmer.errors import ElfError, UsageError

from fatbins import CODES, PACK_LZ4, container, entry, extracted, linked, loaded_containers, nvcc
from handmade import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slimmer.content import Content

    Open = Callable[[Path], Content]


def code(seed: int, size: int) -> bytes:
    """Give bytes that compress as machine code does: words of a small vocabulary, more or less at random."""
    chance = random.Random(seed)  # noqa: S311 - the same bytes each time
    words = [chance.randbytes(8) for _ in range(200)]
    return b"".join(chance.choice(words) for _ in range(size // 8))


def packed(arch: str, data: bytes) -> bytes:
    """Give an entry of machine code packed with LZ4, as nvcc packed it until CUDA 12."""
    block = lz4.block.compress(data, store_size=False)
    made = bytearray(entry(CUBIN, arch, len(block) + -len(block) % 8, flags=0x11 | LZ4, fill=block + bytes(8)))
    struct.pack_into("<I", made, 16, len(block))
    struct.pack_into("<Q", made, 56, len(data))
    return bytes(made)


def held(elf_content: Content) -> list[Entry]:
    """Give every entry of a library."""
    return [each for area in areas(parse(elf_content)) for one in area.containers for each in one.entries]


@pytest.fixture
def library(opened: Open, tmp_path: Path) -> Content:
    """Give a library of two containers, the code in them packed with LZ4 but for one entry."""
    first = container(packed("80", code(1, 60000)), packed("90", code(2, 50000)), entry(CUBIN, "100", 4096))
    return opened(linked(tmp_path, [first, container(packed("90", code(3, 90000)))]))


def test_the_same_code_in_fewer_bytes(library: Content, opened: Open, tmp_path: Path) -> None:
    """Each packed entry is a zstd frame of the same code, all others are as they were, and the library loads."""
    made = prune(parse(library), None, "amd64", recompress=True)
    assert made is not None
    path = save(made[0], tmp_path / "packed.so")
    before, after = held(library), held(opened(path))

    assert "3 packed with zstd, the same code in each" in made[1]
    assert [each.architecture for each in before] == [each.architecture for each in after]
    assert [each.flags & (LZ4 | ZSTD) for each in after] == [ZSTD, ZSTD, 0, ZSTD]
    assert [unpacked(opened(path), each) for each in after if each.flags & ZSTD] == [
        code(1, 60000),
        code(2, 50000),
        code(3, 90000),
    ]
    assert len(loaded_containers(path, 2)) == 2
    assert prune(parse(opened(path)), None, "amd64", recompress=True) is None


def test_both_at_once(library: Content) -> None:
    """Code that goes is not packed anew, and what stays is."""
    made = prune(parse(library), Wanted(frozenset({90})), "amd64", recompress=True)
    assert made is not None

    assert "2 of 4 pieces of GPU code removed, 2 packed with zstd" in made[1]
    assert [each.architecture.number for each in held(made[0])] == [90, 90]
    assert violations(library, made[0], Wanted(frozenset({90}))) != []
    assert violations(library, made[0], Wanted(frozenset({90})), same_code) == []


def test_other_code_in_a_frame_is_seen(library: Content) -> None:
    """The proof unpacks both: a frame of other code, or a field that says otherwise, is a violation."""
    made = prune(parse(library), None, "amd64", recompress=True)
    assert made is not None
    content = made[0]
    target = held(content)[0]
    frame = target.start + target.header_size
    for at, data in (
        (frame + target.compressed_size // 2, b"\x5a\xa5"),
        (target.start + 28, b"\x59"),
        (target.start + 56, b"\1"),
    ):
        assert violations(library, content.overlaid(at, data), None, same_code), at


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        pytest.param(16, struct.pack("<I", 1000), id="cut short"),
        pytest.param(56, struct.pack("<Q", 59999), id="longer than it says"),
        pytest.param(56, struct.pack("<Q", 60001), id="shorter than it says"),
        pytest.param(ENTRY.size, bytes(300), id="no LZ4"),
    ],
)
def test_damaged_code_is_kept(offset: int, value: bytes, library: Content) -> None:
    """Code that does not unpack keeps its library as it is, with a sentence."""
    damaged = library.overlaid(held(library)[0].start + offset, value)

    with pytest.raises(ElfError, match="unpack"):
        prune(parse(damaged), None, "amd64", recompress=True)


@pytest.mark.parametrize("size", [1 << 40, 1 << 27, 0])
def test_a_size_that_cannot_be_is_not_believed(size: int, library: Content) -> None:
    """An entry that says to unpack to more than LZ4 can pack stays as it is; nothing of that size is held."""
    first = held(library)[0]
    damaged = library.overlaid(first.start + 56, struct.pack("<Q", size))

    assert held(damaged)[0] not in recompressed(parse(damaged), held(damaged))


def test_without_the_library_for_lz4(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setattr(recompression, "lz4_block", None)
    with pytest.raises(UsageError, match=r"pip install 'slimmer\[gpu\]'"):
        require_lz4()


def test_nvidias_own_lister_unpacks_the_same(opened: Open, tmp_path: Path) -> None:
    """What cuobjdump extracts from the result is byte for byte what it extracts from what nvcc made."""
    library = nvcc(tmp_path, ["kernels.cu"], CODES, "-G", *PACK_LZ4)
    if not any(each.flags & LZ4 for each in held(opened(library))):
        pytest.skip("this nvcc packs nothing with LZ4")
    made = prune(parse(opened(library)), None, "amd64", recompress=True)
    assert made is not None
    path = save(made[0], tmp_path / "packed.so")

    assert extracted(library, tmp_path / "was") == extracted(path, tmp_path / "now")
