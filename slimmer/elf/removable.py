"""Which sections `strip --strip-unneeded` takes out of a shared object, and which of them this object can spare.

A section that is not on this list survives byte for byte, whatever it is: a PyInstaller payload (`pydata`), Rust
metadata (`.rustc`) and `.gnu_debuglink` are not loaded either, and programs need them (hazards: eu-strip removes all
three, exit 0).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.elf.object import SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX

if TYPE_CHECKING:
    from slimmer.elf.object import Object, Section

_DEBUG = re.compile(r"\.z?debug_.*|\.debug|\.gnu\.debuglto_.*|\.stab.*|\.line|\.gdb_index")
_BEGINNINGS = (".debug", ".zdebug_", ".gnu.debuglto_", ".stab", ".line", ".gdb_index")
"""Of names that _DEBUG may match: an object of 40,000 sections asks it for few."""


def removable(elf: Object) -> frozenset[int]:
    """Give the indices of the sections that can go: symbol tables, debug information and the relocations of those.

    A section that a survivor refers to stays: the symbols of relocations that the linker was told to keep
    (`--emit-relocs`), or a string table that also holds the section names, as LLVM's linker may write it.
    """
    gone = {section.index for section in elf.sections if _is_listed(section)}
    gone |= {
        section.index
        for section in elf.sections
        if section.type in {SHT_REL, SHT_RELA} and not section.is_allocated and section.info in gone
    }
    gone |= {
        elf.sections[index].link
        for index in gone
        if elf.sections[index].type == SHT_SYMTAB
        and elf.sections[index].link < len(elf.sections)
        and _is_spare_string_table(elf.sections[elf.sections[index].link])
    }
    gone.discard(elf.shstrndx)
    gone.discard(0)
    # Whatever a survivor refers to survives, and what that refers to as well.
    survivors = [section for section in elf.sections if section.index not in gone]
    while needed := gone.intersection(_references(survivors)):
        gone -= needed
        survivors = [elf.sections[index] for index in needed]
    return frozenset(gone)


def _is_listed(section: Section) -> bool:
    if section.is_allocated:
        return False
    if section.type in {SHT_SYMTAB, SHT_SYMTAB_SHNDX}:
        return True
    return section.name.startswith(_BEGINNINGS) and _DEBUG.fullmatch(section.name) is not None


def _is_spare_string_table(section: Section) -> bool:
    return section.type == SHT_STRTAB and not section.is_allocated


def _references(sections: list[Section]) -> set[int]:
    """Give the indices of all that the sections refer to."""
    found = {section.link for section in sections}
    found.update(section.info for section in sections if section.info_is_index)
    return found
