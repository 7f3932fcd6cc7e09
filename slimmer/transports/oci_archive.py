"""`oci-archive:FILE[:TAG]`: an OCI image layout in a tar archive, plain or packed with gzip or zstd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer import interrupts
from slimmer.formats import archive_file
from slimmer.formats.compression import Compression
from slimmer.formats.oci_write import ArchiveWriter
from slimmer.formats.replacing import check_file, replacing, require_room, writing
from slimmer.transports import Stored, path_and_name
from slimmer.transports.layout import InLayout, Source, find, names

if TYPE_CHECKING:
    from slimmer.session import Session
    from slimmer.transports import Loaded, Wish, Writable
    from slimmer.transports import Source as AnySource

FORM = "oci-archive:FILE[:TAG]"


@dataclass(frozen=True, slots=True)
class Target(InLayout):
    """An archive file."""

    @property
    def reference(self) -> str:
        """What the result is called."""
        return f"oci-archive:{self.path}"

    def check(self, source: AnySource) -> None:
        """Raise UsageError for the source's own file, DestinationError for one that cannot be written."""
        check_file(self.path, source.path)

    def put(self, image: Writable, trial: Loaded | None) -> Stored:  # noqa: ARG002 - an archive needs no engine
        """Write the archive; a file of the name is replaced when the new one is whole."""
        directory = self.path.absolute().parent
        require_room(directory, image.size)
        with writing(self.path), replacing(directory) as (file, put_as):
            writer = ArchiveWriter(file)
            written, descriptor = self.written(image, writer)
            writer.finish([descriptor])
            # From here on the answer is yes: an interrupt that came now would have to say what is not so.
            interrupts.ignore()
            put_as(self.path)
        return Stored(written.config, written.compressed_size)


class Transport:
    """The transport."""

    name = "oci-archive"
    form = FORM

    def source(self, where: str, session: Session) -> Source:
        """Find the image of an archive; raise SourceError when it is none, or holds several and none is named."""
        path, name = path_and_name(where, FORM)
        reference = f"{self.name}:{where}"
        store, spool = session.hold(archive_file.opened(Path(path), reference, session.progress))
        return find(store, name, Path(path), spool, session)

    def target(self, where: str, wish: Wish, session: Session) -> Target:
        """Give the file for a result."""
        path, tag = path_and_name(where, FORM)
        return Target(Path(path), *names(tag, wish), wish.compression or Compression.GZIP, session)


transport = Transport()
