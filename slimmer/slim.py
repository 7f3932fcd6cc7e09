"""The whole job in one function.

It knows no format: it asks the parts in turn, and nothing is tagged or written before the last has agreed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from slimmer import __version__, rules, transports
from slimmer.checks import FAILED, Subject
from slimmer.debug import save_debug_files
from slimmer.elf.binutils import find_strip
from slimmer.errors import CheckError, GateError, SlimmerError, UsageError
from slimmer.formats.compression import Compression, compressed
from slimmer.gates import Gates
from slimmer.naming import CREATED_BY
from slimmer.plan import Scene
from slimmer.progress import watched
from slimmer.propose import propose
from slimmer.reading import opened
from slimmer.reference import Tag
from slimmer.report import Estimate, Report, ResultFacts, SourceFacts
from slimmer.session import Session
from slimmer.settings import Settings, StripWith
from slimmer.transports import Wish, Writable
from slimmer.trial import Trials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slimmer.image import Config, Digest
    from slimmer.plan import Plan, Rule
    from slimmer.platforms import Platform
    from slimmer.progress import Progress
    from slimmer.reading import Opened
    from slimmer.transports import Source, Target

LABELS = ("slimmer.source", "slimmer.version", "slimmer.rules")
"""Labels of a result: the ID of the image it was made from, by which version, with which rules."""


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
    gates: Gates = field(default_factory=Gates)
    """What the result must come to; asked before anything is written, and again before anything is tagged."""
    compressed: bool = False
    """Whether to measure the compressed layer, also where nothing compresses it."""
    checks: tuple[Mapping[str, Any], ...] = ()
    """The `[[check]]` tables of a configuration file, as they are written there."""


class CheckFailedError(CheckError):
    """A check failed; the report says what was done until then."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class GateFailedError(GateError):
    """The result is not what the gates allow; the report says what it would have been."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def slim(options: Options, progress: Progress) -> Report:
    """Slim the image that OPTIONS name, prove it and put it where they say; in a dry run say what that would give.

    Raises a SlimmerError for whatever goes wrong: CheckFailedError, with the report, when the result is not proved,
    GateFailedError, with the report, when it is not what the gates allow.
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
    report = _through_gates(options, replace(report, timings=laps.timings))
    if options.dry_run or target is None:
        size = _compressed_size(options, planned, estimate, session) if options.compressed else None
        return replace(report, estimate=replace(estimate, compressed_size=size), timings=laps.timings)
    with Trials.of(session) as trials:
        return _carried_out(options, found, target, trials, report, laps)


def _carried_out(
    options: Options, found: Opened, target: Target, trials: Trials, report: Report, laps: _Laps
) -> Report:
    """Make the image, prove it and put it where it is to go; give the report of a whole run."""
    planned, estimate = report.plan, report.estimate
    writable = _writable(found.image.config, planned, estimate.layer_size, options.created)
    trial = trials.load(writable, "result") if options.verify or target.in_engine else None
    laps.end("write")
    if options.verify and trial is not None:
        slimmed = Subject(trial.id, planned.result, trial.config, trial.inspected)
        report = replace(report, checks=trials.examine(trials.original(found), slimmed))
        laps.end("verify")
    report = replace(report, timings=laps.timings)
    if failed := [check for check in report.checks if check.verdict.status == FAILED]:
        raise CheckFailedError(f"check {failed[0].name} failed: {failed[0].verdict.reason}; nothing was tagged", report)
    report = _through_gates(options, report)  # what a check had put back may be too much
    if options.debug_dir is not None:
        save_debug_files(planned, options.debug_dir, trials.session.progress)
    # Minutes have passed since the place was looked at.
    target.check(found.source)
    will_know = target.packs or (trial is not None and trial.compressed_size is not None)
    measure = options.compressed and not will_know
    measured = _compressed_size(options, planned, estimate, trials.session) if measure else None
    stored = target.put(writable, trial)
    config, compressed_size = stored.config, stored.compressed_size or measured
    if trial is not None and trial.config != config:
        raise SlimmerError(f"{target.reference} is not the image that was proved; please report this")
    image_id = trial.id if trial is not None and target.in_engine else config.id
    (diff_id,) = config.diff_ids
    sizes = estimate.size, estimate.layer_size, diff_id, compressed_size
    return replace(report, result=ResultFacts(target.reference, image_id, *sizes))


def _through_gates(options: Options, report: Report) -> Report:
    """Give the report with what the gates say of it; raise GateFailedError where one is shut."""
    report = replace(report, gates=options.gates.passages(report.source.size, report.estimate.size))
    shut = [passage.sentence for passage in report.gates if not passage.passed]
    if shut:
        raise GateFailedError(f"{'; '.join(shut)}; nothing was {'written' if options.dry_run else 'tagged'}", report)
    return report


def _compressed_size(options: Options, planned: Plan, estimate: Estimate, session: Session) -> int | None:
    """Give the bytes of the result's layer packed as the person said, None for not at all. Reads it, writes nothing."""
    if options.compression is Compression.NONE:
        return None
    chunks = watched(planned.carry_out(), session.progress, "compressing", estimate.layer_size)
    return sum(len(piece) for piece in compressed(chunks, options.compression or Compression.GZIP))


def _writable(config: Config, planned: Plan, layer_size: int, created: str | None) -> Writable:
    """Give the result as an image to write: one layer, and the source's configuration with what slimmer adds.

    The source is named by the digest of its configuration, not by what an engine calls it: that of a containerd image
    store goes by the manifest, and the same image would become another one there.
    """
    labels = dict(zip(LABELS, (config.id, __version__, ",".join(planned.rules)), strict=True))
    created_by = f"{CREATED_BY} (slimmer {__version__}, rules {labels[LABELS[2]]})"

    def configure(diff_ids: tuple[Digest, ...]) -> Config:
        (diff_id,) = diff_ids
        return config.flattened(diff_id, created_by, labels, created)

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
