"""The rules, one per file. A rule is a module of this package with a constant `rule`; it is found by being there."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from typing import TYPE_CHECKING

from slimmer import interrupts
from slimmer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimmer.plan import Rule


def discover() -> tuple[Rule, ...]:
    """Give every rule, by name."""
    with interrupts.held():  # the native libraries that rules import abort the process when they are interrupted
        modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    rules: list[Rule] = [module.rule for module in modules]
    return tuple(sorted(rules, key=lambda rule: rule.name))


def choose(only: Sequence[str], also: Sequence[str], skip: Sequence[str]) -> tuple[Rule, ...]:
    """Give the rules to apply: ONLY these, or else those on by default; ALSO these, less SKIP.

    Raises UsageError for a name that is no rule's.
    """
    rules = {rule.name: rule for rule in discover()}
    for name in (*only, *also, *skip):
        if name not in rules:
            near = get_close_matches(name, rules, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(rules)}"
            raise UsageError(f"no rule is named {name!r}; {hint}")
    chosen = [*(only or [rule.name for rule in rules.values() if rule.on_by_default]), *also]
    return tuple(rule for name, rule in rules.items() if name in chosen and name not in skip)
