"""The symbol table of a relocatable object, with sections by their places and not by their numbers."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from slimmer.elf.object import SHT_SYMTAB_SHNDX
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from slimmer.elf.archives.tables import Tables
    from slimmer.elf.object import Object, Section

Symbol = tuple[bytes, int, int, int, int, int]
"""Name, value, size, info, other and place of a symbol; a plain tuple, because archives have millions.

The place is the section's among those that stay, or one of the negative places.
"""
UNDEFINED, REMOVED, SYMBOL_TABLE = -1, -2, -3
"""Places of symbols that are in no section that stays; processors' and absolute ones are negative section indices."""
_STT_SECTION = 3
_SHN_LORESERVE, _SHN_XINDEX = 0xFF00, 0xFFFF
_MAX_NAMES = 256 << 20


def read_symbols(elf: Object, tables: Tables, table: Section, places: Mapping[int, int]) -> list[Symbol]:
    """Give the symbols of TABLE; PLACES are those of sections by their indices.

    Raises ElfError for a symbol that has no name or no section index where they should stand, or for names that are
    longer than anybody's.
    """
    wide = elf.form.bits == 64
    packing = struct.Struct(elf.form.order + ("IBBHQQ" if wide else "IIIBBH"))
    data = tables.records(table, packing.size)
    names = tables.bytes_of(elf.sections[table.link])
    starts = tables.numbers(data, "I")[:: packing.size // 4]
    indices = tables.numbers(data, "H")[3 if wide else 7 :: packing.size // 2]
    if max(starts) > names.rfind(b"\0") or _SHN_XINDEX in indices or _may_be_huge(names, len(starts)):
        return list(_one_by_one(elf, tables, table, places))
    place_of = {index: -index if index >= _SHN_LORESERVE else places.get(index, REMOVED) for index in set(indices)}
    find = names.find
    rows: Iterable[tuple[int, ...]] = packing.iter_unpack(data)
    if not wide:
        rows = ((start, info, other, index, value, size) for start, value, size, info, other, index in rows)
    # A section symbol's name is its section's, whether the table says it or not.
    return [
        (b"" if info & 0xF == _STT_SECTION else names[start : find(b"\0", start)],
         value, size, info, other, place_of[index])
        for start, info, other, index, value, size in rows
    ]  # fmt: skip


def _may_be_huge(names: bytes, count: int) -> bool:
    """Say whether COUNT names, which may share their tails, could come to more than _MAX_NAMES."""
    if count * len(names) <= _MAX_NAMES:
        return False
    most = _MAX_NAMES // count
    return names.find(b"\0") > most or re.search(rb"\0[^\0]{%d}" % (most + 1), names) is not None


def _one_by_one(elf: Object, tables: Tables, table: Section, places: Mapping[int, int]) -> Iterator[Symbol]:
    """Give the symbols with all that may be wrong with one, and with section indices from a table apart."""
    wide = elf.form.bits == 64
    packing = struct.Struct(elf.form.order + ("IBBHQQ" if wide else "IIIBBH"))
    names = tables.bytes_of(elf.sections[table.link])
    apart = [each for each in elf.sections if each.type == SHT_SYMTAB_SHNDX and each.link == table.index]
    extended = tables.bytes_of(apart[0]) if apart else b""
    total = 0
    for number, fields in enumerate(packing.iter_unpack(tables.records(table, packing.size))):
        start, info, other, index, value, size = fields if wide else (fields[0], *fields[3:], *fields[1:3])
        end = names.find(b"\0", start)
        total += end - start
        word = extended[4 * number : 4 * number + 4]
        if end < 0 or total > _MAX_NAMES or (index == _SHN_XINDEX and len(word) < 4):
            raise ElfError(f"symbol {number} has no name or no section index where it should stand, or names are huge")
        place = -index
        if index == _SHN_XINDEX:
            place = places.get(int.from_bytes(word, "little" if elf.form.little else "big"), REMOVED)
        elif index < _SHN_LORESERVE:
            place = places.get(index, REMOVED)
        yield b"" if info & 0xF == _STT_SECTION else names[start:end], value, size, info, other, place
