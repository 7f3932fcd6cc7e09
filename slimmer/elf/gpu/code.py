"""Which addresses a library's own machine code computes: a container that it addresses must not move.

Compilers put an address into a register by `lea` relative to the instruction pointer, on x86-64 in seven bytes. Bytes
that only look like one are no matter here: that one of them gives the very start of a container is not to be expected.
On other machines it takes two instructions, and nothing is looked for; nvcc makes all code for hosts alike.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from slimmer.elf.machine import EM_X86_64

if TYPE_CHECKING:
    from collections.abc import Collection

    from slimmer.elf.object import Object, Section

_SHF_EXECINSTR = 0x4
# A pattern for each prefix: one with a literal beginning is found five times faster than one with a choice there.
_LEA = [
    re.compile(prefix + rb"\x8d(?=[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](....))", re.DOTALL)
    for prefix in (rb"\x48", rb"\x4c")
]
_LENGTH = 7
_CHUNK = 4 << 20
_DISPLACEMENT = struct.Struct("<i")


def addressed(elf: Object, addresses: Collection[int]) -> frozenset[int]:
    """Give those of ADDRESSES that the code of ELF computes."""
    if elf.header.machine != EM_X86_64:
        return frozenset()
    found: set[int] = set()
    for section in elf.sections:
        if section.flags & _SHF_EXECINSTR:
            for start in range(0, section.file_size, _CHUNK):
                found |= _computed(elf, section, start).intersection(addresses)
    return frozenset(found)


def _computed(elf: Object, section: Section, start: int) -> set[int]:
    """Give the addresses that are computed in a part of a section, and in the instruction that goes on behind it."""
    length = min(_CHUNK + _LENGTH, section.file_size - start)
    base = section.addr + start + _LENGTH
    unpack = _DISPLACEMENT.unpack
    data = elf.content.read_at(section.offset + start, length)
    return {base + match.start() + unpack(match[1])[0] for lea in _LEA for match in lea.finditer(data)}
