"""What a linker reads of a relocatable object, free of the numbers that its sections and symbols happen to have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.archives.symbol_table import REMOVED, SYMBOL_TABLE, UNDEFINED, read_symbols
from slimmer.elf.archives.tables import Tables
from slimmer.elf.object import (
    SHF_INFO_LINK,
    SHT_GROUP,
    SHT_NULL,
    SHT_REL,
    SHT_RELA,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
)
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterator

    from slimmer.elf.archives.symbol_table import Symbol
    from slimmer.elf.object import Object, Section

_STRUCTURE = frozenset({SHT_NULL, SHT_SYMTAB, SHT_RELA, SHT_REL, SHT_GROUP, SHT_SYMTAB_SHNDX})
_AT_ONCE = 256 << 10
"""Bytes of relocations that are read together; more only where one section has more."""


@dataclass(frozen=True, slots=True)
class Linkable:
    """A relocatable object as a linker sees it."""

    elf: Object
    kept: tuple[Section, ...]
    """The sections with content of their own that stay; a section's place is its position here."""
    places: dict[int, int]
    """The place of each section, by its index."""
    symbols: list[Symbol]
    tables: Tables

    def described(self) -> list[tuple[str | int, ...]]:
        """Give the headers of the sections that stay without where they stand, and with places for indices."""
        get = self.places.get
        return [
            (
                *(each.name, each.type, each.flags, each.addr, each.size, each.addralign, each.entsize),
                get(each.link, REMOVED),
                get(each.info, REMOVED) if each.flags & SHF_INFO_LINK else each.info,
            )
            for each in self.kept
        ]

    def relocations(self) -> Iterator[Relocations]:
        """Give the relocations of the sections that stay, in the order of those, as many at a time as are no burden."""
        found = [
            (place, each.type, each.index)
            for each in self.elf.sections
            if each.type in {SHT_REL, SHT_RELA} and each.size and (place := self.places.get(each.info, REMOVED)) >= 0
        ]
        together: list[tuple[int, int, int]] = []
        total = 0
        for each in sorted(found):
            size = self.elf.sections[each[2]].size
            if together and (total + size > _AT_ONCE or together[0][1] != each[1]):
                yield self._relocations(together)
                together, total = [], 0
            together.append(each)
            total += size
        if together:
            yield self._relocations(together)

    def _relocations(self, found: list[tuple[int, int, int]]) -> Relocations:
        """Give the relocations of tables of one type: of each the place, the type and the section's index."""
        wide = self.elf.form.bits == 64
        columns = 3 if found[0][1] == SHT_RELA else 2
        entry = columns * (8 if wide else 4)
        parts = [self.tables.records(self.elf.sections[index], entry) for _, _, index in found]
        fields = self.tables.numbers(parts[0] if len(parts) == 1 else b"".join(parts), "Q" if wide else "I")
        return Relocations(
            self,
            [(place, kind, len(part) // entry) for (place, kind, _), part in zip(found, parts, strict=True)],
            fields[::columns],
            fields[1::columns],
            fields[2::columns] if columns == 3 else fields[:0],
        )

    def used(self) -> set[int]:
        """Give the numbers of the symbols that groups or relocations name."""
        numbers = {signature for _, signature, _ in self.groups()}
        for relocations in self.relocations():
            numbers |= relocations.used()
        return numbers

    def groups(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Give flags, signature and members of each section group; of relocations, that those of a place belong to it.

        The signature is the number of a symbol.

        Debug information goes from a group, and with it a group that held nothing else.
        """
        for section in self.elf.sections:
            if section.type == SHT_GROUP:
                flags, *indices = self.tables.numbers(self.tables.records(section, 4), "I")
                if stay := tuple(self._that_stay(indices)):
                    yield flags, self.checked(section.info), stay

    def _that_stay(self, indices: list[int]) -> Iterator[int]:
        """Give the places of those members of a group that stay."""
        sections = self.elf.sections
        for index in indices:
            if index >= len(sections):
                raise ElfError("a group has a member that does not exist")
            section = sections[index]
            if section.type not in {SHT_REL, SHT_RELA}:
                place = self.places.get(index, REMOVED)
                if place != REMOVED:
                    yield place
            elif section.size and (place := self.places.get(section.info, REMOVED)) >= 0:
                yield place + len(self.kept)

    def checked(self, number: int) -> int:
        """Give the number of a symbol as it is; raise ElfError for one that the symbol table does not have."""
        if number >= len(self.symbols):
            raise ElfError("a symbol is named that the symbol table does not have")
        return number


@dataclass(frozen=True, slots=True)
class Relocations:
    """Relocations of one section or of several, one behind the other, each field of all together.

    Column by column, because a static library has hundreds of thousands of them.
    """

    member: Linkable
    tables: list[tuple[int, int, int]]
    """The place of the section that a table is for, the type of the table and how many it has."""
    offsets: array[int]
    types_and_symbols: array[int]
    """Each relocation's r_info."""
    addends: array[int]
    """Empty where the tables have none."""

    def used(self) -> set[int]:
        """Give the numbers of the symbols that the relocations name."""
        width = self._width
        numbers = {info >> width for info in set(self.types_and_symbols)}
        self.member.checked(max(numbers))
        return numbers

    def differs(self, other: Relocations) -> bool:
        """Say whether a linker would make something else of the others, whatever their symbols' numbers."""
        mine = self.tables, self.offsets, self.addends
        if mine != (other.tables, other.offsets, other.addends):
            return True
        pairs = set(zip(self.types_and_symbols, other.types_and_symbols, strict=True))
        width, its = self._width, other._width
        self.member.checked(max(was for was, _ in pairs) >> width)
        other.member.checked(max(now for _, now in pairs) >> its)
        old, new = self.member.symbols, other.member.symbols
        types = (1 << width) - 1, (1 << its) - 1
        return any(was & types[0] != now & types[1] or old[was >> width] != new[now >> its] for was, now in pairs)

    @property
    def _width(self) -> int:
        """How many bits of an r_info, the lower ones, are the type."""
        return 32 if self.member.elf.form.bits == 64 else 8


def read(elf: Object, gone: Collection[int]) -> Linkable:
    """Give what a linker reads, GONE being the sections that can go; raise ElfError where it cannot be told."""
    if sum([section.file_size for section in elf.sections]) > elf.content.size:
        raise ElfError("its sections overlap")  # more to read than the file has
    symbol_tables = [section for section in elf.sections if section.type == SHT_SYMTAB]
    if len(symbol_tables) > 1 or any(table.link >= len(elf.sections) for table in symbol_tables):
        raise ElfError("it has two symbol tables, or one without names")
    apart = {elf.shstrndx, *gone}
    for table in symbol_tables:
        apart |= {table.index, table.link}
    kept = tuple([each for each in elf.sections if each.type not in _STRUCTURE and each.index not in apart])
    places = {section.index: place for place, section in enumerate(kept)}
    places |= {0: UNDEFINED, **{table.index: SYMBOL_TABLE for table in symbol_tables}}
    tables = Tables(elf)
    symbols = [each for table in symbol_tables for each in read_symbols(elf, tables, table, places)]
    return Linkable(elf, kept, places, symbols, tables)
