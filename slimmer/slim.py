"""The whole job in one function.

It knows no format: it asks the parts in turn, and nothing is tagged or written before the last has agreed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from slimmer import __version__, rules, transports
from slimmer.checks import FAILED, Subject
from slimmer.debug import save_debug_files
from slimmer.elf.binutils import find_strip
from slimmer.errors import CheckError, SlimmerError, UsageError
from slimmer.metadata.gpu_targets import labels as gpu_labels
from slimmer.naming import CREATED_BY
from slimmer.plan import Scene
from slimmer.propose import propose
from slimmer.reading import opened
from slimmer.reference import Tag
from slimmer.report import Estimate, Report, ResultFacts, SourceFacts
from slimmer.session import Session
from slimmer.settings import Settings, StripWith
from slimmer.transports import Wish, Writable
from slimmer.trial import Trials

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slimmer.formats.compression import Compression
    from slimmer.image import Config, Digest
    from slimmer.plan import Plan, Rule
    from slimmer.platforms import Platform
    from slimmer.progress import Progress
    from slimmer.reading import Opened
    from slimmer.transports import Source, Target

LABELS = ("slimmer.source", "slimmer.version", "slimmer.rules")
"""Labels of a result: the ID of the image it was made from, by which version, with which rules.

Those of an image whose GPU code was changed are in metadata/gpu_targets.py."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for."""

    reference: str
    tag: str | None = None
    output: str = f"{transports.DEFAULT}:"
    compression: Compression | None = None
    platform: Platform | None = None
    only: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dry_run: bool = False
    verify: bool = True
    settings: Settings = field(default_factory=Settings)
    debug_dir: Path | None = None
    """Where to save what is stripped, as build-id debug files; not in a dry run."""
    created: str | None = None
    """The date that the result bears, as RFC 3339 has it; None for the source's own."""


class CheckFailedError(CheckError):
    """A check failed; the report says what was done until then."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def slim(options: Options, progress: Progress) -> Report:
    """Slim the image that OPTIONS name, prove it and put it where they say; in a dry run say what that would give.

    Raises a SlimmerError for whatever goes wrong: CheckFailedError, with the report, when the result is not proved.
    Whatever is raised, nothing was tagged or written, and the trial image and its containers are gone.
    """
    chosen = rules.choose(options.only, options.also, options.skip)
    if options.settings.strip_with is StripWith.BINUTILS and find_strip() is None:
        raise UsageError(
            "--strip-with binutils needs a strip program in PATH; install binutils, or leave the option out"
        )
    place = transports.target_place(options.output)
    if options.tag is not None:
        Tag.parse(options.tag)  # before any engine is asked
    with Session(progress, options.platform) as session:
        source = transports.source(options.reference, session)
        # An image without a name can be estimated too.
        is_named = not options.dry_run or options.tag is not None
        wish = Wish(options.tag, options.compression, source)
        target = transports.discover()[place.transport].target(place.where, wish, session) if is_named else None
        if target is not None and not options.dry_run:
            target.check(source)
        return _slim(session, options, source, chosen, target)


def _slim(session: Session, options: Options, source: Source, chosen: Sequence[Rule], target: Target | None) -> Report:
    laps = _Laps()
    found = opened(source, session)
    config = found.image.config
    laps.end("read")
    planned, links = propose(Scene(found.rootfs, config, options.settings, session.progress), chosen, options.exclude)
    laps.end("plan")
    facts = SourceFacts(
        options.reference, found.id, found.size, found.flattened_size, len(found.image.layers), config.platform
    )
    estimate = Estimate(planned.result.size(), planned.layer_size())
    report = Report(facts, planned, links, estimate, dry_run=options.dry_run, unverified=not options.verify)
    if options.dry_run or target is None:
        return replace(report, timings=laps.timings)
    with Trials.of(session) as trials:
        return _carried_out(options, found, target, trials, report, laps)


def _carried_out(
    options: Options, found: Opened, target: Target, trials: Trials, report: Report, laps: _Laps
) -> Report:
    """Make the image, prove it and put it where it is to go; give the report of a whole run."""
    planned, estimate = report.plan, report.estimate
    writable = _writable(found.image.config, planned, estimate.layer_size, options)
    trial = trials.load(writable, "result") if options.verify or target.in_engine else None
    laps.end("write")
    if options.verify and trial is not None:
        slimmed = Subject(trial.id, planned.result, trial.config, trial.inspected)
        report = replace(report, checks=trials.examine(trials.original(found), slimmed))
        laps.end("verify")
    report = replace(report, timings=laps.timings)
    if failed := [check for check in report.checks if check.verdict.status == FAILED]:
        raise CheckFailedError(f"check {failed[0].name} failed: {failed[0].verdict.reason}; nothing was tagged", report)
    if options.debug_dir is not None:
        save_debug_files(planned, options.debug_dir, trials.session.progress)
    # Minutes have passed since the place was looked at.
    target.check(found.source)
    config = target.put(writable, trial)
    if trial is not None and trial.config != config:
        raise SlimmerError(f"{target.reference} is not the image that was proved; please report this")
    image_id = trial.id if trial is not None and target.in_engine else config.id
    (diff_id,) = config.diff_ids
    return replace(report, result=ResultFacts(target.reference, image_id, estimate.size, estimate.layer_size, diff_id))


def _writable(config: Config, planned: Plan, layer_size: int, options: Options) -> Writable:
    """Give the result as an image to write: one layer, and the source's configuration with what slimmer adds.

    The source is named by the digest of its configuration, not by what an engine calls it: that of a containerd image
    store goes by the manifest, and the same image would become another one there.
    """
    labels = dict(zip(LABELS, (config.id, __version__, ",".join(planned.rules)), strict=True))
    if any(change.rule == "gpu_code" for change in planned.changes):
        labels |= gpu_labels(planned.source, options.settings)
    created_by = f"{CREATED_BY} (slimmer {__version__}, rules {labels[LABELS[2]]})"

    def configure(diff_ids: tuple[Digest, ...]) -> Config:
        (diff_id,) = diff_ids
        return config.flattened(diff_id, created_by, labels, options.created)

    return Writable(lambda: [(layer_size, planned.carry_out())], configure, layer_size, is_one_layer=True)


class _Laps:
    """How long each part took, from the end of the one before it."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.timings[name] = now - self._last
        self._last = now
