"""What a run found out, as facts; `as_json` is the contract `slimmer-report/1`. Never prints."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slimmer import __version__

if TYPE_CHECKING:
    from slimmer.checks import Examined
    from slimmer.elf.linking.linkage import Unresolved
    from slimmer.gates import Passage
    from slimmer.plan import Change, Kept, Plan
    from slimmer.propose import Links
    from slimmer.reading import Opened

_OF_RUNNERS = re.compile(r"##(?=\w*\[)")
SCHEMA = "slimmer-report/1"


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The image as the engine has it; sizes in bytes.

    `size` counts every layer, as `docker image ls` does, `flattened_size` the files that a container sees.
    """

    reference: str
    id: str
    size: int
    flattened_size: int
    layers: int
    platform: str

    @classmethod
    def of(cls, found: Opened, reference: str) -> SourceFacts:
        """Give what is known of an image that was asked for as REFERENCE."""
        return cls(reference, found.id, found.size, found.flattened_size, found.layers, found.config.platform)


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """The image that was made; sizes in bytes, as in Estimate."""

    reference: str
    id: str
    size: int
    layer_size: int
    diff_id: str
    compressed_size: int | None = None
    """Of the layer as it was packed: what a pull transfers. None where nobody packed it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the result comes to, known before it is written.

    Bytes of content, each inode counted once, and bytes of the layer's uncompressed tar.
    """

    size: int
    layer_size: int
    compressed_size: int | None = None
    """Of the layer packed, where that was asked for."""


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What a rule came to."""

    name: str
    files: int
    saved: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A path that was put back as it was, because a check failed without it."""

    path: str
    reason: str


@dataclass(frozen=True)
class Report:
    """Everything about a run."""

    source: SourceFacts
    plan: Plan
    links: Links
    estimate: Estimate
    dry_run: bool = False
    result: ResultFacts | None = None
    checks: tuple[Examined, ...] = ()
    restored: tuple[Restored, ...] = ()
    unverified: bool = False
    """Whether the person asked for no checks."""
    in_engine: bool = True
    """Whether the result was to go into an engine, and not into a file."""
    gates: tuple[Passage, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def nothing_done(self) -> str:
        """What did not happen where there is no result."""
        return "nothing was tagged" if self.in_engine and not self.dry_run else "nothing was written"

    @property
    def saved(self) -> int:
        """Bytes between the source flattened and the result."""
        return self.source.flattened_size - self.estimate.size

    @property
    def rules(self) -> tuple[RuleFacts, ...]:
        """What each rule came to, the one that saved most first."""
        facts = []
        for name in self.plan.rules:
            changes = [change for change in self.plan.changes if change.rule == name]
            facts.append(
                RuleFacts(name, sum(change.files for change in changes), sum(change.saved for change in changes))
            )
        return tuple(sorted(facts, key=lambda rule: (-rule.saved, rule.name)))

    @property
    def kept_by_reason(self) -> list[tuple[str, str, int]]:
        """Rule, reason and how many paths, the most frequent first."""
        counted = Counter((kept.rule, kept.reason) for kept in self.plan.kept)
        return [
            (rule, reason, count)
            for (rule, reason), count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        ]

    def as_json(self) -> dict[str, Any]:
        """Give the report as the contract has it. Sizes are bytes, times seconds."""
        source, result = self.source, self.result
        return {
            "schema": SCHEMA,
            "slimmer": __version__,
            "dry_run": self.dry_run,
            "source": {
                "reference": printable(source.reference), "id": source.id, "size": source.size,
                "flattened_size": source.flattened_size, "layers": source.layers, "platform": source.platform,
            },
            "result": None if result is None else {
                "reference": printable(result.reference), "id": result.id, "size": result.size,
                "layer_size": result.layer_size, "diff_id": result.diff_id, "compressed_size": result.compressed_size,
            },
            "estimate": {
                "size": self.estimate.size, "layer_size": self.estimate.layer_size,
                "compressed_size": self.estimate.compressed_size,
            },
            "saved": self.saved,
            "rules": [{"name": rule.name, "files": rule.files, "saved": rule.saved} for rule in self.rules],
            "changes": [_change(change) for change in self.plan.changes],
            "kept": [_kept(kept) for kept in self.plan.kept],
            "linkage": {
                "objects": self.links.objects, "symbols": self.links.symbols,
                "provided_by_process": self.links.provided_by_process,
                "unresolved_before": [_unresolved(one) for one in self.links.unresolved_before],
                "unresolved_after": [_unresolved(one) for one in self.links.unresolved_after],
            },
            "verified": any(examined.verdict.computed for examined in self.checks),
            "checks": [_check(examined) for examined in self.checks],
            "restored": [{"path": printable("/" + one.path), "reason": printable(one.reason)} for one in self.restored],
            "gates": [
                {"name": gate.name, "limit": gate.limit, "actual": gate.actual, "passed": gate.passed}
                for gate in self.gates
            ],
            "timings": {name: round(seconds, 3) for name, seconds in self.timings.items()},
        }  # fmt: skip


def _change(change: Change) -> dict[str, Any]:
    return {
        "path": printable("/" + change.path), "rule": change.rule, "action": change.action, "before": change.before,
        "after": change.after, "files": change.files, "how": printable(change.how),
    }  # fmt: skip


def _kept(kept: Kept) -> dict[str, Any]:
    return {"path": printable("/" + kept.path), "rule": kept.rule, "reason": printable(kept.reason)}


def _unresolved(one: Unresolved) -> dict[str, str]:
    return {
        "path": printable("/" + one.path),
        "kind": one.kind,
        "name": printable(one.name),
        "version": printable(one.version),
    }


def _check(examined: Examined) -> dict[str, Any]:
    verdict = examined.verdict
    return {
        "name": printable(examined.name), "status": verdict.status, "original": printable_lines(verdict.original),
        "slimmed": printable_lines(verdict.slimmed), "seconds": round(examined.seconds, 3),
        "reason": printable(verdict.reason),
    }  # fmt: skip


def printable(text: str) -> str:
    """Give TEXT with what is not printable escaped: an image may name a file so that a terminal obeys it.

    So may the log of a CI job: GitHub's and Azure's runners obey `##[…]` and `##vso[…]` wherever they stand in a line.
    """
    shown = text if text.isprintable() else "".join(map(_escaped, text))
    return _OF_RUNNERS.sub(r"#\\#", shown)


def printable_lines(text: str) -> str:
    """Give TEXT escaped as by `printable`, but for its line ends."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
