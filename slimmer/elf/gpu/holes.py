"""Segments with holes: a PT_LOAD in two, so that what lay between is neither in the file nor in memory.

No virtual address moves. The loader reserves the whole span of an object and maps its PT_LOADs into it, so a hole is
address space that nothing can read; every library that NVIDIA links has one already, between its code and its data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.object import PT_LOAD, Segment, aligned, largest_page
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.elf.layout import Range
    from slimmer.elf.object import Object, Section

_PT_PHDR = 6


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A section of GPU code of which only the first bytes are left."""

    section: Section
    size: int

    @property
    def stop(self) -> int:
        """The place in the file behind what is left."""
        return self.section.offset + self.size


def with_holes(elf: Object, shrunk: list[Shrunk]) -> tuple[Object, list[Range]]:
    """Give the headers of ELF with a hole behind what is left of each section, and the file ranges of the holes.

    The program headers, of which there are more now, stand in front of the first hole, where the loader maps them.
    Raises ElfError where a hole would take what something else needs.
    """
    size = (len(elf.segments) + len(shrunk)) * elf.form.segment.size
    page = largest_page(elf)
    segments, holes, phoff = list(elf.segments), [], 0
    for each in sorted(shrunk, key=lambda each: each.section.offset):
        index = _segment_of(elf, segments, each.section)
        used = each.stop
        if not phoff:
            table = aligned(each.stop, 8)
            used = table + size
        delta = segments[index].vaddr - segments[index].offset
        start = aligned(used + delta, page) - delta
        stop = (each.section.offset + each.section.size + delta) // page * page - delta
        if stop <= start:
            continue
        phoff = phoff or table
        holes.append((start, stop))
        segments[index : index + 1] = _split(segments[index], start, stop)
    if not holes:
        raise ElfError("less than a page of it would go")
    sizes = {each.section.index: each.size for each in shrunk}
    sections = tuple(each._replace(size=sizes.get(each.index, each.size)) for each in elf.sections)
    header = replace(elf.header, phoff=phoff, phnum=len(segments))
    return replace(elf, header=header, segments=_with_table(elf, segments, phoff), sections=sections), holes


def _segment_of(elf: Object, segments: list[Segment], section: Section) -> int:
    """Give which segment loads a section, of which nothing else may be a part."""
    start, stop = section.offset, section.offset + section.size
    for other in elf.sections:
        if other.index != section.index and other.offset < stop and start < other.offset + other.file_size:
            raise ElfError(f"{section.name} and {other.name or other.index} overlap")
    holders = [
        index
        for index, segment in enumerate(segments)
        if segment.memsz
        and segment.vaddr < section.addr + section.size
        and section.addr < segment.vaddr + segment.memsz
    ]
    if len(holders) != 1:
        raise ElfError(f"{section.name} is in {len(holders)} segments")
    segment = segments[holders[0]]
    if (
        segment.type != PT_LOAD
        or segment.offset > start
        or stop > segment.offset + segment.filesz
        or section.addr - start != segment.vaddr - segment.offset
    ):
        raise ElfError(f"{section.name} is not loaded as a whole")
    return holders[0]


def _split(segment: Segment, start: int, stop: int) -> list[Segment]:
    """Give a PT_LOAD without the file range from START to STOP: one before it, and one behind where bytes are left."""
    before, behind = start - segment.offset, stop - segment.offset
    first = replace(segment, filesz=before, memsz=before)
    if behind == segment.filesz == segment.memsz:
        return [first]
    if behind >= segment.filesz:
        raise ElfError("GPU code ends a segment that goes on with zeros")
    second = replace(
        segment, offset=stop, vaddr=segment.vaddr + behind, paddr=segment.paddr + behind,
        filesz=segment.filesz - behind, memsz=segment.memsz - behind,
    )  # fmt: skip
    return [first, second]


def _with_table(elf: Object, segments: list[Segment], phoff: int) -> tuple[Segment, ...]:
    """Give the segments; one that names the program headers names their new place."""
    size = len(segments) * elf.form.segment.size
    deltas = {
        each.vaddr - each.offset
        for each in segments
        if each.type == PT_LOAD and each.offset <= phoff and phoff + size <= each.offset + each.filesz
    }
    if len(deltas) != 1:
        raise ElfError("several segments load the same bytes")
    (delta,) = deltas
    return tuple(
        replace(each, offset=phoff, vaddr=phoff + delta, paddr=phoff + delta, filesz=size, memsz=size)
        if each.type == _PT_PHDR
        else each
        for each in segments
    )
