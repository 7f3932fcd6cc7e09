"""Every address of its own that an object holds where a program or a loader could find it.

That is the dynamic table, the relocations in all their forms, what they put in their places and the dynamic symbols.
They are read as the loader finds them, by address from PT_DYNAMIC, out of what the segments take from the file.
"""

from __future__ import annotations

import struct
from array import array
from operator import add
from typing import TYPE_CHECKING

from slimmer.elf.hashes import symbol_count
from slimmer.elf.mapped import loaded
from slimmer.elf.numbers import numbers
from slimmer.elf.object import PT_DYNAMIC
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimmer.elf.object import Object

    Words = Sequence[int]

_MOST = 64 << 20
"""Bytes of one table."""
_DT_NULL, DT_PLTRELSZ, _DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, _DT_STRSZ = 0, 2, 5, 6, 7, 8, 10
DT_REL, DT_RELSZ, DT_PLTREL, DT_JMPREL, _DT_INIT_ARRAY, _DT_FINI_ARRAY = 17, 18, 20, 23, 25, 26
_DT_INIT_ARRAYSZ, _DT_FINI_ARRAYSZ, _DT_PREINIT_ARRAY, _DT_PREINIT_ARRAYSZ = 27, 28, 32, 33
DT_RELRSZ, DT_RELR = 35, 36
_EXTENTS = {
    _DT_STRTAB: _DT_STRSZ,
    DT_RELA: DT_RELASZ,
    DT_REL: DT_RELSZ,
    DT_JMPREL: DT_PLTRELSZ,
    DT_RELR: DT_RELRSZ,
    _DT_INIT_ARRAY: _DT_INIT_ARRAYSZ,
    _DT_FINI_ARRAY: _DT_FINI_ARRAYSZ,
    _DT_PREINIT_ARRAY: _DT_PREINIT_ARRAYSZ,
}
_ANDROID = range(0x6000000F, 0x60000013), range(0x6FFFE000, 0x6FFFE004)
"""Tags of tables of relocations that are packed in ways of Android's loader."""
_MOST_PACKED = 1 << 17
"""Words of a packed table of relocations."""
_MOST_IN_PLACE = 1 << 20
"""Relocations that have their addends in place, each of which is read by itself, and that a packed table stands for."""


def who_names(elf: Object, start: int, stop: int) -> str | None:
    """Give what in ELF names an address from START up to STOP, or None; raise ElfError where that cannot be told."""
    try:
        for what, starts, sizes in _addresses(elf):
            if _any_within(starts, sizes, start, stop):
                return what
    except (EOFError, struct.error) as error:
        raise ElfError(f"a table of the dynamic table leads outside the file: {error}") from error
    return None


def _any_within(starts: Words, sizes: Words | int, start: int, stop: int) -> bool:
    # What is asked about lies behind nearly all that has an address: a maximum answers for a whole table.
    if not starts:
        return False
    if isinstance(sizes, int):
        return max(starts) + max(sizes, 1) > start and any(
            first < stop and first + max(sizes, 1) > start for first in starts
        )
    return (max(starts) >= start or max(map(add, starts, sizes)) > start) and any(
        first < stop and first + max(size, 1) > start for first, size in zip(starts, sizes, strict=True)
    )


def _addresses(elf: Object) -> Iterator[tuple[str, Words, Words | int]]:
    """Give all addresses, by what has them, with the size of what is there: of each or of all; 0 where nobody knows."""
    dynamic, values = dynamic_table(elf)
    yield "the dynamic table", values, 0
    places = [(dynamic[tag], dynamic.get(size, 0)) for tag, size in _EXTENTS.items() if tag in dynamic]
    yield "the dynamic table", [place for place, _ in places], [size for _, size in places]
    yield from _relocations(elf, dynamic)
    if DT_SYMTAB in dynamic:
        yield "a dynamic symbol", *symbol_places(elf, dynamic)


