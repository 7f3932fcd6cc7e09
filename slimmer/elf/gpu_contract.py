"""The proof for GPU code: what must hold between a library and itself with less of it.

As contract.py does, it reads both objects afresh and knows nothing of how the new one was made. All that is loaded is
the same at the same addresses, with two exceptions: the sections of GPU code, and the pointers to their containers.
Each such pointer leads to a container that holds what it held, less what the keep rule lets go.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from slimmer.elf.gpu.choice import has_code, kept
from slimmer.elf.gpu.fatbin import FATBIN, RELFATBIN, WRAPPERS, read_containers
from slimmer.elf.gpu.memory import Span, changed_words, loads, mapping_violations
from slimmer.elf.gpu.relocations import Relocations
from slimmer.elf.object import PT_LOAD, SHT_NULL, Object, Segment, parse
from slimmer.elf.readers import disagreements
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.content import Content
    from slimmer.elf.gpu.choice import Wanted
    from slimmer.elf.gpu.fatbin import Container, Entry

    Same = Callable[[Object, Entry, Object, Entry], bool]

_NAMES = (FATBIN, RELFATBIN)
_PT_PHDR = 6
_RECORD = 24
_POINTER = 8
_LINKED_VERSION = 2


def identical(old: Object, was: Entry, new: Object, now: Entry) -> bool:
    """Say whether two entries are the same bytes."""
    return not old.content.slice(was.start, was.stop).differs(new.content.slice(now.start, now.stop))


def violations(before: Content, after: Content, wanted: Wanted | None, same: Same = identical) -> list[str]:
    """Give every way in which AFTER breaks the contract with BEFORE, each as one sentence; none means proved.

    What may be gone is what the keep rule lets go for WANTED, nothing where it is None. SAME says whether an entry is
    what it was. Never raises for what the objects hold: an object that cannot be read is a violation.
    """
    try:
        old, new = parse(before), parse(after)
        found = list(_headers(old, new))
        if not found:
            free = list(_free(old, new))
            found = list(mapping_violations(old, new, free))
        if not found:
            found = [*_placed(old, new), *_words(old, new), *_dangling(new, free)]
        if not found:
            found = list(_containers(old, new, wanted, same))
    except (ElfError, EOFError, struct.error) as error:
        return [f"it cannot be read back: {error}"]
    return found or disagreements(before, after, but=("file header", "program headers"))


def _headers(old: Object, new: Object) -> Iterator[str]:
    """Give what headers say otherwise: where things lie in the file may change, and how long GPU code is."""
    if replace(old.header, phoff=0, shoff=0, phnum=0) != replace(new.header, phoff=0, shoff=0, phnum=0):
        yield "its ELF header changed"
    if len(old.sections) != len(new.sections):
        yield "it has another number of sections"
    for was, now in zip(old.sections, new.sections, strict=False):
        size = now.size if was.name in _NAMES and now.size <= was.size else was.size
        if was._replace(offset=0, size=size) != now._replace(offset=0):
            yield f"section {was.name or was.index} has another header"
    others = _others(old), _others(new)
    if list(map(_masked, others[0])) != list(map(_masked, others[1])):
        yield "its program headers changed"


def _others(elf: Object) -> list[Segment]:
    return [segment for segment in elf.segments if segment.type != PT_LOAD]


def _masked(segment: Segment) -> Segment:
    """Give a program header without what may change: its place in the file, and all of that of the headers."""
    if segment.type == _PT_PHDR:
        return Segment(_PT_PHDR, segment.flags, 0, 0, 0, 0, 0, segment.align)
    return replace(segment, offset=0)


def _free(old: Object, new: Object) -> Iterator[Span]:
    """Give the addresses that GPU code had and has no longer."""
    for was, now in zip(old.sections, new.sections, strict=True):
        if was.name in _NAMES and now.size < was.size:
            yield Span(was.addr + now.size, was.addr + was.size)


def _placed(old: Object, new: Object) -> Iterator[str]:
    """Give what a header places elsewhere in the file than its address is loaded from, or bytes that nothing loads."""
    header = new.header
    size = header.phnum * header.phentsize
    table = Segment(_PT_PHDR, 0, header.phoff, 0, 0, size, size, 0)
    home = next((each for each in loads(new) if _file_holds(each, header.phoff, size)), None)
    if home is None:
        yield "its program headers are not loaded"
    else:
        table = replace(table, vaddr=header.phoff - home.offset + home.vaddr)
        if header.phoff != old.header.phoff and not any(
            span.holds(table.vaddr, table.vaddr + size) for span in _free(old, new)
        ):
            yield "its program headers stand where something else is"
    for was, now in zip(_others(old), _others(new), strict=True):
        if now.type == _PT_PHDR:
            wrong = (now.offset, now.vaddr, now.filesz, now.memsz) != (table.offset, table.vaddr, size, size)
        else:
            wrong = _is_misplaced(old, new, (was.vaddr, was.offset), (now.vaddr, now.offset), now.filesz)
        if wrong:
            yield f"a program header of type {now.type:#x} leads elsewhere"
    for before, section in zip(old.sections, new.sections, strict=True):
        address = section.addr if section.is_allocated else -1
        places = (address, before.offset), (address, section.offset)
        if section.type != SHT_NULL and _is_misplaced(old, new, *places, section.file_size):
            yield f"section {section.name or section.index} leads elsewhere"


def _file_holds(segment: Segment, offset: int, size: int) -> bool:
    return segment.offset <= offset and offset + size <= segment.offset + segment.filesz


def _is_misplaced(old: Object, new: Object, was: tuple[int, int], now: tuple[int, int], size: int) -> bool:
    """Say whether bytes, by address and place, are neither loaded from where they are nor those they were."""
    address, offset = now
    for segment in loads(new):
        if size and segment.vaddr <= address and address + size <= segment.vaddr + segment.filesz:
            return offset != segment.offset + address - segment.vaddr
    if offset + size > new.content.size:
        return size > 0
    return old.content.slice(was[1], was[1] + size).differs(new.content.slice(offset, offset + size))


def _words(old: Object, new: Object) -> Iterator[str]:
    """Give each word in memory that is another one, and neither in GPU code nor a pointer to it."""
    sections = [Span(each.addr, each.addr + each.size) for each in old.sections if each.name in _NAMES]
    pointers = set(_pointers(old))
    addends = {
        offset + 24 * index + 16
        for offset, words in Relocations(old).tables()
        for index in (number for number, place in enumerate(words[0::3]) if place in pointers)
    }
    first = next((each for each in loads(old) if each.offset == 0), None)
    header = Span(first.vaddr, first.vaddr + old.header.ehsize) if first is not None else Span(0, 0)
    for address in changed_words(old, new, [*sections, header]):
        if address not in pointers and _offset(old, address) not in addends:
            yield f"what is loaded at {address:#x} changed"
            return


def _offset(elf: Object, address: int) -> int:
    return next(
        each.offset + address - each.vaddr for each in loads(elf) if each.vaddr <= address < each.vaddr + each.memsz
    )


def _pointers(elf: Object) -> Iterator[int]:
    """Give the address of each record's pointer."""
    section = elf.section_named(WRAPPERS)
    if section is not None:
        yield from range(section.addr + _POINTER, section.addr + section.size, _RECORD)


