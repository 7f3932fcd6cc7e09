"""Images under examination: put into the engine under a name of this run's own, compared, and gone afterwards."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer import checks
from slimmer.checks import FAILED, Pair, Stored, Subject
from slimmer.checks.command import CommandCheck
from slimmer.containers import Containers, ImageGoneError, Recalling, remove_left
from slimmer.errors import DestinationError, SlimmerError, SourceError
from slimmer.formats import overlay2, spool
from slimmer.reference import Tag
from slimmer.runs import Run
from slimmer.transports import Writable, docker_daemon
from slimmer.transports.loading import load, load_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.checks import Examined
    from slimmer.checks.command import CommandSpec
    from slimmer.engine import Engine
    from slimmer.plan import Plan
    from slimmer.reading import Opened
    from slimmer.rootfs import Rootfs
    from slimmer.session import Session
    from slimmer.transports import Loaded

REPOSITORY = "slimmer-trial"
"""Repository of the names that images have until they are proved."""

_KEPT = "kept-"


@dataclass(frozen=True, slots=True)
class Trial:
    """An image in the engine that is not proved yet."""

    loaded: Loaded
    tag: Tag

    def subject(self, rootfs: Rootfs) -> Subject:
        """Give it for an examination; ROOTFS is what is in it."""
        return Subject(self.loaded.id, rootfs, self.loaded.config, self.loaded.inspected)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person wants checked, beside what always is."""

    commands: tuple[CommandSpec, ...] = ()
    http_path: str | None = None


class Trials:
    """The images that a run put into the engine."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._run = Run.this()
        self._numbers = itertools.count(1)
        self._tags: list[Tag] = []
        self._original: Subject | None = None
        self._containers: Containers | None = None
        self._has_looked = False

    @classmethod
    @contextmanager
    def of(cls, session: Session) -> Iterator[Trials]:
        """Give the trials of a run; what runs that are over left in the engine is removed first.

        At the end each loses its name, and is gone unless it has got another. A name that cannot be taken away is told,
        and hides neither what went wrong before nor that all went right.
        """
        trials = cls(session)
        try:
            yield trials
        finally:
            if trials._tags:
                session.engine.tidy(trials._drop_all)
        if trials._has_looked:
            # An engine ends what a killed run had asked for, so it may have put it there since.
            session.engine.tidy(trials._remove_left_behind)

    def load(self, image: Writable, role: str, below: Trial | None = None) -> Trial:
        """Put an image into the engine; ROLE is what it is to this run, and part of its name.

        With BELOW the layers of IMAGE lie over those of that trial.
        """
        if not self._has_looked:
            self._remove_left_behind()
        tag = Tag(REPOSITORY, f"{self._run}-{next(self._numbers)}-{role}")
        self._tags.append(tag)
        if below is None:
            return Trial(load(image, tag, self.session), tag)
        return Trial(load_over(below.loaded, image, tag, self.session), tag)

    def require_room(self, size: int) -> None:
        """Raise DestinationError when a trial of SIZE bytes, which the checks read back, does not fit where it goes.

        Nothing is kept of what can be read in the engine's directory.
        """
        root = overlay2.local_root(self.session.engine.info, self.session.engine.where)
        if not isinstance(root, Path):
            spool.require_room(size, "reading the result back to check it takes", DestinationError)

    def _remove_left_behind(self) -> None:
        self._has_looked = True
        for name in remove_left_behind(self.session.engine):
            self.session.progress.note(f"removed {name}, which a run that was killed left in the engine")

    def drop(self, trial: Trial) -> None:
        """Take a trial's name away; nobody needs the image any more."""
        self._drop(trial.tag)

    def _drop(self, tag: Tag) -> None:
        self._tags.remove(tag)
        engine = self.session.engine
        engine.tidy(lambda: engine.discard(str(tag)))

    def _drop_all(self) -> None:
        for tag in reversed(list(self._tags)):  # an image before one that it lies upon
            self._drop(tag)

    def keep(self, trial: Trial) -> str:
        """Give a trial a name that stays, and give that."""
        tag = Tag(REPOSITORY, f"{_KEPT}{self._run}")
        self.session.engine.tag(trial.loaded.id, tag.repository, tag.tag)
        return str(tag)

    def original(self, found: Opened) -> Subject:
        """Give the source as the engine has it, or put it there, once: checks compare with it."""
        if self._original is None:
            self._original = self._found(found)
        return self._original

    def _found(self, found: Opened) -> Subject:
        config = found.config
        if found.original is None:
            inspected = self.session.engine.find(found.id)
            if inspected is None:
                raise _gone(SourceError, "the source image", found.id)
            return Subject(found.id, found.rootfs, config, inspected)
        layers = found.original.layers
        writable = Writable(
            lambda: [(layer.content.size, layer.content.chunks()) for layer in layers],
            lambda _: config,
            sum(layer.content.size for layer in layers),
        )
        loaded = self.load(writable, "original").loaded
        return Subject(loaded.id, found.rootfs, config, loaded.inspected)

    def examine(self, original: Subject, slimmed: Subject, plan: Plan, wanted: Wanted) -> tuple[Examined, ...]:
        """Give what every check found, each command in a container of its own."""
        self._containers = Recalling(self.session.engine, self._run, original.id)
        return self._examined(self._pair(original, slimmed, plan, wanted, self._containers), wanted)

    def passes(
        self, check: str, original: Subject, slimmed: Subject, plan: Plan, wanted: Wanted, *, recalls: bool
    ) -> bool:
        """Say whether the check of this name passes.

        With RECALLS a command is run in the slimmed image only, where the last examination of all ran it in the
        original.
        """
        recalling = self._containers if recalls else None
        containers = recalling or Containers(self.session.engine, self._run)
        found = self._examined(self._pair(original, slimmed, plan, wanted, containers), wanted, check)
        return all(one.verdict.status != FAILED for one in found)

    def _pair(self, original: Subject, slimmed: Subject, plan: Plan, wanted: Wanted, containers: Containers) -> Pair:
        return Pair(original, slimmed, plan, containers, lambda: self._stored(slimmed), wanted.http_path)

    def _examined(self, pair: Pair, wanted: Wanted, only: str | None = None) -> tuple[Examined, ...]:
        try:
            return checks.examine(pair, self.session.progress, [CommandCheck(spec) for spec in wanted.commands], only)
        except ImageGoneError as error:
            if error.image_id == pair.original.id:
                raise _gone(SourceError, "the source image", error.image_id) from error
            raise _gone(DestinationError, "the trial image", error.image_id) from error

    def _stored(self, subject: Subject) -> Stored:
        """Give an image as the engine has it now, and the directory of its one layer where it is within reach."""
        session = self.session
        image = docker_daemon.Source.of(subject.inspected, subject.id, session).read()
        root = overlay2.local_root(session.engine.info, session.engine.where)
        upper = ((subject.inspected.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
        if not isinstance(root, Path) or not upper or not Path(upper).is_relative_to(root):
            return Stored(image, None)
        return Stored(image, Path(upper))


def _gone(kind: type[SlimmerError], what: str, image_id: str) -> SlimmerError:
    return kind(f"{what} {image_id} was removed from the engine while slimmer worked; nothing was tagged")


def remove_left_behind(engine: Engine) -> list[str]:
    """Remove the containers and the trial images of runs that are over, and give what they were called."""
    removed = [f"the container {name}" for name in remove_left(engine)]
    for name in engine.names(REPOSITORY):
        run = Run.parse(Tag.parse(name).tag)
        if run is not None and run.is_over():
            engine.discard(name)
            removed.append(f"the image {name}")
    return removed
