"""Containers in which an image's own command runs, watched until they are as good as they get, or it took too long.

A container is good that stays up and, where that is asked for, is healthy and answers, or that ends with status 0.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.checks import Pair, Subject
    from slimmer.checks.answers import Asked
    from slimmer.containers import Started

NOT_STARTED = -1
"""Status of an image that does not start at all."""

_SETTLES = 5
_OFTEN = 2
_SECOND = 10**9
_DEFAULTS = {"Interval": 30 * _SECOND, "Timeout": 30 * _SECOND, "Retries": 3, "StartPeriod": 0}  # Dockerfile reference
_LONGEST = 120
_LATE = 15
"""Seconds after which the original is run on a root that it can write as well."""
_LONGER = 2
"""How many times as long one may take beyond what another needed; at least _LATE."""


@dataclass(slots=True)
class Outcome:
    """What became of a container: `status` when it ended, `health` while it runs, and how it answered."""

    status: int | None = None
    health: str = ""
    answer: str = ""
    said: str = ""

    @property
    def facts(self) -> tuple[int | None, str, str]:
        """What must be the same in both images."""
        return self.status, self.health, self.answer

    def __str__(self) -> str:
        state = "stays up" if self.status is None else f"ends with exit status {self.status}"
        state = "does not start" if self.status == NOT_STARTED else state
        more = [part for part in (self.health, self.answer) if part]
        return ", ".join([state, *more])


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of both images, and whether the original wants a root that it can write."""

    original: Outcome
    slimmed: Outcome
    wants_to_write: bool


class Stage:
    """What is asked of the containers: HEALTH as their HEALTHCHECK, ASKED as a service."""

    def __init__(self, pair: Pair, healthcheck: object, asked: Asked | None) -> None:
        self._pair = pair
        self._health = _often(healthcheck)
        self._asked = asked
        self._patience = _patience(self._health) if self._health is not None or asked is not None else _SETTLES

    def watched(self, *, read_only: bool) -> Watched:
        """Run both images at once; raise NotStartedError when one does not start.

        As soon as the original is good, the other has only so much longer. Where the original is not good soon on a
        READ_ONLY root, it is also run on one that it can write: what is never good takes its whole time once.
        """
        with ExitStack() as stack:
            original = self._begun(stack, self._pair.original, read_only=read_only)
            slimmed = self._begun(stack, self._pair.slimmed, read_only=read_only)
            writing: _Watch | None = None
            extended: float | None = None
            while True:
                slimmed.look(than=original)
                original.look(than=writing)
                if writing is not None:
                    writing.look()
                elif read_only and original.is_late:
                    writing = self._begun(stack, self._pair.original, read_only=False)
                if original.is_over and not original.is_good and writing is not None and writing.is_good:
                    break
                are_over = original.is_over and slimmed.is_over
                if are_over and (original.is_good or writing is None or writing.is_over):
                    # On a busy machine one may be a moment behind the other.
                    extended = extended or time.monotonic() + _SETTLES
                    if original.outcome.facts == slimmed.outcome.facts or time.monotonic() >= extended:
                        break
                time.sleep(0.5)
            original.hear()
            slimmed.hear()
        # One that ended soon has shown only that it does not do on this root.
        wants_to_write = not original.is_good and (writing is None or writing.is_good)
        return Watched(original.outcome, slimmed.outcome, wants_to_write)

    def _begun(self, stack: ExitStack, subject: Subject, *, read_only: bool) -> _Watch:
        container = stack.enter_context(self._pair.containers.started(subject.id, self._health, read_only=read_only))
        return _Watch(container, self._patience, self._asked, wants_health=self._health is not None)


class _Watch:
    """A container that is watched."""

    def __init__(self, container: Started, patience: float, asked: Asked | None, *, wants_health: bool) -> None:
        self.outcome = Outcome()
        self.is_over = False
        self._container = container
        self._asked = asked
        self._wants_health = wants_health
        self._began = time.monotonic()
        self._deadline = self._began + patience
        self._needed: float | None = None
        """Seconds after which it was as good as it gets."""

    @property
    def is_good(self) -> bool:
        """Whether nothing more could be wanted of it."""
        outcome = self.outcome
        if outcome.status is not None:
            return outcome.status == 0
        return outcome.health != "unhealthy" and (self._asked is None or outcome.answer.startswith("answers"))

    @property
    def is_late(self) -> bool:
        """Whether it runs, and should be good by now."""
        return self._needed is None and not self.is_good and time.monotonic() >= self._began + _LATE

    @property
    def patience(self) -> float | None:
        """When another of its kind is given up, once this one is good."""
        if self._needed is None or not self.is_good:
            return None
        return self._began + self._needed + max(_LONGER * self._needed, _LATE)

    def look(self, than: _Watch | None = None) -> None:
        """Note what it is now; it may take only so much longer THAN another that is good."""
        if than is not None and than.patience is not None:
            self._deadline = min(self._deadline, than.patience)
        # The clock first: the last look is after the deadline.
        is_late = time.monotonic() >= self._deadline
        if not self._settles():
            self._needed = None
        elif self._needed is None:
            self._needed = time.monotonic() - self._began
        self.is_over = is_late or self._needed is not None

    def _settles(self) -> bool:
        """Note what the container is now; say whether it will not get any better."""
        state, outcome = self._container.state(), self.outcome
        if not state["Running"]:
            outcome.status, outcome.health, outcome.answer = int(state["ExitCode"]), "", ""
            return True
        if self._wants_health:
            is_healthy = (state.get("Health") or {}).get("Status") == "healthy"
            outcome.health = "healthy" if is_healthy else "unhealthy"
        if self._asked is not None and not outcome.answer.startswith("answers"):
            outcome.answer = self._asked.ask(self._container)
        return (self._wants_health or self._asked is not None) and self.is_good

    def hear(self) -> None:
        """Note what it said."""
        self.outcome.said = self._container.said()


def _often(health: object) -> dict[str, Any] | None:
    """Give a HEALTHCHECK as the engine's API has it, asked often; None where there is none."""
    if not isinstance(health, dict) or (health.get("Test") or ["NONE"])[0] == "NONE":
        return None
    return {**_DEFAULTS, **{key: value for key, value in health.items() if value}, "Interval": _OFTEN * _SECOND}


def _patience(health: Mapping[str, Any] | None) -> float:
    """Give the seconds in which a container must become healthy."""
    if health is None:
        return 60.0
    seconds = (health["StartPeriod"] + health["Retries"] * (_DEFAULTS["Interval"] + health["Timeout"])) / _SECOND
    return float(min(seconds, _LONGEST))
