"""What an object tells the dynamic linker: what it needs, which symbols it defines, which it leaves to others.

All of it is found as the loader finds it, from the PT_DYNAMIC segment by virtual address (gABI, chapter 5, "Dynamic
Section"); section headers may be missing or lie. Symbol versions are those of the GNU extension (LSB Core, "Symbol
Versioning"). An image holds hundreds of thousands of symbols, so a symbol is a bytes object in a set and nothing more.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from slimmer.elf.object import PT_DYNAMIC, PT_LOAD
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.object import Format, Object

PT_INTERP = 3
DF_1_NODEFLIB = 0x800
_DT_NULL, _DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT = 0, 1, 4, 5, 6, 10, 11
_DT_SONAME, _DT_RPATH, _DT_RUNPATH = 14, 15, 29
_DT_GNU_HASH, _DT_FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFFB
_DT_VERSYM, _DT_VERDEF, _DT_VERNEED = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE
_SHT_DYNSYM = 11
_SHN_UNDEF, _SHN_ABS = 0, 0xFFF1
_STB_WEAK, _STT_TLS = 2, 6
_BINDINGS = frozenset({1, _STB_WEAK, 10})  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE
_NOT_VISIBLE = frozenset({1, 2})
_TYPES = frozenset({0, 1, 2, 5, _STT_TLS, 10})  # NOTYPE OBJECT FUNC COMMON TLS GNU_IFUNC: glibc's ALLOWED_STT
_VERSYM_HIDDEN, _VERSYM_VERSION = 0x8000, 0x7FFF
_VER_FLG_BASE = 1
_WIDE_HASH = frozenset({(22, 64), (0x9026, 64)})  # s390x and Alpha write DT_HASH in words of 8 bytes

# No object comes near these; they bound what a hostile one costs.
_MAX_DYNAMIC, _MAX_NEEDED, _MAX_PATHS = 1 << 20, 1 << 12, 1 << 10
_MAX_STRINGS, _MAX_SYMBOLS, _MAX_NAME, _MAX_VERSION = 64 << 20, 1 << 20, 1 << 17, 1 << 10


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols that others can bind to and those that this object looks up, as names or keys.

    A key is a name, and behind a NUL its version if it has one.
    """

    unversioned: frozenset[bytes]
    """Names defined without a version: they answer a reference to any version."""
    versioned: frozenset[bytes]
    """Keys of what is defined with a version."""
    default: frozenset[bytes]
    """Names that answer a reference without a version although they have one themselves, or are hidden."""
    visible: frozenset[bytes]
    """Names defined with a version that is not hidden, all that musl heeds of versions."""
    undefined: frozenset[bytes]
    """Keys of what some other object must define."""
    weak: frozenset[bytes]
    """Keys of what some other object may define."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What an object tells the dynamic linker."""

    form: Format
    machine: int
    needed: tuple[str, ...]
    soname: str | None
    rpath: str | None
    runpath: str | None
    flags_1: int
    interpreter: str | None
    symbols: Symbols


def split(symbol: bytes) -> tuple[str, str]:
    """Give the name and the version, empty when there is none, that a key stands for."""
    name, _, version = symbol.partition(b"\0")
    return text(name), text(version)


def text(name: bytes) -> str:
    """Give a name as paths of a root file system are written."""
    return name.decode("utf-8", "surrogateescape")


def read_dynamic(elf: Object) -> Dynamic | None:
    """Give what ELF tells the dynamic linker, None when nothing; raise ElfError when it is not well formed."""
    try:
        return _read(elf)
    except (EOFError, struct.error) as error:
        raise ElfError(f"the dynamic table leads outside the file: {error}") from error


