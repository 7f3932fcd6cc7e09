"""Every changed library is loaded with all its symbols bound at once (RTLD_NOW), in both images, to the same end.

By the interpreter whose packages it lies among, or any other of the image: an extension takes symbols from the one that
loads it. Where there is no interpreter, the image's loader maps and relocates the library without running it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.checks import FAILED, PASSED, SKIPPED, Verdict
from slimmer.checks.apart import Deed, done_apart, grouped
from slimmer.checks.changed import changed_libraries
from slimmer.checks.interpreters import for_file
from slimmer.checks.loader import find_loader, loaded_by

if TYPE_CHECKING:
    from slimmer.checks import Pair, Subject

_DEED = Deed("import ctypes; ctypes.CDLL(item, mode=2)", 120)  # dlopen(3): RTLD_NOW is 2
_SLOW = "no answer"


class LoadsCheck:
    """The check."""

    name = "loads"
    summary = "every changed library loads, or fails with the same error as before"

    def examine(self, pair: Pair) -> Verdict:
        """Load all of them in both images."""
        libraries = changed_libraries(pair.plan)
        if not libraries:
            return Verdict(SKIPPED, reason="no library was changed")
        original = _loaded(pair, pair.original, libraries)
        if isinstance(original, str):
            return Verdict(SKIPPED, reason=original)
        slimmed = _loaded(pair, pair.slimmed, libraries)
        if isinstance(slimmed, str):
            return Verdict(FAILED, reason=slimmed)
        return _compared(original, slimmed)


def _compared(original: dict[str, str], slimmed: dict[str, str]) -> Verdict:
    broken = [path for path, error in original.items() if slimmed[path] not in {error, ""}]
    # What took too long before may as well fail otherwise now.
    broken = [path for path in broken if not original[path].startswith(_SLOW)]
    loading = [sum(not error for error in errors.values()) for errors in (original, slimmed)]
    was, now = (f"{count} of {len(original)} load" for count in loading)
    if broken:
        first = broken[0]
        before = "loads" if not original[first] else f"gives {original[first]!r}"
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        reason = f"/{first} {before} in the original, and in the slimmed image gives {slimmed[first]!r}{more}"
        return Verdict(FAILED, was, now, reason, culprits=tuple(broken))
    failing = len(original) - loading[0]
    as_before = f", {failing} fail as before" if failing else ""
    return Verdict(
        PASSED,
        was,
        now,
        f"{loading[0]} changed {'libraries load' if loading[0] != 1 else 'library loads'}{as_before}",
        loading[0],
    )


def _loaded(pair: Pair, subject: Subject, libraries: list[str]) -> dict[str, str] | str:
    """Give for each library what went wrong in an image, the empty text when nothing did; or why nobody can load."""
    found = {path: for_file(pair.original.rootfs, path) for path in libraries}
    by_loader = [path for path, interpreter in found.items() if interpreter is None]
    loader = find_loader(pair.original.rootfs) if by_loader else None
    if len(by_loader) == len(found) and loader is None:
        return "the image has neither a Python interpreter nor a loader for shared libraries"
    items = grouped((interpreter, f"/{path}") for path, interpreter in found.items() if interpreter is not None)
    outcomes = {path.lstrip("/"): error for (_, path), error in done_apart(pair, subject, _DEED, items).items()}
    if loader is not None:
        outcomes |= loaded_by(loader, pair, subject, by_loader)
    return outcomes


check = LoadsCheck()
