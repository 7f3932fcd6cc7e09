"""The filler that patchelf leaves in loaded segments: where it is, and how far a segment reaches without it.

patchelf, and so auditwheel, moves a table by copying it into a new segment and fills the old place with `X`, or the
room that it took too much of with `Z`. With each edit another segment ends in such bytes, or holds nothing else. No
section owns them. This module only looks for what may be such filler; whether it may go is for zeroed.py to prove.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.elf.object import PT_LOAD, largest_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.object import Object, Segment

PF_W = 2
_LEAST = 64
"""Bytes: less is the alignment of what a linker would have put next."""
_MOST = 32 << 20
"""Bytes: it is looked at as a whole. The largest table of a wheel that was seen moved had 0.3 MB."""
_FILLER = re.compile(rb"(?:\0++|X{8,}+|Z{8,}+)*+")
"""Fewer letters in a row may be the end of somebody's word."""


def filler(elf: Object) -> dict[int, int]:
    """Give for each writable PT_LOAD that ends in filler, by its index, how many of its file's bytes come before."""
    page = largest_page(elf)
    found = {}
    for index, segment in enumerate(elf.segments):
        if segment.type != PT_LOAD or not segment.flags & PF_W or segment.filesz < _LEAST:
            continue
        stop = segment.offset + segment.filesz
        if _FILLER.fullmatch(elf.content.read_at(stop - _LEAST, _LEAST)) is None:
            continue
        owned = max((stop for start, stop in _owned(elf, segment) if start < stop), default=segment.offset)
        # A segment without bytes still brings the page that it begins in the middle of from the file: it keeps it.
        owned = max(owned, segment.offset + min(-segment.vaddr % page, segment.filesz))
        length = stop - owned
        if not _LEAST <= length <= _MOST:
            continue
        match = _FILLER.match(elf.content.read_at(owned, length)[::-1])
        if match is not None and match.end() >= _LEAST:
            found[index] = segment.filesz - match.end()
    return found


def _owned(elf: Object, segment: Segment) -> Iterator[tuple[int, int]]:
    """Give the file ranges that a header knows in a segment, and those that addresses put there, cut to it."""
    header = elf.header
    stop = segment.offset + segment.filesz
    ranges = [(0, header.ehsize), (header.phoff, header.phoff + header.phnum * header.phentsize)]
    delta = segment.offset - segment.vaddr
    for other in elf.segments:
        if other.type != PT_LOAD:
            ranges.append((other.offset, other.offset + other.filesz))
            ranges.append((other.vaddr + delta, other.vaddr + other.memsz + delta))
    for section in elf.sections:
        ranges.append((section.offset, section.offset + section.file_size))
        if section.is_allocated:
            ranges.append((section.addr + delta, section.addr + section.size + delta))
    for start, end in ranges:
        yield max(start, segment.offset), min(end, stop)
