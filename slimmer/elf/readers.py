"""What two libraries that share no code with slimmer, or with each other, read from an object and its slimmed self.

If slimmer misread a header the same way when it wrote and when it proved, these two would notice. Both only read:
LIEF is known to break files that it writes. LIEF holds the whole object in memory several times over, so it is asked
only about objects up to LIEF_LIMIT bytes; pyelftools reads what it is asked for.
"""

from __future__ import annotations

import struct
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from elftools.elf.enums import ENUM_P_TYPE_BASE, ENUM_SH_TYPE_BASE
from elftools.elf.structs import ELFStructs

from slimmer import interrupts
from slimmer.content import Content

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LIEF_LIMIT = 1 << 20
_SHF_ALLOC = 2
_PLACES = {"e_phoff", "e_shoff", "e_shnum", "e_shstrndx"}
_LINKED = {
    ENUM_SH_TYPE_BASE[name]
    for name in (
        *("SHT_DYNSYM", "SHT_STRTAB", "SHT_GNU_versym", "SHT_GNU_verdef"),
        *("SHT_GNU_verneed", "SHT_GNU_HASH", "SHT_HASH"),
    )
}


def disagreements(
    before: Content,
    after: Content,
    file_sizes: Sequence[int] | None = None,
    lief_limit: int = LIEF_LIMIT,
    but: Collection[str] = (),
) -> list[str]:
    """Give what pyelftools or LIEF read differently from AFTER than from BEFORE, each as one sentence.

    FILE_SIZES are what p_filesz of each program header is to be now; without them it is to be what it was. BUT names
    the facts that the caller has compared by itself, as they are to differ.
    """
    found = []
    for reader, read in (("pyelftools", _pyelftools), ("LIEF", _lief)):
        if reader == "LIEF" and before.size > lief_limit:
            continue
        try:
            old, new = read(before, file_sizes), read(after, None)
        except Exception as error:  # noqa: BLE001 - neither has one error for a damaged object; asserts come through too
            found.append(f"{reader} cannot read it: {error!r}")
            continue
        found += [f"{reader} reads another {what}" for what in old if what not in but and _differ(old[what], new[what])]
    return found


def _differ(old: Any, new: Any) -> bool:  # noqa: ANN401 - whatever a reader gives
    """Say whether two facts differ; contents are only in lists."""
    if isinstance(old, list):
        return len(old) != len(new) or any(map(_differ, old, new))
    return old.differs(new) if isinstance(old, Content) else bool(old != new)


def _pyelftools(content: Content, file_sizes: Sequence[int] | None) -> dict[str, Any]:
    # Its parsers of headers, not its objects: those look up every section's name and take three times as long.
    structs = _structs(*content.read_at(4, 2))
    header = structs.Elf_Ehdr.parse(content.read_at(0, structs.Elf_Ehdr.sizeof()))
    segments = _table(structs.Elf_Phdr, content, header["e_phoff"], header["e_phnum"])
    count = header["e_shnum"]
    if count == 0 and header["e_shoff"]:
        count = _table(structs.Elf_Shdr, content, header["e_shoff"], 1)[0]["sh_size"]
    sections = _table(structs.Elf_Shdr, content, header["e_shoff"], count)
    dynamic = [segment for segment in segments if segment["p_type"] == ENUM_P_TYPE_BASE["PT_DYNAMIC"]]
    for segment, size in zip(segments, file_sizes or (), strict=bool(file_sizes)):
        segment["p_filesz"] = size
    return {
        "file header": tuple(value for key, value in header.items() if key not in _PLACES),
        "program headers": tuple(value for segment in segments for key, value in segment.items() if key != "p_offset"),
        "dynamic table": [content.slice(each["p_offset"], each["p_offset"] + each["p_filesz"]) for each in dynamic],
        "dynamic symbols or versions": [
            [each["sh_type"], each["sh_addr"], content.slice(each["sh_offset"], each["sh_offset"] + each["sh_size"])]
            for each in sections
            if each["sh_type"] in _LINKED and each["sh_flags"] & _SHF_ALLOC
        ],
    }


@cache
def _structs(elf_class: int, order: int) -> Any:  # noqa: ANN401 - the library has no types
    """Give pyelftools' descriptions of the headers; making them takes longer than reading an object's."""
    structs = ELFStructs(little_endian=order == 1, elfclass=32 * elf_class)
    structs.create_basic_structs()
    structs.create_advanced_structs()
    return structs


def _table(description: Any, content: Content, start: int, count: int) -> list[dict[str, int]]:  # noqa: ANN401
    """Give the entries of a table, its fields by their names and of the lengths that pyelftools has for them."""
    names, packing = _packing(description)
    table = content.read_at(start, count * packing.size)
    return [dict(zip(names, fields, strict=True)) for fields in packing.iter_unpack(table)]


@cache
def _packing(description: Any) -> tuple[tuple[str, ...], struct.Struct]:  # noqa: ANN401
    """Give the names of a header's fields and how they are packed; an enumeration's value counts as its number."""
    fields = [getattr(field, "subcon", field) for field in description.subcons]
    formats = [field.packer.format for field in fields]
    return tuple(field.name for field in fields), struct.Struct(formats[0][0] + "".join(each[1:] for each in formats))


@cache
def _library() -> Any:  # noqa: ANN401 - a module
    """Give LIEF, imported when it is first asked: that takes longer than all other imports, and few commands ask it."""
    with interrupts.held():  # it aborts the process when it is interrupted while it is initialised
        import lief  # noqa: PLC0415 - see above
    lief.logging.disable()  # it writes to stderr of its own accord
    return lief


def _lief(content: Content, file_sizes: Sequence[int] | None) -> dict[str, Any]:
    with warnings.catch_warnings(action="ignore"):  # it speaks of tags that it does not know
        return _lief_facts(content, file_sizes)


def _lief_facts(content: Content, file_sizes: Sequence[int] | None) -> dict[str, Any]:
    lief = _library()
    config = lief.ELF.ParserConfig()
    config.parse_relocations = False
    config.parse_notes = False
    config.parse_symtab_symbols = False
    # Left to itself it counts by DT_GNU_HASH and reads one word more than there is, which may be one too many for a
    # segment that ends there; then it guesses, and loses symbols.
    config.count_mtd = lief.ELF.ParserConfig.DYNSYM_COUNT.SECTION
    elf = lief.ELF.parse(content.read_at(0, content.size), config)
    if elf is None:
        raise ValueError("no ELF object to it")
    return {
        "needed libraries": tuple(elf.libraries),
        "dynamic table": tuple((int(entry.tag), entry.value) for entry in elf.dynamic_entries),
        "dynamic symbols": tuple(
            (symbol.name, symbol.value, symbol.size, symbol.shndx) for symbol in elf.dynamic_symbols
        ),
        "versions": (
            tuple(version.value for version in elf.symbols_version),
            tuple(
                (needed.name, each.name, each.other)
                for needed in elf.symbols_version_requirement
                for each in needed.get_auxiliary_symbols()
            ),
            tuple(
                (defined.ndx, each.name)
                for defined in elf.symbols_version_definition
                for each in defined.auxiliary_symbols
            ),
        ),
        "entry point": elf.entrypoint,
        "program headers": tuple(
            (
                int(segment.type),
                segment.virtual_address,
                segment.virtual_size,
                int(segment.flags),
                segment.physical_size if file_sizes is None else file_sizes[number],
            )
            for number, segment in enumerate(elf.segments)
        ),
    }