def symbol_places(elf: Object, dynamic: dict[int, int]) -> tuple[Words, Words]:
    """Give the addresses and the sizes of the dynamic symbols."""
    # st_value and st_size are the second and third word of three in the larger class, of four in the smaller.
    entry, step = (24, 3) if elf.form.bits == 64 else (16, 4)
    symbols = table_words(elf, dynamic[DT_SYMTAB], entry * symbol_count(elf, dynamic, entry))
    return symbols[1::step], symbols[2::step]


def dynamic_table(elf: Object) -> tuple[dict[int, int], Words]:
    """Give the dynamic table by its tags, and all its values; raise ElfError where it is not understood."""
    tables = [segment for segment in elf.segments if segment.type == PT_DYNAMIC]
    if len(tables) != 1:
        raise ElfError(f"it has {len(tables)} dynamic tables")
    entries = table_words(elf, tables[0].vaddr, tables[0].filesz)
    tags, values = entries[0::2], entries[1::2]
    if _DT_NULL not in tags:
        raise ElfError("its dynamic table has no end")
    end = tags.index(_DT_NULL)
    tags, values = tags[:end], values[:end]
    if any(tag in reserved for tag in tags for reserved in _ANDROID):
        raise ElfError("its relocations are packed for Android")
    return dict(zip(tags, values, strict=True)), values


def _relocations(elf: Object, dynamic: dict[int, int]) -> Iterator[tuple[str, Words, Words | int]]:
    """Give where relocations write, and what they add to what they write."""
    explicit = [(DT_RELA, DT_RELASZ)] if DT_RELA in dynamic else []
    implicit = [(DT_REL, DT_RELSZ)] if DT_REL in dynamic else []
    if DT_JMPREL in dynamic:
        (explicit if dynamic.get(DT_PLTREL) == DT_RELA else implicit).append((DT_JMPREL, DT_PLTRELSZ))
    for tag, size in explicit:
        words = table_words(elf, dynamic[tag], dynamic.get(size, 0))
        yield "a relocation", words[0::3], words.itemsize
        addends = array(words.typecode.lower(), words.tobytes())[2::3]  # signed
        yield "a relocation's addend", addends, 0
    places: list[Words] = [table_words(elf, dynamic[tag], dynamic.get(size, 0))[0::2] for tag, size in implicit]
    if DT_RELR in dynamic:
        places.append(list(unpacked(table_words(elf, dynamic[DT_RELR], dynamic.get(DT_RELRSZ, 0)), elf.form.bits)))
    if sum(map(len, places)) > _MOST_IN_PLACE:
        raise ElfError(f"more than {_MOST_IN_PLACE} relocations have their addends in place")
    for each in places:
        yield "a relocation", each, elf.form.bits // 8
        yield "what a relocation adds to", list(_added(elf, each)), 0


def unpacked(words: Words, bits: int) -> Iterator[int]:
    """Give the places that a packed table stands for: an address, then bits for the words behind it."""
    if len(words) > _MOST_PACKED:
        raise ElfError(f"a table of {len(words)} packed relocations")
    place = count = 0
    size = bits // 8
    for word in words:
        if not word & 1:
            yield word
            place = word + size
            count += 1
            continue
        for bit in range(1, bits):
            if word >> bit & 1:
                yield place + (bit - 1) * size
                count += 1
        place += (bits - 1) * size
        if count > _MOST_IN_PLACE:
            raise ElfError(f"more than {_MOST_IN_PLACE} relocations are packed in a table")


def _added(elf: Object, places: Iterable[int]) -> Iterator[int]:
    """Give the words in the places of relocations that hold no addend; what does not come from the file is zero."""
    packing = struct.Struct(elf.form.order + ("Q" if elf.form.bits == 64 else "I"))
    for place in places:
        try:
            (word,) = packing.unpack(loaded(elf, place, packing.size))
        except ElfError:
            continue
        yield word


def table_words(elf: Object, address: int, size: int) -> array[int]:
    """Give a table of the loaded object as words of its class."""
    if size > _MOST:
        raise ElfError(f"it has a table of {size} bytes")
    word = elf.form.bits // 8
    data = loaded(elf, address, size - size % word) if size >= word else b""
    return numbers(elf.form, "Q" if word == 8 else "I", data)
