"""Images in a Docker engine: read with `docker save`, written with `docker load`."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slimmer.errors import DestinationError, SourceError
from slimmer.progress import watched
from slimmer.transports import docker_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimmer.engine import Engine
    from slimmer.image import Image
    from slimmer.progress import Progress


@dataclass(frozen=True, slots=True)
class Source:
    """An image that the engine has, known by its ID: a tag may move while slimmer works."""

    reference: str
    id: str
    size: int
    layers: int
    tags: tuple[str, ...]

    @classmethod
    def of(cls, inspected: Mapping[str, Any], reference: str) -> Source:
        """Give the image that an engine's answer describes; raise SourceError when it is none that can be slimmed."""
        system = inspected.get("Os") or "linux"
        if system != "linux":
            raise SourceError(f"{reference} is an image for {system}; slimmer slims Linux images")
        layers = (inspected.get("RootFS") or {}).get("Layers") or []
        if not layers:
            raise SourceError(f"{reference} has no layers; there is nothing to slim")
        tags = tuple(inspected.get("RepoTags") or ())
        return cls(reference, str(inspected["Id"]), int(inspected["Size"]), len(layers), tags)


def find(engine: Engine, reference: str) -> Source:
    """Give the image that REFERENCE names now; raise SourceError when there is none or none that can be slimmed."""
    return Source.of(engine.inspect(reference), reference)


@contextmanager
def read(engine: Engine, source: Source, progress: Progress) -> Iterator[Image]:
    """Give the image, readable until the context ends; raise SourceError when it, or the room for it, is missing."""
    directory = docker_archive.spool_directory()
    free = shutil.disk_usage(directory).free
    if free < source.size:
        raise SourceError(
            f"reading {source.reference} takes {source.size:,} bytes in {directory}, where {free:,} are free; "
            "set TMPDIR to a larger one"
        )
    archive = watched(engine.save(source.id), progress, "reading", source.size)
    with docker_archive.read(archive, source.reference) as image:
        yield image


def write(engine: Engine, archive: docker_archive.Archive, size: int, progress: Progress) -> dict[str, Any]:
    """Load the result and give what the engine says of it; raise DestinationError when it is not what was sent.

    A load that ended well is not believed: engines have reported success for images that were not there.
    """
    engine.load(watched(archive.chunks(), progress, "writing", size), progress)
    config = archive.config
    if config is None:
        raise DestinationError("the engine answered before it had the whole result")
    found = engine.find(archive.repo_tag)
    if found is None:
        raise DestinationError("the engine says that it loaded the result, and does not have it")
    if tuple(found["RootFS"]["Layers"]) != config.diff_ids:
        raise DestinationError(
            f"the engine has the layers {found['RootFS']['Layers']} where {config.diff_ids} were sent"
        )
    return found
