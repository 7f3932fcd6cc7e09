"""Images under examination: put into the engine under a name of this run's own, compared, and gone afterwards."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimmer import checks
from slimmer.checks import Subject
from slimmer.errors import SlimmerError
from slimmer.reference import Tag
from slimmer.transports import Writable, docker_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimmer.checks import Examined
    from slimmer.engine import Completed
    from slimmer.reading import Opened
    from slimmer.session import Session
    from slimmer.transports import Loaded

REPOSITORY = "slimmer-trial"
"""Repository of the names that images have until they are proved."""


class Trials:
    """The images that a run put into the engine."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._run = f"{os.getpid()}-{time.time_ns():x}"
        self._tags: list[Tag] = []

    @classmethod
    @contextmanager
    def of(cls, session: Session) -> Iterator[Trials]:
        """Give the trials of a run. At the end each loses its name, and is gone unless it has got another.

        A name that cannot be taken away is told, and hides neither what went wrong before nor that all went right.
        """
        trials = cls(session)
        try:
            yield trials
        finally:
            for tag in trials._tags:
                try:
                    session.engine.discard(str(tag))
                except SlimmerError as error:
                    session.progress.note(str(error))

    def load(self, image: Writable, role: str) -> Loaded:
        """Put an image into the engine; ROLE is what it is to this run, and part of its name."""
        tag = Tag(REPOSITORY, f"{self._run}-{role}")
        self._tags.append(tag)
        return docker_daemon.load(image, tag, self.session)

    def original(self, found: Opened) -> Subject:
        """Give the source as the engine has it, or put it there: checks compare with it."""
        config, layers, engine_id = found.image.config, found.image.layers, found.source.engine_id
        if engine_id is not None:
            return Subject(engine_id, found.rootfs, config, self.session.engine.inspect(engine_id))
        writable = Writable(
            lambda: [(layer.content.size, layer.content.chunks()) for layer in layers],
            lambda _: config,
            sum(layer.content.size for layer in layers),
        )
        loaded = self.load(writable, "original")
        return Subject(loaded.id, found.rootfs, config, loaded.inspected)

    def examine(self, original: Subject, slimmed: Subject) -> tuple[Examined, ...]:
        """Give what every check found, each command in a container of its own."""
        numbers = itertools.count(1)

        def run_in(subject: Subject, command: Sequence[str], time_limit: int) -> Completed:
            name = f"slimmer-{self._run}-{next(numbers)}"
            return self.session.engine.run(subject.id, command, name, self._run, time_limit)

        return checks.examine(checks.Pair(original, slimmed, run_in), self.session.progress)
