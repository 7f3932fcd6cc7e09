"""Changes and kept files as rows of a table that a page can hold: the largest by name, the rest by directory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from slimmer.report import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimmer.plan import Change, Kept

MAX_ROWS = 4000
"""Rows by name, and as many by directory: about a megabyte."""


def change_rows(changes: Sequence[Change]) -> list[list[Any]]:
    """Give `[path, rule, action, saved, files, how]` of every change, what saves most first.

    Beyond MAX_ROWS, changes of a directory by one rule are one row, its path ending in `/` and a star.
    """
    ordered = sorted(changes, key=lambda change: (-change.saved, change.path))
    rows = [_row(change) for change in ordered[:MAX_ROWS]]
    saved: Counter[tuple[str, str, str]] = Counter()
    files: Counter[tuple[str, str, str]] = Counter()
    rest = ordered[MAX_ROWS:]
    directories = _directories([change.path for change in rest])
    for change in rest:
        key = (directories[change.path], change.rule, change.action)
        saved[key] += change.saved
        files[key] += change.files
    rows += [[f"{key[0]}*", *key[1:], saved[key], files[key], "small changes, together"] for key in sorted(files)]
    return rows


def _row(change: Change) -> list[Any]:
    path = printable("/" + change.path)
    return [path, change.rule, change.action, change.saved, change.files, printable(change.how)]


def kept_rows(kept: Sequence[Kept]) -> list[list[Any]]:
    """Give `[path, rule, paths, reason]` of everything that is kept; beyond MAX_ROWS by directory, as changes."""
    rows: list[list[Any]] = [[printable("/" + one.path), one.rule, 1, printable(one.reason)] for one in kept[:MAX_ROWS]]
    rest = kept[MAX_ROWS:]
    directories = _directories([one.path for one in rest])
    counted = Counter((directories[one.path], one.rule, printable(one.reason)) for one in rest)
    return rows + [[f"{key[0]}*", key[1], count, key[2]] for key, count in sorted(counted.items())]


def _directories(paths: Sequence[str]) -> dict[str, str]:
    """Give for each path a directory above it, of a depth at which there are no more than MAX_ROWS of them."""
    depth = max((path.count("/") for path in paths), default=0)
    while True:
        found = {path: _above(path, depth) for path in paths}
        if len(set(found.values())) <= MAX_ROWS or depth <= 1:
            return found
        depth -= 1


def _above(path: str, depth: int) -> str:
    parts = path.split("/")[:-1][:depth]
    return printable("/" + "".join(f"{part}/" for part in parts))
