"""Named blobs that an image consists of, wherever they lie: in an archive, in a stream, in a directory."""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Protocol, cast

from slimmer.chunks import CHUNK, AnyChunk
from slimmer.errors import SourceError
from slimmer.formats.compression import Compression, CompressionError, decompressed
from slimmer.image import Layer
from slimmer.image import digest as digest_of
from slimmer.progress import heard
from slimmer.tar_header import WholeMember
from slimmer.tar_members import Headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slimmer.content import Content
    from slimmer.formats.spool import Spool
    from slimmer.image import Digest
    from slimmer.progress import Stage

_MAX_METADATA = 16 << 20
_MAX_MEMBERS = 100_000
_HEAD = 16


@dataclass(frozen=True, slots=True)
class Blob:
    """A named file of an image.

    Where it went by in a stream it is unpacked already: `content` is what it decompresses to, with that as `diff_id`,
    and `digest` is of the bytes as they were. Elsewhere `content` is the bytes as they lie, and both are None.
    """

    content: Content
    size: int
    digest: Digest | None = None
    diff_id: Digest | None = None


class Store(Protocol):
    """Where the blobs of an image are found."""

    reference: str
    """What the person called it."""

    def find(self, path: str) -> Blob | None:
        """Give the blob of this name, symlinks followed; None when there is none."""


class Archive:
    """The members of a tar archive."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self._blobs: dict[str, Blob] = {}
        self._links: dict[str, str] = {}

    @classmethod
    def in_file(cls, content: Content, reference: str) -> Archive:
        """Give the archive that CONTENT is; nothing is read but its headers."""
        archive = cls(reference)
        try:
            headers = Headers(content)
            with tarfile.open(
                fileobj=cast("BinaryIO", headers), mode="r:", errorlevel=2, encoding="utf-8", tarinfo=WholeMember
            ) as tar:
                while member := tar.next():
                    headers.next_entry()
                    tar.members = []  # type: ignore[attr-defined]
                    if archive._is_file(member):
                        if member.offset_data + member.size > content.size:
                            raise tarfile.ReadError(f"it ends inside {member.name}")
                        lies = content.slice(member.offset_data, member.offset_data + member.size)
                        archive._add(member, Blob(lies, lies.size))
        except (tarfile.TarError, EOFError, UnicodeError) as error:
            raise archive._damaged(error) from error
        return archive

    @classmethod
    def in_stream(cls, chunks: Iterator[bytes], reference: str, spool: Spool) -> Archive:
        """Give the archive that goes by in CHUNKS; its members are in SPOOL afterwards, unpacked."""
        archive = cls(reference)
        try:
            with tarfile.open(
                fileobj=cast("BinaryIO", _Reader(chunks)), mode="r|", bufsize=CHUNK, encoding="utf-8",
                tarinfo=WholeMember,
            ) as tar:  # fmt: skip
                while member := tar.next():
                    tar.members = []  # type: ignore[attr-defined]
                    if archive._is_file(member):
                        archive._add(member, _spooled(_member_chunks(tar, member), spool))
            for _ in chunks:
                pass  # the rest, so that whoever sends it is not cut off and a checksum behind it is looked at
        except (tarfile.TarError, EOFError, UnicodeError, CompressionError) as error:
            raise archive._damaged(error) from error
        return archive

    def find(self, path: str) -> Blob | None:
        """Give the member of this name; as of format v1 a layer may be a symlink to another one's."""
        path = posixpath.normpath(path)
        for _ in range(len(self._links) + 1):
            if path not in self._links:
                return self._blobs.get(path)
            path = self._links[path]
        return None

    def _is_file(self, member: tarfile.TarInfo) -> bool:
        """Say whether a member is a file, and remember it when it is a link."""
        path = posixpath.normpath(member.name)
        if member.issym() or member.islnk():
            base = posixpath.dirname(path) if member.issym() else ""
            self._links[path] = posixpath.normpath(posixpath.join(base, member.linkname))
        return member.isreg()

    def _add(self, member: tarfile.TarInfo, blob: Blob) -> None:
        self._blobs[posixpath.normpath(member.name)] = blob
        if len(self._blobs) > _MAX_MEMBERS:
            raise tarfile.ReadError(f"more than {_MAX_MEMBERS} members")

    def _damaged(self, error: Exception) -> SourceError:
        return SourceError(f"the archive of {self.reference} is cut short or damaged: {error}")


