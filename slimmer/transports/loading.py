"""Put an image into the engine: whole, or as one layer over an image that the engine has.

Each kind of engine takes another archive for that. A layer that it has already is described and not sent: a graph
driver finds it by the diff_ids, the containerd image store and Podman by the digest of what they were sent before.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.ahead import ahead
from slimmer.errors import DestinationError
from slimmer.formats import docker_save
from slimmer.formats.compression import Compression
from slimmer.formats.oci_write import ArchiveWriter, named, plain_layer, write_image
from slimmer.formats.spool import require_room, temporary_file
from slimmer.formats.store import Hashed
from slimmer.progress import watched, watched_layers
from slimmer.room import require_in_engine
from slimmer.transports import Loaded

if TYPE_CHECKING:
    from slimmer.formats.oci_write import Descriptor
    from slimmer.image import Config
    from slimmer.reference import Tag
    from slimmer.session import Session
    from slimmer.transports import Writable


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent: the configuration, each layer as it was sent, and the bytes of those where they were packed."""

    config: Config
    layers: tuple[Descriptor, ...]
    compressed_size: int | None = None


def load(image: Writable, tag: Tag, session: Session) -> Loaded:
    """Put an image into the engine as TAG; raise DestinationError when it does not fit, or is not what was sent.

    A load that ended well is not believed: engines have reported success for images that were not there.
    """
    engine = session.engine
    if engine.keeps_blobs:
        sent = _load_blobs(image, tag, session, Compression.GZIP)
    elif engine.takes_layers_alone and image.is_one_layer:
        require_in_engine(engine, image.size, "the result")
        sent = _load_straight(image, tag, session)
    else:
        # An archive is unpacked beside the images before any of it becomes one.
        require_in_engine(engine, 2 * image.size, "putting the image into the engine")
        sent = _load_plain(image, tag, session)
    return _found(sent, tag, session)


def load_over(below: Loaded, image: Writable, tag: Tag, session: Session) -> Loaded:
    """Put an image into the engine as TAG whose layers are those of BELOW, which it has, and those of IMAGE over them.

    Raises DestinationError when the engine does not take it, or has another image then.
    """
    if session.engine.takes_layers_alone:
        sent = _load_plain(image, tag, session, below.layers)
    else:
        # It is here for some checks only: packing would take longer than it saves.
        sent = _load_blobs(image, tag, session, Compression.NONE, below.layers)
    return _found(sent, tag, session)


def _found(sent: _Sent, tag: Tag, session: Session) -> Loaded:
    found = session.engine.find(str(tag))
    if found is None:
        raise DestinationError("the engine says that it loaded the result, and does not have it")
    if tuple(found["RootFS"]["Layers"]) != sent.config.diff_ids:
        raise DestinationError(
            f"the engine has the layers {found['RootFS']['Layers']} where {sent.config.diff_ids} were sent"
        )
    return Loaded(sent.config, found, sent.compressed_size, sent.layers)


def _load_straight(image: Writable, tag: Tag, session: Session) -> _Sent:
    """Import the layer, then load an archive of the configuration alone, which finds the layer there by its diff_id.

    `docker load` unpacks an archive into a temporary directory before it looks at it, which is one copy more. The name
    that the import needs is taken away again; the layer belongs to the new image by then.
    """
    engine, progress = session.engine, session.progress
    imported = replace(tag, tag=f"{tag.tag}-layer")
    ((size, chunks),) = image.layers()
    try:
        # The engine writes while the next files are read.
        with closing(ahead(chunks)) as ready:
            hashed = Hashed(watched(ready, progress, "writing", size))
            engine.import_layer(iter(hashed), size, imported)
        config = image.configure((hashed.digest,))
        engine.load(docker_save.described_as(config, ["layer.tar"], str(tag)), tag)
    finally:
        engine.tidy(lambda: engine.discard(str(imported)))
    return _Sent(config, (plain_layer(hashed.digest, size),))


def _load_plain(image: Writable, tag: Tag, session: Session, below: tuple[Descriptor, ...] = ()) -> _Sent:
    archive = docker_save.Archive(image.layers(), image.configure, str(tag), len(below))
    session.engine.load(watched(archive.chunks(), session.progress, "writing", image.size), tag)
    if archive.config is None:
        raise DestinationError("the engine answered before it had the whole result")
    return _Sent(archive.config, (*below, *(plain_layer(*layer) for layer in archive.written)))


def _load_blobs(
    image: Writable, tag: Tag, session: Session, compression: Compression, below: tuple[Descriptor, ...] = ()
) -> _Sent:
    """Load an OCI archive, for an engine that keeps layers as they come, or that knows them by their blobs.

    The containerd image store pushes and shows the blobs that it was given: a plain layer would take several times the
    room of the source's. How long a compressed layer gets is known at its end only, so it is kept in a file first.
    """
    require_room(image.size, f"packing {tag} takes up to", DestinationError)
    with temporary_file(str(tag)) as file:
        writer = ArchiveWriter(file)
        layers = watched_layers(image.layers(), session.progress, "packing", image.size)
        written = write_image(writer, layers, image.configure, compression, below)
        writer.finish([named(written.descriptor, tag.tag, tag.full)])
        size = file.tell()
        file.seek(0)
        chunks = iter(lambda: file.read(1 << 20), b"")
        session.engine.load(watched(chunks, session.progress, "writing", size), tag)
    return _Sent(written.config, written.layers, written.compressed_size)
