"""The name that a result gets, and how it is known for slimmer's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slimmer.reference import Tag, slim_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATED_BY = "slimmer run"
"""How the history of an image says that slimmer made its layer."""

SOURCE_LABEL = "slimmer.source"
"""Label of a result: the digest of the configuration of the image it was made from."""


def is_result(inspected: Mapping[str, Any], last_step: str | None) -> bool:
    """Say whether slimmer made an image: its history says so, since what is built on a result inherits its labels.

    INSPECTED is what the engine says of it, LAST_STEP what the last line of its history says it was created by. Where
    an engine cannot say that, its one layer and the labels must do.
    """
    if len(inspected["RootFS"].get("Layers") or []) != 1:
        return False
    labels = inspected["Config"].get("Labels") or {}
    return SOURCE_LABEL in labels if last_step is None else last_step.startswith(CREATED_BY)


def result_tag(name: str | None, tag: str | None) -> Tag | None:
    """Give the name of the result for an image called NAME: TAG, or its own with `-slim`; None where it has none.

    Raises UsageError for a TAG that is no name.
    """
    if tag is not None:
        return Tag.parse(tag)
    return slim_tag(name) if name is not None else None
