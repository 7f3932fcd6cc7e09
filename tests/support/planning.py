"""What a rule alone makes of a root."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slimmer.image import Config
from slimmer.plan import Scene
from slimmer.propose import propose

if TYPE_CHECKING:
    from slimmer.plan import Plan, Rule
    from slimmer.rootfs import Rootfs


def plan_for(rule: Rule, rootfs: Rootfs, exclude: tuple[str, ...] = (), **config: Any) -> Plan:
    """Give what the rule makes of a root in an image of this configuration, in which every saved byte adds up."""
    raw = json.dumps({"architecture": "amd64", "config": config, "rootfs": {"diff_ids": []}}).encode()
    plan, _ = propose(Scene(rootfs, Config(raw)), [rule], exclude)
    assert sum(change.saved for change in plan.changes) == plan.source.size() - plan.result.size()
    return plan


def gone(plan: Plan) -> list[str]:
    """Give every path that a plan takes away."""
    return [path for path, _ in plan.source.entries() if path not in plan.result]
