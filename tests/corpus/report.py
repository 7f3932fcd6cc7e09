"""What the measurements come to, in figures and on the terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.corpus.measure import Fate

_WORST = 15


def figures(fates: Sequence[Fate], found: dict[str, Any]) -> dict[str, Any]:
    """Give the figures that have a target, and those that say what they stand on."""
    changed = [fate for fate in fates if fate.slimmed is not None]
    parts = found["parts"].values()
    return {
        "distributions": len(found["distributions"]),
        "objects": len(fates),
        "bytes of objects": sum(fate.size for fate in fates),
        "objects changed": len(changed),
        "objects broken": sum(len(part["loads otherwise"]["slimmer"]) for part in parts),
        "smoke tests": sum(part["smoke tests"] for part in parts),
        "smoke tests changed": sum(len(part["computes otherwise"]["slimmer"]) for part in parts),
        "refused, stripped safely by the newer": sum(fate.slimmed is None and fate.safely for fate in fates),
        "bytes saved": sum(fate.size - (fate.slimmed or 0) for fate in changed),
        "bytes saved by GNU strip on the same": sum(fate.size - fate.gnu for fate in changed),
        "bytes saved by the newer on the same": sum(fate.size - fate.newer for fate in changed),
        "bytes less than GNU strip on the same": sum((fate.slimmed or 0) - fate.gnu for fate in changed),
        "of these, bytes that no section owns": sum(
            min(fate.unowned, max((fate.slimmed or 0) - fate.gnu, 0)) for fate in changed
        ),
        "bytes saved by GNU strip on all": sum(fate.size - fate.gnu for fate in fates),
        "bytes saved by GNU strip where it saves": sum(max(fate.size - fate.gnu, 0) for fate in fates),
        "bytes saved by the newer on all": sum(fate.size - fate.newer for fate in fates),
        "GNU strip: objects that load otherwise": sum(len(part["loads otherwise"]["GNU strip"]) for part in parts),
        "GNU strip: smoke tests changed": sum(len(part["computes otherwise"]["GNU strip"]) for part in parts),
        "newer GNU strip: objects that load otherwise": sum(
            len(part["loads otherwise"]["newer GNU strip"]) for part in parts
        ),
        **{f"CPU seconds, {name}": round(seconds, 2) for name, seconds in found.get("cpu", {}).items()},
    }


def reached(figures: dict[str, Any]) -> bool:
    """Say whether every target is reached."""
    return bool(
        figures["objects broken"] == figures["smoke tests changed"] == 0
        and figures["refused, stripped safely by the newer"] == 0
        and figures["bytes saved"] >= 0.999 * figures["bytes saved by GNU strip on the same"]
        and figures.get("CPU seconds, slimmer", 0) <= figures.get("CPU seconds, GNU strip", 0)
    )


def say_part(name: str, part: dict[str, Any]) -> None:
    """Print what came of one part of the corpus."""
    click.echo(f"{name}: {part['objects']} objects, {part['load before']} load, {part['changed']} changed")
    for reason, count in part["kept"].items():
        click.echo(f"  {count} kept: {reason}")
    for test in part["smoke tests that fail before"]:
        click.echo(f"  smoke test {test} fails before anything is done")
    for what in ("loads otherwise", "computes otherwise"):
        for program, trouble in part[what].items():
            click.echo(f"  {program}: {len(trouble)} of it {what}")
            for path, (before, after) in list(trouble.items()) if program == "slimmer" else []:
                click.echo(f"    {path}: {before!r} became {after!r}")
    for reason, count in Counter(part["refused, stripped safely by the newer"].values()).items():
        click.echo(f"  {count} refused that the newer GNU strip strips safely: {reason}")


def say(fates: Sequence[Fate], found: dict[str, Any]) -> None:
    """Print the figures, and the objects on which GNU strip saves most more."""
    for name, value in found["figures"].items():
        click.echo(f"{value:>16,}  {name}")
    losses = sorted(fates, key=lambda fate: (fate.slimmed if fate.slimmed is not None else fate.size) - fate.gnu)
    for fate in reversed(losses[-_WORST:]):
        after = fate.slimmed if fate.slimmed is not None else fate.size
        click.echo(
            f"{after - fate.gnu:>9,} bytes less than GNU strip saves ({fate.unowned:,} that no section owns): {fate.path} {fate.reason}"
        )
