"""The image's own entrypoint and command start: they stay up, or end, as the original's do.

With a HEALTHCHECK the container becomes healthy, if the original's does; with a path that the person named, the port
that EXPOSE names answers it with the same status. Both images run at once, shut in, so a service that waits for a
database waits in both. The HEALTHCHECK is asked every two seconds, whatever its own interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.checks import FAILED, PASSED, SKIPPED, Verdict
from slimmer.checks.answers import asker
from slimmer.checks.watching import NOT_STARTED, Outcome, Stage, Watched
from slimmer.containers import NotStartedError

if TYPE_CHECKING:
    from slimmer.checks import Pair, Subject

_UNASKED = "; no path was asked for: there is no port in EXPOSE, or neither Python nor curl in the image"


class StartsCheck:
    """The check."""

    name = "starts"
    summary = "the image's own command stays up, becomes healthy and answers, as the original's does"

    def examine(self, pair: Pair) -> Verdict:
        """Start both images and watch them for as long as their HEALTHCHECK needs, five seconds without one."""
        execution = pair.original.config.execution
        if not execution.get("Entrypoint") and not execution.get("Cmd"):
            return Verdict(SKIPPED, reason="the image has neither an entrypoint nor a command")
        stage = Stage(
            pair, execution.get("Healthcheck"), asker(pair.original.rootfs, pair.original.config, pair.http_path)
        )
        watched = _watched(stage, pair, read_only=True)
        if watched.wants_to_write:
            watched = _watched(stage, pair, read_only=False)
        original, slimmed = watched.original, watched.slimmed
        shown = str(original), str(slimmed)
        if original.facts != slimmed.facts:
            last = slimmed.said.strip().splitlines()[-1:]
            words = f": {last[0].strip()[:200]}" if last else ""
            return Verdict(FAILED, *shown, f"the original {original}, the slimmed image {slimmed}{words}")
        if original.status == NOT_STARTED:
            return Verdict(SKIPPED, *shown, f"it does not start in the original either: {original.said}")
        unasked = "" if pair.http_path is None or original.answer or original.status is not None else _UNASKED
        return Verdict(PASSED, *shown, f"the container {slimmed}, as the original's{unasked}", 1)


def _watched(stage: Stage, pair: Pair, *, read_only: bool) -> Watched:
    """Run both images; of one that does not start, each is tried by itself."""
    try:
        return stage.watched(read_only=read_only)
    except NotStartedError:
        outcomes = [_alone(pair, subject, read_only=read_only) for subject in (pair.original, pair.slimmed)]
        return Watched(outcomes[0], outcomes[1], wants_to_write=outcomes[0].status is not None)


def _alone(pair: Pair, subject: Subject, *, read_only: bool) -> Outcome:
    try:
        with pair.containers.started(subject.id, None, read_only=read_only):
            return Outcome()
    except NotStartedError as error:
        return Outcome(NOT_STARTED, said=str(error))


check = StartsCheck()
