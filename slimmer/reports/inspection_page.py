"""The page of an inspection: a treemap and the tables. It is no form of a run's report, and has none's facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slimmer import __version__
from slimmer.report import printable
from slimmer.reports.page_file import page
from slimmer.reports.tree import drawn, tree

if TYPE_CHECKING:
    from slimmer.inspection import Inspection


def render(found: Inspection) -> str:
    """Give the page."""
    return page(f"slimmer: {printable(found.source.reference)}", _data(found))


def _data(found: Inspection) -> dict[str, Any]:
    source = found.source
    best = sorted(found.potentials, key=lambda one: (-one.saved, one.rule.name))
    tables: list[dict[str, Any]] = [
        {
            "title": table.title, "heading": table.heading, "note": table.note,
            "rows": [[printable(share.name), share.size, share.files] for share in table.shares],
        }
        for table in found.tables
    ]  # fmt: skip
    rules = {
        "title": "What each rule would save", "heading": "rule",
        "rows": [[one.rule.name, one.saved, one.files] for one in best if one.saved],
        "note": "Each by itself: what two of them would take counts for both.",
    }  # fmt: skip
    files = {
        "title": "Largest files", "heading": "file", "note": "",
        "rows": [[printable("/" + path), count] for path, count in found.largest],
    }  # fmt: skip
    return {
        "version": __version__, "title": printable(source.reference), "subtitle": "where the bytes are", "state": "",
        "facts": [["platform", source.platform], ["ID", source.id]],
        "tiles": [
            ["image", source.size, f"{source.layers} layer{'s' * (source.layers != 1)}"],
            ["files", source.flattened_size, f"{len(found.rootfs):,} paths"],
            ["hidden", source.size - source.flattened_size, "by later layers"],
        ],
        "tree": drawn(tree(found.rootfs)), "compare": False, "tables": [rules, *tables, files],
        "rules": [], "changes": [], "kept": [], "checks": [], "gates": [],
    }  # fmt: skip
