"""What a linker reads of a relocatable object, free of the numbers that its sections and symbols happen to have."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from slimmer.elf import object as elf_object
from slimmer.elf.removable import removable
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content
    from slimmer.elf.object import Object, Section

_SHF_INFO_LINK = 0x40
_STT_SECTION = 3
_SHN_LORESERVE, _SHN_XINDEX = 0xFF00, 0xFFFF
_NULL, _SYMTAB, _RELA, _REL = elf_object.SHT_NULL, elf_object.SHT_SYMTAB, elf_object.SHT_RELA, elf_object.SHT_REL
_GROUP, _SYMTAB_SHNDX = 17, elf_object.SHT_SYMTAB_SHNDX
_STRUCTURE = frozenset({_NULL, _SYMTAB, _RELA, _REL, _GROUP, _SYMTAB_SHNDX})
UNDEFINED, _REMOVED, _SYMBOL_TABLE = -1, -2, -3
"""Places of symbols that are in no section that stays; processors' and absolute ones are negative section indices."""
_MAX_NAMES = 256 << 20


class Symbol(NamedTuple):  # not a dataclass: archives have millions
    """A symbol, its section by the place among those that stay, or one of the negative places."""

    name: bytes
    value: int
    size: int
    info: int
    other: int
    place: int


@dataclass(frozen=True, slots=True)
class Linkable:
    """A relocatable object as a linker sees it."""

    elf: Object
    kept: tuple[Section, ...]
    """The sections with content of their own that stay; a section's place is its position here."""
    places: dict[int, int]
    """The place of each section, by its index."""
    symbols: list[Symbol]

    def described(self, section: Section) -> tuple[str | int, ...]:
        """Give a section header without where it stands, and with places for indices."""
        link = self.places.get(section.link, _REMOVED)
        info = self.places.get(section.info, _REMOVED) if section.flags & _SHF_INFO_LINK else section.info
        fields = section.name, section.type, section.flags, section.addr, section.size, section.addralign
        return *fields, section.entsize, link, info

    def bytes_of(self, section: Section) -> Content:
        """Give the bytes of a section."""
        return self.elf.content.slice(section.offset, section.offset + section.file_size)

    def symbol(self, number: int) -> Symbol:
        """Give a symbol by its number."""
        if number >= len(self.symbols):
            raise ElfError("a symbol is named that the symbol table does not have")
        return self.symbols[number]

    def relocations(self) -> Iterator[Relocations]:
        """Give the tables of relocations of the sections that stay, in the order of those."""
        tables = (each for each in self.elf.sections if each.type in {_REL, _RELA} and each.size)
        found = [(self.places.get(each.info, _REMOVED), each.type, each.index) for each in tables]
        for place, kind, index in sorted(found):
            if place >= 0:
                yield Relocations.of(self, place, kind, self.elf.sections[index])

    def groups(self) -> Iterator[tuple[int, Symbol, tuple[int, ...]]]:
        """Give flags, signature and members of each section group; of relocations, that those of a place belong to it.

        Debug information goes from a group, and with it a group that held nothing else.
        """
        for section in self.elf.sections:
            if section.type != _GROUP:
                continue
            word = struct.Struct(self.elf.form.order + "I")
            flags, *indices = (item for (item,) in word.iter_unpack(_records(self.bytes_of(section), word, section)))
            members = [self._member_of_a_group(index) for index in indices]
            if stay := tuple(place for place in members if place != _REMOVED):
                yield flags, self.symbol(section.info), stay

    def _member_of_a_group(self, index: int) -> int:
        if index >= len(self.elf.sections):
            raise ElfError("a group has a member that does not exist")
        section = self.elf.sections[index]
        if section.type in {_REL, _RELA}:
            place = self.places.get(section.info, _REMOVED)
            return _REMOVED if place < 0 or not section.size else place + len(self.kept)
        return self.places.get(index, _REMOVED)


