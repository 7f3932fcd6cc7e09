"""One image with some of its changes put back, again and again, to see which of them make its checks fail.

Such an image is a small layer over one that the engine has, so it is there in seconds, however large the whole is. It
is good for checks of what a program does, not of how the engine stored it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.layer_writer import layer_chunks, layer_size
from slimmer.naming import CREATED_BY
from slimmer.putback import laid_over, put_back
from slimmer.transports import Writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.checks import Subject
    from slimmer.plan import Plan
    from slimmer.rootfs import Rootfs
    from slimmer.trial import Trial, Trials, Wanted


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An image in which PATHS are put back."""

    paths: frozenset[str]
    plan: Plan
    trial: Trial


class Attempts:
    """The images that are made of one image."""

    def __init__(self, trials: Trials, original: Subject, wanted: Wanted, plan: Plan, trial: Trial) -> None:
        self._trials = trials
        self._original = original
        self._wanted = wanted
        self._failed = [_Attempt(frozenset(), plan, trial)]

    @classmethod
    @contextmanager
    def of(cls, trials: Trials, original: Subject, wanted: Wanted, plan: Plan, trial: Trial) -> Iterator[Attempts]:
        """Give the attempts on an image, which stays; at the end they are gone."""
        attempts = cls(trials, original, wanted, plan, trial)
        try:
            yield attempts
        finally:
            for attempt in reversed(attempts._failed[1:]):  # an image before those that it lies upon
                trials.drop(attempt.trial)

    def passes(self, paths: frozenset[str], check: str) -> bool:
        """Make an image in which PATHS are as they were, and say whether a check passes in it.

        What a command does in the original is not asked again.
        """
        below = max((one for one in self._failed if one.paths <= paths), key=lambda one: len(one.paths))
        plan = put_back(below.plan, paths)
        attempt = _Attempt(paths, plan, self._laid_over(below, plan))
        try:
            slimmed = attempt.trial.subject(plan.result)
            has_passed = self._trials.passes(check, self._original, slimmed, plan, self._wanted, recalls=True)
        except BaseException:
            self._trials.drop(attempt.trial)
            raise
        if has_passed:
            self._trials.drop(attempt.trial)
        else:
            # What is put back beside the same changes is laid over this one.
            self._failed.append(attempt)
        return has_passed

    def passes_in_original(self, check: str) -> bool:
        """Say whether a check passes with the original in the place of the slimmed image."""
        plan = self._failed[0].plan
        return self._trials.passes(check, self._original, self._original, plan, self._wanted, recalls=False)

    def _laid_over(self, below: _Attempt, plan: Plan) -> Trial:
        layer = laid_over(below.plan.result, plan.result)
        return self._trials.load(_writable(layer, below.trial), "attempt", below.trial)


def _writable(layer: Rootfs, below: Trial) -> Writable:
    size = layer_size(layer.as_layer())
    config = below.loaded.config
    return Writable(
        lambda: [(size, layer_chunks(layer.as_layer()))],
        lambda diff_ids: config.with_layer(diff_ids[0], f"{CREATED_BY}: an attempt"),
        size,
    )
