"""The whole job in one function.

It knows no format: it asks the parts in turn, and nothing is tagged or written before the last has agreed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from slimmer import __version__, rules, temporary, transports
from slimmer.debug import save_debug_files
from slimmer.elf.binutils import find_strip
from slimmer.elf.work.workshop import Workshop
from slimmer.errors import CheckError, GateError, SlimmerError, UsageError
from slimmer.formats.compression import Compression, compressed
from slimmer.gates import Gates
from slimmer.healing import failures, healed
from slimmer.laboratory import Laboratory, Made
from slimmer.metadata.gpu_targets import labels as gpu_labels
from slimmer.naming import CREATED_BY, SOURCE_LABEL
from slimmer.plan import Scene
from slimmer.progress import watched
from slimmer.propose import foresee, linked, propose
from slimmer.reading import opened
from slimmer.reference import Tag
from slimmer.report import Estimate, Report, Restored, ResultFacts, SourceFacts
from slimmer.rootfs import Rootfs
from slimmer.session import Session
from slimmer.settings import Settings, StripWith
from slimmer.transports import Wish, Writable
from slimmer.trial import Trials, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slimmer.content import Content
    from slimmer.image import Config, Digest
    from slimmer.plan import Plan, Rule
    from slimmer.platforms import Platform
    from slimmer.progress import Progress
    from slimmer.propose import Links
    from slimmer.reading import Opened
    from slimmer.transports import Source, Target

GPU_CODE = "gpu_code"
LABELS = (SOURCE_LABEL, "slimmer.version", "slimmer.rules")
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
    wanted: Wanted = field(default_factory=Wanted)
    keep_trial: bool = False
    """Whether an image that did not pass stays in the engine, under a name that the error says."""
    settings: Settings = field(default_factory=Settings)
    debug_dir: Path | None = None
    """Where to save what is stripped, as build-id debug files; not in a dry run."""
    created: str | None = None
    """The date that the result bears, as RFC 3339 has it; None for the source's own."""
    gates: Gates = field(default_factory=Gates)
    """What the result must come to; asked before anything is written, and again before anything is tagged."""
    compressed: bool = False
    """Whether to measure the compressed layer, also where nothing compresses it."""


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
    if any(rule.name == GPU_CODE for rule in chosen) and not options.settings.changes_gpu_code:
        raise UsageError(f"the rule {GPU_CODE} needs to know for which GPUs: add --gpu-arch sm_90, say")
    place = transports.target_place(options.output)
    if not options.dry_run:
        for path in temporary.remove_left_by_programs():
            progress.note(f"removed {path}, which a run that was killed left")
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
    with Workshop.opened() as workshop:

        def seen(config: Config, files: Sequence[tuple[str, Content]]) -> None:
            foresee(chosen, files, Scene(Rootfs.of({}), config, options.settings, session.progress, workshop))

        found = opened(source, session, seen)
        config = found.config
        laps.end("read")
        scene = Scene(found.rootfs, config, options.settings, session.progress, workshop)
        linkage = linked(scene)

        def proposed(restored: Mapping[str, str]) -> tuple[Plan, Links]:
            return propose(scene, chosen, options.exclude, linkage, restored)

        planned, links = proposed({})
    laps.end("plan")
    facts = SourceFacts.of(found, options.reference)
    report = Report(
        facts, planned, links, _estimate(planned), dry_run=options.dry_run, unverified=not options.verify,
        in_engine=target is None or target.in_engine,
    )  # fmt: skip
    report = _through_gates(options, replace(report, timings=laps.timings))
    if options.dry_run or target is None:
        size = _compressed_size(options, report, session) if options.compressed else None
        return replace(report, estimate=replace(report.estimate, compressed_size=size), timings=laps.timings)

    def written(plan: Plan) -> Writable:
        return _writable(config, plan, plan.layer_size(), options)

    with Trials.of(session) as trials:
        laboratory = Laboratory(found, trials, proposed, written, options.wanted)
        return _carried_out(options, found, target, laboratory, report, laps)


def _estimate(planned: Plan) -> Estimate:
    return Estimate(planned.result.size(), planned.layer_size())


