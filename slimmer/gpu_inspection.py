"""GPU code of an image: which library holds how much for which GPUs, and what each choice would save.

Needs no GPU, driver or CUDA. Changes nothing, never prints.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer import __version__, transports
from slimmer.elf.gpu.architectures import DISCRETE
from slimmer.elf.gpu.choice import Wanted, has_code
from slimmer.elf.gpu.compaction import areas, chosen
from slimmer.elf.gpu.fatbin import CUBIN, HIP, PTX, RELFATBIN
from slimmer.errors import ElfError, UsageError
from slimmer.metadata.gpu_targets import TORCH, targets
from slimmer.metadata.licences import proprietary
from slimmer.reading import opened
from slimmer.report import SourceFacts, printable
from slimmer.rules.gpu_code import libraries
from slimmer.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.gpu.compaction import Area
    from slimmer.platforms import Platform
    from slimmer.progress import Progress
    from slimmer.rootfs import Rootfs

SCHEMA = "slimmer-gpu/1"


@dataclass(frozen=True, slots=True)
class Library:
    """A library with GPU code. Sizes are bytes."""

    path: str
    size: int
    by_architecture: dict[str, int]
    """Bytes of machine code for each architecture, of PTX, of other code, and of parts of linked code."""
    is_proprietary: bool
    reason: str | None
    """Why nothing can be taken out, None where something can."""

    @property
    def gpu_size(self) -> int:
        """Bytes of all its GPU code that is understood."""
        return sum(self.by_architecture.values())


@dataclass(frozen=True, slots=True)
class Choice:
    """What naming some GPUs would save, in bytes of GPU code: the file shrinks by whole pages of that."""

    name: str
    saved: int
    """In libraries whose licence allows changing them."""
    saved_of_all: int


@dataclass(frozen=True, slots=True)
class GpuCode:
    """What GPU code an image holds."""

    libraries: tuple[Library, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class GpuInspection:
    """The GPU code of an image, and which image that is."""

    source: SourceFacts
    code: GpuCode

    def as_json(self) -> dict[str, Any]:
        """Give the facts for a program. Sizes are bytes."""
        source = self.source
        return {
            "schema": SCHEMA,
            "slimmer": __version__,
            "source": {"reference": source.reference, "id": source.id, "platform": source.platform},
            "libraries": [
                {
                    "path": printable("/" + each.path), "size": each.size, "gpu_size": each.gpu_size,
                    "architectures": each.by_architecture, "proprietary": each.is_proprietary,
                    "kept": None if each.reason is None else printable(each.reason),
                }
                for each in self.code.libraries
            ],
            "choices": [
                {"gpu_arch": each.name, "saves": each.saved, "saves_with_proprietary": each.saved_of_all}
                for each in self.code.choices
            ],
        }  # fmt: skip


def inspect_gpu(reference: str, platform: Platform | None, progress: Progress) -> GpuInspection:
    """Give the GPU code of an image; raise SourceError when it cannot be read."""
    with Session(progress, platform) as session:
        found = opened(transports.source(reference, session), session)
        return GpuInspection(SourceFacts.of(found, reference), gpu_code(found.rootfs))


def gpu_code(rootfs: Rootfs) -> GpuCode:
    """Give the GPU code of an image, the largest library first."""
    objection = proprietary(rootfs)
    found: list[tuple[Library, tuple[Area, ...]]] = []
    for each in libraries(rootfs):
        is_proprietary = any(objection(name) is not None for name in rootfs.names(each.path))
        held: tuple[Area, ...] = ()
        reason = f"AMD's code ({HIP})" if each.elf.section_named(HIP) is not None else None
        try:
            held = areas(each.elf)
        except ElfError as error:
            reason = reason or str(error)
        by = _by_architecture(held)
        found.append((Library(each.path, each.inode.size, by, is_proprietary, reason), held))
    found.sort(key=lambda pair: (-pair[0].gpu_size, pair[0].path))
    return GpuCode(tuple(library for library, _ in found), tuple(_choices(rootfs, found)))


def _by_architecture(held: tuple[Area, ...]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for area in held:
        for container in area.containers:
            for entry in container.entries:
                name = f"sm_{entry.architecture}" if entry.kind == CUBIN else "PTX" if entry.kind == PTX else "other"
                counted["parts" if area.section.name == RELFATBIN else name] += entry.size
    return dict(sorted(counted.items()))


def _choices(rootfs: Rootfs, found: list[tuple[Library, tuple[Area, ...]]]) -> Iterator[Choice]:
    entries = [each.entries for _, held in found for area in held for each in area.containers]
    gpus = [gpu for gpu in DISCRETE if any(has_code(each, gpu) for each in entries)]
    named = [(f"sm_{gpu}", frozenset({gpu})) for gpu in gpus]
    with suppress(UsageError):  # without PyTorch there is no such choice
        named.append((TORCH, targets(rootfs, (TORCH,))))
    for name, wanted in named:
        saved = [(library, _saved(held, Wanted(wanted))) for library, held in found]
        is_open = (count for library, count in saved if not library.is_proprietary)
        yield Choice(name, sum(is_open), sum(count for _, count in saved))


def _saved(held: tuple[Area, ...], wanted: Wanted) -> int:
    stay = chosen(held, wanted)
    return sum(entry.size for container in stay for entry in container.entries) - sum(
        entry.size for entries in stay.values() for entry in entries
    )
