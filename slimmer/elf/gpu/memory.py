"""What two objects load, compared address by address: which words differ, and what is no longer mapped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.object import LARGEST_PAGE, PAGE, PT_LOAD, largest_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content
    from slimmer.elf.object import Object, Segment

WORD = 8
_MOST_WORDS = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """Addresses from START up to STOP."""

    start: int
    stop: int

    def holds(self, start: int, stop: int) -> bool:
        """Say whether all addresses from START up to STOP are in it."""
        return self.start <= start and stop <= self.stop


def loads(elf: Object) -> list[Segment]:
    """Give the segments that are loaded and take any memory, in order."""
    return [segment for segment in elf.segments if segment.type == PT_LOAD and segment.memsz]


def mapping_violations(old: Object, new: Object, free: list[Span]) -> Iterator[str]:
    """Give each segment that is mapped otherwise than before; what is in FREE need not be mapped, by whole pages.

    - A loader wants segments in the order of their addresses, each p_offset congruent to p_vaddr modulo p_align.
    - A hole begins and ends where a page does: else the loader maps its edges with what else is in the file there.
    """
    rest = loads(new)
    if [each.vaddr for each in rest] != sorted(each.vaddr for each in rest):
        yield "its segments are not in the order of their addresses"
    for was in loads(old):
        stop = was.vaddr + was.memsz
        parts = [each for each in rest if was.vaddr <= each.vaddr < stop]
        rest = [each for each in rest if each not in parts]
        yield from _part_violations(was, parts)
        at = was.vaddr
        for part in [*parts, replace(was, vaddr=stop, memsz=0)]:
            if part.vaddr != at and not _may_be_hole(old, at, part.vaddr, free):
                yield f"addresses {at:#x} to {part.vaddr:#x} are mapped otherwise"
            at = part.vaddr + part.memsz
    if rest:
        yield f"a segment at {rest[0].vaddr:#x} was not there before"


def _may_be_hole(old: Object, start: int, stop: int, free: list[Span]) -> bool:
    page = largest_page(old)
    is_whole = start % page == 0 and stop % page == 0
    return start < stop and is_whole and any(span.holds(start, stop) for span in free)


def _part_violations(was: Segment, parts: list[Segment]) -> Iterator[str]:
    filled = was.vaddr + was.filesz
    for part in parts:
        delta = part.vaddr - was.vaddr
        wanted = replace(part, flags=was.flags, paddr=was.paddr + delta, align=was.align)
        if part != wanted or (part.vaddr - part.offset) % max(part.align, PAGE):
            yield f"the segment at {part.vaddr:#x} is loaded otherwise"
        # The same addresses come from the file, and the same are zeros.
        if part.filesz > part.memsz or part.vaddr + part.filesz != max(
            min(filled, part.vaddr + part.memsz), part.vaddr
        ):
            yield f"the segment at {part.vaddr:#x} takes another number of bytes from the file"


def changed_words(old: Object, new: Object, ignored: list[Span]) -> Iterator[int]:
    """Give the address of each word of 8 bytes that is loaded from both files and differs, but for those IGNORED."""
    count = 0
    for now in loads(new):
        was = next(each for each in loads(old) if each.vaddr <= now.vaddr < each.vaddr + each.memsz)
        head = _shared_head(new, now) if now.vaddr == was.vaddr else 0
        head = min(head, was.offset, now.offset)
        offset = was.offset + now.vaddr - was.vaddr - head
        length = now.filesz + head
        before, after = (
            old.content.slice(offset, offset + length),
            new.content.slice(now.offset - head, now.offset + now.filesz),
        )
        cuts = sorted((max(span.start, now.vaddr - head), min(span.stop, now.vaddr + now.filesz)) for span in ignored)
        at = now.vaddr - head
        for start, stop in [*((a, b) for a, b in cuts if a < b), (now.vaddr + now.filesz, now.vaddr + now.filesz)]:
            if start > at:
                base = now.vaddr - head
                part = before.slice(at - base, start - base), after.slice(at - base, start - base)
                for word in _words(at, *part):
                    yield word
                    count += 1
                    if count > _MOST_WORDS:
                        return
            at = max(at, stop)


def _shared_head(elf: Object, segment: Segment) -> int:
    """Give how many bytes before a segment are mapped with it over what another one has in the same page."""
    head = segment.vaddr % min(max(segment.align, PAGE), LARGEST_PAGE)
    start = segment.vaddr - head
    is_shared = any(
        other is not segment and other.vaddr < segment.vaddr and start < other.vaddr + other.memsz
        for other in loads(elf)
    )
    return head if is_shared else 0


def _words(address: int, left: Content, right: Content) -> Iterator[int]:
    """Give the address of each word that differs, the first byte's being ADDRESS; bytes in one place are not read."""
    last = -1
    for start, mine, its in left.differences(right):
        for index, (one, other) in enumerate(zip(mine, its, strict=True), address + start):
            word = index // WORD * WORD
            if one != other and word != last:
                yield word
                last = word
