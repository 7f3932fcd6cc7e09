"""Decisions, and what they add up to. Rules propose, the plan decides what follows from it, nothing is written.

The result is a Rootfs like the source, so its size and the length of its layer are known to the byte before anything
is written.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from slimmer.layer import layer_chunks, layer_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from slimmer.content import Content
    from slimmer.image import Config
    from slimmer.layer import Inode
    from slimmer.progress import Progress
    from slimmer.rootfs import Rootfs


@dataclass(frozen=True, slots=True)
class Keep:
    """A rule could have taken PATH and does not."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """PATH goes, and all that is below it. A file that has another name elsewhere keeps its content there."""

    path: str
    how: str


@dataclass(frozen=True, slots=True)
class Replace:
    """The inode that PATH is the first name of gets CONTENT; everything else about it stays."""

    path: str
    content: Content
    how: str


Decision = Keep | Remove | Replace


class Rule(Protocol):
    """One kind of dead weight: what of it an image holds, and why it can go."""

    name: str
    summary: str
    on_by_default: bool
    rewrites: bool
    """Whether it replaces contents. Such a rule is asked after those that remove, about what they leave."""

    def propose(self, rootfs: Rootfs, config: Config, progress: Progress) -> Iterator[Decision]:
        """Give a decision for everything that the rule could take. Opens no file for writing."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision comes to, in bytes of content; a file that lives on under another name frees none."""

    path: str
    rule: str
    action: str
    before: int
    after: int
    files: int
    how: str

    @property
    def saved(self) -> int:
        """Bytes of content that this change saves."""
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision to keep, with the rule that made it."""

    path: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The root as it will be, and every change that leads there."""

    source: Rootfs
    result: Rootfs
    rules: tuple[str, ...]
    changes: tuple[Change, ...]
    kept: tuple[Kept, ...]

    def layer_size(self) -> int:
        """Give the exact length in bytes of the layer that `carry_out` gives."""
        return layer_size(self.result.entries())

    def carry_out(self) -> Iterator[bytes]:
        """Give the one layer of the result, piece by piece; the same plan gives the same bytes on every machine."""
        return layer_chunks(self.result.entries())


def propose(rootfs: Rootfs, config: Config, rules: Sequence[Rule], exclude: Sequence[str], progress: Progress) -> Plan:
    """Ask every rule and give what its decisions add up to.

    EXCLUDE are globs over absolute paths; `*` matches `/` too, and a directory stands for all that is below it.
    """
    source = rootfs
    changes: list[Change] = []
    kept: list[Kept] = []
    for rule in sorted(rules, key=lambda rule: (rule.rewrites, rule.name)):
        removals: list[Remove] = []
        replacements: dict[int, Content] = {}
        for decision in rule.propose(rootfs, config, progress):
            if isinstance(decision, Keep):
                kept.append(Kept(decision.path, rule.name, decision.reason))
            elif (glob := _excluding(decision.path, exclude)) is not None:
                kept.append(Kept(decision.path, rule.name, f"excluded by --exclude {glob}"))
            elif isinstance(decision, Remove):
                removals.append(decision)
            else:
                inode = rootfs.get(decision.path)
                if inode is None:
                    raise AssertionError(f"rule {rule.name} replaces {decision.path}, which is not there")
                replacements[id(inode)] = decision.content
                changes.append(
                    Change(decision.path, rule.name, "replace", inode.size, decision.content.size, 1, decision.how)
                )
        if removals:
            rootfs, removed, spared = _removed(rootfs, rule.name, removals, exclude)
            changes += removed
            kept += spared
        if replacements:
            rootfs = rootfs.replaced(lambda inode, new=replacements: _with_content(inode, new.get(id(inode))))  # type: ignore[misc]
    return Plan(source, rootfs, tuple(sorted(rule.name for rule in rules)), tuple(changes), tuple(kept))


def _with_content(inode: Inode, content: Content | None) -> Inode:
    return inode if content is None else replace(inode, content=content)


def _excluding(path: str, exclude: Sequence[str]) -> str | None:
    parts = ("/" + path).split("/")
    above = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    for glob in exclude:
        anchored = glob if glob.startswith(("/", "*")) else "/" + glob
        if any(fnmatch.fnmatchcase(candidate, anchored.rstrip("/")) for candidate in above):
            return glob
    return None


def _removed(
    rootfs: Rootfs, rule: str, removals: Iterable[Remove], exclude: Sequence[str]
) -> tuple[Rootfs, list[Change], list[Kept]]:
    """Give the root without what is removed, a change for each removal, and what --exclude spared below them."""
    names: dict[int, int] = {}
    for _, inode in rootfs.entries():
        names[id(inode)] = names.get(id(inode), 0) + 1
    gone: set[str] = set()
    changes: list[Change] = []
    kept: list[Kept] = []
    for removal in removals:
        below = [path for path in rootfs.below(removal.path) if path not in gone]
        spared = {path: glob for path in below if (glob := _excluding(path, exclude)) is not None}
        stay = {"/".join(path.split("/")[:count]) for path in spared for count in range(1, path.count("/") + 2)}
        kept += [Kept(path, rule, f"excluded by --exclude {glob}") for path, glob in spared.items()]
        freed = files = 0
        for path in below:
            found = rootfs.get(path)
            if path in stay or found is None:
                continue
            gone.add(path)
            files += found.content is not None
            names[id(found)] -= 1
            if names[id(found)] == 0:
                freed += found.size
        changes.append(Change(removal.path, rule, "remove", freed, 0, files, removal.how))
    return rootfs.without(gone), changes, kept
