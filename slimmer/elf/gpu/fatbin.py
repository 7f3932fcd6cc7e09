"""Fat binaries: the containers of GPU code in `.nv_fatbin` and `__nv_relfatbin`, read header by header.

No document of NVIDIA's describes the format. What is read here was read in the libraries of CUDA 12 and 13 wheels and
agrees with what their `cuobjdump` lists. Containers abut; each is a header of 16 bytes and entries that fill it. An
entry is a header, whose length it tells itself, and a payload. Whatever does not tile raises ElfError.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.gpu.architectures import Architecture
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content
    from slimmer.elf.object import Object, Section

FATBIN, RELFATBIN, WRAPPERS, HIP = ".nv_fatbin", "__nv_relfatbin", ".nvFatBinSegment", ".hip_fatbin"
PTX, CUBIN, LTO_IR = 1, 2, 8
LZ4, ZSTD = 0x2000, 0x8000
"""Flags of an entry whose payload is compressed: an LZ4 block without a frame, or a zstd frame."""
ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")
"""kind, version, header's size, payload's size, compressed size, options' place, minor and major version of the code,
architecture, name's place and length, flags, reserved, uncompressed size."""
CONTAINER = struct.Struct("<IHHQ")
_MAGIC = 0xBA55ED50
_VERSION = 1
_ARCH_SPECIFIC, _FAMILY = 0x100000, 0x200000
_FIRST_WITH_VARIANTS = 90
_MOST_ENTRIES = 1 << 20
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of GPU code. Places are offsets in the file."""

    kind: int
    architecture: Architecture
    flags: int
    start: int
    header_size: int
    payload_size: int
    compressed_size: int
    uncompressed_size: int

    @property
    def size(self) -> int:
        """Bytes that it takes, its header among them."""
        return self.header_size + self.payload_size

    @property
    def stop(self) -> int:
        """Where the next entry begins."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Container:
    """Pieces of GPU code of which a driver takes what its GPU needs."""

    start: int
    header_size: int
    entries: tuple[Entry, ...]

    @property
    def stop(self) -> int:
        """Where the next container begins."""
        return self.entries[-1].stop if self.entries else self.start + self.header_size

    @property
    def size(self) -> int:
        """Bytes that it takes, its header among them."""
        return self.stop - self.start


def sections(elf: Object) -> tuple[Section, ...]:
    """Give the sections of GPU code; raise ElfError where one of their names means several."""
    found = tuple(section for section in elf.sections if section.name in {FATBIN, RELFATBIN} and section.file_size)
    if len({section.name for section in found}) < len(found):
        raise ElfError("it has several sections of GPU code of one name")
    return found


def read_containers(elf: Object, section: Section) -> tuple[Container, ...]:
    """Give the containers of a section; raise ElfError unless they fill it."""
    if not elf.form.little or elf.form.bits != 64:
        raise ElfError("GPU code in an object that is not 64 bits wide and little-endian")
    found = []
    at, stop, budget = section.offset, section.offset + section.file_size, _MOST_ENTRIES
    while at < stop:
        found.append(_container(elf.content, at, stop, section, budget))
        at = found[-1].stop
        budget -= len(found[-1].entries)
    return tuple(found)


def _container(content: Content, start: int, stop: int, section: Section, budget: int) -> Container:
    where = f"at {start - section.offset:#x} of {section.name}"
    if stop - start < CONTAINER.size:
        raise ElfError(f"what is {where} is no container of GPU code")
    magic, version, header_size, size = CONTAINER.unpack(content.read_at(start, CONTAINER.size))
    if magic != _MAGIC or version != _VERSION or header_size != CONTAINER.size:
        raise ElfError(f"what is {where} is no container of GPU code that is known")
    end = start + header_size + size
    if end > stop or size % 8:
        raise ElfError(f"the container {where} does not end in its section")
    entries = tuple(_entries(content, start + header_size, end, where, budget))
    return Container(start, header_size, entries)


def _entries(content: Content, at: int, end: int, where: str, budget: int) -> Iterator[Entry]:
    count = 0
    while at < end:
        count += 1
        if count > budget:
            raise ElfError(f"more than {_MOST_ENTRIES} pieces of GPU code")
        entry = _entry(content, at, end)
        if entry is None:
            raise ElfError(f"the entries of the container {where} do not fill it")
        yield entry
        at = entry.stop


def _entry(content: Content, at: int, end: int) -> Entry | None:
    if end - at < ENTRY.size:
        return None
    fields = ENTRY.unpack(content.read_at(at, ENTRY.size))
    kind, _, header_size, size, compressed, _, _, _, number, _, _, flags, _, uncompressed = fields
    if not ENTRY.size <= header_size <= _LONGEST_HEADER or header_size + size > end - at or (header_size + size) % 8:
        return None
    if compressed > size:
        return None
    # There are variants since sm_90: on older code the flags would mean something else.
    is_variant = number >= _FIRST_WITH_VARIANTS
    variant = "" if not is_variant else "a" if flags & _ARCH_SPECIFIC else "f" if flags & _FAMILY else ""
    architecture = Architecture(number, variant)
    return Entry(kind, architecture, flags, at, header_size, size, compressed, uncompressed)