def _dangling(new: Object, free: list[Span]) -> Iterator[str]:
    """Give a violation where a relocation or a dynamic symbol leads to where GPU code is no longer."""
    relocations = Relocations(new)
    for _, words in relocations.tables():
        for addend in words[2::3]:
            if any(span.start <= addend < span.stop for span in free):
                yield f"a relocation leads to {addend:#x}, where nothing is"
                return
    for place, value in (*relocations.packed(), *relocations.symbols()):
        if any(span.start <= each < span.stop for span in free for each in (place, value)):
            yield f"{place:#x} or what it holds leads to where nothing is"
            return


def _containers(old: Object, new: Object, wanted: Wanted | None, same: Same) -> Iterator[str]:
    """Give each container that does not hold what it held, less what may go, or is not where its pointer leads."""
    targets = dict(zip(_targets(old), _targets(new), strict=True))
    if any(written not in {0, target} for written, target in zip(_written(new), _targets(new), strict=True)):
        yield "a record and its relocation lead to different containers"
    sides = [
        {area.name: read_containers(elf, area) for area in elf.sections if area.name in _NAMES and area.size}
        for elf in (old, new)
    ]
    linked = [entries for version, entries in _linked(old, sides[0]) if version == _LINKED_VERSION]
    gpus = wanted.gpus if wanted is not None else frozenset()
    served = {gpu for gpu in gpus if linked and all(has_code(entries, gpu) for entries in linked)}
    for area in (each for each in old.sections if each.name in sides[0]):
        if len(sides[0][area.name]) != len(sides[1].get(area.name, ())):
            yield f"{area.name} holds another number of containers"
            continue
        section = new.sections[area.index]
        for was, now in zip(sides[0][area.name], sides[1][area.name], strict=True):
            address = was.start - area.offset + area.addr
            is_pinned = address not in targets
            if targets.get(address, address) != now.start - section.offset + section.addr:
                yield f"what points at the container at {address:#x} does not lead to it any more"
            stay = (
                was.entries
                if is_pinned or wanted is None
                else kept(was.entries, wanted, served if area.name == RELFATBIN else ())
            )
            if is_pinned:
                right = not old.content.slice(was.start, was.stop).differs(new.content.slice(now.start, now.stop))
            else:
                right = len(stay) == len(now.entries) and all(
                    same(old, a, new, b) for a, b in zip(stay, now.entries, strict=True)
                )
            if not right:
                yield f"the container at {address:#x} does not hold what it held"


def _targets(elf: Object) -> list[int]:
    """Give where each record's pointer leads, as the loader writes it: what is relocated, else what is in the file."""
    addends: dict[int, int] = {}
    pointers = list(_pointers(elf))
    wanted = set(pointers)
    for _, words in Relocations(elf).tables():
        addends |= {place: addend for place, addend in zip(words[0::3], words[2::3], strict=True) if place in wanted}
    return [addends.get(pointer, written) for pointer, written in zip(pointers, _written(elf), strict=True)]


def _written(elf: Object) -> list[int]:
    """Give where each record's pointer leads by what is in the file, which tools read that relocate nothing."""
    section = elf.section_named(WRAPPERS)
    data = elf.content.read_at(section.offset, section.size) if section is not None else b""
    return [int.from_bytes(data[start : start + 8], "little") for start in range(_POINTER, len(data), _RECORD)]


def _linked(elf: Object, containers: dict[str, tuple[Container, ...]]) -> Iterator[tuple[int, tuple[Entry, ...]]]:
    """Give the version of each record, and the entries of the container that it leads to."""
    section = elf.section_named(WRAPPERS)
    places = {
        each.start - area.offset + area.addr: each.entries
        for area in elf.sections
        for each in containers.get(area.name, ())
    }
    data = elf.content.read_at(section.offset, section.size) if section is not None else b""
    for start, target in zip(range(0, len(data), _RECORD), _targets(elf), strict=True):
        yield int.from_bytes(data[start + 4 : start + 8], "little"), places.get(target, ())
