"""The section headers of a slimmed object: which stay, under which numbers and names.

A section index may be written in symbols, so none shifts as long as anything can name it by that. A name costs as many
bytes as it has letters, so those of sections that are gone go, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.object import SHT_GROUP, SHT_NULL, SHT_STRTAB, SHT_SYMTAB

if TYPE_CHECKING:
    from slimmer.elf.object import Object, Section

_FEWEST = 6
"""Headers that make a table of them."""
_MORE = 16
"""Headers that an older table may have beyond what the object has now."""


@dataclass(frozen=True, slots=True)
class Names:
    """A table of section names, and where in it the name of each old section is."""

    table: bytes
    offsets: dict[int, int]


def numbers(elf: Object, gone: frozenset[int]) -> dict[int, int]:
    """Give the new index of each section that keeps a header, by its old one, in order.

    Headers of sections that are GONE go behind the last section that is loaded, and the rest there moves up: dynamic
    symbols name only loaded ones. Where another symbol table or a group stays, each keeps its index.
    """
    last = max((section.index for section in elf.sections if section.is_allocated), default=0)
    if (
        any(section.type in {SHT_SYMTAB, SHT_GROUP} and section.index not in gone for section in elf.sections)
        or elf.header.shnum != len(elf.sections)  # more than e_shnum can say; the first header says it
        or elf.header.shstrndx != elf.shstrndx
    ):
        last = len(elf.sections)
    stay = [
        section.index
        for section in elf.sections
        if section.index <= last or not (section.index in gone or section.type == SHT_NULL)
    ]
    return {index: number for number, index in enumerate(stay)}


def shorter_names(elf: Object, gone: frozenset[int]) -> Names | None:
    """Give a table of the names that stay, or None where that saves nothing or something else is in it."""
    if not 0 < elf.shstrndx < len(elf.sections):
        return None
    section = elf.sections[elf.shstrndx]
    stay = [each for each in elf.sections if each.index not in gone]
    if section.type != SHT_STRTAB or section.is_allocated or any(each.link == section.index for each in stay):
        return None
    old = elf.content.read_at(section.offset, section.size)
    table = bytearray(1)
    places: dict[bytes, int] = {b"": 0}
    offsets = {}
    for each in stay:
        name = old[each.name_offset : old.index(0, each.name_offset)]
        if name not in places:
            places[name] = len(table)
            table += name + b"\0"
        if len(table) >= len(old):
            return None
        offsets[each.index] = places[name]
    return Names(bytes(table), offsets)


def is_stale_table(elf: Object, data: bytes) -> bool:
    """Say whether DATA, which no header knows, is a section header table that was written anew elsewhere.

    patchelf leaves the old one where it was. It is one when all that is not zero is headers with the type, flags and
    entries' size of sections that the object has.
    """
    packing = elf.form.section
    known = {_kind(section) for section in elf.sections}
    written = data.strip(b"\0")
    if not _FEWEST * packing.size // 2 < len(written) <= (len(elf.sections) + _MORE) * packing.size:
        return False
    first = data.index(written[0])
    for start in range(max(first - packing.size - 7, 0), first + 1):
        end = start + (len(data) - start) // packing.size * packing.size
        fields = packing.iter_unpack(data[start:end])
        headers = [(each[1], each[2], each[9]) for each in fields if any(each)]
        if len(headers) >= _FEWEST and all(each in known for each in headers) and not any(data[end:]):
            return True
    return False


def _kind(section: Section) -> tuple[int, int, int]:
    return section.type, section.flags, section.entsize
