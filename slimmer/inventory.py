"""Where the bytes of an image are, as a person reads it on a terminal, at most 80 columns wide. Never prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.report import printable
from slimmer.summary import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.inspection import Inspection, Table

_WIDTH = 80
_MAX_ROWS = 12
_NUMBERS = 8 + 2 + 7 + 6
"""Columns that a size and a count of files take."""


def inventory(found: Inspection) -> str:
    """Give the tables, each with its largest rows."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Inspection) -> Iterator[str]:
    source = found.source
    yield f"{printable(source.reference)} ({source.platform})"
    layers = f"{source.layers} layer{'s' * (source.layers != 1)}"
    yield f"  {size(source.size)} in {layers}; {size(source.flattened_size)} are what a container sees"
    yield ""
    for table in (table for table in found.tables if table.shares):
        yield from _table(table)
    yield "What each rule would save by itself"
    for one in sorted(found.potentials, key=lambda one: (-one.saved, one.rule.name)):
        if one.saved:
            state = "" if one.rule.on_by_default else " (off by default)"
            yield _row(one.rule.name + state, one.saved, one.files)
    yield ""
    yield "Largest files"
    for path, count in found.largest[:_MAX_ROWS]:
        yield f"  {size(count):>8}  {_short('/' + path, _WIDTH - 12)}"


def _table(table: Table) -> Iterator[str]:
    yield f"{table.title}, {table.note}" if table.note else table.title
    for share in table.shares[:_MAX_ROWS]:
        yield _row(share.name, share.size, share.files)
    rest = table.shares[_MAX_ROWS:]
    if rest:
        yield _row(f"{len(rest):,} more", sum(one.size for one in rest), sum(one.files for one in rest))
    yield ""


def _row(name: str, count: int, files: int) -> str:
    width = _WIDTH - _NUMBERS - 4
    return f"  {_short(name, width):<{width}}  {size(count):>8}  {files:>7,} file{'s' * (files != 1)}".rstrip()


def _short(name: str, width: int) -> str:
    """Give a name in WIDTH columns, its end where it is a path: that tells more than its beginning."""
    shown = printable(name)
    if len(shown) <= width:
        return shown
    return f"…{shown[1 - width :]}" if shown.startswith("/") else f"{shown[: width - 1]}…"
