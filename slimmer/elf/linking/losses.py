"""What an image's objects no longer bind to as they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.elf.linking.dynamic import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.linking.linkage import Binding, Linkage


def broken(before: Linkage, after: Linkage) -> list[tuple[str, str]]:
    """Give each object's path with a sentence for each library or symbol that it no longer binds to as it did.

    What is gone from the root is no loss by itself, only to who needed it. Which object of a process provides what an
    object's own closure does not have is a guess, so there a loss is only when nobody provides it any more.
    """
    found: list[tuple[str, str]] = []
    now_skipped = dict(after.skipped)
    for path, was in before.bindings.items():
        now = after.bindings.get(path)
        if now is None:
            if path in now_skipped:
                found.append((path, f"it can no longer be read: {now_skipped[path]}"))
            continue
        found += [(path, sentence) for sentence in (*_lost_libraries(was, now), *_lost_symbols(was, now))]
    return found


def _lost_libraries(was: Binding, now: Binding) -> Iterator[str]:
    for name, old in was.needed.items():
        new = now.needed.get(name)
        if old is not None and new != old:
            yield f"{name}, which was {old}, is now {new or 'not found'}"


def _lost_symbols(was: Binding, now: Binding) -> Iterator[str]:
    if was.bound != now.bound:
        new, nobody = now.providers(), "none of the libraries that it needs"
        for symbol, old in sorted(was.providers().items()):
            if new.get(symbol) != old:
                yield f"{_spelled(symbol)}, which {old} provided, is now provided by {new.get(symbol) or nobody}"
    elsewhere = frozenset().union(*now.bound.values(), *now.provided.values())
    for old, symbols in was.provided.items():
        for symbol in sorted(symbols - elsewhere):
            yield f"{_spelled(symbol)}, which {old} provided to the process, is now provided by nobody"


def _spelled(symbol: bytes) -> str:
    return "symbol " + "@".join(filter(None, split(symbol)))
