"""The archive that `docker save` writes and `docker load` reads, both as streams.

    manifest.json              [{"Config": PATH, "RepoTags": [...], "Layers": [PATH, ...]}]
    <config digest>.json       the raw configuration
    <id>/layer.tar             a layer's uncompressed tar; a symlink to another one's when they are the same

Since version 25 the engine writes an OCI image layout around the same manifest.json, with the paths leading into
blobs/sha256.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tarfile
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from slimmer.content import CHUNK, Content, File, Piece
from slimmer.errors import SlimmerError, SourceError
from slimmer.image import Config, Image, Layer
from slimmer.layer import END_OF_ARCHIVE, padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_METADATA = 16 << 20
_GZIP_CHUNK = 16 << 10  # which deflate makes 16 MiB of at the most


@dataclass
class _Members:
    """What an archive holds: files by path with where they lie and their digest, and links."""

    contents: dict[str, Content] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def resolve(self, path: str) -> str:
        for _ in range(len(self.links) + 1):
            if path not in self.links:
                return path
            path = self.links[path]
        return path


@contextmanager
def read(archive: Iterator[bytes], reference: str) -> Iterator[Image]:
    """Give the image that an archive holds, readable until the context ends.

    The archive is written once to a temporary file that has no name, so that not even a killed run leaves it behind.
    Every layer's digest is compared with the configuration's. Raises SourceError for an archive that is none, is
    damaged or holds several images.
    """
    directory = spool_directory()
    with TemporaryFile(dir=directory) as spool, TemporaryFile(dir=directory) as unpacked:
        members = _spool(archive, cast("BinaryIO", spool), reference)
        manifest = _json(members, "manifest.json", reference)
        try:
            (described,) = manifest
            config = Config.parse(_metadata(members, described["Config"], reference), reference)
            paths = [members.resolve(path) for path in described["Layers"]]
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(f"the archive of {reference} does not describe one image: {error!r}") from error
        if len(paths) != len(config.diff_ids):
            raise SourceError(
                f"the archive of {reference} has {len(paths)} layers where its configuration has {len(config.diff_ids)}"
            )
        layers = [
            _layer(members, path, diff_id, cast("BinaryIO", unpacked), reference)
            for path, diff_id in zip(paths, config.diff_ids, strict=True)
        ]
        yield Image(reference, config, tuple(layers))


def spool_directory() -> str:
    """Give where gigabytes are kept for a while: TMPDIR, else /var/tmp where /tmp is memory, as on Debian 13."""
    directory = tempfile.gettempdir()
    if directory != "/tmp" or os.environ.get("TMPDIR"):  # noqa: S108 - what gettempdir says
        return directory
    mounts = Path("/proc/self/mounts")
    lines = mounts.read_text("utf-8", "replace").splitlines() if mounts.exists() else []
    return "/var/tmp" if any(line.split()[1:3] == ["/tmp", "tmpfs"] for line in lines) else directory  # noqa: S108 - both


class _Tee:
    """A file over the archive's stream that writes down all it gives."""

    def __init__(self, archive: Iterator[bytes], spool: BinaryIO) -> None:
        self._archive = archive
        self._spool = spool
        self._buffer = b""

    def read(self, size: int) -> bytes:
        parts = [self._buffer[:size]]
        self._buffer = self._buffer[size:]
        missing = size - len(parts[0])
        while missing:
            chunk = next(self._archive, None)
            if chunk is None:
                break
            self._spool.write(chunk)
            parts.append(chunk[:missing])
            self._buffer = chunk[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def drain(self) -> None:
        while self.read(CHUNK):
            pass


def _spool(archive: Iterator[bytes], spool: BinaryIO, reference: str) -> _Members:
    members = _Members()
    file = File(spool)
    tee = _Tee(archive, spool)
    try:
        with tarfile.open(fileobj=cast("BinaryIO", tee), mode="r|", bufsize=CHUNK, encoding="utf-8") as tar:
            while member := tar.next():
                tar.members = []  # type: ignore[attr-defined]
                path = posixpath.normpath(member.name)
                if member.issym() or member.islnk():
                    base = posixpath.dirname(path) if member.issym() else ""
                    members.links[path] = posixpath.normpath(posixpath.join(base, member.linkname))
                elif member.isreg():
                    start = member.offset_data
                    members.digests[path] = _hashed(tar, member)
                    members.contents[path] = Content([Piece(file, start, member.size)])
        tee.drain()
        spool.flush()
    except (tarfile.TarError, EOFError) as error:
        raise SourceError(f"the archive of {reference} is cut short or damaged: {error}") from error
    except OSError as error:
        raise _no_room(reference, error) from error
    return members


def _no_room(reference: str, error: OSError) -> SourceError:
    return SourceError(f"{reference} cannot be kept in the temporary directory: {error.strerror}; set TMPDIR")


def _hashed(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    hasher = hashlib.sha256()
    reader = tar.extractfile(member)
    if reader is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    size = 0
    while chunk := reader.read(CHUNK):
        hasher.update(chunk)
        size += len(chunk)
    if size != member.size:
        raise tarfile.ReadError(f"{member.name} ends after {size} of {member.size} bytes")
    return "sha256:" + hasher.hexdigest()


def _metadata(members: _Members, path: str, reference: str) -> bytes:
    content = members.contents.get(members.resolve(posixpath.normpath(path)))
    if content is None or content.size > _MAX_METADATA:
        raise SourceError(f"the archive of {reference} has no {path} that can be read")
    return content.read_at(0, content.size)


def _json(members: _Members, path: str, reference: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(_metadata(members, path, reference))
    except ValueError as error:
        raise SourceError(f"{path} in the archive of {reference} is not JSON: {error}") from error


def _layer(members: _Members, path: str, diff_id: str, unpacked: BinaryIO, reference: str) -> Layer:
    path = members.resolve(posixpath.normpath(path))
    content = members.contents.get(path)
    if content is None:
        raise SourceError(f"the archive of {reference} lacks its layer {path}")
    found = members.digests[path]
    if content.read_at(0, 4) == _ZSTD:
        raise SourceError(
            f"layer {path} of {reference} is compressed with zstd, which this version of slimmer does not read"
        )
    if content.read_at(0, 2) == _GZIP:
        content, found = _gunzipped(content, unpacked, path, reference)
    if found != diff_id:
        raise SourceError(
            f"layer {path} of {reference} has the digest {found}, its configuration says {diff_id}; "
            "the image is damaged"
        )
    return Layer(diff_id, content)


def _gunzipped(content: Content, unpacked: BinaryIO, path: str, reference: str) -> tuple[Content, str]:
    start = unpacked.seek(0, 2)
    hasher = hashlib.sha256()
    inflate = zlib.decompressobj(wbits=31)
    try:
        for chunk in content.chunks(_GZIP_CHUNK):
            data = inflate.decompress(chunk)
            while True:
                unpacked.write(data)
                hasher.update(data)
                if not inflate.eof or not (rest := inflate.unused_data):
                    break
                # gzip members may follow one another (RFC 1952, section 2.2); parallel compressors write such.
                inflate = zlib.decompressobj(wbits=31)
                data = inflate.decompress(rest)
        stop = unpacked.tell()
        unpacked.flush()
    except zlib.error as error:
        raise SourceError(f"layer {path} of {reference} is not the gzip file that it begins as: {error}") from error
    except OSError as error:
        raise _no_room(reference, error) from error
    return Content([Piece(File(unpacked), start, stop - start)]), "sha256:" + hasher.hexdigest()


class Archive:
    """The archive of an image of one layer, as a stream that is made while it is read.

    The layer comes first, since the configuration names its digest; engines take the members in any order. `config` is
    the configuration, once the stream has ended.
    """

    def __init__(
        self, layer: Iterator[bytes], layer_size: int, configure: Callable[[str], Config], repo_tag: str
    ) -> None:
        self._layer = layer
        self._layer_size = layer_size
        self._configure = configure
        self.repo_tag = repo_tag
        self.config: Config | None = None

    def chunks(self) -> Iterator[bytes]:
        """Give the archive piece by piece."""
        yield _member("layer.tar", self._layer_size)
        hasher = hashlib.sha256()
        written = 0
        for chunk in self._layer:
            hasher.update(chunk)
            written += len(chunk)
            yield chunk
        if written != self._layer_size:
            raise SlimmerError(
                f"the layer came to {written} bytes where {self._layer_size} were planned; please report this"
            )
        yield padding(written)
        self.config = self._configure("sha256:" + hasher.hexdigest())
        name = self.config.id.removeprefix("sha256:") + ".json"
        yield _file(name, self.config.raw)
        manifest = [{"Config": name, "RepoTags": [self.repo_tag], "Layers": ["layer.tar"]}]
        yield _file("manifest.json", json.dumps(manifest).encode())
        yield bytes(END_OF_ARCHIVE)


def _member(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _file(name: str, data: bytes) -> bytes:
    return _member(name, len(data)) + data + padding(len(data))
