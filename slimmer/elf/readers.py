"""What two libraries that share no code with slimmer, or with each other, read from an object and its slimmed self.

If slimmer misread a header the same way when it wrote and when it proved, these two would notice. Both only read:
LIEF is known to break files that it writes. LIEF holds the whole object in memory several times over, so it is asked
only about objects up to LIEF_LIMIT bytes; pyelftools reads what it is asked for.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import lief
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

if TYPE_CHECKING:
    from slimmer.content import Content

lief.logging.disable()  # it writes to stderr of its own accord

LIEF_LIMIT = 16 << 20
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
    elf = ELFFile(content.open())
    facts: dict[str, Any] = {"file header": [value for key, value in elf.header.items() if key not in _PLACES]}
    for segment in elf.iter_segments():
        if isinstance(segment, DynamicSegment):
            facts["dynamic table"] = [
                (tag.entry.d_tag, tag.entry.d_val, getattr(tag, "needed", None) or getattr(tag, "soname", None))
                for tag in segment.iter_tags()
            ]
    facts["program headers"] = [
        [value for key, value in segment.header.items() if key != "p_offset"] for segment in elf.iter_segments()
    ]
    facts["dynamic symbols or versions"] = [
        (section.name, section["sh_addr"], section.data())
        for section in elf.iter_sections()
        if section["sh_type"] in _LINKED and section["sh_flags"] & 2
    ]
    return facts


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
