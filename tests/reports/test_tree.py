from __future__ import annotations

from typing import Any

from slimmer.reports.rows import MAX_ROWS, change_rows, kept_rows
from slimmer.reports.tree import drawn, tree

from reported import reported


def nodes(entry: list[Any]) -> list[list[Any]]:
    """Give a node and all below it."""
    return [entry, *(one for child in entry[4] for one in nodes(child))]


def test_sizes_add_up_at_every_level() -> None:
    """What a directory holds is what its children hold, before and after, and the root is what the report says."""
    report = reported(3000)
    top = drawn(tree(report.plan.source, report.plan.result))

    assert top[1] == report.source.flattened_size
    assert top[2] == report.estimate.size
    for _, before, after, files, children in nodes(top):
        if children:
            assert (before, after) == (sum(child[1] for child in children), sum(child[2] for child in children))
            assert files == sum(child[3] for child in children)


def test_a_file_is_counted_where_it_stays() -> None:
    """A cache that holds what is also installed is not shown as what goes."""
    report = reported()
    sizes = {entry[0]: entry[1:3] for entry in nodes(drawn(tree(report.plan.source, report.plan.result)))}

    assert sizes["cache"] == [20_000, 0]
    assert sizes["installed"] == [40_000, 40_000]
    assert sizes["big.so"] == [100_000, 60_000]


def test_eighty_thousand_files_are_few_nodes_and_rows() -> None:
    """Small files are one node of their directory, changes and kept files beyond a bound one row of theirs; none is lost."""
    report = reported(80_000)
    changes, kept = change_rows(report.plan.changes), kept_rows(report.plan.kept)

    assert len(nodes(drawn(tree(report.plan.source, report.plan.result)))) < 7000
    assert len(changes) <= 2 * MAX_ROWS
    assert len(kept) <= 2 * MAX_ROWS
    assert sum(row[3] for row in changes) == sum(change.saved for change in report.plan.changes)
    assert sum(row[4] for row in changes) == sum(change.files for change in report.plan.changes)
    assert sum(row[2] for row in kept) == len(report.plan.kept)
    assert next(row for row in changes if row[0] == "/many/100/*")[:3] == ["/many/100/*", "duplicates", "remove"]
