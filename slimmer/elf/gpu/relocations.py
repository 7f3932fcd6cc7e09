"""The relocations and dynamic symbols of an object that could point at its GPU code, each with where it is written."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

from slimmer.elf.addresses import (
    DT_JMPREL,
    DT_PLTREL,
    DT_PLTRELSZ,
    DT_REL,
    DT_RELA,
    DT_RELASZ,
    DT_RELR,
    DT_RELRSZ,
    DT_SYMTAB,
    dynamic_table,
    symbol_places,
    table_words,
    unpacked,
)
from slimmer.elf.mapped import loaded
from slimmer.elf.object import PT_LOAD
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimmer.elf.object import Object


class Relocations:
    """What the loader relocates in an object of 64 bits."""

    def __init__(self, elf: Object) -> None:
        self._elf = elf
        self._dynamic, _ = dynamic_table(elf)
        if DT_REL in self._dynamic or (DT_JMPREL in self._dynamic and self._dynamic.get(DT_PLTREL) != DT_RELA):
            raise ElfError("its relocations hold no addends, which no object of 64 bits has that is known")

    def tables(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Give each table of relocations with addends: its place in the file, and its words, three for each."""
        for tag, size in ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)):
            if tag in self._dynamic:
                address = self._dynamic[tag]
                words = table_words(self._elf, address, self._dynamic.get(size, 0) // 24 * 24)
                yield _place(self._elf, address), array("q", words.tobytes())

    def packed(self) -> Iterator[tuple[int, int]]:
        """Give the address of each word that the packed table names, and what it holds; zero where no file does."""
        if DT_RELR not in self._dynamic:
            return
        table = table_words(self._elf, self._dynamic[DT_RELR], self._dynamic.get(DT_RELRSZ, 0))
        for place in unpacked(table, 64):
            try:
                (value,) = struct.unpack("<Q", loaded(self._elf, place, 8))
            except ElfError:
                value = 0
            yield place, value

    def symbols(self) -> Iterator[tuple[int, int]]:
        """Give the address and the size of each dynamic symbol."""
        if DT_SYMTAB in self._dynamic:
            yield from zip(*symbol_places(self._elf, self._dynamic), strict=True)


def _place(elf: Object, address: int) -> int:
    for segment in elf.segments:
        if segment.type == PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
            return segment.offset + address - segment.vaddr
    raise ElfError(f"a table of relocations at {address:#x} is in no loaded segment")
