"""What two libraries that share no code with slimmer, or with each other, read from an object and its slimmed self.

If slimmer misread a header the same way when it wrote and when it proved, these two would notice. Both only read:
LIEF is known to break files that it writes. LIEF holds the whole object in memory several times over, so it is asked
only about objects up to LIEF_LIMIT bytes; pyelftools reads what it is asked for.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import lief
from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile

if TYPE_CHECKING:
    from slimmer.content import Content

lief.logging.disable()  # it writes to stderr of its own accord

LIEF_LIMIT = 1 << 20
_SHF_ALLOC = 2
_PLACES = {"e_phoff", "e_shoff", "e_shnum", "e_shstrndx"}
_LINKED = {
    "SHT_DYNSYM",
    "SHT_STRTAB",
    "SHT_GNU_versym",
    "SHT_GNU_verdef",
    "SHT_GNU_verneed",
    "SHT_GNU_HASH",
    "SHT_HASH",
}


def disagreements(before: Content, after: Content, lief_limit: int = LIEF_LIMIT) -> list[str]:
    """Give what pyelftools or LIEF read differently from AFTER than from BEFORE, each as one sentence."""
    found = []
    for reader, read in (("pyelftools", _pyelftools), ("LIEF", _lief)):
        if reader == "LIEF" and before.size > lief_limit:
            continue
        try:
            old, new = read(before), read(after)
        except Exception as error:  # noqa: BLE001 - neither has one error for a damaged object; asserts come through too
            found.append(f"{reader} cannot read it: {error!r}")
            continue
        found += [f"{reader} reads another {what}" for what in old if old[what] != new.get(what)]
    return found


def _pyelftools(content: Content) -> dict[str, Any]:
    # Its parsers of headers, not its objects: those look up every section's name and take three times as long.
    stream = content.open()
    elf = ELFFile(stream)
    header, structs = elf.header, elf.structs

    def table(packing: Any, start: int, size: int, count: int) -> list[Any]:  # noqa: ANN401 - the library has no types
        return [struct_parse(packing, stream, start + number * size) for number in range(count)]

    segments = table(structs.Elf_Phdr, header["e_phoff"], header["e_phentsize"], elf.num_segments())
    sections = table(structs.Elf_Shdr, header["e_shoff"], header["e_shentsize"], elf.num_sections())
    dynamic = [segment for segment in segments if segment["p_type"] == "PT_DYNAMIC"]
    size = structs.Elf_Dyn.sizeof()
    return {
        "file header": [value for key, value in header.items() if key not in _PLACES],
        "program headers": [[value for key, value in segment.items() if key != "p_offset"] for segment in segments],
        "dynamic table": [
            [
                (entry["d_tag"], entry["d_val"])
                for entry in table(structs.Elf_Dyn, each["p_offset"], size, each["p_filesz"] // size)
            ]
            for each in dynamic
        ],
        "dynamic symbols or versions": [
            (section["sh_type"], section["sh_addr"], content.read_at(section["sh_offset"], section["sh_size"]))
            for section in sections
            if section["sh_type"] in _LINKED and section["sh_flags"] & _SHF_ALLOC
        ],
    }


def _lief(content: Content) -> dict[str, Any]:
    with warnings.catch_warnings(action="ignore"):  # it speaks of tags that it does not know
        return _lief_facts(content)


def _lief_facts(content: Content) -> dict[str, Any]:
    config = lief.ELF.ParserConfig()
    config.parse_relocations = False
    config.parse_notes = False
    config.parse_symtab_symbols = False
    elf = lief.ELF.parse(content.read_at(0, content.size), config)
    if elf is None:
        raise ValueError("no ELF object to it")
    return {
        "needed libraries": list(elf.libraries),
        "dynamic table": [(int(entry.tag), entry.value) for entry in elf.dynamic_entries],
        "dynamic symbols": [
            (symbol.name, symbol.value, symbol.size, symbol.shndx, str(symbol.symbol_version))
            for symbol in elf.dynamic_symbols
        ],
        "entry point": elf.entrypoint,
        "program headers": [
            (
                int(segment.type),
                segment.virtual_address,
                segment.virtual_size,
                int(segment.flags),
                segment.physical_size,
            )
            for segment in elf.segments
        ],
    }
