"""The GPU code of an image as a person reads it on a terminal, at most 80 columns wide. Never prints."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from slimmer.report import printable
from slimmer.summary import size, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimmer.gpu_inspection import GpuInspection, Library

_WIDTH = 80
_NAME = 26
_COLUMN = 6
_HEADING = "GPU code, MB"
_COLUMNS = ("<7x", "7x", "8x", "9x", "10x", "12x", "PTX", "other", "parts")
"""Generations of GPUs, as sm_ numbers them, and what is of none."""
_LEAST = 500_000


def gpu_table(found: GpuInspection) -> str:
    """Give the tables: MB by library and generation of GPUs, and what naming some GPUs would save."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: GpuInspection) -> Iterator[str]:
    yield f"{printable(found.source.reference)} ({found.source.platform})"
    yield ""
    libraries, choices = found.code.libraries, found.code.choices
    if not libraries:
        yield "no library of this image holds GPU code that slimmer knows"
        return
    yield from _by_library(libraries)
    yield ""
    if choices:
        yield f"{'--gpu-arch':<14}{'saves about':>12}{'with --include-proprietary':>29}"
        for choice in choices:
            yield f"{choice.name:<14}{size(choice.saved):>12}{size(choice.saved_of_all):>29}"
        yield ""
    if any(each.is_proprietary for each in libraries):
        yield "* its licence forbids changing it"
    if any("parts" in each.by_architecture for each in libraries):
        yield "parts: what linked code was made of"
    if any("PTX" in each.by_architecture for each in libraries):
        yield "PTX: for GPUs to come; the newest stays, --gpu-ptx drop takes it too"


def _by_library(libraries: Sequence[Library]) -> Iterator[str]:
    """Give a line for each library; a column in which nothing would be is left out."""
    counted = [_by_column(library) for library in libraries]
    total: Counter[str] = Counter()
    for one in counted:
        total.update(one)
    columns = [name for name in _COLUMNS if total[name]]
    width = min(_NAME, _WIDTH - _COLUMN * (len(columns) + 1))

    def row(name: str, sizes: Counter[str]) -> str:
        cells = [*(sizes[column] for column in columns), sizes.total()]
        return f"{name:<{width}}" + "".join(f"{_cell(count):>{_COLUMN}}" for count in cells)

    yield f"{_HEADING:<{width}}" + "".join(f"{name:>{_COLUMN}}" for name in (*columns, "all"))
    for library, sizes in zip(libraries, counted, strict=True):
        if library.reason is not None:
            yield from wrapped(f"{_name(library, width):<{width}} ", f"kept: {printable(library.reason)}")
        else:
            yield row(_name(library, width), sizes)
    yield row("in all", total)


def _name(library: Library, width: int) -> str:
    name = printable(library.path.rpartition("/")[2])
    room = width - 3
    return (name if len(name) <= room else name[: room - 1] + "…") + (" *" if library.is_proprietary else "")


def _cell(count: int) -> str:
    return "." if not count else "<1" if count < _LEAST else format(count / 1e6, ",.0f")


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
