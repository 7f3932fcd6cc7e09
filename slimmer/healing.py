"""Find the changes that make a check fail, put the originals back, and see that it passes then.

What failed to load names its culprit, or what it says does. Else all changes are searched for a smallest set that must
be put back: halves are put back and the failing checks made again (Junker's QuickXplain, AAAI 2004). Each step is an
image of its own, so there are only so many; what is known to help by then is put back, even if less would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from slimmer.checks import FAILED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from slimmer.checks import Examined
    from slimmer.plan import Change, Plan

_MAX_ROUNDS = 3
_MAX_TRIES = 24


class Made(Protocol):
    """An image that was made with some changes put back."""

    @property
    def plan(self) -> Plan:
        """The plan that it was made by."""


_Made = TypeVar("_Made", bound=Made)


class Lab(Protocol[_Made]):
    """Who makes images and examines them."""

    def make(self, restored: Mapping[str, str]) -> _Made:
        """Make an image in which the paths of RESTORED are as they were, each for its reason."""

    def examine(self, made: _Made, only: Collection[str] | None = None) -> tuple[Examined, ...]:
        """Make the checks, or ONLY those of these names."""

    def drop(self, made: _Made) -> None:
        """Forget an image."""

    def tell(self, sentence: str) -> None:
        """Say what is being done, and why it takes longer."""


@dataclass(frozen=True, slots=True)
class Healed(Generic[_Made]):
    """The image that was examined last, what that found, and what is put back in it, with the reasons."""

    made: _Made
    examined: tuple[Examined, ...]
    restored: dict[str, str] = field(default_factory=dict)


def healed(lab: Lab[_Made], made: _Made) -> Healed[_Made]:
    """Examine an image; while a check fails in it only, put back what made it fail, if that is found.

    Whether all checks passed in the end is for the caller to see.
    """
    outcome = Healed(made, lab.examine(made))
    for _ in range(_MAX_ROUNDS):
        failed = failures(outcome.examined)
        if not failed or any(one.verdict.in_original for one in failed):
            break
        lab.tell(f"check {failed[0].name} failed: {failed[0].verdict.reason}")
        found = _culprits(lab, outcome, failed)
        if not found:
            break
        lab.tell(f"putting back {', '.join('/' + path for path in found)}")
        restored = {**outcome.restored, **dict.fromkeys(found, _reason(failed))}
        lab.drop(outcome.made)
        again = lab.make(restored)
        outcome = Healed(again, lab.examine(again), restored)
    return outcome


def failures(examined: Sequence[Examined]) -> list[Examined]:
    """Give the checks that failed."""
    return [one for one in examined if one.verdict.status == FAILED]


def _reason(failed: Sequence[Examined]) -> str:
    return f"check {failed[0].name} failed without it: {failed[0].verdict.reason}"


def _culprits(lab: Lab[_Made], outcome: Healed[_Made], failed: Sequence[Examined]) -> list[str]:
    """Give the paths to put back so that what failed passes; none when no change is to blame, or none was found."""
    search = _Search(lab, outcome, failed)
    changes = [change for change in outcome.made.plan.changes if change.files or change.action != "replace"]
    everything = list(dict.fromkeys(change.path for change in changes))
    named = [change.path for change in changes if _is_named(change, outcome.made.plan, failed)]
    for candidates in (list(dict.fromkeys(named)), everything):
        if candidates and search.passes(candidates):
            return search.smallest(candidates)
    return []


def _is_named(change: Change, plan: Plan, failed: Sequence[Examined]) -> bool:
    """Say whether a check that failed names a changed file: as a culprit, or by its last name in what was said."""
    inode = plan.source.get(change.path)
    names = {change.path, *(plan.source.names(inode) if inode is not None else ())}
    said = " ".join(f"{one.verdict.reason} {one.verdict.slimmed}" for one in failed)
    culprits = {path for one in failed for path in one.verdict.culprits}
    return bool(names & culprits) or any(name.rpartition("/")[2] in said for name in names)


class _Search(Generic[_Made]):
    """A search for the changes that make the checks FAILED fail."""

    def __init__(self, lab: Lab[_Made], outcome: Healed[_Made], failed: Sequence[Examined]) -> None:
        self._lab = lab
        self._outcome = outcome
        self._checks = {one.name for one in failed}
        self._reason = _reason(failed)
        self._known: dict[frozenset[str], bool] = {}

    def passes(self, paths: Sequence[str]) -> bool:
        """Make an image in which PATHS are put back as well, and say whether the checks pass in it."""
        key = frozenset(paths)
        if key not in self._known:
            if len(self._known) >= _MAX_TRIES:
                return False
            self._lab.tell(f"trying with {len(key)} of the changes put back")
            made = self._lab.make({**self._outcome.restored, **dict.fromkeys(paths, self._reason)})
            try:
                self._known[key] = not failures(self._lab.examine(made, self._checks))
            finally:
                self._lab.drop(made)
        return self._known[key]

    def smallest(self, candidates: Sequence[str]) -> list[str]:
        """Give the fewest of CANDIDATES, which help together, that help; or the fewest that were tried in time."""
        found = self._needed([], candidates, is_new=False)
        if self._known.get(frozenset(found)) or self.passes(found):
            return found
        helpful = [sorted(key) for key, helped in self._known.items() if helped]
        return min(helpful, key=lambda paths: (len(paths), paths))

    def _needed(self, background: list[str], candidates: Sequence[str], *, is_new: bool) -> list[str]:
        """Give those of CANDIDATES that must be put back beside BACKGROUND, which IS_NEW when it was not tried yet."""
        if is_new and self.passes(background):
            return []
        if len(candidates) == 1:
            return list(candidates)
        middle = len(candidates) // 2
        left, right = list(candidates[:middle]), list(candidates[middle:])
        of_right = self._needed(background + left, right, is_new=True)
        of_left = self._needed(background + of_right, left, is_new=bool(of_right))
        return of_left + of_right
