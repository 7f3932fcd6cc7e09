from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimmer.content import Content
from slimmer.elf.contract import violations
from slimmer.elf.filler import filler
from slimmer.elf.layout import without_dead_ranges
from slimmer.elf.object import PT_DYNAMIC, PT_LOAD, Object, parse
from slimmer.elf.shared import MIN_GAIN, laid_out, slim_shared_object
from slimmer.errors import ElfError

from filled import edited, image, memory, shortened, source_with_many_symbols, with_segment
from handmade import save
from loading import call

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[[Path], Content]
    Compile = Callable[..., Path]

SOURCE = Path(__file__).parents[2] / "fixtures" / "elf" / "answer.c"
FILLER = b"X" * 9000


def loads(elf: Object) -> list[tuple[int, int, int, int]]:
    """Give address, size in the file, size in memory and alignment of each PT_LOAD."""
    return [(each.vaddr, each.filesz, each.memsz, each.align) for each in elf.segments if each.type == PT_LOAD]


@pytest.fixture
def patched(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that compiles a library with many symbols and edits it as auditwheel does."""

    def compile_and_edit(edits: int, *flags: str) -> Path:
        library = tmp_path / "libanswer.so"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", *flags, "-o", library, "-x", "c", "-"],
            input=source_with_many_symbols(SOURCE.read_text()),
            text=True,
            check=True,
        )
        edited(library, edits)
        return library

    return compile_and_edit


@pytest.fixture
def library(compiled: Compile, opened: Open) -> Content:
    """Give a library without symbols, which has nothing to spare."""
    return opened(compiled("answer", "-s", "-Wl,--build-id", "-Wl,-z,separate-code"))


@pytest.mark.parametrize("flags", [("-g3",), ("-s",)], ids=["with symbols", "without symbols"])
@pytest.mark.parametrize("edits", [1, 2, 3, 5])
def test_filler_of_patchelf_goes(
    edits: int, flags: tuple[str, ...], patched: Callable[..., Path], opened: Open, tmp_path: Path
) -> None:
    """What patchelf filled is no longer in the file, all of the library is in memory as before, and it computes."""
    before = parse(opened(patched(edits, *flags)))

    made = slim_shared_object(before.content, "amd64", None)

    assert made is not None
    slimmed, how = made
    after = parse(slimmed)
    changed = [index for index, pair in enumerate(zip(loads(before), loads(after), strict=True)) if pair[0] != pair[1]]
    assert changed
    for (*was, align), (*now, same_align) in zip(loads(before), loads(after), strict=True):
        assert (was[0], was[2], align) == (now[0], now[2], same_align)
        assert now[1] <= was[1]
    assert before.content.size - slimmed.size >= MIN_GAIN
    spared = sum(was[1] - now[1] for was, now in zip(loads(before), loads(after), strict=True))
    assert f"{spared} bytes of patchelf's filler" in how
    assert ("symbol table" in how) == ("-g3" in flags)
    kept = without_dead_ranges(before, keep_filler=True) or before.content
    assert kept.size - slimmed.size >= 0x1000
    assert without_dead_ranges(after) is None
    assert filler(after) == {}
    saved = save(slimmed, tmp_path / "slimmed.so")
    assert call(saved, "answer") == 42
    assert call(saved, "exported_0123") == 123
    whole = [(vaddr, memsz) for vaddr, _, memsz, _ in loads(before)]
    assert memory(tmp_path / "libanswer.so", *whole[1:3]) == memory(saved, *whole[1:3])


@pytest.mark.parametrize("fill", [b"X", b"Z", b"\0"], ids=["X", "Z", "zero"])
def test_a_segment_of_nothing_but_filler(fill: bytes, library: Content, tmp_path: Path) -> None:
    """It takes no byte from the file any more and has as many zeros in memory; the loader takes its p_offset."""
    content, index = with_segment(library, fill * 9000)
    was = parse(content).segments[index]

    slimmed = laid_out(parse(content))

    now = parse(slimmed).segments[index]
    assert (now.filesz, now.memsz, now.vaddr, now.flags) == (0, was.memsz, was.vaddr, was.flags)
    assert (now.offset - now.vaddr) % now.align == 0
    assert slimmed.size <= library.size
    before, after = (save(each, tmp_path / name) for each, name in ((content, "before.so"), (slimmed, "after.so")))
    assert memory(before, (was.vaddr, 9000)) == [fill * 9000]
    assert memory(after, (was.vaddr, 9000)) == [bytes(9000)]
    assert call(after, "answer") == 42


def test_a_byte_amid_filler_stays(library: Content, tmp_path: Path) -> None:
    """What is not filler, and all before it, is somebody's; only what lies behind it goes."""
    content, index = with_segment(library, b"X" * 5000 + b"!" + b"X" * 9000)

    slimmed = laid_out(parse(content))

    now = parse(slimmed).segments[index]
    assert now.filesz == 5001
    assert memory(save(slimmed, tmp_path / "after.so"), (now.vaddr, 14001)) == [b"X" * 5000 + b"!" + bytes(9000)]
    assert violations(content, shortened(content, index, 5000)) == [
        f"segment {index} takes fewer bytes from the file, and they are no filler"
    ]


@pytest.mark.parametrize("held", [b"mixed" * 2000, b"XO" * 5000, b"Y" * 9000, b"XXXXXXX\0" * 2000])
def test_other_bytes_stay(held: bytes, library: Content) -> None:
    """No bytes but long runs of X, Z and zeros are filler."""
    content, index = with_segment(library, held)

    assert without_dead_ranges(parse(content)) is None
    assert slim_shared_object(content, "amd64", None) is None
    assert "no filler" in violations(content, shortened(content, index, 0))[0]


def _dynamic(elf: Object) -> tuple[int, list[tuple[int, int]]]:
    segment = next(segment for segment in elf.segments if segment.type == PT_DYNAMIC)
    packing = struct.Struct(elf.form.order + ("QQ" if elf.form.bits == 64 else "II"))
    return segment.offset, list(packing.iter_unpack(elf.content.read_at(segment.offset, segment.filesz)))


def _word(elf: Object, value: int) -> bytes:
    return value.to_bytes(elf.form.bits // 8, "little" if elf.form.little else "big")


def _table(elf: Object, tag: int) -> int:
    """Give where the table that a dynamic tag leads to is in the file."""
    address = dict(_dynamic(elf)[1])[tag]
    load = next(each for each in elf.segments if each.type == PT_LOAD and 0 <= address - each.vaddr < each.filesz)
    return address - load.vaddr + load.offset


def _named_by_the_dynamic_table(elf: Object, address: int) -> Content:
    offset, entries = _dynamic(elf)
    end = next(number for number, (tag, _) in enumerate(entries) if not tag)
    assert entries[end + 1] == (0, 0)  # linkers leave room
    return elf.content.overlaid(offset + 16 * end, _word(elf, 0x6FFFF000) + _word(elf, address))


def _relocated(elf: Object, address: int) -> Content:
    return elf.content.overlaid(_table(elf, 7), _word(elf, address))


def _relocated_across(elf: Object, address: int) -> Content:
    """Let a relocation write a word whose last byte alone is of the filler, or the first of which is asked for."""
    return elf.content.overlaid(_table(elf, 7), _word(elf, address - 7))


def _added(elf: Object, address: int) -> Content:
    return elf.content.overlaid(_table(elf, 7) + 16, _word(elf, address))


def _jumped_to(elf: Object, address: int) -> Content:
    return elf.content.overlaid(_table(elf, 23), _word(elf, address))


def _symbol(elf: Object, address: int) -> Content:
    return elf.content.overlaid(_table(elf, 6) + 24 * 5 + 8, _word(elf, address))


def _symbol_across(elf: Object, address: int) -> Content:
    """Let a symbol begin before the filler and be longer than all of it."""
    return elf.content.overlaid(_table(elf, 6) + 24 * 5 + 8, _word(elf, 0x1000) + _word(elf, address + 0x80000))


def _section(elf: Object, address: int) -> Content:
    section = next(section for section in elf.sections if section.name == ".bss")
    moved = section._replace(addr=address)
    return elf.content.overlaid(elf.header.shoff + section.index * elf.header.shentsize, moved.pack(elf.form))


def _program_header(elf: Object, address: int) -> Content:
    index = next(number for number, each in enumerate(elf.segments) if each.type == 0x6474E552)  # PT_GNU_RELRO
    stretched = replace(elf.segments[index], memsz=address + 1 - elf.segments[index].vaddr)
    return elf.content.overlaid(elf.header.phoff + index * elf.header.phentsize, stretched.pack(elf.form))


@pytest.mark.parametrize(
    ("name_it", "words"),
    [
        pytest.param(_named_by_the_dynamic_table, "the dynamic table names them", id="dynamic table"),
        pytest.param(_relocated, "a relocation names them", id="relocation"),
        pytest.param(_relocated_across, "a relocation names them", id="relocation across"),
        pytest.param(_added, "a relocation's addend names them", id="addend"),
        pytest.param(_jumped_to, "a relocation names them", id="relocation of a function"),
        pytest.param(_symbol, "a dynamic symbol names them", id="symbol"),
        pytest.param(_symbol_across, "a dynamic symbol names them", id="symbol across"),
        pytest.param(_section, "they belong to section .bss", id="section"),
        pytest.param(_program_header, "they belong to program header", id="program header"),
    ],
)
@pytest.mark.parametrize("place", [0, 4321, 8999])
def test_filler_that_something_names_stays(
    place: int, name_it: Callable[[Object, int], Content], words: str, compiled: Compile, opened: Open
) -> None:
    """Whatever names a byte of it may read it: it stays as it is, and the symbols go without it."""
    content, index = with_segment(opened(compiled("answer", "-g3", "-Wl,--build-id", "-Wl,-z,separate-code")), FILLER)
    named = name_it(parse(content), parse(content).segments[index].vaddr + place)

    (violation,) = (each for each in violations(named, shortened(named, index, 0)) if "takes fewer" in each)
    assert words in violation
    slimmed = laid_out(parse(named))
    now = parse(slimmed).segments[index]
    # What a header owns ends filler; what an address names is known to the proof alone.
    assert place < now.filesz <= 9000 if "they belong" in words else now.filesz == 9000
    assert slimmed.read_at(now.offset, now.filesz) == FILLER[: now.filesz]
    assert parse(slimmed).section_named(".debug_info") is None


def test_filler_that_a_packed_relocation_names_stays(compiled: Compile, opened: Open) -> None:
    """DT_RELR writes where its bits say, and what it adds to is in that place; both are addresses."""
    flags = ("-s", "-Wl,--build-id", "-Wl,-z,separate-code", "-Wl,-z,pack-relative-relocs")
    content, index = with_segment(opened(compiled("answer", *flags)), FILLER)
    elf = parse(content)
    address = elf.segments[index].vaddr
    table = _table(elf, 36)
    (place,) = struct.unpack("<Q", content.read_at(table, 8))
    load = next(each for each in elf.segments if each.type == PT_LOAD and 0 <= place - each.vaddr < each.filesz)

    written = content.overlaid(table, struct.pack("<Q", address + 8))
    added = content.overlaid(place - load.vaddr + load.offset, struct.pack("<Q", address + 4000))

    assert violations(content, shortened(content, index, 0)) == []
    assert "a relocation names them" in violations(written, shortened(written, index, 0))[0]
    assert "what a relocation adds to names them" in violations(added, shortened(added, index, 0))[0]


def test_filler_that_an_addend_in_place_names_stays(opened: Open, tmp_path: Path) -> None:
    """On i386 relocations have no addend: what they add to is where they write."""
    library = tmp_path / "libanswer.so"
    command = ["i686-linux-gnu-gcc", "-shared", "-fPIC", "-s", "-Wl,--build-id", "-Wl,-z,separate-code"]
    subprocess.run([*command, "-o", library, SOURCE], check=True)
    content, index = with_segment(opened(library), FILLER)
    elf = parse(content)
    address = elf.segments[index].vaddr
    (place,) = struct.unpack("<I", content.read_at(_table(elf, 17), 4))
    load = next(each for each in elf.segments if each.type == PT_LOAD and 0 <= place - each.vaddr < each.filesz)

    added = content.overlaid(place - load.vaddr + load.offset, struct.pack("<I", address + 4000))

    assert violations(content, shortened(content, index, 0)) == []
    assert "what a relocation adds to names them" in violations(added, shortened(added, index, 0))[0]


def test_bytes_of_other_segments_stay(library: Content) -> None:
    """Loaders put zeros into writable segments only; one without PF_W is read as it lies in the file."""
    content, index = with_segment(library, FILLER, flags=4)

    assert without_dead_ranges(parse(content)) is None
    assert "no writable PT_LOAD" in violations(content, shortened(content, index, 0))[0]


def test_pages_that_segments_share_stay(library: Content) -> None:
    """Whose bytes are seen in a page that two segments have depends on the loader: such filler is left alone."""
    content, index = with_segment(library, FILLER)
    elf = parse(content)
    last = max((each for each in elf.segments[:index] if each.type == PT_LOAD), key=lambda each: each.vaddr)
    address = last.vaddr + last.memsz + 8
    moved = replace(elf.segments[index], vaddr=address, offset=elf.segments[index].offset + address % 0x1000, filesz=60)
    shared = content.overlaid(elf.header.phoff + index * elf.header.phentsize, moved.pack(elf.form))

    assert "another segment lies in the same page" in violations(shared, shortened(shared, index, 1))[0]
    assert "a page that it shares" in violations(shared, shortened(shared, index, 0))[0]


def test_more_in_memory_than_before_is_a_violation(library: Content) -> None:
    """p_filesz may shrink; p_memsz may not change with it, nor p_filesz grow."""
    content, index = with_segment(library, FILLER)
    elf = parse(content)
    place = elf.header.phoff + index * elf.header.phentsize
    for changes in ({"filesz": 0, "memsz": 0}, {"filesz": 0, "memsz": 10000}, {"filesz": 0, "align": 0x2000}):
        changed = content.overlaid(place, replace(elf.segments[index], **changes).pack(elf.form))
        assert f"program header {index} changed" in violations(content, changed)
    assert f"program header {index} changed" in violations(shortened(content, index, 0), content)


def test_filler_that_saves_nothing_stays(compiled: Compile, opened: Open) -> None:
    """Where what lies behind moves by whole pages only and would not move, no segment is touched for less."""
    library = compiled("answer", "-g3")
    edited(library, 1)
    before = parse(opened(library))
    assert filler(before)

    after = parse(laid_out(before))

    assert loads(after) == loads(before)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    st.integers(0, 9000),
)
def test_mutated_objects_load_the_same(library: Content, edits: list[tuple[int, bytes]], place: int) -> None:
    """Whatever is written over headers and tables, an accepted result has the same memory but for filler that is zero."""
    content, _ = with_segment(library, FILLER[:place] + b"Z" * (9000 - place))
    elf = parse(content)
    data = bytearray(content.read_at(0, content.size))
    dynamic = _dynamic(elf)[0]
    tables = [
        *range(64),
        *range(elf.header.phoff, elf.header.phoff + elf.header.phnum * elf.header.phentsize),
        *range(elf.header.shoff, elf.header.shoff + len(elf.sections) * elf.header.shentsize),
        *range(dynamic, dynamic + 400),
        *range(_table(elf, 7), _table(elf, 7) + 100),
    ]
    for number, patch in edits:
        start = tables[number % len(tables)]
        data[start : start + len(patch)] = patch[: len(data) - start]
    try:
        before = parse(Content.of(bytes(data)))
        slimmed = laid_out(before)
        pair = image(before), image(parse(slimmed))
    except (ElfError, OverflowError):
        return

    header = before.header.phoff, before.header.phoff + before.header.phnum * before.header.phentsize
    assert len(pair[0]) == len(pair[1])
    for address, (was, now) in enumerate(zip(*pair, strict=True)):
        if was != now and not (address < 64 or header[0] <= address < header[1]):
            assert (chr(was) in "XZ", now) == (True, 0), hex(address)
