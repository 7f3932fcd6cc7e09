"""An archive in a file, plain or packed as a whole, as people keep what `docker save` gave them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slimmer.blobs import File
from slimmer.chunks import CHUNK
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.formats.compression import Compression, decompressed
from slimmer.formats.spool import Spool
from slimmer.formats.store import Archive
from slimmer.pieces import Piece
from slimmer.progress import watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slimmer.progress import Progress

_HEAD = 16


@contextmanager
def opened(path: Path, reference: str, progress: Progress) -> Iterator[tuple[Archive, Spool]]:
    """Give the archive in a file, and a spool for what is unpacked of it.

    Its blobs lie where they are in the file, or in the spool where that is packed as a whole.

    Raises SourceError when there is no such file, or it is none that can be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    with file, Spool.open(reference) as spool:
        size = os.fstat(file.fileno()).st_size
        try:
            content = Content([Piece(File(file), 0, size)])
            compression = Compression.of(content.read_at(0, _HEAD))
            if compression is Compression.NONE:
                archive = Archive.in_file(content, reference)
            else:
                packed = watched(content.chunks(CHUNK), progress, "unpacking", size)
                archive = Archive.in_stream(decompressed(packed, compression), reference, spool)
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        yield archive, spool
