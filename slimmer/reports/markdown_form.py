"""`.md`: what fits a pull request's comment or a job's summary: sizes, rules, gates, checks, the largest changes.

What an image names stands in code spans, where it is no markup and calls nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer import __version__
from slimmer.report import printable
from slimmer.reports.html_form import state
from slimmer.summary import duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimmer.report import Report

_MAX_CHANGES = 10
_MAX_KEPT = 5
_MAX_LENGTH = 200


class MarkdownForm:
    """The form."""

    suffix = ".md"

    def render(self, report: Report) -> str:
        """Give the comment."""
        return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    source, estimate = report.source, report.estimate
    gain = source.size - estimate.size
    share = f" ({100 * gain / source.size:.1f} %)" if source.size else ""
    target = f" → {_code(report.result.reference)}" if report.result is not None else ""
    yield f"### {_code(source.reference)}{target}: {state(report)}"
    yield ""
    yield f"**{size(source.size)} → {size(estimate.size)}**, {size(gain)} saved{share}, {source.platform}"
    compressed = (report.result or estimate).compressed_size
    if compressed is not None:
        yield f"Compressed, which is what a pull transfers: **{size(compressed)}**"
    yield ""
    rules = [[rule.name, size(rule.saved), f"{rule.files:,}"] for rule in report.rules if rule.saved or rule.files]
    yield from _table(
        ["rule", "saved", "files"], [*rules, ["flatten", size(source.size - source.flattened_size), ""]], "-::"
    )
    gates = [[_code(f"--{gate.name} {gate.wish}"), _mark(gate.passed), size(gate.actual)] for gate in report.gates]
    yield from _table(["gate", "", "actual"], gates, "--:")
    checks = [
        [check.name, _mark(check.verdict.status), duration(check.seconds), _code(check.verdict.reason)]
        for check in report.checks
    ]
    yield from _table(["check", "", "time", ""], checks, "--:-")
    if not report.checks and not report.dry_run:
        yield "**No container of this image was run: nothing is proved by running.**"
        yield ""
    yield from _details(report)
    yield f"<sub>slimmer {__version__}, {duration(sum(report.timings.values()))}</sub>"


def _details(report: Report) -> Iterator[str]:
    changes = sorted(report.plan.changes, key=lambda change: (-change.saved, change.path))
    if changes:
        rest = f", the largest {_MAX_CHANGES} of them" if len(changes) > _MAX_CHANGES else ""
        yield f"<details><summary>{len(changes):,} change{'s' * (len(changes) != 1)}{rest}</summary>"
        yield ""
        rows = [[_code("/" + one.path), one.rule, size(one.saved)] for one in changes[:_MAX_CHANGES]]
        yield from _table(["path", "rule", "saved"], rows, "--:")
        yield "</details>"
        yield ""
    if report.plan.kept:
        yield f"<details><summary>{len(report.plan.kept):,} kept</summary>"
        yield ""
        rows = [[f"{count:,}", rule, _code(reason)] for rule, reason, count in report.kept_by_reason[:_MAX_KEPT]]
        yield from _table(["paths", "rule", "why"], rows, ":--")
        yield "</details>"
        yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> Iterator[str]:
    """Give a table and an empty line, nothing without rows; ALIGN has `:` for a column of numbers."""
    if rows:
        yield f"| {' | '.join(head)} |"
        yield f"|{'|'.join('--:' if one == ':' else '---' for one in align)}|"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def _mark(outcome: str | bool) -> str:  # noqa: FBT001 - what a gate says
    word = outcome if isinstance(outcome, str) else "passed" if outcome else "failed"
    return f"**{word}**" if word == "failed" else word


def _code(text: str) -> str:
    """Give a text as a code span that ends nowhere but at its end, in a table too."""
    shown = printable(text).replace("`", "'").replace("|", "\\|")
    shown = shown if len(shown) <= _MAX_LENGTH else f"{shown[:_MAX_LENGTH]}…"
    return f"`{shown}`" if shown.strip() else ""


form = MarkdownForm()
