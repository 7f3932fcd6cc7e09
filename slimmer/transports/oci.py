"""`oci:DIR[:TAG]`: an OCI image layout in a directory."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer import interrupts
from slimmer.blobs import File
from slimmer.content import Content
from slimmer.errors import SourceError, UsageError
from slimmer.formats.compression import Compression
from slimmer.formats.oci_write import DirectoryWriter
from slimmer.formats.replacing import check_directory, require_room, writing
from slimmer.formats.spool import Spool
from slimmer.formats.store import Blob
from slimmer.pieces import Piece
from slimmer.transports import Stored, path_and_name
from slimmer.transports.layout import InLayout, Source, find, names

if TYPE_CHECKING:
    from slimmer.session import Session
    from slimmer.transports import Loaded, Wish, Writable
    from slimmer.transports import Source as AnySource

FORM = "oci:DIR[:TAG]"


class Directory:
    """The files of a layout; each is opened when it is asked for and stays open as long as the session."""

    def __init__(self, root: Path, reference: str, held: ExitStack) -> None:
        self.reference = reference
        self._root = root
        self._held = held

    def find(self, path: str) -> Blob | None:
        """Give the file of this name, which is one that slimmer made of a digest; None when there is none."""
        try:
            file = self._held.enter_context(open(self._root / path, "rb", opener=_opened))  # noqa: SIM115 - held
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceError(f"{self._root / path} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SourceError(f"{self._root / path} is no file; a layout has nothing else")
        size = file.seek(0, 2)
        return Blob(Content([Piece(File(file), 0, size)]), size)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO would wait for who writes to it


@dataclass(frozen=True, slots=True)
class Target(InLayout):
    """An image of a directory, by its tag."""

    @property
    def reference(self) -> str:
        """What the result is called."""
        return f"oci:{self.path}:{self.tag}"

    def check(self, source: AnySource) -> None:
        """Raise UsageError for the source's own place, DestinationError for one that cannot be written."""
        is_same = source.path is not None and self.path.exists() and source.path.samefile(self.path)
        if (
            is_same
            and isinstance(source, Source)
            and self.tag in {n.rpartition(":")[2] for n in source.described.names}
        ):
            raise UsageError(f"{self.reference} is the source image, which slimmer never overwrites; name another tag")
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is not a directory; an archive is written by oci-archive:FILE")
        check_directory(self.path if self.path.exists() else self.path.absolute().parent)

    def put(self, image: Writable, trial: Loaded | None) -> Stored:  # noqa: ARG002 - a directory needs no engine
        """Write the blobs, then the index, which makes the image appear; images of other tags stay."""
        with writing(self.path):
            require_room(self.path if self.path.exists() else self.path.absolute().parent, image.size)
            with DirectoryWriter(self.path) as writer:
                written, descriptor = self.written(image, writer)
                # From here on the answer is yes: an interrupt that came now would have to say what is not so.
                interrupts.ignore()
                writer.finish(descriptor)
        return Stored(written.config, written.compressed_size)


class Transport:
    """The transport."""

    name = "oci"
    form = FORM

    def source(self, where: str, session: Session) -> Source:
        """Find the image of a directory; raise SourceError when it is none, or holds several and none is named."""
        path, name = path_and_name(where, FORM)
        reference = f"{self.name}:{where}"
        if not Path(path).is_dir():
            raise SourceError(f"there is no directory {path}")
        held = session.hold(ExitStack())
        spool = session.hold(Spool.open(reference))
        return find(Directory(Path(path), reference, held), name, Path(path), spool, session)

    def target(self, where: str, wish: Wish, session: Session) -> Target:
        """Give the place for a result: under TAG, else under the tag of the name that was wished or that it has."""
        path, tag = path_and_name(where, FORM)
        return Target(Path(path), *names(tag, wish), wish.compression or Compression.GZIP, session)


transport = Transport()
