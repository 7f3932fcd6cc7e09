"""The proof: what must hold between an object and its slimmed self for every program that loads it to behave the same.

The clauses read both objects afresh and know nothing of how the new one was made. Each says which breakage it stops;
all of those were seen with a strip program that exited 0. Every loaded byte and every address is to be the same, with
one exception that has a module of its own: what patchelf filled and nothing names may become zeros (zeroed.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slimmer.content import Content
from slimmer.elf.object import (
    LARGEST_PAGE,
    PAGE,
    PT_LOAD,
    SHT_GROUP,
    SHT_NULL,
    SHT_SYMTAB,
    Header,
    Object,
    Section,
    Segment,
    parse,
)
from slimmer.elf.readers import disagreements
from slimmer.elf.removable import removable
from slimmer.elf.zeroed import objection
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator


def violations(before: Content, after: Content) -> list[str]:
    """Give every way in which AFTER breaks the contract with BEFORE, each as one sentence; none means proved.

    Never raises for what the objects hold: an object that cannot be read is a violation.
    """
    try:
        old, new = parse(before), parse(after)
    except ElfError as error:
        return [f"it cannot be read back: {error}"]
    found = list(_header(old, new))
    if not found:
        sides = _Side(old), _Side(new)
        found = [*_segments(*sides), *_sections(*sides), *_tail(old)]
    # What is shorter now was found to be so with good reason.
    return found or disagreements(before, after, [segment.filesz for segment in new.segments])


def _header(old: Object, new: Object) -> Iterator[str]:
    """Give a violation unless the object says the same of itself; only where its two tables lie may change.

    A changed entry point or type starts another program; a changed count of segments hides one (eu-strip on e_phnum
    0xffff). How many section headers there are is for `_sections` to judge.
    """
    if _without_places(old.header) != _without_places(new.header):
        yield "its ELF header changed"


def _without_places(header: Header) -> Header:
    return replace(header, phoff=0, shoff=0, shnum=0, shstrndx=0)


def _segments(old: _Side, new: _Side) -> Iterator[str]:
    """Give each segment that does not map the same bytes to the same addresses.

    - All fields but p_offset are the same: GNU strip 2.40 on a section-less PT_LOAD rewrites its sizes. p_filesz alone
      may shrink, where zeroed.py finds that the loader's zeros do as well.
    - p_offset moves by whole multiples of p_align: else ld.so says "ELF load command address/offset not page-aligned"
      (numpy 2 after GNU strip 2.40).
    - The bytes are the same: GNU strip 2.40 and eu-strip overwrite or unmap code of BOLT-ed libraries, patchelf-ed
      executables lose .dynstr. With the dynamic segment's bytes go its needed libraries, soname, runpath, symbols and
      versions.
    - What stands before a segment in its first page is the same where another segment has that page too: ld.so maps
      whole pages, and the later segment's is the one that is seen.
    """
    for index, (was, now) in enumerate(zip(old.elf.segments, new.elf.segments, strict=True)):
        if _masked(was) != _masked(now) or now.filesz > was.filesz:
            yield f"program header {index} changed"
        elif now.filesz < was.filesz and (reason := _zeroing(old.elf, new.elf, was, now)) is not None:
            yield f"segment {index} takes fewer bytes from the file, and {reason}"
        elif (now.offset - was.offset) % _granule(was):
            yield f"segment {index} is no longer aligned: p_offset {was.offset:#x} became {now.offset:#x}"
        elif _mapped(old, was, now.filesz).differs(_mapped(new, now, now.filesz)):
            yield f"the bytes of segment {index} changed"


def _masked(segment: Segment) -> Segment:
    """Give a program header with the fields at zero that may change: p_offset, and p_filesz where it may."""
    return Segment(*(segment.type, segment.flags, 0, segment.vaddr, segment.paddr, 0, segment.memsz, segment.align))


def _zeroing(old: Object, new: Object, was: Segment, now: Segment) -> str | None:
    try:
        return objection(old, new, was, now)
    except ElfError as error:
        return f"what names them cannot be told: {error}"


def _mapped(side: _Side, segment: Segment, size: int) -> Content:
    """Give SIZE bytes that a segment brings into memory, and those before it that share a page with another one."""
    head = segment.vaddr % min(_granule(segment), LARGEST_PAGE) if segment.type == PT_LOAD else 0
    start, stop = segment.vaddr - head, segment.vaddr
    is_shared = any(
        other is not segment and other.type == PT_LOAD and other.vaddr < stop and start < other.vaddr + other.memsz
        for other in side.elf.segments
    )
    head = min(head, segment.offset) if is_shared else 0
    return side.bytes(segment.offset - head, size + head)


def _granule(segment: Segment) -> int:
    align = max(segment.align, 1)
    return max(align, PAGE) if segment.type == PT_LOAD else align


class _Side:
    """One of the two objects, with its bytes as they are compared."""

    def __init__(self, elf: Object) -> None:
        self.elf = elf
        self.places = [(segment.offset, segment.filesz) for segment in elf.segments]
        # The fields that may change put to zero: those that say where the two tables lie, each p_offset, and p_filesz,
        # of which each change is judged by itself.
        self._masked = elf.content.overlaid(0, _without_places(elf.header).pack(elf.form))
        if elf.segments:
            headers = b"".join(_masked(segment).pack(elf.form) for segment in elf.segments)
            self._masked = self._masked.overlaid(elf.header.phoff, headers)

    def bytes(self, offset: int, length: int) -> Content:
        """Give bytes of the file; what is empty may stand anywhere, behind the end of the file too."""
        stop = min(offset + length, self._masked.size)
        return self._masked.slice(offset, stop) if length > 0 and stop > offset else Content([])


def _sections(old: _Side, new: _Side) -> Iterator[str]:
    """Give each section that is neither as it was nor gone and on the list of what may go.

    - Sections that are not loaded are data too: eu-strip removes PyInstaller's `pydata` and Rust's `.rustc`.
    - A loaded section keeps its index, by which dynamic symbols name it: GNU strip leaves `.dynsym` as it is and sorts
      the sections of a quarter of all wheels' libraries anew, so that their symbols name others. Where a symbol table
      or a group stays that is not loaded, it may name any section by index, and each keeps its own.
    - Where a header refers to another section it refers to the same one, whatever its index.
    """
    may_go = removable(old.elf)
    matches = _matches(old.elf, new.elf)
    is_named = any(section.type in {SHT_SYMTAB, SHT_GROUP} for section in new.elf.sections)
    for was in old.elf.sections:
        if was.type == SHT_NULL:
            continue
        now = matches.get(was.index)
        trouble = _trouble(old, new, was, now, is_named) if now is not None else "is gone"
        if trouble is not None and not (now is None and was.index in may_go and not was.is_allocated):
            yield f"section {was.name or f'number {was.index}'} {trouble}"
    known = {section.index for section in matches.values()}
    for section in new.elf.sections:
        if section.type != SHT_NULL and section.index not in known:
            yield f"section {section.name or section.index} was not there before"


def _trouble(old: _Side, new: _Side, was: Section, now: Section, is_named: bool) -> str | None:  # noqa: FBT001
    """Give what is wrong with a section that is still there, or None."""
    if (was.is_allocated or is_named) and was.index != now.index:
        return "has another index, and symbols name it by that"
    if was.index == old.elf.shstrndx and now.index == new.elf.shstrndx:
        return None  # the names are compared one by one
    if _described(old.elf, was) != _described(new.elf, now):
        return "has another header"
    if not _moved_with_a_segment(old, new, was, now) and old.bytes(was.offset, was.file_size).differs(
        new.bytes(now.offset, now.file_size)
    ):
        return "has other bytes"
    return None


def _matches(old: Object, new: Object) -> dict[int, Section]:
    """Give for each old section's index the new section that it became: of the same name, the first to the first."""
    waiting: dict[str, list[Section]] = {}
    for section in new.sections:
        if section.type != SHT_NULL:
            waiting.setdefault(section.name, []).append(section)
    found = {}
    for section in old.sections:
        if section.type != SHT_NULL and waiting.get(section.name):
            found[section.index] = waiting[section.name].pop(0)
    return found


def _described(elf: Object, section: Section) -> tuple[str | int, ...]:
    """Give a section header without where it stands, and the names of the sections that it refers to."""

    def name(index: int) -> str:
        return elf.sections[index].name if index < len(elf.sections) else f"number {index}"

    return (
        *(section.name, section.type, section.flags, section.addr, section.size, section.addralign, section.entsize),
        *(name(section.link), name(section.info) if section.info_is_index else section.info),
    )


def _moved_with_a_segment(old: _Side, new: _Side, was: Section, now: Section) -> bool:
    """Say whether the section's bytes are among those of a segment that is compared already."""
    moved, stop = now.offset - was.offset, was.offset + was.file_size
    return any(
        start <= was.offset and stop <= start + size and moved == new_start - start
        for (start, _), (new_start, size) in zip(old.places, new.places, strict=True)
    )


def _tail(old: Object) -> Iterator[str]:
    """Give a violation when something was appended that a program might look for there.

    Strip programs drop it: a zip archive, an AppImage's file system. One byte is patchelf's: every file that it wrote
    ends with one that no header knows.
    """
    if old.content.size > old.end + 1:
        yield f"{old.content.size - old.end} bytes are appended to it, which no header knows"
