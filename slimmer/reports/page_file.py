"""One page of HTML that needs nothing else: its style, its script, its charts and its data are in it."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

_DATA_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
"""What could end a script element or begin markup; inside JSON's strings, its only place, the escape means the same."""


def page(title: str, data: dict[str, Any]) -> str:
    """Give the page of DATA, which may hold any text: it is escaped, and the page puts it in as text only."""
    folder = files("slimmer.reports") / "page"
    parts = {
        "TITLE": escape(title),
        "STYLE": (folder / "page.css").read_text("utf-8"),
        "CHARTS": (folder / "echarts.js").read_text("utf-8"),
        "DATA": json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_DATA_ESCAPES),
        "SCRIPT": (folder / "page.js").read_text("utf-8"),
    }
    # Each piece is put between two of the template's, so that nothing in a piece is taken for a place.
    head, *rest = (folder / "page.html").read_text("utf-8").split("{{")
    pieces = [head]
    for piece in rest:
        name, _, tail = piece.partition("}}")
        pieces += [parts[name], tail]
    return "".join(pieces)
