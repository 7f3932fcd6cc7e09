"""The archive that `docker save` writes and `docker load` reads.

    manifest.json              [{"Config": PATH, "RepoTags": [...], "Layers": [PATH, ...]}, ...]
    <config digest>.json       the raw configuration
    <id>/layer.tar             a layer's uncompressed tar; a symlink to another one's when they are the same

Since version 25 the engine writes an OCI image layout around the same manifest.json, with the paths leading into
blobs/sha256; from its containerd image store the layers come as that keeps them, mostly in gzip.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.errors import SlimmerError, SourceError
from slimmer.formats.store import Hashed, json_of, layer, metadata
from slimmer.image import Config, Image
from slimmer.tar_header import END_OF_ARCHIVE, padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from slimmer.chunks import Chunk
    from slimmer.formats.spool import Spool
    from slimmer.formats.store import Store
    from slimmer.image import Digest
    from slimmer.progress import Stage

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Described:
    """An image of an archive, as manifest.json describes it."""

    config: str
    """Path of the configuration."""
    tags: tuple[str, ...]
    layers: tuple[str, ...]
    """Paths of the layers, oldest first."""


def described(store: Store) -> tuple[Described, ...]:
    """Give the images of an archive; raise SourceError when its manifest.json is missing or none."""
    try:
        return tuple(
            Described(
                str(one["Config"]), tuple(map(str, one.get("RepoTags") or ())), tuple(map(str, one["Layers"] or ()))
            )
            for one in json_of(store, MANIFEST)
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise SourceError(f"{MANIFEST} of {store.reference} does not describe images: {error!r}") from error


def length(store: Store, image: Described) -> int:
    """Give how many bytes the layers of an image have that are still to be read."""
    blobs = (store.find(path) for path in image.layers)
    return sum(blob.size for blob in blobs if blob is not None and blob.diff_id is None)


def read(store: Store, image: Described, spool: Spool, stage: Stage) -> Image:
    """Give an image of an archive, its layers' digests compared with what its configuration says.

    STAGE hears of the bytes of layers as they are read.

    Raises SourceError for whatever is missing, damaged or does not agree.
    """
    config = Config.parse(metadata(store, image.config), store.reference)
    if len(image.layers) != len(config.diff_ids):
        raise SourceError(
            f"{store.reference} has {len(image.layers)} layers where its configuration has {len(config.diff_ids)}; "
            "it is damaged"
        )
    pairs = zip(image.layers, config.diff_ids, strict=True)
    layers = tuple(layer(store, path, diff_id, spool, stage) for path, diff_id in pairs)
    return Image(store.reference, config, layers)


class Archive:
    """The archive of one image, as a stream that is made while it is read.

    The layers come first, since the configuration of a new image names their digests; engines take the members in any
    order. Once the stream has ended, `config` is the configuration, and `written` has the diff_id and the length in
    bytes of each layer.
    """

    def __init__(
        self, layers: Iterable[tuple[int, Iterator[Chunk]]], configure: Callable[[tuple[Digest, ...]], Config],
        repo_tag: str | None, below: int = 0,
    ) -> None:  # fmt: skip
        """Take each layer as its length and its plain bytes, and what makes the configuration of their diff_ids.

        So many layers BELOW them are left out of the archive: an engine with a graph driver that has them finds them by
        what the configuration says.
        """
        self._layers = layers
        self._configure = configure
        self._below = below
        self.repo_tag = repo_tag
        self.config: Config | None = None
        self.written: list[tuple[Digest, int]] = []

    def chunks(self) -> Iterator[Chunk]:
        """Give the archive piece by piece; raise SlimmerError when a layer has another length than was said."""
        paths = [f"{number}/layer.tar" for number in range(self._below)]
        for size, chunks in self._layers:
            paths.append(f"{len(paths)}/layer.tar")
            yield member(paths[-1], size)
            hashed = Hashed(chunks)
            yield from hashed
            if hashed.size != size:
                raise SlimmerError(
                    f"the layer came to {hashed.size} bytes where {size} were planned; please report this"
                )
            yield padding(size)
            self.written.append((hashed.digest, size))
        self.config = self._configure(tuple(diff_id for diff_id, _ in self.written))
        yield from described_as(self.config, paths, self.repo_tag)


def described_as(config: Config, layers: list[str], repo_tag: str | None) -> Iterator[bytes]:
    """Give the end of an archive whose layers lie at LAYERS: the configuration and the manifest."""
    name = config.id.removeprefix("sha256:") + ".json"
    yield file(name, config.raw)
    manifest = [{"Config": name, "RepoTags": [repo_tag] if repo_tag else None, "Layers": layers}]
    yield file(MANIFEST, json.dumps(manifest).encode())
    yield bytes(END_OF_ARCHIVE)


def member(name: str, size: int) -> bytes:
    """Give the tar header of a file of SIZE bytes."""
    header = tarfile.TarInfo(name)
    header.size = size
    return header.tobuf(tarfile.PAX_FORMAT)


def file(name: str, data: bytes) -> bytes:
    """Give a whole tar member."""
    return member(name, len(data)) + data + padding(len(data))
