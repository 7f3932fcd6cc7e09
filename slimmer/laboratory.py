"""Where a plan becomes an image in the engine, and the image is examined; and made again with some changes put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.attempts import Attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from slimmer.checks import Examined
    from slimmer.plan import Plan
    from slimmer.progress import Progress
    from slimmer.propose import Links
    from slimmer.reading import Opened
    from slimmer.transports import Writable
    from slimmer.trial import Trial, Trials, Wanted


@dataclass(frozen=True, slots=True)
class Made:
    """An image in the engine, and what it was made from."""

    plan: Plan
    links: Links
    writable: Writable
    trial: Trial


@dataclass(frozen=True, slots=True)
class Laboratory:
    """What it takes to make images of one source and to examine them."""

    found: Opened
    trials: Trials
    proposed: Callable[[Mapping[str, str]], tuple[Plan, Links]]
    """Gives the plan that leaves some paths as they were, each for its reason."""
    written: Callable[[Plan], Writable]
    wanted: Wanted

    @property
    def progress(self) -> Progress:
        """Who is told how far things are."""
        return self.trials.session.progress

    def build(self, plan: Plan, links: Links) -> Made:
        """Put the image of a plan into the engine."""
        writable = self.written(plan)
        return Made(plan, links, writable, self.trials.load(writable, "result"))

    def make(self, restored: Mapping[str, str]) -> Made:
        """Make an image in which the paths of RESTORED are as they were, each for its reason."""
        return self.build(*self.proposed(restored))

    def examine(self, made: Made) -> tuple[Examined, ...]:
        """Make all checks."""
        slimmed = made.trial.subject(made.plan.result)
        return self.trials.examine(self.trials.original(self.found), slimmed, made.plan, self.wanted)

    def attempts(self, made: Made) -> AbstractContextManager[Attempts]:
        """Give the attempts to find what makes checks fail in an image."""
        original = self.trials.original(self.found)
        return Attempts.of(self.trials, original, self.wanted, made.plan, made.trial)

    def drop(self, made: Made) -> None:
        """Take an image out of the engine."""
        self.trials.drop(made.trial)

    def keep(self, made: Made) -> str:
        """Give an image a name that stays in the engine, and give that."""
        return self.trials.keep(made.trial)

    def tell(self, sentence: str) -> None:
        """Tell the person."""
        self.progress.note(sentence)
