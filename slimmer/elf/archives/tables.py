"""The tables of an object, section by section: whole entries only, and numbers in this machine's byte order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.numbers import numbers
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from array import array

    from slimmer.elf.object import Object, Section

MAX_HELD = 4 << 20
"""Bytes of an object that is held as a whole."""
_RUN = 64 << 10
"""Bytes that are read of a larger one at a time: it has tens of thousands of tables, one behind the other."""


class Tables:
    """Reads sections of one object."""

    def __init__(self, elf: Object) -> None:
        self._content = elf.content
        self._form = elf.form
        self._start = 0
        self._run = elf.content.read_at(0, elf.content.size) if elf.content.size <= MAX_HELD else b""

    def bytes_of(self, section: Section) -> bytes:
        """Give the bytes of a section; of one that takes none in the file, none."""
        return self._read(section.offset, section.file_size)

    def differ(self, section: Section, others: Tables, other: Section) -> bool:
        """Say whether a section has other bytes than one of another object."""
        size = section.file_size
        if size != other.file_size:
            return True
        if size <= _RUN:
            return self.bytes_of(section) != others.bytes_of(other)
        mine = self._content.slice(section.offset, section.offset + size)
        return mine.differs(others._content.slice(other.offset, other.offset + size))

    def records(self, section: Section, size: int) -> bytes:
        """Give the bytes of a table; raise ElfError unless they are whole entries of SIZE, at least one."""
        length = section.file_size
        if not length or length % size or section.entsize not in {0, size}:
            raise ElfError(f"the entries of section {section.name} have no size that fits")
        return self._read(section.offset, length)

    def _read(self, offset: int, size: int) -> bytes:
        start = offset - self._start
        if start < 0 or start + size > len(self._run):
            if not size:
                return b""
            if size > _RUN:
                return self._content.read_at(offset, size)
            self._run, self._start, start = self._content.read_at(offset, _RUN), offset, 0
        return self._run[start : start + size]

    def numbers(self, data: bytes, code: str) -> array[int]:
        """Give the numbers that DATA is a row of, each of the size that CODE has for `array`."""
        return numbers(self._form, code, data)