class _Reader:
    """A file over a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            chunk = self._rest or next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk[:size])
            self._rest = chunk[size:]
            size -= len(parts[-1])
        return b"".join(parts)


def _member_chunks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    reader = tar.extractfile(member)
    size = 0
    while reader is not None and (chunk := reader.read(CHUNK)):
        size += len(chunk)
        yield chunk
    if size != member.size:
        raise tarfile.ReadError(f"{member.name} ends after {size} of {member.size} bytes")


class Hashed(Generic[AnyChunk]):
    """Chunks that are hashed and counted as they go by."""

    def __init__(self, chunks: Iterable[AnyChunk]) -> None:
        self._chunks: Iterable[AnyChunk] = chunks
        self._state = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[AnyChunk]:
        for chunk in self._chunks:
            self._state.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def digest(self) -> Digest:
        """The digest of what went by so far."""
        return f"sha256:{self._state.hexdigest()}"


def _spooled(chunks: Iterator[bytes], spool: Spool) -> Blob:
    """Give the blob that goes by, unpacked into SPOOL."""
    head = next(chunks, b"")
    stored = Hashed(_chain(head, chunks))
    compression = Compression.of(head[:_HEAD])
    if compression is Compression.NONE:
        content = spool.take(stored)
        return Blob(content, stored.size, stored.digest, stored.digest)
    unpacked = Hashed(decompressed(stored, compression))
    content = spool.take(unpacked)
    return Blob(content, stored.size, stored.digest, unpacked.digest)


def _chain(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def metadata(store: Store, path: str, expected: Digest | None = None) -> bytes:
    """Give a small file of a store; raise SourceError when it is missing, huge or has not the digest EXPECTED."""
    blob = store.find(path)
    if blob is None:
        raise SourceError(f"{store.reference} has no {path}; it is damaged, or not an image of this kind")
    if blob.content.size > _MAX_METADATA:
        raise SourceError(f"{path} of {store.reference} has {blob.content.size} bytes, which no metadata has")
    data = blob.content.read_at(0, blob.content.size)
    if expected is not None:
        _require(digest_of(data), expected, path, store.reference)
    return data


def json_of(store: Store, path: str, expected: Digest | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Give what a small file of a store decodes to; raise SourceError when it is no JSON."""
    try:
        return json.loads(metadata(store, path, expected))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} of {store.reference} is not JSON: {error}") from error


def layer(
    store: Store, path: str, diff_id: Digest, spool: Spool, stage: Stage, expected: Digest | None = None
) -> Layer:
    """Give the layer that a blob holds, unpacked into SPOOL where it is compressed; STAGE hears of the bytes read.

    Raises SourceError when it is missing, does not decompress, or when the digest of the blob is not EXPECTED or that
    of the unpacked tar not DIFF_ID.
    """
    blob = store.find(path)
    if blob is None:
        raise SourceError(f"{store.reference} lacks its layer {path}; it is damaged, or the layer lies elsewhere")
    content, digest, found = blob.content, blob.digest, blob.diff_id
    if digest is None or found is None:
        try:
            stored = Hashed(heard(content.chunks(), stage))
            compression = Compression.of(content.read_at(0, _HEAD))
            if compression is Compression.NONE:
                for _ in stored:
                    pass
                found = stored.digest
            else:
                unpacked = Hashed(decompressed(stored, compression))
                content = spool.take(unpacked)
                found = unpacked.digest
            digest = stored.digest
        except (CompressionError, EOFError) as error:
            raise SourceError(f"layer {path} of {store.reference} cannot be unpacked: {error}") from error
    if expected is not None:
        _require(digest, expected, path, store.reference)
    _require(found, diff_id, path, store.reference)
    return Layer(diff_id, content)


def _require(found: Digest, expected: Digest, path: str, reference: str) -> None:
    if found != expected:
        raise SourceError(f"{path} of {reference} has the digest {found} where {expected} is asked for; it is damaged")
