"""Objects that are left alone whatever could be saved, because of what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.machine import EM_BPF, is_foreign
from slimmer.elf.object import ET_CORE, ET_DYN, ET_REL, SHT_NOBITS

if TYPE_CHECKING:
    from slimmer.elf.object import Object

_TYPES = {ET_REL: "a relocatable object: its symbols are what it is for", ET_CORE: "a core dump"}


def refusal(elf: Object, architecture: str) -> str | None:
    """Give why this object must not be changed in an image of ARCHITECTURE, or None.

    An executable is not a shared object and not slimmer's to strip. A kernel module's or an eBPF program's symbols
    are read by whoever loads it. A separate debug file has the sections of its object without their bytes: stripping
    it leaves nothing. BOLT-ed libraries lay their code out in ways that strip programs destroyed; their file ranges
    are left alone. Bytes behind the end are somebody's: a zip archive, a signature. An object for another machine is
    data here: a GPU's or a DSP's program, read by who knows what.
    """
    if elf.header.type != ET_DYN:
        return _TYPES.get(elf.header.type, "an executable, not a shared object")
    if elf.header.machine == EM_BPF:
        return "an eBPF program"
    if is_foreign(elf.header.machine, architecture):
        return f"for another machine (e_machine {elf.header.machine}) than the image"
    text = elf.section_named(".text")
    if text is not None and text.type == SHT_NOBITS:
        return "a separate debug file: its .text holds no bytes"
    if any(section.name.startswith(".bolt.org.") or section.name == ".note.bolt_info" for section in elf.sections):
        return "laid out by BOLT"
    if elf.content.size > elf.end + 1:
        return "bytes are appended behind the end of the object"
    return None
