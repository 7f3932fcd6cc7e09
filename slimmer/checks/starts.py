"""The image's own entrypoint and command start: they stay up, or end, as the original's do.

With a HEALTHCHECK the container becomes healthy, if the original's does; with a path that the person named, the port
that EXPOSE names answers it with the same status. Both images run at once, shut in, so a service that waits for a
database waits in both. The HEALTHCHECK is asked every two seconds, whatever its own interval.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer.checks import FAILED, PASSED, SKIPPED, Verdict
from slimmer.checks.answers import Asked, asker
from slimmer.containers import NotStartedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.checks import Pair, Subject
    from slimmer.containers import Started

_SETTLES = 5
_OFTEN = 2
_SECOND = 10**9
_DEFAULTS = {"Interval": 30 * _SECOND, "Timeout": 30 * _SECOND, "Retries": 3, "StartPeriod": 0}  # Dockerfile reference
_LONGEST = 120
_NOT_STARTED = -1
_UNASKED = "; no path was asked for: there is no port in EXPOSE, or neither Python nor curl in the image"


@dataclass(slots=True)
class _Outcome:
    """What became of a container: `status` when it ended, `health` while it runs, and how it answered."""

    status: int | None = None
    health: str = ""
    answer: str = ""
    said: str = ""

    @property
    def facts(self) -> tuple[int | None, str, str]:
        return self.status, self.health, self.answer

    def __str__(self) -> str:
        state = "stays up" if self.status is None else f"ends with exit status {self.status}"
        state = "does not start" if self.status == _NOT_STARTED else state
        more = [part for part in (self.health, self.answer) if part]
        return ", ".join([state, *more])


class StartsCheck:
    """The check."""

    name = "starts"
    summary = "the image's own command stays up, becomes healthy and answers, as the original's does"

    def examine(self, pair: Pair) -> Verdict:
        """Start both images and watch them for as long as their HEALTHCHECK needs, five seconds without one."""
        execution = pair.original.config.execution
        if not execution.get("Entrypoint") and not execution.get("Cmd"):
            return Verdict(SKIPPED, reason="the image has neither an entrypoint nor a command")
        for read_only in (True, False):
            original, slimmed = _started(pair, read_only=read_only)
            if original.status in {None, 0} and original.health != "unhealthy":
                break
        shown = str(original), str(slimmed)
        if original.facts != slimmed.facts:
            last = slimmed.said.strip().splitlines()[-1:]
            words = f": {last[0].strip()[:200]}" if last else ""
            return Verdict(FAILED, *shown, f"the original {original}, the slimmed image {slimmed}{words}")
        if original.status == _NOT_STARTED:
            return Verdict(SKIPPED, *shown, f"it does not start in the original either: {original.said}")
        unasked = "" if pair.http_path is None or original.answer or original.status is not None else _UNASKED
        return Verdict(PASSED, *shown, f"the container {slimmed}, as the original's{unasked}", 1)


def _started(pair: Pair, *, read_only: bool) -> tuple[_Outcome, _Outcome]:
    """Run both images; of one that does not start, each is tried by itself."""
    try:
        return _watched(pair, read_only=read_only)
    except NotStartedError:
        outcomes = [_alone(pair, subject, read_only=read_only) for subject in (pair.original, pair.slimmed)]
        return outcomes[0], outcomes[1]


def _alone(pair: Pair, subject: Subject, *, read_only: bool) -> _Outcome:
    try:
        with pair.containers.started(subject.id, None, read_only=read_only):
            return _Outcome()
    except NotStartedError as error:
        return _Outcome(_NOT_STARTED, said=str(error))


def _watched(pair: Pair, *, read_only: bool) -> tuple[_Outcome, _Outcome]:
    """Run both images until both have an outcome, or their time is over."""
    execution = pair.original.config.execution
    health = _often(execution.get("Healthcheck"))
    asked = asker(pair.original.rootfs, pair.original.config, pair.http_path)
    deadline = time.monotonic() + (_patience(health) if health is not None or asked is not None else _SETTLES)
    with ExitStack() as stack:
        started = [
            stack.enter_context(pair.containers.started(subject.id, health, read_only=read_only))
            for subject in (pair.original, pair.slimmed)
        ]
        outcomes = [_Outcome() for _ in started]
        is_extended = False
        while True:
            # Looked at before the clock: the last look is after the deadline.
            is_over = time.monotonic() >= deadline
            settled = [
                _look(*each, asked, wants_health=health is not None) for each in zip(started, outcomes, strict=True)
            ]
            if all(settled) or (is_over and (is_extended or not _differ(outcomes))):
                break
            if is_over:
                deadline, is_extended = deadline + _SETTLES, True
            time.sleep(0.5)
        for container, outcome in zip(started, outcomes, strict=True):
            outcome.said = container.said()
    return outcomes[0], outcomes[1]


def _differ(outcomes: list[_Outcome]) -> bool:
    """Say whether one is where the other is not yet: on a busy machine it may take that a moment longer."""
    return outcomes[0].facts != outcomes[1].facts


def _look(container: Started, outcome: _Outcome, asked: Asked | None, *, wants_health: bool) -> bool:
    """Note what a container is now; say whether it will not get any better."""
    state = container.state()
    if not state["Running"]:
        outcome.status, outcome.health, outcome.answer = int(state["ExitCode"]), "", ""
        return True
    if wants_health:
        outcome.health = str((state.get("Health") or {}).get("Status") or "")
        outcome.health = "unhealthy" if outcome.health != "healthy" else outcome.health
    if asked is not None and not outcome.answer.startswith("answers"):
        outcome.answer = asked.ask(container)
    is_healthy = wants_health and outcome.health == "healthy"
    is_answering = asked is not None and outcome.answer.startswith("answers")
    return (is_healthy or is_answering) and is_healthy == wants_health and is_answering == (asked is not None)


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


check = StartsCheck()
