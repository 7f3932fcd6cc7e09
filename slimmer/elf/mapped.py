"""Bytes of an object by the address at which they are loaded, as the loader finds all that is not in the headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.object import PT_LOAD
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.elf.object import Object


def room(elf: Object, address: int) -> tuple[int, int]:
    """Give where in the file an address of the loaded object lies, and how many bytes of its segment follow."""
    for segment in elf.segments:
        if segment.type == PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
            return segment.offset + address - segment.vaddr, segment.vaddr + segment.filesz - address
    raise ElfError(f"the dynamic table names address {address:#x}, which is in no loaded segment")


def place(elf: Object, address: int, length: int) -> int:
    """Give where in the file LENGTH bytes of the loaded object lie; raise ElfError where not all of them do."""
    offset, left = room(elf, address)
    if length > left:
        raise ElfError(f"a table of {length} bytes at {address:#x} runs over the end of its segment")
    return offset


def loaded(elf: Object, address: int, length: int) -> bytes:
    """Give bytes of the loaded object that come from the file; raise ElfError where not all of them do."""
    return elf.content.read_at(place(elf, address, length), length)
