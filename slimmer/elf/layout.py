"""Rewrite an ELF object without its dead file ranges, moving no virtual address.

No program that writes ELF files is asked to: every one of them breaks some wheel and exits 0. Nothing is laid out
anew here. The ranges that only removed sections cover go; what remains closes up by whole multiples of the alignment
of the segments in it, so every segment keeps p_offset congruent to p_vaddr and every loaded byte its address. A
removed section's header becomes SHT_NULL, so that no section index shifts: symbols name sections by index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.content import ZEROS, Content, Piece
from slimmer.elf.object import PT_LOAD, SHT_NULL, Object, Section, Segment, aligned
from slimmer.elf.removable import removable
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIN_LOAD_ALIGN = 0x10000
"""Where a PT_LOAD asks for less than a page, it moves by the largest page there is (64 KiB: aarch64, ppc64le)."""
_PAGE = 0x1000
_TABLE_ALIGN = 8
_MAX_PADDING = 1 << 21
_MAX_SECTIONS = 10_000
"""More than any library has; finding the place of each takes time by their number squared."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Island:
    """A run of live bytes that moves as one, and where to."""

    start: int
    stop: int
    new_start: int


def without_dead_ranges(elf: Object) -> Content | None:
    """Give the object without the sections that it can spare, or None when there are none.

    Nothing is copied: the result refers to the places of the original's bytes. It is not to be used before
    contract.py has found no violation in it.
    """
    gone = removable(elf)
    if not gone:
        return None
    if (elf.segments and elf.header.phoff < elf.header.ehsize) or elf.header.ehsize < len(elf.header.pack(elf.form)):
        raise ElfError("the ELF header and the program headers overlap")
    if len(elf.sections) > _MAX_SECTIONS:
        raise ElfError(f"{len(elf.sections)} sections")
    if any(segment.type == PT_LOAD and segment.memsz < segment.filesz for segment in elf.segments):
        raise ElfError("a segment holds more bytes than it loads")
    islands = _place(elf, _islands(elf, gone))
    table_start = _room_for(len(elf.sections) * elf.header.shentsize, islands)
    segments = [_moved_segment(segment, islands) for segment in elf.segments]
    sections = [_moved_section(section, section.index in gone, islands) for section in elf.sections]
    phoff = _moved(elf.header.phoff, islands) if elf.segments else elf.header.phoff
    header = replace(elf.header, phoff=phoff, shoff=table_start)
    written = [(0, header.pack(elf.form)), (table_start, b"".join(section.pack(elf.form) for section in sections))]
    if elf.segments:
        written.append((phoff, b"".join(segment.pack(elf.form) for segment in segments)))
    content = _body(elf.content, islands, table_start + len(written[1][1]))
    for offset, data in written:
        content = content.overlaid(offset, data)
    return content


def _islands(elf: Object, gone: frozenset[int]) -> list[Range]:
    """Give the runs of bytes that stay, in file order."""
    header = elf.header
    live: list[Range] = [(0, header.ehsize), (header.phoff, header.phoff + header.phnum * header.phentsize)]
    live += [(segment.offset, segment.offset + segment.filesz) for segment in elf.segments]
    live += [
        (section.offset, section.offset + section.file_size) for section in elf.sections if section.index not in gone
    ]
    dead: list[Range] = [
        (section.offset, section.offset + section.file_size) for section in elf.sections if section.index in gone
    ]
    # The section header table is written anew, where there is room.
    dead.append((header.shoff, header.shoff + len(elf.sections) * header.shentsize))
    live = _union(live)
    dead = _subtract(_union(dead), live)
    return _subtract([(0, elf.content.size)], _widened(elf.content, dead, live))


