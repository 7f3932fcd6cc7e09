"""The hash tables of an object's dynamic symbols: how many there are, and which could be a wanted one."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from slimmer.elf.mapped import loaded, place, room
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.elf.object import Object

MAX_SYMBOLS = 1 << 20
"""No object comes near; it bounds what a hostile one costs."""
_DT_HASH, _DT_SYMTAB, _DT_GNU_HASH = 4, 6, 0x6FFFFEF5
_SHT_DYNSYM = 11
_WIDE_HASH = frozenset({(22, 64), (0x9026, 64)})  # s390x and Alpha write DT_HASH in words of 8 bytes


def symbol_count(elf: Object, tags: Mapping[int, int], entry: int) -> int:
    """Give how many dynamic symbols there are, which the dynamic table itself does not say."""
    if _DT_HASH in tags:
        wide = (elf.header.machine, elf.form.bits) in _WIDE_HASH
        packing = struct.Struct(elf.form.order + ("QQ" if wide else "II"))
        return int(packing.unpack(loaded(elf, tags[_DT_HASH], packing.size))[1])
    if _DT_GNU_HASH in tags and (count := _count_by_gnu_hash(elf, tags[_DT_GNU_HASH])):
        return count
    # Who defines nothing has an empty DT_GNU_HASH, which does not know how many are undefined.
    for section in elf.sections:
        if section.type == _SHT_DYNSYM and section.addr == tags[_DT_SYMTAB]:
            return section.size // entry
    return 0


def _count_by_gnu_hash(elf: Object, address: int) -> int:
    """Give one more than the last symbol in any chain: the chain of the highest bucket ends with it."""
    order = elf.form.order
    buckets, first, at = _gnu_hash_table(elf, address)
    last = max(struct.unpack(f"{order}{buckets}I", loaded(elf, at, 4 * buckets)), default=0)
    if last < first or last == 0:
        return 0
    chain = at + 4 * buckets + 4 * (last - first)
    offset, left = room(elf, chain)
    for start in range(0, left, 4096):
        data = elf.content.read_at(offset + start, min(4096, left - start) & ~3)
        for (value,) in struct.iter_unpack(order + "I", data):
            if value & 1:
                return int(last) + 1
            last += 1
            if last > MAX_SYMBOLS:
                break
    raise ElfError("a hash chain without an end")


def _gnu_hash_table(elf: Object, address: int) -> tuple[int, int, int]:
    """Give how many buckets there are, the first symbol that has a hash, and the address of the buckets."""
    buckets, first, masks, _ = struct.unpack(elf.form.order + "4I", loaded(elf, address, 16))
    if buckets > MAX_SYMBOLS or masks > MAX_SYMBOLS:
        raise ElfError(f"a hash table of {buckets} buckets")
    return buckets, first, address + 16 + masks * (elf.form.bits // 8)


def hashes_at(elf: Object, tags: Mapping[int, int], count: int) -> tuple[int, int] | None:
    """Give where the symbols' hashes lie and which symbol has the first, None where they are not there for all."""
    if _DT_GNU_HASH not in tags:
        return None
    try:
        buckets, first, at = _gnu_hash_table(elf, tags[_DT_GNU_HASH])
        return (place(elf, at + 4 * buckets, 4 * (count - first)), first) if first < count else None
    except (ElfError, EOFError, struct.error):
        return None


def gnu_hash(name: bytes) -> int:
    """Give the hash of a name as DT_GNU_HASH has it (dl_new_hash in glibc's dl-new-hash.h)."""
    found = 5381
    for letter in name:
        found = found * 33 + letter & 0xFFFFFFFF
    return found
