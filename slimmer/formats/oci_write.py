"""The OCI image layout, written: into a directory that may hold other images, or as one archive."""

from __future__ import annotations

import json
import os
import tarfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self

from slimmer.errors import DestinationError, SlimmerError
from slimmer.formats.compression import Compression, compressed
from slimmer.formats.oci import IMAGE_NAME, INDEX, LAYOUT, REF_NAME
from slimmer.formats.replacing import replacing
from slimmer.formats.store import Hashed
from slimmer.platforms import Platform
from slimmer.tar_header import END_OF_ARCHIVE, padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from slimmer.chunks import Chunk
    from slimmer.image import Config, Digest

_LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_HEADER = 512

Descriptor = dict[str, Any]


class Writer(Protocol):
    """Where the blobs of a layout go."""

    def blob(self, chunks: Iterable[Chunk]) -> tuple[Digest, int]:
        """Put a blob; give its digest and its size in bytes."""


@dataclass(frozen=True, slots=True)
class Written:
    """An image whose blobs are written: its configuration, and the descriptor of its manifest."""

    config: Config
    descriptor: Descriptor
    layers: tuple[Descriptor, ...]
    """Its layers, oldest first, as the manifest describes them."""
    compressed_size: int | None
    """Bytes of its layers' blobs; None where they are not compressed."""


def write_image(
    writer: Writer, layers: Iterable[tuple[int, Iterator[Chunk]]], configure: Callable[[tuple[Digest, ...]], Config],
    compression: Compression, below: tuple[Descriptor, ...] = (),
) -> Written:  # fmt: skip
    """Write the blobs of an image of LAYERS, each its length and its uncompressed bytes.

    BELOW are older layers that whoever reads this has: they are described, and not written. CONFIGURE makes the
    configuration of the diff_ids of LAYERS. Raises SlimmerError when a layer has not the length that it was given with.
    """
    diff_ids: list[Digest] = []
    described: list[Descriptor] = [*below]
    for size, chunks in layers:
        hashed = Hashed(chunks)
        blob = writer.blob(compressed(hashed, compression))
        if hashed.size != size:
            raise SlimmerError(f"the layer came to {hashed.size} bytes where {size} were planned; please report this")
        diff_ids.append(hashed.digest)
        described.append(_descriptor(_LAYER_TYPE + compression.suffix, blob))
    config = configure(tuple(diff_ids))
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": _descriptor(_CONFIG_TYPE, writer.blob([config.raw])),
        "layers": described,
    }
    descriptor = _descriptor(_MANIFEST_TYPE, writer.blob([_encoded(manifest)]))
    platform = Platform.of(config.mapping)
    said = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    descriptor["platform"] = {key: value for key, value in said.items() if value}
    packed = sum(layer["size"] for layer in described)
    return Written(config, descriptor, tuple(described), None if compression is Compression.NONE else packed)


def plain_layer(diff_id: Digest, size: int) -> Descriptor:
    """Give the descriptor of a layer that is not compressed, SIZE bytes long."""
    return _descriptor(_LAYER_TYPE, (diff_id, size))


def named(descriptor: Descriptor, tag: str, name: str | None) -> Descriptor:
    """Give a descriptor with the annotations that its image is found by: a tag, and a whole name where there is one."""
    annotations = {REF_NAME: tag}
    if name is not None:
        annotations[IMAGE_NAME] = name
    return {**descriptor, "annotations": annotations}


def index_of(descriptors: list[Descriptor]) -> bytes:
    """Give the index.json of a layout of these images."""
    return _encoded({"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": descriptors})


def _descriptor(media_type: str, blob: tuple[Digest, int]) -> Descriptor:
    return {"mediaType": media_type, "digest": blob[0], "size": blob[1]}


