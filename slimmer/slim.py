"""The whole job in one function.

It knows no format: it asks the parts in turn, and nothing is tagged before the last has agreed.
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from slimmer import __version__, checks, interrupts, rules
from slimmer.checks import FAILED, Pair, Subject
from slimmer.debug import save_debug_files
from slimmer.elf.binutils import find_strip
from slimmer.engine import Engine
from slimmer.errors import CheckError, SlimmerError, SourceError, UsageError
from slimmer.layer import read_layer
from slimmer.naming import CREATED_BY, refuse_to_take, result_tag
from slimmer.plan import Scene
from slimmer.propose import propose
from slimmer.reference import Tag
from slimmer.report import Estimate, Report, ResultFacts, SourceFacts
from slimmer.rootfs import flatten
from slimmer.settings import Settings, StripWith
from slimmer.transports import docker_archive, docker_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from slimmer.checks import Examined
    from slimmer.engine import Completed
    from slimmer.image import Config, Image
    from slimmer.plan import Plan, Rule
    from slimmer.progress import Progress
    from slimmer.transports.docker_daemon import Source

TRIAL_REPOSITORY = "slimmer-trial"
"""Repository of the name that a result has until it is proved."""

LABELS = ("slimmer.source", "slimmer.version", "slimmer.rules")
"""Labels of a result: the ID of the image it was made from, by which version, with which rules."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for."""

    reference: str
    tag: str | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dry_run: bool = False
    verify: bool = True
    settings: Settings = field(default_factory=Settings)
    debug_dir: Path | None = None
    """Where to save what is stripped, as build-id debug files; not in a dry run."""


class CheckFailedError(CheckError):
    """A check failed; the report says what was done until then."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def slim(options: Options, progress: Progress) -> Report:
    """Slim the image that OPTIONS name, prove it and tag it; or, in a dry run, say to the byte what that would give.

    Raises a SlimmerError for whatever goes wrong: CheckFailedError, with the report, when the result is not proved.
    Whatever is raised, nothing was tagged, and the trial image and its containers are gone.
    """
    chosen = rules.choose(options.only, options.skip)
    if options.settings.strip_with is StripWith.BINUTILS and find_strip() is None:
        raise UsageError(
            "--strip-with binutils needs a strip program in PATH; install binutils, or leave the option out"
        )
    # An image without a name can be estimated too.
    tag = None if options.dry_run and options.tag is None else result_tag(options.reference, options.tag)
    with Engine.connect() as engine:
        return _slim(engine, options, chosen, tag, progress)


def _slim(engine: Engine, options: Options, chosen: Sequence[Rule], tag: Tag | None, progress: Progress) -> Report:
    source = docker_daemon.find(engine, options.reference)
    if tag is not None and not options.dry_run:
        refuse_to_take(engine, tag, source, is_default=options.tag is None)
    laps = _Laps()
    with docker_daemon.read(engine, source, progress) as image:
        rootfs = flatten((layer.diff_id, read_layer(layer.content, layer.diff_id)) for layer in image.layers)
        laps.end("read")
        flattened_size = rootfs.size()
        if not flattened_size:
            raise SourceError(f"{options.reference} holds no files; there is nothing to slim")
        planned, links = propose(Scene(rootfs, image.config, options.settings, progress), chosen, options.exclude)
        estimate = Estimate(planned.result.size(), planned.layer_size())
        laps.end("plan")
        facts = SourceFacts(
            options.reference, source.id, source.size, flattened_size, source.layers, image.config.platform
        )
        report = Report(facts, planned, links, estimate, dry_run=options.dry_run, unverified=not options.verify)
        if options.dry_run or tag is None:
            return replace(report, timings=laps.timings)
        trial = Tag(TRIAL_REPOSITORY, f"{os.getpid()}-{time.time_ns():x}")
        with _discarded(engine, trial, progress):
            result, slimmed = _write(engine, image, source, planned, estimate, tag, trial, progress)
            laps.end("write")
            if options.verify:
                original = Subject(source.id, rootfs, image.config, engine.inspect(source.id))
                report = replace(report, checks=_examined(engine, original, slimmed, trial.tag, progress))
                laps.end("verify")
            report = replace(report, timings=laps.timings)
            if failed := [check for check in report.checks if check.verdict.status == FAILED]:
                raise CheckFailedError(
                    f"check {failed[0].name} failed: {failed[0].verdict.reason}; nothing was tagged", report
                )
            if options.debug_dir is not None:
                save_debug_files(planned, options.debug_dir, progress)
            # Minutes have passed since the name was looked at.
            refuse_to_take(engine, tag, source, is_default=options.tag is None)
            # From here on the answer is yes: an interrupt that came now would have to say what is not so.
            interrupts.ignore()
            engine.tag(result.id, tag.repository, tag.tag)
            return replace(report, result=result)


def _write(
    engine: Engine, image: Image, source: Source, planned: Plan, estimate: Estimate, tag: Tag, trial: Tag,
    progress: Progress,
) -> tuple[ResultFacts, Subject]:  # fmt: skip
    labels = dict(zip(LABELS, (source.id, __version__, ",".join(planned.rules)), strict=True))

    def configure(diff_id: str) -> Config:
        return image.config.flattened(
            diff_id, f"{CREATED_BY} (slimmer {__version__}, rules {labels[LABELS[2]]})", labels
        )

    archive = docker_archive.Archive(planned.carry_out(), estimate.layer_size, configure, str(trial))
    inspected = docker_daemon.write(engine, archive, estimate.layer_size, progress)
    if archive.config is None:
        raise SlimmerError("the result has no configuration; please report this")
    (diff_id,) = archive.config.diff_ids
    result = ResultFacts(str(tag), str(inspected["Id"]), estimate.size, estimate.layer_size, diff_id)
    return result, Subject(result.id, planned.result, archive.config, inspected)


def _examined(
    engine: Engine, original: Subject, slimmed: Subject, run: str, progress: Progress
) -> tuple[Examined, ...]:
    """Give what every check found, each command in a container of its own."""
    numbers = itertools.count(1)

    def run_in(subject: Subject, command: Sequence[str], time_limit: int) -> Completed:
        return engine.run(subject.id, command, f"slimmer-{run}-{next(numbers)}", run, time_limit)

    return checks.examine(Pair(original, slimmed, run_in), progress)


@contextmanager
def _discarded(engine: Engine, trial: Tag, progress: Progress) -> Iterator[None]:
    """Take the trial's name away at the end, and the image with it unless it has got another.

    A name that cannot be taken away is told, and hides neither what went wrong before nor that all went right.
    """
    try:
        yield
    finally:
        try:
            engine.discard(str(trial))
        except SlimmerError as error:
            progress.note(str(error))


class _Laps:
    """How long each part took, from the end of the one before it."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.timings[name] = now - self._last
        self._last = now
