"""A name that slimmer gave to a result, given back to the image that the result was made from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slimmer.errors import SourceError, UsageError
from slimmer.naming import SOURCE_LABEL, is_result
from slimmer.reference import Tag
from slimmer.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.engine import Engine
    from slimmer.progress import Progress

_SUFFIX = "-slim"
_SAME = ("Architecture", "Os", "Variant", "OsVersion", "Author")


def rollback(reference: str, progress: Progress) -> str:
    """Give the name REFERENCE to the image that the result of this name was made from, and give that image's ID.

    Raises UsageError when it is no result of slimmer's, SourceError, saying what to pull, when the engine does not have
    its source any more. The result stays in the engine, by its ID.
    """
    tag = Tag.parse(reference)
    with Session(progress) as session:
        engine = session.engine
        result = engine.inspect(str(tag))
        source = (result["Config"].get("Labels") or {}).get(SOURCE_LABEL)
        if source is None:
            raise UsageError(f"{tag} was not made by slimmer: it has no label {SOURCE_LABEL}")
        if not is_result(result, engine.last_step(str(tag))):
            raise UsageError(f"{tag} was not made by slimmer, but built on an image that was; roll that one back")
        found = engine.find(source) or _lookalike(engine, result, str(tag))
        if found is None:
            raise SourceError(
                f"the engine does not have the image that {tag} was made from any more; "
                f"pull {_pulled(tag)} (its configuration is {source}), then say slimmer rollback {tag} again"
            )
        engine.tag(str(found["Id"]), tag.repository, tag.tag)
        progress.note(f"{tag} was {result['Id']}, which stays in the engine until docker image prune")
        return str(found["Id"])


def _pulled(tag: Tag) -> str:
    if tag.tag.endswith(_SUFFIX):
        return str(Tag(tag.repository, tag.tag.removesuffix(_SUFFIX)))
    return "it by the name that it had"


def _lookalike(engine: Engine, result: Mapping[str, Any], tag: str) -> dict[str, Any] | None:
    """Give the image that RESULT must have been made from, by all that an engine says of both; None without any.

    An engine that keeps images in containerd knows them by their manifests: the digest of a configuration, which the
    label has, leads to none of them. Raises SourceError where several could be it.
    """
    steps = (engine.steps(tag) or [])[1:]
    found = [
        image
        for image in engine.images()
        if image["Id"] != result["Id"] and _facts(image) == _facts(result) and engine.steps(str(image["Id"])) == steps
    ]
    if len({image["Id"] for image in found}) > 1:
        names = ", ".join(str(image["Id"]) for image in found)
        raise SourceError(f"{tag} may have been made from any of {names}; give it to one with docker tag")
    return found[0] if found else None


def _facts(image: Mapping[str, Any]) -> str:
    """Give what slimming leaves as it is: all but the layers, the date, which may be another, and slimmer's labels."""
    config = {key: value for key, value in (image.get("Config") or {}).items() if value}
    labels = {
        name: value for name, value in (config.pop("Labels", None) or {}).items() if not name.startswith("slimmer.")
    }
    return json.dumps([[image.get(key) or "" for key in _SAME], config, labels], sort_keys=True)
