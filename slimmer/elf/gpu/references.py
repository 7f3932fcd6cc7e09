"""Who points at a container of GPU code: the records of `.nvFatBinSegment`, each by one relocation or none.

nvcc registers GPU code by such a record, so a record's pointer is all that has to change when a container moves. The
containers before the first that a record names have no pointer (cuSPARSE, cuSOLVER and cuRAND have one such): they
stay as they are. Everything else that names an address in the sections raises ElfError, and nothing moves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.gpu.fatbin import WRAPPERS
from slimmer.elf.gpu.relocations import Relocations
from slimmer.elf.machine import EM_AARCH64, EM_X86_64
from slimmer.elf.object import PT_LOAD
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.object import Object, Section

_RECORD = struct.Struct("<IIQQ")
_RECORD_MAGIC = 0x466243B1
_LINKED_VERSION = 2
_POINTER = 8
_RELATIVE = {EM_X86_64: 8, EM_AARCH64: 1027}
_MOST_RECORDS = 1 << 20


@dataclass(frozen=True, slots=True)
class Reference:
    """A record that points at a container. Places are offsets in the file."""

    record: int
    """Where the record is."""
    target: int
    """The address that it points at."""
    is_linked: bool
    """Whether the container holds what a device linker made, and the parts lie in other containers."""
    places: tuple[int, ...]
    """Where that address is written: in the record, in a relocation's addend, or in both."""


def references(elf: Object, areas: tuple[Section, ...]) -> tuple[Reference, ...]:
    """Give every reference into the sections AREAS; raise ElfError where there may be one of another kind."""
    if elf.header.machine not in _RELATIVE:
        raise ElfError(f"how a machine numbered {elf.header.machine} points at GPU code is not known")
    records = dict(_records(elf))
    try:
        relocations = Relocations(elf)
        addends = _addends(relocations, _RELATIVE[elf.header.machine], areas, records)
        packed = _packed(relocations, areas, records)
        if any(
            _within(areas, place) or _within(areas, place + max(size, 1) - 1) for place, size in relocations.symbols()
        ):
            raise ElfError("a dynamic symbol names a place in GPU code")
    except (EOFError, struct.error) as error:
        raise ElfError(f"a table of the dynamic table leads outside the file: {error}") from error
    found = []
    for address, (offset, version, value) in records.items():
        written = addends.get(address)
        if written is None and address not in packed:
            raise ElfError(f"no relocation says where the record at {address:#x} of {WRAPPERS} points")
        target, places = (value, ()) if written is None else written
        if value not in {target, 0}:
            raise ElfError(f"the record at {address:#x} of {WRAPPERS} and its relocation do not agree")
        both = (*places, *((offset + _POINTER,) if value else ()))
        found.append(Reference(offset, target, version == _LINKED_VERSION, both))
    return tuple(found)


def _records(elf: Object) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Give the records, by the address of their pointers: where each is, its version, and where it points."""
    section = elf.section_named(WRAPPERS)
    if section is None or not section.file_size:
        raise ElfError(f"it has GPU code and no {WRAPPERS} that says where")
    count, rest = divmod(section.file_size, _RECORD.size)
    if rest or count > _MOST_RECORDS or not _is_loaded(elf, section):
        raise ElfError(f"{WRAPPERS} is no table of records")
    data = elf.content.read_at(section.offset, section.file_size)
    for index, (magic, version, value, _) in enumerate(_RECORD.iter_unpack(data)):
        if magic != _RECORD_MAGIC or version not in {1, _LINKED_VERSION}:
            raise ElfError(f"record {index} of {WRAPPERS} is of an unknown kind")
        start = index * _RECORD.size
        yield section.addr + start + _POINTER, (section.offset + start, version, value)


def _is_loaded(elf: Object, section: Section) -> bool:
    return any(
        segment.type == PT_LOAD
        and segment.offset <= section.offset
        and section.offset + section.file_size <= segment.offset + segment.filesz
        and section.addr - section.offset == segment.vaddr - segment.offset
        for segment in elf.segments
    )


def _within(areas: tuple[Section, ...], address: int) -> bool:
    return any(area.addr <= address < area.addr + area.size for area in areas)


def _addends(
    relocations: Relocations, relative: int, areas: tuple[Section, ...], records: dict[int, tuple[int, int, int]]
) -> dict[int, tuple[int, tuple[int, ...]]]:
    """Give for each record's pointer that a relocation with an addend writes: the addend, and where it is written."""
    found: dict[int, tuple[int, tuple[int, ...]]] = {}
    low, high = min(area.addr for area in areas), max(area.addr + area.size for area in areas)
    for offset, words in relocations.tables():
        for index, (place, info, addend) in enumerate(zip(words[0::3], words[1::3], words[2::3], strict=True)):
            if low - 8 < place < high and (_within(areas, place) or _within(areas, place + 7)):
                raise ElfError("a relocation writes into GPU code")
            if place in records:
                if info != relative or place in found:
                    raise ElfError(f"what {WRAPPERS} points at is not told by one relative relocation")
                found[place] = addend, (offset + 24 * index + 16,)
            elif low <= addend < high and _within(areas, addend):
                raise ElfError(f"{place:#x} points into GPU code, and is no record of {WRAPPERS}")
    return found


def _packed(
    relocations: Relocations, areas: tuple[Section, ...], records: dict[int, tuple[int, int, int]]
) -> frozenset[int]:
    """Give the record's pointers that a packed table of relocations stands for."""
    found = set()
    for place, value in relocations.packed():
        if _within(areas, place) or _within(areas, place + 7):
            raise ElfError("a relocation writes into GPU code")
        if place in records:
            found.add(place)
        elif _within(areas, value):
            raise ElfError(f"{place:#x} points into GPU code, and is no record of {WRAPPERS}")
    return frozenset(found)