def _encoded(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return json.dumps(value, separators=(",", ":")).encode()


class ArchiveWriter:
    """An OCI archive, written into a file that can be sought in: a blob's header is known when the blob has ended."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._known: set[Digest] = set()
        self._named(LAYOUT, _LAYOUT_FILE)

    def blob(self, chunks: Iterable[Chunk]) -> tuple[Digest, int]:
        """Put a blob; one that is there already is not put twice."""
        start = self._file.tell()
        self._file.seek(_HEADER, os.SEEK_CUR)
        hashed = Hashed(chunks)
        for chunk in hashed:
            self._file.write(chunk)
        if hashed.digest in self._known:
            self._file.seek(start)
            self._file.truncate()
            return hashed.digest, hashed.size
        self._known.add(hashed.digest)
        self._file.write(padding(hashed.size))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_header(f"blobs/{hashed.digest.replace(':', '/')}", hashed.size))
        self._file.seek(end)
        return hashed.digest, hashed.size

    def finish(self, descriptors: list[Descriptor], more: Iterable[tuple[str, bytes]] = ()) -> None:
        """Put the index, MORE files, and the end of the archive."""
        self._named(INDEX, index_of(descriptors))
        for name, data in more:
            self._named(name, data)
        self._file.write(bytes(END_OF_ARCHIVE))
        self._file.flush()

    def _named(self, name: str, data: bytes) -> None:
        self._file.write(_header(name, len(data)) + data + padding(len(data)))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    # GNU's form says sizes above 8 GiB in the same 512 bytes, where PAX needs more, which are not reserved.
    return member.tobuf(tarfile.GNU_FORMAT)


class DirectoryWriter:
    """An OCI layout in a directory, which a context writes to: nobody sees any of it before `finish`.

    Blobs have no names of their own until then. Nothing of them is left when the context ends without it, nor of the
    directory, if that was made for them; what a killed run left there the next one removes.
    """

    def __init__(self, directory: Path) -> None:
        """Take a directory that is a layout or becomes one; raise DestinationError when it holds something else."""
        self._directory = directory
        self._blobs = directory / "blobs" / "sha256"
        self._is_new = not directory.exists()
        if not self._is_new and not (directory / LAYOUT).is_file() and any(directory.iterdir()):
            raise DestinationError(f"{directory} holds files and is not an OCI image layout; name another directory")
        self._unfinished = ExitStack()
        self._names: list[Callable[[], None]] = []
        """Give each blob its own name."""

    def __enter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        # First of all, so that whatever comes in between it is a layout, and the next run takes it for one.
        self._put(LAYOUT, _LAYOUT_FILE)
        self._blobs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unfinished.close()
        if self._is_new and not (self._directory / INDEX).exists():
            with suppress(OSError):  # another run may have begun to write there
                for directory in (self._blobs, self._blobs.parent):
                    directory.rmdir()
                (self._directory / LAYOUT).unlink()
                self._directory.rmdir()

    def blob(self, chunks: Iterable[Chunk]) -> tuple[Digest, int]:
        """Put a blob; one that is there already is put again, which changes nothing."""
        hashed = Hashed(chunks)
        file, put_as = self._unfinished.enter_context(replacing(self._blobs))
        for chunk in hashed:
            file.write(chunk)
        file.flush()
        self._names.append(partial(put_as, self._blobs / hashed.digest.partition(":")[2]))
        return hashed.digest, hashed.size

    def finish(self, descriptor: Descriptor) -> None:
        """Let the image appear: its blobs, then the index with it in place of those of the same tag."""
        tag = descriptor["annotations"][REF_NAME]
        others = [one for one in self._listed() if (one.get("annotations") or {}).get(REF_NAME) != tag]
        for name in self._names:
            name()
        self._put(LAYOUT, _LAYOUT_FILE)  # once more: another run may have given up here meanwhile
        self._put(INDEX, index_of([*others, descriptor]))

    def _put(self, name: str, data: bytes) -> None:
        with replacing(self._directory) as (file, put_as):
            file.write(data)
            put_as(self._directory / name)

    def _listed(self) -> list[Descriptor]:
        path = self._directory / INDEX
        if not path.exists():
            return []
        try:
            listed = json.loads(path.read_bytes())["manifests"]
            return [dict(one) for one in listed]
        except (ValueError, TypeError, KeyError) as error:
            raise DestinationError(f"{path} is not an index of images: {error!r}") from error
