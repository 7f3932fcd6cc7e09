"""The one exception of the proof: bytes at the end of a writable segment that become zeros in memory.

Every other clause asks that a PT_LOAD maps the same bytes. This one lets its p_filesz shrink while p_memsz stays: the
loader then puts zeros where the file's bytes were (musl's in writable segments alone, so PF_W is asked). Where they
were zeros the memory is the same. Where they were not, they must be patchelf's filler and nothing in the object may
name them, by any address that it holds. GNU strip unmaps such bytes without looking (hazards: so it destroyed
BOLT-ed libraries' code, .dynstr of programs and the alignment of numpy's OpenBLAS).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.elf.addresses import who_names
from slimmer.elf.machine import EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64
from slimmer.elf.object import PT_LOAD, aligned, largest_page

if TYPE_CHECKING:
    from slimmer.elf.object import Object, Segment

_PF_W = 2
_MOST = 32 << 20
_FILLER = re.compile(rb"(?:\0++|X{8,}+|Z{8,}+)*+")
_KNOWN = frozenset({EM_386, EM_X86_64, EM_ARM, EM_AARCH64, EM_PPC64, EM_S390, EM_RISCV, EM_LOONGARCH})
"""Machines whose loaders relocate what tables name. On MIPS the global offset table is relocated without any."""


def objection(old: Object, new: Object, was: Segment, now: Segment) -> str | None:
    """Give why the bytes of segment WAS that NOW no longer takes from the file must not become zeros, or None.

    The header's other fields are for the caller to compare. Raises ElfError where it cannot be told what NEW names.
    """
    page = largest_page(old)
    start, stop = was.vaddr + now.filesz, was.vaddr + was.filesz
    if was.type != PT_LOAD or not was.flags & _PF_W or was.memsz < was.filesz:
        return "it is no writable PT_LOAD, which alone every loader fills with zeros"
    if not now.filesz and was.vaddr % page:
        # The page that it begins in the middle of would come from wherever p_offset points now.
        return "nothing is left of it in a page that it shares"
    if any(
        other is not was
        and other.type == PT_LOAD
        and other.vaddr // page * page < aligned(was.vaddr + was.memsz, page)
        and start // page * page < aligned(other.vaddr + other.memsz, page)
        for other in old.segments
    ):
        return "another segment lies in the same page"
    if (owner := _owner(old, was, now.filesz)) is not None:
        return f"they belong to {owner}"
    if was.filesz - now.filesz > _MOST:
        return f"more than {_MOST} bytes are no filler"
    cut = old.content.read_at(was.offset + now.filesz, was.filesz - now.filesz)
    if not any(cut):
        return None
    if _FILLER.fullmatch(cut) is None:
        return "they are no filler"
    if old.header.machine not in _KNOWN:
        return f"how a machine numbered {old.header.machine} names addresses is not known"
    named_by = who_names(new, start, stop)
    return None if named_by is None else f"{named_by} names them"


def _owner(old: Object, was: Segment, kept: int) -> str | None:
    """Give which header knows the bytes of a segment behind those KEPT, by their place in the file or in memory."""
    start, stop = was.offset + kept, was.offset + was.filesz
    delta = was.vaddr - was.offset
    header = old.header

    def has(offset: int, size: int) -> bool:
        return size > 0 and offset < stop and start < offset + size

    if has(0, header.ehsize) or has(header.phoff, header.phnum * header.phentsize):
        return "the headers"
    for index, segment in enumerate(old.segments):
        if segment.type != PT_LOAD and (
            has(segment.offset, segment.filesz) or has(segment.vaddr - delta, segment.memsz)
        ):
            return f"program header {index}"
    for section in old.sections:
        if has(section.offset, section.file_size) or (section.is_allocated and has(section.addr - delta, section.size)):
            return f"section {section.name or section.index}"
    return None
