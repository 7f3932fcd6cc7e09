"""Every top-level module of every distribution that owns a changed file is imported, in a process of its own.

What a RECORD names is what its distribution owns; a file that no RECORD names belongs to the module that its path
below the packages begins with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.checks import FAILED, PASSED, SKIPPED, Verdict
from slimmer.checks.apart import Deed, done_apart, grouped
from slimmer.checks.changed import changed_files
from slimmer.checks.interpreters import for_file
from slimmer.metadata.record_rows import locator, row_path, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.checks import Pair
    from slimmer.checks.interpreters import Interpreter
    from slimmer.rootfs import Rootfs

_DEED = Deed("import importlib; importlib.import_module(item)", 180)  # a CUDA torch takes 60 s on a cold disk
_SUFFIX = re.compile(r"\.py|(\.cpython-[\w-]+|\.abi3)?\.so")
_RECORD = re.compile(r"(.*/(?:site|dist)-packages)/[^/]+\.dist-info/RECORD")


class ImportsCheck:
    """The check."""

    name = "imports"
    summary = "every module of a distribution with a changed file can be imported, if it could before"

    def examine(self, pair: Pair) -> Verdict:
        """Import all of them in the original, and in the slimmed image those that came."""
        wanted = _wanted(pair.original.rootfs, set(_all_names(pair)))
        if not wanted:
            return Verdict(SKIPPED, reason="no changed file belongs to a Python distribution with an interpreter")
        original = done_apart(pair, pair.original, _DEED, wanted)
        came = [key for key, error in original.items() if not error]
        slimmed = done_apart(pair, pair.slimmed, _DEED, grouped(came))
        broken = [(module, error) for (_, module), error in slimmed.items() if error]
        shown = f"{len(came)} of {len(original)} modules", f"{len(came) - len(broken)} of {len(original)} modules"
        if broken:
            module, error = broken[0]
            more = "".join(f"; {other}: {trouble}" for other, trouble in broken[1:])
            return Verdict(FAILED, *shown, f"import {module} works in the original only: {error}{more}")
        failing = len(original) - len(came)
        as_before = f", {failing} fail in the original" if failing else ""
        status = PASSED if came else SKIPPED
        return Verdict(
            status, *shown, f"{len(came)} module{'s are' if len(came) != 1 else ' is'} imported{as_before}", len(came)
        )


def _all_names(pair: Pair) -> Iterator[str]:
    for path in changed_files(pair.plan):
        yield from pair.plan.result.names(path)


def _wanted(rootfs: Rootfs, changed: set[str]) -> dict[Interpreter, list[str]]:
    found = [*_recorded(rootfs, changed), *_by_path(changed)]
    pairs = ((for_file(rootfs, f"{packages}/x"), module) for packages, module in sorted(set(found)))
    return grouped((interpreter, module) for interpreter, module in pairs if interpreter is not None)


def _recorded(rootfs: Rootfs, changed: set[str]) -> Iterator[tuple[str, str]]:
    """Give the directory of packages and each top-level module of every distribution that owns a changed file."""
    locate = locator(rootfs)
    names = {path.rpartition("/")[2] for path in changed}
    for path, inode in rootfs.called("RECORD"):
        match = _RECORD.fullmatch(path)
        if match is None or inode.content is None:
            continue
        found = list(rows(inode.content.whole(path)))
        candidates = (row for row in found if row.path.rpartition("/")[2] in names)
        if any(locate(row_path(path, row.path)) in changed for row in candidates):
            yield from ((match[1], module) for module in _modules([row.path for row in found]))


def _modules(owned: list[str]) -> set[str]:
    """Give the modules that files below a directory of packages make: their first part, if Python can name it."""
    found = set()
    for name in owned:
        first, slash, rest = name.partition("/")
        if slash and not rest.endswith((".py", ".so")):
            continue
        module = first if slash else first[: match.start()] if (match := _suffix(first)) is not None else ""
        if module.isidentifier() and module != "__pycache__":
            found.add(module)
    return found


def _suffix(name: str) -> re.Match[str] | None:
    stem = name.partition(".")[0]
    return _SUFFIX.fullmatch(name, len(stem))


def _by_path(changed: set[str]) -> Iterator[tuple[str, str]]:
    for path in changed:
        match = re.match(r"(.*/(?:site|dist)-packages)/(.+)", path)
        if match is not None:
            yield from ((match[1], module) for module in _modules([match[2]]))


check = ImportsCheck()
