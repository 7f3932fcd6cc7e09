"""The keep rule: which entries of a container a driver could ever take for the GPUs that a person named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.gpu.architectures import compiles_for, is_dedicated, runs_on
from slimmer.elf.gpu.fatbin import CUBIN, PTX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from slimmer.elf.gpu.fatbin import Entry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person asked to keep."""

    gpus: frozenset[int]
    keep_ptx: bool = True
    """Whether the newest PTX of each container stays, of which drivers compile code for newer GPUs."""


def kept(entries: Sequence[Entry], wanted: Wanted, linked: Collection[int] = ()) -> tuple[Entry, ...]:
    """Give those of a container's entries that stay, in order: never none of some.

    LINKED are GPUs that need nothing of this container, as linked code for them lies elsewhere. Where nothing fits, the
    smallest entry stays: the driver then finds no code for its GPU, as before, and not a damaged container.
    """
    stay = {entry for entry in entries if entry.kind not in {PTX, CUBIN}}
    for gpu in wanted.gpus.difference(linked):
        stay.update(taken(entries, gpu))
    if wanted.keep_ptx:
        stay.update(_newest(entry for entry in entries if entry.kind == PTX and not entry.architecture.variant))
    if not stay and entries:
        stay.add(min(entries, key=lambda entry: (entry.size, entry.start)))
    return tuple(entry for entry in entries if entry in stay)


def taken(entries: Iterable[Entry], gpu: int) -> frozenset[Entry]:
    """Give the entries among which a driver chooses for a GPU: the newest machine code that runs, else the newest PTX.

    Code that only this architecture or its family runs may be preferred to plain code, so both are among them.
    """
    found = list(entries)
    code = [entry for entry in found if entry.kind == CUBIN and runs_on(entry.architecture, gpu)]
    ptx = [entry for entry in found if entry.kind == PTX and compiles_for(entry.architecture, gpu)]
    is_sure = any(is_dedicated(entry.architecture, gpu) for entry in code)
    return _newest(code) if is_sure else _newest(code) | _newest(ptx)


def has_code(entries: Iterable[Entry], gpu: int) -> bool:
    """Say whether there is machine code that a GPU runs without doubt."""
    return any(
        entry.kind == CUBIN and runs_on(entry.architecture, gpu) and is_dedicated(entry.architecture, gpu)
        for entry in entries
    )


def _newest(entries: Iterable[Entry]) -> frozenset[Entry]:
    """Give the entries of the highest plain architecture, and those of variants that are not older."""
    found = list(entries)
    plain = max((entry.architecture.number for entry in found if not entry.architecture.variant), default=0)
    return frozenset(entry for entry in found if entry.architecture.number >= plain)
