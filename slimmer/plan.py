"""Decisions, and what they add up to. Rules propose, the plan decides what follows from it, nothing is written.

The result is a Rootfs like the source, so its size and the length of its layer are known to the byte before anything
is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from slimmer.dependents import Heads
from slimmer.elf.work.workshop import Workshop
from slimmer.layer_writer import layer_chunks, layer_size
from slimmer.progress import Progress, Silence
from slimmer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slimmer.chunks import Chunk
    from slimmer.content import Content
    from slimmer.image import Config
    from slimmer.inode import Inode
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


@dataclass(frozen=True, slots=True)
class Link:
    """Every name of the inode at PATH becomes a name of the inode at TO, whose content must be the same."""

    path: str
    to: str
    how: str


Decision = Keep | Remove | Replace | Link

Veto = Callable[[str], str | None]
"""Gives why a path must not be changed, or None."""


def _allow(path: str) -> str | None:  # noqa: ARG001 - whatever it is
    return None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rule looks at: the files as the rules before it leave them, the configuration, what the person chose."""

    rootfs: Rootfs
    config: Config
    settings: Settings = field(default_factory=Settings)
    progress: Progress = field(default_factory=Silence)
    workshop: Workshop = field(default_factory=Workshop)
    """Who slims libraries."""
    veto: Veto = _allow
    """Asked of every decision anyway: a rule asks it itself where its changes only make sense together."""
    heads: Heads = field(default_factory=Heads)
    """Of the scripts that were looked at so far."""


class Turn(IntEnum):
    """When a rule is asked: about what all rules of the turns before it leave, within a turn by name."""

    PACKAGES = 1
    """It takes packages out of a package manager's database, with all their files."""
    FILES = 2
    """It takes files; whether something still needs them may depend on which packages are left."""
    CONTENTS = 3
    """It replaces contents, and need not bother with what is gone."""
    LINKS = 4
    """It makes one file of several, whose contents are final now."""


class Rule(Protocol):
    """One kind of dead weight: what of it an image holds, and why it can go."""

    name: str
    summary: str
    on_by_default: bool
    turn: Turn

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a decision for everything that the rule could take. Opens no file for writing."""


@runtime_checkable
class EarlyRule(Rule, Protocol):
    """A rule whose work takes long and can begin before its turn, while the image is still read."""

    def foresee(self, files: Iterable[tuple[str, Content]], scene: Scene) -> None:
        """Begin in the workshop of SCENE, which has no files yet, with what will most likely be to do with FILES."""


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
        return layer_size(self.result.as_layer())

    def carry_out(self) -> Iterator[Chunk]:
        """Give the one layer of the result, piece by piece; the same plan gives the same bytes on every machine."""
        return layer_chunks(self.result.as_layer())


class Draft:
    """A plan while decisions are still made: what they come to, one rule after the other."""

    def __init__(self, rootfs: Rootfs, veto: Veto) -> None:
        self.rootfs = rootfs
        self._source = rootfs
        self._veto = veto
        self._changes: list[Change] = []
        self._kept: list[Kept] = []
        self.replaced: dict[str, Content] = {}
        """Every path whose content is replaced so far, all names of an inode, with the new content."""
        self.removed: set[str] = set()
        """Every path that is removed so far."""

    def plan(self, rules: tuple[str, ...]) -> Plan:
        """Give the plan as it is now."""
        return Plan(self._source, self.rootfs, rules, tuple(self._changes), tuple(self._kept))

    def since(self, before: Rootfs) -> tuple[dict[str, Content], set[str]]:
        """Give what was replaced, with the new content, and what was removed since the root was BEFORE."""
        found = ((path, content, before.get(path)) for path, content in self.replaced.items())
        replaced = {path: new for path, new, inode in found if inode is not None and inode.content is not new}
        return replaced, {path for path in self.removed if path in before}

    def decide(self, rule: str, decisions: Iterable[Decision], files: int = 1) -> None:
        """Take the decisions of a rule; a change that is vetoed becomes a Kept with the veto's reason.

        FILES is what a replacement counts for: nothing where it only follows from another.
        """
        removals: list[Remove] = []
        replacements: dict[Inode, Inode] = {}
        for decision in decisions:
            reason = decision.reason if isinstance(decision, Keep) else self._vetoed(decision)
            if reason is not None:
                self._kept.append(Kept(decision.path, rule, reason))
            elif isinstance(decision, Remove):
                removals.append(decision)
            elif isinstance(decision, Replace):
                inode = self._there(rule, decision.path)
                replacements[inode] = inode.but(content=decision.content)
                self.replaced |= dict.fromkeys(self.rootfs.names(decision.path), decision.content)
                before, after = inode.size, decision.content.size
                self._changes.append(Change(decision.path, rule, "replace", before, after, files, decision.how))
            elif isinstance(decision, Link):
                inode = self._there(rule, decision.path)
                replacements[inode] = self._there(rule, decision.to)
                self._changes.append(Change(decision.path, rule, "link", inode.size, 0, files, decision.how))
        if removals:
            self._remove(rule, removals)
        if replacements:
            self.rootfs = self.rootfs.replaced(replacements)

    def _there(self, rule: str, path: str) -> Inode:
        inode = self.rootfs.get(path)
        if inode is None:
            raise AssertionError(f"rule {rule} changes {path}, which is not there")
        return inode

    def _vetoed(self, decision: Remove | Replace | Link) -> str | None:
        # A content has all names of its inode: what one of them forbids is forbidden.
        paths = [decision.path] if isinstance(decision, Remove) else self.rootfs.names(decision.path)
        return next((reason for path in paths if (reason := self._veto(path)) is not None), None)

    def _remove(self, rule: str, removals: Iterable[Remove]) -> None:
        gone_names: dict[Inode, int] = {}
        gone: set[str] = set()
        for removal in removals:
            below = [path for path in self.rootfs.below(removal.path) if path not in gone]
            spared = {path: reason for path in below if (reason := self._veto(path)) is not None}
            # What leads to a path that stays has to stay with it.
            stay = {"/".join(path.split("/")[:count]) for path in spared for count in range(1, path.count("/") + 2)}
            self._kept += [Kept(path, rule, reason) for path, reason in spared.items()]
            freed = files = 0
            for path in below:
                found = self.rootfs.get(path)
                if path in stay or found is None:
                    continue
                gone.add(path)
                files += found.content is not None
                count = gone_names[found] = gone_names.get(found, 0) + 1
                if count == len(self.rootfs.names(path)):
                    freed += found.size
            self._changes.append(Change(removal.path, rule, "remove", freed, 0, files, removal.how))
        self.removed |= gone
        self.rootfs = self.rootfs.without(gone)