@dataclass(frozen=True, slots=True)
class Relocations:
    """A table of relocations: the place of the section that they are for, the type of the table, and each field of all.

    Column by column, because a static library has hundreds of thousands of them.
    """

    member: Linkable
    place: int
    kind: int
    offsets: array[int]
    types_and_symbols: array[int]
    """Each relocation's r_info."""
    addends: array[int]
    """Empty where the table has none."""

    @classmethod
    def of(cls, member: Linkable, place: int, kind: int, section: Section) -> Relocations:
        """Read the table that SECTION is."""
        form, columns = member.elf.form, 3 if kind == _RELA else 2
        entry = struct.Struct(("Q" if form.bits == 64 else "I") * columns)
        fields = array("Q" if form.bits == 64 else "I", _records(member.bytes_of(section), entry, section))
        if form.little != (sys.byteorder == "little"):
            fields.byteswap()
        return cls(
            member,
            place,
            kind,
            fields[::columns],
            fields[1::columns],
            fields[2::columns] if columns == 3 else fields[:0],
        )

    def used(self) -> set[Symbol]:
        """Give the symbols that the relocations name."""
        return {self._read(info)[1] for info in set(self.types_and_symbols)}

    def differs(self, other: Relocations) -> bool:
        """Say whether a linker would make something else of the other table, whatever its symbols' numbers."""
        mine = self.place, self.kind, self.offsets, self.addends
        if mine != (other.place, other.kind, other.offsets, other.addends):
            return True
        pairs = set(zip(self.types_and_symbols, other.types_and_symbols, strict=True))
        return any(self._read(was) != other._read(now) for was, now in pairs)

    def _read(self, info: int) -> tuple[int, Symbol]:
        """Give the type and the symbol of an r_info."""
        number, kind = (info >> 32, info & 0xFFFFFFFF) if self.member.elf.form.bits == 64 else (info >> 8, info & 0xFF)
        return kind, self.member.symbol(number)


def _records(content: Content, packing: struct.Struct, section: Section) -> bytes:
    """Give the bytes of a table; raise ElfError unless they are whole entries, at least one."""
    if not content.size or content.size % packing.size or section.entsize not in {0, packing.size}:
        raise ElfError(f"the entries of section {section.name} have no size that fits")
    return content.read_at(0, content.size)


def read(elf: Object) -> Linkable:
    """Give what a linker reads; raise ElfError where it cannot be told."""
    if sum(section.file_size for section in elf.sections) > elf.content.size:
        raise ElfError("its sections overlap")  # more to read than the file has
    tables = [section for section in elf.sections if section.type == _SYMTAB]
    if len(tables) > 1 or any(table.link >= len(elf.sections) for table in tables):
        raise ElfError("it has two symbol tables, or one without names")
    apart = {elf.shstrndx, *(table.index for table in tables), *(table.link for table in tables), *removable(elf)}
    kept = tuple(each for each in elf.sections if each.type not in _STRUCTURE and each.index not in apart)
    places = {section.index: place for place, section in enumerate(kept)}
    places |= {0: UNDEFINED, **{table.index: _SYMBOL_TABLE for table in tables}}
    member = Linkable(elf, kept, places, [])
    for table in tables:
        member.symbols.extend(_symbols(member, table))
    return member


def _symbols(member: Linkable, table: Section) -> Iterator[Symbol]:
    elf = member.elf
    wide = elf.form.bits == 64
    packing = struct.Struct(elf.form.order + ("IBBHQQ" if wide else "IIIBBH"))
    names_of = elf.sections[table.link]
    names = member.bytes_of(names_of).read_at(0, names_of.file_size)
    tables = [each for each in elf.sections if each.type == _SYMTAB_SHNDX and each.link == table.index]
    extended = member.bytes_of(tables[0]).read_at(0, tables[0].size) if tables else b""
    total = 0
    for number, fields in enumerate(packing.iter_unpack(_records(member.bytes_of(table), packing, table))):
        name, info, other, shndx, value, size = fields if wide else (fields[0], *fields[3:], *fields[1:3])
        end = names.find(b"\0", name)
        total += end - name
        word = extended[4 * number : 4 * number + 4]
        if end < 0 or total > _MAX_NAMES or (shndx == _SHN_XINDEX and len(word) < 4):
            raise ElfError(f"symbol {number} has no name or no section index where it should stand, or names are huge")
        place = -shndx
        if shndx == _SHN_XINDEX:
            place = member.places.get(int.from_bytes(word, "little" if elf.form.little else "big"), _REMOVED)
        elif shndx < _SHN_LORESERVE:
            place = member.places.get(shndx, _REMOVED)
        # A section symbol's name is its section's, whether the table says it or not.
        yield Symbol(b"" if info & 0xF == _STT_SECTION else names[name:end], value, size, info, other, place)
