"""Draw the figures of a benchmark: how long each contestant takes, and how time and memory grow with the image.

    python tests/bench/plot.py FIGURES.json PICTURE.png

Needs matplotlib; run.py has it in the benchmark's own environment. Knows nothing of the rest of the benchmark.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found] # not among the project's own requirements

mpl.use("Agg")
from matplotlib import pyplot as plt

_SLIMMER = "#1f6f5c"
_OTHERS = "#a9a9a9"


def main() -> None:
    """Draw what the first argument holds into the second."""
    source, target = map(Path, sys.argv[1:])
    found = json.loads(source.read_text("utf-8"))
    grows = bool(found["growth"])
    figure, panels = plt.subplots(1, 3 if grows else 1, figsize=(14 if grows else 7, 4), squeeze=False)
    _compare(panels[0][0], found)
    if grows:
        _grow(panels[0][1], found["growth"], "seconds", 1, "seconds")
        own = [row for row in found["growth"] if row["name"].startswith("slimmer")]  # the others work in the engine
        _grow(panels[0][2], own, "memory", 1e6, "peak memory, MB")
    figure.text(0.01, 0.01, _source(found), fontsize=7, color="#555555")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)


def _compare(panel: Any, found: dict[str, Any]) -> None:
    times: dict[str, list[float]] = {}
    for row in found["runs"]:
        times.setdefault(row["name"], []).append(row["seconds"])
    names = sorted(times, key=lambda name: -median(times[name]))
    middles = [median(times[name]) for name in names]
    spread = [
        [middle - min(times[name]) for name, middle in zip(names, middles, strict=True)],
        [max(times[name]) - middle for name, middle in zip(names, middles, strict=True)],
    ]
    colours = [_SLIMMER if name.startswith("slimmer") else _OTHERS for name in names]
    panel.barh(names, middles, xerr=spread, color=colours, ecolor="#333333", capsize=3)
    for position, (name, middle) in enumerate(zip(names, middles, strict=True)):
        panel.text(max(times[name]), position, f"  {middle:.1f} s", va="center", fontsize=8)
    panel.set_xlim(0, max(map(max, times.values())) * 1.18)
    panel.set_xlabel(f"seconds, median of {found['rounds']} (lines: lowest and highest)")
    image = found["image"]
    panel.set_title(f"{image['reference']}, {image['size'] / 1e9:.2f} GB", fontsize=10)
    _bare(panel)


def _grow(panel: Any, rows: list[dict[str, Any]], quantity: str, unit: float, label: str) -> None:
    for name in sorted({row["name"] for row in rows}):
        points = sorted((row["size"] / 1e9, row[quantity] / unit) for row in rows if row["name"] == name)
        style = {"color": _SLIMMER if name.startswith("slimmer") else _OTHERS}
        panel.plot(
            *zip(*points, strict=True), marker="o", linestyle="--" if "dry" in name else "-", label=name, **style
        )
    panel.set_xlim(left=0)
    panel.set_ylim(0, panel.dataLim.y1 * 1.1)  # the legend lies above the lines
    panel.set_xlabel("size of the image, GB")
    panel.set_ylabel(label)
    panel.legend(fontsize=8, frameon=False)
    _bare(panel)


def _bare(panel: Any) -> None:
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _source(found: dict[str, Any]) -> str:
    machine = found["machine"]
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['processor']}, engine {machine['engine']},\n"
        f"slimmer {machine['slimmer'].partition(',')[0]}, docker-squash {machine['docker-squash']}; "
        f"page cache {found['cache']}"
    )


if __name__ == "__main__":
    main()