def _read(elf: Object) -> Dynamic | None:
    segment = next((segment for segment in elf.segments if segment.type == PT_DYNAMIC), None)
    if segment is None or segment.filesz == 0:  # a file of debug information keeps the header and not the bytes
        return None
    entries = _entries(elf, segment.offset, segment.filesz)
    needed_at = [value for tag, value in entries if tag == _DT_NEEDED]
    if len(needed_at) > _MAX_NEEDED:
        raise ElfError(f"{len(needed_at)} needed libraries")
    tags = dict(entries)
    strings = _strings(elf, tags)

    def name(tag: int) -> str | None:
        return text(_name(strings, tags[tag], _MAX_NAME)) if tag in tags else None

    rpath, runpath = name(_DT_RPATH), name(_DT_RUNPATH)
    if f"{rpath}{runpath}".count(":") > _MAX_PATHS:
        raise ElfError("search paths of more than a thousand directories")
    return Dynamic(
        form=elf.form,
        machine=elf.header.machine,
        needed=tuple(text(_name(strings, offset)) for offset in needed_at),
        soname=name(_DT_SONAME),
        rpath=rpath,
        runpath=runpath,
        flags_1=tags.get(_DT_FLAGS_1, 0),
        interpreter=_interpreter(elf),
        symbols=_symbols(elf, tags, strings),
    )


def _entries(elf: Object, offset: int, size: int) -> list[tuple[int, int]]:
    packing = struct.Struct(elf.form.order + ("QQ" if elf.form.bits == 64 else "II"))
    if size > _MAX_DYNAMIC:
        raise ElfError(f"a dynamic table of {size} bytes")
    table = elf.content.read_at(offset, size - size % packing.size)
    found = []
    for tag, value in packing.iter_unpack(table[: len(table) - len(table) % packing.size]):
        if tag == _DT_NULL:
            break
        found.append((tag, value))
    return found


def _interpreter(elf: Object) -> str | None:
    segment = next((segment for segment in elf.segments if segment.type == PT_INTERP), None)
    if segment is None or segment.filesz == 0:
        return None
    return text(elf.content.read_at(segment.offset, min(segment.filesz, 4096)).partition(b"\0")[0])


def _room(elf: Object, address: int) -> tuple[int, int]:
    """Give where in the file an address of the loaded object lies, and how many bytes of its segment follow."""
    for segment in elf.segments:
        if segment.type == PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
            return segment.offset + address - segment.vaddr, segment.vaddr + segment.filesz - address
    raise ElfError(f"the dynamic table names address {address:#x}, which is in no loaded segment")


def loaded(elf: Object, address: int, length: int) -> bytes:
    """Give bytes of the loaded object that come from the file; raise ElfError where not all of them do."""
    offset, room = _room(elf, address)
    if length > room:
        raise ElfError(f"a table of {length} bytes at {address:#x} runs over the end of its segment")
    return elf.content.read_at(offset, length)


def _strings(elf: Object, tags: dict[int, int]) -> bytes:
    size = tags.get(_DT_STRSZ, 0)
    if size > _MAX_STRINGS:
        raise ElfError(f"a dynamic string table of {size} bytes")
    return loaded(elf, tags[_DT_STRTAB], size) if size and _DT_STRTAB in tags else b""


def _name(strings: bytes, offset: int, longest: int = 4096) -> bytes:
    end = strings.find(b"\0", offset, offset + longest)
    if end < 0:
        raise ElfError(f"the name at {offset} has no end in the dynamic string table")
    return strings[offset:end]


def _symbols(elf: Object, tags: dict[int, int], strings: bytes) -> Symbols:
    """Sort the symbols by what they answer, which is what `check_match` in glibc's dl-lookup.c says."""
    versions = _versions(elf, tags, strings)
    unversioned, versioned, default, visible, undefined, weak = [set[bytes]() for _ in range(6)]
    single: Counter[bytes] = Counter()
    for name, index, binding, is_defined in _named(elf, tags, strings):
        version = versions.get(index & _VERSYM_VERSION, b"")
        symbol = name + b"\0" + version if version else name
        if not is_defined:
            (weak if binding == _STB_WEAK else undefined).add(symbol)
        elif not version:
            (default if index & _VERSYM_HIDDEN else unversioned).add(name)
        else:
            versioned.add(symbol)
            if not index & _VERSYM_HIDDEN:
                visible.add(name)
            if index & _VERSYM_VERSION == 2:  # the oldest version is what an unversioned reference was linked against
                default.add(name)
            elif not index & _VERSYM_HIDDEN:
                single[name] += 1
    default.update(name for name, times in single.items() if times == 1)
    return Symbols(*map(frozenset, (unversioned, versioned, default, visible, undefined, weak)))


