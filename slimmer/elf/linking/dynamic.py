"""What an object tells the dynamic linker: what it needs, which symbols it defines, which it leaves to others.

All of it is found as the loader finds it, from the PT_DYNAMIC segment by virtual address (gABI, chapter 5, "Dynamic
Section"); section headers may be missing or lie.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.elf.linking.symbols import MAX_NAME, Symbols, Table
from slimmer.elf.linking.versions import name_at
from slimmer.elf.mapped import loaded
from slimmer.elf.object import PT_DYNAMIC
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.elf.linking.symbols import Wanted
    from slimmer.elf.object import Format, Object

PT_INTERP = 3
DF_1_NODEFLIB = 0x800
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
_DT_FLAGS_1 = 0x6FFFFFFB

# No object comes near these; they bound what a hostile one costs.
_MAX_DYNAMIC, _MAX_NEEDED, _MAX_PATHS, _MAX_STRINGS = 1 << 20, 1 << 12, 1 << 10, 64 << 20


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


@dataclass(frozen=True, slots=True)
class Outline:
    """What an object tells the dynamic linker, but for the symbols that it defines."""

    dynamic: Dynamic
    table: Table

    def complete(self, wanted: Wanted | None) -> Dynamic:
        """Give it with what is WANTED of the symbols, all for None; raise ElfError when these are not well formed."""
        try:
            return replace(self.dynamic, symbols=self.table.symbols(wanted))
        except (EOFError, struct.error) as error:
            raise ElfError(f"the dynamic table leads outside the file: {error}") from error


def read_dynamic(elf: Object) -> Dynamic | None:
    """Give what ELF tells the dynamic linker, None when nothing; raise ElfError when it is not well formed."""
    outline = read_outline(elf, {})
    return outline.complete(None) if outline is not None else None


def read_outline(elf: Object, keys: dict[bytes, bytes], like: Table | None = None) -> Outline | None:
    """Give the same without the symbols that ELF defines; the keys of those that it looks up come to KEYS.

    Its table is LIKE itself where all that symbols are read from has the same bytes.
    """
    try:
        return _read(elf, keys, like)
    except (EOFError, struct.error) as error:
        raise ElfError(f"the dynamic table leads outside the file: {error}") from error


def _read(elf: Object, keys: dict[bytes, bytes], like: Table | None) -> Outline | None:
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
        return text(name_at(strings, tags[tag], MAX_NAME)) if tag in tags else None

    rpath, runpath = name(_DT_RPATH), name(_DT_RUNPATH)
    if f"{rpath}{runpath}".count(":") > _MAX_PATHS:
        raise ElfError("search paths of more than a thousand directories")
    table = Table.of(elf, tags, strings, keys, like)
    nothing = frozenset[bytes]()
    dynamic = Dynamic(
        form=elf.form,
        machine=elf.header.machine,
        needed=tuple(text(name_at(strings, offset)) for offset in needed_at),
        soname=name(_DT_SONAME),
        rpath=rpath,
        runpath=runpath,
        flags_1=tags.get(_DT_FLAGS_1, 0),
        interpreter=_interpreter(elf),
        symbols=Symbols(nothing, nothing, nothing, nothing, table.undefined),
    )
    return Outline(dynamic, table)


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


def _strings(elf: Object, tags: dict[int, int]) -> bytes:
    size = tags.get(_DT_STRSZ, 0)
    if size > _MAX_STRINGS:
        raise ElfError(f"a dynamic string table of {size} bytes")
    return loaded(elf, tags[_DT_STRTAB], size) if size and _DT_STRTAB in tags else b""
