"""A shared object with GPU code for some GPUs only, proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.gpu.compaction import areas, chosen, compacted
from slimmer.elf.gpu_contract import violations
from slimmer.elf.refusals import refusal
from slimmer.elf.shared import require_gain
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from slimmer.content import Content
    from slimmer.elf.gpu.choice import Wanted
    from slimmer.elf.object import Object


def prune(elf: Object, wanted: Wanted, architecture: str) -> tuple[Content, str] | None:
    """Give the object with what WANTED keeps, and how it was made, or None where that is all that it has.

    ARCHITECTURE is the image's. Raises ElfError, with the reason, for an object that is to be kept as it is.
    """
    found = areas(elf)
    stay = chosen(found, wanted)
    gone = sum(len(container.entries) - len(entries) for container, entries in stay.items())
    if not gone:
        return None
    if (reason := refusal(elf, architecture)) is not None:
        raise ElfError(reason)
    made = compacted(elf, found, stay)
    require_gain(elf.content, made)
    if broken := violations(elf.content, made, wanted):
        raise ElfError(f"the proof failed: {'; '.join(broken)}")
    total = sum(len(container.entries) for container in stay)
    return made, f"{gone} of {total} pieces of GPU code removed, every other loaded byte and address proved unchanged"