def _named(elf: Object, tags: dict[int, int], strings: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Give the name, version index and binding of each symbol that crosses objects, and whether it is defined here."""
    wide = elf.form.bits == 64
    packing = struct.Struct(elf.form.order + ("IBBHQ8x" if wide else "II4xBBH"))
    if tags.get(_DT_SYMENT, packing.size) != packing.size:
        raise ElfError(f"dynamic symbols of {tags[_DT_SYMENT]} bytes")
    count = symbol_count(elf, tags, packing.size) if _DT_SYMTAB in tags else 0
    if count > _MAX_SYMBOLS:
        raise ElfError(f"{count} dynamic symbols")
    table = loaded(elf, tags[_DT_SYMTAB], count * packing.size) if count else b""
    indices: tuple[int, ...] = (1,) * count
    if _DT_VERSYM in tags and count:
        indices = struct.unpack(f"{elf.form.order}{count}H", loaded(elf, tags[_DT_VERSYM], 2 * count))
    budget = 2 * len(strings) + (1 << 20)  # names may share their tails, but not without end
    for index, fields in zip(indices, packing.iter_unpack(table), strict=True):
        if wide:
            start, info, other, section, value = fields
        else:
            start, value, info, other, section = fields
        binding, kind = info >> 4, info & 0xF
        if not start or binding not in _BINDINGS:
            continue
        # STV_INTERNAL and STV_HIDDEN bind to nobody outside; an address of 0 is none.
        if section != _SHN_UNDEF and (
            other & 3 in _NOT_VISIBLE or kind not in _TYPES or not (value or section == _SHN_ABS or kind == _STT_TLS)
        ):
            continue
        end = strings.find(b"\0", start, start + _MAX_NAME)
        budget -= end - start
        if end < 0 or budget < 0:
            raise ElfError(f"the symbol name at {start} has no end in the dynamic string table")
        yield strings[start:end], index, binding, section != _SHN_UNDEF


def symbol_count(elf: Object, tags: dict[int, int], entry: int) -> int:
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
    order, word = elf.form.order, elf.form.bits // 8
    buckets, first, masks, _ = struct.unpack(order + "4I", loaded(elf, address, 16))
    if buckets > _MAX_SYMBOLS or masks > _MAX_SYMBOLS:
        raise ElfError(f"a hash table of {buckets} buckets")
    at = address + 16 + masks * word
    last = max(struct.unpack(f"{order}{buckets}I", loaded(elf, at, 4 * buckets)), default=0)
    if last < first or last == 0:
        return 0
    chain = at + 4 * buckets + 4 * (last - first)
    offset, room = _room(elf, chain)
    for start in range(0, room, 4096):
        data = elf.content.read_at(offset + start, min(4096, room - start) & ~3)
        for (value,) in struct.iter_unpack(order + "I", data):
            if value & 1:
                return int(last) + 1
            last += 1
            if last > _MAX_SYMBOLS:
                break
    raise ElfError("a hash chain without an end")


def _versions(elf: Object, tags: dict[int, int], strings: bytes) -> dict[int, bytes]:
    """Give the name of each version index; the base definition is the object's own name and no version."""
    found: dict[int, bytes] = {}
    order = elf.form.order
    steps = iter(range(2 * _VERSYM_VERSION))  # more cannot be numbered
    for at, (_, count, _, where, _) in _records(elf, tags.get(_DT_VERNEED, 0), order + "HHIII", steps):
        for _, (_, _, index, name, _) in islice(_records(elf, at + where, order + "IHHII", steps), count):
            found[index & _VERSYM_VERSION] = _name(strings, name, _MAX_VERSION)
    for at, (_, flags, index, _, _, where, _) in _records(elf, tags.get(_DT_VERDEF, 0), order + "HHHHIII", steps):
        if not flags & _VER_FLG_BASE:
            name = struct.unpack(order + "I", loaded(elf, at + where, 4))[0]
            found[index & _VERSYM_VERSION] = _name(strings, name, _MAX_VERSION)
    return found


def _records(elf: Object, at: int, form: str, steps: Iterator[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Give each record of a chain with its address; the last field of all three kinds leads to the next, 0 to none."""
    packing = struct.Struct(form)
    while at:
        if next(steps, None) is None:
            raise ElfError("a chain of symbol versions without an end")
        fields = packing.unpack(loaded(elf, at, packing.size))
        yield at, fields
        at = at + fields[-1] if fields[-1] else 0
