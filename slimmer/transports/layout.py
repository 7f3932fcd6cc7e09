"""Images of an OCI image layout, in a directory or in an archive: found, named, and written blob by blob."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.formats import oci
from slimmer.formats.compression import Compression
from slimmer.formats.oci_write import named, write_image
from slimmer.naming import result_tag
from slimmer.progress import watched_layers

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.formats.oci_write import Descriptor, Writer, Written
    from slimmer.formats.spool import Spool
    from slimmer.formats.store import Store
    from slimmer.image import Image
    from slimmer.session import Session
    from slimmer.transports import Wish, Writable


@dataclass(frozen=True, slots=True)
class Source:
    """An image of a layout."""

    reference: str
    path: Path
    store: Store
    spool: Spool
    described: oci.Described
    session: Session
    engine_id: None = None
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str | None:
        """The whole name, where the layout has one and not only a tag, without what docker leaves out of it."""
        whole = next((name for name in self.described.names if ":" in name), None)
        return None if whole is None else whole.removeprefix("docker.io/").removeprefix("library/")

    def read(self) -> Image:
        """Give the image; raise SourceError when it is damaged."""
        digest = self.described.digest
        with self.session.progress.stage("reading", oci.length(self.store, digest)) as stage:
            return oci.read(self.store, digest, self.spool, stage)


def find(store: Store, name: str | None, path: Path, spool: Spool, session: Session) -> Source:
    """Give the image of a layout that is meant; raise SourceError when there is none or it cannot be told."""
    described = oci.choose(store, name, session.platform, session.default_platform)
    return Source(store.reference, path, store, spool, described, session)


def names(tag: str | None, wish: Wish) -> tuple[str, str | None]:
    """Give the tag that a result gets in a layout, TAG where the person said one, and its whole name or None."""
    whole = result_tag(wish.source.name, wish.tag)
    if whole is not None:
        return tag or whole.tag, replace(whole, tag=tag or whole.tag).full
    own = wish.source.described.names if isinstance(wish.source, Source) else ()
    return tag or (f"{own[0]}-slim" if own else "latest"), None


@dataclass(frozen=True, slots=True)
class InLayout:
    """Where a result is to go in a layout at PATH: under a tag, and under a whole name where it has one."""

    path: Path
    tag: str
    name: str | None
    compression: Compression
    session: Session
    in_engine: bool = False

    @property
    def packs(self) -> bool:
        """Whether its layers are compressed."""
        return self.compression is not Compression.NONE

    def written(self, image: Writable, writer: Writer) -> tuple[Written, Descriptor]:
        """Write the blobs of an image, and give it and the entry that the index has for it."""
        layers = watched_layers(image.layers(), self.session.progress, "saving", image.size)
        written = write_image(writer, layers, image.configure, self.compression)
        return written, named(written.descriptor, self.tag, self.name)
