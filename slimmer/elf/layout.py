"""Rewrite an ELF object without its dead file ranges, moving no virtual address.

No program that writes ELF files is asked to: every one of them breaks some wheel and exits 0. Nothing is laid out
anew here. The ranges that only removed sections cover go; what remains closes up by whole multiples of the alignment
of the segments in it, so every segment keeps p_offset congruent to p_vaddr and every loaded byte its address. A
removed section's header becomes SHT_NULL, so that no section index shifts: symbols name sections by index. Only behind
the last loaded section, where no symbol that is left names any, such headers go and the rest moves up.

One thing in the program headers changes besides p_offset, where patchelf left filler at the end of a writable PT_LOAD:
its p_filesz shrinks and its p_memsz stays, so that the loader puts zeros there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.blobs import ZEROS
from slimmer.content import Content
from slimmer.elf import headers
from slimmer.elf.filler import filler
from slimmer.elf.object import LARGEST_PAGE, PAGE, PT_LOAD, SHT_NULL, Object, Section, Segment, aligned
from slimmer.elf.removable import removable
from slimmer.errors import ElfError
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def without_dead_ranges(elf: Object, *, keep_filler: bool = False) -> Content | None:
    """Give the object without the sections and the filler that it can spare, or None when there are none.

    Filler stays where the file would be no smaller without it. Nothing is copied: the result refers to the places of
    the original's bytes. It is not to be used before contract.py has found no violation in it.
    """
    gone = removable(elf)
    reach = {} if keep_filler else filler(elf)
    if not gone and not reach:
        return None
    _require_sound(elf)
    made = _laid_out(elf, gone, []) if gone else None
    if not reach:
        return made
    whole = [(index, elf.segments[index]) for index in reach]
    spare = [(segment.offset + reach[index], segment.offset + segment.filesz) for index, segment in whole]
    segments = tuple(replace(each, filesz=reach.get(index, each.filesz)) for index, each in enumerate(elf.segments))
    shorter = _laid_out(replace(elf, segments=segments), gone, spare)
    return shorter if shorter.size < (made or elf.content).size else made


def without_ranges(elf: Object, spare: list[Range]) -> Content:
    """Give the object without the file ranges SPARE, of which its headers use nothing any more.

    ELF need not be what its content says of itself: its headers are written anew as they are in it.
    """
    _require_sound(elf)
    return _laid_out(elf, frozenset(), spare)


def _require_sound(elf: Object) -> None:
    if (elf.segments and elf.header.phoff < elf.header.ehsize) or elf.header.ehsize < len(elf.header.pack(elf.form)):
        raise ElfError("the ELF header and the program headers overlap")
    if len(elf.sections) > _MAX_SECTIONS:
        raise ElfError(f"{len(elf.sections)} sections")
    if any(segment.type == PT_LOAD and segment.memsz < segment.filesz for segment in elf.segments):
        raise ElfError("a segment holds more bytes than it loads")


def _laid_out(elf: Object, gone: frozenset[int], spare: list[Range]) -> Content:
    """Give the object, of whose bytes the sections GONE and the ranges SPARE are of no use, without them."""
    numbers, names = headers.numbers(elf, gone), headers.shorter_names(elf, gone) if gone else None
    anew = gone if names is None else gone | {elf.shstrndx}
    islands = _place(elf, _islands(elf, anew, spare))
    size = len(numbers) * elf.header.shentsize
    start = _room_for(size + (len(names.table) if names else 0), islands)
    offsets = names.offsets if names else None
    sections = [_moved_section(elf.sections[index], gone, islands, numbers, offsets) for index in numbers]
    phoff = _moved(elf.header.phoff, islands) if elf.segments else elf.header.phoff
    header = replace(elf.header, phoff=phoff, shoff=start)
    if len(numbers) < len(elf.sections):
        header = replace(header, shnum=len(numbers), shstrndx=numbers.get(elf.shstrndx, 0))
    if names is not None:
        place = numbers[elf.shstrndx]
        sections[place] = sections[place]._replace(offset=start + size, size=len(names.table))
    table = b"".join(section.pack(elf.form) for section in sections) + (names.table if names else b"")
    written = [(0, header.pack(elf.form)), (start, table)]
    if elf.segments:
        segments = (_moved_segment(segment, islands) for segment in elf.segments)
        written.append((phoff, b"".join(segment.pack(elf.form) for segment in segments)))
    content = _body(elf.content, islands, start + len(table))
    for offset, data in written:
        content = content.overlaid(offset, data)
    return content


def _islands(elf: Object, gone: frozenset[int], spare: list[Range]) -> list[Range]:
    """Give the runs of bytes that stay, in file order."""
    header = elf.header
    live: list[Range] = [(0, header.ehsize), (header.phoff, header.phoff + header.phnum * header.phentsize)]
    live += [(segment.offset, segment.offset + segment.filesz) for segment in elf.segments]
    live += [
        (section.offset, section.offset + section.file_size) for section in elf.sections if section.index not in gone
    ]
    dead: list[Range] = spare + [
        (section.offset, section.offset + section.file_size) for section in elf.sections if section.index in gone
    ]
    # The section header table is written anew, where there is room.
    dead.append((header.shoff, header.shoff + len(elf.sections) * header.shentsize))
    live = _union(live)
    dead = _subtract(_union(dead), live)
    return _subtract([(0, elf.content.size)], _widened(elf, dead, live))


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


def _widened(elf: Object, dead: list[Range], live: list[Range]) -> list[Range]:
    """Give the dead ranges with the padding beside them, and with a section header table that is no longer one.

    Bytes that no header owns go only when they are zeros next to a dead range, alignment that nothing needs any more,
    or that table. Other unowned bytes may mean something to somebody and stay.
    """
    content = elf.content
    unowned = _subtract(_subtract([(0, content.size)], live), dead)
    edges = {edge for pair in dead for edge in pair}
    padding = []
    for start, stop in unowned:
        if stop - start > _MAX_PADDING:
            continue
        data = content.read_at(start, stop - start)
        if headers.is_stale_table(elf, data) if any(data) else (start in edges or stop in edges):
            padding.append((start, stop))
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
    return segment.align if segment.align >= PAGE else LARGEST_PAGE


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
        if segment.type == PT_LOAD and segment.vaddr % PAGE:
            # ld.so maps the whole page that p_offset lies in, over what another segment may have there.
            raise ElfError("a segment without bytes stands amid what would go")
        # Empty, and amid what is gone: any place congruent to the old one does.
        offset = segment.offset % max(segment.align, 1)
    return replace(segment, offset=offset)


def _moved_section(
    section: Section,
    gone: frozenset[int],
    islands: list[_Island],
    numbers: dict[int, int],
    names: dict[int, int] | None,
) -> Section:
    if section.index in gone:
        return Section(section.index, "", 0, SHT_NULL, 0, 0, 0, 0, 0, 0, 0, 0)
    name = section.name_offset if names is None else names[section.index]
    if section.type == SHT_NULL:
        return section._replace(name_offset=name)
    return Section(
        section.index, section.name, name, section.type, section.flags, section.addr,
        max(_moved(section.offset, islands), 0), section.size, numbers.get(section.link, section.link),
        numbers.get(section.info, section.info) if section.info_is_index else section.info,
        section.addralign, section.entsize,
    )  # fmt: skip


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
