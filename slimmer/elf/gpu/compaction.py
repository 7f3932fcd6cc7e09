"""A library without some of its GPU code: containers close up at the start of their section, the rest becomes a hole.

Nothing else moves. Where a container moves, the one pointer that leads to it is written anew, in the relocation and in
the record. What is made here is not to be used before proof.py has found no violation in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.blobs import ZEROS
from slimmer.content import Content
from slimmer.elf import layout
from slimmer.elf.gpu.choice import has_code, kept
from slimmer.elf.gpu.code import addressed
from slimmer.elf.gpu.fatbin import CONTAINER, RELFATBIN, read_containers, sections
from slimmer.elf.gpu.holes import Shrunk, with_holes
from slimmer.elf.gpu.references import references
from slimmer.errors import ElfError
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from slimmer.elf.gpu.choice import Wanted
    from slimmer.elf.gpu.fatbin import Container, Entry
    from slimmer.elf.gpu.references import Reference
    from slimmer.elf.object import Object, Section

Patch = tuple[int, Content]


@dataclass(frozen=True, slots=True)
class Area:
    """A section of GPU code, its containers, and who points at each; None for those that have no pointer."""

    section: Section
    containers: tuple[Container, ...]
    references: tuple[Reference | None, ...]

    def pairs(self) -> Iterator[tuple[Container, Reference | None]]:
        """Give each container with its reference."""
        return zip(self.containers, self.references, strict=True)


def areas(elf: Object) -> tuple[Area, ...]:
    """Give the GPU code of an object, nothing where it has none; raise ElfError where it is not fully understood."""
    found = sections(elf)
    if not found:
        return ()
    by_target = _by_target(references(elf, found))
    result = []
    for section in found:
        containers = read_containers(elf, section)
        pointers = tuple(by_target.pop(each.start - section.offset + section.addr, None) for each in containers)
        first = next((index for index, pointer in enumerate(pointers) if pointer is not None), len(pointers))
        if None in pointers[first:]:
            raise ElfError(f"nothing that is known points at container {pointers.index(None, first)} of {section.name}")
        result.append(Area(section, containers, pointers))
    if by_target:
        raise ElfError("a record of GPU code does not point at the start of a container")
    if by_code := addressed(
        elf, {pointer.target for area in result for pointer in area.references if pointer is not None}
    ):
        raise ElfError(f"code addresses the container at {min(by_code):#x} by itself")
    return tuple(result)


def _by_target(found: Iterable[Reference]) -> dict[int, Reference]:
    by_target: dict[int, Reference] = {}
    for reference in found:
        if by_target.setdefault(reference.target, reference) is not reference:
            raise ElfError(f"two records point at {reference.target:#x}, GPU code that only one should have")
    return by_target


def chosen(found: tuple[Area, ...], wanted: Wanted | None) -> dict[Container, tuple[Entry, ...]]:
    """Give what stays of each container: without WANTED all, of parts of linked code less where that suffices.

    A driver links the parts in `__nv_relfatbin` itself only where what was linked from them has no code for its GPU.
    """
    if wanted is None:
        return {container: container.entries for area in found for container in area.containers}
    linked = [
        container for area in found for container, pointer in area.pairs() if pointer is not None and pointer.is_linked
    ]
    served = {gpu for gpu in wanted.gpus if linked and all(has_code(each.entries, gpu) for each in linked)}
    return {
        container: kept(container.entries, wanted, served if area.section.name == RELFATBIN else ())
        if pointer is not None
        else container.entries
        for area in found
        for container, pointer in area.pairs()
    }


def compacted(
    elf: Object,
    found: tuple[Area, ...],
    stay: Mapping[Container, tuple[Entry, ...]],
    rewritten: Mapping[Entry, Content] | None = None,
) -> Content:
    """Give ELF with only the entries that STAY of each container; raise ElfError where nothing would be gained.

    REWRITTEN has other bytes for some entries, not more than they have now.
    """
    patches: list[Patch] = []
    shrunk = []
    for area in found:
        section = area.section
        at = section.offset
        for container, pointer in area.pairs():
            content = _container(elf, container, stay[container], rewritten or {})
            patches.append((at, content))
            if pointer is not None:
                word = Content.of((at - section.offset + section.addr).to_bytes(8, "little"))
                patches += [(place, word) for place in pointer.places]
            at += content.size
        rest = section.offset + section.size - at
        if rest:
            patches.append((at, Content([Piece(ZEROS, 0, rest)])))
            shrunk.append(Shrunk(section, at - section.offset))
    wanted, holes = with_holes(elf, shrunk)
    return layout.without_ranges(replace(wanted, content=_patched(elf.content, patches)), holes)


def _container(
    elf: Object, container: Container, stay: tuple[Entry, ...], rewritten: Mapping[Entry, Content]
) -> Content:
    parts = [rewritten.get(entry) or elf.content.slice(entry.start, entry.stop) for entry in stay]
    magic, version, size, _ = CONTAINER.unpack(elf.content.read_at(container.start, CONTAINER.size))
    header = Content.of(CONTAINER.pack(magic, version, size, sum(part.size for part in parts)))
    return Content([piece for part in (header, *parts) for piece in part])


def _patched(content: Content, patches: Iterable[Patch]) -> Content:
    """Give CONTENT with other bytes at some places, in one pass however many they are."""
    pieces: list[Piece] = []
    position = 0
    for start, patch in sorted(patches, key=lambda patch: patch[0]):
        if start < position:
            raise ElfError("two pointers to GPU code overlap")
        pieces += content.slice(position, start).pieces
        pieces += patch.pieces
        position = start + patch.size
    return Content([*pieces, *content.slice(position, content.size).pieces])
