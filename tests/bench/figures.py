"""What the measurements come to: medians, their ratios beside the targets, in words."""

from __future__ import annotations

from statistics import median
from typing import Any

import click

from tests.bench.contestants import DRY_RUN, EXPORT, EXPORT_TO_NOTHING, FLATTEN, RUN, SLIMMER, SQUASH

Row = dict[str, Any]
_RATIOS = (
    (RUN, FLATTEN, "<=", 1.0, 0.7),
    (SQUASH, RUN, ">=", 4, 6),
    (DRY_RUN, EXPORT, "<=", 0.15, 0.08),
    (DRY_RUN, EXPORT_TO_NOTHING, None, None, None),
)


def medians(runs: list[Row], quantity: str) -> dict[str, float]:
    """Give the median of a quantity for each contestant that has one."""
    found: dict[str, list[float]] = {}
    for row in runs:
        if row.get(quantity) is not None:
            found.setdefault(row["name"], []).append(row[quantity])
    return {name: median(values) for name, values in found.items()}


def figures(found: dict[str, Any]) -> list[Row]:
    """Give each figure with its target: `reach` and `beyond` are bounds in the direction of `is_reached_when`."""
    runs = found["runs"]
    seconds, cpu = medians(runs, "seconds"), medians(runs, "cpu")
    rows = []
    for one, other, direction, reach, beyond in _RATIOS:
        if one in seconds and other in seconds:
            paired = _paired(runs, one, other)
            rows.append({
                "figure": f"{one} ÷ {other}", "value": seconds[one] / seconds[other], "lowest": min(paired),
                "highest": max(paired), "is_reached_when": direction, "reach": reach, "beyond": beyond,
            })  # fmt: skip
    own = [row for row in runs if row["name"] in SLIMMER]
    if not own:
        return rows
    rows.append(_bounded("peak memory of slimmer, MB", max(row["memory"] for row in own) / 1e6, 400, 200))
    temporary = max(row["temporary"] for row in own)
    rows.append(_bounded("temporary disk of slimmer, MB", temporary / 1e6, found["image"]["largest_changed"] / 1e6, 1))
    for name in (name for name in SLIMMER if name in cpu):
        per_gigabyte = cpu[name] / (found["image"]["size"] / 1e9)
        rows.append(_bounded(f"CPU seconds per GB of image, {name}", per_gigabyte, 3, 1.5))
    return rows


def _bounded(figure: str, value: float, reach: float, beyond: float) -> Row:
    return {"figure": figure, "value": value, "is_reached_when": "<=", "reach": reach, "beyond": beyond}


def _paired(runs: list[Row], one: str, other: str) -> list[float]:
    by_round: dict[int, dict[str, float]] = {}
    for row in runs:
        by_round.setdefault(row["round"], {})[row["name"]] = row["seconds"]
    return [times[one] / times[other] for times in by_round.values() if one in times and other in times]


def say_run(row: Row) -> None:
    """Print one measurement."""
    engine = f", engine {row['engine_cpu']:.1f}" if row["engine_cpu"] is not None else ""
    click.echo(
        f"  {row['name']:<34} {row['seconds']:7.1f} s, CPU {row['cpu']:.1f}{engine} s, "
        f"memory {row['memory'] / 1e6:,.0f} MB, temporary {row['temporary'] / 1e6:,.0f} MB"
        + (f", the engine's {row['engine_temporary'] / 1e6:,.0f} MB" if row["engine_temporary"] is not None else "")
    )


def say(found: dict[str, Any]) -> None:
    """Print where the figures come from, the medians, and the figures beside their targets."""
    click.echo("\nmachine")
    for name, value in found["machine"].items():
        click.echo(f"  {name:<14} {value:,}" if isinstance(value, int) else f"  {name:<14} {value}")
    image = found["image"]
    click.echo(f"  {'image':<14} {image['reference']}, {image['size']:,} bytes, {image['layers']} layers")
    click.echo(f"  {'page cache':<14} {found['cache']}\n\nmedians of {found['rounds']} rounds")
    for name, seconds in medians(found["runs"], "seconds").items():
        click.echo(f"  {name:<34} {seconds:7.1f} s")
    for name, words in found["failed"].items():
        click.echo(f"  {name:<34} failed: {words}")
    click.echo("\nfigures (ratios of medians; in brackets the lowest and the highest of a round)")
    for row in found["figures"]:
        spread = f" [{row['lowest']:.3f}, {row['highest']:.3f}]" if "lowest" in row else ""
        click.echo(f"  {row['figure']:<62} {row['value']:8.3f}{spread}{_verdict(row)}")
    for row in found["growth"]:
        click.echo(
            f"  {row['size'] / 1e9:5.2f} GB  {row['name']:<34} {row['seconds']:7.1f} s, {row['memory'] / 1e6:,.0f} MB"
        )


def _verdict(row: Row) -> str:
    direction, reach, beyond = row["is_reached_when"], row["reach"], row["beyond"]
    if direction is None:
        return ""
    value = row["value"] if direction == "<=" else -row["value"]
    bounds = (reach, beyond) if direction == "<=" else (-reach, -beyond)
    word = "beyond" if value <= bounds[1] else "reached" if value <= bounds[0] else "missed"
    return f"  {word} ({direction} {reach:g}, beyond {direction} {beyond:g})"
