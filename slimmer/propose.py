"""From rules to a plan: every rule is asked, package databases stay true, and what would break a link is taken back."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import TYPE_CHECKING

from slimmer.metadata import amendments
from slimmer.plan import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slimmer.plan import Plan, Rule, Scene


def propose(scene: Scene, rules: Sequence[Rule], exclude: Sequence[str]) -> Plan:
    """Ask every rule and give what its decisions add up to.

    EXCLUDE are globs over absolute paths; `*` matches `/` too, and a directory stands for all that is below it.
    """
    draft = Draft(scene.rootfs, lambda path: _excluding(path, exclude))
    for rule in sorted(rules, key=lambda rule: (rule.rewrites, rule.name)):
        before = draft.rootfs
        draft.decide(rule.name, rule.propose(replace(scene, rootfs=before)))
        if rule.rewrites:
            draft.decide(rule.name, amendments(before, draft.replaced), files=0)
    return draft.plan(tuple(sorted(rule.name for rule in rules)))


def _excluding(path: str, exclude: Sequence[str]) -> str | None:
    """Give the reason for which one of the globs EXCLUDE keeps PATH, or None."""
    parts = ("/" + path).split("/")
    above = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    for glob in exclude:
        anchored = glob if glob.startswith(("/", "*")) else "/" + glob
        if any(fnmatch.fnmatchcase(candidate, anchored.rstrip("/")) for candidate in above):
            return f"excluded by --exclude {glob}"
    return None
