"""Find the changes that make a check fail, put the originals back, and see that it passes then.

What failed to load names its culprit, or what it says does. Else all changes are searched for a smallest set that must
be put back: halves are put back and the check that failed soonest is made again (Junker's QuickXplain, AAAI 2004).
There are only so many attempts, and so much time for them; what is known to help by then is put back, even if less
would do. Whether the other checks pass as well then, the verification of the whole image shows; if not, another round
begins.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from slimmer.checks import FAILED
from slimmer.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from slimmer.checks import Examined
    from slimmer.plan import Change, Plan

_MAX_ROUNDS = 5
_MAX_ATTEMPTS = 24
_MAX_SECONDS = 600
_MAX_TOLD = 5


class Made(Protocol):
    """An image that was made with some changes put back."""

    @property
    def plan(self) -> Plan:
        """The plan that it was made by."""


_Made = TypeVar("_Made", bound=Made)


class Attempts(Protocol):
    """Images like one that was made, with some changes more put back; they are gone when the search is over."""

    def passes(self, paths: frozenset[str], check: str) -> bool:
        """Say whether a check passes in the image with PATHS put back as well."""

    def passes_in_original(self, check: str) -> bool:
        """Say whether a check passes when the original is compared with itself."""


class Lab(Protocol[_Made]):
    """Who makes images and examines them."""

    def make(self, restored: Mapping[str, str]) -> _Made:
        """Make an image in which the paths of RESTORED are as they were, each for its reason."""

    def examine(self, made: _Made) -> tuple[Examined, ...]:
        """Make all checks."""

    def attempts(self, made: _Made) -> AbstractContextManager[Attempts]:
        """Give the attempts on an image."""

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


def healed(lab: Lab[_Made], made: _Made, now: Callable[[], float] = time.monotonic) -> Healed[_Made]:
    """Examine an image; while a check fails in it only, put back what made it fail, if that is found.

    No attempt begins after ten minutes of searching, by NOW in seconds. Whether all checks passed in the end is for the
    caller to see.
    """
    outcome = Healed(made, lab.examine(made))
    clock = _Clock(now)
    for _ in range(_MAX_ROUNDS):
        failed = failures(outcome.examined)
        if not failed or any(one.verdict.blames_no_change for one in failed):
            break
        lab.tell(f"check {failed[0].name} failed: {failed[0].verdict.reason}")
        try:
            with clock.running():
                found = _culprits(lab, outcome, failed, clock)
        except DestinationError as error:
            # That the check failed is what the person must know, whatever the engine makes of attempts.
            lab.tell(f"what made it fail is not looked for: {error}")
            break
        if not found:
            break
        lab.tell(f"putting back {_listed(found)}")
        restored = {**outcome.restored, **dict.fromkeys(found, _reason(failed))}
        lab.drop(outcome.made)
        again = lab.make(restored)
        outcome = Healed(again, lab.examine(again), restored)
    return outcome


class _Clock:
    """How long was searched, over all rounds: making and verifying whole images is not searching."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._before = 0.0
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self._since = self._now()
        try:
            yield
        finally:
            self._before = self.seconds
            self._since = None

    @property
    def seconds(self) -> float:
        return self._before + (self._now() - self._since if self._since is not None else 0)


def failures(examined: Sequence[Examined]) -> list[Examined]:
    """Give the checks that failed."""
    return [one for one in examined if one.verdict.status == FAILED]


def _reason(failed: Sequence[Examined]) -> str:
    return f"check {failed[0].name} failed without it: {failed[0].verdict.reason}"


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MAX_TOLD} more" if len(paths) > _MAX_TOLD else ""
    return ", ".join("/" + path for path in paths[:_MAX_TOLD]) + more


def _culprits(lab: Lab[_Made], outcome: Healed[_Made], failed: Sequence[Examined], clock: _Clock) -> list[str]:
    """Give the paths to put back so that what failed passes; none when no change is to blame, or none was found."""
    plan = outcome.made.plan
    changes = [change for change in plan.changes if change.files or change.action != "replace"]
    # What is large comes last, when it is put back at all: an attempt has to send it.
    everything = sorted({change.path for change in changes}, key=lambda path: (_weight(plan, path), path))
    named = {change.path for change in changes if _is_named(change, plan, failed)}
    check = min(failed, key=lambda one: one.seconds).name
    with lab.attempts(outcome.made) as attempts:
        search = _Search(lab.tell, attempts, check, everything, clock)
        candidates = [path for path in everything if path in named]
        if candidates and search.passes(candidates):
            return search.smallest(candidates)
        # Some programs never do the same twice.
        if not everything or not attempts.passes_in_original(check):
            return []
        return search.smallest(everything)


def _weight(plan: Plan, path: str) -> int:
    """Give the bytes of what is at PATH, and below it, in the source."""
    found = (plan.source.get(name) for name in plan.source.below(path))
    return sum(inode.size for inode in set(found) if inode is not None)


def _is_named(change: Change, plan: Plan, failed: Sequence[Examined]) -> bool:
    """Say whether a check that failed names a changed file: as a culprit, or by its last name in what was said."""
    names = {change.path, *plan.source.names(change.path)}
    said = " ".join(f"{one.verdict.reason} {one.verdict.slimmed}" for one in failed)
    culprits = {path for one in failed for path in one.verdict.culprits}
    return bool(names & culprits) or any(name.rpartition("/")[2] in said for name in names)


class _Search:
    """A search for the changes that make a check fail; with EVERYTHING put back it passes, as in the original."""

    def __init__(
        self, tell: Callable[[str], None], attempts: Attempts, check: str, everything: Sequence[str], clock: _Clock
    ) -> None:
        self._tell = tell
        self._attempts = attempts
        self._check = check
        self._count = len(everything)
        self._clock = clock
        self._tried = 0
        self._known = {frozenset(everything): True}

    def passes(self, paths: Sequence[str]) -> bool:
        """Say whether the check passes with PATHS put back as well; not when there is no attempt left, nor time."""
        key = frozenset(paths)
        if key not in self._known:
            if self._tried >= _MAX_ATTEMPTS or self._clock.seconds >= _MAX_SECONDS:
                return False
            self._tried += 1
            self._tell(
                f"trying with {len(key)} of {self._count} changes put back: attempt {self._tried} of at most "
                f"{_MAX_ATTEMPTS}, {self._clock.seconds:.0f} s of at most {_MAX_SECONDS} s are over"
            )
            self._known[key] = self._attempts.passes(key, self._check)
        return self._known[key]

    def smallest(self, candidates: Sequence[str]) -> list[str]:
        """Give the fewest of CANDIDATES, which help together, that help; or the fewest that were found in time."""
        return self._needed([], candidates, is_new=False)

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
