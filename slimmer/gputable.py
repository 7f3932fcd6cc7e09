"""GPU code of an image: which library holds how much for which GPUs, and what each choice would save."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.gpu.architectures import DISCRETE
from slimmer.elf.gpu.choice import Wanted, has_code
from slimmer.elf.gpu.compaction import areas, chosen
from slimmer.elf.gpu.fatbin import CUBIN, HIP, PTX, RELFATBIN
from slimmer.errors import ElfError, UsageError
from slimmer.metadata.gpu_targets import TORCH, targets
from slimmer.metadata.licences import proprietary
from slimmer.report import printable
from slimmer.rules.gpu_code import libraries
from slimmer.summary import size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.gpu.compaction import Area
    from slimmer.rootfs import Rootfs

_WIDTH = 80
_NAME = 26
_COLUMNS = ("<7x", "7x", "8x", "9x", "10x", "12x", "PTX", "other", "parts")
_LEAST = 500_000


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


def gpu_code(rootfs: Rootfs) -> GpuCode:
    """Give the GPU code of an image, the largest library first."""
    objection = proprietary(rootfs)
    found: list[tuple[Library, tuple[Area, ...]]] = []
    for each in libraries(rootfs):
        is_proprietary = any(objection(name) is not None for name in rootfs.names(each.inode))
        held: tuple[Area, ...] = ()
        reason = f"AMD's code ({HIP})" if each.elf.section_named(HIP) is not None else None
        try:
            held = areas(each.elf)
        except ElfError as error:
            reason = reason or str(error)
        by = _by_architecture(held)
        found.append((Library(each.path, each.inode.size, by, is_proprietary, reason), held))
    found.sort(key=lambda pair: (-sum(pair[0].by_architecture.values()), pair[0].path))
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


def table(found: GpuCode) -> str:
    """Give the table as a person reads it, at most 80 columns wide: MB by library and generation, and the choices."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: GpuCode) -> Iterator[str]:
    if not found.libraries:
        yield "no library of this image holds GPU code that slimmer knows"
        return
    yield f"{'GPU code, MB':<{_NAME}}" + "".join(f"{name:>6}" for name in _COLUMNS)
    total: Counter[str] = Counter()
    for library in found.libraries:
        counted = _by_column(library)
        total += counted
        if library.reason is not None:
            yield from wrapped(f"{_name(library):<{_NAME}} ", f"kept: {printable(library.reason)}")
        else:
            yield f"{_name(library):<{_NAME}}" + "".join(_cell(counted[name]) for name in _COLUMNS)
    yield f"{'in all':<{_NAME}}" + "".join(_cell(total[name]) for name in _COLUMNS)
    yield ""
    yield f"{'--gpu-arch':<14}{'saves about':>12}{'with --include-proprietary':>29}"
    for choice in found.choices:
        yield f"{choice.name:<14}{size(choice.saved):>12}{size(choice.saved_of_all):>29}"
    yield ""
    note = (
        "libraries whose licence forbids changing them" if any(each.is_proprietary for each in found.libraries) else ""
    )
    if note:
        yield f"* {note}"
    yield from wrapped("", "parts: what linked code was made of. The newest PTX stays; --gpu-ptx drop takes it too.")


def _name(library: Library) -> str:
    name = printable(library.path.rpartition("/")[2])
    room = _NAME - 3
    return (name if len(name) <= room else name[: room - 1] + "~") + (" *" if library.is_proprietary else "")


def _cell(count: int) -> str:
    return f"{'.' if not count else '<1' if count < _LEAST else format(count / 1e6, '.0f'):>6}"


def _by_column(library: Library) -> Counter[str]:
    counted: Counter[str] = Counter()
    for name, count in library.by_architecture.items():
        counted[_column(name)] += count
    return counted


def _column(name: str) -> str:
    if not name.startswith("sm_"):
        return name
    number = int(name[3:].rstrip("af"))
    return "<7x" if number < 70 else f"{number // 10}x" if number < 100 else "10x" if number < 120 else "12x"
