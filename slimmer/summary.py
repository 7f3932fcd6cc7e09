"""The report as a person reads it on a terminal, at most 80 columns wide where the names allow. Never prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.report import Report

_WIDTH = 80
_MAX_KEPT = 8
_MAX_NAME = 20
_KILO = 1000
_MINUTE = 60


def size(count: float) -> str:
    """Give a number of bytes as engines print it: decimal units, three digits."""
    sign, count = ("-" if count < 0 else ""), abs(count)
    if count < _KILO:
        return f"{sign}{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= _KILO
        if count < 999.5 or unit == "TB":
            break
    return f"{sign}{count:.{2 if count < 9.995 else 1 if count < 99.95 else 0}f} {unit}"


def duration(seconds: float) -> str:
    """Give seconds as a person says them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:02.0f} s"


def render(report: Report, *, every_change: bool = False) -> str:
    """Give the summary: before and after, rules, what was kept, checks, time; first EVERY_CHANGE when asked."""
    lines = [*(_changes(report) if every_change else ()), *_lines(report)]
    return "\n".join(lines) + "\n"


def _changes(report: Report) -> Iterator[str]:
    yield ""
    for change in report.plan.changes:
        yield f"  {change.action:<7}  {size(change.saved):>8}  {printable('/' + change.path)}"
    for kept in report.plan.kept:
        yield f"  keep               {printable('/' + kept.path)}: {printable(kept.reason)}"


def _lines(report: Report) -> Iterator[str]:
    source = report.source
    nothing = f"({'dry run: ' if report.dry_run else ''}{report.nothing_done})"
    name = report.result.reference if report.result is not None else nothing
    yield ""
    yield from _joined(printable(source.reference), f"-> {printable(name)}", f"({source.platform})")
    gain = source.size - report.estimate.size
    share = f" ({100 * gain / source.size:.1f} %)" if source.size else ""
    sizes = f"{size(source.size)} -> {size(report.estimate.size)}, {_saved(gain)}{share}"
    yield f"  {sizes}; {_plural(source.layers, 'layer')} -> 1"
    facts = report.result or report.estimate
    if facts.compressed_size is not None:
        yield f"  {size(facts.compressed_size)} compressed, which is what a pull transfers"
    yield ""
    yield from _rules(report)
    yield from _kept(report)
    yield from _links(report)
    yield from _restored(report)
    yield from _checks(report)
    yield from _gates(report)
    times = ", ".join(f"{name} {duration(seconds)}" for name, seconds in report.timings.items())
    yield from wrapped("  time    ", f"{times}; {duration(sum(report.timings.values()))} in all")


def _joined(*words: str) -> Iterator[str]:
    """Give the words on one line where they fit, else one a line."""
    line = " ".join(words)
    yield from [line] if len(line) <= _WIDTH else [words[0], *(f"  {word}" for word in words[1:])]


def _saved(count: int) -> str:
    return f"{size(count)} saved" if count >= 0 else f"{size(-count)} more"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _rules(report: Report) -> Iterator[str]:
    width = max([len(rule.name) for rule in report.rules if rule.files] + [len("flatten")])
    overlap = report.source.size - report.source.flattened_size
    label = "rules   "
    idle = []
    for rule in report.rules:
        if not rule.saved and not rule.files:
            idle.append(rule.name)
            continue
        yield f"  {label}{rule.name:<{width}}  {size(rule.saved):>8}   {_plural(rule.files, 'file')}"
        label = " " * len(label)
    yield f"  {label}{'flatten':<{width}}  {size(overlap):>8}   files that later layers hide or hold again"
    if report.saved <= 0:
        yield "          nothing in this image can go: no rule found anything to take"
    elif idle:
        yield from wrapped("          ", f"nothing for {', '.join(sorted(idle))}")
    yield ""


def _kept(report: Report) -> Iterator[str]:
    reasons = report.kept_by_reason
    if not reasons:
        return
    label = "kept    "
    for rule, reason, count in reasons[:_MAX_KEPT]:
        yield from wrapped(f"  {label}{count:>5} ", f"{rule}: {printable(reason)}")
        label = " " * len(label)
    if len(reasons) > _MAX_KEPT:
        rest = sum(count for _, _, count in reasons[_MAX_KEPT:])
        yield f"  {label}{rest:>5} for {len(reasons) - _MAX_KEPT} other reasons; --report FILE.json has them all"
    yield ""


def _links(report: Report) -> Iterator[str]:
    links = report.links
    if not links.objects:
        return
    unresolved = len(links.unresolved_after)
    text = (
        f"{_plural(links.objects, 'object')}, {_plural(links.symbols, 'symbol')}: each binds as before; "
        f"{_plural(links.provided_by_process, 'symbol')} left to the process, {unresolved:,} unresolved as before"
    )
    yield from wrapped("  links   ", text)
    yield ""


def _restored(report: Report) -> Iterator[str]:
    label = "put back"
    for one in report.restored:
        yield from wrapped(f"  {label}  ", printable(f"/{one.path}: {one.reason}"))
        label = " " * len(label)
    if report.restored:
        yield ""


def _checks(report: Report) -> Iterator[str]:
    label = "checks  "
    if report.unverified:
        yield f"  {label}NOT VERIFIED: --no-verify was given, and no container of this image was run"
    elif report.dry_run:
        return
    # A command's name may be as long as its line; what follows stands below it then.
    width = max([len(check.name) for check in report.checks if len(check.name) <= _MAX_NAME], default=0)
    for check in report.checks:
        name = printable(check.name)
        if len(name) > width:
            yield from wrapped(f"  {label}", name)
            name, label = "", " " * len(label)
        head = f"  {label}{name:<{width}}  {check.verdict.status:<7}  {duration(check.seconds):>6}  "
        yield from wrapped(head, printable(check.verdict.reason))
        label = " " * len(label)
    yield ""


def _gates(report: Report) -> Iterator[str]:
    label = "gates   "
    for gate in report.gates:
        state = "passed" if gate.passed else "failed"
        what = "the result" if gate.name == "max-size" else "saved"
        yield f"  {label}--{gate.name} {gate.wish}  {state}  {size(gate.actual)} {what}"
        label = " " * len(label)
    if report.gates:
        yield ""


def wrapped(head: str, text: str) -> Iterator[str]:
    """Give TEXT behind HEAD, broken at spaces, what follows indented below."""
    line = head
    for word in text.split():
        if len(line) > len(head) and len(line) + len(word) > _WIDTH:
            yield line.rstrip()
            line = " " * len(head)
        # At the beginning of a line GitHub's runner obeys `::…::`.
        line += ("\\" if word.startswith("::") else "") + word + " "
    yield line.rstrip()
