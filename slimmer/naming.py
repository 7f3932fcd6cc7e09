"""The name that a result gets, and whose name it must not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.errors import DestinationError, UsageError
from slimmer.reference import Tag, slim_tag

if TYPE_CHECKING:
    from slimmer.engine import Engine
    from slimmer.transports.docker_daemon import Source

CREATED_BY = "slimmer run"
"""How the history of an image says that slimmer made its layer."""


def result_tag(reference: str, tag: str | None) -> Tag:
    """Give the name of the result for the image REFERENCE: TAG, or its own with `-slim`; UsageError for no name."""
    return slim_tag(reference) if tag is None else Tag.parse(tag)


def refuse_to_take(engine: Engine, tag: Tag, source: Source, *, is_default: bool) -> None:
    """Raise when the result's name belongs to an image that would lose it without anybody having said so.

    The engine is asked what the name means: `docker.io/library/app:1` and `app:1` are one. Whether slimmer made the
    image that has the name is read from its history, since an image built on a slimmed one inherits its labels.
    """
    existing = engine.find(str(tag))
    if existing is None:
        return
    if existing["Id"] == source.id or str(tag) in source.tags:
        raise UsageError(f"{tag} is a name of the source image, which slimmer never takes; name the result otherwise")
    is_own = len(existing["RootFS"].get("Layers") or []) == 1 and engine.last_step(str(tag)).startswith(CREATED_BY)
    if is_default and not is_own:
        raise DestinationError(f"{tag} exists and was not made by slimmer; to replace it all the same, say --tag {tag}")
