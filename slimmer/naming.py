"""The name that a result gets, and how it is known for slimmer's."""

from __future__ import annotations

from slimmer.reference import Tag, slim_tag

CREATED_BY = "slimmer run"
"""How the history of an image says that slimmer made its layer."""


def result_tag(name: str | None, tag: str | None) -> Tag | None:
    """Give the name of the result for an image called NAME: TAG, or its own with `-slim`; None where it has none.

    Raises UsageError for a TAG that is no name.
    """
    if tag is not None:
        return Tag.parse(tag)
    return slim_tag(name) if name is not None else None
