"""Bytes of an object by the address at which they are loaded, as the loader finds all that is not in the headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.object import PT_LOAD
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.elf.object import Object

_WINDOW = 4096


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


class Window:
    """The same for many small records that lie close to each other: some more of the file is read at a time."""

    def __init__(self, elf: Object) -> None:
        self._elf = elf
        self._address = 0
        self._data = b""

    def loaded(self, address: int, length: int) -> bytes:
        """Give bytes of the loaded object as `loaded` does."""
        start = address - self._address
        if not 0 <= start <= len(self._data) - length:
            offset = place(self._elf, address, length)
            _, left = room(self._elf, address)
            self._address, start = address, 0
            self._data = self._elf.content.read_at(offset, min(left, max(length, _WINDOW)))
        return self._data[start : start + length]
