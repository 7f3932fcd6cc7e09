"""The rules as a table for a person, at most 80 columns wide. Never prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.summary import size, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimmer.plan import Rule
    from slimmer.survey import Potential


def rules_table(rules: Sequence[Rule]) -> str:
    """Give a line for each rule: its name, whether it is on by default, what it removes."""
    width = max(len(rule.name) for rule in rules)
    lines = [line for rule in rules for line in wrapped(f"{rule.name:<{width}}  {_state(rule)}  ", rule.summary)]
    return "\n".join(lines) + "\n"


def survey_table(found: Sequence[Potential]) -> str:
    """Give a line for each rule, what saves most first: bytes and files, what it would not take, what it removes."""
    width = max(len(one.rule.name) for one in found)
    lines = [f"{'rule':<{width}}  {'on':<3}  {'saves':>8}  {'files':>7}  {'kept':>5}  what"]
    for one in sorted(found, key=lambda one: (-one.saved, one.rule.name)):
        head = f"{one.rule.name:<{width}}  {_state(one.rule)}  {size(one.saved):>8}  {one.files:>7,}  {one.kept:>5,}  "
        lines += wrapped(head, one.rule.summary)
    return "\n".join(lines) + "\n"


def _state(rule: Rule) -> str:
    return "on " if rule.on_by_default else "off"
