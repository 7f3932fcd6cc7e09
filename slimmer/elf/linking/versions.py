"""What the versions of an object's dynamic symbols are called."""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

from slimmer.elf.mapped import Window
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimmer.elf.object import Object

VERSION = 0x7FFF
"""Which bits of a symbol's version index say the version."""
_DT_VERDEF, _DT_VERNEED = 0x6FFFFFFC, 0x6FFFFFFE
_VER_FLG_BASE = 1
_MAX_VERSION = 1 << 10
"""No name comes near; it bounds what a hostile object costs."""


def versions_of(elf: Object, tags: Mapping[int, int], strings: bytes) -> dict[int, bytes]:
    """Give the name of each version index; the base definition is the object's own name and no version."""
    found: dict[int, bytes] = {}
    order, window = elf.form.order, Window(elf)
    steps = iter(range(2 * VERSION))  # more cannot be numbered
    for at, (_, count, _, where, _) in _records(window, tags.get(_DT_VERNEED, 0), order + "HHIII", steps):
        for _, (_, _, index, name, _) in islice(_records(window, at + where, order + "IHHII", steps), count):
            found[index & VERSION] = name_at(strings, name, _MAX_VERSION)
    for at, (_, flags, index, _, _, where, _) in _records(window, tags.get(_DT_VERDEF, 0), order + "HHHHIII", steps):
        if not flags & _VER_FLG_BASE:
            name = struct.unpack(order + "I", window.loaded(at + where, 4))[0]
            found[index & VERSION] = name_at(strings, name, _MAX_VERSION)
    return found


def _records(window: Window, at: int, form: str, steps: Iterator[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Give each record of a chain with its address; the last field of all three kinds leads to the next, 0 to none."""
    packing = struct.Struct(form)
    while at:
        if next(steps, None) is None:
            raise ElfError("a chain of symbol versions without an end")
        fields = packing.unpack(window.loaded(at, packing.size))
        yield at, fields
        at = at + fields[-1] if fields[-1] else 0


def name_at(strings: bytes, offset: int, longest: int = 4096) -> bytes:
    """Give the name at OFFSET of a table of strings; raise ElfError where none ends there within LONGEST bytes."""
    end = strings.find(b"\0", offset, offset + longest)
    if end < 0:
        raise ElfError(f"the name at {offset} has no end in the dynamic string table")
    return strings[offset:end]
