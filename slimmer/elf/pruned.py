"""A shared object with GPU code for some GPUs only, or packed in fewer bytes, proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.gpu.compaction import areas, chosen, compacted
from slimmer.elf.gpu.recompression import recompressed, same_code
from slimmer.elf.gpu_contract import identical, violations
from slimmer.elf.refusals import refusal
from slimmer.elf.shared import require_gain
from slimmer.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content
    from slimmer.elf.gpu.choice import Wanted
    from slimmer.elf.gpu.compaction import Area
    from slimmer.elf.gpu.fatbin import Container, Entry
    from slimmer.elf.object import Object


def prune(
    elf: Object, wanted: Wanted | None, architecture: str, *, recompress: bool = False
) -> tuple[Content, str] | None:
    """Give the object with what WANTED keeps, and how it was made, or None where that is all that it has.

    Without WANTED it keeps all; RECOMPRESS packs what is packed with LZ4 with zstd.

    ARCHITECTURE is the image's. Raises ElfError, with the reason, for an object that is to be kept as it is.
    """
    found = areas(elf)
    stay = chosen(found, wanted)
    gone = sum(len(container.entries) - len(entries) for container, entries in stay.items())
    if not gone and not recompress:
        return None
    if (reason := refusal(elf, architecture)) is not None:
        raise ElfError(reason)
    rewritten = recompressed(elf, _movable(found, stay)) if recompress else {}
    if not gone and not rewritten:
        return None
    made = compacted(elf, found, stay, rewritten)
    require_gain(elf.content, made)
    if broken := violations(elf.content, made, wanted, same_code if recompress else identical):
        raise ElfError(f"the proof failed: {'; '.join(broken)}")
    total = sum(len(container.entries) for container in stay)
    done = [f"{gone} of {total} pieces of GPU code removed"] if gone else []
    done += [f"{len(rewritten)} packed with zstd, the same code in each"] if rewritten else []
    return made, f"{', '.join(done)}, every other loaded byte and address proved unchanged"


def _movable(found: tuple[Area, ...], stay: dict[Container, tuple[Entry, ...]]) -> Iterator[Entry]:
    """Give what stays in the containers that need not keep their bytes."""
    for area in found:
        for container, pointer in area.pairs():
            if pointer is not None:
                yield from stay[container]