def _carried_out(
    options: Options, found: Opened, target: Target, laboratory: Laboratory, report: Report, laps: _Laps
) -> Report:
    """Make the image, prove it and put it where it is to go; give the report of a whole run."""
    is_tried = options.verify or target.in_engine
    if options.verify:
        laboratory.trials.require_room(report.plan.layer_size())
    made = laboratory.build(report.plan, report.links) if is_tried else None
    laps.end("write")
    if options.verify and made is not None:
        made, report = _verified(laboratory, made, report)
        laps.end("verify")
    report = replace(report, timings=laps.timings)
    if failed := failures(report.checks):
        kept = f"; the image is kept as {laboratory.keep(made)}" if options.keep_trial and made is not None else ""
        first = failed[0]
        sentence = f"check {first.name} failed: {first.verdict.reason}; {report.nothing_done}{kept}"
        raise CheckFailedError(sentence, report)
    report = _through_gates(options, report)  # what a check had put back may be too much
    if options.debug_dir is not None:
        save_debug_files(report.plan, options.debug_dir, laboratory.progress)
    # Minutes have passed since the place was looked at.
    target.check(found.source)
    writable = made.writable if made is not None else laboratory.written(report.plan)
    trial = made.trial.loaded if made is not None else None
    will_know = target.packs or (trial is not None and trial.compressed_size is not None)
    measure = options.compressed and not will_know
    measured = _compressed_size(options, report, laboratory.trials.session) if measure else None
    stored = target.put(writable, trial)
    laps.end("write")
    config, compressed_size = stored.config, stored.compressed_size or measured
    if trial is not None and trial.config != config:
        raise SlimmerError(f"{target.reference} is not the image that was proved; please report this")
    image_id = trial.id if trial is not None and target.in_engine else config.id
    (diff_id,) = config.diff_ids
    sizes = report.estimate.size, report.estimate.layer_size, diff_id, compressed_size
    return replace(report, result=ResultFacts(target.reference, image_id, *sizes), timings=laps.timings)


def _through_gates(options: Options, report: Report) -> Report:
    """Give the report with what the gates say of it; raise GateFailedError where one is shut."""
    report = replace(report, gates=options.gates.passages(report.source.size, report.estimate.size))
    shut = [passage.sentence for passage in report.gates if not passage.passed]
    if shut:
        raise GateFailedError(f"{'; '.join(shut)}; {report.nothing_done}", report)
    return report


def _compressed_size(options: Options, report: Report, session: Session) -> int | None:
    """Give the bytes of the result's layer packed as the person said, None for not at all. Reads it, writes nothing."""
    if options.compression is Compression.NONE:
        return None
    chunks = watched(report.plan.carry_out(), session.progress, "compressing", report.estimate.layer_size)
    return sum(len(piece) for piece in compressed(chunks, options.compression or Compression.GZIP))


def _verified(laboratory: Laboratory, made: Made, report: Report) -> tuple[Made, Report]:
    """Give the image that was examined last, and the report with what was found; some changes may be put back in it."""
    outcome = healed(laboratory, made)
    made = outcome.made
    restored = tuple(Restored(path, reason) for path, reason in sorted(outcome.restored.items()))
    report = replace(report, plan=made.plan, links=made.links, estimate=_estimate(made.plan), restored=restored)
    return made, replace(report, checks=outcome.examined)


def _writable(config: Config, planned: Plan, layer_size: int, options: Options) -> Writable:
    """Give the result as an image to write: one layer, and the source's configuration with what slimmer adds.

    The source is named by the digest of its configuration, not by what an engine calls it: that of a containerd image
    store goes by the manifest, and the same image would become another one there.
    """
    labels = dict(zip(LABELS, (config.id, __version__, ",".join(planned.rules)), strict=True))
    if any(change.rule == GPU_CODE for change in planned.changes):
        labels |= gpu_labels(planned.source, options.settings)
    created_by = f"{CREATED_BY} (slimmer {__version__}, rules {labels[LABELS[2]]})"

    def configure(diff_ids: tuple[Digest, ...]) -> Config:
        (diff_id,) = diff_ids
        return config.flattened(diff_id, created_by, labels, options.created)

    return Writable(lambda: [(layer_size, planned.carry_out())], configure, layer_size, is_one_layer=True)


class _Laps:
    """How long each part took, from the end of the one before it.

    An archive is written when the checks are through: that is writing, too.
    """

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.timings[name] = self.timings.get(name, 0) + now - self._last
        self._last = now
