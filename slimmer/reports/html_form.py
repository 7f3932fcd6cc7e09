"""`.html`: one page for a person, with a treemap, every change and what the checks saw in both images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slimmer import __version__
from slimmer.report import printable, printable_lines
from slimmer.reports.page_file import page
from slimmer.reports.rows import change_rows, kept_rows
from slimmer.reports.tree import drawn, tree
from slimmer.summary import duration, size

if TYPE_CHECKING:
    from slimmer.report import Report

_MAX_OUTPUT = 20_000
"""Characters of what a check saw of each image."""


class HtmlForm:
    """The form."""

    suffix = ".html"

    def render(self, report: Report) -> str:
        """Give the page of a run."""
        name = report.result.reference if report.result is not None else report.source.reference
        return page(f"slimmer: {printable(name)}", _data(report))


def _data(report: Report) -> dict[str, Any]:
    source, estimate = report.source, report.estimate
    gain = source.size - estimate.size
    return {
        "version": __version__,
        "title": printable(source.reference),
        "subtitle": _outcome(report),
        "state": state(report),
        "facts": _facts(report),
        "tiles": [
            ["before", source.size, f"{source.layers} layer{'s' * (source.layers != 1)}"],
            ["after", estimate.size, "1 layer"],
            ["saved", gain, f"{100 * gain / source.size:.1f} %" if source.size else ""],
        ],
        "tree": drawn(tree(report.plan.source, report.plan.result)),
        "compare": True,
        "rules": [
            *([rule.name, rule.files, rule.saved] for rule in report.rules if rule.saved or rule.files),
            ["flatten", None, source.size - source.flattened_size],
        ],
        "changes": change_rows(report.plan.changes),
        "kept": kept_rows(report.plan.kept),
        "checks": [
            [
                check.name, check.verdict.status, duration(check.seconds), printable(check.verdict.reason),
                _output(check.verdict.original), _output(check.verdict.slimmed),
            ]
            for check in report.checks
        ],
        "gates": [[f"--{gate.name} {gate.wish}", gate.passed, gate.actual] for gate in report.gates],
        "tables": [],
    }  # fmt: skip


def _output(text: str) -> str:
    """Give what an image showed, lines kept, so long that a person would read it."""
    lines = printable_lines(text[:_MAX_OUTPUT])
    return lines if len(text) <= _MAX_OUTPUT else f"{lines}\n… {len(text) - _MAX_OUTPUT:,} characters more"


def state(report: Report) -> str:
    """Give in a word what a reader wants to know first."""
    if any(check.verdict.status == "failed" for check in report.checks):
        return "CHECK FAILED"
    if any(not gate.passed for gate in report.gates):
        return "GATE FAILED"
    if report.dry_run:
        return "DRY RUN"
    return "VERIFIED" if any(check.verdict.computed for check in report.checks) else "NOT VERIFIED"


def _outcome(report: Report) -> str:
    if report.result is not None:
        return f"→ {printable(report.result.reference)}"
    return f"{'dry run: ' if report.dry_run else ''}{report.nothing_done}"


def _facts(report: Report) -> list[list[str]]:
    source, links = report.source, report.links
    compressed = (report.result or report.estimate).compressed_size
    facts = [["platform", source.platform], ["source ID", source.id]]
    if report.result is not None:
        facts.append(["result ID", report.result.id])
    facts.append(["layer", f"{size(report.estimate.layer_size)} as a tar"])
    if compressed is not None:
        facts.append(["pull", f"{size(compressed)} compressed"])
    if links.objects:
        facts.append(["linkage", f"{links.objects:,} objects, {links.symbols:,} symbols: each binds as before"])
    times = ", ".join(f"{name} {duration(seconds)}" for name, seconds in report.timings.items())
    return [*facts, ["time", times]]


form = HtmlForm()