def _union(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _subtract(ranges: list[Range], holes: list[Range]) -> list[Range]:
    """Give RANGES less HOLES; both sorted and without overlap."""
    left: list[Range] = []
    index = 0
    for start, stop in ranges:
        position = start
        while index < len(holes) and holes[index][1] <= position:
            index += 1
        following = index
        while following < len(holes) and holes[following][0] < stop:
            if holes[following][0] > position:
                left.append((position, holes[following][0]))
            position = max(position, holes[following][1])
            following += 1
        if position < stop:
            left.append((position, stop))
    return left


def _widened(content: Content, dead: list[Range], live: list[Range]) -> list[Range]:
    """Give the dead ranges with the padding beside them.

    Bytes that no header owns go only when they are zeros next to a dead range: alignment that nothing needs any more.
    Other unowned bytes may mean something to somebody and stay.
    """
    unowned = _subtract(_subtract([(0, content.size)], live), dead)
    edges = {edge for pair in dead for edge in pair}
    padding = [
        (start, stop)
        for start, stop in unowned
        if (start in edges or stop in edges)
        and stop - start <= _MAX_PADDING
        and not any(content.read_at(start, stop - start))
    ]
    return _union([*dead, *padding])


def _place(elf: Object, islands: list[Range]) -> list[_Island]:
    placed: list[_Island] = []
    position = 0
    for start, stop in islands:
        align = _alignment(elf, start, stop)
        # The first place at or after POSITION that differs from the old one by a whole multiple of the alignment.
        position += (start - position) % align
        placed.append(_Island(start, stop, position))
        position += stop - start
    return placed


def _alignment(elf: Object, start: int, stop: int) -> int:
    align = _TABLE_ALIGN
    for segment in elf.segments:
        # An empty segment's p_offset must stay congruent too (numpy's OpenBLAS has such; GNU strip 2.40 breaks them).
        if (segment.offset < stop and segment.offset + segment.filesz > start) or start <= segment.offset < stop:
            align = max(align, _segment_alignment(segment))
    for section in elf.sections:
        if start <= section.offset < stop:
            align = max(align, section.addralign)
    return align


def _segment_alignment(segment: Segment) -> int:
    if segment.type != PT_LOAD:
        return max(segment.align, 1)
    return segment.align if segment.align >= _PAGE else _MIN_LOAD_ALIGN


def _moved(offset: int, islands: list[_Island]) -> int:
    """Give the new place of a byte, or of the point where something empty stands."""
    before = islands[0]
    for island in islands:
        if offset < island.start:
            break
        before = island
    if offset <= before.stop:
        return before.new_start + offset - before.start
    return -1


def _moved_segment(segment: Segment, islands: list[_Island]) -> Segment:
    offset = _moved(segment.offset, islands)
    if offset < 0 or (segment.filesz == 0 and segment.align > 1 and (offset - segment.offset) % segment.align):
        if segment.type == PT_LOAD and segment.vaddr % _PAGE:
            # ld.so maps the whole page that p_offset lies in, over what another segment may have there.
            raise ElfError("a segment without bytes stands amid what would go")
        # Empty, and amid what is gone: any place congruent to the old one does.
        offset = segment.offset % max(segment.align, 1)
    return replace(segment, offset=offset)


def _moved_section(section: Section, is_gone: bool, islands: list[_Island]) -> Section:  # noqa: FBT001
    if is_gone:
        return Section(section.index, "", 0, SHT_NULL, 0, 0, 0, 0, 0, 0, 0, 0)
    if section.type == SHT_NULL:
        return section
    offset = _moved(section.offset, islands)
    return replace(section, offset=max(offset, 0))


def _room_for(size: int, islands: list[_Island]) -> int:
    """Give where a table of SIZE bytes finds room: the first gap that alignment left between islands, or the end."""
    end = 0
    for island in islands:
        start = aligned(end, _TABLE_ALIGN)
        if start and start + size <= island.new_start:
            return start
        end = island.new_start + island.stop - island.start
    return aligned(end, _TABLE_ALIGN)


def _body(content: Content, islands: list[_Island], table_stop: int) -> Content:
    """Give the islands in their new places, with zeros between them, and room for a table that ends at TABLE_STOP."""
    pieces: list[Piece] = []
    position = 0
    for island in islands:
        pieces.append(Piece(ZEROS, 0, island.new_start - position))
        pieces.extend(content.slice(island.start, island.stop).pieces)
        position = island.new_start + island.stop - island.start
    pieces.append(Piece(ZEROS, 0, max(table_stop - position, 0)))
    return Content(pieces)
